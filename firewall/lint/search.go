package lint

import (
	"math/bits"
)

// query asks for a packet that matches all of some boxes and none of many others.
type query struct {
	all [maxAll]uint32 // boxes to match
	n   int            // how many of all there are
	not [maxNot]span   // boxes not to match
	m   int            // how many of not there are
	own *limits        // narrower still; nil is not
}

const (
	maxAll = 4
	maxNot = 6
)

// span is boxes that follow each other.
type span struct {
	from, to uint32
	decisive bool // without those of entries that jump
}

// limits are classes that a packet's have to be among, by dimension.
type limits [atDst + 1]*set

func (q query) and(boxes ...uint32) query {
	q.n += copy(q.all[q.n:], boxes)
	return q
}

func (q query) minus(spans ...span) query {
	q.m += copy(q.not[q.m:], spans)
	return q
}

// answer is what a search comes to.
type answer uint8

const (
	none answer = iota
	found
	undecided // the budget ended first
)

// cell is packets that no rule tells apart: a class in each dimension.
type cell struct {
	place int
	class [numDims]uint32
}

// searcher answers queries. Its work is counted in steps: looks at a box.
type searcher struct {
	y        *layer
	each     int // steps that a query may take
	left     int // steps that there are in all; then each query has few
	fewSteps int

	gone row // boxes of entries that are as if they were not there

	steps      int // of the query in hand
	row        row
	candidates []uint32
	region     [numDims]set
	room       [numDims][2][]uint64
	cell       cell
	last       query // whose answer cell is
	counts     []int32
	local      local
}

func newSearcher(y *layer, o *Options) *searcher {
	s := &searcher{y: y, each: o.Budget, left: o.Total, fewSteps: 1 + o.Budget/256}
	s.row, s.gone = make(row, (len(y.boxes)+63)/64), make(row, (len(y.boxes)+63)/64)
	most := 0
	for d := range y.nd {
		most = max(most, y.dims[d].n)
		for i := range s.room[d] {
			s.room[d][i] = make([]uint64, (y.dims[d].n+63)/64)
		}
	}
	s.counts = make([]int32, most)
	s.local.init(s)
	return s
}

// leaveOut makes an entry as if it were not there, or as it is.
func (s *searcher) leaveOut(number uint32, out bool) {
	e := &s.y.entries[number]
	for b := e.from; b < e.to; b++ {
		s.gone[b>>6] &^= 1 << (b & 63)
		if out {
			s.gone[b>>6] |= 1 << (b & 63)
		}
	}
}

// find answers a query. If the answer is found, s.cell is one.
func (s *searcher) find(q *query) answer {
	s.steps = s.each
	if s.left <= 0 {
		s.steps = s.fewSteps
	}
	before := s.steps
	defer func() { s.left -= before - s.steps }()

	s.overlapping(q)
	result := none
	for i := range s.y.places {
		if !s.enter(i, q) {
			continue
		}
		switch s.findHere() {
		case found:
			s.cell.place = i
			return found
		case undecided:
			result = undecided
		}
	}
	return result
}

// overlapping sets s.row to the boxes not to match that have something in common with those to match.
func (s *searcher) overlapping(q *query) {
	y := s.y
	clear(s.row)
	for _, sp := range q.not[:q.m] {
		for i := sp.from >> 6; i<<6 < sp.to; i++ {
			w := ^uint64(0)
			if i == sp.from>>6 {
				w <<= sp.from & 63
			}
			if i == sp.to>>6 {
				w &= 1<<(sp.to&63) - 1
			}
			if sp.decisive {
				w &^= y.jumps[i]
			}
			s.row[i] |= w &^ s.gone[i]
		}
	}
	first, end := 0, len(s.row)
	for first < end && s.row[first] == 0 {
		first++
	}
	for end > first && s.row[end-1] == 0 {
		end--
	}
	if first == end {
		return
	}
	for d := range y.nd {
		for i, b := range q.all[:q.n] {
			v := y.boxes[b].v[d]
			if v == anything || i > 0 && v == y.boxes[q.all[i-1]].v[d] {
				continue
			}
			o := y.dims[d].overlapping(v, len(s.row))
			for j := first; j < end; j++ {
				s.row[j] &= o[j]
			}
		}
	}
}

// enter sets s.region to what of a query is in a place; false: nothing is.
func (s *searcher) enter(place int, q *query) bool {
	y := s.y
	for d := range y.nd {
		r := y.dims[d].values[anything]
		use := 0
		narrow := func(t set) {
			r = r.and(t, s.room[d][use])
			use = 1 - use
		}
		for _, b := range q.all[:q.n] {
			if v := y.boxes[b].v[d]; v != anything {
				narrow(y.dims[d].values[v])
			}
		}
		if d <= atDst {
			narrow(y.places[place].masks[d])
			if q.own != nil && q.own[d] != nil {
				narrow(*q.own[d])
			}
		}
		if len(r.words) == 0 {
			return false
		}
		s.region[d] = r
	}
	return true
}

// findHere looks for a cell of s.region that is in no box of s.row.
func (s *searcher) findHere() answer {
	y := s.y
	s.candidates = s.candidates[:0]
	for i, w := range s.row {
	boxes:
		for ; w != 0; w &= w - 1 {
			b := uint32(i<<6 + bits.TrailingZeros64(w))
			s.steps--
			covered := true
			for d := range y.nd {
				v := y.boxes[b].v[d]
				if v == anything {
					continue
				}
				if !s.region[d].intersects(y.dims[d].values[v]) {
					continue boxes
				}
				covered = covered && s.region[d].within(y.dims[d].values[v])
			}
			if covered {
				return none
			}
			s.candidates = append(s.candidates, b)
		}
	}
	if s.descend() {
		return found
	}
	if s.steps <= 0 {
		return undecided
	}
	return s.local.solve(s.candidates)
}

// descend takes, in one dimension after the other, the class that is in the fewest candidates. That
// finds a cell most of the time where there is one, and costs little.
func (s *searcher) descend() bool {
	y := s.y
	rest := append(s.local.rest[:0], s.candidates...)
	defer func() { s.local.rest = rest[:0] }()
	for _, d := range [...]int{atSrc, atDst, atDstPort, atPoint, atProtocol, atSrcPort} {
		if d >= y.nd {
			continue
		}
		if len(rest) == 0 {
			s.cell.class[d] = s.region[d].lowest()
			continue
		}
		// Candidates that have all of the region count the same for each class.
		for _, b := range rest {
			if v := y.boxes[b].v[d]; v != anything {
				s.count(d, v, 1)
			}
		}
		best, least := uint32(0), int32(-1)
		s.region[d].each(func(c uint32) {
			if n := s.counts[c]; least < 0 || n < least {
				best, least = c, n
			}
			s.counts[c] = 0
		})
		s.steps -= len(rest)
		s.cell.class[d] = best
		kept := rest[:0]
		for _, b := range rest {
			if v := y.boxes[b].v[d]; v == anything || y.dims[d].values[v].has(best) {
				kept = append(kept, b)
			}
		}
		rest = kept
	}
	return len(rest) == 0
}

// count adds n to the counts of classes that a value and the region have in common.
func (s *searcher) count(d int, v uint32, n int32) {
	r, t := s.region[d], s.y.dims[d].values[v]
	for i, end := max(r.first, t.first), min(r.end(), t.end()); i < end; i++ {
		for w := r.words[i-r.first] & t.words[i-t.first]; w != 0; w &= w - 1 {
			s.counts[i<<6+bits.TrailingZeros64(w)] += n
		}
	}
}
