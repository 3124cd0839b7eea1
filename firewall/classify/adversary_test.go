package classify

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/classbench"
	"github.com/sluice-net/sluice/packet"
)

// accesses counts the cache lines that a Lookup of a key touches, as Stats.Deepest does.
func (t *Table) accesses(tier int, k *Key) int {
	var q query
	q.set(&t.tiers[tier], k, t.ports)
	n := 3
	for _, ref := range q.trees {
		n += t.accessesOfTree(ref, &q)
	}
	return n
}

func (t *Table) accessesOfTree(ref uint32, q *query) (n int) {
	for ref != 0 && ref&leafRef == 0 {
		n++
		ref = t.nodes[ref].step(&q.point)
	}
	if ref == 0 {
		return n
	}
	first := int(ref &^ leafRef)
	for at := first; ; {
		e := &t.entries[at]
		end := at + 1 + int(e.meta>>entryMoreBit&1)
		if e.meta&entryAsk != 0 && e.holds(&q.point, q.family) {
			n += t.rule(e.slot).wayOfAsk(e.meta & entryAsk >> entryDims)
		}
		hit := e.holds(&q.point, q.family) && (e.meta&(entryAsk|entryMore) == 0 || t.confirms(uint32(at), &q.point, q.family))
		if hit {
			n++ // its rank
		}
		if hit || e.meta&entryLast != 0 {
			return n + lines(first, end-first)
		}
		at = end
	}
}

// accessesOfClass counts the cache lines that Class touches.
func (t *Table) accessesOfClass(a packet.Addr) int {
	if !a.Is4() {
		return 0
	}
	n := 1
	for ref := t.trie.root4[int(uint16(a[1]>>40&0xff)|uint16(a[1]>>32&0xff)<<8)&(len(t.trie.root4)-1)]; ref&trieInner != 0; n++ {
		node := &t.trie.nodes[ref&^trieInner]
		if node.bounds&trieWide != 0 {
			n++
		}
		ref = t.trie.step(node, a)
	}
	return n
}

// cost is what a header takes in all.
func (s *classSet) cost(h classbench.Header) int {
	p := packetOf(h)
	k := keyOf(s.table, &s.in, &p)
	return s.table.accessesOfClass(h.Src) + s.table.accessesOfClass(h.Dst) + s.table.accesses(0, &k)
}

// hostile returns n headers that take as long as may be. They are made with all that can be known: of sources and
// destinations the ones with the longest ways through their own trees, put together with services
// with long ways through the common trees; then headers that differ from rules in one bit, as
// those against tuple spaces do; and of all these those that touch the most memory.
func (s *classSet) hostile(n int) []classbench.Header {
	rng := rand.New(rand.NewPCG(9, 9))
	pool := s.Random(headers, 9)
	worst := func(share int) []classbench.Header {
		slices.SortFunc(pool, func(a, b classbench.Header) int { return cmp.Compare(s.cost(b), s.cost(a)) })
		return slices.Clone(pool[:len(pool)/share])
	}
	known := worst(4)
	pool = pool[:0]
	for range 8 * n {
		h := known[rng.IntN(len(known))]
		switch rng.IntN(3) {
		case 0:
			h.Src = known[rng.IntN(len(known)/4)].Src
		case 1:
			h.Dst = known[rng.IntN(len(known)/4)].Dst
		default:
			o := known[rng.IntN(len(known)/4)]
			h.Protocol, h.SrcPort, h.DstPort = o.Protocol, o.SrcPort, o.DstPort
		}
		switch bit := rng.IntN(96); {
		case bit < 32:
			h.Src[1] ^= 1 << (32 + bit)
		case bit < 64:
			h.Dst[1] ^= 1 << bit
		case bit < 80:
			h.DstPort ^= 1 << (bit - 64)
		}
		pool = append(pool, h)
	}
	type costly struct {
		classbench.Header
		cost int
	}
	all := make([]costly, 0, len(pool))
	seen := map[classbench.Header]bool{}
	for _, h := range pool {
		if !seen[h] {
			seen[h] = true
			all = append(all, costly{h, s.cost(h)})
		}
	}
	slices.SortFunc(all, func(a, b costly) int { return cmp.Compare(b.cost, a.cost) })
	out := make([]classbench.Header, n)
	for i := range out {
		out[i] = all[i%min(n, len(all))].Header
	}
	rng.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func BenchmarkHostile(b *testing.B) {
	eachSet(b, func(b *testing.B, s *classSet) {
		benign, hostile := s.Random(headers, 1), s.hostile(headers)
		usual := s.lookUp(b, "benign-cpu-ns/lookup", benign)
		worst := s.lookUp(b, "hostile-cpu-ns/lookup", hostile)
		b.ReportMetric(worst/usual, "hostile/benign")
	})
}

// The bound that Stats gives holds for headers that are made to break it.
func TestBound(t *testing.T) {
	for _, shape := range classbench.Shapes() {
		s := newClassSet(t, shape, 2000)
		st := s.table.Stats()
		bound := st.Deepest + 2*st.Class4
		sum, most, worst := 0, 0, 0
		benign := s.Random(4096, 1)
		for _, h := range benign {
			n := s.cost(h)
			sum, most = sum+n, max(most, n)
		}
		for _, h := range s.hostile(4096) {
			worst = max(worst, s.cost(h))
		}
		mean := float64(sum) / float64(len(benign))
		require.LessOrEqual(t, worst, bound, shape.Name)
		require.LessOrEqual(t, most, worst, "%s: nothing is worse than what is made to be", shape.Name)
		require.Less(t, bound, 50, shape.Name)
		t.Logf("%s: benign %.1f accesses in the mean and %d at most, hostile %d, bound %d", shape.Name, mean, most, worst, bound)
	}
}
