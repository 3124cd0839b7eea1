package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Changes of files come in bursts: an editor renames, truncates and writes. A
// reload waits until it has been quiet for settle, but no longer than patience.
const (
	settle   = 200 * time.Millisecond
	patience = 2 * time.Second
)

// places are the directories to watch.
type places map[string]*place

// place is what matters in a directory.
type place struct {
	names  map[string]bool
	folder bool // also every name that a file of the configuration can have
}

// at returns what matters in a directory.
func (p places) at(dir string) *place {
	if p[dir] == nil {
		p[dir] = &place{names: map[string]bool{}}
	}
	return p[dir]
}

// placesOf returns where the content of configuration paths can change. For a path
// these are its own directory, since editors and package managers put a new file in
// the place of the old; the directory of each symbolic link on the way, since
// Kubernetes swaps one to change all files of a ConfigMap at once; for a folder
// the folder itself, and for each link in it the same again.
func placesOf(paths []string) places {
	p := places{}
	for _, path := range paths {
		if path == "-" {
			continue
		}
		end := p.trace(path)
		entries, err := os.ReadDir(end)
		if err != nil {
			continue // a file, or nothing: its name is there already
		}
		p.at(end).folder = true
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink != 0 && isConfig(e.Name()) {
				p.trace(filepath.Join(end, e.Name()))
			}
		}
	}
	return p
}

// trace adds the directories on the way to a path and returns where it ends.
// What does not exist is waited for in the directory in which it would be.
func (p places) trace(path string) (end string) {
	const maxLinks = 40 // as the kernel
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := strings.Split(strings.Trim(path, "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil || len(rest) == 0 {
			p.at(at).names[name] = true
		}
		if err != nil {
			return next
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		p.at(at).names[name] = true
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return next
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return at
}

// isConfig says whether a file of a folder is, or was, read by control.Load.
func isConfig(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}

// matter says whether an event is about the content of the configuration.
func (p places) matter(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	if _, watched := p[e.Name]; watched {
		return true // a directory itself was removed or renamed
	}
	in, watched := p[filepath.Dir(e.Name)]
	name := filepath.Base(e.Name)
	return watched && (in.names[name] || in.folder && isConfig(name))
}

// follower tells when the content of configuration paths may have changed.
type follower struct {
	paths   []string
	watcher *fsnotify.Watcher
	places  places
	changed chan struct{} // capacity 1
	faults  chan error    // capacity 1: what can't be followed
	done    chan struct{}
}

// follow begins to watch paths. The caller calls stop.
func follow(paths []string) (*follower, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explainWatch("", err)
	}
	f := &follower{
		paths: paths, watcher: w, places: places{},
		changed: make(chan struct{}, 1), faults: make(chan error, 1), done: make(chan struct{}),
	}
	err = f.refresh()
	go f.run()
	return f, err
}

// stop ends watching.
func (f *follower) stop() {
	_ = f.watcher.Close()
	<-f.done
}

// refresh watches what the paths stand for now.
func (f *follower) refresh() error {
	now := placesOf(f.paths)
	var errs []error
	for dir := range f.places {
		if _, still := now[dir]; !still {
			_ = f.watcher.Remove(dir) // gone already if the directory is
		}
	}
	for dir := range now {
		// Also what is watched already: it may be another directory of that name.
		if err := f.watcher.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, explainWatch(dir, err))
		}
	}
	f.places = now
	return errors.Join(errs...)
}

// run waits for events and for quiet after them.
func (f *follower) run() {
	defer close(f.done)
	var quiet <-chan time.Time
	var since time.Time // of the first event of the burst; valid if quiet is
	for {
		select {
		case e, open := <-f.watcher.Events:
			if !open {
				return
			}
			if !f.places.matter(e) {
				continue
			}
		case err, open := <-f.watcher.Errors:
			if !open {
				return
			}
			// Events were lost: anything may have changed.
			put(f.faults, explainWatch("", err))
		case <-quiet:
			quiet = nil
			if err := f.refresh(); err != nil {
				put(f.faults, err)
			}
			put(f.changed, struct{}{})
			continue
		}
		now := time.Now()
		if quiet == nil {
			since = now
		}
		quiet = time.After(min(settle, max(0, patience-now.Sub(since))))
	}
}

// put hands over v unless one waits already.
func put[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

func explainWatch(dir string, err error) error {
	const instead = "; until then a changed configuration is taken up at SIGHUP only"
	what := "watch the configuration"
	if dir != "" {
		what = "watch " + dir
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s: all inotify watches are in use: raise fs.inotify.max_user_watches%s: %w", what, instead, err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%s: all inotify instances are in use: raise fs.inotify.max_user_instances%s: %w", what, instead, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
