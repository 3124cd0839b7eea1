package flowtable

// seq is a TCP sequence number: a point on a circle of 2^32, so that it has no
// total order. Comparison is by signed distance (RFC 9293 section 3.4), which
// is meaningful for points less than 2^31 apart. It is a type of its own so
// that < and max on it stand out.
type seq uint32

// lessThan reports whether a comes before b.
func (a seq) lessThan(b seq) bool { return int32(a-b) < 0 }

// inRange reports whether a is in [first, last]; the range may wrap.
func (a seq) inRange(first, last seq) bool { return a-first <= last-first }

// add returns the point n octets after a.
func (a seq) add(n uint32) seq { return a + seq(n) }

// sub returns the point n octets before a.
func (a seq) sub(n uint32) seq { return a - seq(n) }

// later returns the later of a and b.
func (a seq) later(b seq) seq {
	if a.lessThan(b) {
		return b
	}
	return a
}
