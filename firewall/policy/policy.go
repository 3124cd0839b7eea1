package policy

// Policy is all rules of a node.
type Policy struct {
	// Sections in the order of evaluation: by category, then sequence number,
	// then name. The first rule that matches decides; see Action for JUMP_TO_APPLICATION.
	Sections []*Section

	// Sets by SetID. Sets[Any] is nil and stands for everything; others are nil if
	// their number is not in use.
	Sets []*Set

	// Endpoints are the ports that rules apply to, by number; nil where there is none, and
	// for ports that are not filtered: uplinks.
	Endpoints []*Endpoint

	// Default decides about IP packets that no rule matches. It is stateful, and
	// what it says of live sessions is Recheck. Its ID is DefaultRuleID.
	Default Rule

	// Excluded is the set of ports that are never filtered, neither what they send nor what they
	// receive (NSX's exclusion list). None if there are none.
	Excluded SetID
}

// IDs of rules that nobody wrote, as NSX has them. Rules of sections have IDs from FirstRuleID.
const (
	EthernetDefaultRuleID uint32 = 1 // allows frames that no rule of category Ethernet matches
	DefaultRuleID         uint32 = 2 // Policy.Default
	FirstRuleID           uint32 = 1000
)

// Category is a block of sections; they are evaluated in this order.
type Category uint8

// The categories, named as in NSX. Ethernet is about frames and has a decision of its own: its rules match
// MAC addresses and EtherTypes, and what they allow goes on to those of the others, which are about IP packets.
const (
	Ethernet Category = iota
	Emergency
	Infrastructure
	Environment
	Application
)

// Established is what a change of the policy does to sessions that a rule of a section had allowed.
type Established uint8

const (
	// Recheck evaluates the rules again at the session's next packet, as if that
	// were its first; the session ends if they do not allow it any more.
	Recheck Established = iota
	// Keep lets the session live on whatever the rules say.
	Keep
	// Reset is Recheck, but sessions that are not allowed any more end at once
	// rather than at their next packet, and both ends are told.
	Reset
)

// Origin is the object that a section was made of.
type Origin struct {
	Kind      string // SecurityPolicy, NetworkPolicy, ClusterNetworkPolicy…; empty for markers
	Namespace string
	Name      string
}

// String returns the origin as KIND NAMESPACE/NAME.
func (o Origin) String() string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	if o.Kind == "" {
		return name
	}
	return o.Kind + " " + name
}

// Section is rules that follow each other, with what they have in common.
type Section struct {
	Origin   Origin
	Title    string // what users see: the display name, or Origin's name; of a part of an object with its part ("web ingress")
	Category Category
	Sequence int64 // within the category
	// Marker: the section stands for the beginning or the end of those made of
	// Kubernetes objects. It has no rules.
	Marker bool

	// Stateless: what a rule allows makes no session, and replies need rules of their own.
	Stateless bool
	// TCPStrict: a TCP session begins with its handshake or not at all.
	TCPStrict   bool
	Established Established

	Rules []Rule
}
