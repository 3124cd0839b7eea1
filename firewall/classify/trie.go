package classify

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// trie finds the class of an address by the longest prefix that it is in. It goes byte by byte, but
// passes over bytes that all prefixes below share; of an IPv4 address the first two are one step:
//
//	10.1.2.3 ─▶ root4[10.1] ─▶ node at byte 14 ─▶ node at byte 15 ─▶ class
//	               │                 └── or a wide node, and its row of 256
//	               └── or a class
//
// So IPv4 takes at most 5 memory accesses, and IPv6 32; of prefixes that people use, 3 and 3 to 6.
type trie struct {
	root4 []uint32 // by the first half of an IPv4 address; one element if there are no prefixes of IPv4
	root6 uint32
	nodes []trieNode    // only grows, as arenas do
	wide  [][256]uint32 // likewise
}

// trieNode is one byte of an address that matters, in one cache line.
type trieNode struct {
	prefix packet.Addr // the bytes before it; the others are 0
	// bounds has where the 2nd to 8th run of values of the byte begin, in ascending order from the
	// lowest byte on; the uppermost byte is the number of the byte that is looked at, with trieWide if the row next[0] of
	// wide says where to go.
	bounds uint64
	next   [8]uint32 // for each run: a class, or with trieInner a node
	miss   uint32    // class of addresses with another prefix
}

const (
	trieInner = 1 << 31
	trieWide  = 1 << 63
)

// class returns the class of an address.
func (t *trie) class(a packet.Addr) uint32 {
	ref := t.root6
	if a.Is4() {
		at := int(bits.ReverseBytes16(uint16(a[1] >> 32)))
		ref = t.root4[at&(len(t.root4)-1)]
	}
	for ref&trieInner != 0 {
		ref = t.step(&t.nodes[ref&^trieInner], a)
	}
	return ref
}

func (t *trie) step(n *trieNode, a packet.Addr) uint32 {
	const high, ones = 0x8080808080808080, 0x0101010101010101
	at := uint(n.bounds >> 56 & 0xf)
	before := uint64(1)<<(8*at) - 1 // of the first word: all ones from 8 on
	beyond := uint64(1)<<(8*max(at, 8)-64) - 1
	if (a[0]^n.prefix[0])&before|(a[1]^n.prefix[1])&beyond != 0 {
		return n.miss
	}
	x := a[at>>3&1] >> (8 * (at & 7)) & 0xff
	if n.bounds&trieWide != 0 {
		return t.wide[n.next[0]][x]
	}
	// Eight comparisons of bytes in one word: the high bits of those that x has reached.
	x *= ones
	reached := (x&^n.bounds | ^(x^n.bounds)&((x|high)-n.bounds&^high)) & (high >> 8)
	return n.next[bits.OnesCount64(reached)&7]
}

// prefixNode is a prefix that sets have.
type prefixNode struct {
	policy.Prefix
	hi, lo uint64         // the address, for order
	sets   []policy.SetID // that have just this prefix, ascending
	class  uint32         // of addresses for which it is the longest
}

func newPrefixNode(p policy.Prefix) prefixNode {
	return prefixNode{Prefix: p, hi: bits.ReverseBytes64(p.Addr[0]), lo: bits.ReverseBytes64(p.Addr[1])}
}

// compare orders prefixes so that those within another follow it.
func (n *prefixNode) compare(m *prefixNode) int {
	switch {
	case n.hi != m.hi:
		if n.hi < m.hi {
			return -1
		}
		return 1
	case n.lo != m.lo:
		if n.lo < m.lo {
			return -1
		}
		return 1
	}
	return int(n.Bits) - int(m.Bits)
}

// contains reports whether m is n or within it.
func (n *prefixNode) contains(m *prefixNode) bool { return n.Bits <= m.Bits && n.Contains(m.Addr) }

// prefixList is prefixes in order.
type prefixList []prefixNode

func (l prefixList) find(n *prefixNode) (int, bool) {
	i := sort.Search(len(l), func(i int) bool { return l[i].compare(n) >= 0 })
	return i, i < len(l) && l[i].compare(n) == 0
}

// within returns from where to where the prefixes in p, and p itself, are.
func (l prefixList) within(p policy.Prefix) (i, j int) {
	n := newPrefixNode(p)
	i, _ = l.find(&n)
	return i, i + sort.Search(len(l)-i, func(k int) bool { return !p.Contains(l[i+k].Addr) })
}

// shorten returns the first so many bits of an address as a prefix.
func shorten(a packet.Addr, n uint8) policy.Prefix {
	b := a.As16()
	for i := range b {
		switch left := int(n) - 8*i; {
		case left <= 0:
			b[i] = 0
		case left < 8:
			b[i] &= 0xff << (8 - left)
		}
	}
	return policy.Prefix{Addr: packet.AddrFrom16(&b), Bits: n}
}

var mapped4 = policy.Prefix{Addr: packet.AddrFrom4(&[4]byte{}), Bits: 96}

// fill makes the trie of all prefixes anew. base is the class of addresses without any.
func (t *trie) fill(l prefixList, base uint32) {
	*t = trie{root4: []uint32{base}}
	t.fill6(l, base)
	if i, j := l.within(mapped4); i < j {
		t.root4 = make([]uint32, 1<<16)
	}
	t.fill4(l, mapped4, t.base(l, mapped4, base))
}

// base returns the class of an address of p, as far as shorter prefixes say it.
func (t *trie) base(l prefixList, p policy.Prefix, base uint32) uint32 {
	if i := l.parent(p); i >= 0 {
		return l[i].class
	}
	return base
}

// parent returns the index of the longest prefix that p is within, or -1.
func (l prefixList) parent(p policy.Prefix) int {
	// What p is within stands before it; each prefix between the two narrows down how long it may be.
	n := newPrefixNode(p)
	i, _ := l.find(&n)
	for i--; i >= 0; {
		m := &l[i]
		if m.contains(&n) {
			return i
		}
		common := commonBits(m, &n)
		up := newPrefixNode(shorten(p.Addr, common))
		j, found := l.find(&up)
		if found {
			return j
		}
		i = j - 1
	}
	return -1
}

// commonBits returns how many bits two addresses begin with alike.
func commonBits(a, b *prefixNode) uint8 {
	if a.hi != b.hi {
		return uint8(bits.LeadingZeros64(a.hi ^ b.hi))
	}
	return uint8(min(127, 64+bits.LeadingZeros64(a.lo^b.lo)))
}

// fill6 makes what is not about IPv4.
func (t *trie) fill6(l prefixList, base uint32) {
	i, j := l.within(mapped4)
	rest := slices.Concat(l[:i], l[j:])
	if len(rest) > 0 && rest[0].Bits == 0 {
		base, rest = rest[0].class, rest[1:]
	}
	t.root6 = t.make(rest, base)
}

// fill4 makes what is within p, which is of IPv4; root4 may be written.
func (t *trie) fill4(l prefixList, p policy.Prefix, base uint32) {
	if len(t.root4) == 1 {
		t.root4[0] = base
		return
	}
	p = shorten(p.Addr, min(p.Bits, 112))
	first := int(bits.ReverseBytes16(uint16(p.Addr[1] >> 32)))
	i, j := l.within(p)
	cells := t.root4[first : first+1<<(112-p.Bits)]
	t.cells(cells, l[i:j], base, 14, func(n *prefixNode) int { return int(n.lo>>16&0xffff) - first })
}

// cells fills a row for one step: what it leads to, where prefixes end at byte to at the latest, and nodes
// where they are longer.
func (t *trie) cells(cells []uint32, l prefixList, base uint32, to int, index func(*prefixNode) int) {
	for i := range cells {
		cells[i] = base
	}
	for i := 0; i < len(l); {
		at := index(&l[i])
		if l[i].Bits <= uint8(8*to) {
			for k := range 1 << (8*to - int(l[i].Bits)) {
				cells[at+k] = l[i].class
			}
			i++
			continue
		}
		j := i + 1
		for j < len(l) && index(&l[j]) == at && l[j].Bits > uint8(8*to) {
			j++
		}
		cells[at] = t.make(l[i:j], cells[at])
		i = j
	}
}

// make returns a reference to what decides among prefixes, and base.
func (t *trie) make(l prefixList, base uint32) uint32 {
	if len(l) == 0 {
		return base
	}
	at := int(commonBits(&l[0], &l[len(l)-1])) / 8
	for i := range l {
		at = min(at, int(l[i].Bits-1)/8)
	}
	var row [256]uint32
	t.cells(row[:], l, base, at+1, func(n *prefixNode) int {
		return int(n.Addr[at>>3] >> (8 * (at & 7)) & 0xff)
	})
	n := trieNode{prefix: shorten(l[0].Addr, uint8(8*at)).Addr, miss: base}
	runs := 1
	n.next[0] = row[0]
	var bounds [8]byte
	for v := 1; v < 256 && runs <= 8; v++ {
		if row[v] != row[v-1] {
			if runs < 8 {
				bounds[runs-1], n.next[runs] = byte(v), row[v]
			}
			runs++
		}
	}
	bounds[7] = byte(at)
	if runs > 8 {
		bounds[7] |= trieWide >> 56
		n.next[0] = uint32(len(t.wide))
		t.wide = append(t.wide, row)
	} else {
		for i := runs; i < 8; i++ { // 255 has reached those that are not there
			bounds[i-1], n.next[i] = 255, n.next[runs-1]
		}
	}
	n.bounds = binary.LittleEndian.Uint64(bounds[:])
	t.nodes = append(t.nodes, n)
	return uint32(len(t.nodes)-1) | trieInner
}

// size returns how many bytes the trie takes.
func (t *trie) size() int { return 4*len(t.root4) + 64*len(t.nodes) + 1024*len(t.wide) }

// depth returns how many memory accesses the longest ways to an IPv4 and to an IPv6 address take.
func (t *trie) depth() (v4, v6 int) {
	below := make([]uint8, len(t.nodes)) // children stand before their parents
	way := func(ref uint32) uint8 {
		if ref&trieInner == 0 {
			return 0
		}
		return below[ref&^trieInner]
	}
	for i := range t.nodes {
		n := &t.nodes[i]
		next, cost := n.next[:], uint8(1)
		if n.bounds&trieWide != 0 {
			next, cost = t.wide[n.next[0]][:], 2
		}
		deepest := uint8(0)
		for _, ref := range next {
			deepest = max(deepest, way(ref))
		}
		below[i] = cost + deepest
	}
	for _, ref := range t.root4 {
		v4 = max(v4, 1+int(way(ref)))
	}
	return v4, int(way(t.root6))
}
