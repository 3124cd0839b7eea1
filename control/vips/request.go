package vips

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/lb/service"
)

// Use is what an address is for. An address of a pool is for its pool's use only.
type Use string

// The uses.
const (
	Virtual Use = "vip"     // of load balancers: Services of type LoadBalancer, VirtualServers
	Cluster Use = "cluster" // ClusterIPs
	Source  Use = "snat"    // what the sources of outgoing connections are translated to
)

// Pool is a stock of addresses.
type Pool struct {
	Name   string
	Use    Use
	Ranges []ipam.Range // sorted, without what is never given out; of one pool or several, none overlap
}

// Has reports whether an address is the pool's.
func (p *Pool) Has(a netip.Addr) bool {
	return slices.ContainsFunc(p.Ranges, func(r ipam.Range) bool { return r.Contains(a) })
}

// Request is all that one object asks for. It is not changed once it was
// handed over: one that is there again as the same pointer asks for the same.
type Request struct {
	Owner service.Origin
	Scope uint32 // address space that its addresses are for: see control.Segment.Scope
	Wants []Want // at most one of each use

	NodePorts []NodePort
}

// Want is the addresses that an object asks for one use.
type Want struct {
	Use  Use
	Pool string // that they are to be of; empty: any pool of the use

	// Families are the lengths in bits, 32 or 128, of the addresses that are wanted: one of each, any. Those behind
	// the first that no pool has addresses of are done without if Optional (PreferDualStack).
	Families []int
	Optional bool

	// Addresses are those asked for; none is given of a family besides if there is one of it among them.
	// What is not in a pool of the use is refused, unless Anywhere.
	Addresses []netip.Addr
	Anywhere  bool

	// Share is nil if the addresses are to be no other object's.
	Share *Share
}

// Share says with whom addresses may be shared: with those of the same scope, key and policy, as
// long as no two want the same port.
type Share struct {
	// Key is SharedByKey of what the annotation sluice.dev/allow-shared-ip says, or SharedByPorts.
	Key string
	// Policy is "" if the members may be any (externalTrafficPolicy Cluster), else what
	// stands for them all: namespace and selector.
	Policy string
	Ports  []Ports
}

// SharedByPorts is the key of VirtualServers: of those that ask for one and the same address each has its ports of
// it. Who asks for no certain one gets one of its own.
const SharedByPorts = "ports"

// SharedByKey returns the Share.Key of an annotation's value.
func SharedByKey(value string) string { return "key " + value }

// Ports is a run of ports of a protocol.
type Ports struct {
	Protocol    uint8
	First, Last uint16
}

func (p Ports) overlaps(o Ports) bool {
	return p.Protocol == o.Protocol && p.First <= o.Last && o.First <= p.Last
}

// NodePort asks for a port of the node, which no other owner in the scope has for the protocol.
type NodePort struct {
	Protocol uint8
	Port     uint16 // of the service, by which the node port is kept; 0, with TCP: the health check's
	Number   uint16 // that is asked for; 0: any. One protocol's is another's of the same Port, if it is free
}

// Input is what there is and what is wanted.
type Input struct {
	Requests []*Request // an owner has one; sorted by Compare, or they are sorted each time
	Pools    []Pool     // sorted by name: the first that has one free gives it

	NodePorts service.PortRange // that are given out; zero: 30000 to 32767

	// Taken says who has an address in a scope that is none of Requests: a port, a gateway, a router, as
	// users know it. Empty: nobody. nil: nobody has any.
	Taken func(scope uint32, a netip.Addr) string
	// TakenRun is a number that changes when Taken may answer differently; 0: each time.
	TakenRun uint64

	Previous   *Allocations // of the Result before; nil: none
	Now        int64        // Unix time, ns
	Quarantine int64        // ns
}

// DefaultNodePorts are Kubernetes'.
var DefaultNodePorts = service.PortRange{First: 30000, Last: 32767}

// Compare orders owners: by namespace, name and kind.
func Compare(a, b service.Origin) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// Result is who has what.
type Result struct {
	// Grants are in the order of Input.Requests. One that is the same pointer as in the Result before
	// says the same.
	Grants []*Grant
	// Allocations are for the next Input.Previous; the same pointer if nothing has changed.
	Allocations *Allocations
	// RetryAt is when the first quarantine ends that somebody waits for, Unix time in ns: to allocate anew
	// then may give more. 0: nobody waits for time to pass.
	RetryAt int64
}

// Grant is what an owner has. It is not changed once it was handed out.
type Grant struct {
	Owner     service.Origin
	Addresses [][]netip.Addr // by index in Request.Wants: as in Want.Addresses, then by Families; without what is missing
	NodePorts []uint16       // by index in Request.NodePorts; 0: none
	Problems  []Problem      // what is missing and why, and what is not as it should be
}

// Problem is why an owner lacks something, or should mind something.
type Problem struct {
	Use     Use // empty: a node port
	Reason  Reason
	Message string // a sentence without a full stop
	// Warning: nothing is missing.
	Warning bool
}

// Reason is the kind of a Problem, as a condition of a status has it.
type Reason string

// The reasons.
const (
	NoPool            Reason = "NoPool"             // there is none for the use and family
	PoolNotFound      Reason = "PoolNotFound"       // none of the name
	NoAddressFree     Reason = "NoAddressFree"      // all are in use or in quarantine
	AddressTaken      Reason = "AddressTaken"       // the one that is asked for is somebody's
	AddressQuarantine Reason = "AddressQuarantined" // it was another's a short time ago
	AddressOutside    Reason = "AddressNotInPool"   // it is in no pool, or not in the one that is asked for
	NodePortTaken     Reason = "NodePortTaken"      // the one that is asked for is another's
	NodePortOutside   Reason = "NodePortOutOfRange" // it is not of Input.NodePorts
	NoNodePortFree    Reason = "NoNodePortFree"     // all are in use

	HeldOutsidePools Reason = "AddressOutsidePools" // a warning: the pool has shrunk or gone, and the address is kept
	HeldByOthersToo  Reason = "AddressInUse"        // a warning: since it was given, somebody else has taken the address
)
