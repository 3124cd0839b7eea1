package replay

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVirtualClock(t *testing.T) {
	for _, row := range []struct {
		why      string
		captures []int64
		want     []int64 // engine times
	}{
		{"the first frame sets the start, wherever it is", []int64{1_700_000_000e9}, []int64{clockStart}},
		{"times pass as in the capture", []int64{5e9, 6e9, 6e9 + 1}, []int64{clockStart, clockStart + 1e9, clockStart + 1e9 + 1}},
		{"a capture out of order does not turn the clock back", []int64{5e9, 3e9, 6e9}, []int64{clockStart, clockStart, clockStart + 1e9}},
		{"a jump over the ages is cut", []int64{math.MinInt64, math.MaxInt64}, []int64{clockStart, clockStart + maxJump}},
	} {
		t.Run(row.why, func(t *testing.T) {
			var c virtualClock
			for i, at := range row.captures {
				require.Equal(t, row.want[i], c.advance(at))
			}
		})
	}
}

func TestVirtualClockConvertsBack(t *testing.T) {
	var c virtualClock
	var engine, capture []int64
	for _, at := range []int64{10e9, 11e9, 11e9 + 3*maxJump, 11e9 + 3*maxJump + 5} {
		engine = append(engine, c.advance(at))
		capture = append(capture, at)
	}
	for i := range engine {
		require.Equal(t, capture[i], c.capture(engine[i]), "frame %d", i)
	}
}

func TestVirtualClockStandsStillAtItsEnd(t *testing.T) {
	var c virtualClock
	at := int64(0)
	for range 100 {
		require.LessOrEqual(t, c.advance(at), maxTime)
		at += maxJump
	}
}
