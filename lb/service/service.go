package service

import (
	"net/netip"

	"github.com/sluice-net/sluice/packet"
)

// Config is all virtual servers and translations of a node.
type Config struct {
	// Servers by name. No two have a frontend for the same address space, address,
	// protocol and port.
	Servers []*Server

	// Pools are all that Servers refer to, and those that no server uses, by name.
	Pools []*Pool

	// Rules are in the order of evaluation: by router, priority, then name. The first that
	// matches decides, for each of source and destination.
	Rules []*NATRule

	// Sources are the stocks of addresses that sources are translated to: all that
	// Servers and Rules refer to.
	Sources []*SourcePool

	// Addresses are those that the node answers for by ARP and ND: addresses of virtual servers, and those that are
	// translated to. Sorted by scope and prefix, each once.
	Addresses []Owned
}

// Empty reports whether there is nothing in it.
func (c *Config) Empty() bool {
	return len(c.Servers)+len(c.Pools)+len(c.Rules)+len(c.Sources)+len(c.Addresses) == 0
}

// Owned is a network of addresses, often of one, that the routers of an address space answer for.
type Owned struct {
	Scope  uint32
	Prefix netip.Prefix
	// Announced: who is asked for them is told of a change (gratuitous ARP, unsolicited NA). Those that
	// are answered without being announced are inside only, as ClusterIPs.
	Announced bool
}

// Origin is the object that something was made of.
type Origin struct {
	Kind      string // Service, VirtualServer, Pool, NATRule…
	Namespace string
	Name      string
}

// String returns the origin as KIND NAMESPACE/NAME.
func (o Origin) String() string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	if o.Kind == "" {
		return name
	}
	return o.Kind + " " + name
}

// Server is a virtual server: one protocol and one port, or one list of ports that
// are alike, at one or more addresses. A Service has one for each of its ports.
type Server struct {
	// ID is 1 to MaxID, of no other Server, and stays as long as a server of this name is there.
	ID     uint32
	Origin Origin
	Name   string // NAMESPACE/NAME, or NAMESPACE/NAME:PORT for a port of a Service that has a name

	Disabled bool // answers as if it had no members

	// Frontends are where it listens. Addresses of several families, or kinds, share members of
	// the same family.
	Frontends []Frontend

	// Sorry takes connections when a frontend's pool has nobody for them; nil: none. It is that of the
	// first frontend: those of the other family have another part of the pool (Frontend.Sorry).
	Sorry *Pool

	Source   SourceMode
	Pool     *SourcePool // with SourceFromPool
	Dispatch Dispatch

	Affinity *Affinity // nil: none

	// Allowed are the networks that may connect, by frontends with Restricted (loadBalancerSourceRanges); nil: all.
	// Denied are those that may not, by any.
	Allowed, Denied []netip.Prefix

	MaxConnections uint32 // at a time; 0 is no limit
	MaxRate        uint32 // new connections per second; 0 is no limit

	// LogEnds: what its sessions did is logged (access_log_enabled).
	LogEnds bool
}

// MaxID is the largest ID of a server, pool or member.
const MaxID = 1<<24 - 1

// MaxGiven is the largest that objects are given one after the other. Those above it are of the node's own servers, at
// its health check ports: two for each port.
const MaxGiven = MaxID - 1<<17

// FrontendKind says what a frontend was made of.
type FrontendKind uint8

// The kinds of frontends.
const (
	Virtual      FrontendKind = iota // of a VirtualServer
	ClusterIP                        // of a Service
	ExternalIP                       // likewise
	LoadBalancer                     // likewise: status.loadBalancer.ingress
	NodePort                         // likewise: at the routers' addresses on their uplinks
)

var frontendKinds = [...]string{Virtual: "Virtual", ClusterIP: "ClusterIP", ExternalIP: "ExternalIP", LoadBalancer: "LoadBalancer", NodePort: "NodePort"}

// String returns the kind as Kubernetes writes it.
func (k FrontendKind) String() string {
	if int(k) < len(frontendKinds) {
		return frontendKinds[k]
	}
	return "Unknown"
}

// Frontend is an address and a run of ports at which a server listens.
type Frontend struct {
	Kind     FrontendKind
	Scope    uint32 // address space: see control.Segment.Scope
	Address  packet.Addr
	Protocol uint8  // TCP, UDP or SCTP
	First    uint16 // port; 0 with Last 65535: the protocol's all
	Last     uint16

	// Inside takes connections from segments, Outside those from uplinks: the
	// policies for internal and external traffic may choose among members
	// differently. Neither is nil.
	Inside, Outside *Pool

	// Sorry takes connections when neither has anybody for them; nil: none.
	Sorry *Pool

	// KeepSource: connections from outside are not translated at their source, even
	// if the member is not on this node (externalTrafficPolicy: Local).
	KeepSource bool

	Restricted bool // Server.Allowed holds
}

// Single reports whether the frontend is one port.
func (f *Frontend) Single() bool { return f.First == f.Last }

// SourceMode says what becomes of the source of a connection to a member.
type SourceMode uint8

// The modes.
const (
	// SourceAsNeeded leaves it, unless the member would not answer by way of this node: it is the client
	// itself, or outside (Kubernetes).
	SourceAsNeeded SourceMode = iota
	SourceKept                // LBSnatDisabled: but for hairpins, which can't do without
	SourceAutomap             // LBSnatAutoMap: the router's address toward the member
	SourceFromPool            // LBSnatIpPool
)

// String returns the mode as NSX has it; empty for SourceAsNeeded.
func (m SourceMode) String() string {
	if int(m) < len(sourceModes) {
		return sourceModes[m]
	}
	return "UNKNOWN"
}

var sourceModes = [...]string{SourceAsNeeded: "", SourceKept: "DISABLED", SourceAutomap: "AUTOMAP", SourceFromPool: "IP_POOL"}

// Dispatch says how packets get to members.
type Dispatch uint8

// The ways.
const (
	Translate  Dispatch = iota // DNAT
	DirectL2                   // direct server return: the packet as it is to the member's MAC address
	DirectIPIP                 // direct server return: in an IP packet to the member (RFC 2003, RFC 2473)
)

var dispatches = [...]string{Translate: "NAT", DirectL2: "DSR_L2", DirectIPIP: "DSR_IPIP"}

// String returns the name as users write it.
func (d Dispatch) String() string {
	if int(d) < len(dispatches) {
		return dispatches[d]
	}
	return "UNKNOWN"
}

// Affinity has connections of a client go to the member that had its last one.
type Affinity struct {
	// ID is what entries are kept by: servers with the same one share them, if they share the member.
	ID        uint32
	TimeoutNs int64 // since the last connection
	// WhenFull is what happens to a client that there is no room for: NSX's purge. False: the
	// oldest gives way (FULL). True: it has no affinity (NO_PURGE).
	NoPurge bool
}
