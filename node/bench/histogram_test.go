package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Buckets follow each other without gap or overlap, and none is wider than a
// sixteenth of its smallest value.
func TestBuckets(t *testing.T) {
	lowest := int64(0)
	for b := range bucketOf(math.MaxInt64) + 1 {
		highest := highestOf(b)
		require.GreaterOrEqual(t, highest, lowest)
		require.Equal(t, b, bucketOf(lowest), "bucket %d", b)
		require.Equal(t, b, bucketOf(highest), "bucket %d", b)
		require.LessOrEqual(t, highest-lowest, lowest/16, "bucket %d", b)
		lowest = highest + 1
	}
	require.Equal(t, int64(math.MinInt64), lowest, "the last bucket ends with the largest duration")
	require.Less(t, bucketOf(math.MaxInt64), len(histogram{}.buckets))
}

func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, row := range []struct {
		why  string
		n    int
		make func() int64
	}{
		{"one value", 1, func() int64 { return 12345 }},
		{"equal values", 1000, func() int64 { return 777 }},
		{"values that have buckets of their own", 1000, func() int64 { return r.Int64N(16) }},
		{"evenly spread", 10_000, func() int64 { return r.Int64N(1e6) }},
		{"with a long tail, as delays are", 10_000, func() int64 { return int64(2000 * math.Exp(2*r.NormFloat64())) }},
		{"up to the largest", 1000, func() int64 { return r.Int64() }},
	} {
		var h, half1, half2 histogram
		all := make([]int64, row.n)
		for i := range all {
			all[i] = row.make()
			h.record(all[i])
			if i%3 == 0 {
				half1.record(all[i])
			} else {
				half2.record(all[i])
			}
		}
		half1.add(&half2)
		require.Equal(t, h, half1, "%s: parts add up to the whole", row.why)
		slices.Sort(all)
		for _, q := range []float64{0, .01, .5, .9, .99, .999} {
			exact := all[int(q*float64(row.n))]
			got := h.quantile(q)
			require.GreaterOrEqual(t, got, exact, "%s, %g", row.why, q)
			require.LessOrEqual(t, float64(got), float64(exact)*1.0625, "%s, %g", row.why, q)
		}
		p := h.percentiles()
		require.Equal(t, all[row.n-1], p.Max, row.why)
		require.Equal(t, all[row.n-1], h.quantile(1), row.why)
		require.True(t, slices.IsSorted([]int64{p.P50, p.P90, p.P99, p.P999, p.Max}), "%s: %+v", row.why, p)
	}
}

func TestEmptyHistogram(t *testing.T) {
	var h histogram
	h.record(-1) // a clock that went back
	require.Equal(t, Percentiles{}, h.percentiles())
}
