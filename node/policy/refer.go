package policy

import (
	"iter"
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Category is what users write for a category.
func Category(c policy.Category) api.PolicyCategory {
	return value[api.PolicyCategory](api.PolicyCategory("").Values(), int(c))
}

// Established is what users write for what becomes of established sessions.
func Established(e policy.Established) api.EstablishedAction {
	return value[api.EstablishedAction](api.EstablishedAction("").Values(), int(e))
}

// Families is what users write for IP versions.
func Families(f policy.Families) api.RuleIPProtocol {
	switch f {
	case policy.IPv4:
		return api.RuleIPv4
	case policy.IPv6:
		return api.RuleIPv6
	}
	return api.RuleBoth
}

// value is one of the values of a type, which are in the order of package policy's.
func value[T ~string](values []string, n int) T {
	if n < len(values) {
		return T(values[n])
	}
	return "UNKNOWN"
}

// Refer names a rule for people.
func Refer(s *policy.Section, r *policy.Rule) api.RuleRef {
	return api.RuleRef{
		ID: r.ID, Name: r.Name, Action: api.SecurityAction(r.Action.String()), Category: Category(s.Category),
		Section: s.Title, Origin: Origin(s),
	}
}

// refer is Refer for what may be missing.
func refer(m *classify.Match) *api.RuleRef {
	if m == nil {
		return nil
	}
	r := Refer(m.Section, m.Rule)
	return &r
}

// Origin names the object that a section is made of; nil if nobody wrote it.
func Origin(s *policy.Section) *api.ObjectRef {
	o := &s.Origin
	if o.Kind == "" {
		return nil
	}
	return &api.ObjectRef{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// InForce reports whether a rule is at a port.
func InForce(p *policy.Policy, r *policy.Rule, port uint16) bool {
	return r.AppliedTo == policy.Any || holds(p, r.AppliedTo, port)
}

// holds reports whether a port is in a set, of ports alone.
func holds(p *policy.Policy, id policy.SetID, port uint16) bool {
	set := SetOf(p, id)
	if set == nil {
		return false
	}
	_, found := slices.BinarySearch(set.Ports, port)
	return found
}

// Sections are those of a policy, and the ones that the default rules are in: that of frames behind category
// Ethernet, that of packets at the end.
func Sections(p *policy.Policy) iter.Seq[*policy.Section] {
	packets, frames := firewall.Defaults(p)
	return func(yield func(*policy.Section) bool) {
		i := 0
		for ; i < len(p.Sections) && p.Sections[i].Category == policy.Ethernet; i++ {
			if !yield(p.Sections[i]) {
				return
			}
		}
		// A policy that says nothing about frames has no use for their default.
		if i > 0 && !yield(frames.Section) {
			return
		}
		for ; i < len(p.Sections); i++ {
			if !yield(p.Sections[i]) {
				return
			}
		}
		yield(packets.Section)
	}
}

// SetOf returns a set by its number; nil if there is none, and for Any.
func SetOf(p *policy.Policy, id policy.SetID) *policy.Set {
	if int(id) >= len(p.Sets) {
		return nil
	}
	return p.Sets[id]
}
