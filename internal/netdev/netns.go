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
// stay in the namespace when it is over, and a socket keeps the namespace alive
// after its name has been deleted. f must not start goroutines that rely on it.
func In(name string, f func() error) error {
	if name == "" {
		return f()
	}
	ns, err := openNamespace(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return explainEnter(NamespacePath(name), err)
		}
		return f()
	})
}

// NamespaceID returns a number that no other network namespace has while this
// one lives, "" being the caller's own: whoever remembers it can tell that a name
// stands for another namespace now.
func NamespaceID(name string) (uint64, error) {
	path := NamespacePath(name)
	if name == "" {
		path = ownNamespace
	}
	ns, err := openNamespace(path)
	if err != nil {
		return 0, err
	}
	defer ns.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(ns), &st); err != nil {
		return 0, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return st.Ino, nil
}

// ownNamespace is the network namespace of the calling thread.
const ownNamespace = "/proc/thread-self/ns/net"

// onThread runs f on a thread of its own, which f may take to another
// namespace, and returns f's error.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		isHome, err := visit(f)
		if isHome {
			runtime.UnlockOSThread()
		} // else the thread ends with its goroutine, being locked
		done <- err
	}()
	return <-done
}

// visit runs f and brings the thread back to where it was.
func visit(f func() error) (isHome bool, err error) {
	home, err := netns.GetFromPath(ownNamespace)
	if err != nil {
		return true, fmt.Errorf("ask for the own network namespace: %w", err)
	}
	defer home.Close()
	err = f()
	return netns.Set(home) == nil, err
}

// openNamespace returns a descriptor of a namespace, after a look at what the
// file is: of a namespace that was unmounted, or made in another mount namespace,
// an empty file is left, and setns calls that an invalid argument.
func openNamespace(name string) (netns.NsHandle, error) {
	path := NamespacePath(name)
	ns, err := netns.GetFromPath(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return ns, fmt.Errorf("%s: %w: make it (ip netns add), or correct the name; there are: %s", path, ErrNoNamespace, namespaceList())
	case errors.Is(err, os.ErrPermission):
		return ns, fmt.Errorf("open network namespace %s: run as root: %w", path, err)
	case err != nil:
		return ns, fmt.Errorf("network namespace %s: %w", path, err)
	}
	kind, err := unix.IoctlRetInt(int(ns), unix.NS_GET_NSTYPE)
	switch {
	case err != nil: // ENOTTY: no namespace's file at all
		err = fmt.Errorf("%s: %w: the file is left of one that has ended; remove and make it anew (ip netns delete, ip netns add)", path, ErrNoNamespace)
	case kind != unix.CLONE_NEWNET:
		err = fmt.Errorf("%s: %w: it is a namespace of another kind; give a network namespace (/proc/PID/ns/net)", path, ErrNoNamespace)
	default:
		return ns, nil
	}
	ns.Close()
	return netns.None(), err
}

// explainEnter says what to do about an error of setns.
func explainEnter(path string, err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("enter network namespace %s: run as root or give the program CAP_SYS_ADMIN: %w", path, err)
	}
	return fmt.Errorf("enter network namespace %s: %w", path, err)
}

// namespaceList names the namespaces for an error's hint.
func namespaceList() string {
	names, _ := ListNamespaces()
	return shortList(names)
}

// shortList names a few of what there is, in an error's hint.
func shortList(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}
