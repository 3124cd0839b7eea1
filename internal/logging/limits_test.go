package logging_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/logging"
)

// said returns what lines say, without time and level.
func said(l *logging.Logging) []string {
	var said []string
	for _, line := range l.Lines(1 << 20) {
		_, rest, _ := strings.Cut(line, "msg=")
		said = append(said, rest)
	}
	return said
}

func TestBurstThenRateThenCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, logging.Options{Burst: 3, PerSecond: 1})
		log := l.Logger("port").With("a", 1).WithGroup("g")
		for i := range 10 {
			log.Warn("x", "i", i)
		}
		require.Equal(t, []string{
			"x component=port a=1 g.i=0", "x component=port a=1 g.i=1", "x component=port a=1 g.i=2",
		}, said(l), "a burst is written, the rest is not")
		time.Sleep(1100 * time.Millisecond)
		log.Warn("x", "i", 10)
		log.Warn("x", "i", 11)
		require.Equal(t, []string{"x component=port suppressed=7 a=1 g.i=10"}, said(l)[3:], "the next one carries the count, in no group")
		l.Flush()
		require.Equal(t, []string{"x component=port suppressed=1"}, said(l)[4:], "the last ones are told of when it is asked for")
		l.Flush()
		require.Len(t, said(l), 5, "once")
	})
}

func TestKindsAreLimitedApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, logging.Options{Burst: 1, PerSecond: 0.001})
		for range 5 {
			l.Logger("a").Warn("x")
			l.Logger("b").Warn("x")
			l.Logger("a").Error("x")
			l.Logger("a").Warn("y")
		}
		require.Equal(t, []string{"x component=a", "x component=b", "x component=a", "y component=a"}, said(l),
			"component, level and message each make a kind, so that a flood of warnings hides no error")
	})
}

func TestCountsComeByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, logging.Options{Burst: 1, PerSecond: 0.001})
		for range 1235 {
			l.Logger("a").Error("x", "error", "bad")
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"x component=a error=bad", "x component=a suppressed=1234"}, said(l),
			"when no line comes that could carry it")
		require.Contains(t, last(l), "level=ERROR", "at the level of what it counts")
	})
}

func TestKindsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, logging.Options{Burst: 1, PerSecond: 0.001, KeepLines: 1 << 20, KeepBytes: 1 << 30})
		log := l.Logger("a")
		for range 3 {
			log.Info("first")
		}
		for i := range 5000 {
			log.Info(fmt.Sprintf("message %d", i))
		}
		require.Contains(t, said(l), "first component=a suppressed=2", "what is forgotten is told of before")
		log.Info("first")
		require.Equal(t, "first component=a", said(l)[len(said(l))-1], "and begins anew")
	})
}

func TestCloseTellsOfWhatWasSuppressed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w strings.Builder
		l := open(t, logging.Options{Writer: &w, Burst: 1, PerSecond: 0.001})
		for range 3 {
			l.Logger("a").Info("x")
		}
		require.NoError(t, l.Close())
		require.Contains(t, w.String(), "msg=x component=a suppressed=2\n")
	})
}
