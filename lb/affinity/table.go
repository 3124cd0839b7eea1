// Package affinity remembers which member a client's last connection went to.
package affinity

import (
	"math/bits"
	"sync/atomic"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Table is a set of clients with their members, of bounded size, that all workers share.
//
//	bucket   version | 8 tags                      one cache line
//	         8 slots: client | affinity and scope  six cache lines
//	                  member | last | timeout
//
// A client has one bucket. Whoever changes it makes its version odd for some 20 ns; whoever
// reads looks at the version before and after. Nobody waits for somebody who is not running: who finds
// a bucket being changed for longer than a few microseconds does without, as if the client were
// not known, or not to be remembered.
//
// Clients whose time is over, and those whose member is gone, stay until somebody else needs their slot:
// whether a member still takes connections is for the caller to ask.
type Table struct {
	seeds   [3]uint64
	buckets []bucket

	purged, refused atomic.Uint64
}

const (
	ways = 8
	// Of each bucket's slots half are for the entries that were asked for: 0.8 % of them
	// give way before the table is full, as a bucket gets more than eight by chance.
	entriesEach = ways / 2
	// patience is how often a bucket is looked at that somebody changes.
	patience = 2000
)

type bucket struct {
	version atomic.Uint64         // odd: being changed
	tags    [ways]atomic.Uint32   // of the client's hash; 0: the slot is empty
	_       [64 - 8 - ways*4]byte // slots begin with a cache line
	slots   [ways]slot
}

// slot is valid if its tag isn't 0.
type slot struct {
	client  [2]atomic.Uint64
	owner   atomic.Uint64 // affinity's ID, and scope
	member  atomic.Uint32
	_       uint32
	last    atomic.Int64 // connection, ns
	timeout atomic.Int64 // ns
}

// New returns an empty table with room for so many clients, at 112 bytes each, of which the
// kernel gives those that are used.
func New(entries int, seed uint64) *Table {
	t := &Table{buckets: make([]bucket, max(1, (entries+entriesEach-1)/entriesEach))}
	for i := range t.seeds {
		seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		t.seeds[i] = fold(seed, 0x9e3779b97f4a7c15)
	}
	return t
}

// key is who is remembered.
type key struct {
	client packet.Addr
	owner  uint64
}

func (t *Table) locate(id uint32, client packet.Addr, scope uint32) (k key, b *bucket, tag uint32) {
	k = key{client: client, owner: uint64(id)<<32 | uint64(scope)}
	h := fold(client[0]^t.seeds[0], client[1]^t.seeds[1])
	h = fold(h^t.seeds[2], k.owner^t.seeds[1])
	i, _ := bits.Mul64(h, uint64(len(t.buckets)))
	return k, &t.buckets[i], uint32(h) | 1
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Find returns the ID of the member that the client's last connection had, by a service.Affinity's ID and
// an address space, unless that is longer ago than the affinity holds.
func (t *Table) Find(id uint32, client packet.Addr, scope uint32, now int64) (member uint32, found bool) {
	k, b, tag := t.locate(id, client, scope)
	for range patience {
		version := b.version.Load()
		if version&1 != 0 {
			continue
		}
		member, found = b.find(k, tag, now)
		if b.version.Load() == version {
			return member, found
		}
	}
	return 0, false
}

func (b *bucket) find(k key, tag uint32, now int64) (member uint32, found bool) {
	for i := range b.tags {
		if b.tags[i].Load() == tag && b.slots[i].is(k) {
			s := &b.slots[i]
			return s.member.Load(), !s.over(now)
		}
	}
	return 0, false
}

func (s *slot) is(k key) bool {
	return s.client[0].Load() == k.client[0] && s.client[1].Load() == k.client[1] && s.owner.Load() == k.owner
}

func (s *slot) over(now int64) bool { return now-s.last.Load() >= s.timeout.Load() }

// Put notes that a connection of the client went to a member. If there is no room, who
// has not connected for longest gives way, or, with a.NoPurge, the client isn't remembered.
func (t *Table) Put(a *service.Affinity, client packet.Addr, scope, member uint32, now int64) {
	k, b, tag := t.locate(a.ID, client, scope)
	if !b.open() {
		return
	}
	i, purges := b.place(k, tag, now)
	switch {
	case purges && a.NoPurge:
		t.refused.Add(1)
	default:
		if purges {
			t.purged.Add(1)
		}
		b.tags[i].Store(tag)
		s := &b.slots[i]
		s.client[0].Store(k.client[0])
		s.client[1].Store(k.client[1])
		s.owner.Store(k.owner)
		s.member.Store(member)
		s.last.Store(now)
		s.timeout.Store(a.TimeoutNs)
	}
	b.close()
}

// open begins a change.
func (b *bucket) open() bool {
	for range patience {
		if version := b.version.Load(); version&1 == 0 && b.version.CompareAndSwap(version, version+1) {
			return true
		}
	}
	return false
}

func (b *bucket) close() { b.version.Add(1) }

// place returns the slot of a client: that which it has, or a free one, or the one that was
// used longest ago, which is still in use.
func (b *bucket) place(k key, tag uint32, now int64) (slot int, purges bool) {
	free, oldest := -1, 0
	for i := range b.tags {
		s := &b.slots[i]
		switch old := b.tags[i].Load(); {
		case old == tag && s.is(k):
			return i, false
		case free >= 0:
		case old == 0 || s.over(now):
			free = i
		case s.last.Load() < b.slots[oldest].last.Load():
			oldest = i
		}
	}
	if free >= 0 {
		return free, false
	}
	return oldest, true
}
