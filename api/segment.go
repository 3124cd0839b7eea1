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
// to what ports send. All but the BPDU filter are off by default.
type SegmentSecurity struct {
	// BPDUFilter drops link-local control frames (01:80:c2:00:00:00..0f), which
	// a bridge must not forward (IEEE 802.1Q section 8.6.3). Default true.
	BPDUFilter *bool `json:"bpduFilter,omitempty" default:"true"`
	// BPDUFilterAllow are destination addresses let through all the same, at
	// most 32. Default none.
	BPDUFilterAllow []MAC `json:"bpduFilterAllow,omitempty" max:"32"`
	// DHCPServerBlock drops what a DHCP server sends (UDP 67 to 68). Default false.
	DHCPServerBlock *bool `json:"dhcpServerBlock,omitempty" default:"false"`
	// DHCPClientBlock drops what a DHCP client sends (UDP 68 to 67). Default false.
	DHCPClientBlock *bool `json:"dhcpClientBlock,omitempty" default:"false"`
	// DHCPServerBlockV6 drops what a DHCPv6 server sends (UDP 547 to 546). Default false.
	DHCPServerBlockV6 *bool `json:"dhcpServerBlockV6,omitempty" default:"false"`
	// DHCPClientBlockV6 drops what a DHCPv6 client sends (UDP 546 to 547). Default false.
	DHCPClientBlockV6 *bool `json:"dhcpClientBlockV6,omitempty" default:"false"`
	// RAGuard drops IPv6 router advertisements (RFC 6105). Default false.
	RAGuard *bool `json:"raGuard,omitempty" default:"false"`
	// NonIPTrafficBlock drops all but IPv4, IPv6, ARP and BPDUs. Default false.
	NonIPTrafficBlock *bool `json:"nonIPTrafficBlock,omitempty" default:"false"`
}
