package lint

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/classbench"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/packet"
)

// maker makes policies of so many rules, the same each time.
type maker struct {
	name string
	make func(n int) *policy.Policy
}

// makers are rules as ClassBench has them, and rules about groups.
func makers() []maker {
	all := []maker{{"groups", groupRules}}
	for _, shape := range classbench.Shapes() {
		all = append(all, maker{shape.Name, func(n int) *policy.Policy {
			r := classbench.Generate(shape, n, 1)
			p := endpoints()
			p.Sections, p.Sets = r.Sections, r.Sets
			return p
		}})
	}
	return all
}

// endpoints returns a policy without rules that drops by default, for 500 ports.
func endpoints() *policy.Policy {
	p := &policy.Policy{
		Sets: []*policy.Set{nil, nil}, Endpoints: make([]*policy.Endpoint, 501), Excluded: policy.None,
		Default: policy.Rule{ID: policy.DefaultRuleID, Action: policy.Drop},
	}
	for i := 1; i < len(p.Endpoints); i++ {
		p.Endpoints[i] = &policy.Endpoint{
			Number: uint16(i), Name: fmt.Sprint("p", i),
			Addresses: []packet.Addr{packet.AddrFrom4(&[4]byte{10, 0, byte(i >> 8), byte(i)})},
		}
	}
	return p
}

// groupRules returns a policy as micro-segmentation has it: what a group of ports may be sent, by
// another group.
func groupRules(n int) *policy.Policy {
	r := rand.New(rand.NewPCG(1, 1))
	p := endpoints()
	groups := max(8, n/10)
	for range groups {
		s := &policy.Set{}
		for port := uint16(1 + r.IntN(40)); int(port) < len(p.Endpoints); port += uint16(1 + r.IntN(200)) {
			s.Ports = append(s.Ports, port)
		}
		p.Sets = append(p.Sets, s)
	}
	section := &policy.Section{Category: policy.Application, Title: "all"}
	for i := range n {
		rule := policy.Rule{
			ID: policy.FirstRuleID + uint32(i), Directions: policy.In, Families: policy.IPv4 | policy.IPv6,
			AppliedTo: policy.SetID(2 + r.IntN(groups)), Source: policy.SetID(2 + r.IntN(groups)),
		}
		if r.IntN(10) == 0 {
			rule.Source, rule.Action = policy.Any, policy.Drop
		}
		if r.IntN(10) > 0 {
			rule.Services = tcp(uint16(r.IntN(200)), uint16(r.IntN(10)))
		}
		section.Rules = append(section.Rules, rule)
	}
	p.Sections = []*policy.Section{section}
	return p
}

// forEach runs a benchmark with each kind of policy, and reports the CPU time that a turn takes.
func forEach(b *testing.B, turn func(b *testing.B, a, again *policy.Policy)) {
	for _, m := range makers() {
		for _, n := range []int{1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", m.name, n), func(b *testing.B) {
				p, again := m.make(n), m.make(n)
				cpu := cputime.Process()
				for b.Loop() {
					turn(b, p, again)
				}
				b.ReportMetric(float64(cputime.Process()-cpu)/1e6/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

func BenchmarkAnalyze(b *testing.B) {
	forEach(b, func(b *testing.B, p, _ *policy.Policy) {
		kinds := make(map[Kind]int)
		for _, f := range Analyze(p, nil, Options{}).Findings {
			kinds[f.Kind]++
		}
		for _, k := range []Kind{Shadowed, Redundant, Undecided} {
			b.ReportMetric(float64(kinds[k]), string(k))
		}
	})
}

func BenchmarkEqual(b *testing.B) {
	forEach(b, func(b *testing.B, p, again *policy.Policy) {
		if _, equal := Equal(p, again, Options{}); !equal {
			b.Fatal("a policy must be equal to itself")
		}
	})
}
