package ruleset

import (
	"cmp"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// marker returns the section that stands for the beginning or the end of those made of Kubernetes' objects: the one that it
// was, if that is the same.
func (s *section) marker(which string, sequence int64) *section {
	if s != nil && s.Sequence == sequence {
		return s
	}
	return &section{Section: &policy.Section{
		Origin: policy.Origin{Name: "kubernetes-" + which}, Title: "Kubernetes " + which,
		Category: policy.Application, Sequence: sequence, Marker: true,
	}}
}

// stale returns the nodes to be built that are wanted, by key.
func (r *Resolver) stale(wanted func(*node) bool) (list []*node) {
	for n := range r.unbuilt {
		if wanted(n) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *node) int { return compareOrigins(a.key, b.key) })
	return list
}

// buildGroups makes the sets of Groups consist of what these say now.
func (r *Resolver) buildGroups() {
	nodes := r.stale(func(n *node) bool { return n.key.Kind == kindGroup })
	added := false
	for _, n := range nodes { // all first: they name each other
		if r.groupSets[n.key] == nil {
			r.groupSets[n.key] = r.sets.hold(r.sets.add("g" + n.key.Namespace + "/" + n.key.Name))
			added = true
		}
	}
	for _, n := range nodes {
		r.sets.redefine(r.groupSets[n.key], define(n.says.members, nil, func(name string) *set { return r.groupSet(n, name) }))
	}
	gone := slices.ContainsFunc(r.removed, func(n *node) bool { return n.key.Kind == kindGroup && r.nodes[n.key] == nil })
	if !added && !gone {
		return
	}
	r.groups = nil
	for key, set := range r.groupSets {
		if r.nodes[key] != nil {
			r.groups = append(r.groups, Group{key, set.id})
		}
	}
	slices.SortFunc(r.groups, func(a, b Group) int { return compareOrigins(a.Origin, b.Origin) })
}

// buildProfiles makes the profiles that have changed, and the exclusion list.
func (r *Resolver) buildProfiles() {
	isProfile := func(n *node) bool { return n.key.Kind == kindTimers || n.key.Kind == kindFlood }
	changed := slices.ContainsFunc(r.removed, isProfile)
	for _, n := range r.stale(func(n *node) bool { return isProfile(n) || n == r.exclude }) {
		old := n.applied
		n.applied = r.sets.of(n.says.members, nil, func(name string) *set { return r.groupSet(n, name) })
		if old != nil {
			r.sets.release(old)
		}
		changed = changed || n != r.exclude
	}
	if !changed {
		return
	}
	r.profiles = nil
	for _, n := range r.sorted(isProfile) {
		r.profiles = append(r.profiles, Profile{Origin: n.key, Value: n.value, AppliedTo: n.applied.id, sequence: n.says.sequence})
	}
	slices.SortStableFunc(r.profiles, func(a, b Profile) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.Origin.Name, b.Origin.Name), cmp.Compare(a.Origin.Namespace, b.Origin.Namespace))
	})
}

// takeDown gives up what objects had that are gone. Sections are gone already.
func (r *Resolver) takeDown() {
	for _, n := range r.removed {
		if n.applied != nil {
			r.sets.release(n.applied)
		}
		if set := r.groupSets[n.key]; set != nil && r.nodes[n.key] == nil {
			delete(r.groupSets, n.key)
			// Groups that are gone may name each other.
			r.sets.redefine(set, definition{})
			r.sets.release(set)
		}
	}
	r.removed = nil
}

// assemble makes the Policy, or returns the last if nothing in it has changed.
func (r *Resolver) assemble(now []*Endpoint, values []*policy.Set) *policy.Policy {
	p := &policy.Policy{Sections: r.plainSections, Sets: values, Excluded: r.exclude.applied.id}
	p.Default = policy.Rule{
		ID: policy.DefaultRuleID, Name: "default", Action: r.settings.DefaultAction, Logged: r.settings.DefaultLogged,
		Directions: policy.In | policy.Out, Families: policy.IPv4 | policy.IPv6,
	}
	r.follow(now)
	p.Endpoints = r.endpoints
	if excluded := values[p.Excluded].Ports; len(excluded) > 0 {
		p.Endpoints = slices.Clone(r.endpoints)
		for _, n := range excluded {
			p.Endpoints[n] = nil
		}
	}
	last := r.policy
	if last != nil && slices.Equal(last.Endpoints, p.Endpoints) {
		p.Endpoints = last.Endpoints
	}
	if last != nil && same(last.Sections, p.Sections) && same(last.Sets, p.Sets) && same(last.Endpoints, p.Endpoints) && last.Excluded == p.Excluded &&
		last.Default.Action == p.Default.Action && last.Default.Logged == p.Default.Logged {
		return last
	}
	r.policy = p
	return p
}

// same reports whether two lists are one.
func same[T any](a, b []*T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// follow makes endpoints those of now. What says the same stays the pointer that it was.
func (r *Resolver) follow(now []*Endpoint) {
	list := make([]*policy.Endpoint, len(now))
	for n, e := range now {
		if e == nil {
			continue
		}
		list[n] = &e.Endpoint
		if old := at(r.endpoints, n); old != nil && (old == list[n] || equalEndpoints(old, list[n])) {
			list[n] = old
		}
	}
	if !slices.Equal(list, r.endpoints) {
		r.endpoints = list
	}
}

func equalEndpoints(a, b *policy.Endpoint) bool {
	return a.Number == b.Number && a.Scope == b.Scope && a.Name == b.Name &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.MACs, b.MACs)
}
