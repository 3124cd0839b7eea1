package netdev

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The folder of namespaces is made with the first one, and may be removed.
func TestWatchFolder(t *testing.T) {
	const limit = 20 * time.Second
	dir := filepath.Join(t.TempDir(), "netns")
	file := filepath.Join(dir, "red")
	ctx, cancel := context.WithCancel(context.Background())
	calls, ended := make(chan []string, 1000), make(chan error, 1)
	// A file is ready when there is something in it, as if it were mounted.
	ready := func(path string) bool {
		b, err := os.ReadFile(path)
		return err == nil && len(b) > 0
	}
	go func() {
		ended <- watchFolder(ctx, dir, ready, func() {
			names := []string{}
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if ready(filepath.Join(dir, e.Name())) {
					names = append(names, e.Name())
				}
			}
			calls <- names
		})
	}()
	wait := func(want ...string) {
		t.Helper()
		for deadline := time.After(limit); ; {
			select {
			case names := <-calls:
				if len(names) == len(want) && (len(want) == 0 || names[0] == want[0]) {
					return
				}
			case err := <-ended:
				t.Fatal(err)
			case <-deadline:
				t.Fatalf("want %q", want)
			}
		}
	}
	wait()
	for range 3 {
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.NoError(t, os.WriteFile(file, []byte("mounted"), 0o600))
		wait("red")
		require.NoError(t, os.Remove(file))
		wait()
		require.NoError(t, os.WriteFile(file, []byte("mounted"), 0o600))
		wait("red")
		require.NoError(t, os.RemoveAll(dir))
		wait()
	}
	cancel()
	require.NoError(t, <-ended)
}

func TestWatchFolderLeavesNothingBehind(t *testing.T) {
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	one := func() {
		require.NoError(t, watchFolder(ctx, dir, func(string) bool { return true }, func() {}))
	}
	one()
	goroutines, descriptors := runtime.NumGoroutine(), open()
	for range 100 {
		one()
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > goroutines || open() > descriptors; time.Sleep(5 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "%d goroutines of %d, %d descriptors of %d", runtime.NumGoroutine(), goroutines, open(), descriptors)
	}
}

func TestSimilarNames(t *testing.T) {
	for _, row := range []struct {
		why, name, other string
		want             bool
	}{
		{"case", "ETH0", "eth0", true},
		{"another letter", "eth1", "eth0", true},
		{"a letter less", "eh0", "eth0", true},
		{"a letter more", "etth0", "eth0", true},
		{"swapped", "eht0", "eth0", true},
		{"swapped at the end", "et0h", "eth0", true},
		{"two letters", "exx0", "eth0", false},
		{"two letters less", "e0", "eth0", false},
		{"what follows is missing", "enp3", "enp3s0", true},
		{"all of a short name is no beginning", "e", "enp3s0", false},
		{"nothing in common", "lo", "eth0", false},
	} {
		require.Equal(t, row.want, len(similarTo(row.name, []string{row.other})) == 1, row.why)
	}
}
