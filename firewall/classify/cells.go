package classify

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// home is where a rule is looked for. One that names few ports has its entries in the trees of these ports,
// one that names few sources or destinations in the trees of their classes; the rest is in two
// trees for all. A lookup asks one tree of each.
type home uint8

const (
	homePoint   home = iota // trees by class of port and direction
	homeSrc                 // by class of the source
	homeDst                 // by class of the destination
	homeService             // one tree of rules about a few services
	homeRest                // and one of what is left
	homes
)

// cell is the rules of one tree. Immutable, but for uses.
type cell struct {
	slots  []uint32 // in the order of evaluation
	first  weight   // when it was last made from nothing
	ref    uint32   // into the arena
	weight weight
	alone  weight // what of it becomes garbage with it
	uses   int    // keys that have it
}

// cells is the trees of one home in one tier, by key: of ports, class << 1 | direction; of addresses the
// class; else 0.
type cells struct {
	home  home
	cells []*cell
	refs  []uint32 // of each
	depth []uint16 // of each
}

// settledBy is the dimensions that the key of a home has answered for.
var settledBy = [homes]uint8{homePoint: 1 << dimPoint, homeSrc: 1 << dimSrc, homeDst: 1 << dimDst}

// keys calls f for each key that a rule has at a home.
func (s *state) keys(r *rule, h home, f func(key uint32)) {
	switch h {
	case homePoint:
		for _, x := range r.dims[dimPoint] {
			if x.lo < outPoints {
				for _, c := range s.points.space.in(span{x.lo, min(x.hi, outPoints-1)}) {
					f(c << 1)
				}
			}
			if x.hi >= outPoints {
				for _, c := range s.points.space.in(span{max(x.lo, outPoints) - outPoints, x.hi - outPoints}) {
					f(c<<1 | 1)
				}
			}
		}
	case homeSrc, homeDst:
		for _, x := range r.dims[h] {
			for _, c := range s.addresses.space.in(x) {
				f(c)
			}
		}
	default:
		f(0)
	}
}

// count returns how many keys a rule has at a home.
func (s *state) count(r *rule, h home) (n int) {
	switch h {
	case homePoint:
		if r.match.Rule.AppliedTo == policy.Any {
			return math.MaxInt32
		}
		s.keys(r, h, func(uint32) { n++ })
		return n
	case homeSrc, homeDst:
		return s.addresses.space.count(r.dims[h])
	}
	return 1
}

// crowd returns how many rules have the same set as a rule in the dimension of a home.
func (s *state) crowd(r *rule, h home) int {
	at, users := r.match.Rule.AppliedTo, s.points.space.users
	switch h {
	case homeSrc:
		at, users = r.match.Rule.Source, s.addresses.space.users
	case homeDst:
		at, users = r.match.Rule.Destination, s.addresses.space.users
	}
	if at == policy.Any || int(at) >= len(users) {
		return math.MaxInt32
	}
	return len(users[at])
}

// choose returns the home of a rule: where it is in few trees, which few others are in.
func (s *state) choose(r *rule) home {
	best, least := homes, math.MaxInt
	for h := homePoint; h <= homeDst; h++ {
		n := s.count(r, h)
		if n > s.spread {
			continue
		}
		if cost := n * s.crowd(r, h); cost < least {
			best, least = h, cost
		}
	}
	if best < homes {
		return best
	}
	for i := range r.atoms {
		for _, x := range r.atoms[i].service {
			if x.hi-x.lo > 255 || len(r.atoms[i].service) > 16 {
				return homeRest
			}
		}
	}
	return homeService
}

// spreadFor returns in how many trees at most a rule may be, so that rules are in no more than averageSpread,
// on average.
func (s *state) spreadFor(slots []uint32) int {
	var rules, sums [16]int // by the power of two of the fewest keys
	for _, slot := range slots {
		r := s.rule(slot)
		n := min(s.count(r, homePoint), s.count(r, homeSrc), s.count(r, homeDst))
		for i := range sums {
			if n <= 1<<i {
				sums[i] += n
				rules[i]++
			}
		}
	}
	spread := 1
	for i := range sums {
		if sums[i] <= averageSpread*len(slots)+spreadAnyhow {
			spread = 1 << i
		}
	}
	return spread
}

const (
	averageSpread = 4
	// spreadAnyhow is how many more there may be in all: 4 MiB, so that few rules about large groups have short ways.
	spreadAnyhow = 1 << 17
)

// fillCells makes all trees of a tier.
func (s *state) fillCells(t *tier) {
	for _, slot := range t.order {
		if r := s.rule(slot); !r.void() {
			r.home = s.choose(r)
		}
	}
	for h := range homes {
		t.cells[h] = &cells{home: h}
		s.growCells(t.cells[h])
		cs := t.cells[h]
		ends := make([]int, len(cs.cells)+1)
		s.eachOf(t, h, func(_, key uint32) { ends[key+1]++ })
		for i := 1; i < len(ends); i++ {
			ends[i] += ends[i-1]
		}
		lists := make([]uint32, ends[len(ends)-1])
		next := slices.Clone(ends)
		s.eachOf(t, h, func(slot, key uint32) {
			lists[next[key]] = slot
			next[key]++
		})
		known := map[uint64]*cell{}
		for key := range cs.cells {
			list := lists[ends[key]:ends[key+1]]
			if len(list) == 0 {
				continue
			}
			sum := digest(list)
			c := known[sum]
			if c == nil || !slices.Equal(c.slots, list) {
				c = s.newCell(h, list)
				known[sum] = c
			}
			s.setCell(cs, uint32(key), c)
		}
	}
}

func (s *state) eachOf(t *tier, h home, f func(slot, key uint32)) {
	for _, slot := range t.order {
		if r := s.rule(slot); r.home == h && !r.void() {
			s.keys(r, h, func(key uint32) { f(slot, key) })
		}
	}
}

// digest returns a hash of slots (FNV-1a by words).
func digest(slots []uint32) uint64 {
	h := uint64(14695981039346656037)
	for _, x := range slots {
		h = (h ^ uint64(x)) * 1099511628211
	}
	return h
}

// growCells makes room for all keys of a home.
func (s *state) growCells(cs *cells) {
	n := 1
	switch cs.home {
	case homePoint:
		n = 2 * len(s.points.space.classes)
	case homeSrc, homeDst:
		n = len(s.addresses.space.classes)
	}
	for len(cs.cells) < n {
		cs.cells = append(cs.cells, nil)
		cs.refs = append(cs.refs, 0)
		cs.depth = append(cs.depth, 0)
	}
}

// setCell gives a key another tree; nil is one without rules.
func (s *state) setCell(cs *cells, key uint32, c *cell) {
	if old := cs.cells[key]; old != nil {
		if old.uses--; old.uses == 0 {
			s.garbage.nodes += old.alone.nodes
			s.garbage.entries += old.alone.entries
		}
	}
	cs.cells[key], cs.refs[key], cs.depth[key] = c, 0, 0
	if c != nil {
		c.uses++
		cs.refs[key] = c.ref
		cs.depth[key] = uint16(min(c.weight.depth, math.MaxUint16))
	}
}

// newCell makes a tree; nil of no rules. slots is kept.
func (s *state) newCell(h home, slots []uint32) *cell {
	if len(slots) == 0 {
		return nil
	}
	c := &cell{slots: slots}
	c.ref, c.weight = s.builder.build(s.itemsOf(slots), settledBy[h])
	c.first, c.alone = c.weight, c.weight
	return c
}

// itemsOf returns rules as items; they are valid until the next call.
func (s *state) itemsOf(slots []uint32) []item {
	s.items = s.items[:0]
	for _, slot := range slots {
		for i := range s.rule(slot).atoms {
			s.items = append(s.items, item{slot: slot, atom: uint32(i)})
		}
	}
	return s.items
}

// renewCell makes a tree of another, in which a few rules are others; what is in regions that these
// do not touch, the two share. The tree is made from nothing if that has made it much worse than it was at first.
func (s *state) renewCell(h home, old *cell, slots []uint32, steps []step, bySlot map[uint32]change) *cell {
	if old == nil || len(slots) < s.large || len(steps) > max(1, len(slots)/16) ||
		old.weight.depth > old.first.depth*3/2+2 || old.weight.entries > 2*old.first.entries {
		return s.newCell(h, slots)
	}
	var touched []*rule
	for _, st := range steps {
		for _, r := range [...]*rule{bySlot[st.slot].was, bySlot[st.slot].now} {
			if r != nil {
				touched = append(touched, r)
			}
		}
	}
	c := &cell{slots: slots, first: old.first}
	c.ref, c.weight = s.builder.renew(old.ref, s.itemsOf(slots), settledBy[h], touched)
	dropped := s.builder.dropped
	c.weight.nodes += old.weight.nodes - dropped.nodes
	c.weight.entries += old.weight.entries - dropped.entries
	c.weight.depth = max(c.weight.depth, old.weight.depth)
	c.alone, old.alone = c.weight, dropped // what they share is c's, for old is hardly ever kept
	return c
}

// change is a rule that is another, is new (was is nil) or gone (now is nil).
type change struct {
	slot     uint32
	was, now *rule
}

// step is what one key's tree has to do about a change.
type step struct {
	slot    uint32
	out, in bool
}

// replant brings the trees of a tier up to date.
func (s *state) replant(t *tier, changes []change) {
	var steps [homes]map[uint32][]step
	add := func(h home, key uint32, st step) {
		if steps[h] == nil {
			steps[h] = map[uint32][]step{}
		}
		steps[h][key] = append(steps[h][key], st)
	}
	for _, c := range changes {
		was, now := c.was, c.now
		if was != nil && was.void() {
			was = nil
		}
		if now != nil && now.void() {
			now = nil
		}
		if was != nil && now != nil && s.count(now, was.home) <= 4*s.spread {
			now.home = was.home
		} else if now != nil {
			now.home = s.choose(now)
		}
		had := map[uint32]bool{}
		if was != nil {
			s.keys(was, was.home, func(key uint32) { had[key] = true })
		}
		stays := was != nil && now != nil && was.home == now.home
		other := !stays || was.moves != now.moves
		for d := range now.dimsOr(was) {
			other = other || home(d) != was.home && !slices.Equal(was.dims[d], now.dims[d])
		}
		if now != nil {
			s.keys(now, now.home, func(key uint32) {
				switch {
				case !stays || !had[key]:
					add(now.home, key, step{c.slot, false, true})
				case other:
					add(now.home, key, step{c.slot, true, true})
				}
				if stays {
					delete(had, key)
				}
			})
		}
		for key := range had {
			add(was.home, key, step{c.slot, true, false})
		}
	}
	bySlot := make(map[uint32]change, len(changes))
	for _, c := range changes {
		bySlot[c.slot] = c
	}
	for h := range homes {
		s.apply(t.cells[h], steps[h], bySlot)
	}
}

// dimsOr returns the dimensions to compare: none if one of the rules is nil.
func (r *rule) dimsOr(was *rule) []spans {
	if r == nil || was == nil {
		return nil
	}
	return r.dims[:]
}

// apply replaces the trees of some keys. Keys that shared one and have the same to do share the new one.
func (s *state) apply(cs *cells, steps map[uint32][]step, bySlot map[uint32]change) {
	type made struct {
		steps []step
		cell  *cell
	}
	done := map[*cell][]made{}
	for key, todo := range steps {
		slices.SortFunc(todo, func(a, b step) int { return cmp.Compare(a.slot, b.slot) })
		old := cs.cells[key]
		i := slices.IndexFunc(done[old], func(m made) bool { return slices.Equal(m.steps, todo) })
		if i < 0 {
			i = len(done[old])
			done[old] = append(done[old], made{todo, s.renewCell(cs.home, old, s.listOf(old, todo), todo, bySlot)})
		}
		s.setCell(cs, key, done[old][i].cell)
	}
}

// listOf returns the rules of a cell after some steps.
func (s *state) listOf(old *cell, steps []step) []uint32 {
	var out []uint32
	if old != nil {
		out = make([]uint32, 0, len(old.slots)+len(steps))
		for _, slot := range old.slots {
			i, found := slices.BinarySearchFunc(steps, slot, func(st step, slot uint32) int { return cmp.Compare(st.slot, slot) })
			if !found || !steps[i].out {
				out = append(out, slot)
			}
		}
	}
	for _, st := range steps {
		if st.in {
			at, _ := slices.BinarySearchFunc(out, s.ranks[st.slot], func(slot, rank uint32) int { return cmp.Compare(s.ranks[slot], rank) })
			out = slices.Insert(out, at, st.slot)
		}
	}
	return out
}
