package lint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// shape is how the rules of a large policy are made.
type shape struct {
	name     string
	anybody  int // percent of sources and of destinations that are any
	prefixes bool
	applied  bool // rules are at groups, not everywhere
	allow    int  // percent
}

var shapes = []shape{
	{name: "acl", anybody: 5, prefixes: true, allow: 70},
	{name: "fw", anybody: 40, prefixes: true, allow: 70},
	{name: "groups", anybody: 10, applied: true, allow: 90},
}

// largePolicy returns a policy of n rules: source and destination are networks within
// each other, as in ClassBench's sets, or groups of 500 endpoints.
func largePolicy(n int, sh shape, seed uint64) *policy.Policy {
	r := rand.New(rand.NewPCG(seed, 1))
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
	groups := max(8, n/10)
	if sh.prefixes {
		groups = max(8, n/3)
	}
	for range groups {
		s := &policy.Set{}
		if sh.prefixes {
			a := [4]byte{byte(10 + r.IntN(4)), byte(r.IntN(8)), byte(r.IntN(256)), byte(r.IntN(256))}
			bits := []uint8{104, 112, 120, 120, 124, 128, 128, 128}[r.IntN(8)]
			first, _ := bounds(policy.Prefix{Addr: packet.AddrFrom4(&a), Bits: bits})
			s.Prefixes = []policy.Prefix{{Addr: packet.AddrFrom16((*[16]byte)(&first)), Bits: bits}}
		} else {
			for port := uint16(1 + r.IntN(40)); int(port) < len(p.Endpoints); port += uint16(1 + r.IntN(200)) {
				s.Ports = append(s.Ports, port)
			}
		}
		p.Sets = append(p.Sets, s)
	}
	who := func() policy.SetID {
		if r.IntN(100) < sh.anybody {
			return policy.Any
		}
		return policy.SetID(2 + r.IntN(groups))
	}
	section := &policy.Section{Category: policy.Application, Title: "all"}
	for i := range n {
		rule := policy.Rule{
			ID: policy.FirstRuleID + uint32(i), Directions: policy.In | policy.Out, Families: policy.IPv4 | policy.IPv6,
			Source: who(), Destination: who(), Action: policy.Drop,
		}
		if sh.applied {
			rule.AppliedTo, rule.Directions, rule.Destination = policy.SetID(2+r.IntN(groups)), policy.In, policy.Any
		}
		if r.IntN(100) < sh.allow {
			rule.Action = policy.Allow
		}
		switch k := r.IntN(10); {
		case k < 7:
			port := uint16(r.IntN(200))
			if r.IntN(5) == 0 {
				port = 80
			}
			rule.Services = []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: port, Last: port}}}}
		case k < 9:
			rule.Services = []policy.Service{{Protocol: packet.ProtoUDP, DestPorts: []policy.PortRange{{First: 1024, Last: 65535}}}}
		}
		section.Rules = append(section.Rules, rule)
	}
	// The special before the general, as people order rules: so that most of them decide something.
	slices.SortStableFunc(section.Rules, func(a, b policy.Rule) int { return special(p, &b) - special(p, &a) })
	p.Sections = []*policy.Section{section}
	return p
}

// special says how much a rule asks of packets.
func special(p *policy.Policy, r *policy.Rule) (n int) {
	for _, id := range []policy.SetID{r.Source, r.Destination, r.AppliedTo} {
		if s := p.Sets[id]; s != nil && len(s.Prefixes) > 0 {
			n += int(s.Prefixes[0].Bits)
		} else if s != nil {
			n += 128 - len(s.Ports)
		}
	}
	return n
}

func BenchmarkAnalyze(b *testing.B) {
	for _, sh := range shapes {
		for _, n := range []int{1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", sh.name, n), func(b *testing.B) {
				p := largePolicy(n, sh, 1)
				kinds := make(map[Kind]int)
				for b.Loop() {
					clear(kinds)
					for _, f := range Analyze(p, nil, Options{}).Findings {
						kinds[f.Kind]++
					}
				}
				for _, k := range []Kind{Shadowed, Redundant, Undecided} {
					b.ReportMetric(float64(kinds[k]), string(k))
				}
			})
		}
	}
}

func BenchmarkEqual(b *testing.B) {
	for _, sh := range shapes {
		for _, n := range []int{1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", sh.name, n), func(b *testing.B) {
				p, q := largePolicy(n, sh, 1), largePolicy(n, sh, 1)
				for b.Loop() {
					if _, equal := Equal(p, q, Options{}); !equal {
						b.Fatal("a policy must be equal to itself")
					}
				}
			})
		}
	}
}
