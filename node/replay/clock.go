package replay

import "sort"

// virtualClock turns capture times into the engine's time, which starts near
// zero and never goes back. A jump of more than maxJump, as captures with
// broken clocks have, is cut: every session is over by then anyway, and the
// engine's time is good for some years only.
type virtualClock struct {
	now   int64 // engine time, ns
	last  int64 // capture time it corresponds to
	begun bool
	spans []span
}

// span says that from engine time start on, capture time is engine time + offset.
type span struct{ start, offset int64 }

const (
	clockStart = int64(1e9) // not 0, which means never in some places
	maxJump    = int64(100 * 24 * 3600 * 1e9)
	maxTime    = 20 * maxJump
)

// advance moves to capture time t and returns the engine's time.
func (c *virtualClock) advance(t int64) int64 {
	switch {
	case !c.begun:
		c.begun = true
		c.now, c.last = clockStart, t
		c.spans = append(c.spans, span{c.now, t - c.now})
	case t > c.last:
		jump := uint64(t) - uint64(c.last) // the difference may exceed int64
		step := int64(min(jump, uint64(maxJump)))
		if c.now+step > maxTime {
			step = 0
		}
		c.now += step
		c.last = t
		if uint64(step) != jump {
			c.spans = append(c.spans, span{c.now, t - c.now})
		}
	}
	return c.now
}

// idle moves the engine's time on while no frame is due.
func (c *virtualClock) idle(ns int64) int64 {
	c.now += ns
	c.last += ns
	return c.now
}

// capture converts an engine time to capture time.
func (c *virtualClock) capture(now int64) int64 {
	i := sort.Search(len(c.spans), func(i int) bool { return c.spans[i].start > now })
	if i == 0 {
		return now
	}
	return now + c.spans[i-1].offset
}
