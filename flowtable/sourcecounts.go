package flowtable

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

// SourceCounts counts sessions by zone and source address, up to a limit for
// each: open addressing with linear probing, cut into stripes with a lock each, as
// two workers rarely begin sessions of one stripe at the same moment. A source
// without sessions has no slot, so there are never more slots in use than sessions.
type SourceCounts struct {
	slots     []sourceSlot // [stripes][perStripe]
	stripes   uint32       // a power of two
	perStripe uint32
	limit     uint32
	seeds     [3]uint64
	locks     []stripeLock // by stripe
}

// sourceStripes is how many stripes large SourceCounts have; small ones have fewer, of
// about stripeSize slots: limits of many rules must not cost a page each.
const (
	sourceStripes = 64
	stripeSize    = 256
)

type stripeLock struct {
	taken atomic.Uint32
	_     [lineSize - 4]byte
}

// sourceSlot is in use iff count is not 0.
type sourceSlot struct {
	addr  packet.Addr
	zone  uint32
	count uint32
}

// NewSourceCounts returns counts with room for as many sessions as capacity, each
// from a source of its own, and at most limit sessions (at least 1) from one
// source. Memory is 24 bytes for each slot, and there are 1.25 × capacity + 64
// for each stripe: 6 KiB for 100 sessions, 31 MB for a million.
func NewSourceCounts(capacity, limit int, seed uint64) *SourceCounts {
	c := newSourceCounts(min(max(capacity, 1), MaxSessions), min(max(limit, 1), MaxSessions), seed)
	c.slots = make([]sourceSlot, c.size())
	return c
}

// newSourceCounts is NewSourceCounts without memory for slots. Sources fall into
// stripes by chance: a quarter more, and 64, is many standard deviations.
func newSourceCounts(capacity, limit int, seed uint64) *SourceCounts {
	stripes := min(1<<bits.Len(uint(capacity/stripeSize)), sourceStripes)
	c := &SourceCounts{
		stripes: uint32(stripes), perStripe: uint32(capacity/stripes*5/4 + 64), limit: uint32(limit),
		locks: make([]stripeLock, stripes),
	}
	for i := range c.seeds {
		c.seeds[i] = splitMix(&seed)
	}
	return c
}

// Limit returns how many sessions a source may have.
func (c *SourceCounts) Limit() int { return int(c.limit) }

// Memory returns the size of the slots in bytes.
func (c *SourceCounts) Memory() int { return c.size() * int(unsafe.Sizeof(sourceSlot{})) }

func (c *SourceCounts) size() int { return int(c.stripes) * int(c.perStripe) }

// place returns the stripe of a source, and the slot in it where a search begins.
func (c *SourceCounts) place(addr *packet.Addr, zone uint32) (stripe, first uint32) {
	hi, lo := bits.Mul64(addr[0]^c.seeds[0], addr[1]^c.seeds[1])
	hi, lo = bits.Mul64(hi^lo^uint64(zone), c.seeds[2])
	h := hi ^ lo
	first64, _ := bits.Mul64(h<<8, uint64(c.perStripe))
	return uint32(h>>56) & (c.stripes - 1), uint32(first64)
}

// stripe returns the slots of a stripe.
func (c *SourceCounts) stripe(n uint32) []sourceSlot {
	return c.slots[n*c.perStripe : (n+1)*c.perStripe]
}

func (c *SourceCounts) lock(stripe uint32) {
	for spins := 0; !c.locks[stripe].taken.CompareAndSwap(0, 1); spins++ {
		relax(spins)
	}
}

func (c *SourceCounts) unlock(stripe uint32) { c.locks[stripe].taken.Store(0) }

// find returns the slot of a source in its stripe, which is locked, or the free slot
// where it belongs; nil if it has none and the stripe is full.
func find(slots []sourceSlot, first uint32, addr *packet.Addr, zone uint32) (i uint32, s *sourceSlot) {
	i = first
	for range slots {
		s := &slots[i]
		if s.count == 0 || s.addr == *addr && s.zone == zone {
			return i, s
		}
		if i++; int(i) == len(slots) {
			i = 0
		}
	}
	return 0, nil
}

// Add counts one more session of a source; false, and nothing is counted, if it has
// its share.
func (c *SourceCounts) Add(source packet.Addr, zone packet.Zone) bool {
	stripe, first := c.place(&source, uint32(zone))
	c.lock(stripe)
	_, s := find(c.stripe(stripe), first, &source, uint32(zone))
	ok := s != nil && s.count < c.limit
	if ok {
		s.addr, s.zone = source, uint32(zone)
		s.count++
	}
	c.unlock(stripe)
	return ok
}

// Remove counts one less of a source: one for each Add that was true.
func (c *SourceCounts) Remove(source packet.Addr, zone packet.Zone) {
	stripe, first := c.place(&source, uint32(zone))
	c.lock(stripe)
	if i, s := find(c.stripe(stripe), first, &source, uint32(zone)); s != nil && s.count > 0 {
		if s.count--; s.count == 0 {
			c.close(c.stripe(stripe), i)
		}
	}
	c.unlock(stripe)
}

// close fills the hole at slot i with what was displaced because of it (Knuth,
// TAOCP 6.4, algorithm R), so that searches may go on ending at free slots.
func (c *SourceCounts) close(slots []sourceSlot, i uint32) {
	for j := i; ; {
		if j++; int(j) == len(slots) {
			j = 0
		}
		s := &slots[j]
		if s.count == 0 {
			return
		}
		_, home := c.place(&s.addr, s.zone)
		// s may move to i unless its home is after i, up to j, cyclically.
		if after(i, home, j) {
			continue
		}
		slots[i] = *s
		s.count = 0
		i = j
	}
}

// after reports whether h is in (i, j] on the circle.
func after(i, h, j uint32) bool {
	if i <= j {
		return i < h && h <= j
	}
	return i < h || h <= j
}

// Count returns the number of sessions of a source.
func (c *SourceCounts) Count(source packet.Addr, zone packet.Zone) int {
	stripe, first := c.place(&source, uint32(zone))
	c.lock(stripe)
	defer c.unlock(stripe)
	if _, s := find(c.stripe(stripe), first, &source, uint32(zone)); s != nil {
		return int(s.count)
	}
	return 0
}
