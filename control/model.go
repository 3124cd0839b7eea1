package control

import (
	"net/netip"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/lb/service"
)

// Model is a configuration, checked and resolved: what the node builds the
// data plane from. It is plain data that nobody changes, and that models which
// follow each other share where nothing changed; names are resolved to
// indices into its own slices, defaults are filled in. Equal objects, in
// whatever order, with equal Allocations before, give an equal Model.
type Model struct {
	// Revision is the number that the caller gave this configuration.
	Revision uint64 `json:"revision"`

	// Digest is 16 hexadecimal digits of all of the model but Revision, Digest
	// and Allocations: nodes with one digest treat packets alike.
	Digest string `json:"digest"`

	Node       Node        `json:"node"`
	Namespaces []Namespace `json:"namespaces"` // sorted by name
	Segments   []Segment   `json:"segments"`   // sorted by zone: those there are keep their places when one is added
	Ports      []*Port     `json:"ports"`      // sorted by name; see Port
	Routers    []Router    `json:"routers"`    // sorted by name; "default" is always there
	Pools      []Pool      `json:"pools"`      // of usage vips, clusterips and snat, sorted by name
	Blocks     []Block     `json:"blocks"`     // IPPools of usage segments, sorted by name

	// Firewall is the policy. Its Endpoints, by Port.Number, are all ports but uplinks and those of the exclusion list. The
	// numbers of sets are given as they come: equal objects give an equal policy but for these.
	Firewall *policy.Policy `json:"firewall"`
	// Groups are sorted by namespace and name, each with the set of its members. Some of these are of no rule.
	Groups []ruleset.Group `json:"groups"`
	// TimerProfiles and FloodProfiles are in order: the first whose AppliedTo has a port is the port's.
	TimerProfiles []TimerProfile `json:"timerProfiles"`
	FloodProfiles []FloodProfile `json:"floodProfiles"`

	// Services are virtual servers and NAT rules; nil: none.
	Services *service.Config `json:"services,omitempty"`
	// ServiceStatuses are what Services and VirtualServers have been given, and what they lack, sorted by kind, namespace and
	// name. They follow from Allocations.
	ServiceStatuses []*services.Status `json:"serviceStatuses,omitempty"`
	// Inside are the ports by which the node itself reaches what is behind routers, in order of these: of each router by
	// which it has to probe members, or is asked at HealthPorts.
	Inside []Inside `json:"inside,omitempty"`
	// HealthPorts are those at which the node tells of Services' endpoints, in order of these. Services has
	// virtual servers for them.
	HealthPorts []HealthPort `json:"healthPorts,omitempty"`
	// RetryAt is when to compile again although nothing has changed, Unix time in ns: a quarantine ends that
	// somebody waits for. 0: never.
	RetryAt int64 `json:"retryAt,omitempty"`

	// NotImplemented are the objects that this version does not put into effect,
	// sorted (see NotImplemented); packets don't tell, so they are not in Digest.
	NotImplemented []Key `json:"-"`

	// Allocations are what this model chose by itself; given to the next
	// Compile, they stay as they are.
	Allocations Allocations `json:"allocations"`
}

// Node are the settings of the node.
type Node struct {
	Workers            int            `json:"workers"` // 1..256
	CPUs               []int          `json:"cpus"`    // one for each worker, in order; empty: not pinned
	DefaultAction      api.RuleAction `json:"defaultAction"`
	DefaultLogged      bool           `json:"defaultLogged"`
	GatewayMAC         api.MAC        `json:"gatewayMAC"`
	Timers             Timers         `json:"timers"`
	Limits             api.Limits     `json:"limits"` // every field set
	IPReallocationTime time.Duration  `json:"ipReallocationTime"`
}

// Timers are api.Timers as durations, all positive.
type Timers struct {
	TCPFirstPacket  time.Duration `json:"tcpFirstPacket"`
	TCPOpening      time.Duration `json:"tcpOpening"`
	TCPEstablished  time.Duration `json:"tcpEstablished"`
	TCPClosing      time.Duration `json:"tcpClosing"`
	TCPFinWait      time.Duration `json:"tcpFinwait"`
	TCPClosed       time.Duration `json:"tcpClosed"`
	UDPFirstPacket  time.Duration `json:"udpFirstPacket"`
	UDPSingle       time.Duration `json:"udpSingle"`
	UDPMultiple     time.Duration `json:"udpMultiple"`
	ICMPFirstPacket time.Duration `json:"icmpFirstPacket"`
	ICMPErrorReply  time.Duration `json:"icmpErrorReply"`
}

// Namespace is a Kubernetes namespace: one that is written, or that a Pod or
// Port is in.
type Namespace struct {
	Name string `json:"name"`
	// Labels always hold kubernetes.io/metadata.name, as in Kubernetes.
	Labels  map[string]string `json:"labels"`
	Segment int               `json:"segment"` // index in Segments; -1: nothing needed one
}

// Segment is an L2 domain.
type Segment struct {
	Name    string   `json:"name"`
	Zone    uint32   `json:"zone"`    // 1..1<<24-1, of no other segment or uplink; kept by Allocations
	VNI     uint32   `json:"vni"`     // 0: none
	VLAN    uint16   `json:"vlan"`    // 0: none
	MTU     int      `json:"mtu"`     // bytes of the IP packet
	Router  int      `json:"router"`  // index in Routers; -1: none
	Scope   uint32   `json:"scope"`   // the address space of its subnets: of all segments and uplinks of a router, or its own
	Subnets []Subnet `json:"subnets"` // as written, or as carved: v4 before v6

	DHCP                *DHCP                `json:"dhcp,omitempty"`                // nil: DHCPv4 clients are not answered
	RouterAdvertisement *RouterAdvertisement `json:"routerAdvertisement,omitempty"` // nil: none, and no DHCPv6

	MACLearning            MACLearning    `json:"macLearning"`
	UnknownUnicastFlooding bool           `json:"unknownUnicastFlooding"`
	NeighborSuppression    bool           `json:"neighborSuppression"`
	RateLimits             api.RateLimits `json:"rateLimits"` // packets per second, 0: no limit
	Security               Security       `json:"security"`
}

// Subnet is a network of a segment.
type Subnet struct {
	Prefix netip.Prefix `json:"prefix"` // masked
	// Gateway is in Prefix. It is the router's address if the segment has one;
	// else just an address that no pod is given.
	Gateway netip.Addr `json:"gateway"`
}

// MACLearning is api.MACLearning resolved.
type MACLearning struct {
	Enabled    bool          `json:"enabled"`
	Limit      int           `json:"limit"` // addresses on one port
	DropOver   bool          `json:"dropOver"`
	Aging      time.Duration `json:"aging"`
	MoveLimit  int           `json:"moveLimit"`
	MoveWindow time.Duration `json:"moveWindow"`
}

// Security is api.SegmentSecurity resolved.
type Security struct {
	BPDUFilter        bool      `json:"bpduFilter"`
	BPDUFilterAllow   []api.MAC `json:"bpduFilterAllow"`
	DHCPServerBlock   bool      `json:"dhcpServerBlock"`
	DHCPClientBlock   bool      `json:"dhcpClientBlock"`
	DHCPServerBlockV6 bool      `json:"dhcpServerBlockV6"`
	DHCPClientBlockV6 bool      `json:"dhcpClientBlockV6"`
	RAGuard           bool      `json:"raGuard"`
	NonIPTrafficBlock bool      `json:"nonIPTrafficBlock"`
}

// Port is an attachment. A Compiler's models share it by pointer: if a port of a model
// is that of the model before, nothing in it has changed, and its indices stand for
// segments and uplinks of the same names and zones. What the model says of these
// may have changed.
type Port struct {
	Number    uint16            `json:"number"` // 1..65535, of no other port; kept by Allocations
	Name      string            `json:"name"`   // NAMESPACE/NAME, or NAME without a namespace
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
	Pod       bool              `json:"pod"` // made of a Pod, not of a Port

	// Segment is the index of the port's own segment: that of Addresses and of
	// untagged frames if there may be any. -1 for an uplink, and for a port that
	// has none: a trunk without untagged frames, a mirror's target.
	Segment int `json:"segment"`
	// Uplink is the index in Uplinks of router Router if the port is an uplink;
	// both are -1 if it is not.
	Router int `json:"router"`
	Uplink int `json:"uplink"`

	// Attachments map tags to segments, sorted by tags: (0, 0), untagged, comes
	// first. A frame toward a segment leaves with the tags of its first
	// attachment. Empty for an uplink.
	Attachments []Attachment `json:"attachments"`
	// Memberships are the segments that the port is attached to, in the order of
	// their first attachments. Empty for an uplink.
	Memberships []Membership `json:"memberships"`
	// OuterEtherType is that of the outer tag where there are two: 0x88a8 or
	// 0x8100. 0 where no attachment has two.
	OuterEtherType uint16 `json:"outerEtherType"`

	Addresses []Address `json:"addresses"` // as written; pods: v4 before v6
	Guard     bool      `json:"guard"`
	Device    Device    `json:"device"`
	MTU       int       `json:"mtu"` // bytes of the IP packet

	// What of the own segment's settings holds at this port; of a port without
	// one, of the defaults. A trunk's other segments have theirs in Memberships.
	MACLearning            MACLearning    `json:"macLearning"`
	UnknownUnicastFlooding bool           `json:"unknownUnicastFlooding"`
	RateLimits             api.RateLimits `json:"rateLimits"`
	Security               Security       `json:"security"`
}

// Attachment maps the tags of frames on a port to a segment.
type Attachment struct {
	Outer   uint16 `json:"outer"`   // the only tag, or the outer of two; 0: untagged
	Inner   uint16 `json:"inner"`   // 0: not two tags
	Segment int    `json:"segment"` // index in Segments
}

// Membership is what of a segment's settings holds for its frames at a port: the
// port's own where it has some, else the segment's.
type Membership struct {
	Segment                int         `json:"segment"` // index in Segments
	MACLearning            MACLearning `json:"macLearning"`
	UnknownUnicastFlooding bool        `json:"unknownUnicastFlooding"`
	Security               Security    `json:"security"`
}

// Address is bound to a port.
type Address struct {
	IP  netip.Addr `json:"ip"` // the zero Addr: bound at L2 only
	MAC api.MAC    `json:"mac"`
}

// Device is what a port is attached to.
type Device struct {
	Type          api.DeviceType `json:"type"` // empty: no device was given
	Name          string         `json:"name"`
	NetNS         string         `json:"netns"` // empty: the daemon's
	Queues        int            `json:"queues"`
	Offload       bool           `json:"offload"` // leave checksums and segmentation to the device where it can
	AllowFallback bool           `json:"allowFallback"`
	Persistent    bool           `json:"persistent"` // a TAP that is made outlives the port
}

// Router is a gateway of segments.
type Router struct {
	Name      string      `json:"name"`
	Connected []Connected `json:"connected"` // sorted by prefix; the uplinks' networks are in Uplinks
	Uplinks   []Uplink    `json:"uplinks"`   // as written, most preferred first
	// Routes are the static ones and a default route for each uplink's gateway,
	// sorted by prefix, of equal prefixes the preferred first: as written, then
	// gateways in order of the uplinks.
	Routes []Route `json:"routes"`
}

// Connected is a network of one of the router's segments.
type Connected struct {
	Prefix  netip.Prefix `json:"prefix"`
	Gateway netip.Addr   `json:"gateway"` // the router's own address there
	Segment int          `json:"segment"` // index in Segments
}

// Uplink is an interface of a router to the physical network.
type Uplink struct {
	Port      int            `json:"port"`      // index in Ports
	Zone      uint32         `json:"zone"`      // as a segment's
	Scope     uint32         `json:"scope"`     // as a segment's
	MAC       api.MAC        `json:"mac"`       // the router's own there
	Addresses []netip.Prefix `json:"addresses"` // the router's own, with the network's length
	Gateways  []netip.Addr   `json:"gateways"`  // at most one of each family; Routes has them

	// Inside: behind it is the node itself, and no way out; Router.Uplinks has it last. See Model.Inside.
	Inside bool `json:"inside,omitempty"`
}

// Route is a static or default route.
type Route struct {
	Prefix    netip.Prefix `json:"prefix"`
	Via       netip.Addr   `json:"via"` // the zero Addr for a blackhole
	Blackhole bool         `json:"blackhole"`
	// Where Via is: one of them is an index (in Segments, in the router's
	// Uplinks), the other -1; both for a blackhole.
	Segment int `json:"segment"`
	Uplink  int `json:"uplink"`
}

// Pool is a stock of addresses for virtual servers or SNAT.
type Pool struct {
	Name           string        `json:"name"`
	Usage          api.PoolUsage `json:"usage"`  // vips, clusterips or snat
	Ranges         []ipam.Range  `json:"ranges"` // sorted, without the gateway
	Gateway        netip.Addr    `json:"gateway"`
	DNSNameservers []netip.Addr  `json:"dnsNameservers"`
	DNSSuffix      string        `json:"dnsSuffix"`
}

// Block is an IPPool that subnets are carved from for segments without any.
type Block struct {
	Name string       `json:"name"` // "default" where none is written
	CIDR netip.Prefix `json:"cidr"`
	Bits int          `json:"bits"` // length of each subnet's prefix
}

// Allocations are the choices that Compile made, so that the next one makes
// the same: a port's number and a segment's zone are in live sessions, an
// address is in use.
type Allocations struct {
	Zones     map[string]uint32         `json:"zones,omitempty"`     // by "segment/NAME" and "uplink/PORT"
	LastZone  uint32                    `json:"lastZone,omitempty"`  // the one given last; see numbering
	Routers   map[string]uint32         `json:"routers,omitempty"`   // of address spaces, by name; see numberRouters
	Numbers   map[string]uint16         `json:"numbers,omitempty"`   // by name of the port
	Subnets   map[string][]netip.Prefix `json:"subnets,omitempty"`   // carved, by name of the segment
	Addresses map[string][]netip.Addr   `json:"addresses,omitempty"` // of pods, by name of the port
	// Rules are the numbers of firewall rules, by ruleset.RuleKey.
	Rules    map[string]ruleset.RuleIDs `json:"rules,omitempty"`
	LastRule uint32                     `json:"lastRule,omitempty"` // the one given last
	// Freed are in quarantine, sorted by address and port.
	Freed []Freed `json:"freed,omitempty"`
	// VIPs are what services have: addresses and node ports; nil: nothing. Those that follow each other are the same
	// pointer where nothing has changed.
	VIPs *vips.Allocations `json:"vips,omitempty"`
	// ServiceIDs are the numbers of virtual servers, pools, members and NAT rules, by KIND/NAMESPACE/NAME of what they are
	// made of.
	ServiceIDs    map[string]services.IDs `json:"serviceIDs,omitempty"`
	LastServiceID uint32                  `json:"lastServiceID,omitempty"` // the one given last
}

// Freed is an address that was a pod's.
type Freed struct {
	Address netip.Addr `json:"address"`
	Port    string     `json:"port"` // who had it, and may have it again at once
	At      int64      `json:"at"`   // Unix time, ns
}
