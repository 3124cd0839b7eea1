package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func measured(values map[string][]float64, f figure) *results {
	r := newResults()
	for name, all := range values {
		for _, v := range all {
			r.add(&way{name: name}, f, v)
		}
	}
	return r
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := measured(map[string][]float64{baseline: {10, 20, 40}, "tap": {5, 20, 10}}, figGbps)
	require.Equal(t, []float64{0.25, 0.5, 1}, r.ratios("tap", figGbps))
	ratio, found := r.ratio("tap", figGbps)
	require.True(t, found)
	require.Equal(t, 0.5, ratio, "the ratio of medians would be 0.5 as well, of means 0.5; that of this round counts")
	_, found = r.ratio("afxdp", figGbps)
	require.False(t, found, "a way that was not measured has none")
	r.add(&way{name: "tap"}, figGbps, 7)
	require.Empty(t, r.ratios("tap", figGbps), "a round without the baseline leaves nothing to compare with")
}

func TestGoals(t *testing.T) {
	for _, row := range []struct {
		why    string
		goal   goal
		values []float64
		want   string // end of the line
	}{
		{"at least the limit, in all rounds", goal{atLeast: true, limit: 0.8}, []float64{0.8, 0.9, 1}, "| ≥ 0.8 | 0.9 | 0.8 to 1 | met |"},
		{"the median decides, and a round beyond is told", goal{atLeast: true, limit: 0.8}, []float64{0.7, 0.9, 1}, "| met, in 2 of 3 rounds |"},
		{"a median that misses is a goal that is missed", goal{atLeast: true, limit: 0.8}, []float64{0.7, 0.7, 1}, "| **not met**, in 1 of 3 rounds |"},
		{"at most is the other way round", goal{limit: 1.5, ratio: true}, []float64{1, 2, 3}, "| ≤ 1.5 × the bridge | 2 | 1 to 3 | **not met**, in 1 of 3 rounds |"},
		{"exactly the limit is met", goal{limit: 300}, []float64{300}, "| ≤ 300 | 300 | 300 to 300 | met |"},
		{"what was not measured has no line", goal{limit: 1}, nil, "|---|---|---|---|---|"},
	} {
		t.Run(row.why, func(t *testing.T) {
			var out strings.Builder
			printGoals(&out, []judged{{row.goal, row.values}})
			require.True(t, strings.HasSuffix(out.String(), row.want+"\n"), "got %s", out.String())
		})
	}
}

func TestGoalsAreOfFiguresThatAreMeasured(t *testing.T) {
	known := map[figure]bool{}
	for _, table := range tables {
		for _, f := range table.columns {
			known[f] = true
		}
	}
	for _, g := range goals {
		require.True(t, known[g.figure], "%s: no table has %q", g.what, g.figure)
		require.NotEmpty(t, choose(allWays(), []string{g.way}), "%s: there is no way %s", g.what, g.way)
	}
}

func TestProcessorTimeGrows(t *testing.T) {
	w := &way{daemon: os.Getpid()}
	first, err := w.cpu()
	require.NoError(t, err)
	const least = 30 * time.Millisecond // more than a tick
	for deadline := time.Now().Add(20 * time.Second); ; {
		now, err := w.cpu()
		require.NoError(t, err)
		if used := now.minus(first); used.daemon > least && used.machine > 0 {
			return
		}
		require.True(t, time.Now().Before(deadline), "%v is all", now.minus(first))
	}
}
