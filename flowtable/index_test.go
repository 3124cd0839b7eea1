package flowtable

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func newIndex(t testing.TB, capacity int) *Index {
	t.Helper()
	x, err := NewIndex(capacity, 7)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

// numbered hashes: element id has hash hashOf(id).
func hashOf(id uint32) uint64 {
	seed := uint64(id)
	return splitMix(&seed)
}

func (x *Index) has(id uint32) bool {
	_, found := x.Find(hashOf(id), func(other uint32) bool { return other == id })
	return found
}

// count is for loops that would call require a hundred thousand times.
func count(fault bool) int {
	if fault {
		return 1
	}
	return 0
}

func TestNewIndexChecksCapacity(t *testing.T) {
	for _, row := range []struct {
		why      string
		capacity int
	}{
		{"an index of nothing has no use", 0},
		{"a negative number is a mistake", -1},
		{"numbers have 32 bits", 1 << 40},
	} {
		_, err := NewIndex(row.capacity, 0)
		require.Error(t, err, row.why)
	}
}

func TestSlotOfNamesTheFirstMatch(t *testing.T) {
	const fp = 0xabcd
	for slot := range uint64(slotsPerBucket) {
		var b bucket
		for i := range uint64(slotsPerBucket) {
			b.set(i, 0x1111)
		}
		b.set(slot, fp)
		m := matches(b.fp[0], b.fp[1], fp)
		require.NotZero(t, m)
		require.Equal(t, slot, slotOf(m), "fingerprint in slot %d", slot)
		require.Zero(t, matches(b.fp[0], b.fp[1], 0x2222), "a fingerprint that is not there")
	}
}

func TestMatchesNeverNamesAnEmptySlot(t *testing.T) {
	// Borrowing marks lanes that differ by one above a match; the worst
	// neighbours of each fingerprint are tried in every slot.
	for _, fp := range []uint64{2, 3, 4, 5, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff} {
		for pattern := range 1 << slotsPerBucket {
			var b bucket
			for slot := range uint64(slotsPerBucket) {
				if pattern>>slot&1 == 1 {
					b.set(slot, fp)
				}
			}
			for m := matches(b.fp[0], b.fp[1], fp); m != 0; m &= m - 1 {
				require.Equal(t, 1, pattern>>slotOf(m)&1, "fp %#x pattern %b", fp, pattern)
			}
		}
	}
}

func TestFingerprintIsNeitherEmptyNorItsNeighbour(t *testing.T) {
	low := 0
	for h := range uint64(1 << 18) {
		low += count(fingerprint(h) < 2 || fingerprint(hashOf(uint32(h))) < 2 || fingerprint(h) >= 1<<16)
	}
	require.Zero(t, low)
	require.EqualValues(t, 2, fingerprint(0), "of a hash whose 16 bits are 0")
}

func TestAlternateIsAnotherBucketAndItsOwnInverse(t *testing.T) {
	x := newIndex(t, 10_000)
	for id := range uint32(5_000) {
		h := hashOf(id)
		fp := fingerprint(h)
		i := x.first(h)
		j := x.alternate(i, fp)
		require.NotEqual(t, i, j)
		require.Equal(t, i, x.alternate(j, fp))
		require.LessOrEqual(t, j, x.mask)
	}
}

// TestIndexModel compares the index with a map over random operations.
func TestIndexModel(t *testing.T) {
	x := newIndex(t, 500)
	rng := rand.New(rand.NewPCG(1, 1))
	model := map[uint32]bool{}
	for range 200_000 {
		id := rng.Uint32N(480) + 1
		switch h := hashOf(id); rng.IntN(3) {
		case 0:
			existing, what := x.InsertUnique(h, id, func(other uint32) bool { return other == id })
			if model[id] {
				require.Equal(t, Exists, what)
				require.Equal(t, id, existing)
			} else {
				require.Equal(t, Inserted, what)
			}
			model[id] = true
		case 1:
			require.Equal(t, model[id], x.Remove(h, id))
			delete(model, id)
		default:
			require.Equal(t, model[id], x.has(id))
		}
	}
	for id := range uint32(500) {
		require.Equal(t, model[id], x.has(id))
	}
}

func TestIndexFillsBeyondItsLoad(t *testing.T) {
	for _, row := range []struct {
		why  string
		load float64
	}{
		{"80 % is what NewIndex sizes for", 0.80},
		{"85 % leaves room for bad luck", 0.85},
		{"95 % is what eight slots and two choices can do", 0.95},
	} {
		x := newIndex(t, 50_000)
		n := uint32(float64(x.Slots()) * row.load)
		refused, missing, ghosts, stuck := 0, 0, 0, 0
		for id := uint32(1); id <= n; id++ {
			refused += count(!x.Insert(hashOf(id), id))
		}
		for id := uint32(1); id <= n; id++ {
			missing += count(!x.has(id))
			ghosts += count(x.has(id + n))
		}
		for id := uint32(1); id <= n; id++ {
			stuck += count(!x.Remove(hashOf(id), id))
		}
		require.Zero(t, [4]int{refused, missing, ghosts, stuck}, "%s: refused, missing, ghosts, stuck", row.why)
		for i := range x.mask + 1 {
			require.Equal(t, [2]uint64{}, x.at(i).fp, "everything was removed")
			require.Zero(t, x.at(i).version&1, "no lock was left behind")
		}
	}
}

func TestIndexSaysFull(t *testing.T) {
	x := newIndex(t, 1) // the smallest: 512 slots
	n := uint32(0)
	for id := uint32(1); x.Insert(hashOf(id), id); id++ {
		n = id
	}
	require.Greater(t, int(n), x.Slots()*9/10)
	require.LessOrEqual(t, int(n), x.Slots())
	for id := uint32(1); id <= n; id++ {
		require.True(t, x.has(id), "a failed insertion loses nobody")
	}
}

func TestPrimaryBucketIsPreferred(t *testing.T) {
	x := newIndex(t, 50_000)
	n, primary := uint32(50_000), 0
	for id := uint32(1); id <= n; id++ {
		x.Insert(hashOf(id), id)
	}
	for id := uint32(1); id <= n; id++ {
		h := hashOf(id)
		if _, found := x.at(x.first(h)).find(fingerprint(h), func(other uint32) bool { return other == id }); found {
			primary++
		}
	}
	require.Greater(t, primary, int(n)*8/10, "one line for most lookups")
}

// TestIndexConcurrent: writers insert and remove elements of their own, at a
// load that keeps displacing others, while readers look for elements that are
// there throughout, and for some that never are.
func TestIndexConcurrent(t *testing.T) {
	const (
		capacity = 2000
		resident = 2400 // 60 % of 4096 slots
		churn    = 600  // per writer; together up to 89 %
		writers  = 2
		readers  = 2
		rounds   = 40
	)
	x := newIndex(t, capacity)
	require.Equal(t, 4096, x.Slots())
	for id := uint32(1); id <= resident; id++ {
		require.True(t, x.Insert(hashOf(id), id))
	}
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	var missing, ghosts, refused atomic.Int64
	for w := range uint32(writers) {
		writing.Go(func() {
			first := 1_000_000 * (w + 1)
			for range rounds {
				for id := first; id < first+churn; id++ {
					if !x.Insert(hashOf(id), id) {
						refused.Add(1)
					}
				}
				for id := first; id < first+churn; id++ {
					if !x.has(id) || !x.Remove(hashOf(id), id) {
						missing.Add(1)
					}
				}
			}
		})
	}
	for r := range uint64(readers) {
		reading.Go(func() {
			rng := rand.New(rand.NewPCG(r, r))
			for !done.Load() {
				for range 64 {
					if !x.has(rng.Uint32N(resident) + 1) {
						missing.Add(1)
					}
					if x.has(rng.Uint32N(1000) + 9_000_000) {
						ghosts.Add(1)
					}
				}
			}
		})
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	require.Zero(t, missing.Load(), "elements that were there and not found")
	require.Zero(t, ghosts.Load(), "elements that were never there and found")
	require.Zero(t, refused.Load(), "insertions refused below 90 %")
	for id := uint32(1); id <= resident; id++ {
		require.True(t, x.has(id))
	}
}

// TestMissIsProved: an element moves from its second bucket to its first after
// the reader has looked into the first. The look is held up by a decoy with the
// same fingerprint, whose comparison makes the move.
func TestMissIsProved(t *testing.T) {
	x := newIndex(t, 1000)
	const element, decoy = 1, 2
	hash := hashOf(element)
	fp := fingerprint(hash)
	i1 := x.first(hash)
	i2 := x.alternate(i1, fp)
	b1, b2 := x.lock(i1, i2)
	require.True(t, b1.put(fp, decoy))
	require.True(t, b2.put(fp, element))
	unlock(b1, b2)
	moves := 0
	id, found := x.Find(hash, func(id uint32) bool {
		if id == decoy && moves < 3 { // there, back, and there again
			moves++
			b1, b2 := x.lock(i1, i2)
			if b2.take(fp, element) {
				b1.put(fp, element)
			} else if b1.take(fp, element) {
				b2.put(fp, element)
			}
			unlock(b1, b2)
		}
		return id == element && moves == 3
	})
	require.True(t, found)
	require.EqualValues(t, element, id)
}

// TestWritersOfSwappedBuckets: what is one's first bucket is the other's
// second; writers that took locks in that order would wait for each other.
func TestWritersOfSwappedBuckets(t *testing.T) {
	x := newIndex(t, 1)
	pair := func() (a, b uint32) {
		seen := map[[2]uint64]uint32{}
		for id := uint32(1); ; id++ {
			i := x.first(hashOf(id))
			j := x.alternate(i, fingerprint(hashOf(id)))
			if other, found := seen[[2]uint64{j, i}]; found {
				return other, id
			}
			seen[[2]uint64{i, j}] = id
		}
	}
	a, b := pair()
	var wg sync.WaitGroup
	for _, id := range []uint32{a, b} {
		wg.Go(func() {
			for range 100_000 {
				x.Insert(hashOf(id), id)
				x.Remove(hashOf(id), id)
			}
		})
	}
	wg.Wait()
	require.False(t, x.has(a) || x.has(b))
}

// TestInsertUniqueRace: of several that insert equal elements, one wins.
func TestInsertUniqueRace(t *testing.T) {
	x := newIndex(t, 4000)
	const elements, contenders = 2000, 4
	var wins [elements]atomic.Int32
	var wg sync.WaitGroup
	for c := range uint32(contenders) {
		wg.Go(func() {
			for e := range uint32(elements) {
				// Number e*contenders+c stands for element e.
				_, what := x.InsertUnique(hashOf(e), e*contenders+c, func(id uint32) bool { return id/contenders == e })
				if what == Inserted {
					wins[e].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for e := range wins {
		require.EqualValues(t, 1, wins[e].Load(), "element %d", e)
	}
}

func TestIndexAllocatesNothing(t *testing.T) {
	x := newIndex(t, 300)
	for id := uint32(1); id <= 450; id++ { // 88 %: displaces
		require.True(t, x.Insert(hashOf(id), id))
	}
	allocs := testing.AllocsPerRun(100, func() {
		for id := uint32(1000); id < 1020; id++ {
			x.InsertUnique(hashOf(id), id, func(other uint32) bool { return other == id })
		}
		for id := uint32(1000); id < 1020; id++ {
			x.Find(hashOf(id), func(other uint32) bool { return other == id })
			x.Remove(hashOf(id), id)
		}
	})
	require.Zero(t, allocs)
}
