package node

import (
	"errors"
	"iter"
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/api"
	rules "github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/node/policy"
)

// shownPorts is how many of the ports that a rule is at its view names: there may be thousands of
// rules, each at thousands of ports.
const shownPorts = 8

// RuleViews are the firewall's rules in the order of evaluation, with the default rule of category Ethernet
// behind that category's, and the other one at the end.
func (n *Node) RuleViews(f *api.Filter) (iter.Seq[api.RuleView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.SecurityAction("").Values())); err != nil {
		return nil, err
	}
	p := s.policy()
	if err := s.mustHaveSection(p, f); err != nil {
		return nil, err
	}
	at, asked := s.portNumber(f.Port)
	if asked && policy.Unfiltered(p, s.model.Ports[at]) != "" {
		return slices.Values([]api.RuleView(nil)), nil
	}
	hits := n.ruleHits()
	all := func(yield func(api.RuleView) bool) {
		order := 0
		for section := range policy.Sections(p) {
			for i := range section.Rules {
				order++
				r := &section.Rules[i]
				v := api.RuleView{Order: order, RuleRef: api.RuleRef{ID: r.ID}}
				if f.Match(strconv.FormatUint(uint64(r.ID), 10)) && inSection(section, f.Section) &&
					(!asked || policy.InForce(p, r, s.model.Ports[at].Number)) && f.MatchState(r.Action.String()) {
					v = s.ruleView(p, section, r, hits[r.ID])
					v.Order = order
				}
				if !yield(v) {
					return
				}
			}
		}
	}
	list, err := choose(f, "rule", all, func(v *api.RuleView) string { return strconv.FormatUint(uint64(v.ID), 10) }, func(v *api.RuleView) bool {
		return v.Direction != "" && !(f.Unused && v.Packets > 0)
	})
	return slices.Values(list), err
}

// PolicyViews are the sections of the firewall's policy, in the order of evaluation.
func (n *Node) PolicyViews(f *api.Filter) (iter.Seq[api.PolicyView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.PolicyCategory("").Values())); err != nil {
		return nil, err
	}
	p := s.policy()
	if err := s.mustHaveSection(p, f); err != nil {
		return nil, err
	}
	hits := n.ruleHits()
	all := func(yield func(api.PolicyView) bool) {
		for i, section := range p.Sections {
			v := sectionView(section)
			v.Order = i + 1
			for j := range section.Rules {
				h := hits[section.Rules[j].ID]
				v.Add(&h)
			}
			if !yield(v) {
				return
			}
		}
	}
	list, err := choose(f, "section", all, func(v *api.PolicyView) string { return v.Name }, func(v *api.PolicyView) bool {
		return f.MatchState(string(v.Category)) && inSection(p.Sections[v.Order-1], f.Section)
	})
	return slices.Values(list), err
}

// EvaluatePolicy says what the firewall would do with a packet. Nothing is sent, and nothing counted.
func (n *Node) EvaluatePolicy(q *api.PolicyQuery) (*api.PolicyAnswer, error) {
	s := n.shown.Load()
	if s == nil {
		return nil, errClosed
	}
	e, err := s.evaluator()
	if err != nil {
		return nil, err
	}
	return e.Evaluate(q)
}

// lintEffort bounds what LintPolicy takes of the machine that workers need: some 0.4 s.
const lintEffort = 20_000_000

// LintPolicy finds rules that do not do what they seem to, and those that have decided nothing so far.
func (n *Node) LintPolicy() (*api.PolicyLint, error) {
	s := n.shown.Load()
	if s == nil {
		return nil, errClosed
	}
	hits := n.ruleHits()
	if hits == nil {
		hits = map[uint32]api.Hits{} // nothing was decided
	}
	return policy.Lint(s.model, hits, lintEffort), nil
}

// policy is that of the model; one without sections if it has none.
func (s *shown) policy() *rules.Policy { return policy.Of(s.model) }

// portNumber finds a port by its name, which is there; asked is false if none is given.
func (s *shown) portNumber(name string) (index int, asked bool) {
	for i, p := range s.model.Ports {
		if name != "" && p.Name == name {
			return i, true
		}
	}
	return 0, false
}

// mustHaveSection is an error unless there is the section that a filter names.
func (s *shown) mustHaveSection(p *rules.Policy, f *api.Filter) error {
	if f.Section == "" {
		return nil
	}
	var names []string
	for _, section := range p.Sections {
		if inSection(section, f.Section) {
			return nil
		}
		names = append(names, section.Title)
	}
	slices.Sort(names)
	return api.NotFound("section", f.Section, slices.Compact(names))
}

// inSection reports whether a section is one that a name means: its own, or that of the object it is made
// of, with its namespace or without.
func inSection(s *rules.Section, name string) bool {
	return name == "" || name == s.Title || !s.Marker && (name == s.Origin.Name || name == s.Origin.Namespace+"/"+s.Origin.Name)
}

func sectionView(s *rules.Section) api.PolicyView {
	v := api.PolicyView{
		Name: s.Title, Category: policy.Category(s.Category), Sequence: s.Sequence, Origin: policy.Origin(s), Marker: s.Marker,
		Rules: len(s.Rules), Stateless: s.Stateless, TCPStrict: s.TCPStrict, Established: policy.Established(s.Established),
	}
	if len(s.Rules) > 0 {
		v.FirstRule = s.Rules[0].ID
	}
	return v
}

func (s *shown) ruleView(p *rules.Policy, section *rules.Section, r *rules.Rule, hits api.Hits) api.RuleView {
	v := api.RuleView{
		RuleRef: policy.Refer(section, r), Direction: api.RuleDirection(r.Directions.String()), IPProtocol: policy.Families(r.Families),
		Sources: r.SourceText, SourcesExcluded: r.SourceNot, Destinations: r.DestText, DestinationsExcluded: r.DestNot, Services: r.ServicesText,
		Stateless: section.Stateless, TCPStrict: section.TCPStrict, Established: policy.Established(section.Established),
		Logged: r.Logged, Tag: r.Tag, MaxSessions: r.PerRule, MaxSessionsPerSource: r.PerSource, Notes: r.Notes,
		Hits: hits,
	}
	if r.AppliedTo == rules.Any {
		for _, e := range p.Endpoints {
			if e != nil {
				v.Ports++
			}
		}
		return v
	}
	if set := policy.SetOf(p, r.AppliedTo); set != nil {
		v.Ports = len(set.Ports)
		for _, number := range set.Ports[:min(v.Ports, shownPorts)] {
			v.AppliedTo = append(v.AppliedTo, s.portName(number))
		}
		slices.Sort(v.AppliedTo)
	}
	return v
}

// GroupViews are the Groups with their effective members, in order of their names.
func (n *Node) GroupViews(f *api.Filter) (iter.Seq[api.GroupView], error) {
	s, err := n.look(f)
	if err != nil {
		return nil, err
	}
	list, err := choose(f, "group", slices.Values(policy.Groups(s.model)), func(v *api.GroupView) string { return v.Name }, func(v *api.GroupView) bool {
		return (f.Port == "" || slices.ContainsFunc(v.Ports, func(p api.GroupPort) bool { return p.Name == f.Port })) &&
			(!f.Address.IsValid() || groupHas(v, f))
	})
	return slices.Values(list), err
}

// groupHas reports whether an address of a group, or a network, is in what a filter asks for.
func groupHas(v *api.GroupView, f *api.Filter) bool {
	return slices.ContainsFunc(v.Prefixes, f.Address.Overlaps) ||
		slices.ContainsFunc(v.Ports, func(p api.GroupPort) bool { return slices.ContainsFunc(p.Addresses, f.MatchAddress) })
}
