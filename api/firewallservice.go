package api

// FirewallService is a service that firewall rules name: ports, ICMP types, protocols. It is what NSX calls
// Service, a word that is Kubernetes' here.
type FirewallService struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       FirewallServiceSpec `json:"spec,omitzero"`
}

// FirewallServiceSpec is what belongs to a service.
type FirewallServiceSpec struct {
	// ServiceEntries are alternatives: a packet that fits one of them fits the service. At least one.
	ServiceEntries []ServiceEntry `json:"serviceEntries" required:"true" max:"1024"`
}

// ServiceEntry is one of: ports of a transport protocol (l4Protocol), ICMP messages (protocol), an IP protocol
// (protocolNumber), a type of frames (etherType), or all that another service has (nestedService).
type ServiceEntry struct {
	// Name is for people. Default none.
	Name string `json:"name,omitempty"`

	// L4Protocol is TCP, UDP or SCTP.
	L4Protocol L4Protocol `json:"l4Protocol,omitempty"`

	// DestinationPorts are ports and ranges, "80" and "8000-8010"; with l4Protocol. Default: all.
	DestinationPorts []string `json:"destinationPorts,omitempty" max:"1024"`

	// SourcePorts are likewise, of the one who begins. Default: all.
	SourcePorts []string `json:"sourcePorts,omitempty" max:"1024"`

	// Protocol is ICMPv4 or ICMPv6.
	Protocol ICMPProtocol `json:"protocol,omitempty"`

	// ICMPType is the message's type; with protocol. 0..255, default: all.
	ICMPType *int `json:"icmpType,omitempty" min:"0" max:"255"`

	// ICMPCode is the message's code; with icmpType. 0..255, default: all.
	ICMPCode *int `json:"icmpCode,omitempty" min:"0" max:"255"`

	// ProtocolNumber is an IP protocol: 47 is GRE. 0..255.
	ProtocolNumber *int `json:"protocolNumber,omitempty" min:"0" max:"255"`

	// EtherType is of frames, in rules of category Ethernet only: 0x0806 is ARP. 1536..65535.
	EtherType int `json:"etherType,omitempty" min:"1536" max:"65535"`

	// NestedService is another FirewallService: "NAME", of the own namespace or else without one, or
	// "NAMESPACE/NAME".
	NestedService string `json:"nestedService,omitempty"`
}

// L4Protocol is a transport protocol with ports.
type L4Protocol string

// The transport protocols.
const (
	L4TCP  L4Protocol = "TCP"
	L4UDP  L4Protocol = "UDP"
	L4SCTP L4Protocol = "SCTP"
)

// Values lists the allowed values.
func (L4Protocol) Values() []string { return []string{string(L4TCP), string(L4UDP), string(L4SCTP)} }

// ICMPProtocol is a version of ICMP.
type ICMPProtocol string

// The versions of ICMP.
const (
	ICMPv4 ICMPProtocol = "ICMPv4"
	ICMPv6 ICMPProtocol = "ICMPv6"
)

// Values lists the allowed values.
func (ICMPProtocol) Values() []string { return []string{string(ICMPv4), string(ICMPv6)} }
