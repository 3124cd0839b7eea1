package api

import "net/netip"

// Port is an attachment: of a workload to a segment, or of the physical
// network to a router (an uplink, which has no segment). A Kubernetes Pod has
// one without a Port being written.
type Port struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       PortSpec `json:"spec,omitzero"`
}

// PortSpec is the desired state of a port.
type PortSpec struct {
	// Segment is the name of the segment that untagged frames belong to.
	// Default: the segment of metadata.namespace; without a namespace none,
	// which an uplink needs and a trunk or a mirror's target may have.
	Segment string `json:"segment,omitempty"`

	// Addresses are bound to the port: the segment knows where they are, and
	// with guard nothing else may be sent from here. At most 256; default none.
	Addresses []PortAddress `json:"addresses,omitempty" max:"256"`

	// NamedPorts are what network policies of Kubernetes may call this
	// workload's ports, as a Pod's containers say. At most 256; default none.
	NamedPorts []NamedPort `json:"namedPorts,omitempty" max:"256"`

	// Device is what the port is attached to. Default: nothing, so that the
	// port is a pcap port in replay and down in the daemon.
	Device *Device `json:"device,omitempty"`

	// Guard drops frames whose source is not one of Addresses. Default: true
	// if addresses are given, else false: without a binding there is nothing
	// to hold the port to, and every frame would be dropped.
	Guard *bool `json:"guard,omitempty"`

	// VLAN says which tags frames carry. Default: none; tagged frames are
	// dropped.
	VLAN *PortVLAN `json:"vlan,omitempty"`

	// RateLimits bound floods, of all the port's segments together; each limit
	// given replaces that of the segment of untagged frames.
	RateLimits RateLimits `json:"rateLimits,omitzero"`

	// MACLearning replaces the segment's; what it does not give has the
	// default, not the segment's value. Default: the segment's.
	MACLearning *MACLearning `json:"macLearning,omitempty"`

	// UnknownUnicastFlooding false keeps floods of unknown unicast frames away
	// from this port, and drops those it sends. Default: the segment's.
	UnknownUnicastFlooding *bool `json:"unknownUnicastFlooding,omitempty"`

	// Security replaces the segment's filters, each that is given.
	Security SegmentSecurity `json:"security,omitzero" default:"-"`

	// MTU is the largest IP packet that the device takes, bytes. 576..65535,
	// default: the segment's, or 1500.
	MTU int `json:"mtu,omitempty" min:"576" max:"65535"`
}

// PortAddress is an address bound to a port: an IP address, a MAC, or both.
type PortAddress struct {
	// IP is a v4 or v6 address within the segment's subnets. May be absent if
	// MAC is given: then the port is bound at L2 only.
	IP netip.Addr `json:"ip,omitzero"`

	// MAC is unicast. Default: the first MAC given in the list, else 0a:58 and
	// the port's first v4 address, else 0a:58 and the last four bytes of its
	// first v6 address.
	MAC MAC `json:"mac,omitzero"`
}

// NamedPort is a name for a port number of a transport protocol.
type NamedPort struct {
	// Name is as in Kubernetes: lower-case letters, digits and -, at most 15.
	Name string `json:"name" required:"true"`

	// Protocol is TCP (default), UDP or SCTP.
	Protocol L4Protocol `json:"protocol,omitempty" default:"TCP"`

	// Port is the number. 1..65535.
	Port int `json:"port" required:"true" min:"1" max:"65535"`
}

// Device is the driver behind a port and the host's object that it opens.
type Device struct {
	// Type is mem, pcap, tap, afpacket or afxdp.
	Type DeviceType `json:"type" required:"true"`

	// Name is the interface, at most 15 bytes, needed for tap, afpacket and
	// afxdp; for pcap it is a file's path. Each is used by one port.
	Name string `json:"name,omitempty"`

	// NetNS is the network namespace that the interface is in: a name of `ip
	// netns` or a path. Default: the daemon's own.
	NetNS string `json:"netns,omitempty"`

	// Queues is the number of receive queues. 1..256, default 1.
	Queues int `json:"queues,omitempty" min:"1" max:"256" default:"1"`

	// Offload is auto (default): checksums and segmentation are left to the
	// device where it can; or none.
	Offload Offload `json:"offload,omitempty" default:"auto"`

	// AllowFallback lets a device that can't be opened as asked be opened in a
	// slower way: afxdp with generic XDP where the device's driver has no native
	// one, or as afpacket where the kernel has no AF_XDP. Default false: that is
	// an error, not a surprise. The mode obtained is in the port's status.
	AllowFallback bool `json:"allowFallback,omitempty"`

	// Persistent leaves a TAP that Sluice has made behind when the port is
	// closed, so that what uses it stays attached over a restart. Default
	// false: it goes with the port. TAPs that were there before always stay.
	Persistent bool `json:"persistent,omitempty"`
}

// DeviceType names a driver.
type DeviceType string

// The drivers.
const (
	DeviceMem      DeviceType = "mem"
	DevicePcap     DeviceType = "pcap"
	DeviceTAP      DeviceType = "tap"
	DeviceAFPacket DeviceType = "afpacket"
	DeviceAFXDP    DeviceType = "afxdp"
)

// Values lists the allowed values.
func (DeviceType) Values() []string {
	return []string{
		string(DeviceMem), string(DevicePcap), string(DeviceTAP), string(DeviceAFPacket), string(DeviceAFXDP),
	}
}

// Offload says what is left to a device.
type Offload string

// The offload settings.
const (
	OffloadAuto Offload = "auto"
	OffloadNone Offload = "none"
)

// Values lists the allowed values.
func (Offload) Values() []string { return []string{string(OffloadAuto), string(OffloadNone)} }

// PortVLAN maps tags to segments, in and out alike:
//
//	access  untagged frames, of the segment spec.segment or the one with VLAN access
//	trunk   tagged frames as trunks lists; untagged ones are of spec.segment or the segment with VLAN native
//	qinq    frames with two tags: outer, and inner or one of trunks
type PortVLAN struct {
	// Mode is access, trunk or qinq.
	Mode VLANMode `json:"mode" required:"true"`

	// Access is the VLAN of an access port; of use only where spec.segment is
	// not given, since it then finds the segment. 1..4094, default none.
	Access int `json:"access,omitempty" min:"1" max:"4094"`

	// Native is the VLAN of a trunk's untagged frames. 1..4094, default none:
	// untagged frames are of spec.segment, or dropped.
	Native int `json:"native,omitempty" min:"1" max:"4094"`

	// Trunks are the VLANs of a trunk, or the inner ones of a qinq port.
	// Default on a trunk: every segment with a VLAN, by its own.
	Trunks []TrunkVLAN `json:"trunks,omitempty" max:"4094"`

	// Outer is a qinq port's outer (service) tag. 1..4094, needed.
	Outer int `json:"outer,omitempty" min:"1" max:"4094"`

	// Inner is a qinq port's inner (customer) tag where there is one only; its
	// segment is spec.segment or the one with that VLAN. 1..4094, default none.
	Inner int `json:"inner,omitempty" min:"1" max:"4094"`

	// QinQEtherType is the EtherType of the outer tag: 802.1ad (0x88a8,
	// default) or 802.1q (0x8100).
	QinQEtherType TagProtocol `json:"qinqEtherType,omitempty" default:"802.1ad"`
}

// VLANMode is how a port uses tags.
type VLANMode string

// The VLAN modes.
const (
	VLANAccess VLANMode = "access"
	VLANTrunk  VLANMode = "trunk"
	VLANQinQ   VLANMode = "qinq"
)

// Values lists the allowed values.
func (VLANMode) Values() []string {
	return []string{string(VLANAccess), string(VLANTrunk), string(VLANQinQ)}
}

// TagProtocol names the EtherType of a tag.
type TagProtocol string

// The tag protocols.
const (
	TagService  TagProtocol = "802.1ad"
	TagCustomer TagProtocol = "802.1q"
)

// Values lists the allowed values.
func (TagProtocol) Values() []string { return []string{string(TagService), string(TagCustomer)} }

// TrunkVLAN is a VLAN, or a range of them, on a trunk.
type TrunkVLAN struct {
	// VLAN is the tag, or the first of a range. 1..4094.
	VLAN int `json:"vlan" required:"true" min:"1" max:"4094"`

	// EndVLAN is the last tag of a range, at least VLAN. Default: VLAN alone.
	// A range carries the segments whose VLAN lies in it; the rest is dropped.
	EndVLAN int `json:"endVlan,omitempty" min:"1" max:"4094"`

	// Segment is the name of the segment; not with EndVLAN. Default: the
	// segment with that VLAN.
	Segment string `json:"segment,omitempty"`
}
