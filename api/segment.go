package api

import "net/netip"

// Segment is a logical switch: an L2 domain with its subnets. A Kubernetes
// Namespace without a Segment of its name gets one, with a subnet carved from
// the IPPool for segments.
type Segment struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       SegmentSpec `json:"spec,omitzero"`
}

// RouterNone as a segment's router means that it has none.
const RouterNone = "none"

// DefaultRouter is the router of segments that name none; it exists without
// being written.
const DefaultRouter = "default"

// DefaultMTU is a segment's MTU where none is given, bytes.
const DefaultMTU = 1500

// SegmentSpec is the desired state of a segment.
type SegmentSpec struct {
	// Subnets are the segment's networks, v4 or v6, that do not overlap.
	// Default none: the segment is plain L2 and addresses are not checked.
	Subnets []Subnet `json:"subnets,omitempty" max:"64"`

	// Router is the name of the Router that the segment is attached to, or
	// "none". Default "default".
	Router string `json:"router,omitempty" default:"default"`

	// VNI is the overlay's virtual network identifier, used once. 0..16777215,
	// default 0: the segment does not leave the node by tunnel.
	VNI int `json:"vni,omitempty" min:"0" max:"16777215"`

	// VLAN is the 802.1Q identifier that stands for the segment on trunks.
	// 0..4094, default 0: none.
	VLAN int `json:"vlan,omitempty" min:"0" max:"4094"`

	// MTU is the largest IP packet, bytes. 576..65535, at least 1280 with a
	// v6 subnet (RFC 8200 section 5); default 1500.
	MTU int `json:"mtu,omitempty" min:"576" max:"65535" default:"1500"`

	// MACLearning says which addresses are learned from frames.
	MACLearning MACLearning `json:"macLearning,omitzero"`

	// UnknownUnicastFlooding sends frames for an unknown MAC address to all
	// ports; false drops them. Default true.
	UnknownUnicastFlooding *bool `json:"unknownUnicastFlooding,omitempty" default:"true"`

	// NeighborSuppression answers ARP and ND requests for known ports here
	// instead of flooding them. Default true.
	NeighborSuppression *bool `json:"neighborSuppression,omitempty" default:"true"`

	// DHCP hands the ports' addresses out to DHCP clients.
	DHCP SegmentDHCP `json:"dhcp,omitzero"`

	// RouterAdvertisement tells IPv6 hosts how to get theirs.
	RouterAdvertisement RouterAdvertisement `json:"routerAdvertisement,omitzero"`

	// RateLimits bound floods, for each port of the segment by itself.
	RateLimits RateLimits `json:"rateLimits,omitzero"`

	// Security filters frames that workloads have no business sending.
	Security SegmentSecurity `json:"security,omitzero"`
}

// Subnet is a network of a segment.
type Subnet struct {
	// CIDR is the network, without host bits; at most 31 bits long (v4) or 127
	// (v6), for it has to hold the gateway and a port.
	CIDR netip.Prefix `json:"cidr" required:"true" form:"network"`

	// Gateway is the router's address in the subnet. Default: the first host.
	// Addresses are never allocated to a pod from here, router or not.
	Gateway netip.Addr `json:"gateway,omitzero"`
}

// MACLearning are the settings of NSX's MAC discovery profile, and aging and
// move detection.
type MACLearning struct {
	// Enabled learns source addresses that are bound to no port. Default true.
	Enabled *bool `json:"enabled,omitempty" default:"true"`

	// Limit is the most addresses learned on one port. 1..65536, default 4096.
	Limit int `json:"limit,omitempty" min:"1" max:"65536" default:"4096"`

	// LimitPolicy says what happens to frames from addresses above the limit:
	// ALLOW forwards them without learning (default), DROP drops them.
	LimitPolicy LimitPolicy `json:"limitPolicy,omitempty" default:"ALLOW"`

	// AgingSeconds is how long a learned address that sends nothing is kept.
	// Seconds, 1..1000000 (IEEE 802.1Q section 8.8.3), default 300.
	AgingSeconds int `json:"agingSeconds,omitempty" min:"1" max:"1000000" default:"300"`

	// MoveLimit is how often an address may move between ports within
	// MoveWindowSeconds before it is held where it is: a loop or a spoof.
	// 1..1000, default 5 (RFC 7432 section 15.1).
	MoveLimit int `json:"moveLimit,omitempty" min:"1" max:"1000" default:"5"`

	// MoveWindowSeconds is the time in which moves are counted. Seconds,
	// 1..86400, default 180 (RFC 7432 section 15.1).
	MoveWindowSeconds int `json:"moveWindowSeconds,omitempty" min:"1" max:"86400" default:"180"`
}

// LimitPolicy says what happens above a limit.
type LimitPolicy string

// The limit policies.
const (
	LimitAllow LimitPolicy = "ALLOW"
	LimitDrop  LimitPolicy = "DROP"
)

// Values lists the allowed values.
func (LimitPolicy) Values() []string { return []string{string(LimitAllow), string(LimitDrop)} }

// RateLimits bound floods, in packets per second, 0..1000000000; 0, the
// default, is no limit. As in NSX's segment security profile, rx is what the
// switch receives from the port, tx what it sends to the port.
type RateLimits struct {
	// RxBroadcast bounds broadcast frames from the port.
	RxBroadcast int `json:"rxBroadcast,omitempty" min:"0" max:"1000000000"`
	// RxMulticast bounds multicast frames from the port.
	RxMulticast int `json:"rxMulticast,omitempty" min:"0" max:"1000000000"`
	// RxUnknownUnicast bounds frames from the port whose destination is unknown.
	RxUnknownUnicast int `json:"rxUnknownUnicast,omitempty" min:"0" max:"1000000000"`
	// TxBroadcast bounds broadcast frames to the port.
	TxBroadcast int `json:"txBroadcast,omitempty" min:"0" max:"1000000000"`
	// TxMulticast bounds multicast frames to the port.
	TxMulticast int `json:"txMulticast,omitempty" min:"0" max:"1000000000"`
}

// SegmentSecurity are the filters of NSX's segment security profile, applied
// to what ports send, uplinks too. They look at each frame by itself: no session lets one
// pass. All but the BPDU filter are off by default.
type SegmentSecurity struct {
	// BPDUFilter drops link-local control frames (01:80:c2:00:00:00..0f), which
	// a bridge must not forward (IEEE 802.1Q section 8.6.3). Default true. With
	// false they are flooded like other multicast, and the segment is no bridge to
	// those who speak by them but a wire: spanning tree, LACP and LLDP see each
	// other through it. Where there are more than two of them, that breaks LACP
	// and LLDP; and spanning tree outside may block a port since it sees a loop.
	// PAUSE and other MAC control frames (EtherType 0x8808) stay on their link:
	// forwarded, one workload would stop the others' devices.
	BPDUFilter *bool `json:"bpduFilter,omitempty" default:"true"`
	// BPDUFilterAllow are destination addresses let through all the same, at
	// most 32. A group address outside of the block, such as 01:00:0c:cc:cc:cd,
	// is one of BPDUs to NonIPTrafficBlock then. Default none.
	BPDUFilterAllow []MAC `json:"bpduFilterAllow,omitempty" max:"32"`
	// DHCPServerBlock drops what goes to DHCP clients (UDP port 68). Whoever
	// answers a client may choose the source port, so that does not matter. A
	// server's words with a relay agent pass. Default false.
	DHCPServerBlock *bool `json:"dhcpServerBlock,omitempty" default:"false"`
	// DHCPClientBlock drops what goes to DHCP servers (UDP port 67), from
	// whatever port; also by a relay agent, to one, and to the segment's own
	// server. Default false.
	DHCPClientBlock *bool `json:"dhcpClientBlock,omitempty" default:"false"`
	// DHCPServerBlockV6 drops what goes to DHCPv6 clients (UDP port 546, RFC
	// 8415 section 7.2). Default false.
	DHCPServerBlockV6 *bool `json:"dhcpServerBlockV6,omitempty" default:"false"`
	// DHCPClientBlockV6 drops what goes to DHCPv6 servers and relay agents (UDP
	// port 547), also to the segment's own. Default false.
	DHCPClientBlockV6 *bool `json:"dhcpClientBlockV6,omitempty" default:"false"`
	// RAGuard drops IPv6 router advertisements (RFC 6105), behind extension
	// headers too (RFC 7113). A first fragment that is one is dropped, so that
	// its datagram can't be put together; later fragments pass, in vain. A first
	// fragment that does not hold all headers is dropped with and without the
	// guard (RFC 7112). Packets with an unassigned protocol number are dropped, since it
	// may be that of a header with an advertisement behind it; ESP passes. Default false.
	RAGuard *bool `json:"raGuard,omitempty" default:"false"`
	// NonIPTrafficBlock drops all but IPv4, IPv6, ARP and BPDUs, that is link-local
	// control frames, for which BPDUFilter and BPDUFilterAllow decide. Default false.
	//
	// IP in an LLC header with SNAP (RFC 1042) is not IP to a switch, but may be to a
	// wireless bridge behind it: it is dropped here and by each of the filters for
	// DHCP and RA.
	NonIPTrafficBlock *bool `json:"nonIPTrafficBlock,omitempty" default:"false"`
}
