package lint

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/stretchr/testify/require"
)

// trial is what happens to packets one by one.
type trial struct {
	p         *policy.Policy
	in        *classify.Input
	byDefault *policy.Rule
}

func tryOut(p *policy.Policy) *trial {
	in := &classify.Input{Endpoints: p.Endpoints, Sets: p.Sets, Tiers: make([][]*policy.Section, 2), Ethernet: aboutFrames(p)}
	byDefault := &p.Default
	if in.Ethernet {
		byDefault = &policy.Rule{ID: policy.EthernetDefaultRuleID, Action: policy.Allow}
	}
	for _, s := range p.Sections {
		tier := 0
		if s.Category == policy.Application {
			tier = 1
		}
		in.Tiers[tier] = append(in.Tiers[tier], s)
	}
	return &trial{p, in, byDefault}
}

// alone returns a trial of a rule by itself.
func (t *trial) alone(r *policy.Rule) *trial {
	in := *t.in
	in.Tiers = [][]*policy.Section{{{Rules: []policy.Rule{*r}}}}
	return &trial{t.p, &in, nil}
}

// matches returns whether a rule of a trial matches, of one by itself whether that does.
func (t *trial) matches(p *classify.Packet) bool { return classify.Linear(t.in, 0, p) != nil }

// path returns the rules that a packet meets: one of tier 0 and, unless that decides, one of tier 1, or the default.
func (t *trial) path(p *classify.Packet) (met []*policy.Rule) {
	if m := classify.Linear(t.in, 0, p); m != nil {
		met = append(met, m.Rule)
		if m.Rule.Action != policy.JumpToApplication {
			return met
		}
	}
	if m := classify.Linear(t.in, 1, p); m != nil {
		return append(met, m.Rule)
	}
	return append(met, t.byDefault)
}

// decides returns the rule that decides about a packet.
func (t *trial) decides(p *classify.Packet) *policy.Rule {
	path := t.path(p)
	return path[len(path)-1]
}

// verdict returns what becomes of a packet.
func (t *trial) verdict(p *classify.Packet) policy.Action {
	if !filters(t.p, p.Port) {
		return policy.Allow
	}
	return t.decides(p).Action
}

// but returns a policy without some rules.
func but(p *policy.Policy, ids ...uint32) *policy.Policy {
	less := *p
	less.Sections = nil
	for _, s := range p.Sections {
		copied := *s
		copied.Rules = nil
		for _, r := range s.Rules {
			if !slices.Contains(ids, r.ID) {
				copied.Rules = append(copied.Rules, r)
			}
		}
		less.Sections = append(less.Sections, &copied)
	}
	return &less
}

// TestAgainstEveryPacket: what Analyze says of random policies is what trying every packet shows.
func TestAgainstEveryPacket(t *testing.T) {
	t.Parallel()
	policies := 160
	if testing.Short() {
		policies = 40
	}
	r := rand.New(rand.NewPCG(7, 7))
	kinds := make(map[Kind]int)
	for range policies {
		p := randomPolicy(r, r.IntN(4) == 0)
		for k, n := range checkAgainstEveryPacket(t, p) {
			kinds[k] += n
		}
	}
	for _, k := range []Kind{Shadowed, Redundant, Contradicting, NeverHit, SelectsNobody} {
		require.Greater(t, kinds[k], policies/20, "the policies must have enough rules that are %s", k)
	}
}

func checkAgainstEveryPacket(t *testing.T, p *policy.Policy) map[Kind]int {
	t.Helper()
	c := &check{t: t, p: p, packets: everyPacket(p), tried: tryOut(p), found: make(map[uint32]map[Kind]*Finding)}
	c.paths = make([][]*policy.Rule, len(c.packets))
	for i := range c.packets {
		c.paths[i] = c.tried.path(&c.packets[i])
	}
	report := Analyze(p, map[uint32]Hits{}, Options{Causes: 1000, Contradictions: 100000})
	require.Zero(t, report.Undecided)
	require.False(t, report.MoreContradictions)
	kinds := make(map[Kind]int)
	contradictions := make(map[[2]uint32]bool)
	var shown []*Finding
	for i := range report.Findings {
		f := &report.Findings[i]
		kinds[f.Kind]++
		if f.Kind == Contradicting {
			contradictions[[2]uint32{f.Rule.ID, f.Causes[0].ID}] = true
			shown = append(shown, f)
			continue
		}
		if c.found[f.Rule.ID] == nil {
			c.found[f.Rule.ID] = make(map[Kind]*Finding)
		}
		c.found[f.Rule.ID][f.Kind] = f
	}
	for _, s := range p.Sections {
		for i := range s.Rules {
			alone := c.tried.alone(&s.Rules[i])
			m := make([]bool, len(c.packets))
			for j := range c.packets {
				m[j] = alone.matches(&c.packets[j])
			}
			c.rules = append(c.rules, checked{s, &s.Rules[i], m, false})
		}
	}
	for i := range c.rules {
		c.dead(&c.rules[i])
	}
	for i := range c.rules {
		c.redundant(&c.rules[i])
	}
	less := but(p, c.gone...)
	c.less = tryOut(less)
	for _, f := range shown {
		require.Equal(t, f.Rule.ID, taker(c.less.path(&f.Witness.Packet), f.Rule.In).ID, "the earlier rule takes the witness")
		require.True(t, c.tried.alone(f.Causes[0].Rule).matches(&f.Witness.Packet), "the later rule matches the witness")
	}
	for i := range c.rules {
		for j := i + 1; j < len(c.rules); j++ {
			c.contradiction(&c.rules[i], &c.rules[j], contradictions)
		}
	}
	d, equal := Equal(p, less, Options{})
	require.True(t, equal, "what is redundant can be left out together, %v of %+v: %+v", c.gone, p, d)
	return kinds
}

// check compares a report with what every packet shows.
type check struct {
	t       *testing.T
	p       *policy.Policy
	packets []classify.Packet
	tried   *trial
	paths   [][]*policy.Rule // of each packet
	rules   []checked
	found   map[uint32]map[Kind]*Finding
	gone    []uint32 // rules that are redundant
	less    *trial   // the policy without those
}

// checked is a rule, and which packets match it.
type checked struct {
	section *policy.Section
	rule    *policy.Rule
	matches []bool
	takes   bool
}

// taker returns the rule that takes a packet, of those that it meets, before it comes to a rule of a section or
// as it does.
func taker(path []*policy.Rule, s *policy.Section) *policy.Rule {
	if s.Category != policy.Application {
		return path[0]
	}
	return path[len(path)-1]
}

// dead checks whether a rule takes any packet, and who does if it does not.
func (c *check) dead(r *checked) {
	c.t.Helper()
	otherwise := false
	takers := make(map[uint32]bool)
	for i := range c.packets {
		if r.matches[i] {
			by := taker(c.paths[i], r.section)
			takers[by.ID] = true
			otherwise = otherwise || by.Action != r.rule.Action
		}
	}
	var want Kind
	switch {
	case len(takers) == 0:
		want = SelectsNobody
	case takers[r.rule.ID]:
		want = NeverHit
		r.takes = true
	case otherwise:
		want = Shadowed
	default:
		want = Redundant
	}
	w := c.found[r.rule.ID][want]
	require.NotNil(c.t, w, "rule %d is %s: %+v", r.rule.ID, want, c.p)
	switch {
	case r.takes:
		require.Contains(c.t, c.tried.path(&w.Witness.Packet), r.rule)
		return
	case len(takers) == 0:
		require.Nil(c.t, w.Witness)
		return
	}
	require.True(c.t, c.tried.alone(r.rule).matches(&w.Witness.Packet))
	require.Equal(c.t, takers, causes(w), "rule %d of %+v", r.rule.ID, c.p)
	by := taker(c.tried.path(&w.Witness.Packet), r.section)
	require.True(c.t, takers[by.ID])
	require.Equal(c.t, want == Shadowed, by.Action != r.rule.Action)
	if want == Redundant {
		c.gone = append(c.gone, r.rule.ID)
	}
}

func causes(f *Finding) map[uint32]bool {
	ids := make(map[uint32]bool)
	for _, c := range f.Causes {
		ids[c.ID] = true
	}
	return ids
}

// redundant checks whether a rule that takes packets changes anything, where those that are gone are not there.
func (c *check) redundant(r *checked) {
	c.t.Helper()
	if !r.takes {
		require.Len(c.t, c.found[r.rule.ID], 1)
		return
	}
	with, without := tryOut(but(c.p, c.gone...)), tryOut(but(c.p, append([]uint32{r.rule.ID}, c.gone...)...))
	instead := make(map[uint32]bool)
	changes := false
	for i := range c.packets {
		if r.matches[i] && taker(with.path(&c.packets[i]), r.section).ID == r.rule.ID {
			by := without.decides(&c.packets[i])
			instead[by.ID] = true
			changes = changes || by.Action != with.decides(&c.packets[i]).Action
		}
	}
	f := c.found[r.rule.ID][Redundant]
	require.Equal(c.t, !changes, f != nil, "rule %d of %+v", r.rule.ID, c.p)
	if f == nil {
		require.Len(c.t, c.found[r.rule.ID], 1)
		return
	}
	if r.rule.Action != policy.JumpToApplication {
		require.Equal(c.t, instead, causes(f), "rule %d of %+v", r.rule.ID, c.p)
	}
	c.gone = append(c.gone, r.rule.ID)
}

// alive reports whether a rule is neither shadowed nor redundant.
func (r *checked) alive(c *check) bool { return r.takes && !slices.Contains(c.gone, r.rule.ID) }

func (c *check) contradiction(r, o *checked, got map[[2]uint32]bool) {
	c.t.Helper()
	only, also, both := false, false, false
	for i := range c.packets {
		a, b := r.matches[i], o.matches[i]
		only = only || a && !b
		also = also || b && !a
		both = both || a && b && slices.ContainsFunc(c.less.path(&c.packets[i]), func(met *policy.Rule) bool { return met.ID == r.rule.ID })
	}
	want := o.section.Category == r.section.Category && o.rule.Action != r.rule.Action && only && also && both && r.alive(c) && o.alive(c)
	require.Equal(c.t, want, got[[2]uint32{r.rule.ID, o.rule.ID}], "rules %d and %d of %+v", r.rule.ID, o.rule.ID, c.p)
}

// TestEqualAgainstEveryPacket: two random policies are equal exactly if they do the same to every packet.
func TestEqualAgainstEveryPacket(t *testing.T) {
	t.Parallel()
	rounds := 140
	if testing.Short() {
		rounds = 50
	}
	r := rand.New(rand.NewPCG(5, 5))
	equals := 0
	for range rounds {
		a := randomPolicy(r, r.IntN(4) == 0)
		b := variant(r, a)
		packets := everyPacket(a, b)
		ta, tb := tryOut(a), tryOut(b)
		want := true
		for i := range packets {
			want = want && ta.verdict(&packets[i]) == tb.verdict(&packets[i])
		}
		d, equal := Equal(a, b, Options{})
		require.Equal(t, want, equal, "%+v and %+v", a, b)
		if equal {
			require.Nil(t, d)
			equals++
			continue
		}
		require.NotEqual(t, ta.verdict(&d.Witness.Packet), tb.verdict(&d.Witness.Packet))
		for _, side := range []struct {
			t   *trial
			ref RuleRef
		}{{ta, d.A}, {tb, d.B}} {
			if filters(side.t.p, d.Witness.Packet.Port) {
				require.Equal(t, side.t.decides(&d.Witness.Packet).ID, side.ref.ID)
			} else {
				require.Zero(t, side.ref.ID)
			}
		}
	}
	require.Greater(t, equals, rounds/10)
	require.Less(t, equals, rounds*9/10)
}

// variant returns a policy that is a little different from another, or says the same otherwise.
func variant(r *rand.Rand, p *policy.Policy) *policy.Policy {
	b := but(p)
	s := b.Sections[r.IntN(len(b.Sections))]
	switch r.IntN(6) {
	case 0:
		b = but(b, policy.FirstRuleID+uint32(r.IntN(6)))
	case 1:
		s.Rules = append(s.Rules, randomRule(r, p, 9999, s.Category))
	case 2:
		if len(s.Rules) > 1 {
			i := r.IntN(len(s.Rules) - 1)
			s.Rules[i], s.Rules[i+1] = s.Rules[i+1], s.Rules[i]
		}
	case 3:
		if len(s.Rules) > 0 {
			i := r.IntN(len(s.Rules))
			s.Rules[i].Services = append(s.Rules[i].Services[:len(s.Rules[i].Services):len(s.Rules[i].Services)], randomService(r))
		}
	case 4:
		b.Excluded = policy.SetID(r.IntN(len(b.Sets)))
	case 5:
		if !aboutFrames(b) { // frames have a default of their own
			b.Default.Action = policy.Action(r.IntN(3))
		}
	}
	return b
}
