package api

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Pool is servers that do the same: the members behind VirtualServers.
type Pool struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       PoolSpec `json:"spec,omitzero"`
}

// PoolSpec is who is in a pool and how connections are spread. Members are those that members lists and those that
// memberGroup selects; both may be given, and IPv4 and IPv6 may be mixed: connections go to members of the
// virtual server's family.
type PoolSpec struct {
	// Algorithm chooses a member for a connection. ROUND_ROBIN: in turn. WEIGHTED_ROUND_ROBIN: in turn, in proportion
	// to weights. LEAST_CONNECTION, WEIGHTED_LEAST_CONNECTION: who has the fewest, for its weight. IP_HASH: by
	// hash of the client's address. TUPLE_HASH: of addresses, protocol and ports. MAGLEV: likewise, and when members
	// come and go, next to no clients of others change theirs. Default: NodeConfig's
	// spec.loadBalancer.defaultAlgorithm.
	Algorithm PoolAlgorithm `json:"algorithm,omitempty"`

	// TableSize is the size of the table of IP_HASH, TUPLE_HASH and MAGLEV, a prime. A larger one spreads more
	// evenly: 100 times the members and more within 1 %. 3..5000011, default: the first prime that is at least 100 times the members.
	TableSize int `json:"tableSize,omitempty" min:"3" max:"5000011"`

	// Members are servers by address. At most 4096; default none.
	Members []PoolMember `json:"members,omitempty" max:"4096"`

	// MemberGroup is servers by labels or by a Group, as they come and go. Default none.
	MemberGroup *PoolMemberGroup `json:"memberGroup,omitempty"`

	// MinActiveMembers is how many members have to be up, so that backup members need not help. 1..4096, default 1.
	MinActiveMembers int `json:"minActiveMembers,omitempty" min:"1" max:"4096" default:"1"`

	// ActiveMonitors are Monitors that a member has to pass, all of them, to get connections. It gets none before it
	// passed for the first time. At most 8; default none: members are up.
	ActiveMonitors []string `json:"activeMonitors,omitempty" max:"8"`

	// PassiveMonitor takes a member out of service for what connections to it did. Default: nothing does.
	PassiveMonitor *PassiveMonitor `json:"passiveMonitor,omitempty"`

	// SNATTranslation is what members see of clients. Default: their addresses, unless a member would then not answer
	// through this node: it is the client itself, or it is outside.
	SNATTranslation *SNATTranslation `json:"snatTranslation,omitempty"`

	// SlowStartSeconds is the time in which a member that came up gets more and more, until it gets its share.
	// Seconds, 0..3600, default 0: it gets its share at once.
	SlowStartSeconds float64 `json:"slowStartSeconds,omitempty" min:"0" max:"3600"`
}

// PoolAlgorithm chooses a member for a connection.
type PoolAlgorithm string

// The algorithms.
const (
	AlgorithmRoundRobin              PoolAlgorithm = "ROUND_ROBIN"
	AlgorithmWeightedRoundRobin      PoolAlgorithm = "WEIGHTED_ROUND_ROBIN"
	AlgorithmLeastConnection         PoolAlgorithm = "LEAST_CONNECTION"
	AlgorithmWeightedLeastConnection PoolAlgorithm = "WEIGHTED_LEAST_CONNECTION"
	AlgorithmIPHash                  PoolAlgorithm = "IP_HASH"
	AlgorithmTupleHash               PoolAlgorithm = "TUPLE_HASH"
	AlgorithmMaglev                  PoolAlgorithm = "MAGLEV"
)

// Values lists the allowed values.
func (PoolAlgorithm) Values() []string {
	return []string{
		string(AlgorithmRoundRobin), string(AlgorithmWeightedRoundRobin), string(AlgorithmLeastConnection),
		string(AlgorithmWeightedLeastConnection), string(AlgorithmIPHash), string(AlgorithmTupleHash), string(AlgorithmMaglev),
	}
}

// PoolMember is a server by address.
type PoolMember struct {
	// DisplayName is for people. Default none: the Port's, if one of this node has the address.
	DisplayName string `json:"displayName,omitempty"`

	// Address is the server's.
	Address netip.Addr `json:"address" required:"true"`

	// Port is where it listens. 1..65535, default: what the virtual server's defaultPoolMemberPorts say.
	Port int `json:"port,omitempty" min:"1" max:"65535"`

	// Weight is its share, with the weighted and hashing algorithms. 1..256, default 1.
	Weight int `json:"weight,omitempty" min:"1" max:"256" default:"1"`

	// AdminState is ENABLED (default), GRACEFUL_DISABLED (what it has, it keeps; nothing new but clients that
	// persistence sends to it) or DISABLED (it gets nothing, and its connections are ended).
	AdminState AdminState `json:"adminState,omitempty" default:"ENABLED"`

	// BackupMember gets connections only while fewer than minActiveMembers others are up. Default false.
	BackupMember bool `json:"backupMember,omitempty"`

	// MaxConcurrentConnections is the most at a time. 0..4294967295, default 0: no limit.
	MaxConcurrentConnections int64 `json:"maxConcurrentConnections,omitempty" min:"0" max:"4294967295"`
}

// AdminState is what a member's administrator wants of it.
type AdminState string

// The admin states.
const (
	AdminEnabled          AdminState = "ENABLED"
	AdminGracefulDisabled AdminState = "GRACEFUL_DISABLED"
	AdminDisabled         AdminState = "DISABLED"
)

// Values lists the allowed values.
func (AdminState) Values() []string {
	return []string{string(AdminEnabled), string(AdminGracefulDisabled), string(AdminDisabled)}
}

// PoolMemberGroup selects members as they come and go: group is given, or selectors are.
type PoolMemberGroup struct {
	// Group is a Group: its ports' addresses, and those that it lists by themselves; networks of more than 256
	// addresses are none.
	Group string `json:"group,omitempty"`

	// PodSelector selects ports, a Pod's or written, by their labels; in a Pool with a namespace those of that namespace,
	// unless namespaceSelector says otherwise. {} is all that have a namespace or labels.
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`

	// NamespaceSelector selects namespaces by their labels. {} is all.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// Port is where they listen: a number, or the name that a Pod's container or a Port's namedPorts give it. Default:
	// what the virtual server's defaultPoolMemberPorts say. Who has no port of that name is no member.
	Port *intstr.IntOrString `json:"port,omitempty"`

	// IPRevisionFilter is which of their addresses are members: IPV4, IPV6 or IPV4_IPV6 (default).
	IPRevisionFilter IPRevisionFilter `json:"ipRevisionFilter,omitempty" default:"IPV4_IPV6"`

	// MaxIPListSize is the most members of each family, lowest addresses first. 1..4096, default 4096.
	MaxIPListSize int `json:"maxIPListSize,omitempty" min:"1" max:"4096" default:"4096"`

	// CustomizedMembers say of some addresses, if they are selected, what differs: weight, state, name, port.
	// At most 4096; default none.
	CustomizedMembers []PoolMember `json:"customizedMembers,omitempty" max:"4096"`
}

// IPRevisionFilter is which addresses of a group are members.
type IPRevisionFilter string

// The filters.
const (
	FilterIPv4 IPRevisionFilter = "IPV4"
	FilterIPv6 IPRevisionFilter = "IPV6"
	FilterBoth IPRevisionFilter = "IPV4_IPV6"
)

// Values lists the allowed values.
func (IPRevisionFilter) Values() []string {
	return []string{string(FilterIPv4), string(FilterIPv6), string(FilterBoth)}
}

// PassiveMonitor takes a member out of service for what connections to it did: a TCP connection that is not
// answered or is reset at once, an ICMP error.
type PassiveMonitor struct {
	// MaxFails is how many have to fail within timeoutSeconds. 1..65535, default 5.
	MaxFails int `json:"maxFails,omitempty" min:"1" max:"65535" default:"5"`

	// TimeoutSeconds is the time in which they count, and how long the member stays out. Seconds, 0.01..86400, default 5.
	TimeoutSeconds float64 `json:"timeoutSeconds,omitempty" min:"0" max:"86400" default:"5"`
}

// SNATTranslation is what members see of clients.
type SNATTranslation struct {
	// Type is AUTOMAP (the router's address toward the member), IP_POOL (addresses of ipPool) or DISABLED (the
	// client's; where the member is the client itself, the router's all the same).
	Type SNATType `json:"type" required:"true"`

	// IPPool is an IPPool with usage snat; with type IP_POOL only, and needed there.
	IPPool string `json:"ipPool,omitempty"`
}

// SNATType is what members see of clients.
type SNATType string

// The types.
const (
	SNATAutomap  SNATType = "AUTOMAP"
	SNATIPPool   SNATType = "IP_POOL"
	SNATDisabled SNATType = "DISABLED"
)

// Values lists the allowed values.
func (SNATType) Values() []string {
	return []string{string(SNATAutomap), string(SNATIPPool), string(SNATDisabled)}
}
