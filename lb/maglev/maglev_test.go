package maglev

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/packet"
)

// backends returns backends with neighbouring addresses, of a net that the seed names.
func backends(n int, seed uint32) []Backend {
	b := make([]Backend, n)
	for i := range b {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0x0a000000+seed<<16+uint32(i))
		b[i] = Backend{Address: packet.AddrFrom4(&a), Port: 80, Weight: 1}
	}
	return b
}

// moved returns the share of the others' slots that are not the same backend's after number i has left.
func moved(all []Backend, before Table, i int) float64 {
	rest := append(append([]Backend{}, all[:i]...), all[i+1:]...)
	after := New(rest, len(before))
	n, of := 0, 0
	for s := range before {
		if int(before[s]) == i {
			continue
		}
		of++
		if all[before[s]] != rest[after[s]] {
			n++
		}
	}
	return float64(n) / float64(of)
}

// numbers are how many backends tests have: the largest of each size of table and some between.
func numbers() []int {
	if testing.Short() {
		return []int{2, 4, 10, 16, 64, 256}
	}
	return []int{2, 3, 4, 5, 10, 16, 17, 40, 64, 65, 256, 1000}
}

func TestWhatMoves(t *testing.T) {
	for _, n := range numbers() {
		worst, sum, times := 0.0, 0.0, 0
		for seed := range uint32(max(1, 64/n)) {
			all := backends(n, seed)
			before := New(all, Size(n))
			for k := range min(n, 4) {
				m := moved(all, before, k*n/4)
				worst, sum, times = max(worst, m), sum+m, times+1
			}
		}
		t.Logf("%4d backends, %6d slots: %.2f %% move, at worst %.2f %%", n, Size(n), 100*sum/float64(times), 100*worst)
		require.Less(t, worst, 0.02, "%d backends: less than 2 %% of the others' flows move when one leaves", n)
	}
}

func TestShares(t *testing.T) {
	for _, n := range numbers() {
		for _, size := range []int{nextPrime(100 * n), Size(n)} {
			slots := make([]int, n)
			for _, b := range New(backends(n, 7), size) {
				slots[b]++
			}
			largest, smallest := 0, size
			for _, s := range slots {
				largest, smallest = max(largest, s), min(smallest, s)
			}
			require.LessOrEqual(t, largest-smallest, 1, "%d backends, %d slots", n, size)
			require.Less(t, float64(largest)*float64(n)/float64(size), 1.01, "%d backends, %d slots: the largest share over the mean", n, size)
		}
	}
}

func TestWeights(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		n := 2 + rnd.IntN(20)
		all, sum := backends(n, 1), 0
		for i := range all {
			all[i].Weight = uint16(1 + rnd.IntN(256))
			sum += int(all[i].Weight)
		}
		size := nextPrime(100 * sum) // enough for those of the least weight
		slots := make([]int, n)
		for _, b := range New(all, size) {
			slots[b]++
		}
		for i, b := range all {
			require.InEpsilon(t, float64(b.Weight)/float64(sum), float64(slots[i])/float64(size), 0.01, "weight %d of %d", b.Weight, sum)
		}
	}
}

// TestTheSameForEver: nodes of several versions share flows, so a table must not change.
func TestTheSameForEver(t *testing.T) {
	all := backends(10, 0)
	all[3].Weight = 5
	d := xxhash.New()
	require.NoError(t, binary.Write(d, binary.BigEndian, []uint16(New(all, 1009))))
	require.Equal(t, "b36b64c8e7c8b998", fmt.Sprintf("%x", d.Sum64()))
}

// TestLookup: each slot stands for as many hashes as every other.
func TestLookup(t *testing.T) {
	table := New(backends(5, 0), 11)
	for slot := range uint64(11) {
		first := slot * ((1<<64-1)/11 + 1)
		require.EqualValues(t, table[slot], table.Lookup(first))
		require.EqualValues(t, table[slot], table.Lookup(first+1<<60))
	}
	require.EqualValues(t, table[10], table.Lookup(1<<64-1))
}

func TestSmallest(t *testing.T) {
	require.Equal(t, Table{0, 0, 0}, New(backends(1, 0), 3), "who is alone has all")
	require.ElementsMatch(t, []uint16{0, 1, 2}, New(backends(3, 0), 2), "everybody has a slot")
	one := backends(1, 0)
	one[0].Weight = 0
	require.Equal(t, Table{0}, New(one, 0))
}

func TestSize(t *testing.T) {
	before := 0
	for n := range 5000 {
		size := Size(n)
		require.GreaterOrEqual(t, size, 100*n)
		require.GreaterOrEqual(t, size, before)
		if size != before {
			require.True(t, prime(size), "%d", size)
			before = size
		}
	}
}

func TestPrime(t *testing.T) {
	var got []int
	for n := -1; len(got) < 12; n++ {
		if prime(n) {
			got = append(got, n)
		}
	}
	require.Equal(t, []int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37}, got)
	require.Equal(t, 65537, nextPrime(65522))
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		for _, size := range []int{nextPrime(100 * n), Size(n)} {
			all := backends(n, 0)
			b.Run(fmt.Sprintf("%d/%d", n, size), func(b *testing.B) {
				before := cputime.Process()
				for b.Loop() {
					New(all, size)
				}
				b.ReportMetric(float64(cputime.Process()-before)/float64(b.N)/1000, "cpu-µs/op")
			})
		}
	}
}
