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
// at most MaxBackends. The size is a prime, and larger than the number of backends; one that
// isn't is taken as the next that is.
//
// Backends take turns; each takes the first slot of its own permutation of all slots that is
// still free. The weightiest has a turn in each round, one of half its weight in every
// second. So each has its share of slots, but for one slot. It takes about size × ln size steps.
func New(backends []Backend, size int) Table {
	size = nextPrime(max(size, len(backends)+1))
	t := make(Table, size)
	for i := range t {
		t[i] = empty
	}
	walks, heaviest := permutations(backends, uint32(size))
	for left := size; ; {
		for i := range walks {
			w := &walks[i]
			w.credit += w.weight
			if w.credit < heaviest {
				continue
			}
			w.credit -= heaviest
			for t[w.at] != empty {
				w.step(uint32(size))
			}
			t[w.at] = uint16(i)
			w.step(uint32(size))
			if left--; left == 0 {
				return t
			}
		}
	}
}

// walk is a backend's way through the slots: a start and a stride, which, as the size is
// prime, leads to each slot once.
type walk struct {
	at, stride     uint32
	weight, credit uint32
}

func (w *walk) step(size uint32) {
	if w.at += w.stride; w.at >= size {
		w.at -= size
	}
}

func permutations(backends []Backend, size uint32) (walks []walk, heaviest uint32) {
	walks = make([]walk, len(backends))
	for i := range backends {
		b := &backends[i]
		var identity [19]byte
		address := b.Address.As16()
		copy(identity[:], address[:])
		binary.BigEndian.PutUint16(identity[16:], b.Port)
		start := xxhash.Sum64(identity[:])
		identity[18] = 1 // the paper's second hash function
		stride := xxhash.Sum64(identity[:])
		weight := uint32(max(b.Weight, 1))
		walks[i] = walk{at: uint32(start % uint64(size)), stride: uint32(stride%uint64(size-1)) + 1, weight: weight}
		heaviest = max(heaviest, weight)
	}
	return walks, heaviest
}

// Lookup returns the index of the backend for a hash, all bits of which are good.
func (t Table) Lookup(hash uint64) int {
	slot, _ := bits.Mul64(hash, uint64(len(t)))
	return int(t[slot])
}

// Size returns how many slots are good for n backends of equal weight: see the constants.
// It is the same for many n, for a table of another size is another table: all flows would
// move because one backend came.
func Size(n int) int {
	steps := minBackends
	for steps < n {
		steps *= growth
	}
	return nextPrime(slotsEach * steps)
}

const (
	// slotsEach is how many slots there are for each backend at least. By these the largest share
	// exceeds the mean by less than 1 %, for shares of backends of the same weight differ by one slot.
	slotsEach = 100
	// growth: the size is for 4, 16, 64, 256… backends.
	growth      = 4
	minBackends = 4
)

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
