package lint

import "math/bits"

// set is a set of small numbers as bits: words from the one with number first on. What lies outside of
// words is not in it. Sets are immutable once made.
type set struct {
	first int
	words []uint64
}

// fullSet returns the numbers below n.
func fullSet(n int) set {
	w := make([]uint64, (n+63)/64)
	for i := range w {
		w[i] = ^uint64(0)
	}
	if n%64 != 0 {
		w[len(w)-1] = 1<<(n%64) - 1
	}
	return set{0, w}
}

// trim cuts off words without bits at both ends.
func (s set) trim() set {
	for len(s.words) > 0 && s.words[0] == 0 {
		s.first++
		s.words = s.words[1:]
	}
	for n := len(s.words); n > 0 && s.words[n-1] == 0; n-- {
		s.words = s.words[:n-1]
	}
	return s
}

// word returns the word with number i.
func (s set) word(i int) uint64 {
	if i -= s.first; i >= 0 && i < len(s.words) {
		return s.words[i]
	}
	return 0
}

func (s set) end() int { return s.first + len(s.words) }

func (s set) has(n uint32) bool { return s.word(int(n>>6))>>(n&63)&1 != 0 }

func (s set) empty() bool {
	for _, w := range s.words {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) count() (n int) {
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) intersects(t set) bool {
	for i, end := max(s.first, t.first), min(s.end(), t.end()); i < end; i++ {
		if s.words[i-s.first]&t.words[i-t.first] != 0 {
			return true
		}
	}
	return false
}

// within reports whether all of s is in t.
func (s set) within(t set) bool {
	for i, w := range s.words {
		if w&^t.word(s.first+i) != 0 {
			return false
		}
	}
	return true
}

// and returns what is in both; its words are room, if they fit there.
func (s set) and(t set, room []uint64) set {
	first := max(s.first, t.first)
	n := min(s.end(), t.end()) - first
	if n <= 0 {
		return set{}
	}
	if cap(room) < n {
		room = make([]uint64, n)
	}
	room = room[:n]
	a, b := s.words[first-s.first:], t.words[first-t.first:]
	for i := range room {
		room[i] = a[i] & b[i]
	}
	return set{first, room}.trim()
}

// each calls f with the numbers in s, ascending.
func (s set) each(f func(n uint32)) {
	for i, w := range s.words {
		for base := uint32(s.first+i) << 6; w != 0; w &= w - 1 {
			f(base + uint32(bits.TrailingZeros64(w)))
		}
	}
}

// lowest returns the smallest number in s, which must not be empty.
func (s set) lowest() uint32 {
	for i, w := range s.words {
		if w != 0 {
			return uint32(s.first+i)<<6 + uint32(bits.TrailingZeros64(w))
		}
	}
	return 0
}

// partition sorts things with numbers from 0 into classes: those that no split has told apart.
type partition struct {
	class []uint32 // of each thing
	n     uint32   // classes so far, some of which may have lost all of theirs

	target []uint32 // by class: where its members go in this round
	round  []uint32 // by class: for which round target holds
	now    uint32
}

func newPartition(things int) *partition {
	return &partition{class: make([]uint32, things), n: 1}
}

// split tells members, none of which may be there twice, from all others.
func (p *partition) split(members []uint32) {
	if int(p.n) > 4*len(p.class)+64 {
		p.compact()
	}
	p.now++
	for _, m := range members {
		c := p.class[m]
		for int(p.n) >= len(p.round) {
			p.round = append(p.round, 0)
			p.target = append(p.target, 0)
		}
		if p.round[c] != p.now {
			p.round[c], p.target[c] = p.now, p.n
			p.n++
		}
		p.class[m] = p.target[c]
	}
}

// compact numbers the classes in the order of their first members, so that none is empty.
func (p *partition) compact() {
	names := make([]uint32, p.n)
	n := uint32(0)
	for i, c := range p.class {
		if names[c] == 0 {
			n++
			names[c] = n
		}
		p.class[i] = names[c] - 1
	}
	p.n = n
	clear(p.round)
}

// prefer gives the class of a thing the number 0: where any will do, the lowest is taken.
func (p *partition) prefer(thing int) {
	was := p.class[thing]
	for i, c := range p.class {
		switch c {
		case was:
			p.class[i] = 0
		case 0:
			p.class[i] = was
		}
	}
}

// of returns the classes of members as a set.
func (p *partition) of(members []uint32) set {
	if len(members) == 0 {
		return set{}
	}
	low, high := ^uint32(0), uint32(0)
	for _, m := range members {
		low, high = min(low, p.class[m]), max(high, p.class[m])
	}
	s := set{int(low >> 6), make([]uint64, high>>6-low>>6+1)}
	for _, m := range members {
		c := p.class[m]
		s.words[int(c>>6)-s.first] |= 1 << (c & 63)
	}
	return s
}
