package netdev_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

func TestNamespacePath(t *testing.T) {
	require.Equal(t, "/run/netns/red", netdev.NamespacePath("red"))
	require.Equal(t, "/proc/1/ns/net", netdev.NamespacePath("/proc/1/ns/net"))
}

// Errors about a namespace say what is wrong with it. None of this needs rights.
func TestInWithoutNamespace(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "dead")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	for _, row := range []struct {
		why, name string
		says      []string
	}{
		{"a name that nobody has given", "sl-never-made", []string{"/run/netns/sl-never-made: no such network namespace: make it (ip netns add), or correct the name; there are: "}},
		{"the path of a process that has ended", "/proc/4194399/ns/net", []string{"/proc/4194399/ns/net: no such network namespace"}},
		{"the file of a namespace that was unmounted", plain, []string{"no such network namespace: the file is left of one that has ended; remove and make it anew (ip netns delete, ip netns add)"}},
		{"a namespace of another kind", "/proc/self/ns/mnt", []string{"no such network namespace: it is a namespace of another kind"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			err := netdev.In(row.name, func() error { t.Error("called"); return nil })
			require.ErrorIs(t, err, netdev.ErrNoNamespace)
			for _, s := range row.says {
				require.ErrorContains(t, err, s)
			}
			_, other := netdev.NamespaceID(row.name)
			require.Equal(t, err.Error(), other.Error())
			_, other = netdev.Link(row.name, "lo")
			require.ErrorIs(t, other, netdev.ErrNoNamespace)
		})
	}
}

func TestInOwnNamespace(t *testing.T) {
	want := errors.New("mine")
	require.Equal(t, want, netdev.In("", func() error { return want }))
}

func TestMissingNamespaceNamesThoseThereAre(t *testing.T) {
	ns := netnstest.New(t)
	names, err := netdev.ListNamespaces()
	require.NoError(t, err)
	require.Contains(t, names, ns.Name)
	if len(names) > 8 {
		t.Skip("there are more namespaces than an error lists")
	}
	require.ErrorContains(t, netdev.In("sl-never-made", nil), ns.Name)
}

// In leaves the process as it was: no thread in the other namespace, no
// descriptor, and threads are used again.
func TestInLeavesNothingBehind(t *testing.T) {
	ns := netnstest.New(t)
	own, err := netdev.NamespaceID("")
	require.NoError(t, err)
	there, err := netdev.NamespaceID(ns.Name)
	require.NoError(t, err)
	require.NotEqual(t, own, there)
	visit := func() {
		require.NoError(t, netdev.In(ns.Name, func() error {
			id, err := netdev.NamespaceID("")
			require.Equal(t, there, id)
			return err
		}))
	}
	visit()
	descriptors, threads := open(t), threadNamespaces(t)
	for range 100 {
		visit()
		id, err := netdev.NamespaceID("")
		require.NoError(t, err)
		require.Equal(t, own, id)
	}
	require.Equal(t, descriptors, open(t))
	after := threadNamespaces(t)
	require.Less(t, len(after), len(threads)+20, "a thread for each call would be 100 more")
	for _, id := range after {
		require.Equal(t, after[0], id, "all threads are in one namespace")
	}
	failure := errors.New("mine")
	require.Equal(t, failure, netdev.In(ns.Name, func() error { return failure }))
}

// open lists the descriptors of the process.
func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// threadNamespaces returns the network namespace of each thread.
func threadNamespaces(t *testing.T) (ids []string) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	require.NoError(t, err)
	for _, task := range tasks {
		id, err := os.Readlink(task)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended meanwhile
		}
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

func TestNamedNamespaces(t *testing.T) {
	ns := netnstest.New(t)
	err := netdev.AddNamespace(ns.Name)
	require.ErrorIs(t, err, os.ErrExist)
	require.ErrorContains(t, err, "choose another name, or delete it (ip netns delete "+ns.Name+")")
	_, err = netdev.NamespaceID(ns.Name)
	require.NoError(t, err, "the one that has the name is left as it is")

	require.NoError(t, netdev.DeleteNamespace(ns.Name))
	err = netdev.DeleteNamespace(ns.Name)
	require.ErrorIs(t, err, netdev.ErrNoNamespace)

	require.NoError(t, netdev.AddNamespace(ns.Name))
	info, err := netdev.Link(ns.Name, "lo")
	require.NoError(t, err)
	require.False(t, info.Up)

	file := netdev.NamespacePath(ns.Name)
	require.NoError(t, netdev.DeleteNamespace(ns.Name))
	require.NoError(t, os.WriteFile(file, nil, 0o444))
	require.NoError(t, netdev.DeleteNamespace(ns.Name), "a file that is left of one is removed too")
	require.NoFileExists(t, file)

	for _, name := range []string{"", ".", "..", "a/b", "/run/netns/x", strings.Repeat("x", 256)} {
		require.ErrorContains(t, netdev.AddNamespace(name), "want a name of 1 to 255 bytes without a slash")
		require.ErrorContains(t, netdev.DeleteNamespace(name), "want a name")
	}
}

// `ip netns` must see what we make, and the other way round.
func TestNamespacesOfIproute(t *testing.T) {
	ns := netnstest.New(t)
	require.Contains(t, ns.Run("ip", "netns", "list"), ns.Name)
	name := ns.Name + "x"
	ns.Run("ip", "netns", "add", name)
	t.Cleanup(func() { netdev.DeleteNamespace(name) }) //nolint:errcheck // it may be gone
	_, err := netdev.Link(name, "lo")
	require.NoError(t, err)
	ns.Run("ip", "netns", "delete", name)
	_, err = netdev.Link(name, "lo")
	require.ErrorIs(t, err, netdev.ErrNoNamespace)
}

// Namespaces are made at the same time by several goroutines, as by several tests.
func TestNamespacesInParallel(t *testing.T) {
	own := netnstest.New(t)
	const n = 8
	errs := make(chan error, n)
	for i := range n {
		go func() {
			name := own.Name + "p" + string(rune('a'+i))
			err := netdev.AddNamespace(name)
			if err == nil {
				_, err = netdev.Link(name, "lo")
				err = errors.Join(err, netdev.DeleteNamespace(name))
			}
			errs <- err
		}()
	}
	for range n {
		require.NoError(t, <-errs)
	}
	runtime.GC()
}
