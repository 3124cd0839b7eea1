package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// asChild is set in a process of this test's program that is to be sluice.
const asChild = "SLUICE_TEST_AS_CHILD"

// TestChild is sluice itself, in the process that TestRunOutlivesItsLog makes.
func TestChild(t *testing.T) {
	args := os.Getenv(asChild)
	if args == "" {
		t.Skip("it is for a child process")
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	os.Exit(run(ctx, strings.Split(args, "\n"), os.Stdin, os.Stdout, os.Stderr))
}

// TestRunOutlivesItsLog: who reads standard error goes away, or does not read, and the
// switch goes on.
func TestRunOutlivesItsLog(t *testing.T) {
	for _, tt := range []struct {
		why  string
		read func(t *testing.T, r *os.File)
	}{
		{"the reader is gone", func(t *testing.T, r *os.File) { require.NoError(t, r.Close()) }},
		{"the reader is stuck, and the pipe is full", func(t *testing.T, r *os.File) { t.Cleanup(func() { _ = r.Close() }) }},
	} {
		t.Run(tt.why, func(t *testing.T) {
			dir := t.TempDir()
			address := "unix:" + filepath.Join(dir, "s.sock")
			r, w, err := os.Pipe()
			require.NoError(t, err)
			config := write(t, dir, "site.yaml", site)
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
			cmd.Env = append(os.Environ(), asChild+"="+strings.Join([]string{
				"run", "--ephemeral", "--config", config, "--api", address, "--log-level", "debug",
			}, "\n"))
			cmd.Stderr = w
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			first, err := bufio.NewReader(r).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, first, "level=")
			tt.read(t, r)
			fd := int(w.Fd())
			require.NoError(t, syscall.SetNonblock(fd, true))
			for err = nil; err == nil; { // until the pipe is full, or broken
				_, err = syscall.Write(fd, make([]byte, 1024))
			}
			require.NoError(t, syscall.SetNonblock(fd, false))

			c, err := client.New(address)
			require.NoError(t, err)
			defer c.Close()
			revision := func() uint64 {
				st, err := c.Status(t.Context())
				if err != nil {
					return 0
				}
				return st.Revision
			}
			require.Eventually(t, func() bool { return revision() != 0 }, 30*time.Second, 5*time.Millisecond)
			before := revision()
			write(t, dir, "site.yaml", strings.ReplaceAll(site, "10.0.2.", "10.0.3."))
			require.Eventually(t, func() bool { return revision() > before }, 30*time.Second, 5*time.Millisecond,
				"it goes on, and takes changes, each of which it logs")
		})
	}
}

// logged starts a daemon's API whose log has some lines.
func logged(t *testing.T, logs *servertest.Logs) (address string) {
	t.Helper()
	path := servertest.Socket(t)
	servertest.StartAt(t, servertest.Small(), server.Options{Socket: path, Logs: logs})
	return "unix:" + path
}

func TestLog(t *testing.T) {
	address := logged(t, &servertest.Logs{Lines: []string{"level=INFO msg=a", "level=INFO msg=b", "level=INFO msg=c"}})
	for _, tt := range []struct {
		why    string
		args   []string
		status int
		out    string
		err    string
	}{
		{"all there is", nil, exitOK, "level=INFO msg=a\nlevel=INFO msg=b\nlevel=INFO msg=c\n", ""},
		{"the last ones", []string{"-n", "2"}, exitOK, "level=INFO msg=b\nlevel=INFO msg=c\n", ""},
		{"no lines", []string{"--lines", "0"}, exitUsage, "", "sluice: --lines 0: want 1 at least\n"},
		{"nobody to ask", []string{"--api", "unix:/nowhere/s.sock"}, exitFailure, "", "sluice: no daemon answers on unix:/nowhere/s.sock: start one (sluice run), or name its socket (--api)\n"},
	} {
		got := sluice(t, append([]string{"log", "--api", address}, tt.args...)...)
		require.Equal(t, outcome{tt.status, tt.out, tt.err}, got, tt.why)
	}
}

func TestLogLevel(t *testing.T) {
	address := logged(t, &servertest.Logs{})
	for _, tt := range []struct {
		why    string
		args   []string
		status int
		out    string
		err    string
	}{
		{"what there is", nil, exitOK, "COMPONENT   LEVEL\n*           INFO\n", ""},
		{"all others", []string{"WARN"}, exitOK, "COMPONENT   LEVEL\n*           WARN\n", ""},
		{
			"one that has not logged",
			[]string{"stroe=DEBUG"},
			exitOK, "COMPONENT   LEVEL\n*           WARN\nstroe       DEBUG\n",
			"sluice: until now there is no component stroe; the level is set all the same\n",
		},
		{"two at once, and in JSON", []string{"*=INFO", "stroe=ERROR", "-o", "json"}, exitOK, "{\n  \"\": \"INFO\",\n  \"stroe\": \"ERROR\"\n}\n", ""},
		{"what the daemon refuses", []string{"INFO", "stroe=loud"}, exitUsage, "", "sluice: the level of \"stroe\": \"loud\": want DEBUG, INFO, WARN or ERROR\n"},
		{"a component without a name", []string{"=INFO"}, exitUsage, "", "sluice: =INFO has no component before the =: want COMPONENT=LEVEL, or LEVEL for all others\n"},
		{"two levels for one", []string{"INFO", "*=WARN"}, exitUsage, "", "sluice: *=WARN: there is a level for it already, INFO: want one\n"},
		{"a form that is none", []string{"-o", "wide"}, exitUsage, "", "sluice: -o wide: want table, json or yaml\n"},
	} {
		got := sluice(t, append([]string{"log", "level", "--api", address}, tt.args...)...)
		require.Equal(t, outcome{tt.status, tt.out, tt.err}, got, tt.why)
	}
}

func TestLogFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var (
			mu   sync.Mutex
			all  []string
			keep = 150
			out  strings.Builder
		)
		f := logFollower{
			ask: func(_ context.Context, n int) ([]string, error) {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(all[max(0, len(all)-min(n, keep)):]), nil
			},
			out: &out, lines: 2, pause: time.Second,
		}
		add := func(n int) {
			for range n {
				all = append(all, fmt.Sprintf("line %d\n", len(all)))
			}
		}
		add(5)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- f.run(ctx) }()
		next := func(change func()) string {
			mu.Lock()
			out.Reset()
			change()
			mu.Unlock()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			return out.String()
		}
		lines := func(from, to int) string {
			var b strings.Builder
			for i := from; i < to; i++ {
				fmt.Fprintf(&b, "line %d\n", i)
			}
			return b.String()
		}
		synctest.Wait()
		require.Equal(t, lines(3, 5), out.String(), "it begins with as many as were asked for")
		require.Empty(t, next(func() {}))
		require.Equal(t, lines(5, 8), next(func() { add(3) }))
		require.Empty(t, next(func() {}))
		require.Equal(t, lines(8, 128), next(func() { add(120) }), "more than it asks for at first")
		require.Equal(t, "(lines are missing here: more came than the daemon keeps, or it was started anew)\n"+lines(978, 1128),
			next(func() { add(1000) }))
		require.Empty(t, next(func() { all = nil }), "a daemon that was started anew has not said anything yet")
		require.Contains(t, next(func() { add(1) }), lines(0, 1))
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		why, earlier, later string
		want                int
	}{
		{"nothing new", "abc", "abc", 3},
		{"one new", "abc", "bcd", 2},
		{"all new", "abc", "def", 0},
		{"the later ones reach further back", "c", "abcd", 3},
		{"and the earlier are in the middle", "bc", "abcde", 3},
		{"a line that is said again is new", "a", "aa", 1},
		{"also after others", "aba", "abaa", 3},
		{"nothing was given", "", "abc", 0},
		{"nothing is there", "abc", "", 0},
	} {
		require.Equal(t, tt.want, overlap(strings.Split(tt.earlier, ""), strings.Split(tt.later, "")), tt.why)
	}
}
