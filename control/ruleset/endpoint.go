package ruleset

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/firewall/policy"
)

// Endpoint is a port that rules are about, with what selects it. It is not written to once the resolver
// has it: what is the same pointer is the same.
type Endpoint struct {
	policy.Endpoint // Name is NAMESPACE/NAME, or NAME without a namespace

	Short      string // the name without the namespace
	Pod        bool   // a Pod's
	Labels     map[string]string
	Namespace  *Surroundings // nil: it is in none
	Segment    *Surroundings // its own; nil: it has none
	NamedPorts []NamedPort   // none twice
}

// Surroundings are what endpoints are in: a namespace or a segment.
type Surroundings struct {
	Name   string
	Labels map[string]string
}

// NamedPort is a port number that a workload has a name for.
type NamedPort struct {
	Protocol uint8 // IP protocol number
	Name     string
	Port     uint16
}

// selectable reports whether labels may select the endpoint. One without namespace and labels
// is nobody's but by its name, its segment or its addresses.
func (e *Endpoint) selectable() bool { return e.Namespace != nil || len(e.Labels) > 0 }

// offers reports whether the endpoint calls a port number so.
func (e *Endpoint) offers(name namedPort, number uint16) bool {
	return slices.Contains(e.NamedPorts, NamedPort{name.protocol, name.name, number})
}

// liesWithin reports whether the endpoint has addresses of the family of prefixes, and all of these are in one
// of them.
func (e *Endpoint) liesWithin(list []policy.Prefix) (is bool) {
	for _, a := range e.Addresses {
		if a.Is4() == list[0].Addr.Is4() {
			if is = slices.ContainsFunc(list, func(p policy.Prefix) bool { return p.Contains(a) }); !is {
				return false
			}
		}
	}
	return is
}

// meets reports whether the term, a condition on endpoints, is met.
func (t *term) meets(e *Endpoint) bool {
	if t.namespaced || t.namespace != "" || t.ofNS != nil {
		if e.Namespace == nil || t.namespace != "" && e.Namespace.Name != t.namespace {
			return false
		}
	}
	switch {
	case t.segment != "" && (e.Segment == nil || e.Segment.Name != t.segment),
		t.port != "" && e.Name != t.port,
		t.of != nil && !e.selectable(),
		t.of != nil && !t.of.Matches(labels.Set(e.Labels)),
		t.within != nil && !e.liesWithin(t.within),
		t.ofNS != nil && !t.ofNS.Matches(labels.Set(e.Namespace.Labels)):
		return false
	}
	for i := range t.conditions {
		if !t.conditions[i].meets(e) {
			return false
		}
	}
	return true
}
