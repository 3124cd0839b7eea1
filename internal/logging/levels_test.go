package logging_test

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/logging"
)

func TestParseLevels(t *testing.T) {
	t.Parallel()
	rows := []struct {
		why, input string
		want       map[string]slog.Level
		err        string
	}{
		{"one level is for all", "info", map[string]slog.Level{"": slog.LevelInfo}, ""},
		{"names are written in either case", "WARN", map[string]slog.Level{"": slog.LevelWarn}, ""},
		{"components have levels of their own", "warn, store=debug,port/afxdp=error", map[string]slog.Level{"": slog.LevelWarn, "store": slog.LevelDebug, "port/afxdp": slog.LevelError}, ""},
		{"all may be left as it is", "store=debug", map[string]slog.Level{"store": slog.LevelDebug}, ""},
		{"a level that is none", "verbose", nil, `the log's level "verbose": want debug, info, warn or error`},
		{"nothing is no level", "", nil, `the log's level "": want debug, info, warn or error`},
		{"slog's own arithmetic is not offered", "info+2", nil, `the log's level "info+2": want debug, info, warn or error`},
		{"a component's level that is none", "info,store=loud", nil, `the level of store "loud": want debug, info, warn, error or default`},
		{"a component without a name", "=debug", nil, `"=debug" has no component before the =: want COMPONENT=LEVEL, or LEVEL for all others`},
		{"two levels for all", "info,debug", nil, `"info,debug" has two levels for all components: want LEVEL once, others as COMPONENT=LEVEL`},
		{"two levels for a component", "a=info,a=debug", nil, `"a=info,a=debug" has two levels for a`},
		{"a name that can't be found in a line", "a b=info", nil, `"a b" can't be a component of the log: want letters, digits and -_./, 63 at most`},
		{"a name that is too long", strings.Repeat("x", 64) + "=info", nil, `"` + strings.Repeat("x", 64) + `" can't be a component of the log: want letters, digits and -_./, 63 at most`},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got, err := logging.ParseLevels(row.input)
			if row.err != "" {
				require.EqualError(t, err, row.err)
				require.ErrorIs(t, err, logging.ErrLevel)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
}

func TestLevelsWhileRunning(t *testing.T) {
	t.Parallel()
	l := open(t, logging.Options{Levels: map[string]slog.Level{"store": slog.LevelWarn}})
	store, port := l.Logger("store"), l.Logger("port").With("a", 1)
	log := func() string {
		n := len(l.Lines(1000))
		for _, log := range []*slog.Logger{store, port, l.Logger("")} {
			log.Debug("d")
			log.Info("i")
			log.Warn("w")
		}
		var got strings.Builder
		for _, line := range l.Lines(1000)[n:] {
			_, rest, _ := strings.Cut(line, "msg=")
			fmt.Fprintf(&got, "%s;", strings.TrimSuffix(strings.TrimSuffix(rest, " a=1"), " "))
		}
		return strings.ReplaceAll(got.String(), " component=", ":")
	}
	rows := []struct {
		why  string
		set  map[string]string
		want string
	}{
		{"as it was made", nil, "w:store;i:port;w:port;i;w;"},
		{"loggers that are there hear of it", map[string]string{"port": "debug"}, "w:store;d:port;i:port;w:port;i;w;"},
		{"all others follow the level of all", map[string]string{"": "warn"}, "w:store;d:port;i:port;w:port;w;"},
		{"default makes a component one of the others", map[string]string{"port": "Default", "store": "debug"}, "d:store;i:store;w:store;w:port;w;"},
		{"both at once", map[string]string{"": "error", "port": "info", "store": "default"}, "i:port;w:port;"},
	}
	for _, row := range rows {
		require.NoError(t, l.SetLevels(row.set), row.why)
		require.Equal(t, row.want, log(), row.why)
	}
	require.Equal(t, map[string]string{"": "ERROR", "port": "INFO", "store": "ERROR"}, l.LogLevels())
}

func TestFaultyLevelsChangeNothing(t *testing.T) {
	t.Parallel()
	l := open(t, logging.Options{})
	l.Logger("store")
	before := l.LogLevels()
	many := map[string]string{}
	for i := range 300 {
		many[fmt.Sprintf("c%d", i)] = "debug"
	}
	rows := []struct {
		why string
		set map[string]string
		err string
	}{
		{"one of two is faulty", map[string]string{"store": "debug", "port": "loud"}, `the level of port "loud": want debug, info, warn, error or default`},
		{"a name is faulty", map[string]string{"store": "debug", "a b": "info"}, `"a b" can't be a component of the log: want letters, digits and -_./, 63 at most`},
		{"all others have no others", map[string]string{"": "default"}, `the log's level "default": want debug, info, warn or error`},
		{"nobody fills the memory with names", many, `there are 1 components already, and no more than 256 can have a level`},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			err := l.SetLevels(row.set)
			require.EqualError(t, err, row.err)
			require.ErrorIs(t, err, logging.ErrLevel)
			require.Equal(t, before, l.LogLevels())
		})
	}
}

func TestMoreComponentsThanLevels(t *testing.T) {
	t.Parallel()
	l := open(t, logging.Options{})
	for i := range 1000 {
		l.Logger(fmt.Sprintf("c%d", i)).Info("x")
	}
	require.Len(t, l.LogLevels(), 257, "256 and all others")
	require.Contains(t, last(l), "component=c999", "it logs all the same")
}

// FuzzParseLevels: what is read can be written and is read as the same; what is not is
// an ErrLevel.
func FuzzParseLevels(f *testing.F) {
	for _, seed := range []string{"info", "warn,store=debug", "a=b=c", ",", "=", "x=default", " info , a/b=WARN"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		levels, err := logging.ParseLevels(text)
		if err != nil {
			require.ErrorIs(t, err, logging.ErrLevel)
			return
		}
		var parts []string
		for _, component := range slices.Sorted(maps.Keys(levels)) {
			part := levels[component].String()
			if component != "" {
				part = component + "=" + part
			}
			parts = append(parts, part)
		}
		again, err := logging.ParseLevels(strings.Join(parts, ","))
		require.NoError(t, err)
		require.Equal(t, levels, again)
	})
}
