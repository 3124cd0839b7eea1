package lint

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
	"github.com/stretchr/testify/require"
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

func prefix(s string) policy.Prefix { return policy.PrefixOf(netip.MustParsePrefix(s)) }

// The addresses of the world: those of endpoints, in prefixes, and outside of all.
var (
	worldV4 = []packet.Addr{addr("10.0.0.0"), addr("10.0.0.1"), addr("10.0.0.2"), addr("10.0.0.3"), addr("192.0.2.1")}
	worldV6 = []packet.Addr{addr("fd00::1"), addr("fd00::2"), addr("2001:db8::1")}

	worldPrefixes = []policy.Prefix{
		prefix("10.0.0.0/31"), prefix("10.0.0.2/32"), prefix("10.0.0.2/31"), prefix("10.0.0.0/30"),
		prefix("0.0.0.0/0"), prefix("fd00::1/128"), prefix("fd00::/126"), prefix("::/0"),
	}
)

// everyPacket returns a packet of each kind that rules of randomPolicy can tell apart.
func everyPacket(policies ...*policy.Policy) []classify.Packet {
	type transport struct {
		protocol uint8
		src, dst uint16
	}
	var transports []transport
	for _, p := range []uint8{packet.ProtoTCP, packet.ProtoUDP} {
		for src := range uint16(2) {
			for dst := range uint16(4) {
				transports = append(transports, transport{p, src, dst})
			}
		}
	}
	for _, message := range []uint16{0x000, 0x001, 0x100, 0x101, 0x202} {
		transports = append(transports, transport{packet.ProtoICMP, 0, message})
	}
	transports = append(transports, transport{packet.ProtoGRE, 0, 0}, transport{200, 0, 0})

	var all []classify.Packet
	ports := make(map[uint16]uint32)
	for _, p := range policies {
		for n := range p.Endpoints {
			if filters(p, uint16(n)) {
				ports[uint16(n)] = p.Endpoints[n].Scope
			}
		}
	}
	for port := range uint16(8) {
		scope, filtered := ports[port]
		if !filtered {
			continue
		}
		for _, direction := range []policy.Direction{policy.In, policy.Out} {
			for _, family := range [][]packet.Addr{worldV4, worldV6} {
				for _, src := range family {
					for _, dst := range family {
						for _, t := range transports {
							all = append(all, classify.Packet{
								Port: port, Direction: direction, Scope: scope, Src: src, Dst: dst,
								Protocol: t.protocol, SrcPort: t.src, DstPort: t.dst,
							})
						}
					}
				}
			}
		}
	}
	return all
}

// randomPolicy returns a policy whose rules tell nothing apart but what everyPacket does.
func randomPolicy(r *rand.Rand) *policy.Policy {
	p := &policy.Policy{
		Sets:      []*policy.Set{nil, nil},
		Endpoints: make([]*policy.Endpoint, 5),
		Default:   policy.Rule{ID: policy.DefaultRuleID, Action: policy.Action(r.IntN(2))},
		Excluded:  policy.None,
	}
	hosts := [][]packet.Addr{{addr("10.0.0.1")}, {addr("10.0.0.2"), addr("fd00::1")}, {addr("10.0.0.1"), addr("fd00::2")}, nil}
	for i := 1; i < len(p.Endpoints); i++ {
		if r.IntN(5) > 0 {
			p.Endpoints[i] = &policy.Endpoint{Number: uint16(i), Scope: uint32(r.IntN(2)), Addresses: hosts[i-1]}
		}
	}
	for range 5 {
		s := &policy.Set{}
		for port := range uint16(6) {
			if r.IntN(4) == 0 {
				s.Ports = append(s.Ports, port)
			}
		}
		if r.IntN(2) == 0 {
			s.Prefixes = append(s.Prefixes, worldPrefixes[r.IntN(len(worldPrefixes))])
		}
		p.Sets = append(p.Sets, s)
	}
	p.Sets = append(p.Sets, nil)
	if r.IntN(4) == 0 {
		p.Excluded = policy.SetID(r.IntN(len(p.Sets)))
	}
	id := policy.FirstRuleID
	for range 1 + r.IntN(3) {
		s := &policy.Section{Category: policy.Category(1 + r.IntN(4)), Title: "s"}
		for range r.IntN(5) {
			s.Rules = append(s.Rules, randomRule(r, p, id, s.Category))
			id++
		}
		p.Sections = append(p.Sections, s)
	}
	sortSections(p)
	return p
}

func sortSections(p *policy.Policy) {
	for i := range p.Sections {
		for j := i; j > 0 && p.Sections[j].Category < p.Sections[j-1].Category; j-- {
			p.Sections[j], p.Sections[j-1] = p.Sections[j-1], p.Sections[j]
		}
	}
}

func randomRule(r *rand.Rand, p *policy.Policy, id uint32, c policy.Category) policy.Rule {
	set := func() policy.SetID {
		if r.IntN(2) == 0 {
			return policy.Any
		}
		return policy.SetID(r.IntN(len(p.Sets)))
	}
	rule := policy.Rule{
		ID: id, Action: policy.Action(r.IntN(3)), Directions: policy.Direction(1 + r.IntN(3)), Families: policy.Families(1 + r.IntN(3)),
		AppliedTo: set(), Source: set(), Destination: set(), SourceNot: r.IntN(5) == 0, DestNot: r.IntN(5) == 0,
	}
	if c != policy.Application && r.IntN(3) == 0 {
		rule.Action = policy.JumpToApplication
	}
	if r.IntN(2) == 0 {
		rule.Families = policy.IPv4 | policy.IPv6
	}
	for range r.IntN(3) {
		rule.Services = append(rule.Services, randomService(r))
	}
	return rule
}

func randomService(r *rand.Rand) policy.Service {
	ranges := func(top int) []policy.PortRange {
		if r.IntN(2) == 0 {
			return nil
		}
		first := uint16(r.IntN(top + 1))
		last := first + uint16(r.IntN(top+1-int(first)))
		if int(last) == top {
			last = 0xffff // what is beyond the ports of the world is like the last
		}
		return []policy.PortRange{{First: first, Last: last}}
	}
	protocols := []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoGRE}
	s := policy.Service{Protocol: protocols[r.IntN(len(protocols))], ICMPType: int16(r.IntN(3)) - 1, ICMPCode: int16(r.IntN(3)) - 1}
	switch {
	case r.IntN(8) == 0:
		s.AnyProtocol = true
	case s.Protocol != packet.ProtoICMP:
		s.SourcePorts, s.DestPorts = ranges(1), ranges(3)
	}
	return s
}

// trial is what happens to packets one by one.
type trial struct {
	p  *policy.Policy
	in *classify.Input
}

func tryOut(p *policy.Policy) *trial {
	in := &classify.Input{Endpoints: p.Endpoints, Sets: p.Sets, Tiers: make([][]*policy.Section, 2)}
	for _, s := range p.Sections {
		switch {
		case s.Category == policy.Application:
			in.Tiers[1] = append(in.Tiers[1], s)
		case s.Category != policy.Ethernet:
			in.Tiers[0] = append(in.Tiers[0], s)
		}
	}
	return &trial{p, in}
}

// alone returns a trial of a rule by itself.
func (t *trial) alone(r *policy.Rule) *trial {
	in := *t.in
	in.Tiers = [][]*policy.Section{{{Rules: []policy.Rule{*r}}}}
	return &trial{t.p, &in}
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
	return append(met, &t.p.Default)
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

// but returns a policy without a rule.
func but(p *policy.Policy, id uint32) *policy.Policy {
	less := *p
	less.Sections = nil
	for _, s := range p.Sections {
		copied := *s
		copied.Rules = nil
		for _, r := range s.Rules {
			if r.ID != id {
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
	policies := 250
	if testing.Short() {
		policies = 40
	}
	r := rand.New(rand.NewPCG(7, 7))
	kinds := make(map[Kind]int)
	for range policies {
		p := randomPolicy(r)
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
	for i := range report.Findings {
		f := &report.Findings[i]
		kinds[f.Kind]++
		if f.Kind == Contradicting {
			contradictions[[2]uint32{f.Rule.ID, f.Causes[0].ID}] = true
			require.Contains(t, c.tried.path(f.Witness.Packet), ruleOf(p, f.Rule.ID), "the earlier rule takes the witness")
			require.True(t, c.tried.alone(ruleOf(p, f.Causes[0].ID)).matches(f.Witness.Packet), "the later rule matches the witness")
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
			c.rules = append(c.rules, checked{s, &s.Rules[i], m})
		}
	}
	for i := range c.rules {
		c.rule(&c.rules[i])
		for j := i + 1; j < len(c.rules); j++ {
			c.contradiction(&c.rules[i], &c.rules[j], contradictions)
		}
	}
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
}

// checked is a rule, and which packets match it.
type checked struct {
	section *policy.Section
	rule    *policy.Rule
	matches []bool
}

func ruleOf(p *policy.Policy, id uint32) *policy.Rule {
	for _, s := range p.Sections {
		for i := range s.Rules {
			if s.Rules[i].ID == id {
				return &s.Rules[i]
			}
		}
	}
	return &p.Default
}

// taker returns the rule that takes a packet, of those that it meets, before it comes to a rule of a section or
// as it does.
func taker(path []*policy.Rule, s *policy.Section) *policy.Rule {
	if s.Category != policy.Application {
		return path[0]
	}
	return path[len(path)-1]
}

func (c *check) rule(r *checked) {
	t := c.t
	t.Helper()
	matched, takes, otherwise, changes := false, false, false, false
	takers := make(map[uint32]bool)
	less := tryOut(but(c.p, r.rule.ID))
	for i := range c.packets {
		if !r.matches[i] {
			continue
		}
		matched = true
		by := taker(c.paths[i], r.section)
		takers[by.ID] = true
		otherwise = otherwise || by.Action != r.rule.Action
		if by == r.rule {
			takes = true
			changes = changes || less.decides(&c.packets[i]).Action != c.paths[i][len(c.paths[i])-1].Action
		}
	}
	want := map[Kind]bool{}
	switch {
	case !matched:
		want[SelectsNobody] = true
	case !takes && otherwise:
		want[Shadowed] = true
	case !takes:
		want[Redundant] = true
	default:
		want[NeverHit] = true
		if !changes {
			want[Redundant] = true
		}
	}
	f := c.found[r.rule.ID]
	got := map[Kind]bool{}
	for k := range f {
		got[k] = true
	}
	require.Equal(t, want, got, "rule %d of %+v", r.rule.ID, c.p)

	if w := f[NeverHit]; w != nil {
		require.Contains(t, c.tried.path(w.Witness.Packet), r.rule)
	}
	for _, k := range []Kind{Shadowed, Redundant} {
		w := f[k]
		if w == nil || takes {
			continue
		}
		require.True(t, c.tried.alone(r.rule).matches(w.Witness.Packet))
		causes := make(map[uint32]bool)
		for _, cause := range w.Causes {
			causes[cause.ID] = true
		}
		require.Equal(t, takers, causes, "rule %d of %+v", r.rule.ID, c.p)
		by := taker(c.tried.path(w.Witness.Packet), r.section)
		require.Contains(t, causes, by.ID)
		require.Equal(t, k == Shadowed, by.Action != r.rule.Action)
	}
	if w := f[Redundant]; w != nil && takes && r.rule.Action != policy.JumpToApplication {
		instead := make(map[uint32]bool)
		for i := range c.packets {
			if r.matches[i] && taker(c.paths[i], r.section) == r.rule {
				instead[less.decides(&c.packets[i]).ID] = true
			}
		}
		causes := make(map[uint32]bool)
		for _, cause := range w.Causes {
			causes[cause.ID] = true
		}
		require.Equal(t, instead, causes, "rule %d of %+v", r.rule.ID, c.p)
	}
}

func (c *check) contradiction(r, o *checked, got map[[2]uint32]bool) {
	c.t.Helper()
	only, also, both := false, false, false
	for i := range c.packets {
		a, b := r.matches[i], o.matches[i]
		only = only || a && !b
		also = also || b && !a
		both = both || a && b && slices.Contains(c.paths[i], r.rule)
	}
	want := o.section.Category == r.section.Category && o.rule.Action != r.rule.Action && only && also && both
	require.Equal(c.t, want, got[[2]uint32{r.rule.ID, o.rule.ID}], "rules %d and %d of %+v", r.rule.ID, o.rule.ID, c.p)
}

// TestEqualAgainstEveryPacket: two random policies are equal exactly if they do the same to every packet.
func TestEqualAgainstEveryPacket(t *testing.T) {
	t.Parallel()
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	r := rand.New(rand.NewPCG(5, 5))
	equals := 0
	for range rounds {
		a := randomPolicy(r)
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
		require.NotEqual(t, ta.verdict(d.Witness.Packet), tb.verdict(d.Witness.Packet))
		for _, side := range []struct {
			t   *trial
			ref RuleRef
		}{{ta, d.A}, {tb, d.B}} {
			if filters(side.t.p, d.Witness.Packet.Port) {
				require.Equal(t, side.t.decides(d.Witness.Packet).ID, side.ref.ID)
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
	b := but(p, 0)
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
		b.Default.Action = policy.Action(r.IntN(3))
	}
	return b
}
