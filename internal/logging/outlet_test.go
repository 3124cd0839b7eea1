package logging_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/logging"
)

// gate is a writer that blocks while it is shut, and fails while it is broken.
type gate struct {
	mu     sync.Mutex
	opened sync.Cond
	shut   bool
	broken bool
	b      strings.Builder
}

func newGate() *gate {
	g := &gate{}
	g.opened.L = &g.mu
	return g
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut {
		g.opened.Wait()
	}
	if g.broken {
		return 0, errors.New("broken pipe")
	}
	return g.b.Write(b)
}

func (g *gate) set(shut, broken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.broken = shut, broken
	g.opened.Broadcast()
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

func TestBlockedWriterStallsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.set(true, false)
		l := open(t, logging.Options{Writer: g, QueueBytes: 4 << 10})
		log := l.Logger("a")
		log.Info("x", "i", 0)
		synctest.Wait() // the writer has it
		for i := 1; i < 1000; i++ {
			log.Info("x", "i", i)
		}
		lost := int(l.Lost())
		require.InDelta(t, 1000-4096/65, lost, 10, "lines are about 65 bytes long")
		require.Equal(t, 1000, len(l.Lines(5000)), "who asks gets them all")

		g.set(false, false)
		synctest.Wait()
		lines := strings.Split(strings.TrimSuffix(g.String(), "\n"), "\n")
		require.Equal(t, 1000-lost+1, len(lines), "all others, and a line about the loss")
		require.Contains(t, lines[len(lines)-1], fmt.Sprintf(`level=WARN msg="lines of the log were lost: what reads it is too slow, or failed" component=log lost=%d lostInAll=%d`, lost, lost))
		require.Contains(t, lines[len(lines)-2], fmt.Sprintf("i=%d", 1000-lost-1), "it is the newest that are lost")
		require.NoError(t, l.Close(), "that has been told")
	})
}

func TestBrokenWriterIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.set(false, true)
		l := open(t, logging.Options{Writer: g})
		for i := range 5 {
			l.Logger("a").Info("x", "i", i)
			synctest.Wait()
		}
		require.Equal(t, uint64(5), l.Lost())
		g.set(false, false)
		l.Logger("a").Info("y")
		l.Flush()
		synctest.Wait()
		require.Contains(t, g.String(), "msg=y component=a\n")
		require.Contains(t, g.String(), "lost=5")
		require.NotContains(t, g.String(), "msg=x")
	})
}

func TestCloseFlushes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		why   string
		setup func(g *gate)
		after time.Duration // when the gate is opened; 0: never
		err   string
	}{
		{"a slow writer gets all", func(g *gate) { g.set(true, false) }, time.Second, ""},
		{"a blocked one keeps nobody from ending", func(g *gate) { g.set(true, false) }, 0, "3 lines of the log were lost: what reads it is too slow, or failed"},
		{"a broken one is told of", func(g *gate) { g.set(false, true) }, 0, "3 lines of the log were lost: what reads it is too slow, or failed"},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				row.setup(g)
				l := open(t, logging.Options{Writer: g})
				for i := range 3 {
					l.Logger("a").Info("x", "i", i)
				}
				if row.after != 0 {
					go func() { time.Sleep(row.after); g.set(false, false) }()
				}
				begin := time.Now()
				err := l.Close()
				require.LessOrEqual(t, time.Since(begin), 2*time.Second)
				l.Logger("a").Info("later")
				require.Contains(t, last(l), "later", "who asks hears it")
				if row.err != "" {
					require.EqualError(t, err, row.err)
					g.set(false, false) // the goroutine may end
					return
				}
				require.NoError(t, err)
				require.Equal(t, 3, strings.Count(g.String(), "\n"))
			})
		})
	}
}

func TestFlushWaitsForTheWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := open(t, logging.Options{Writer: g})
		l.Logger("a").Info("x")
		l.Flush()
		require.Contains(t, g.String(), "msg=x")

		g.set(true, false)
		l.Logger("a").Info("y")
		go func() { time.Sleep(time.Second); g.set(false, false) }()
		l.Flush()
		require.Contains(t, g.String(), "msg=y", "also when it is slow")

		g.set(true, false)
		l.Logger("a").Info("z")
		begin := time.Now()
		l.Flush()
		require.Equal(t, 2*time.Second, time.Since(begin), "but not for ever")
		g.set(false, false)
	})
}

// TestKeptLines compares with a slice of all lines.
func TestKeptLines(t *testing.T) {
	t.Parallel()
	const lines, size = 20, 2000
	random := rand.New(rand.NewPCG(1, 2))
	l := open(t, logging.Options{KeepLines: lines, KeepBytes: size})
	var all []string
	for range 2000 {
		l.Logger("").Info(strings.Repeat("x", random.IntN(700)))
		line := last(l)
		if cut, found := strings.CutSuffix(line, " … (cut)"); found {
			require.Len(t, cut, size/4, "one line does not push out all others")
		} else {
			require.LessOrEqual(t, len(line), size/4)
		}
		all = append(all, line)
		want, sum := 0, 0
		for want < min(lines, len(all)) && sum+len(all[len(all)-1-want]) <= size {
			sum += len(all[len(all)-1-want])
			want++
		}
		require.Equal(t, all[len(all)-want:], l.Lines(1000))
		n := random.IntN(lines)
		require.Equal(t, all[len(all)-min(n, want):], append([]string{}, l.Lines(n)...))
	}
	require.Empty(t, l.Lines(0))
	require.Empty(t, l.Lines(-1))
}
