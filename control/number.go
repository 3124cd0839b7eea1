package control

import (
	"iter"
	"maps"
	"slices"
)

// numberZones gives each segment and uplink its zone: the one of before to
// whom had one, others, in order of names, to the others. Live sessions hold zones.
//
// A session's zone is all that tells it from one of the same addresses in
// another segment, and it outlives the segment. So the zone of a segment that
// is gone is not given to another before all others have been.
func (c *compiler) numberZones() {
	uplinks := sortedKeys(c.uplinks)
	n := len(c.segmentOrder)
	name := func(i int) string {
		if i < n {
			return c.segmentOrder[i].zoneName
		}
		return uplinkZone(uplinks[i-n])
	}
	zones := numbering[uint32]{had: c.previous.Zones, last: c.previous.LastZone, limit: 1<<24 - 1}
	numbers := make([]uint32, n+len(uplinks))
	same := zones.assign(numbers, name)
	for i, s := range c.segmentOrder {
		s.zone = numbers[i]
	}
	c.m.Allocations.Zones = share(c.previous.Zones, same, len(numbers), numbered(numbers, name))
	c.m.Allocations.LastZone = zones.last
}

// routerScope is what the numbers of routers' address spaces begin behind: that of a segment without a router is its zone.
const routerScope = 1 << 24

// numberRouters gives each router the number of its address space, in which its segments' and uplinks' addresses
// are told apart; the lowest that are free.
func (c *compiler) numberRouters() {
	names := sortedKeys(c.routers)
	name := func(i int) string { return names[i] }
	routers := numbering[uint32]{had: c.previous.Routers, limit: routerScope - 1}
	numbers := make([]uint32, len(names))
	same := routers.assign(numbers, name)
	c.scopes = make(map[string]uint32, len(names))
	for i, n := range numbers {
		c.scopes[names[i]] = routerScope + n
	}
	c.m.Allocations.Routers = share(c.previous.Routers, same, len(numbers), numbered(numbers, name))
}

func uplinkZone(port string) string { return "uplink/" + port }

// numberPorts gives each port its number, in the same way; the lowest are free
// at once. Live sessions hold them.
func (c *compiler) numberPorts() {
	name := func(i int) string { return c.order[i].name }
	c.numbers = slices.Grow(c.numbers[:0], len(c.order))[:len(c.order)]
	numbers := numbering[uint16]{had: c.previous.Numbers, limit: maxPorts}
	same := numbers.assign(c.numbers, name)
	c.m.Allocations.Numbers = share(c.previous.Numbers, same, len(c.numbers), numbered(c.numbers, name))
}

func numbered[N any](numbers []N, name func(i int) string) iter.Seq2[string, N] {
	return func(yield func(string, N) bool) {
		for i, number := range numbers {
			if !yield(name(i), number) {
				return
			}
		}
	}
}

// numbering keeps numbers stable.
type numbering[N uint16 | uint32] struct {
	had   map[string]N
	last  N // where the search for free numbers goes on behind; 0: at the lowest
	limit N
}

// assign fills in the numbers of names, sorted or in whatever order matters, from 1.
// Names beyond the limit get 0; that many are reported elsewhere. last is the number
// given last then. It reports whether all had their numbers before.
func (n *numbering[N]) assign(numbers []N, name func(i int) string) bool {
	var taken bitmap
	missing := len(numbers)
	for i := range numbers {
		numbers[i] = 0
		if number := n.had[name(i)]; number != 0 && number <= n.limit && taken.add(uint32(number)) {
			numbers[i] = number
			missing--
		}
	}
	if missing == 0 {
		return true
	}
	next, free := n.last, int(n.limit)-(len(numbers)-missing)
	for i := range numbers {
		if numbers[i] != 0 || free == 0 {
			continue
		}
		for {
			if next == n.limit {
				next = 0
			}
			if next++; taken.add(uint32(next)) {
				break
			}
		}
		free--
		numbers[i], n.last = next, next
	}
	return false
}

// bitmap is a set of numbers that are often near to each other.
type bitmap struct {
	pages map[uint32]*[16]uint64
	at    uint32 // number of the page used last
	page  *[16]uint64
}

const bitmapPage = 16 * 64

// add puts a number into the set and reports whether it was not there.
func (b *bitmap) add(n uint32) bool {
	if b.page == nil || b.at != n/bitmapPage {
		if b.pages == nil {
			b.pages = map[uint32]*[16]uint64{}
		}
		b.at = n / bitmapPage
		b.page = b.pages[b.at]
		if b.page == nil {
			b.page = new([16]uint64)
			b.pages[b.at] = b.page
		}
	}
	word, bit := &b.page[n%bitmapPage/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// share returns the map before if all of n entries are the same in it and it has no
// others, else a new one. A map that was given out is not written to.
func share[V any](before map[string]V, same bool, n int, entries iter.Seq2[string, V]) map[string]V {
	if same && before != nil && len(before) == n {
		return before
	}
	after := make(map[string]V, n)
	maps.Insert(after, entries)
	return after
}
