package api

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Group is a set of ports and addresses that firewall rules and profiles name. Who is in it
// follows ports, labels and namespaces as they come, change and go.
//
// Members are all that any part of spec selects: the parts are a union. podSelector, namespaceSelector
// and namespaces are one part; so is each run of conditions in expression that AND joins.
//
// A Group with a namespace is for the policies in it; what podSelector and expression say is then of that
// namespace's ports, unless namespaceSelector or namespaces say otherwise. A port that has neither a namespace nor
// labels is selected by its name, segment or address only.
type Group struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       GroupSpec `json:"spec,omitzero"`
}

// GroupSpec is who is in a group. Empty, it is nobody.
type GroupSpec struct {
	// Expression are NSX's conditions, with {conjunctionOperator: AND} or OR between any two. AND binds
	// stronger than OR. Default none.
	Expression []GroupExpression `json:"expression,omitempty" max:"199"`

	// PodSelector selects ports, a Pod's or written, by their labels. {} is all that have a namespace
	// or labels. Default: all in the namespaces that namespaceSelector or namespaces say, else none.
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`

	// NamespaceSelector selects namespaces by their labels. {} is all. Default: namespaces, else all; in a
	// Group with a namespace that one.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// Namespaces are more namespaces, by name. Default none.
	Namespaces []string `json:"namespaces,omitempty" max:"1024"`

	// Segments select the ports whose own segment is one of these. Default none.
	Segments []string `json:"segments,omitempty" max:"1024"`

	// Ports are ports by name, NAMESPACE/NAME for those in a namespace. Default none.
	Ports []string `json:"ports,omitempty" max:"4096"`

	// IPAddresses are addresses ("10.0.0.1"), ranges ("10.0.0.1-10.0.0.9") and networks ("10.0.0.0/24"),
	// v4 and v6. Default none.
	IPAddresses []string `json:"ipAddresses,omitempty" max:"16384"`

	// MACAddresses are of use in rules of category Ethernet. Default none.
	MACAddresses []MAC `json:"macAddresses,omitempty" max:"16384"`

	// Groups are other groups, whose members are in this one too: "NAME", of the own namespace or else
	// without one, or "NAMESPACE/NAME". Default none.
	Groups []string `json:"groups,omitempty" max:"1024"`
}

// GroupExpression is a condition, or the operator between two.
type GroupExpression struct {
	// MemberType is what the condition is about: Pod (a port that is a Pod's), Port (any port, a Pod's too), or
	// Namespace or Segment (those of a port). Needed for a condition.
	MemberType MemberType `json:"memberType,omitempty"`

	// Key is Tag or Label, which are the same, or Name, that of metadata. Needed for a condition.
	Key ConditionKey `json:"key,omitempty"`

	// Operator compares. EQUALS (default), CONTAINS, STARTSWITH, ENDSWITH, NOTEQUALS; IN and NOTIN take a list that
	// is separated by commas; MATCHES takes a regular expression (RE2) for the whole text. Case matters. What has no such
	// label meets NOTEQUALS and NOTIN, and nothing else.
	Operator ConditionOperator `json:"operator,omitempty" default:"EQUALS"`

	// Value is a name; for Tag and Label the label's key and what its value is compared with:
	// "KEY|VALUE", NSX's scope and tag, or "KEY=VALUE". Needed for a condition.
	Value string `json:"value,omitempty"`

	// ConjunctionOperator is AND or OR, in an element of its own. Not with the others.
	ConjunctionOperator ConjunctionOperator `json:"conjunctionOperator,omitempty"`
}

// MemberType is what a condition is about.
type MemberType string

// The member types.
const (
	MemberPod       MemberType = "Pod"
	MemberPort      MemberType = "Port"
	MemberNamespace MemberType = "Namespace"
	MemberSegment   MemberType = "Segment"
)

// Values lists the allowed values.
func (MemberType) Values() []string {
	return []string{string(MemberPod), string(MemberPort), string(MemberNamespace), string(MemberSegment)}
}

// ConditionKey is the property that a condition looks at.
type ConditionKey string

// The condition keys.
const (
	KeyTag   ConditionKey = "Tag"
	KeyLabel ConditionKey = "Label"
	KeyName  ConditionKey = "Name"
)

// Values lists the allowed values.
func (ConditionKey) Values() []string {
	return []string{string(KeyTag), string(KeyLabel), string(KeyName)}
}

// ConditionOperator is how a condition compares.
type ConditionOperator string

// The condition operators.
const (
	OperatorEquals     ConditionOperator = "EQUALS"
	OperatorContains   ConditionOperator = "CONTAINS"
	OperatorStartsWith ConditionOperator = "STARTSWITH"
	OperatorEndsWith   ConditionOperator = "ENDSWITH"
	OperatorNotEquals  ConditionOperator = "NOTEQUALS"
	OperatorIn         ConditionOperator = "IN"
	OperatorNotIn      ConditionOperator = "NOTIN"
	OperatorMatches    ConditionOperator = "MATCHES"
)

// Values lists the allowed values.
func (ConditionOperator) Values() []string {
	return []string{
		string(OperatorEquals), string(OperatorContains), string(OperatorStartsWith), string(OperatorEndsWith),
		string(OperatorNotEquals), string(OperatorIn), string(OperatorNotIn), string(OperatorMatches),
	}
}

// ConjunctionOperator joins conditions.
type ConjunctionOperator string

// The conjunctions.
const (
	ConjunctionAnd ConjunctionOperator = "AND"
	ConjunctionOr  ConjunctionOperator = "OR"
)

// Values lists the allowed values.
func (ConjunctionOperator) Values() []string {
	return []string{string(ConjunctionAnd), string(ConjunctionOr)}
}
