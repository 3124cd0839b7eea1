package api

// SecurityPolicy is a section of firewall rules that follow each other. All sections of a node are evaluated by
// category, then sequenceNumber, then name; the first rule that matches decides.
//
// A session is asked about twice: at the port that it comes from and at the port that it goes to, where these
// are ports of this node that rules apply to. Both have to allow it.
type SecurityPolicy struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       SecurityPolicySpec `json:"spec,omitzero"`
}

// AnyGroup stands for everybody where groups are named, and for every service.
const AnyGroup = "ANY"

// SecurityPolicySpec is a section's rules and what they have in common.
type SecurityPolicySpec struct {
	// Category is Ethernet, Emergency, Infrastructure, Environment or Application (default), evaluated
	// in this order. Rules of Ethernet are about frames: MAC addresses and EtherTypes; what they let pass comes
	// to the others, which are about IP packets.
	Category PolicyCategory `json:"category,omitempty" default:"Application"`

	// SequenceNumber orders sections of a category; of equal ones the names do. Sections made of
	// Kubernetes' policies lie between two numbers that NodeConfig has. 0..2147483647, default 0.
	SequenceNumber int `json:"sequenceNumber,omitempty" min:"0" max:"2147483647"`

	// Stateful makes sessions: what belongs to one that was allowed passes, replies too. False judges each
	// packet by itself, and replies need rules of their own. Default true; category Ethernet never has sessions.
	Stateful *bool `json:"stateful,omitempty" default:"true"`

	// TCPStrict lets TCP sessions begin with their handshake only. False picks up connections in
	// mid-stream, such as those from before the node's start. Default false.
	TCPStrict bool `json:"tcpStrict,omitempty"`

	// Scope are the groups whose ports the rules are applied to. A rule with a scope of its own is applied to
	// ports that are in both. Default ANY: every port.
	Scope []string `json:"scope,omitempty" max:"1024"`

	// Established is what a change of rules does to sessions that this section has allowed. recheck (default):
	// their next packet is judged by the new rules; keep: they live on; reset: those that the new rules do
	// not allow end at once, and both ends are told.
	Established EstablishedAction `json:"established,omitempty" default:"recheck"`

	// Rules in order. Default none.
	Rules []SecurityRule `json:"rules,omitempty" max:"65536"`
}

// SecurityRule is a rule: what it does with whom.
//
// Groups are given as names of Groups, "NAME" (of the policy's namespace, else without one) or "NAMESPACE/NAME", as
// addresses ("10.0.0.1"), ranges ("10.0.0.1-10.0.0.9") or networks ("10.0.0.0/24"), or as ANY.
type SecurityRule struct {
	// Name tells the rule from the others of its policy, also to the node: a rule keeps its number and its counters as
	// long as it keeps its name. Default none: its place in the list is its name.
	Name string `json:"name,omitempty"`

	// SequenceNumber orders the rules; those with equal ones are in order as written.
	// 0..2147483647, default 0.
	SequenceNumber int `json:"sequenceNumber,omitempty" min:"0" max:"2147483647"`

	// Action is ALLOW (default), DROP (silently), REJECT (the sender is told: a TCP reset, or ICMP
	// administratively prohibited), or JUMP_TO_APPLICATION (go on with category Application; not in that
	// category and not in Ethernet).
	Action SecurityAction `json:"action,omitempty" default:"ALLOW"`

	// SourceGroups are who begins. Default ANY.
	SourceGroups []string `json:"sourceGroups,omitempty" max:"1024"`

	// DestinationGroups are whom it goes to. Default ANY.
	DestinationGroups []string `json:"destinationGroups,omitempty" max:"1024"`

	// SourcesExcluded makes it everybody but SourceGroups. Default false.
	SourcesExcluded bool `json:"sourcesExcluded,omitempty"`

	// DestinationsExcluded makes it everybody but DestinationGroups. Default false.
	DestinationsExcluded bool `json:"destinationsExcluded,omitempty"`

	// Services are FirewallServices, "NAME" (of the policy's namespace, else without one) or
	// "NAMESPACE/NAME". A packet has to fit one of these or of serviceEntries. Default ANY.
	Services []string `json:"services,omitempty" max:"1024"`

	// ServiceEntries are services written in place. Default none.
	ServiceEntries []ServiceEntry `json:"serviceEntries,omitempty" max:"1024"`

	// Scope are the groups whose ports the rule is applied to. Default ANY: those of the policy's scope.
	Scope []string `json:"scope,omitempty" max:"1024"`

	// Direction is IN (to the port), OUT (from it) or IN_OUT (default).
	Direction RuleDirection `json:"direction,omitempty" default:"IN_OUT"`

	// IPProtocol is IPV4, IPV6 or IPV4_IPV6 (default).
	IPProtocol RuleIPProtocol `json:"ipProtocol,omitempty" default:"IPV4_IPV6"`

	// Disabled takes the rule out; it keeps its number. Default false.
	Disabled bool `json:"disabled,omitempty"`

	// Logged writes a line for each session that the rule has decided about. Default false.
	Logged bool `json:"logged,omitempty"`

	// Tag goes into the log's lines, at most 32 characters without spaces. Default none.
	Tag string `json:"tag,omitempty"`

	// Notes are for people. Default none.
	Notes string `json:"notes,omitempty"`

	// SessionLimits bound how many sessions at a time the rule lets in; others are dropped.
	SessionLimits SessionLimits `json:"sessionLimits,omitzero"`
}

// SessionLimits bound the sessions that a rule allows. Of stateful rules with action ALLOW.
type SessionLimits struct {
	// PerRule is of all together. 0..67108864, default 0: no limit.
	PerRule int `json:"perRule,omitempty" min:"0" max:"67108864"`

	// PerSource is of each source address. 0..67108864, default 0: no limit.
	PerSource int `json:"perSource,omitempty" min:"0" max:"67108864"`
}

// PolicyCategory is a block of sections.
type PolicyCategory string

// The categories.
const (
	CategoryEthernet       PolicyCategory = "Ethernet"
	CategoryEmergency      PolicyCategory = "Emergency"
	CategoryInfrastructure PolicyCategory = "Infrastructure"
	CategoryEnvironment    PolicyCategory = "Environment"
	CategoryApplication    PolicyCategory = "Application"
)

// Values lists the allowed values, in the order of evaluation.
func (PolicyCategory) Values() []string {
	return []string{
		string(CategoryEthernet), string(CategoryEmergency), string(CategoryInfrastructure),
		string(CategoryEnvironment), string(CategoryApplication),
	}
}

// SecurityAction is what a rule of a SecurityPolicy does.
type SecurityAction string

// The actions.
const (
	SecurityAllow             SecurityAction = "ALLOW"
	SecurityDrop              SecurityAction = "DROP"
	SecurityReject            SecurityAction = "REJECT"
	SecurityJumpToApplication SecurityAction = "JUMP_TO_APPLICATION"
)

// Values lists the allowed values.
func (SecurityAction) Values() []string {
	return []string{string(SecurityAllow), string(SecurityDrop), string(SecurityReject), string(SecurityJumpToApplication)}
}

// EstablishedAction is what a change does to live sessions.
type EstablishedAction string

// What a change does.
const (
	EstablishedRecheck EstablishedAction = "recheck"
	EstablishedKeep    EstablishedAction = "keep"
	EstablishedReset   EstablishedAction = "reset"
)

// Values lists the allowed values.
func (EstablishedAction) Values() []string {
	return []string{string(EstablishedRecheck), string(EstablishedKeep), string(EstablishedReset)}
}

// RuleDirection is seen from the port that a rule is applied to.
type RuleDirection string

// The directions.
const (
	DirectionIn    RuleDirection = "IN"
	DirectionOut   RuleDirection = "OUT"
	DirectionInOut RuleDirection = "IN_OUT"
)

// Values lists the allowed values.
func (RuleDirection) Values() []string {
	return []string{string(DirectionIn), string(DirectionOut), string(DirectionInOut)}
}

// RuleIPProtocol is the IP versions that a rule is about.
type RuleIPProtocol string

// The IP versions.
const (
	RuleIPv4 RuleIPProtocol = "IPV4"
	RuleIPv6 RuleIPProtocol = "IPV6"
	RuleBoth RuleIPProtocol = "IPV4_IPV6"
)

// Values lists the allowed values.
func (RuleIPProtocol) Values() []string {
	return []string{string(RuleIPv4), string(RuleIPv6), string(RuleBoth)}
}
