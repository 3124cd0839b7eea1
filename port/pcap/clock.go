package pcap

import (
	"math"
	"math/bits"
)

// clock converts the time stamps of an interface to nanoseconds: exactly where
// the resolution allows, rounded down where not, saturating at the ends of int64.
type clock struct {
	mul    uint64 // stamp * mul / div >> shift
	div    uint64
	shift  uint
	offset int64 // added, nanoseconds
}

var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// newClock takes an if_tsresol (a power of ten, or of two if the top bit is
// set, both negative) and an if_tsoffset in seconds.
func newClock(resol byte, offset int64) clock {
	c := clock{mul: 1, div: 1, offset: mulSeconds(offset)}
	switch exp := int(resol & 0x7f); {
	case resol&0x80 != 0:
		c.mul, c.shift = 1e9, uint(exp)
	case exp <= 9:
		c.mul = pow10[9-exp]
	case exp-9 < len(pow10):
		c.div = pow10[exp-9]
	default:
		c.mul = 0 // 2^64 units are less than a nanosecond
	}
	return c
}

// nanos converts a stamp.
func (c *clock) nanos(stamp uint64) int64 {
	hi, lo := bits.Mul64(stamp, c.mul)
	switch {
	case c.shift >= 64:
		hi, lo = 0, hi>>(c.shift-64)
	case c.shift > 0:
		hi, lo = hi>>c.shift, hi<<(64-c.shift)|lo>>c.shift
	case c.div > 1:
		lo /= c.div // mul is 1, so hi is 0
	}
	t := int64(math.MaxInt64)
	if hi == 0 && lo <= math.MaxInt64 {
		t = int64(lo)
	}
	// t is not negative, so the sum cannot overflow downwards.
	if c.offset > 0 && t > math.MaxInt64-c.offset {
		return math.MaxInt64
	}
	return t + c.offset
}

// mulSeconds returns s seconds in nanoseconds, saturating.
func mulSeconds(s int64) int64 {
	const most = math.MaxInt64 / 1_000_000_000
	switch {
	case s > most:
		return math.MaxInt64
	case s < -most:
		return math.MinInt64
	}
	return s * 1e9
}
