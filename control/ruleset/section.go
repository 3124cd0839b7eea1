package ruleset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-net/sluice/control/internal/numbers"
	"github.com/sluice-net/sluice/firewall/policy"
)

// section is a policy.Section and what it holds on to.
type section struct {
	*policy.Section
	part   int // of its object
	sets   []*set
	digest uint64 // see Resolver.Digest; 0: not known
}

// compareSections orders by category, sequence number and name.
func compareSections(a, b *section) int {
	return cmp.Or(
		cmp.Compare(a.Category, b.Category), cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.Origin.Name, b.Origin.Name), cmp.Compare(a.Origin.Namespace, b.Origin.Namespace),
		cmp.Compare(a.Origin.Kind, b.Origin.Kind), cmp.Compare(a.part, b.part),
	)
}

// rank puts the marker at the top before all of its sequence number.
func rank(s *section) int {
	if s.Marker {
		return 0
	}
	return 1
}

// What the sequence numbers of places follow the top marker's by. Between the markers are at least
// 2000 numbers, and the tier Baseline has 1002.
var placeSequence = [...]int64{allowing: 1, isolating: 2, baseline: 3}

// row is a rule of a draft, or what becomes of it for one number of a port's name.
type row struct {
	rule  *draftRule
	name  string // what tells it from the object's others
	offer *offer // nil: Services as they are
}

// rowsOf are the rules of a draft, with those that are disabled.
func (r *Resolver) rowsOf(d *draft) (rows []row) {
	rows = make([]row, 0, len(d.rules))
	for i := range d.rules {
		rule := &d.rules[i]
		name := rule.Name
		if d.part != "" {
			name = d.part + "/" + name
		}
		if len(rule.named) == 0 || len(rule.Services)+len(rule.services) > 0 {
			rows = append(rows, row{rule: rule, name: name})
		}
		for j, port := range rule.named {
			if slices.Contains(rule.named[:j], port) {
				continue // named twice, it is one
			}
			for _, number := range r.offers.numbers(port) {
				rows = append(rows, row{rule, fmt.Sprintf("%s %s=%d/%d", name, port.name, port.protocol, number), &offer{port, number}})
			}
		}
	}
	return rows
}

// buildPolicies makes the sections of all policies that have changed, and returns the numbers of all rules.
func (r *Resolver) buildPolicies(previous map[string]RuleIDs, given uint32) map[string]RuleIDs {
	all := !r.numbers.Follows(previous)
	rows := map[*node][][]row{}
	claims := map[string]*numbers.Claim{}
	put := func(n *node) {
		key := RuleKey(n.key)
		if claims[key] == nil {
			claims[key] = &numbers.Claim{Key: key}
		}
		for i := range n.says.drafts {
			of := r.rowsOf(&n.says.drafts[i])
			rows[n] = append(rows[n], of)
			for _, row := range of {
				claims[key].Names = append(claims[key].Names, row.name)
			}
		}
	}
	isPolicy := func(n *node) bool { return len(n.says.drafts)+len(n.sections) > 0 }
	var nodes []*node
	if all {
		nodes = r.sorted(isPolicy)
	} else {
		nodes = r.stale(isPolicy)
		for _, n := range r.removed {
			if len(n.sections) > 0 {
				claims[RuleKey(n.key)] = &numbers.Claim{Key: RuleKey(n.key)}
			}
		}
	}
	for _, n := range nodes {
		put(n)
	}
	list := slices.SortedFunc(maps.Values(claims), func(a, b *numbers.Claim) int { return cmp.Compare(a.Key, b.Key) })
	rules := r.numbers.Assign(list, previous, given)

	var gone, come []*section
	for _, n := range nodes {
		ids := rules[RuleKey(n.key)]
		if _, stale := r.unbuilt[n]; !stale && n.ids.Same(ids) {
			continue
		}
		gone = append(gone, n.sections...)
		n.sections, n.ids = r.build(n, rows[n], ids), ids
		come = append(come, n.sections...)
	}
	for _, n := range r.removed {
		gone = append(gone, n.sections...)
		n.sections = nil
		r.offers.use(n, nil)
	}
	r.place(gone, come)
	for _, s := range gone {
		for _, x := range s.sets {
			r.sets.release(x)
		}
	}
	return rules
}

// build makes the sections of a policy.
func (r *Resolver) build(n *node, rows [][]row, ids RuleIDs) (sections []*section) {
	named := map[namedPort]bool{}
	for i := range n.says.drafts {
		d := &n.says.drafts[i]
		s := &section{Section: new(policy.Section), part: i}
		*s.Section = d.Section
		s.Origin = n.key
		if s.Title == "" {
			s.Title = policy.Origin{Namespace: n.key.Namespace, Name: n.key.Name}.String()
		}
		if d.place != bySequence {
			s.Sequence += r.settings.Top + placeSequence[d.place]
		}
		s.sets = make([]*set, 0, 3*len(rows[i]))
		s.Rules = make([]policy.Rule, 0, len(rows[i]))
		for j := range rows[i] {
			if w := &rows[i][j]; !w.rule.disabled {
				s.Rules = append(s.Rules, r.rule(n, d, s, w, ids.Of(w.name)))
			}
		}
		for j := range d.rules {
			for _, port := range d.rules[j].named {
				named[port] = true
			}
		}
		sections = append(sections, s)
	}
	r.offers.use(n, slices.Collect(maps.Keys(named)))
	return sections
}

// rule makes a rule of a section.
func (r *Resolver) rule(n *node, d *draft, s *section, w *row, id uint32) policy.Rule {
	rule := w.rule.Rule
	rule.ID = id
	if rule.Families == 0 {
		rule.Families = policy.IPv4 | policy.IPv6
	}
	if rule.Directions == 0 {
		rule.Directions = policy.In | policy.Out
	}
	if w.rule.byDefault {
		rule.Action = r.settings.DefaultAction
	}
	keep := func(x *set) policy.SetID {
		s.sets = append(s.sets, x)
		return x.id
	}
	groupOf := func(name string) *set { return r.groupSet(n, name) }
	rule.AppliedTo = keep(r.sets.and(r.sets.of(d.appliedTo, nil, groupOf), r.sets.of(w.rule.appliedTo, nil, groupOf)))
	rule.Source = keep(r.sets.of(w.rule.source, nil, groupOf))
	rule.Destination = keep(r.sets.of(w.rule.destination, w.offer, groupOf))
	switch {
	case w.offer != nil:
		rule.Services = []policy.Service{{
			Protocol: w.offer.name.protocol, DestPorts: []policy.PortRange{{First: w.offer.number, Last: w.offer.number}}, ICMPType: -1, ICMPCode: -1,
		}}
	case len(w.rule.services) > 0:
		rule.Services = slices.Clone(rule.Services)
		for _, ref := range w.rule.services {
			rule.Services = append(rule.Services, r.servicesOf(r.find(kindService, n.key.Namespace, ref.name))...)
		}
	}
	return rule
}

// groupSet returns the set of a Group that a node names. Check has seen to it that there is one.
func (r *Resolver) groupSet(n *node, name string) *set {
	return r.groupSets[r.find(kindGroup, n.key.Namespace, name).key]
}

// place takes sections out of the order, and puts others in.
func (r *Resolver) place(gone, come []*section) {
	if len(gone)+len(come) == 0 && r.settled {
		return
	}
	out := make(map[*section]bool, len(gone))
	for _, s := range gone {
		out[s] = true
	}
	slices.SortFunc(come, compareSections)
	list := make([]*section, 0, len(r.sections)+len(come))
	between := false
	put := func(s *section) {
		list = append(list, s)
		between = between || s.Category == policy.Application && s.Origin.Kind != kindSecurityPolicy
	}
	for _, s := range r.sections {
		if s.Marker || out[s] {
			continue
		}
		for len(come) > 0 && compareSections(come[0], s) < 0 {
			put(come[0])
			come = come[1:]
		}
		put(s)
	}
	for _, s := range come {
		put(s)
	}
	r.markers = [2]*section{r.markers[0].marker("top", r.settings.Top), r.markers[1].marker("bottom", r.settings.Bottom)}
	if between {
		for _, m := range r.markers {
			i, _ := slices.BinarySearchFunc(list, m, compareSections)
			list = slices.Insert(list, i, m)
		}
	}
	r.sections = list
	plain := make([]*policy.Section, len(list))
	for i, s := range list {
		plain[i] = s.Section
	}
	r.plainSections, r.settled = plain, true
}
