package flowtable

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

// census counts sessions, exactly, as they are admitted and dismissed.
type census struct {
	_     [lineSize]byte
	live  atomic.Int64
	_     [lineSize - 8]byte
	hand  atomic.Uint32 // of evict's sample
	_     [lineSize - 4]byte
	count [numFamilies]struct {
		class [3]atomic.Int64
		_     [lineSize - 24]byte
	}
}

func (c *census) move(f Family, from, to class) {
	c.count[f].class[from].Add(-1)
	c.count[f].class[to].Add(1)
}

// charged returns how many sessions count against the cap of a family.
func (c *census) charged(f Family) int64 {
	count := &c.count[f].class
	if f == FamilyTCP {
		return count[classEmbryonic].Load()
	}
	return count[classEmbryonic].Load() + count[classEstablished].Load() + count[classClosing].Load()
}

// admit counts a session that is to begin, or says why it may not. Every count
// is raised before it is compared, so that two workers cannot both take the
// last place.
func (w *Worker) admit(original *packet.Key, c class, f Family, now int64) packet.Reason {
	t := w.t
	if t.sources != nil && !t.sources.add(original) {
		return packet.SourceLimit
	}
	t.census.count[f].class[c].Add(1)
	live := t.census.live.Add(1)
	nearlyFull := live >= int64(t.cfg.Sessions)/8*7
	if q := queueOf(c, f); q != noQueue && (nearlyFull || t.caps[f] > 0) {
		t.first(q, trimPerCreate)
	}
	capped := t.caps[f] > 0 && (f != FamilyTCP || c == classEmbryonic)
	full := capped && t.census.charged(f) > t.caps[f] && !w.evict(f, now)
	if nearlyFull && !full {
		t.first(queueClosing, trimPerCreate)
		// An eviction for the family's sake has made room here too.
		full = t.census.live.Load() > int64(t.cfg.Sessions) && !w.evict(numFamilies, now)
	}
	if full {
		t.dismiss(original, c, f)
		return packet.SessionTableFull
	}
	return packet.None
}

// dismiss is the inverse of admit.
func (t *Table) dismiss(original *packet.Key, c class, f Family) {
	t.census.count[f].class[c].Add(-1)
	t.census.live.Add(-1)
	if t.sources != nil {
		t.sources.remove(original)
	}
}

// sources counts sessions by zone and source address: open addressing with
// linear probing, cut into stripes with a lock each, as two workers rarely
// begin sessions of one stripe at the same moment. A source without sessions
// has no slot, so there are never more slots in use than sessions.
type sources struct {
	slots     unsafe.Pointer // [stripes][perStripe]sourceSlot
	perStripe uint32
	limit     uint32
	seeds     [3]uint64
	locks     [sourceStripes]struct {
		taken atomic.Uint32
		_     [lineSize - 4]byte
	}
}

const sourceStripes = 64

// sourceSlot is in use iff count is not 0.
type sourceSlot struct {
	addr  packet.Addr
	zone  uint32
	count uint32
}

// newSources makes room for as many sources as sessions. Sources fall into
// stripes by chance: a quarter more, and 64, is many standard deviations.
func newSources(sessions, limit int, seed uint64) *sources {
	c := &sources{perStripe: uint32(sessions/sourceStripes*5/4 + 64), limit: uint32(limit)}
	for i := range c.seeds {
		c.seeds[i] = splitMix(&seed)
	}
	return c
}

func (c *sources) memory() int {
	return sourceStripes * int(c.perStripe) * int(unsafe.Sizeof(sourceSlot{}))
}

// at returns slot i of the stripe that starts at base.
func (c *sources) at(base, i uint32) *sourceSlot {
	return (*sourceSlot)(unsafe.Add(c.slots, uintptr(base+i)*unsafe.Sizeof(sourceSlot{})))
}

// place returns the stripe of a source, and the slot in it where a search begins.
func (c *sources) place(addr *packet.Addr, zone uint32) (stripe, first uint32) {
	hi, lo := bits.Mul64(addr[0]^c.seeds[0], addr[1]^c.seeds[1])
	hi, lo = bits.Mul64(hi^lo^uint64(zone), c.seeds[2])
	h := hi ^ lo
	first64, _ := bits.Mul64(h<<8, uint64(c.perStripe))
	return uint32(h>>56) % sourceStripes, uint32(first64)
}

func (c *sources) lock(stripe uint32) {
	for spins := 0; !c.locks[stripe].taken.CompareAndSwap(0, 1); spins++ {
		relax(spins)
	}
}

func (c *sources) unlock(stripe uint32) { c.locks[stripe].taken.Store(0) }

// find returns the slot of a source, or the free slot where it belongs; ok is
// false if it has none and the stripe is full. The stripe is locked.
func (c *sources) find(base, first uint32, addr *packet.Addr, zone uint32) (i uint32, ok bool) {
	i = first
	for range c.perStripe {
		s := c.at(base, i)
		if s.count == 0 || s.addr == *addr && s.zone == zone {
			return i, true
		}
		if i++; i == c.perStripe {
			i = 0
		}
	}
	return 0, false
}

// add counts one more session of the key's source; false if it has its share.
func (c *sources) add(k *packet.Key) bool {
	zone := uint32(k.Zone())
	stripe, first := c.place(&k.Src, zone)
	c.lock(stripe)
	base := stripe * c.perStripe
	i, ok := c.find(base, first, &k.Src, zone)
	if ok {
		s := c.at(base, i)
		if ok = s.count < c.limit; ok {
			s.addr, s.zone = k.Src, zone
			s.count++
		}
	}
	c.unlock(stripe)
	return ok
}

// remove counts one less.
func (c *sources) remove(k *packet.Key) {
	zone := uint32(k.Zone())
	stripe, first := c.place(&k.Src, zone)
	c.lock(stripe)
	base := stripe * c.perStripe
	if i, ok := c.find(base, first, &k.Src, zone); ok {
		if s := c.at(base, i); s.count > 0 {
			if s.count--; s.count == 0 {
				c.close(base, i)
			}
		}
	}
	c.unlock(stripe)
}

// close fills the hole at slot i with what was displaced because of it (Knuth,
// TAOCP 6.4, algorithm R), so that searches may go on ending at free slots.
func (c *sources) close(base, i uint32) {
	for j := i; ; {
		if j++; j == c.perStripe {
			j = 0
		}
		s := c.at(base, j)
		if s.count == 0 {
			return
		}
		_, home := c.place(&s.addr, s.zone)
		// s may move to i unless its home is after i, up to j, cyclically.
		if after(i, home, j) {
			continue
		}
		*c.at(base, i) = *s
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

// count returns the number of sessions of a source.
func (c *sources) count(addr packet.Addr, zone packet.Zone) int {
	stripe, first := c.place(&addr, uint32(zone))
	c.lock(stripe)
	defer c.unlock(stripe)
	base := stripe * c.perStripe
	if i, ok := c.find(base, first, &addr, uint32(zone)); ok {
		return int(c.at(base, i).count)
	}
	return 0
}
