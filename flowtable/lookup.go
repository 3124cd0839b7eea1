package flowtable

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

// touchFrom is the number of sessions from which LookupVector loads lines
// ahead of their use: below, they are in the second-level cache anyway.
const touchFrom = 2048

// Entry returns the entry of a direction of a session. The pointer is valid as
// long as the id: until the worker's next Quiesce.
func (t *Table) Entry(id ID) *Entry {
	return (*Entry)(unsafe.Add(t.entries, uintptr(id)*entrySize))
}

// holds compares five words without a branch between them.
func (e *Entry) holds(k *packet.Key) bool {
	return (e.Key.Src[0]^k.Src[0])|(e.Key.Src[1]^k.Src[1])|
		(e.Key.Dst[0]^k.Dst[0])|(e.Key.Dst[1]^k.Dst[1])|
		(e.Key.Tail^k.Tail) == 0
}

// Lookup returns the direction of a session that packets with this key belong
// to, or 0.
func (t *Table) Lookup(k *packet.Key) ID { return t.find(t.Hash(k), k) }

// LookupVector looks up the keys of the infos whose bits are set in mask. It
// stores their hashes, the IDs of those found and 0 for the others, and
// returns a bit for each one found.
//
// A lookup that misses the cache waits for a bucket and then for an entry;
// 64 of them in a row would wait 128 times. So the work is cut into stages, and
// between them a loop of loads that do not depend on each other brings the
// lines of the next stage, all at once ("touch"; it beat PREFETCHT0).
//
// The loops count, and test the mask, instead of going from bit to bit with
// TrailingZeros64: that is BSF, which on amd64 depends on the old value of the
// register it writes. If that held what a load brings, each load waits for the
// one before, and touching is worse than nothing: 245 ns per packet at a
// million flows instead of 60. Vectors are dense, so the test is well predicted.
func (t *Table) LookupVector(infos *[64]packet.Info, mask uint64, hashes *[64]uint64, ids *[64]ID) (found uint64) {
	x := &t.index
	large := t.Large()
	n := bits.Len64(mask)
	for i := 0; i < n; i++ {
		if mask>>(i&63)&1 != 0 {
			hashes[i&63] = t.Hash(&infos[i&63].Key)
		}
	}
	if large {
		for i := 0; i < n; i++ {
			if mask>>(i&63)&1 != 0 {
				// An atomic load is not optimised away though nobody wants its result.
				atomic.LoadUint64(&x.at(x.first(hashes[i&63])).fp[0])
			}
		}
	}
	first := mask // candidate in the first bucket
	for i := 0; i < n; i++ {
		if mask>>(i&63)&1 == 0 {
			continue
		}
		h := hashes[i&63]
		b := x.at(x.first(h))
		slots := matches(atomic.LoadUint64(&b.fp[0]), atomic.LoadUint64(&b.fp[1]), fingerprint(h))
		if slots == 0 {
			first &^= 1 << (i & 63)
			continue
		}
		ids[i&63] = ID(atomic.LoadUint32(&b.id[slotOf(slots)&7]))
	}
	if large {
		for i := 0; i < n; i++ {
			if first>>(i&63)&1 != 0 {
				t.Entry(ids[i&63]).touch()
			}
		}
	}
	for i := 0; i < n; i++ {
		if first>>(i&63)&1 != 0 && t.Entry(ids[i&63]).holds(&infos[i&63].Key) {
			found |= 1 << (i & 63)
		}
	}
	if again := mask &^ found; again != 0 {
		found |= t.lookupAgain(infos, again, hashes, ids, large)
	}
	return found
}

// lookupAgain is the second chance: all matching slots of both buckets, and
// the proof that a miss is one.
func (t *Table) lookupAgain(infos *[64]packet.Info, mask uint64, hashes *[64]uint64, ids *[64]ID, large bool) (found uint64) {
	if large {
		for m := mask; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m) & 63
			x, h := &t.index, hashes[i]
			atomic.LoadUint64(&x.at(x.alternate(x.first(h), fingerprint(h))).fp[0])
		}
	}
	for m := mask; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m) & 63
		ids[i] = t.find(hashes[i], &infos[i].Key)
		if ids[i] != 0 {
			found |= 1 << i
		}
	}
	return found
}

// find is Index.Find with the comparison written into it; see there for why
// the versions prove a miss.
func (t *Table) find(hash uint64, k *packet.Key) ID {
	fp := fingerprint(hash)
	i1 := t.index.first(hash)
	b1, b2 := t.index.at(i1), t.index.at(t.index.alternate(i1, fp))
	for spins := 0; ; spins++ {
		v1 := atomic.LoadUint32(&b1.version)
		if id := t.findIn(b1, fp, k); id != 0 {
			return id
		}
		v2 := atomic.LoadUint32(&b2.version)
		if id := t.findIn(b2, fp, k); id != 0 {
			return id
		}
		if (v1|v2)&1 == 0 && atomic.LoadUint32(&b1.version) == v1 && atomic.LoadUint32(&b2.version) == v2 {
			return 0
		}
		relax(spins)
	}
}

func (t *Table) findIn(b *bucket, fp uint64, k *packet.Key) ID {
	for m := matches(atomic.LoadUint64(&b.fp[0]), atomic.LoadUint64(&b.fp[1]), fp); m != 0; m &= m - 1 {
		id := ID(atomic.LoadUint32(&b.id[slotOf(m)&7]))
		if t.Entry(id).holds(k) {
			return id
		}
	}
	return 0
}

// Anticipate brings in what inserting the reverse of the infos' keys, in a zone, needs of the index, for those
// whose bits are set in mask: each would wait for memory by itself later. hashes is scratch.
func (t *Table) Anticipate(infos *[64]packet.Info, mask uint64, zone packet.Zone, hashes *[64]uint64) {
	n := bits.Len64(mask)
	for i := 0; i < n; i++ {
		if mask>>(i&63)&1 != 0 {
			reply := infos[i&63].Key.Reverse().WithZone(zone)
			hashes[i&63] = t.Hash(&reply)
		}
	}
	x := &t.index
	for i := 0; i < n; i++ {
		if mask>>(i&63)&1 != 0 {
			atomic.LoadUint64(&x.at(x.first(hashes[i&63])).fp[0])
		}
	}
	for i := 0; i < n; i++ {
		if mask>>(i&63)&1 != 0 {
			h := hashes[i&63]
			atomic.LoadUint64(&x.at(x.alternate(x.first(h), fingerprint(h))).fp[0])
		}
	}
}

// Large reports whether the table has so many sessions that waiting for memory is what looking up costs.
func (t *Table) Large() bool { return t.pool.fresh.Load() > touchFrom }
