// Package maglev gives backends shares of a table of slots, so that a hash finds
// its backend with one load and keeps it when others come and go: the
// consistent hashing of Eisenbud et al., Maglev: A Fast and Reliable Software
// Network Load Balancer (NSDI 2016), section 3.4.
//
// A table depends on nothing but its size and the backends' identities, weights
// and order: nodes that agree on these agree on all flows, and a node that was
// away comes back with the same table.
package maglev

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-net/sluice/packet"
)

// Backend is somebody who gets a share.
type Backend struct {
	Address packet.Addr
	Port    uint16
	Weight  uint16 // its share in proportion to the others'; 0 counts as 1
}

// MaxBackends is how many a table can tell apart.
const MaxBackends = empty

// empty is a slot that nobody has taken yet.
const empty = 1<<16 - 1

// Table is the slots, each with the index of a backend. It is immutable.
type Table []uint16

// New returns a table of so many slots for backends, of which there is at least one and are
// at most MaxBackends, and at most as many as slots.
//
// Backends take turns; each takes the first slot of its own permutation of all slots that is
// still free. The weightiest has a turn in each round, one of half its weight in every
// second. So each has its share of slots, but for one slot. It takes about size × ln size steps.
//
// The paper walks through the slots from an offset by a stride. Two backends whose strides are alike then
// compete for the same slots all the way: of small pools with 400 slots for each backend, when one left, in one case of 15
// 2 to 21 % of the others' flows moved, and once with 200 slots 60 %. The paper says that other permutations do as well. Ours are
// slots drawn at random: those that are drawn again are taken already, so what counts is the order in which they are
// drawn first, and each is as likely. That costs the same number of steps.
func New(backends []Backend, size int) Table {
	size = max(size, len(backends))
	t := make(Table, size)
	for i := range t {
		t[i] = empty
	}
	draws, heaviest := permutations(backends)
	for left := size; ; {
		for i := range draws {
			d := &draws[i]
			d.credit += d.weight
			if d.credit < heaviest {
				continue
			}
			d.credit -= heaviest
			state, slot := d.state, uint64(0)
			for {
				state = state*6364136223846793005 + 1442695040888963407 // Knuth's MMIX; its period is 2^64, so each slot comes
				if slot, _ = bits.Mul64(state, uint64(size)); t[slot] == empty {
					break
				}
			}
			d.state = state
			t[slot] = uint16(i)
			if left--; left == 0 {
				return t
			}
		}
	}
}

// draw is a backend's permutation and its turns.
type draw struct {
	state          uint64
	weight, credit uint32
}

func permutations(backends []Backend) (draws []draw, heaviest uint32) {
	draws = make([]draw, len(backends))
	for i := range backends {
		b := &backends[i]
		var identity [18]byte
		address := b.Address.As16()
		copy(identity[:], address[:])
		binary.BigEndian.PutUint16(identity[16:], b.Port)
		weight := uint32(max(b.Weight, 1))
		draws[i] = draw{state: xxhash.Sum64(identity[:]), weight: weight}
		heaviest = max(heaviest, weight)
	}
	for i := range draws {
		draws[i].credit = heaviest / 2 // so that shares are rounded to the nearest
	}
	return draws, heaviest
}

// Lookup returns the index of the backend for a hash, all bits of which are good.
func (t Table) Lookup(hash uint64) int {
	slot, _ := bits.Mul64(hash, uint64(len(t)))
	return int(t[slot])
}

// Size returns how many slots are good for n backends of equal weight: so many that
//
//   - the largest share exceeds the mean by less than 1 %, as shares differ by one slot and
//     there are at least 100 of them for each backend;
//   - if one leaves, less than 2 % of the flows of the others move. Of few backends, that takes more for
//     each, because what moves goes with the inverse root of the slots.
//
// It is the same for many n, for a table of another size is another table: all flows would
// move because one backend came. It is a prime, as those need it who walk by strides.
func Size(n int) int {
	for _, s := range sizes {
		if n <= s.most {
			return s.slots
		}
	}
	most := sizes[len(sizes)-1].most
	for most < n {
		most *= 4
	}
	return nextPrime(100 * most)
}

// sizes are for numbers of backends up to most. For most itself, 1.8 % move at worst
// (TestWhatMoves); with 100 slots for each backend it would be 4 % for 10 of them, and 2.5 % for 64.
var sizes = [...]struct{ most, slots int }{{4, 2053}, {16, 5147}, {64, 12809}, {256, 25603}}

func nextPrime(n int) int {
	for !prime(n) {
		n++
	}
	return n
}

func prime(n int) bool {
	if n < 4 {
		return n > 1
	}
	if n%2 == 0 {
		return false
	}
	for d := 3; d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return true
}
