package route

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// macTable holds learned MAC addresses and where they are. Looking up takes no
// lock and never waits; learning takes the table's lock, which is for new
// addresses, moves and aging only: an address seen again where it is known costs
// a lookup.
//
// An entry's key is 0 while the entry is free or being filled in, and its place
// is one word, so a reader that finds the key it looks for before and after
// reading the place has read that address's place.
type macTable struct {
	seed  [2]uint64
	index *flowtable.Index
	hops  *dataplane.HopTable

	mu      sync.Mutex // everything below, and all writing of entries but used
	entries []macEntry // 1..capacity
	free    []uint32
	high    uint32 // largest number ever used: sweeping ends there
	cursor  uint32 // entry swept last

	learned []atomic.Int32 // by port; written under mu
	stats   macStats
}

// macEntry is one learned address.
type macEntry struct {
	mac  atomic.Uint64 // 0: free, or being written
	zone atomic.Uint32
	port atomic.Uint32
	hop  atomic.Uint64 // index | generation << 32
	used atomic.Int64  // ns; when it last sent, to within usedGrain

	// Under the table's lock.
	agingNs int64
	since   int64  // when the first of moves was made
	until   int64  // when the address stops being held; 0: it is not held
	moves   uint32 // within the window
	home    uint16 // where it was before them
}

// usedGrain is how coarse times of use are noted: entries of busy addresses
// are read by all workers and should not be written for every packet.
const usedGrain = 250e6

// minAging is well above usedGrain and the time between two sweeps.
const minAging = 1e9

// macStats count what became of source addresses.
type macStats struct {
	learned, aged, moved, held, blocked, limited, full atomic.Uint64
}

// MACStats are counts since the State was made, but for Addresses.
type MACStats struct {
	Addresses int    // known just now
	Learned   uint64 // addresses learned
	Aged      uint64 // forgotten because they were not used
	Moved     uint64 // moves from port to port
	Held      uint64 // addresses held because they moved too often
	Blocked   uint64 // frames dropped because their source was held at another port
	Limited   uint64 // frames from addresses beyond a port's limit
	Full      uint64 // frames from addresses that found no room
}

func newMACTable(capacity, ports int, seed uint64, hops *dataplane.HopTable) (*macTable, error) {
	index, err := flowtable.NewIndex(capacity, seed)
	if err != nil {
		return nil, err
	}
	t := &macTable{
		seed:  [2]uint64{seed*0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d, seed ^ 0xd6e8feb86659fd93},
		index: index, hops: hops,
		entries: make([]macEntry, capacity+1), free: make([]uint32, 0, capacity),
		learned: make([]atomic.Int32, ports+1),
	}
	for i := capacity; i > 0; i-- {
		t.free = append(t.free, uint32(i))
	}
	return t, nil
}

func (t *macTable) close() error { return t.index.Close() }

// hash spreads an address over the index; by the seed, so that who can choose
// addresses can't choose buckets.
func (t *macTable) hash(zone packet.Zone, mac uint64) uint64 {
	hi, lo := bits.Mul64(mac^t.seed[0], uint64(zone)<<32|0x9e3779b1^t.seed[1])
	hi, lo = bits.Mul64(hi^lo, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// lookup returns the entry of an address and what it said at one moment; 0 if
// the address is not known.
func (t *macTable) lookup(zone packet.Zone, mac uint64) (id uint32, at station) {
	id, found := t.index.Find(t.hash(zone, mac), func(id uint32) bool {
		e := &t.entries[id]
		if e.mac.Load() != mac || e.zone.Load() != uint32(zone) {
			return false
		}
		hop := e.hop.Load()
		at = station{port: uint16(e.port.Load()), hop: hopRef{uint32(hop), uint32(hop >> 32)}}
		return e.mac.Load() == mac && e.zone.Load() == uint32(zone)
	})
	if !found {
		return 0, station{}
	}
	return id, at
}

// find returns where an address is.
func (t *macTable) find(zone packet.Zone, mac uint64) (at station, found bool) {
	id, at := t.lookup(zone, mac)
	return at, id != 0
}

// use notes that an address has been seen at a port. It reports whether that is
// where it is known.
func (t *macTable) use(zone packet.Zone, mac uint64, port uint16, now int64) bool {
	id, at := t.lookup(zone, mac)
	if id == 0 || at.port != port {
		return false
	}
	if e := &t.entries[id]; now-e.used.Load() > usedGrain {
		e.used.Store(now)
	}
	return true
}

// lesson is what became of a source address.
type lesson uint8

const (
	lessonKnown   lesson = iota // it is where it was
	lessonLearned               // it is new
	lessonMoved                 // it is at this port now, or back at the one where it is held
	lessonHeld                  // it moves too often and is held at another port
	lessonLimited               // the port has as many addresses as it may
	lessonFull                  // the table has
)

// learn makes the port of m the place of an address, if that may be, and returns
// the port where it is now.
func (t *macTable) learn(f *Forwarder, m *member, zone packet.Zone, mac uint64, now int64) (l lesson, port uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, at := t.lookup(zone, mac)
	switch {
	case id == 0:
		return t.add(m, zone, mac, now), m.port
	case at.port == m.port:
		// Another worker has learned it meanwhile.
		return lessonKnown, m.port
	}
	e := &t.entries[id]
	rules := &m.learning
	if e.until != 0 {
		if now < e.until {
			e.until = now + rules.MoveWindowNs
			t.stats.blocked.Add(1)
			return lessonHeld, at.port
		}
		e.until, e.moves = 0, 0
	}
	if e.moves == 0 || now-e.since > rules.MoveWindowNs {
		e.since, e.moves, e.home = now, 0, at.port
	}
	if t.atLimit(m) {
		t.stats.limited.Add(1)
		return lessonLimited, at.port
	}
	e.moves++
	if rules.MoveLimit == 0 || int(e.moves) <= rules.MoveLimit {
		t.move(e, zone, m)
		e.used.Store(now)
		return lessonMoved, m.port
	}
	// In a loop the frames of a host come back by other ports: the first place
	// was the true one.
	e.until = now + rules.MoveWindowNs
	t.stats.held.Add(1)
	seg := f.segmentOf(zone)
	home := seg.member(e.home)
	// By another configuration than that of then, it may have no place there.
	if home == nil || !f.learnable(home, seg, mac) || e.home == at.port {
		t.stats.blocked.Add(1)
		return lessonHeld, at.port
	}
	t.move(e, zone, home)
	if e.home != m.port {
		t.stats.blocked.Add(1)
	}
	return lessonMoved, e.home
}

func (t *macTable) atLimit(m *member) bool {
	return m.learning.Limit > 0 && int(t.learned[m.port].Load()) >= m.learning.Limit
}

func (t *macTable) add(m *member, zone packet.Zone, mac uint64, now int64) lesson {
	if t.atLimit(m) {
		t.stats.limited.Add(1)
		return lessonLimited
	}
	if len(t.free) == 0 {
		t.stats.full.Add(1)
		return lessonFull
	}
	index, gen, err := t.hops.New(m.hop(zone))
	if err != nil {
		t.stats.full.Add(1)
		return lessonFull
	}
	id := t.free[len(t.free)-1]
	e := &t.entries[id]
	e.zone.Store(uint32(zone))
	e.port.Store(uint32(m.port))
	e.hop.Store(uint64(index) | uint64(gen)<<32)
	e.used.Store(now)
	e.agingNs, e.until, e.moves = m.learning.AgingNs, 0, 0
	e.mac.Store(mac)
	if !t.index.Insert(t.hash(zone, mac), id) {
		e.mac.Store(0)
		t.hops.Free(index)
		t.stats.full.Add(1)
		return lessonFull
	}
	t.free = t.free[:len(t.free)-1]
	t.high = max(t.high, id)
	t.learned[m.port].Add(1)
	t.stats.learned.Add(1)
	return lessonLearned
}

// move makes another port the place of an address: flows toward it decide again.
func (t *macTable) move(e *macEntry, zone packet.Zone, to *member) {
	t.learned[e.port.Load()].Add(-1)
	t.learned[to.port].Add(1)
	t.place(e, to.hop(zone))
	e.agingNs = to.learning.AgingNs
	t.stats.moved.Add(1)
}

// place replaces the hop of an entry.
func (t *macTable) place(e *macEntry, h dataplane.Hop) {
	index := uint32(e.hop.Load())
	gen := t.hops.Set(index, h)
	e.hop.Store(uint64(index) | uint64(gen)<<32)
	e.port.Store(uint32(h.Port))
}

// remove forgets an address; the lock is held.
func (t *macTable) remove(id uint32) {
	e := &t.entries[id]
	mac, zone := e.mac.Load(), packet.Zone(e.zone.Load())
	t.index.Remove(t.hash(zone, mac), id)
	e.mac.Store(0)
	t.hops.Free(uint32(e.hop.Load()))
	t.learned[e.port.Load()].Add(-1)
	t.free = append(t.free, id)
}

// sweepSize is how many entries one turn looks at, and forgets at most.
const sweepSize = 256

// sweep looks at some entries and forgets those that have aged. It returns
// how many, with their keys in gone.
func (t *macTable) sweep(now int64, gone *[sweepSize]stationKey) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range min(sweepSize, t.high) {
		t.cursor++
		if t.cursor > t.high {
			t.cursor = 1
		}
		e := &t.entries[t.cursor]
		mac := e.mac.Load()
		if mac == 0 || e.agingNs == 0 || now-e.used.Load() <= max(e.agingNs, minAging) {
			continue
		}
		gone[n] = stationKey{mac, uint64(e.zone.Load())}
		n++
		t.remove(t.cursor)
		t.stats.aged.Add(1)
	}
	return n
}

// refit makes the table fit a new forwarder in the place of old, which differ in these zones: addresses at ports that
// are gone, replaced or learn no more, and those that are bound now, are forgotten; the others get the
// port's new tags and limits. It returns what is forgotten. Not for the packet path.
func (t *macTable) refit(f, old *Forwarder, zones map[packet.Zone]bool) (gone []stationKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := uint32(1); id <= t.high; id++ {
		e := &t.entries[id]
		mac := e.mac.Load()
		if mac == 0 {
			continue
		}
		zone := packet.Zone(e.zone.Load())
		if !zones[zone] {
			continue
		}
		port := uint16(e.port.Load())
		m := f.memberOf(port, zone)
		if m == nil || f.replaces(old, port, zone) || !f.learnable(m, f.segmentOf(zone), mac) {
			gone = append(gone, stationKey{mac, uint64(zone)})
			t.remove(id)
			continue
		}
		e.agingNs = m.learning.AgingNs
		if hop := m.hop(zone); t.hops.Lookup(uint32(e.hop.Load())) != hop {
			t.place(e, hop)
		}
	}
	return gone
}

// MACStats returns the counts of the address table.
func (s *State) MACStats() MACStats {
	t := s.macs
	t.mu.Lock()
	n := cap(t.free) - len(t.free)
	t.mu.Unlock()
	c := &t.stats
	return MACStats{
		Addresses: n,
		Learned:   c.learned.Load(), Aged: c.aged.Load(), Moved: c.moved.Load(), Held: c.held.Load(),
		Blocked: c.blocked.Load(), Limited: c.limited.Load(), Full: c.full.Load(),
	}
}
