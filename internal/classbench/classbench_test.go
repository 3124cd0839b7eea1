package classbench

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
)

func TestShares(t *testing.T) {
	for _, s := range Shapes() {
		lengths, ports, protocols := 0, 0, 0
		for _, l := range s.Lengths {
			lengths += l.Share
		}
		for _, p := range s.Ports {
			ports += p.Share
		}
		for _, p := range s.Protocols {
			protocols += p.Share
		}
		require.Equal(t, []int{100, 100, 100}, []int{lengths, ports, protocols}, s.Name)
	}
}

func TestGenerate(t *testing.T) {
	for _, shape := range Shapes() {
		r := Generate(shape, 2500, 7)
		require.Equal(t, r, Generate(shape, 2500, 7), "the same of the same seed")
		require.NotEqual(t, r.Sections, Generate(shape, 2500, 8).Sections, "others of another")
		require.Len(t, r.Sections, 3)
		require.Len(t, r.flat, 2500)
		seen := map[policy.SetID]bool{policy.Any: true}
		for _, rule := range r.flat {
			seen[rule.Source], seen[rule.Destination] = true, true
		}
		require.Len(t, seen, len(r.Sets)-1, "each set but None is used")

		rng := rand.New(rand.NewPCG(1, 1))
		for i, rule := range r.flat {
			for _, h := range []Header{r.Within(rng, i), r.Corner(rng, i)} {
				require.True(t, r.contains(rule, h), "%+v of rule %+v", h, rule)
			}
		}
		require.Equal(t, r.Skewed(100, 5), r.Skewed(100, 5))
		require.Len(t, r.Random(100, 5), 100)
	}
}

// contains reports whether a header is one of a rule's.
func (s *Rules) contains(r *policy.Rule, h Header) bool {
	in := func(id policy.SetID, at func(p policy.Prefix) bool) bool {
		return id == policy.Any || at(s.Sets[id].Prefixes[0])
	}
	port := func(l []policy.PortRange, p uint16) bool { return len(l) == 0 || l[0].First <= p && p <= l[0].Last }
	return in(r.Source, func(p policy.Prefix) bool { return p.Contains(h.Src) }) &&
		in(r.Destination, func(p policy.Prefix) bool { return p.Contains(h.Dst) }) &&
		(len(r.Services) == 0 || r.Services[0].Protocol == h.Protocol &&
			port(r.Services[0].SourcePorts, h.SrcPort) && port(r.Services[0].DestPorts, h.DstPort))
}
