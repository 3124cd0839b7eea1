package api

// NodeConfig holds the settings of the node itself. There is at most one;
// without it every field has its default.
type NodeConfig struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       NodeConfigSpec `json:"spec,omitzero"`
}

// NodeConfigSpec is the desired state of the node.
type NodeConfigSpec struct {
	// Workers is the number of poll loops, each on a thread of its own.
	// 1..256, default 1.
	Workers int `json:"workers,omitempty" min:"1" max:"256" default:"1"`

	// CPUs pins the workers, in order, to the CPUs of this list ("2", "0-3",
	// "1,3,5-7"), at least as many as workers. Default empty: not pinned.
	CPUs string `json:"cpus,omitempty"`

	// DefaultRule is what happens to a packet that no firewall rule matches.
	DefaultRule DefaultRule `json:"defaultRule,omitzero"`

	// Firewall says what policies are not applied to, and where those of Kubernetes stand.
	Firewall FirewallConfig `json:"firewall,omitzero"`

	// Topology says where the node is: who is near, for Services that prefer it.
	Topology Topology `json:"topology,omitzero"`

	// LoadBalancer holds settings of Services, virtual servers and pools.
	LoadBalancer LoadBalancerConfig `json:"loadBalancer,omitzero"`

	// GatewayMAC is the MAC address of every segment's gateway. Default
	// 02:50:56:56:44:52, NSX's for all its distributed routers.
	GatewayMAC MAC `json:"gatewayMAC,omitzero" default:"02:50:56:56:44:52"`

	// Timers are the idle times after which sessions end.
	Timers Timers `json:"timers,omitzero"`

	// Limits bound the memory and the work that traffic can cause.
	Limits Limits `json:"limits,omitzero"`

	// IPReallocationTime is how long a freed pod address is kept from being
	// given to another pod, so that peers' caches and sessions forget it
	// (NCP's ip_reallocation_time). Seconds, 0..86400, default 120; 0 is none.
	IPReallocationTime *int `json:"ipReallocationTime,omitempty" min:"0" max:"86400" default:"120"`
}

// Topology is where a node is.
type Topology struct {
	// NodeName is the name that this node has in nodeName of Pods and EndpointSlices, and in hints for nodes. What
	// names no node is this one's if one of its ports has the address. Default: the host's name.
	NodeName string `json:"nodeName,omitempty"`

	// Zone is the zone that the node is in, as EndpointSlices name it. Default none: nothing is preferred for its zone.
	Zone string `json:"zone,omitempty"`
}

// LoadBalancerConfig holds settings of Services, virtual servers and pools.
type LoadBalancerConfig struct {
	// DefaultAlgorithm is that of Services, and of Pools that name none. Default ROUND_ROBIN.
	DefaultAlgorithm PoolAlgorithm `json:"defaultAlgorithm,omitempty" default:"ROUND_ROBIN"`

	// NodePortRange is what node ports are allocated from, and written ones have to be in: two ports and a hyphen
	// between them, within 1 to 65535. Default "30000-32767".
	NodePortRange string `json:"nodePortRange,omitempty" default:"30000-32767"`

	// LoadBalancerClass is the spec.loadBalancerClass of Services of type LoadBalancer that are this node's to serve, besides
	// those that have none. Default "sluice.dev/lb".
	LoadBalancerClass string `json:"loadBalancerClass,omitempty" default:"sluice.dev/lb"`
}

// DefaultRule is the firewall's last rule.
type DefaultRule struct {
	// Action is ALLOW (default), DROP or REJECT.
	Action RuleAction `json:"action,omitempty" default:"ALLOW"`

	// Logged writes a line for each session or packet that the rule decided.
	// Default false.
	Logged bool `json:"logged,omitempty"`
}

// FirewallConfig holds the firewall's settings.
type FirewallConfig struct {
	// Exclude are Groups, "NAME" or "NAMESPACE/NAME", whose ports are never filtered, neither what
	// they send nor what they receive: NSX's exclusion list. Default none.
	Exclude []string `json:"exclude,omitempty" max:"1024"`

	// Kubernetes is where sections made of Kubernetes' policies stand.
	Kubernetes KubernetesSections `json:"kubernetes,omitzero"`
}

// KubernetesSections are two sequence numbers of category Application. What NetworkPolicies and the tier
// Baseline say lies between them; SecurityPolicies stand before or after.
type KubernetesSections struct {
	// TopSequence is where they begin. 1..2147480000, default 1000000.
	TopSequence int `json:"topSequence,omitempty" min:"1" max:"2147480000" default:"1000000"`

	// BottomSequence is where they end, at least 2000 more than topSequence.
	// 1..2147483647, default 2000000.
	BottomSequence int `json:"bottomSequence,omitempty" min:"1" max:"2147483647" default:"2000000"`
}

// RuleAction is what a rule does with the first packet of a session.
type RuleAction string

// The rule actions.
const (
	ActionAllow  RuleAction = "ALLOW"
	ActionDrop   RuleAction = "DROP"   // silently
	ActionReject RuleAction = "REJECT" // with a TCP reset or ICMP unreachable
)

// Values lists the allowed values.
func (RuleAction) Values() []string {
	return []string{string(ActionAllow), string(ActionDrop), string(ActionReject)}
}

// Timers are NSX's eleven session timers, with its defaults. All in seconds,
// 1..4320000; a session ends when it has seen no packet for the time of its
// state.
type Timers struct {
	// TCPFirstPacket: after the first packet. Default 120.
	TCPFirstPacket int `json:"tcpFirstPacket,omitempty" min:"1" max:"4320000" default:"120"`
	// TCPOpening: after the second packet, until the handshake is complete.
	// Default 30.
	TCPOpening int `json:"tcpOpening,omitempty" min:"1" max:"4320000" default:"30"`
	// TCPEstablished: once the connection is established. Default 43200.
	TCPEstablished int `json:"tcpEstablished,omitempty" min:"1" max:"4320000" default:"43200"`
	// TCPClosing: after the first FIN. Default 120.
	TCPClosing int `json:"tcpClosing,omitempty" min:"1" max:"4320000" default:"120"`
	// TCPFinWait: after both FINs. Default 45.
	TCPFinWait int `json:"tcpFinwait,omitempty" min:"1" max:"4320000" default:"45"`
	// TCPClosed: after a RST, and once both FINs are acknowledged. Default 20.
	TCPClosed int `json:"tcpClosed,omitempty" min:"1" max:"4320000" default:"20"`
	// UDPFirstPacket: after the first packet. Default 60.
	UDPFirstPacket int `json:"udpFirstPacket,omitempty" min:"1" max:"4320000" default:"60"`
	// UDPSingle: the source has sent several packets, the destination none.
	// Default 30.
	UDPSingle int `json:"udpSingle,omitempty" min:"1" max:"4320000" default:"30"`
	// UDPMultiple: both have sent. Default 60.
	UDPMultiple int `json:"udpMultiple,omitempty" min:"1" max:"4320000" default:"60"`
	// ICMPFirstPacket: after the first packet. Default 20.
	ICMPFirstPacket int `json:"icmpFirstPacket,omitempty" min:"1" max:"4320000" default:"20"`
	// ICMPErrorReply: after an ICMP error came back. Default 10.
	ICMPErrorReply int `json:"icmpErrorReply,omitempty" min:"1" max:"4320000" default:"10"`
}

// Limits bound what traffic can make the node hold or do.
type Limits struct {
	// Sessions is the most sessions at a time; their memory, about 360 bytes
	// each, is taken at the start. 1024..67108864, default 262144.
	Sessions int `json:"sessions,omitempty" min:"1024" max:"67108864" default:"262144"`

	// SessionsPerSource is the most sessions of one source address. 0..Sessions,
	// default 0: no limit.
	SessionsPerSource int `json:"sessionsPerSource,omitempty" min:"0" max:"67108864"`

	// MACTable is the most learned MAC addresses of all segments together.
	// 16..1048576, default 16384.
	MACTable int `json:"macTable,omitempty" min:"16" max:"1048576" default:"16384"`

	// Neighbors is the most entries of the ARP and ND tables of all routers
	// together. 16..1048576, default 16384.
	Neighbors int `json:"neighbors,omitempty" min:"16" max:"1048576" default:"16384"`

	// Fragments is the most datagrams of which fragments are being tracked.
	// 16..1048576, default 4096.
	Fragments int `json:"fragments,omitempty" min:"16" max:"1048576" default:"4096"`

	// ICMPErrorsPerSecond is the most ICMP errors and TCP resets that the node
	// makes itself, of all ports together. Per second, 1..1000000, default 1000.
	ICMPErrorsPerSecond int `json:"icmpErrorsPerSecond,omitempty" min:"1" max:"1000000" default:"1000"`
}
