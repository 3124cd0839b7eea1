package nat

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// mappings has what sources are mapped to: open addressing with linear probing (Knuth, TAOCP 6.4), cut into
// stripes. A worker claims a stripe by compare and swap for as long as it takes to find an entry and, if there is none, a
// port: two workers that map one source must agree on its port, and rarely meet otherwise.
type mappings struct {
	slots     []mapping // [stripes][perStripe]
	stripes   uint64    // a power of two
	perStripe uint64
	claims    []claim // by stripe
}

type claim struct {
	taken atomic.Uint32
	_     [60]byte
}

// mapping is what a source has. It is in use iff sessions is not 0.
type mapping struct {
	src      packet.Addr
	tail     uint64 // protocol, zone and port of the source, as sourceTail has them
	pool     uint32 // that has given it
	host     uint32 // number of the address
	sessions uint32
	port     uint16
}

const (
	mostStripes    = 1024
	sourcesAStripe = 256
)

// newMappings returns room for as many sources. They fall into stripes by chance: a quarter more, and 64, is many
// standard deviations.
func newMappings(capacity int) *mappings {
	stripes := min(1<<bits.Len(uint(capacity/sourcesAStripe)), mostStripes)
	m := &mappings{stripes: uint64(stripes), perStripe: uint64(capacity/stripes*5/4 + 64), claims: make([]claim, stripes)}
	m.slots = make([]mapping, m.stripes*m.perStripe)
	return m
}

func (m *mappings) claim(hash uint64) []mapping {
	n := hash & (m.stripes - 1)
	for spins := 0; !m.claims[n].taken.CompareAndSwap(0, 1); spins++ {
		if spins > 32 {
			runtime.Gosched() // who has it may wait for this processor
		}
	}
	return m.slots[n*m.perStripe : (n+1)*m.perStripe]
}

func (m *mappings) release(hash uint64) { m.claims[hash&(m.stripes-1)].taken.Store(0) }

// home returns where the search for a source begins in its stripe.
func (m *mappings) home(hash uint64) int {
	hi, _ := bits.Mul64(hash, m.perStripe)
	return int(hi)
}

// find returns what a source has of a pool, as far as the pool still gives it out, or else the slot where it belongs. Both are nil if the
// stripe, which is claimed, is full.
func (m *mappings) find(slots []mapping, hash uint64, k *packet.Key, p *pool) (found, free *mapping) {
	tail := sourceTail(k)
	i := m.home(hash)
	for range slots {
		e := &slots[i]
		if e.sessions == 0 {
			return nil, e
		}
		if e.src == k.Src && e.tail == tail && e.pool == p.spec.ID && p.gives(e, k) {
			return e, nil
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
	return nil, nil
}

// findGiven returns the index of what a source was given, with sessions and the number of the address
// left out, or -1.
func (m *mappings) findGiven(slots []mapping, hash uint64, x *mapping, addr packet.Addr, hosts []*host) int {
	i := m.home(hash)
	for range slots {
		e := &slots[i]
		if e.sessions == 0 {
			return -1
		}
		if e.src == x.src && e.tail == x.tail && e.pool == x.pool && e.port == x.port && hosts[e.host].addr == addr {
			return i
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
	return -1
}

// close fills the hole at slot i with what was displaced because of it (TAOCP 6.4, algorithm R), so that searches may go
// on ending at free slots.
func (m *mappings) close(slots []mapping, i int, s *seeds) {
	for j := i; ; {
		if j++; j == len(slots) {
			j = 0
		}
		e := &slots[j]
		if e.sessions == 0 {
			return
		}
		home := m.home(s.source(&packet.Key{Src: e.src, Tail: e.tail}))
		// It may move to i unless its home is after i, up to j, on the circle.
		if (j-home+len(slots))%len(slots) < (j-i+len(slots))%len(slots) {
			continue
		}
		slots[i] = *e
		e.sessions = 0
		i = j
	}
}
