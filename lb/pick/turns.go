package pick

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// turns is the order in which entries have their turn, over and over, and the position
// that all workers share: who asks next gets the next turn, whichever worker it is.
type turns struct {
	ids   []uint32 // of the entries' members
	order []uint16 // indexes of entries; nil: one after the other
	n     uint64   // turns in a cycle
	start uint64   // what cursor was at first
	last  uint32   // ID of who had the last turn before that; 0: nobody

	_      [64]byte
	cursor atomic.Uint64 // the next turn, of all since the beginning
	_      [64]byte
}

// maxTurns is how long a cycle gets: long enough for a thousand members of any weights
// from 1 to 256 to have exactly their share. With more than that each has it but for one turn in maxTurns.
const maxTurns = 1 << 18

// newTurns gives each entry as many turns as it has weight.
func newTurns(entries []entry) *turns {
	t := &turns{ids: make([]uint32, len(entries)), n: uint64(len(entries))}
	weights := make([]uint32, len(entries))
	equal := true
	for i := range entries {
		t.ids[i], weights[i] = entries[i].m.ID, uint32(entries[i].weight)
		equal = equal && weights[i] == weights[0]
	}
	if !equal {
		t.order = smooth(reduce(weights, maxTurns))
		t.n = uint64(len(t.order))
	}
	return t
}

// next takes the next turn and returns its entry.
func (t *turns) next() int { return t.at(t.cursor.Add(1) - 1) }

func (t *turns) at(turn uint64) int {
	turn %= t.n
	if t.order == nil {
		return int(turn)
	}
	return int(t.order[turn])
}

// previous returns the ID of who had the last turn; 0 if nobody has.
func (t *turns) previous() uint32 {
	if turn := t.cursor.Load(); turn != t.start {
		return t.ids[t.at(turn-1)]
	}
	return t.last
}

// follow goes on where old is: if all have equal turns, with whoever comes next in the ring of all
// members, and otherwise at the same place of the cycle. Who had the last turn has the next
// only if there is nobody else.
func (t *turns) follow(old *turns, ring []uint32) {
	t.last = old.previous()
	if t.last == 0 {
		return
	}
	first := 0
	if t.order == nil {
		first = t.after(ring)
	} else {
		first = int(old.cursor.Load() % old.n * t.n / old.n)
		for k := 0; k < len(t.order) && t.ids[t.order[(first+k)%len(t.order)]] == t.last; k++ {
			first++
		}
	}
	t.start = uint64(first)
	t.cursor.Store(t.start)
}

// after returns the index of the entry that comes after last in a ring.
func (t *turns) after(ring []uint32) int {
	index := make(map[uint32]int, len(t.ids))
	for i, id := range t.ids {
		index[id] = i
	}
	at := slices.Index(ring, t.last)
	for k := range ring {
		if i, found := index[ring[(at+1+k)%len(ring)]]; found {
			return i
		}
	}
	return 0
}

// reduce returns weights in the same proportions with a sum of at most limit: divided by what
// they have in common, and if that isn't enough, rounded by the largest remainders. None becomes 0.
func reduce(weights []uint32, limit uint64) []uint32 {
	var sum, common uint64
	for _, w := range weights {
		sum += uint64(w)
		common = gcd(common, uint64(w))
	}
	reduced := make([]uint32, len(weights))
	if sum/common <= limit {
		for i, w := range weights {
			reduced[i] = w / uint32(common)
		}
		return reduced
	}
	left := int64(limit)
	byRemainder := make([]int, len(weights))
	for i, w := range weights {
		reduced[i] = max(1, uint32(uint64(w)*limit/sum))
		left -= int64(reduced[i])
		byRemainder[i] = i
	}
	slices.SortStableFunc(byRemainder, func(a, b int) int {
		return cmp.Compare(uint64(weights[b])*limit%sum, uint64(weights[a])*limit%sum)
	})
	for k := 0; left > 0; k++ {
		reduced[byRemainder[k]]++
		left--
	}
	return reduced
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// class is the entries of one weight. They have their turns one after the other, so of all of
// them only the one whose turn is next matters.
type class struct {
	entries []uint16
	weight  int64
	next    int   // in entries
	current int64 // of entries[next], as nginx has it
}

// smooth returns a cycle of turns in which each entry has as many as its weight, spread
// evenly: those that nginx's smooth weighted round robin gives (ngx_http_upstream_round_robin.c: at each turn
// everybody's current weight grows by its weight, the largest has the turn, and pays the sum of all).
func smooth(weights []uint32) []uint16 {
	var classes []class
	byWeight := map[uint32]int{}
	var sum int64
	for i, w := range weights {
		c, found := byWeight[w]
		if !found {
			c = len(classes)
			byWeight[w] = c
			classes = append(classes, class{weight: int64(w)})
		}
		classes[c].entries = append(classes[c].entries, uint16(i))
		sum += int64(w)
	}
	order := make([]uint16, sum)
	for turn := range order {
		var best *class
		for i := range classes {
			c := &classes[i]
			c.current += c.weight
			if best == nil || c.current > best.current ||
				c.current == best.current && c.entries[c.next] < best.entries[best.next] {
				best = c
			}
		}
		order[turn] = best.entries[best.next]
		if best.next++; best.next == len(best.entries) {
			best.next = 0
			best.current -= sum // all of the class have paid
		}
	}
	return order
}
