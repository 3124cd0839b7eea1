package bench

import "math/bits"

// histogram counts durations in buckets of 1/16 of a power of two, so that its
// percentiles are right to 6 %.
type histogram struct {
	n       int64
	highest int64
	buckets [64 * subBuckets]int64
}

const subBuckets = 16

func (h *histogram) record(ns int64) {
	if ns < 0 {
		return
	}
	h.n++
	h.highest = max(h.highest, ns)
	h.buckets[bucketOf(ns)]++
}

func bucketOf(ns int64) int {
	if ns < subBuckets {
		return int(ns)
	}
	e := bits.Len64(uint64(ns)) - 5 // ns>>e is 16 to 31
	return (e+1)*subBuckets + int(ns>>e) - subBuckets
}

// highestOf returns the largest value of a bucket.
func highestOf(bucket int) int64 {
	if bucket < subBuckets {
		return int64(bucket)
	}
	e := bucket/subBuckets - 1
	return int64(bucket%subBuckets+subBuckets+1)<<e - 1
}

func (h *histogram) add(o *histogram) {
	h.n += o.n
	h.highest = max(h.highest, o.highest)
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
}

// quantile returns a value that the share q of all does not exceed.
func (h *histogram) quantile(q float64) int64 {
	left := int64(q * float64(h.n))
	for i, n := range h.buckets {
		if left -= n; left < 0 {
			return min(highestOf(i), h.highest)
		}
	}
	return h.highest
}

func (h *histogram) percentiles() Percentiles {
	return Percentiles{h.quantile(.5), h.quantile(.9), h.quantile(.99), h.quantile(.999), h.highest}
}
