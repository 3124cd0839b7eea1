package netdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// WatchNamespaces calls f at the beginning and then when network namespaces have
// been given a name, or lost it (ip netns add, delete), until ctx ends; it returns
// nil then. f is called on the caller's goroutine, sometimes without need:
// NamespaceID says whether a name stands for the same namespace as before.
func WatchNamespaces(ctx context.Context, f func()) error {
	return watchFolder(ctx, NamespaceDir, func(path string) bool {
		_, err := NamespaceID(path)
		return err == nil
	}, f)
}

// A namespace gets its name in two steps, the file and the mount on it, of
// which only the first is seen. The second follows at once, or never.
const (
	mountPoll     = 10 * time.Millisecond
	mountAttempts = 300
)

// watchFolder watches a folder that may be made later, or deleted and made anew:
// as long as it is missing, the one above it is watched. f is called when a file in it
// is ready, or gone.
func watchFolder(ctx context.Context, dir string, ready func(path string) bool, f func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		if errors.Is(err, unix.EMFILE) {
			err = fmt.Errorf("too many are in use: end some, or allow more (sysctl fs.inotify.max_user_instances, ulimit -n): %w", err)
		}
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	defer w.Close()
	if err := w.Add(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("watch %s: %w", filepath.Dir(dir), err)
	}
	poll := time.NewTicker(mountPoll)
	defer poll.Stop()
	poll.Stop()
	pending := map[string]int{} // attempts left, by path
	watch := func() error {
		err := w.Add(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("watch %s: %w", dir, err)
		}
		// What came before the watch.
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); !ready(path) {
				pending[path] = mountAttempts
				poll.Reset(mountPoll)
			}
		}
		f()
		return nil
	}
	if err := watch(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.Events:
			switch {
			case event.Name == dir && event.Has(fsnotify.Create):
				if err := watch(); err != nil {
					return err
				}
			case event.Name == dir && event.Has(fsnotify.Remove|fsnotify.Rename):
				clear(pending)
				f()
			case filepath.Dir(event.Name) != dir:
			case event.Has(fsnotify.Create) && !ready(event.Name):
				pending[event.Name] = mountAttempts
				poll.Reset(mountPoll)
			case event.Has(fsnotify.Create):
				f()
			case event.Has(fsnotify.Remove | fsnotify.Rename):
				delete(pending, event.Name)
				f()
			}
		case <-poll.C:
			for path := range pending {
				pending[path]--
				if ready(path) {
					delete(pending, path)
					f()
				} else if pending[path] <= 0 {
					delete(pending, path)
				}
			}
			if len(pending) == 0 {
				poll.Stop()
			}
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watch %s: %w", dir, err)
			}
			if err := watch(); err != nil {
				return err
			}
		}
	}
}
