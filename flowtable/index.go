package flowtable

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
)

const (
	slotsPerBucket = 8

	// maxLoad is the load that NewIndex sizes for, in percent: 20 % are kept
	// free so that nearly every element is in its primary bucket (one line
	// per lookup) and nearly no insertion displaces. Two choices of 8 slots
	// carry well over 90 % before an insertion fails.
	maxLoad = 80

	// minBuckets: in a handful of buckets chance is uneven, and 4 KiB are nothing.
	minBuckets = 64

	maxBuckets = 1 << 31
)

// Index is a concurrent cuckoo hash: it finds the 32-bit number of an element
// by the element's hash. It knows neither keys nor elements; they are the
// caller's, who compares.
//
//	bucket: one cache line
//	 0        16                          48        52     64
//	 | fp × 8 |  id × 8                   | version |      |
//
//	version  even: at rest, odd: a writer is inside; grows with every change
//	fp       16 bits of the hash (bits 31 to 16) that tell elements of a bucket apart; 0 is an empty slot
//	id       number of the element, valid while its fp is not 0
//
// # Parameters, with reasons
//
//   - 8 slots, so that a bucket is one line: a lookup that hits costs one line
//     of the index. Two 64-bit words of fingerprints are compared at once
//     (SWAR); 16 bits make a needless look at an element's key a matter of
//     one in 4096 even in full buckets.
//   - Two buckets for each element (d = 2). The second is the first XOR a
//     number made of the fingerprint alone, so an element can be moved without
//     its key ("partial-key cuckoo hashing", Fan et al., MemC3, NSDI 2013).
//     The first is preferred; what the second costs is paid by few.
//   - The number of buckets is a power of two and fixed: an index that grows
//     would stall a poll or need a second lookup while it does.
//
// # Readers
//
// Readers take no lock and write nothing. They look into the first bucket,
// then the second. A hit is a hit whatever writers do meanwhile, as the caller
// compares the whole key. A miss counts only if both versions are even and
// unchanged since before the buckets were read: then both lay still at the
// moment between the two looks, and an element that is there is in one of them.
//
// # Writers
//
// Writers lock the two buckets of the element, in order of address, by making
// their versions odd. Everything about one element happens under the same two
// locks, so two equal elements cannot both be inserted. If both buckets are
// full, a breadth-first search that takes no lock finds the shortest way to a
// free slot, and the elements on it move from its far end, each under the
// locks of its two buckets and only if it still stands where it stood; an
// element is therefore always in at least one of its buckets.
//
// # Validity of numbers
//
// A reader may still hold a number that has been removed. When a number may be
// used again is the caller's matter; in this package a session waits until no
// worker can hold it (reclaim.go).
type Index struct {
	buckets unsafe.Pointer // [mask+1]bucket
	mask    uint64
	shift   uint8  // 64 minus the bits of mask: a hash's high bits number its first bucket
	mult    uint64 // odd; spreads a fingerprint over the buckets
	mem     packet.Mapping
}

type bucket struct {
	fp      [2]uint64
	id      [slotsPerBucket]uint32
	version uint32
	_       [12]byte
}

var _ = [1]struct{}{}[unsafe.Sizeof(bucket{})-lineSize]

// Insertion is what became of an element to be inserted.
type Insertion uint8

const (
	Inserted Insertion = iota
	Exists             // an equal element is there
	Full               // no room could be made
)

// NewIndex returns an index that holds capacity elements at a load of at most
// 80 %. The seed makes the pairing of buckets unpredictable; the hashes that
// are given to the index are the caller's and must be seeded too. Of a hash,
// the high bits and bits 31 to 16 count.
func NewIndex(capacity int, seed uint64) (*Index, error) {
	x := new(Index)
	return x, x.init(capacity, seed, false)
}

func (x *Index) init(capacity int, seed uint64, prefault bool) error {
	n := bucketsFor(capacity)
	if capacity < 1 || n > maxBuckets {
		return fmt.Errorf("index of %d elements: capacity must be 1 to %d", capacity, maxBuckets/100*slotsPerBucket*maxLoad)
	}
	mem, err := packet.Map(n*lineSize, prefault)
	if err != nil {
		return fmt.Errorf("map index of %d MiB: %w", n*lineSize>>20, err)
	}
	*x = Index{buckets: mem.Base(), mask: uint64(n - 1), shift: uint8(65 - bits.Len(uint(n))), mult: splitMix(&seed) | 1, mem: mem}
	return nil
}

// bucketsFor returns the number of buckets for capacity elements.
func bucketsFor(capacity int) int {
	need := (capacity*100/maxLoad + slotsPerBucket - 1) / slotsPerBucket
	if need <= minBuckets {
		return minBuckets
	}
	return 1 << bits.Len(uint(need-1))
}

// Close returns the memory. No method may be called any more.
func (x *Index) Close() error {
	x.buckets = nil
	return x.mem.Close()
}

// Slots returns the number of slots; the load is the number of elements over it.
func (x *Index) Slots() int { return int(x.mask+1) * slotsPerBucket }

// Memory returns the size in bytes.
func (x *Index) Memory() int { return int(x.mask+1) * lineSize }

// Find returns the number with this hash for which match holds. match is
// called with numbers that were inserted with an equal fingerprint, in rare
// cases with numbers that have been removed meanwhile.
func (x *Index) Find(hash uint64, match func(id uint32) bool) (id uint32, found bool) {
	fp := fingerprint(hash)
	i1 := x.first(hash)
	b1, b2 := x.at(i1), x.at(x.alternate(i1, fp))
	for spins := 0; ; spins++ {
		v1 := atomic.LoadUint32(&b1.version)
		if id, found = b1.find(fp, match); found {
			return id, true
		}
		v2 := atomic.LoadUint32(&b2.version)
		if id, found = b2.find(fp, match); found {
			return id, true
		}
		if (v1|v2)&1 == 0 && atomic.LoadUint32(&b1.version) == v1 && atomic.LoadUint32(&b2.version) == v2 {
			return 0, false
		}
		relax(spins)
	}
}

// Insert adds the number id under hash. It does not look for an equal element.
func (x *Index) Insert(hash uint64, id uint32) bool {
	_, what := x.InsertUnique(hash, id, nil)
	return what == Inserted
}

// InsertUnique adds the number id under hash unless match holds for a number
// with that hash, which it then returns. With match nil it always adds.
func (x *Index) InsertUnique(hash uint64, id uint32, match func(id uint32) bool) (existing uint32, what Insertion) {
	fp := fingerprint(hash)
	i1 := x.first(hash)
	i2 := x.alternate(i1, fp)
	// A slot that was made free may be taken by another writer before it is
	// locked; nobody loses that race many times.
	for range 16 {
		b1, b2 := x.lock(i1, i2)
		if match != nil {
			if existing, found := b1.find(fp, match); found {
				publish(b1, b2)
				return existing, Exists
			}
			if existing, found := b2.find(fp, match); found {
				publish(b1, b2)
				return existing, Exists
			}
		}
		done := b1.put(fp, id) || b2.put(fp, id)
		publish(b1, b2)
		if done {
			return 0, Inserted
		}
		if !x.makeRoom(i1, i2) {
			break
		}
	}
	return 0, Full
}

// Remove takes the number id, inserted under hash, out of the index.
func (x *Index) Remove(hash uint64, id uint32) (found bool) {
	fp := fingerprint(hash)
	i1 := x.first(hash)
	b1, b2 := x.lock(i1, x.alternate(i1, fp))
	found = b1.take(fp, id) || b2.take(fp, id)
	unlock(b1, b2)
	return found
}

// fingerprint is 16 bits of the hash below those that may number a bucket. It
// is not 0, which is an empty slot, nor 1, which subtraction's borrow could
// confuse with one: see matches.
func fingerprint(hash uint64) uint64 {
	fp := hash >> 16 & 0xffff
	if fp < 2 {
		fp += 2
	}
	return fp
}

// first returns the number of the bucket that an element belongs in.
func (x *Index) first(hash uint64) uint64 { return hash >> (x.shift & 63) }

// alternate returns the other bucket of an element that is in bucket i. It is
// its own inverse, and never i itself, so that every element has two.
func (x *Index) alternate(i, fp uint64) uint64 {
	return (i ^ (fp*x.mult>>24 | 1)) & x.mask
}

func (x *Index) at(i uint64) *bucket {
	return (*bucket)(unsafe.Add(x.buckets, i*lineSize))
}

const (
	lanes    = 0x0001_0001_0001_0001
	laneTops = 0x8000_8000_8000_8000
)

// matches returns a word in which the lowest bit names the first slot that
// holds fp, for slotOf. Further bits are candidates: subtracting one from a
// lane that is equal borrows from the next, and makes a lane that differs by
// one look equal too. Such a slot is not empty, as no fingerprint is 1, so what
// it names is a number like any other, and the keys differ.
func matches(fp0, fp1, fp uint64) uint64 {
	x0, x1 := fp0^fp*lanes, fp1^fp*lanes
	z0, z1 := (x0-lanes)&^x0&laneTops, (x1-lanes)&^x1&laneTops
	return z0>>15 | z1>>14
}

// slotOf returns the slot that the lowest bit of a word of matches names: even
// bits stand for slots 0 to 3, odd ones for 4 to 7. No branch: which of the
// words it is cannot be predicted.
func slotOf(m uint64) uint64 {
	p := uint64(bits.TrailingZeros64(m))
	return p>>4&3 | p&1<<2
}

// touch loads the buckets of two elements.
func (x *Index) touch(hashes *[2]uint64) {
	for _, h := range hashes {
		i := x.first(h)
		atomic.LoadUint32(&x.at(i).version)
		atomic.LoadUint32(&x.at(x.alternate(i, fingerprint(h))).version)
	}
}

func (b *bucket) find(fp uint64, match func(id uint32) bool) (id uint32, found bool) {
	for m := matches(atomic.LoadUint64(&b.fp[0]), atomic.LoadUint64(&b.fp[1]), fp); m != 0; m &= m - 1 {
		if id = atomic.LoadUint32(&b.id[slotOf(m)]); match(id) {
			return id, true
		}
	}
	return 0, false
}

// set writes a slot's fingerprint; the bucket is locked.
func (b *bucket) set(slot, fp uint64) {
	w, shift := &b.fp[slot>>2], slot&3*16
	relaxed.Release(w, *w&^(0xffff<<shift)|fp<<shift)
}

// put adds an element if a slot is free; the bucket is locked. The number goes
// before the fingerprint, so that who sees this sees that.
func (b *bucket) put(fp uint64, id uint32) bool {
	m := matches(b.fp[0], b.fp[1], 0)
	if m == 0 {
		return false
	}
	slot := slotOf(m)
	relaxed.Store(&b.id[slot], id)
	b.set(slot, fp)
	return true
}

// take removes an element if it is there; the bucket is locked.
func (b *bucket) take(fp uint64, id uint32) bool {
	for m := matches(b.fp[0], b.fp[1], fp); m != 0; m &= m - 1 {
		slot := slotOf(m)
		if b.id[slot] == id && b.fp[slot>>2]>>(slot&3*16)&0xffff == fp {
			b.set(slot, 0)
			return true
		}
	}
	return false
}

// lock locks two different buckets and returns them in the order asked for.
func (x *Index) lock(i1, i2 uint64) (b1, b2 *bucket) {
	b1, b2 = x.at(i1), x.at(i2)
	if i1 < i2 {
		b1.lock()
		b2.lock()
	} else {
		b2.lock()
		b1.lock()
	}
	return b1, b2
}

func (b *bucket) lock() {
	for spins := 0; ; spins++ {
		if v := atomic.LoadUint32(&b.version); v&1 == 0 && atomic.CompareAndSwapUint32(&b.version, v, v+1) {
			return
		}
		relax(spins)
	}
}

// unlock lets others in, who see at once what has changed: sessions are recycled on the strength of that (see grace).
func unlock(b1, b2 *bucket) {
	atomic.AddUint32(&b1.version, 1)
	atomic.AddUint32(&b2.version, 1)
}

// publish is unlock for who has added something, and need not know when others see it: the locked instruction, of which a
// session took two for each key, waits for that.
func publish(b1, b2 *bucket) {
	relaxed.Release(&b1.version, atomic.LoadUint32(&b1.version)+1)
	relaxed.Release(&b2.version, atomic.LoadUint32(&b2.version)+1)
}

// relax waits for another writer. It is inside for some tens of nanoseconds,
// unless the kernel or the runtime took its processor away: then it needs ours.
func relax(spins int) {
	if spins > 32 {
		runtime.Gosched()
	}
}
