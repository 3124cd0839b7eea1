package server_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/control/server/servertest"
)

func TestSocketFile(t *testing.T) {
	old := unix.Umask(0) // the loosest: what is kept from others is so by Listen
	defer unix.Umask(old)
	path := filepath.Join(filepath.Dir(servertest.Socket(t)), "run", "sluice", "sluice.sock")
	l, err := server.Listen(path)
	require.NoError(t, err)
	info, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o755), info.Mode().Perm())
	info, err = os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o660, info.Mode())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2, "the socket and its lock: %v", entries)

	_, err = server.Listen(path)
	require.EqualError(t, err, "another daemon answers on unix:"+path+": stop it, or name another socket (--api)")
	require.NoError(t, l.Close())
	require.NoFileExists(t, path)
	require.NoError(t, l.Close(), "twice is once")
	l, err = server.Listen(path)
	require.NoError(t, err, "a path that was used can be used again")
	require.NoError(t, l.Close())
}

// dead leaves a socket on which nobody listens, as a daemon that was killed does.
func dead(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	_, err = net.Dial("unix", path)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestSocketOfADeadDaemonIsReplaced(t *testing.T) {
	path := servertest.Socket(t)
	dead(t, path)
	l, err := server.Listen(path)
	require.NoError(t, err)
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
}

// Of daemons that start at once on a dead one's socket, one gets it.
func TestOneDaemonGetsTheSocket(t *testing.T) {
	path := servertest.Socket(t)
	dead(t, path)
	var mu sync.Mutex
	var listeners []net.Listener
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			l, err := server.Listen(path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				listeners = append(listeners, l)
			} else if !strings.Contains(err.Error(), "another daemon answers") {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, listeners, 1)
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, listeners[0].Close())
}

func TestListenRefuses(t *testing.T) {
	dir := filepath.Dir(servertest.Socket(t))
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	foreign := filepath.Join(dir, "foreign")
	other, err := net.Listen("unix", foreign)
	require.NoError(t, err)
	defer other.Close()
	long := filepath.Join(dir, strings.Repeat("x", 104-len(dir)))
	require.NoError(t, os.Mkdir(long, 0o700))
	for _, row := range []struct{ why, path, want string }{
		{"a file of somebody's is not removed", file, file + " is there and is no socket: remove it, or name another socket (--api)"},
		{"somebody else's socket is not taken", foreign, "another daemon answers on unix:" + foreign},
		{"a directory that can't be", file + "/x/api", "not a directory: make it, or name another socket (--api)"},
		{"a path that no socket can have", filepath.Join(dir, strings.Repeat("x", 120)), "a socket's may have 107; choose a shorter one"},
		{"nor where it is made", filepath.Join(long, "y"), "the path of its directory is too long; choose a shorter one (--api)"},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := server.Listen(row.path)
			require.ErrorContains(t, err, row.want)
		})
	}
	require.FileExists(t, file)
}

// What is at the path when a daemon ends is removed only if it is its own.
func TestSocketOfAnotherIsLeft(t *testing.T) {
	path := servertest.Socket(t)
	l, err := server.Listen(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	require.NoError(t, l.Close())
	require.FileExists(t, path)
}

func TestRun(t *testing.T) {
	path := servertest.Socket(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, server.New(servertest.Small(), server.Options{Socket: path}).Run(ctx))
	require.NoFileExists(t, path)
	l, err := server.Listen(path)
	require.NoError(t, err)
	defer l.Close()
	err = server.New(servertest.Small(), server.Options{Socket: path}).Run(context.Background())
	require.ErrorContains(t, err, "another daemon answers")
}
