package classify

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sort"

	"github.com/sluice-net/sluice/firewall/policy"
)

// space is the classes of members (addresses, or ports) that sets tell apart: two
// members are of one class if they are in the same sets. Each class has a label, and owns the labels
// from there up to the next class's, so that a set is a list of spans of labels.
//
//	label   0        100            200        300
//	        ├─ none ─┼─ {A} ────────┼─ {A B} ──┼─ {C} ─…
//	set A            └──────────────────────┘
//	set C                                      └─────…
//
// Classes are put in the order of their sets, the largest set first. Nested sets, as prefixes are,
// are one span each then; groups that overlap are as many as they have to be.
//
// A class that comes later is a clone of the one that it is most like, and takes half of
// its labels: it is in the same spans at once, and only the sets in which the two differ have to
// be changed.
type space struct {
	top     uint32 // the largest label
	classes []class
	bySets  map[string]uint32
	order   []uint32       // classes by label
	spans   []spans        // of labels, by SetID
	users   [][]uint32     // by SetID: slots of the rules that use it
	changed []policy.SetID // sets whose spans have changed since they were last asked for
	born    []birth        // classes that are new since then
	dead    int            // classes without members
	key     []byte         // scratch
}

// topLabel is the largest label: the number above it is kept for nodes.
const topLabel = math.MaxUint32 - 1

// class is the members of the same sets.
type class struct {
	sets  []policy.SetID // ascending
	label uint32
	uses  int // members, as far as the compiler counts them; without any, the class may become another
}

// birth is a class that has been made as a clone of another.
type birth struct{ class, of uint32 }

// errCrowded says that there is no label left where one is needed: the labels have to be given anew.
var errCrowded = errors.New("no label left")

// newSpace returns a space with the class of those that are in no set, which is 0.
func newSpace(top uint32) *space {
	sp := &space{top: top, bySets: map[string]uint32{}}
	sp.take(sp.intern(nil)) // there is always somebody else
	sp.order = []uint32{0}
	return sp
}

func (sp *space) keyOf(sets []policy.SetID) []byte {
	sp.key = sp.key[:0]
	for _, s := range sets {
		sp.key = binary.LittleEndian.AppendUint32(sp.key, uint32(s))
	}
	return sp.key
}

// intern returns the class of members of sets, which are ascending, making it if need be; arrange
// has to follow before it has a label. sets is kept.
func (sp *space) intern(sets []policy.SetID) uint32 {
	key := sp.keyOf(sets)
	c, found := sp.bySets[string(key)]
	if !found {
		c = uint32(len(sp.classes))
		sp.classes = append(sp.classes, class{sets: sets})
		sp.bySets[string(key)] = c
		sp.dead++
	}
	return c
}

// arrange gives all classes labels, and sets their spans.
func (sp *space) arrange(sets int) {
	sizes := make([]int, sets)
	for i := range sp.classes {
		for _, s := range sp.classes[i].sets {
			sizes[s]++
		}
	}
	bySize := make([]policy.SetID, sets)
	for i := range bySize {
		bySize[i] = policy.SetID(i)
	}
	slices.SortFunc(bySize, func(a, b policy.SetID) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	rank := make([]uint32, sets)
	for i, s := range bySize {
		rank[s] = uint32(i)
	}

	type place struct {
		first uint64 // the first two ranks, which decide most comparisons
		ranks []uint32
		class uint32
	}
	places := make([]place, len(sp.classes))
	for i := range sp.classes {
		p := place{class: uint32(i), ranks: make([]uint32, len(sp.classes[i].sets))}
		for j, s := range sp.classes[i].sets {
			p.ranks[j] = rank[s] + 1
		}
		slices.Sort(p.ranks)
		for j := range 2 {
			p.first <<= 32
			if j < len(p.ranks) {
				p.first |= uint64(p.ranks[j])
			}
		}
		places[i] = p
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.first, b.first), slices.Compare(a.ranks, b.ranks))
	})

	gap := (uint64(sp.top) + 1) / uint64(len(places))
	sp.order = make([]uint32, len(places))
	sp.spans = make([]spans, sets)
	for i, p := range places {
		sp.order[i] = p.class
		sp.classes[p.class].label = uint32(uint64(i) * gap)
	}
	for i, c := range sp.order {
		own := sp.own(i)
		for _, s := range sp.classes[c].sets {
			if n := len(sp.spans[s]); n > 0 && sp.spans[s][n-1].hi+1 == own.lo {
				sp.spans[s][n-1].hi = own.hi
			} else {
				sp.spans[s] = append(sp.spans[s], own)
			}
		}
	}
}

// own returns the labels of the class at a place in the order.
func (sp *space) own(i int) span {
	hi := sp.top
	if i+1 < len(sp.order) {
		hi = sp.classes[sp.order[i+1]].label - 1
	}
	return span{sp.classes[sp.order[i]].label, hi}
}

// from returns the place in the order of the first class whose label is at least l.
func (sp *space) from(l uint32) int {
	return sort.Search(len(sp.order), func(i int) bool { return sp.classes[sp.order[i]].label >= l })
}

// in returns the classes that a span of labels holds.
func (sp *space) in(s span) []uint32 {
	i := sp.from(s.lo)
	if s.hi >= sp.top {
		return sp.order[i:]
	}
	return sp.order[i:max(i, sp.from(s.hi+1))]
}

// count returns how many classes s holds, which is all of them for everything.
func (sp *space) count(s spans) (n int) {
	for _, x := range s {
		n += len(sp.in(x))
	}
	return n
}

// grow makes room for sets up to a number.
func (sp *space) grow(sets int) {
	for len(sp.spans) < sets {
		sp.spans = append(sp.spans, nil)
	}
	for len(sp.users) < sets {
		sp.users = append(sp.users, nil)
	}
}

// place returns the class of members of sets, which are ascending; near is one that is probably
// much like it. Sets whose spans change for it are added to changed. It may fail with errCrowded.
func (sp *space) place(sets []policy.SetID, near uint32) (uint32, error) {
	if c, found := sp.bySets[string(sp.keyOf(sets))]; found {
		return c, nil
	}
	at, err := sp.nearest(sets, near)
	if err != nil {
		return 0, err
	}
	base := sp.order[at]
	from := sp.classes[base].sets
	c := base
	own := sp.own(at)
	sets = slices.Clone(sets)
	if sp.classes[base].uses == 0 {
		delete(sp.bySets, string(sp.keyOf(from)))
		sp.classes[base].sets = sets
	} else {
		own.lo += (own.hi-own.lo)/2 + 1
		c = uint32(len(sp.classes))
		sp.classes = append(sp.classes, class{sets: sets, label: own.lo})
		sp.order = slices.Insert(sp.order, at+1, c)
		sp.born = append(sp.born, birth{c, base})
		sp.dead++
	}
	sp.bySets[string(sp.keyOf(sets))] = c
	difference(from, sets, func(s policy.SetID, now bool) {
		if now {
			sp.spans[s] = sp.spans[s].with(own)
		} else {
			sp.spans[s] = sp.spans[s].without(own)
		}
		sp.changed = append(sp.changed, s)
	})
	return c, nil
}

// nearest returns the place in the order of the class of which a new one is best made: where the
// sets that differ are used by the fewest rules.
func (sp *space) nearest(sets []policy.SetID, near uint32) (int, error) {
	best, bestCost, bestRoom := -1, math.MaxInt, uint32(0)
	try := func(at int) {
		c := &sp.classes[sp.order[at]]
		own := sp.own(at)
		room := own.hi - own.lo
		if c.uses > 0 && room == 0 {
			return
		}
		cost := 0
		difference(c.sets, sets, func(s policy.SetID, _ bool) { cost += 1 + len(sp.users[s]) })
		if cost < bestCost || cost == bestCost && room > bestRoom {
			best, bestCost, bestRoom = at, cost, room
		}
	}
	try(0)
	try(sp.from(sp.classes[near].label))
	small := slices.Clone(sets)
	slices.SortFunc(small, func(a, b policy.SetID) int {
		return cmp.Or(cmp.Compare(len(sp.spans[a]), len(sp.spans[b])), cmp.Compare(a, b))
	})
	// A few classes of a few sets: enough to find one that is alike if there is one, and bounded.
	for _, s := range small[:min(len(small), 6)] {
		left := 64
		for _, x := range sp.spans[s] {
			for at := sp.from(x.lo); at < len(sp.order) && left > 0 && sp.classes[sp.order[at]].label <= x.hi; at++ {
				try(at)
				left--
			}
		}
	}
	if best < 0 {
		return 0, errCrowded
	}
	return best, nil
}

// take and release count members of a class.
func (sp *space) take(c uint32) {
	if sp.classes[c].uses++; sp.classes[c].uses == 1 {
		sp.dead--
	}
}

func (sp *space) release(c uint32) {
	if sp.classes[c].uses--; sp.classes[c].uses == 0 {
		sp.dead++
	}
}

// placer gives classes to members of sets: space.place, or at first space.intern, which has no error.
type placer func(sets []policy.SetID, near uint32) (uint32, error)

// none is the class of what has none yet.
const none = math.MaxUint32

// move gives a member that was of a class that of sets. The class that it leaves may become the one that it gets.
func move(sp *space, class *uint32, sets []policy.SetID, near uint32, place placer) error {
	if *class != none {
		if slices.Equal(sp.classes[*class].sets, sets) {
			return nil
		}
		near = *class
		sp.release(*class)
		*class = none
	}
	c, err := place(sets, near)
	if err != nil {
		return err
	}
	sp.take(c)
	*class = c
	return nil
}

// difference calls f for what is in one of two ascending lists, and whether it is in the second.
func difference[T cmp.Ordered](a, b []T, f func(x T, now bool)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			f(a[0], false)
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			f(b[0], true)
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
}

// union returns what is in either of two ascending lists; it may be one of them.
func union(a, b []policy.SetID) []policy.SetID {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := append(make([]policy.SetID, 0, len(a)+len(b)), a...)
	out = append(out, b...)
	slices.Sort(out)
	return slices.Compact(out)
}
