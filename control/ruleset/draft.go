package ruleset

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/firewall/policy"
)

// What objects say, before it is known who is meant: each kind of policy is made into
// drafts, and one resolver makes the Policy of drafts and endpoints.

// draft is a Section before its rules are resolved.
type draft struct {
	policy.Section // but for Rules

	rules []draftRule
}

// draftRule is a Rule before its members are known.
type draftRule struct {
	policy.Rule // but for ID, AppliedTo, Source, Destination, and Services with named ports

	appliedTo   selection // ports; everybody if nil
	source      selection
	destination selection

	// named are services whose port is a name, which each destination may resolve to
	// another number, or to none (Kubernetes: a container's port). They are
	// alternatives to Services.
	named []namedPort
}

// namedPort is a container's port by name.
type namedPort struct {
	protocol uint8
	name     string
}

// selection is a set of endpoints and addresses, as the union of terms. nil is
// everybody; empty, but not nil, is nobody.
type selection []term

// term is either a condition on endpoints or a list of addresses.
type term struct {
	prefixes []policy.Prefix // addresses; the rest is of no meaning then

	namespaced bool            // only endpoints that are in a namespace: pods, and ports with a namespace
	namespace  string          // only those in it; empty is any
	ofNS       labels.Selector // on the namespace's labels; nil is any. Implies namespaced
	of         labels.Selector // on the endpoint's own labels; nil is any
	segment    string          // only those whose own segment it is; empty is any
	port       string          // only the one of that name; empty is any
}
