package flowtable

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeq(t *testing.T) {
	const half = 1 << 31
	rows := []struct {
		why      string
		a, b     seq
		lessThan bool
	}{
		{"plain", 1, 2, true},
		{"equal", 5, 5, false},
		{"across the wrap", 0xffffffff, 0, true},
		{"across the wrap, back", 0, 0xffffffff, false},
		{"just below half the circle", 0, half - 1, true},
		{"just above half the circle", 0, half + 1, false},
	}
	for _, r := range rows {
		require.Equal(t, r.lessThan, r.a.lessThan(r.b), r.why)
		if r.a != r.b {
			require.NotEqual(t, r.a.lessThan(r.b), r.b.lessThan(r.a), r.why)
		}
		require.Equal(t, r.lessThan, r.a.later(r.b) == r.b && r.a != r.b, r.why)
	}

	require.True(t, seq(5).inRange(5, 5), "a range of one")
	require.True(t, seq(5).inRange(1, 5), "the last is in it")
	require.False(t, seq(6).inRange(1, 5))
	require.True(t, seq(2).inRange(0xfffffff0, 5), "a range that wraps")
	require.False(t, seq(6).inRange(0xfffffff0, 5))
	require.False(t, seq(0xffffffef).inRange(0xfffffff0, 5))

	require.Equal(t, seq(4), seq(0xffffffff).add(5))
	require.Equal(t, seq(0xffffffff), seq(4).sub(5))
}
