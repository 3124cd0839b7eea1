package classify

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/classbench"
	"github.com/sluice-net/sluice/packet"
)

func itoa(n uint32) string { return strconv.Itoa(int(n)) }

// agrees requires a Table to answer as Linear does, to so many packets.
func agrees(t *testing.T, w *world, table *Table, packets int) {
	t.Helper()
	var keys [64]Key
	var refs [64]Ref
	for n := 0; n < packets; n += len(keys) {
		var ps [64]Packet
		for i := range keys {
			ps[i] = w.packet()
			keys[i] = keyOf(table, &w.in, &ps[i])
		}
		for tier := range w.in.Tiers {
			table.LookupVector(tier, keys[:], refs[:])
			for i := range keys {
				if !w.in.Ethernet {
					var classes [2]Class
					table.ClassVector([]uint32{ps[i].Scope, ps[i].Scope}, []packet.Addr{ps[i].Src, ps[i].Dst}, classes[:])
					require.Equal(t, [2]Class{keys[i].Src, keys[i].Dst}, classes)
				}
				want := idOf(Linear(&w.in, tier, &ps[i]))
				require.Equal(t, want, idOf(table.Match(table.Lookup(tier, &keys[i]))), "tier %d: %+v", tier, ps[i])
				require.Equal(t, want, idOf(table.Match(refs[i])), "in a vector: tier %d: %+v", tier, ps[i])
			}
		}
	}
}

func TestAgreesWithLinear(t *testing.T) {
	worlds, changes := 60, 40
	if testing.Short() {
		worlds = 12
	}
	for seed := range uint64(worlds) {
		w := newWorld(seed, seed%4 == 3)
		c := NewCompiler()
		if seed%2 == 0 {
			c.large = 2 // so that trees are renewed, small though they are
		}
		for range changes {
			in := w.in
			table, err := c.Compile(&in)
			require.NoError(t, err, "seed %d", seed)
			agrees(t, w, table, 128)
			for range 1 + w.rng.IntN(3) {
				w.change()
			}
		}
	}
}

// FuzzTable has a policy, and changes of it, grow from the input: whatever they are, a Table answers as Linear does.
func FuzzTable(f *testing.F) {
	f.Add(uint64(1), uint8(3), false)
	f.Add(uint64(2), uint8(9), true)
	f.Fuzz(func(t *testing.T, seed uint64, changes uint8, ethernet bool) {
		w := newWorld(seed, ethernet)
		c := &Compiler{large: 2}
		for range 1 + changes%16 {
			in := w.in
			table, err := c.Compile(&in)
			require.NoError(t, err)
			agrees(t, w, table, 64)
			w.change()
		}
	})
}

// The answers do not depend on what was compiled before.
func TestNoHistory(t *testing.T) {
	for seed := range uint64(6) {
		w := newWorld(seed, false)
		c := &Compiler{large: 2}
		for range 60 {
			in := w.in
			_, err := c.Compile(&in)
			require.NoError(t, err)
			w.change()
		}
		in := w.in
		old, err := c.Compile(&in)
		require.NoError(t, err)
		fresh, err := NewCompiler().Compile(&in)
		require.NoError(t, err)
		for range 1000 {
			p := w.packet()
			a, b := keyOf(old, &in, &p), keyOf(fresh, &in, &p)
			require.Equal(t, idOf(fresh.Match(fresh.Lookup(0, &b))), idOf(old.Match(old.Lookup(0, &a))))
		}
	}
}

// A Table goes on answering for its Input while, and after, others are compiled.
func TestOldTables(t *testing.T) {
	w := newWorld(5, false)
	c := &Compiler{large: 2}
	type answer struct {
		p    Packet
		want string
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	for range 20 {
		in := w.in
		table, err := c.Compile(&in)
		require.NoError(t, err)
		var answers []answer
		for range 200 {
			p := w.packet()
			answers = append(answers, answer{p, idOf(Linear(&in, 0, &p))})
		}
		readers.Go(func() {
			for range 5 {
				for _, a := range answers {
					k := keyOf(table, &in, &a.p)
					if got := idOf(table.Match(table.Lookup(0, &k))); got != a.want {
						t.Errorf("%+v: %s, want %s", a.p, got, a.want)
					}
				}
			}
		})
		for range 3 {
			w.change()
		}
	}
}

func TestNoAllocations(t *testing.T) {
	s := newClassSet(t, classbench.Shapes()[1], 1000)
	hs := s.Random(64, 1)
	var (
		keys    [64]Key
		refs    [64]Ref
		scopes  [64]uint32
		addrs   [64]packet.Addr
		classes [64]Class
	)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for i, h := range hs {
			addrs[i] = h.Src
			keys[i] = Key{Src: s.table.Class(0, h.Src), Dst: s.table.MACClass(packet.Broadcast), Direction: policy.In, Protocol: h.Protocol}
			refs[i] = s.table.Lookup(0, &keys[i])
		}
		s.table.ClassVector(scopes[:], addrs[:], classes[:])
		s.table.LookupVector(0, keys[:], refs[:])
	}))
}

// Rule sets of ClassBench's kind, headers from the corners of their rules.
func TestClassBench(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, shape := range classbench.Shapes() {
		s := newClassSet(t, shape, 1000)
		require.Equal(t, 1000, s.table.Stats().Rules)
		for i := range 1000 {
			p := packetOf(s.Corner(rng, i))
			k := keyOf(s.table, &s.in, &p)
			require.Equal(t, idOf(Linear(&s.in, 0, &p)), idOf(s.table.Match(s.table.Lookup(0, &k))), "%s: %+v", shape.Name, p)
		}
	}
}

// Vectors of any length, without rules and without hits.
func TestEdges(t *testing.T) {
	empty, err := NewCompiler().Compile(&Input{Tiers: make([][]*policy.Section, 1)})
	require.NoError(t, err)
	require.Zero(t, empty.Lookup(0, &Key{Port: 65535, Direction: policy.Out}))
	require.Nil(t, empty.Match(0))
	refs := []Ref{7, 7}
	empty.LookupVector(0, make([]Key, 2), refs)
	require.Equal(t, []Ref{0, 0}, refs, "what was there is overwritten")

	s := newClassSet(t, classbench.Shapes()[0], 500)
	hs := s.Random(200, 1)
	var keys []Key
	var addrs []packet.Addr
	for _, h := range hs {
		p := packetOf(h)
		keys, addrs = append(keys, keyOf(s.table, &s.in, &p)), append(addrs, h.Src)
	}
	long := make([]Ref, 200)
	s.table.LookupVector(0, keys, long)
	classes := make([]Class, 200)
	s.table.ClassVector(make([]uint32, 200), addrs, classes)
	for i := range keys {
		require.Equal(t, s.table.Lookup(0, &keys[i]), long[i], "more than a vector")
		require.Equal(t, keys[i].Src, classes[i])
	}
}
