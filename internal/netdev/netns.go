package netdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NamespaceDir is where `ip netns` keeps named network namespaces.
const NamespaceDir = "/run/netns"

// NamespacePath returns the file of a network namespace: name is one of `ip
// netns`, or the path of such a file (/proc/PID/ns/net).
func NamespacePath(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return filepath.Join(NamespaceDir, name)
}

// ErrNoNamespace is wrapped by errors about a namespace that is not there, or
// whose file no longer stands for one.
var ErrNoNamespace = errors.New("no such network namespace")

// In runs f on a thread in the named network namespace (see NamespacePath; ""
// is the caller's own) and returns its error. Sockets and devices that f opens
// stay in the namespace when it is over. f must not start goroutines that rely on it.
func In(name string, f func() error) error {
	if name == "" {
		return f()
	}
	path := NamespacePath(name)
	ns, err := netns.GetFromPath(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: %w: make it (ip netns add), or correct the name; there are: %s", path, ErrNoNamespace, namespaces())
	case err != nil:
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer ns.Close()
	done := make(chan error, 1)
	go func() {
		// A thread that can't be brought back ends with its goroutine: it stays locked.
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("ask for the own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := netns.Set(ns); err != nil {
			if errors.Is(err, unix.EINVAL) { // a plain file: the namespace was unmounted
				err = fmt.Errorf("%s: %w: the file is left of one that has ended; remove and make it anew (ip netns delete, ip netns add)", path, ErrNoNamespace)
			} else {
				err = fmt.Errorf("enter network namespace %s: %w", path, err)
			}
			done <- err
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// namespaces lists the named ones for an error's hint.
func namespaces() string {
	entries, _ := os.ReadDir(NamespaceDir)
	if len(entries) == 0 {
		return "none"
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
