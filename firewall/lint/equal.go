package lint

import (
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// Equal proves that two policies decide every packet and every frame alike, or returns one that
// they decide differently. If the budget ended first, it returns neither.
//
// They are compared at each port that either filters; what the other does not filter it allows. Where a port has
// another scope in b, the witness has that of a.
func Equal(a, b *policy.Policy, o Options) (difference *Difference, equal bool) {
	o = o.withDefaults()
	for _, ethernet := range []bool{true, false} {
		y := newLayer(ethernet, a, b)
		c := comparison{y: y, s: newSearcher(y, &o)}
		switch c.run() {
		case found:
			return c.difference, false
		case undecided:
			return nil, false
		}
		o.Total = c.s.left
	}
	return nil, true
}

// comparison is Equal for one layer.
type comparison struct {
	y          *layer
	s          *searcher
	difference *Difference
	same       []uint32 // by box: the first box of the other list that is the same; noBox
}

const noBox = ^uint32(0)

// run looks for a packet that an entry of the first list takes and one of the second that decides otherwise.
func (c *comparison) run() answer {
	y := c.y
	c.findSame()
	result := none
	for i := range y.entries {
		e := &y.entries[i]
		if e.list != 0 || e.jump() {
			continue
		}
		number := uint32(i)
		for b := e.from; b < e.to; b++ {
			for _, q := range c.rivals(number, b) {
				switch c.both(b, q) {
				case found:
					c.difference = &Difference{Witness: *c.s.natural(), A: e.ref(), B: y.entries[q].ref()}
					return found
				case undecided:
					result = undecided
				}
			}
		}
	}
	return result
}

// findSame finds the boxes that both lists have.
func (c *comparison) findSame() {
	y := c.y
	var first [2]map[[numDims]uint32]uint32
	for l := range first {
		first[l] = make(map[[numDims]uint32]uint32)
	}
	for i := range y.boxes {
		m := first[y.entries[y.boxes[i].entry].list]
		if _, seen := m[y.boxes[i].v]; !seen {
			m[y.boxes[i].v] = uint32(i)
		}
	}
	c.same = make([]uint32, len(y.boxes))
	for i := range y.boxes {
		c.same[i] = noBox
		if b, has := first[1-y.entries[y.boxes[i].entry].list][y.boxes[i].v]; has {
			c.same[i] = b
		}
	}
}

// rivals returns the entries of the second list that decide otherwise and may take packets of a box, in order.
func (c *comparison) rivals(number, box uint32) []uint32 {
	y := c.y
	x := &y.extent[1]
	all := y.reached(c.s.meeting(box, x.from, x.to), func(q uint32) bool { return y.coversBox(q, box) })
	return slices.DeleteFunc(all, func(q uint32) bool {
		o := &y.entries[q]
		return o.jump() || o.action == y.entries[number].action || c.takenBefore(number, o)
	})
}

// takenBefore reports whether an entry that is asked before another has all that o, which is of the other list,
// has: so that nothing of o gets as far. False may be wrong.
func (c *comparison) takenBefore(number uint32, o *entry) bool {
	y := c.y
	e := &y.entries[number]
	x := &y.extent[e.list]
	for b := o.from; b < o.to; b++ {
		s := c.same[b]
		if s == noBox || s >= e.from {
			return false
		}
		if e.tier == 1 && s < x.split && len(x.jumps) > 0 && s >= y.entries[x.jumps[0]].from {
			return false // what jumps before it gets there
		}
	}
	return true
}

// both answers whether there is a packet in a box of an entry that this entry takes, and another one in the other list.
func (c *comparison) both(box, other uint32) answer {
	result := none
	c.s.takesBox(query{}, box, func(q *query) bool {
		switch c.s.first(*q, other) {
		case found:
			result = found
			return false
		case undecided:
			result = undecided
		}
		return true
	})
	return result
}
