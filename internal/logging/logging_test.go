package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/logging"
)

// open makes a Logging that the test closes, with limits that no test of something
// else meets.
func open(t *testing.T, o logging.Options) *logging.Logging {
	t.Helper()
	if o.Burst == 0 {
		o.Burst = 1 << 20
	}
	l, err := logging.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// last returns the last line.
func last(l *logging.Logging) string { return strings.Join(l.Lines(1), "") }

// key names an object, as control.Key does.
type key struct{ kind, name string }

func (k key) String() string { return k.kind + " " + k.name }

func TestHandlerIsOne(t *testing.T) {
	t.Parallel()
	var l *logging.Logging
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		l = open(t, logging.Options{Format: logging.JSON})
		return l.Handler("")
	}, func(t *testing.T) map[string]any {
		m := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(last(l)), &m))
		return m
	})
}

func TestLines(t *testing.T) {
	t.Parallel()
	rows := []struct {
		why  string
		log  func(l *logging.Logging)
		text string
		json string
	}{
		{
			"times have milliseconds, all three digits",
			func(l *logging.Logging) {
				l.Logger("").Info("ready", "at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
			},
			`time=2000-01-01T00:00:00.500Z level=INFO msg=ready at=2026-01-02T03:04:05.000Z`,
			`{"time":"2000-01-01T00:00:00.500Z","level":"INFO","msg":"ready","at":"2026-01-02T03:04:05.000Z"}`,
		},
		{
			"a component and an object have their keys, and a duration its unit in both forms",
			func(l *logging.Logging) {
				l.Logger("port").Warn("no device", logging.Object(key{"Port", "web/a"}), "took", 1500*time.Microsecond)
			},
			`time=2000-01-01T00:00:00.500Z level=WARN msg="no device" component=port object="Port web/a" took=1.5ms`,
			`{"time":"2000-01-01T00:00:00.500Z","level":"WARN","msg":"no device","component":"port","object":"Port web/a","took":"1.5ms"}`,
		},
		{
			"the component goes before what was said earlier, and there is one",
			func(l *logging.Logging) { l.Logger("port").With("a", 1).With("component", "tap", "b", 2).Info("x") },
			`time=2000-01-01T00:00:00.500Z level=INFO msg=x component=tap a=1 b=2`,
			`{"time":"2000-01-01T00:00:00.500Z","level":"INFO","msg":"x","component":"tap","a":1,"b":2}`,
		},
		{
			"in a group it is somebody else's word",
			func(l *logging.Logging) {
				l.Logger("store").WithGroup("g").With("component", "wheel").Info("x", "error", errors.New("bad"))
			},
			`time=2000-01-01T00:00:00.500Z level=INFO msg=x component=store g.component=wheel g.error=bad`,
			`{"time":"2000-01-01T00:00:00.500Z","level":"INFO","msg":"x","component":"store","g":{"component":"wheel","error":"bad"}}`,
		},
		{
			"an object that is not there has no name, and breaks nothing",
			func(l *logging.Logging) { l.Logger("").Info("x", logging.Object(nil)) },
			`time=2000-01-01T00:00:00.500Z level=INFO msg=x object=""`,
			`{"time":"2000-01-01T00:00:00.500Z","level":"INFO","msg":"x","object":""}`,
		},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			for format, want := range map[logging.Format]string{logging.Text: row.text, logging.JSON: row.json} {
				synctest.Test(t, func(t *testing.T) {
					var w bytes.Buffer
					l := open(t, logging.Options{Writer: &w, Format: format})
					time.Sleep(500 * time.Millisecond)
					row.log(l)
					require.Equal(t, want, last(l))
					require.NoError(t, l.Close())
					require.Equal(t, want+"\n", w.String(), "the writer gets what is kept")
				})
			}
		})
	}
}

func TestTextEscapesLineEnds(t *testing.T) {
	t.Parallel()
	for _, format := range []logging.Format{logging.Text, logging.JSON} {
		l := open(t, logging.Options{Format: format})
		l.Logger("").Info("two\nlines", "error", "and\nmore")
		require.Len(t, l.Lines(10), 1, "nobody can forge a line of the log by a name")
		require.NotContains(t, last(l), "\n")
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	_, err := logging.New(logging.Options{Format: "xml"})
	require.EqualError(t, err, `the format of the log "xml": want text or json`)
}

func TestLevelOffCostsNothing(t *testing.T) { // alone: it counts the process's allocations
	l := open(t, logging.Options{})
	log := l.Logger("store").With("a", 1)
	var k any = key{"Port", "web/a"}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		log.Debug("x")
		log.LogAttrs(context.Background(), slog.LevelDebug, "x", slog.Int("n", 1), slog.String("s", "t"))
		if log.Enabled(context.Background(), slog.LevelDebug) {
			log.Debug("x", logging.KeyObject, k)
		}
	}))
	require.Empty(t, l.Lines(10))
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	var w bytes.Buffer
	l := open(t, logging.Options{Writer: &w, KeepLines: 100, Burst: 50, PerSecond: 1})
	var running sync.WaitGroup
	for _, component := range []string{"a", "b", "c", "d"} {
		running.Go(func() {
			log := l.Logger(component)
			for i := range 500 {
				log.Info("x", "i", i)
				log.With("component", "e").Error("y", "i", i)
				if i%50 == 0 {
					_ = l.Lines(10)
					_ = l.SetLevels(map[string]string{component: []string{"debug", "error", "default"}[i/50%3]})
					_ = l.LogLevels()
				}
			}
		})
	}
	running.Wait()
	require.NoError(t, l.Close())
	for line := range strings.Lines(w.String()) {
		require.True(t, strings.HasPrefix(line, "time=") && strings.HasSuffix(line, "\n"), "lines are whole: %q", line)
	}
	require.Len(t, l.Lines(1000), 100)
}
