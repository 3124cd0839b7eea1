package ruleset

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// What objects say, before it is known who is meant: each kind of policy is made into
// drafts, and one resolver makes the Policy of drafts and endpoints. A draft follows from its object
// alone, and is not written to once it was handed over.

// draft is a Section before its rules are resolved.
type draft struct {
	// Section is but for Rules; Origin may be left out as well: the resolver fills it in,
	// and Title if it is empty.
	policy.Section

	// part tells the sections of one object from each other, in letters that stay the same:
	// "allow", "isolate ingress". Empty where an object has one section.
	part  string
	place place

	appliedTo selection // of all rules: each is at ports that are in this and in its own; everybody if nil
	rules     []draftRule
}

// place is where a section stands among those of its category.
type place uint8

const (
	// bySequence: Category and Sequence say it: what is written by hand, and the tier Admin.
	bySequence place = iota

	// The others are in category Application between the two markers, in this order. Sequence
	// orders those of the tier Baseline among each other, 0 to 1001, and is 0 elsewhere; the resolver adds what
	// places them. Those of equal Sequence are in order of names.
	allowing  // what NetworkPolicies allow
	isolating // what is then left of the traffic of pods that NetworkPolicies select
	baseline  // the tier Baseline
)

// draftRule is a Rule before its members are known.
type draftRule struct {
	// Rule is but for ID, AppliedTo, Source, Destination, and Services with named ports. Name
	// is of no other rule of the draft, but may be empty; Families is both if 0, Directions is both if 0.
	policy.Rule

	disabled bool // keeps its ID, but is not in the policy

	// byDefault: what the policy's default rule does is what this one does, whatever Action says:
	// Pass in the tier Baseline, which nothing follows but the default.
	byDefault bool

	appliedTo   selection // ports; everybody if nil
	source      selection
	destination selection

	// named are services whose port is a name, which each destination may resolve to
	// another number, or to none (Kubernetes: a container's port). They are
	// alternatives to Services. Is there one, then empty Services are nothing rather than all.
	named []namedPort

	// services are FirewallServices by name, which are alternatives to Services, too.
	services []reference
}

// namedPort is a container's port by name.
type namedPort struct {
	protocol uint8
	name     string
}

// selection is a set of endpoints and addresses, as the union of terms. nil is
// everybody; empty, but not nil, is nobody.
type selection []term

// term is one of: a list of addresses (prefixes or macs is not nil), a reference to a Group (group is not
// empty), or a condition on endpoints: all that is said of them has to hold, and a term that says nothing
// is every endpoint. What is of another kind of term has no meaning.
type term struct {
	prefixes []policy.Prefix // in any order, and may overlap: the resolver tidies up
	macs     []packet.MAC

	group string // as it is written, which is resolved as seen from the draft's namespace

	namespaced bool            // only endpoints that are in a namespace: pods, and ports with a namespace
	namespace  string          // only those in it; empty is any
	ofNS       labels.Selector // on the namespace's labels; nil is any. Implies namespaced
	of         labels.Selector // on the endpoint's own labels; nil is any
	segment    string          // only those whose own segment it is; empty is any
	port       string          // only the one of that name; empty is any
	conditions []condition     // only those that meet all of them

	// within are prefixes of one family, one at least: only those that have addresses of it, all of them in there.
	within []policy.Prefix
}

// reference is a name of another object.
type reference struct {
	kind string // of that object: Group, FirewallService
	name string // as written
	path string // of the field that has it
}

// Fault is a mistake in an object, or of objects together.
type Fault struct {
	Object  policy.Origin // the resolver sets it
	Path    string        // of the field: spec.rules[0].action
	Message string        // lower case, no full stop, without the path
	Hint    string        // what to write instead; may be empty
}
