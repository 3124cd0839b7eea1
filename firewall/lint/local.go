package lint

import (
	"math/bits"
	"slices"
)

// local is a search among few classes: those that the boxes in hand tell apart within the region.
//
// A node of the search is a region, a product of sets of classes. A box that covers it ends it. A box
// that covers it in all dimensions but one takes its part away there. If only boxes remain that leave
// more than one dimension open, one of them divides the region:
//
//	┌────────────┬───────┐   the box, and what is outside
//	│            │  1    │   of it in the first dimension,
//	│     ┌──────┤       │   and what is inside there
//	│  2  │ box  │       │   but outside in the second
//	└─────┴──────┴───────┘
type local struct {
	s    *searcher
	rest []uint32

	class  [numDims][]uint32 // by class of the layer: the local one, valid for the region's
	target [numDims][]uint32 // by class of the layer: one that stands for the local class
	n      [numDims]int      // local classes

	members []uint32
	values  [numDims]map[uint32][]uint64 // by value: its local classes; nil is all
	words   []uint64                     // room for sets of local classes
	used    int
}

// clause is a box in terms of local classes; nil is all.
type clause [numDims][]uint64

func (l *local) init(s *searcher) {
	l.s = s
	for d := range s.y.nd {
		l.values[d] = make(map[uint32][]uint64)
	}
}

// take returns n words of zeros.
func (l *local) take(n int) []uint64 {
	if l.used+n > len(l.words) {
		l.words = make([]uint64, max(2*len(l.words), n, 1<<12))
		l.used = 0
	}
	w := l.words[l.used : l.used+n : l.used+n]
	clear(w)
	l.used += n
	return w
}

// solve looks for a cell of the region that is in none of the boxes.
func (l *local) solve(boxes []uint32) answer {
	l.used = 0
	var region clause
	for d := range l.s.y.nd {
		region[d] = l.sort(d, boxes)
	}
	clauses := make([]clause, len(boxes))
	rest := make([]open, len(boxes))
	for i, b := range boxes {
		for d := range l.s.y.nd {
			clauses[i][d] = l.values[d][l.s.y.boxes[b].v[d]]
		}
		rest[i].clause = &clauses[i]
	}
	return l.node(&region, 0, rest)
}

// sort finds the local classes of a dimension, and returns all of them as a set.
func (l *local) sort(d int, boxes []uint32) []uint64 {
	y := l.s.y
	region := l.s.region[d]
	clear(l.values[d])
	size := 0
	members := l.members[:0]
	region.each(func(c uint32) {
		members = append(members, c)
		size++
	})
	if len(l.class[d]) == 0 {
		l.class[d] = make([]uint32, y.dims[d].n)
	}
	of := l.class[d]
	for i, c := range members {
		of[c] = uint32(i)
	}
	parts := newPartition(size)
	inside := make([]uint32, 0, size)
	each := func(v uint32) []uint32 {
		inside = inside[:0]
		t := y.dims[d].values[v]
		for i, end := max(region.first, t.first), min(region.end(), t.end()); i < end; i++ {
			for w := region.words[i-region.first] & t.words[i-t.first]; w != 0; w &= w - 1 {
				inside = append(inside, of[i<<6+bits.TrailingZeros64(w)])
			}
		}
		return inside
	}
	for _, b := range boxes {
		v := y.boxes[b].v[d]
		if _, seen := l.values[d][v]; seen {
			continue
		}
		l.values[d][v] = nil
		if in := each(v); len(in) < size {
			parts.split(in)
		}
	}
	parts.compact()
	l.n[d] = int(parts.n)
	l.target[d] = append(l.target[d][:0], make([]uint32, parts.n)...)
	for i := size - 1; i >= 0; i-- {
		l.target[d][parts.class[i]] = members[i]
	}
	words := (l.n[d] + 63) / 64
	for v := range l.values[d] {
		in := each(v)
		if len(in) == size {
			continue
		}
		w := l.take(words)
		for _, m := range in {
			c := parts.class[m]
			w[c>>6] |= 1 << (c & 63)
		}
		l.values[d][v] = w
	}
	l.members = members
	all := l.take(words)
	for c := range l.n[d] {
		all[c>>6] |= 1 << (c & 63)
	}
	return all
}

// relation is how a box lies in a region, in one dimension.
func relation(region, box []uint64) (apart, covers bool) {
	if box == nil {
		return false, true
	}
	apart, covers = true, true
	for i, r := range region {
		if r&box[i] != 0 {
			apart = false
		}
		if r&^box[i] != 0 {
			covers = false
		}
	}
	return apart, covers
}

// open is a clause that leaves several dimensions open: a set of bits.
type open struct {
	clause *clause
	dims   uint8
}

// node looks for a cell of a region outside of all boxes. The sets of dimensions in owned are the
// node's to change.
func (l *local) node(region *clause, owned uint8, rest []open) answer {
	for again := true; again; {
		again = false
		kept := rest[:0]
		for _, o := range rest {
			l.s.steps--
			apart, dims := l.compare(region, o.clause)
			switch {
			case apart:
			case dims == 0:
				return none
			case dims&(dims-1) == 0:
				d := bits.TrailingZeros8(dims)
				if owned&dims == 0 {
					region[d] = slices.Clone(region[d])
					owned |= dims
				}
				for i, w := range o.clause[d] {
					region[d][i] &^= w
				}
				again = true
			default:
				kept = append(kept, open{o.clause, dims})
			}
		}
		rest = kept
	}
	if len(rest) == 0 {
		l.witness(region)
		return found
	}
	if l.s.steps <= 0 {
		return undecided
	}
	return l.divide(region, rest)
}

// compare says whether a box lies apart from a region, or else which dimensions it leaves open.
func (l *local) compare(region, box *clause) (apart bool, dims uint8) {
	for d := range l.s.y.nd {
		apart, covers := relation(region[d], box[d])
		if apart {
			return true, 0
		}
		if !covers {
			dims |= 1 << d
		}
	}
	return false, dims
}

// divide looks at what is outside of one of the clauses, the one that leaves the fewest dimensions open.
func (l *local) divide(region *clause, rest []open) answer {
	by := rest[0]
	for _, o := range rest[1:] {
		if bits.OnesCount8(o.dims) < bits.OnesCount8(by.dims) {
			by = o
		}
	}
	result := none
	inside := *region
	for dims := by.dims; dims != 0; dims &= dims - 1 {
		d := bits.TrailingZeros8(dims)
		part := inside
		part[d] = make([]uint64, len(inside[d]))
		within := make([]uint64, len(inside[d]))
		for i, w := range inside[d] {
			part[d][i] = w &^ by.clause[d][i]
			within[i] = w & by.clause[d][i]
		}
		switch l.node(&part, 1<<d, slices.Clone(rest)) {
		case found:
			return found
		case undecided:
			result = undecided
			if l.s.steps <= 0 {
				return undecided
			}
		}
		inside[d] = within
	}
	return result
}

// witness notes a cell of a region.
func (l *local) witness(region *clause) {
	for d := range l.s.y.nd {
		first := set{0, region[d]}.lowest()
		l.s.cell.class[d] = l.target[d][first]
	}
}
