package netdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ListNamespaces returns the names of network namespaces, sorted: files of
// NamespaceDir, of which some may be left of namespaces that have ended.
func ListNamespaces() ([]string, error) {
	entries, err := os.ReadDir(NamespaceDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// AddNamespace makes a network namespace with a name, as `ip netns add` does. It
// lives until DeleteNamespace, beyond the process. Its loopback device is down.
func AddNamespace(name string) error {
	path, err := namedPath(name)
	if err != nil {
		return err
	}
	unlock, err := lockNamespaceDir()
	if err != nil {
		return fmt.Errorf("add network namespace %s: %w", name, explainRights(err))
	}
	defer unlock()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("add network namespace %s: %s exists: choose another name, or delete it (ip netns delete %s): %w", name, path, name, err)
	}
	if err != nil {
		return fmt.Errorf("add network namespace %s: %w", name, err)
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount(ownNamespace, path, "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		return nil
	})
	if err != nil {
		os.Remove(path) //nolint:errcheck // the error before it says more
		return fmt.Errorf("add network namespace %s: %w", name, explainRights(err))
	}
	return nil
}

// DeleteNamespace takes a namespace's name away. The namespace ends, with the
// devices in it, once no process and no socket is in it any more. ErrNoNamespace
// is wrapped if there is none of that name.
func DeleteNamespace(name string) error {
	path, err := namedPath(name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete network namespace %s: %w; there are: %s", name, ErrNoNamespace, namespaceList())
	}
	// EINVAL: nothing is mounted on the file, which is to go all the same.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("delete network namespace %s: unmount: %w", name, explainRights(err))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

// namedPath is NamespacePath for a name that can be given.
func namedPath(name string) (string, error) {
	if name == "" || name == "." || name == ".." || len(name) > unix.NAME_MAX || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("network namespace %q: want a name of 1 to %d bytes without a slash", name, unix.NAME_MAX)
	}
	return filepath.Join(NamespaceDir, name), nil
}

// lockNamespaceDir makes NamespaceDir as `ip netns` does, and keeps others who
// do (iproute2 locks it too) from it until unlock. Mounts in it propagate to
// other mount namespaces, so that a namespace that is deleted in one is not
// kept alive by the rest.
func lockNamespaceDir() (unlock func(), err error) {
	if err := os.MkdirAll(NamespaceDir, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.Open(NamespaceDir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		dir.Close()
		return nil, err
	}
	err = unix.Mount("", NamespaceDir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // it is no mount point yet
		err = unix.Mount(NamespaceDir, NamespaceDir, "none", unix.MS_BIND|unix.MS_REC, "")
		if err == nil {
			err = unix.Mount("", NamespaceDir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("share %s: %w", NamespaceDir, err)
	}
	return func() { dir.Close() }, nil
}

// explainRights says what to do about a refused system call.
func explainRights(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("run as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN: %w", err)
	}
	return err
}
