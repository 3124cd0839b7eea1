package api

import "net/netip"

// What a running node shows of itself: the items of its API. The field names
// are its wire format. Counts are since the start, or since the port has its
// number; times are seconds; names are those of the objects that users wrote.

// PortState says whether frames can pass a port.
type PortState string

// The states of a port.
const (
	PortUp     PortState = "UP"
	PortDown   PortState = "DOWN"   // there is a device, and its link is down
	PortAbsent PortState = "ABSENT" // there is no device, or one that is of no use (any more)
)

// Values lists the states.
func (PortState) Values() []string {
	return []string{string(PortUp), string(PortDown), string(PortAbsent)}
}

// PortView is a port as it is.
type PortView struct {
	Name      string        `json:"name"`
	Number    uint16        `json:"number"`
	Pod       bool          `json:"pod,omitempty"`      // made of a Pod
	Segment   string        `json:"segment,omitempty"`  // of untagged frames; empty for an uplink and for some trunks
	Segments  []string      `json:"segments,omitempty"` // all of a trunk's
	Router    string        `json:"router,omitempty"`   // whose uplink it is
	Addresses []PortAddress `json:"addresses,omitempty"`
	Guard     bool          `json:"guard"`
	MTU       int           `json:"mtu"` // configured: bytes of the IP packet
	Device    DeviceView    `json:"device,omitzero"`

	State   PortState `json:"state"`
	Reason  string    `json:"reason,omitempty"`  // one word, if the state is not UP
	Message string    `json:"message,omitempty"` // what is wrong, and what helps

	Firewall *PortFirewall `json:"firewall,omitempty"`

	Rx      Traffic           `json:"rx"` // frames that came in by the port
	Tx      Traffic           `json:"tx"` // frames sent out of it
	Dropped uint64            `json:"dropped"`
	Drops   map[string]uint64 `json:"drops,omitempty"` // of what came in here, by reason
}

// DeviceView is what a port is attached to.
type DeviceView struct {
	Type   DeviceType `json:"type,omitempty"`
	Name   string     `json:"name,omitempty"`
	NetNS  string     `json:"netns,omitempty"` // empty: the daemon's
	Mode   string     `json:"mode,omitempty"`  // what was obtained, in the driver's words
	Queues int        `json:"queues,omitempty"`
	MTU    int        `json:"mtu,omitempty"` // the device's own, bytes; 0 is no limit
	Up     bool       `json:"up"`
	Error  string     `json:"error,omitempty"` // why it is of no use (any more)

	// KernelDrops are frames that the kernel lost before the switch saw them.
	KernelDrops uint64 `json:"kernelDrops"`
	// Counters are the driver's own, by its names.
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// Traffic is a count of frames; bytes are those of whole frames, without FCS.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// SegmentView is a segment as it is.
type SegmentView struct {
	Name    string       `json:"name"`
	Zone    uint32       `json:"zone"`
	VNI     uint32       `json:"vni,omitempty"`
	VLAN    uint16       `json:"vlan,omitempty"`
	MTU     int          `json:"mtu"`
	Router  string       `json:"router,omitempty"` // empty: not routed
	Subnets []SubnetView `json:"subnets,omitempty"`
	Ports   []string     `json:"ports,omitempty"`

	// DHCP names what the segment tells its hosts by: dhcpv4; ra: and the mode of its
	// router advertisements, some of which mean DHCPv6.
	DHCP []string `json:"dhcp,omitempty"`
}

// SubnetView is a network of a segment.
type SubnetView struct {
	CIDR    netip.Prefix `json:"cidr"`
	Gateway netip.Addr   `json:"gateway"`
}

// RouteType says where a route is from.
type RouteType string

// The types of routes.
const (
	RouteConnected RouteType = "connected" // a subnet of a segment
	RouteUplink    RouteType = "uplink"    // the network that an uplink is on
	RouteStatic    RouteType = "static"    // of the Router
	RouteDefault   RouteType = "default"   // by an uplink's gateway
	RouteBlackhole RouteType = "blackhole" // of the Router; packets are dropped
)

// Values lists the types.
func (RouteType) Values() []string {
	return []string{
		string(RouteConnected), string(RouteUplink), string(RouteStatic), string(RouteDefault), string(RouteBlackhole),
	}
}

// RouteView is a route of a router.
type RouteView struct {
	Router string       `json:"router"`
	Prefix netip.Prefix `json:"prefix"`
	Type   RouteType    `json:"type"`
	Via    netip.Addr   `json:"via,omitzero"`  // the next hop; absent where hosts are reached directly
	Out    string       `json:"out,omitempty"` // the segment, or the uplink's port
	// Active is false for a route that another one to the same prefix goes before.
	Active bool `json:"active"`
}

// MACType says how a MAC address is known.
type MACType string

// The types of MAC addresses.
const (
	MACBound   MACType = "bound"   // by configuration
	MACLearned MACType = "learned" // from frames
)

// Values lists the types.
func (MACType) Values() []string { return []string{string(MACBound), string(MACLearned)} }

// MACView is a MAC address of a segment and where it is.
type MACView struct {
	Segment string  `json:"segment"`
	MAC     MAC     `json:"mac"`
	Port    string  `json:"port"`
	Type    MACType `json:"type"`
	Age     float64 `json:"ageSeconds"`      // since it was last heard; 0 if bound
	Held    bool    `json:"held,omitempty"`  // it moved too often, and stays where it is
	Moves   int     `json:"moves,omitempty"` // within the current window
}

// NeighborState is where a neighbour is in its life (RFC 4861 section 7.3.2,
// simplified).
type NeighborState string

// The states of neighbours.
const (
	NeighborBound      NeighborState = "BOUND" // by configuration: it is not asked for
	NeighborIncomplete NeighborState = "INCOMPLETE"
	NeighborKnown      NeighborState = "KNOWN"
	NeighborProbing    NeighborState = "PROBING"
	NeighborFailed     NeighborState = "FAILED"
)

// Values lists the states.
func (NeighborState) Values() []string {
	return []string{
		string(NeighborBound), string(NeighborIncomplete), string(NeighborKnown), string(NeighborProbing), string(NeighborFailed),
	}
}

// NeighborView is a host next to a router.
type NeighborView struct {
	Router string        `json:"router"`
	IP     netip.Addr    `json:"ip"`
	MAC    MAC           `json:"mac,omitzero"` // absent while nobody has answered
	State  NeighborState `json:"state"`
	Out    string        `json:"out"`            // the segment, or the uplink's port, that it is on
	Port   string        `json:"port,omitempty"` // the port behind which it is
	Age    float64       `json:"ageSeconds"`     // since it was last heard of; 0 if bound
	Queue  int           `json:"queue"`          // packets that wait for its address
}

// WorkerView is a poll loop.
type WorkerView struct {
	ID              int           `json:"id"`
	CPU             *int          `json:"cpu,omitempty"` // that it is pinned to; absent: none
	BusySeconds     float64       `json:"busySeconds"`   // in turns that received something
	BusyShare       float64       `json:"busyShare"`     // of the time since the start, 0 to 1
	Turns           uint64        `json:"turns"`         // of the poll loop, also empty ones
	Vectors         uint64        `json:"vectors"`
	Frames          uint64        `json:"frames"`
	FramesPerVector float64       `json:"framesPerVector"` // 0 to 64; the more, the cheaper each
	Sleeps          uint64        `json:"sleeps"`
	Queues          []WorkerQueue `json:"queues,omitempty"`
}

// WorkerQueue is a receive queue that a worker polls.
type WorkerQueue struct {
	Port  string `json:"port"`
	Queue int    `json:"queue"`
}

// DropView is a count of dropped frames.
type DropView struct {
	Reason    string `json:"reason"`
	Component string `json:"component"` // part of the switch that drops for it
	Meaning   string `json:"meaning"`
	Port      string `json:"port"` // by which the frames came in
	Count     uint64 `json:"count"`
}

// UsagePorts is the usage of a PoolView that is a segment's subnets.
const UsagePorts PoolUsage = "ports"

// PoolView is a stock of addresses: an IPPool's, or a segment's subnets'; of usage
// segments, a stock of subnets, and numbers and allocations are of these. Numbers beyond
// 2^64-1 are shown as that.
type PoolView struct {
	Name        string           `json:"name"`  // of the IPPool, or of the segment
	Usage       PoolUsage        `json:"usage"` // segments, vips, clusterips, snat; ports: a segment's
	Ranges      []string         `json:"ranges"`
	Size        uint64           `json:"size"`        // addresses that a host may have
	Used        uint64           `json:"used"`        // of these, by ports, gateways and objects
	Quarantined uint64           `json:"quarantined"` // free, but were somebody's just now
	Free        uint64           `json:"free"`
	Allocations []AllocationView `json:"allocations,omitempty"` // in order of addresses
}

// AllocationView is an address of a pool that is not free.
type AllocationView struct {
	Address netip.Addr   `json:"address,omitzero"`
	Subnet  netip.Prefix `json:"subnet,omitzero"` // instead of an address
	Owner   string       `json:"owner"`           // the port, the segment, or the uplink; "gateway"; KIND NAMESPACE/NAME of an object
	// Quarantined: the owner is gone, and others don't get the address yet.
	Quarantined bool `json:"quarantined,omitempty"`
}
