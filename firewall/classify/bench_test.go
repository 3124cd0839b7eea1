package classify

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/classbench"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/packet"
)

// classSet is a rule set of ClassBench's kind, compiled.
type classSet struct {
	*classbench.Rules
	in    Input
	c     *Compiler
	table *Table
}

func newClassSet(tb testing.TB, shape classbench.Shape, rules int) *classSet {
	s := &classSet{Rules: classbench.Generate(shape, rules, 1), c: NewCompiler()}
	s.in = Input{Sets: s.Sets, Tiers: [][]*policy.Section{s.Sections}}
	var err error
	s.table, err = s.c.Compile(&s.in)
	require.NoError(tb, err)
	return s
}

// packetOf is a header at a port that no rule names.
func packetOf(h classbench.Header) Packet {
	return Packet{
		Port: 1, Direction: policy.In, Src: h.Src, Dst: h.Dst,
		Protocol: h.Protocol, SrcPort: h.SrcPort, DstPort: h.DstPort,
	}
}

func eachSet(b *testing.B, f func(b *testing.B, s *classSet)) {
	for _, shape := range classbench.Shapes() {
		for _, rules := range []int{1000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", shape.Name, rules), func(b *testing.B) {
				s := newClassSet(b, shape, rules)
				f(b, s)
			})
		}
	}
}

// cpu runs f and reports the CPU time that it took for each of n things.
func cpu(b *testing.B, unit string, n int, f func()) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ResetTimer()
	begin := cputime.Thread()
	f()
	ns := float64(cputime.Thread()-begin) / float64(n)
	b.StopTimer()
	b.ReportMetric(ns, unit)
	return ns
}

const headers = 1 << 16

// lookUp finds the rules of headers in vectors, addresses and all.
func (s *classSet) lookUp(b *testing.B, unit string, hs []classbench.Header) float64 {
	var (
		refs    [64]Ref
		keys    [64]Key
		scopes  [128]uint32
		addrs   [128]packet.Addr
		classes [128]Class
	)
	hit := 0
	return cpu(b, unit, b.N, func() {
		at := 0
		for n := 0; n < b.N; n += 64 {
			for i := range keys {
				h := &hs[(at+i)&(headers-1)]
				addrs[2*i], addrs[2*i+1] = h.Src, h.Dst
			}
			s.table.ClassVector(scopes[:], addrs[:], classes[:])
			for i := range keys {
				h := &hs[(at+i)&(headers-1)]
				keys[i] = Key{
					Src: classes[2*i], Dst: classes[2*i+1], Port: 1, Direction: policy.In,
					Protocol: h.Protocol, SrcPort: h.SrcPort, DstPort: h.DstPort,
				}
			}
			at += 64
			s.table.LookupVector(0, keys[:], refs[:])
			hit += int(refs[0])
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	eachSet(b, func(b *testing.B, s *classSet) {
		b.Run("random", func(b *testing.B) { s.lookUp(b, "cpu-ns/lookup", s.Random(headers, 1)) })
		b.Run("skewed", func(b *testing.B) { s.lookUp(b, "cpu-ns/lookup", s.Skewed(headers, 1)) })
	})
}

// BenchmarkSingle is one Lookup at a time, classes known.
func BenchmarkSingle(b *testing.B) {
	eachSet(b, func(b *testing.B, s *classSet) {
		hs := s.Random(headers, 1)
		keys := make([]Key, 4096)
		for i := range keys {
			p := packetOf(hs[i])
			keys[i] = keyOf(s.table, &s.in, &p)
		}
		hit := Ref(0)
		cpu(b, "cpu-ns/lookup", b.N, func() {
			for n := range b.N {
				hit = s.table.Lookup(0, &keys[(n+int(hit>>31))&4095]) // one after the other
			}
		})
	})
}

func BenchmarkBuild(b *testing.B) {
	eachSet(b, func(b *testing.B, s *classSet) {
		cpu(b, "cpu-ns/build", b.N, func() {
			for range b.N {
				_, err := NewCompiler().Compile(&s.in)
				require.NoError(b, err)
			}
		})
		st := s.table.Stats()
		b.ReportMetric(float64(st.Memory)/float64(st.Rules), "bytes/rule")
		b.ReportMetric(float64(st.Deepest), "accesses")
		b.ReportMetric(float64(st.Classes), "classes")
		b.ReportMetric(float64(st.Trees), "trees")
	})
}

// BenchmarkUpdate changes one rule of a section of a thousand at a time, another each time.
func BenchmarkUpdate(b *testing.B) {
	eachSet(b, func(b *testing.B, s *classSet) {
		rng := rand.New(rand.NewPCG(1, 1))
		in := s.in
		worst := int64(0)
		cpu(b, "cpu-ns/update", b.N, func() {
			for range b.N {
				in.Tiers = [][]*policy.Section{slices.Clone(in.Tiers[0])}
				at := rng.IntN(len(in.Tiers[0]))
				sec := *in.Tiers[0][at]
				sec.Rules = slices.Clone(sec.Rules)
				r := &sec.Rules[rng.IntN(len(sec.Rules))]
				r.Source, r.Destination = r.Destination, r.Source
				in.Tiers[0][at] = &sec
				begin := cputime.Thread()
				_, err := s.c.Compile(&in)
				worst = max(worst, int64(cputime.Thread()-begin))
				require.NoError(b, err)
			}
		})
		b.ReportMetric(float64(worst)/1e6, "worst-cpu-ms")
	})
}

// BenchmarkMembers adds a pod to ten of the groups of a policy, and a prefix to a set: 5000 pods, 10000 rules
// between groups of those that have a label in common.
func BenchmarkMembers(b *testing.B) {
	in := labelled(5000, 10_000)
	c := NewCompiler()
	table, err := c.Compile(&in)
	require.NoError(b, err)
	b.Logf("%+v", table.Stats())
	rng := rand.New(rand.NewPCG(1, 1))
	change := func(b *testing.B, f func(i int)) {
		worst := int64(0)
		cpu(b, "cpu-ns/update", b.N, func() {
			for i := range b.N {
				in.Sets, in.Endpoints = slices.Clone(in.Sets), slices.Clone(in.Endpoints)
				f(i)
				begin := cputime.Thread()
				_, err := c.Compile(&in)
				worst = max(worst, int64(cputime.Thread()-begin))
				require.NoError(b, err)
			}
		})
		b.ReportMetric(float64(worst)/1e6, "worst-cpu-ms")
	}
	b.Run("pod", func(b *testing.B) {
		change(b, func(i int) {
			number := uint16(len(in.Endpoints))
			in.Endpoints = append(in.Endpoints, podEndpoint(number))
			for range 10 {
				at := 2 + rng.IntN(len(in.Sets)-2)
				in.Sets[at] = &policy.Set{Ports: toggle(in.Sets[at].Ports, number, true), Prefixes: in.Sets[at].Prefixes}
			}
		})
	})
	b.Run("prefix", func(b *testing.B) {
		change(b, func(i int) {
			at := 2 + rng.IntN(len(in.Sets)-2)
			p := shorten(packet.AddrFrom4(&[4]byte{172, byte(i >> 8), byte(i), 0}), 120)
			in.Sets[at] = &policy.Set{Ports: in.Sets[at].Ports, Prefixes: []policy.Prefix{p}}
		})
	})
}

func podEndpoint(number uint16) *policy.Endpoint {
	a := packet.AddrFrom4(&[4]byte{10, 244, byte(number >> 8), byte(number)})
	return &policy.Endpoint{Number: number, Addresses: []packet.Addr{a}}
}

// labelled is a policy as those of Kubernetes are: pods with a namespace, an application and a tier, groups of
// pods that have one or two labels in common, and rules at a group about another.
func labelled(pods, rules int) Input {
	rng := rand.New(rand.NewPCG(4, 4))
	in := Input{Sets: make([]*policy.Set, 2)}
	groups := map[[3]int][]uint16{}
	for i := range uint16(pods) {
		in.Endpoints = append(in.Endpoints, podEndpoint(i))
		label := [3]int{1 + rng.IntN(20), 1 + rng.IntN(30), 1 + rng.IntN(4)}
		for bits := 1; bits < 8; bits++ {
			var key [3]int
			for d := range key {
				key[d] = label[d] * (bits >> d & 1)
			}
			groups[key] = append(groups[key], i)
		}
	}
	var keys [][3]int
	for key := range groups {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [3]int) int { return slices.Compare(a[:], b[:]) })
	for _, key := range keys {
		in.Sets = append(in.Sets, &policy.Set{Ports: groups[key]})
	}
	in.Tiers = rulesOf(rules, func(_ int, r *policy.Rule) {
		r.Directions = policy.In
		r.AppliedTo, r.Source = policy.SetID(2+rng.IntN(len(keys))), policy.SetID(2+rng.IntN(len(keys)))
		at := uint16(8000 + rng.IntN(30))
		r.Services = []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: at, Last: at}}}}
	})
	return in
}
