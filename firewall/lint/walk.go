package lint

import (
	"math/bits"
	"slices"
)

// extent is where the boxes of a list and their tiers begin and end.
type extent struct {
	from, split, to uint32   // tier 0 is before split, tier 1 from there
	decided         uint32   // behind the last box of tier 0 that decides
	jumps           []uint32 // entries that jump
}

func (y *layer) extents() []extent {
	all := make([]extent, len(y.lists))
	for i := range y.entries {
		e := &y.entries[i]
		x := &all[e.list]
		if i == 0 || y.entries[i-1].list != e.list {
			x.from, x.split = e.from, e.from
		}
		if e.tier == 0 {
			x.split = e.to
			if !e.jump() {
				x.decided = e.to
			}
		}
		x.to = e.to
		if e.jump() && e.from < e.to {
			x.jumps = append(x.jumps, uint32(i))
		}
	}
	return all
}

// takes calls f with queries for packets of base that an entry decides, or lets jump: those that match it
// and no entry that is asked before. Together the queries are all of them. It stops when f
// returns false.
//
// What reaches tier 1 has matched nothing in tier 0, or first of all an entry that jumps.
func (s *searcher) takes(base query, number uint32, f func(*query) bool) {
	e := &s.y.entries[number]
	for b := e.from; b < e.to; b++ {
		if !s.takesBox(base, b, f) {
			return
		}
	}
}

// takesBox is takes for packets that match one box of an entry; it returns false if f has.
func (s *searcher) takesBox(base query, b uint32, f func(*query) bool) bool {
	y := s.y
	e := &y.entries[y.boxes[b].entry]
	x := &y.extent[e.list]
	if e.tier == 0 {
		q := base.and(b).minus(span{x.from, e.from, false})
		return f(&q)
	}
	in := base.and(b).minus(span{x.split, e.from, false})
	q := in.minus(span{x.from, x.split, true})
	if !f(&q) {
		return false
	}
	for _, number := range x.jumps {
		j := &y.entries[number]
		if s.gone.has(j.from) || x.decided <= j.to {
			continue // gone, or what jumps there would reach tier 1 anyway
		}
		for jb := j.from; jb < j.to; jb++ {
			q := in.and(jb).minus(span{x.from, j.from, true})
			if !f(&q) {
				return false
			}
		}
	}
	return true
}

// first returns the answer to whether an entry takes a packet of base.
func (s *searcher) first(base query, number uint32) answer {
	result := none
	s.takes(base, number, func(q *query) bool {
		switch s.find(q) {
		case found:
			result, s.last = found, *q
			return false
		case undecided:
			result = undecided
		}
		return true
	})
	return result
}

// firstOf is first for packets that match any box of another entry, too.
func (s *searcher) firstOf(of uint32, base query, number uint32) answer {
	result := none
	for b := s.y.entries[of].from; b < s.y.entries[of].to; b++ {
		switch s.first(base.and(b), number) {
		case found:
			return found
		case undecided:
			result = undecided
		}
	}
	return result
}

// neighbours returns the entries between two boxes that have something in common with an entry, in order.
func (s *searcher) neighbours(of, from, to uint32) []uint32 {
	var all []uint32
	for b := s.y.entries[of].from; b < s.y.entries[of].to; b++ {
		all = append(all, s.meeting(b, from, to)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// meeting is neighbours for one box.
func (s *searcher) meeting(box, from, to uint32) []uint32 {
	q := query{}.and(box).minus(span{from, to, false})
	s.overlapping(&q)
	var all []uint32
	for i, w := range s.row {
		for ; w != 0; w &= w - 1 {
			all = append(all, s.y.boxes[i<<6+bits.TrailingZeros64(w)].entry)
		}
	}
	return slices.Compact(all)
}

// covers reports whether one box of an entry has all packets of another entry; false may be wrong.
func (y *layer) covers(number, of uint32) bool {
	for b := y.entries[of].from; b < y.entries[of].to; b++ {
		if !y.coversBox(number, b) {
			return false
		}
	}
	return true
}

// coversBox is covers for one box.
func (y *layer) coversBox(number, box uint32) bool {
	for b := y.entries[number].from; b < y.entries[number].to; b++ {
		if y.boxWithin(box, b) {
			return true
		}
	}
	return false
}

func (y *layer) boxWithin(b, c uint32) bool {
	for d := range y.nd {
		v, w := y.boxes[b].v[d], y.boxes[c].v[d]
		if v != w && w != anything && !y.dims[d].values[v].within(y.dims[d].values[w]) {
			return false
		}
	}
	return true
}

// reached returns those of entries in order that some packet of a region may get to, given which of them
// cover the region.
func (y *layer) reached(entries []uint32, covers func(number uint32) bool) []uint32 {
	all := entries[:0]
	tier0, jumped := true, false
	for _, q := range entries {
		o := &y.entries[q]
		if o.tier == 0 && !tier0 {
			continue
		}
		all = append(all, q)
		jumped = jumped || o.jump()
		if !covers(q) {
			continue
		}
		if o.tier == 1 || !jumped {
			break
		}
		tier0 = false // what has jumped goes on in tier 1
	}
	return all
}
