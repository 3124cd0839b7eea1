package classify

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// span is the numbers lo to hi, both included.
type span struct{ lo, hi uint32 }

// spans is a set of numbers: ascending, neither overlapping nor touching. Immutable.
type spans []span

// everything is the set of all numbers; it is never written.
var everything = spans{{0, math.MaxUint32}}

// normal makes a set of spans in any order, which it sorts in place.
func normal(s []span) spans {
	slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := s[:0]
	for _, x := range s {
		if n := len(out); n > 0 && (x.lo <= out[n-1].hi || x.lo == out[n-1].hi+1) {
			out[n-1].hi = max(out[n-1].hi, x.hi)
			continue
		}
		out = append(out, x)
	}
	return out
}

// after returns the index of the first span that ends at or behind x.
func (s spans) after(x uint32) int {
	return sort.Search(len(s), func(i int) bool { return s[i].hi >= x })
}

func (s spans) contains(x uint32) bool {
	i := s.after(x)
	return i < len(s) && s[i].lo <= x
}

// within returns the spans that have numbers in r; the first and the last may be longer than it.
func (s spans) within(r span) spans {
	if len(s) == 1 { // nearly always
		if s[0].lo > r.hi || s[0].hi < r.lo {
			return nil
		}
		return s
	}
	i := s.after(r.lo)
	j := i
	if len(s)-i > 8 {
		j += sort.Search(len(s)-i, func(k int) bool { return s[i+k].lo > r.hi })
	} else {
		for j < len(s) && s[j].lo <= r.hi {
			j++
		}
	}
	return s[i:j]
}

// not returns the numbers that are not in s.
func (s spans) not() spans {
	var out spans
	next := uint32(0)
	for _, x := range s {
		if x.lo > next {
			out = append(out, span{next, x.lo - 1})
		}
		if x.hi == math.MaxUint32 {
			return out
		}
		next = x.hi + 1
	}
	return append(out, span{next, math.MaxUint32})
}

// and returns the numbers that are in both.
func (s spans) and(r span) spans {
	in := s.within(r)
	out := make(spans, len(in))
	for i, x := range in {
		out[i] = span{max(x.lo, r.lo), min(x.hi, r.hi)}
	}
	return out
}

// with returns s and r.
func (s spans) with(r span) spans { return normal(append(slices.Clone(s), r)) }

// without returns s but for r.
func (s spans) without(r span) spans {
	var out spans
	for _, x := range s {
		if x.hi < r.lo || x.lo > r.hi {
			out = append(out, x)
			continue
		}
		if x.lo < r.lo {
			out = append(out, span{x.lo, r.lo - 1})
		}
		if x.hi > r.hi {
			out = append(out, span{r.hi + 1, x.hi})
		}
	}
	return out
}
