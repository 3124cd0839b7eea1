package lab

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// DefaultDir is where labs keep what they are made of, a folder each.
const DefaultDir = "/run/sluice/lab"

// State is what is written down of a lab, so that it can be ended by another
// process than the one that began it.
type State struct {
	ID       string    `json:"id"`
	Scenario string    `json:"scenario"`
	File     string    `json:"file"`
	PID      int       `json:"pid"` // of the process that runs it
	Started  time.Time `json:"started"`

	// Kept: it is to go on without that process, until it is ended by name.
	Kept bool `json:"kept,omitempty"`

	// Alive is whether that process runs; it is found out, not written.
	Alive bool `json:"-"`
}

const (
	stateFile = "state.json"
	lockFile  = "lock"
)

// claim makes the folder of a new lab. The lock is held until the process ends,
// however it does: it tells those who sweep that somebody takes care.
func claim(dir string, s State) (State, *os.File, error) {
	unlock, err := lockAll(dir)
	if err != nil {
		return s, nil, err
	}
	defer unlock()
	for s.ID == "" {
		// Four letters and digits without vowels, so that no words come out.
		const letters = "bcdfghjklmnpqrstvwxz23456789"
		var random [4]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		id := make([]byte, len(random))
		for i, r := range random {
			id[i] = letters[int(r)%len(letters)]
		}
		err := os.Mkdir(filepath.Join(dir, string(id)), 0o755)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return s, nil, err
		}
		if err == nil {
			s.ID = string(id)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, s.ID, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return s, nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = s.write(dir)
	}
	if err != nil {
		lock.Close()
		return s, nil, err
	}
	return s, lock, nil
}

func (s State) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, s.ID, stateFile), append(data, '\n'))
}

// replaceFile writes a file so that who reads it sees the old text or the new.
func replaceFile(path string, data []byte) error {
	hidden := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(hidden, data, 0o644); err != nil {
		return err
	}
	return os.Rename(hidden, path)
}

// lockAll keeps others from making and sweeping labs meanwhile.
func lockAll(dir string) (unlock func(), err error) {
	err = os.MkdirAll(dir, 0o755)
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: run as root: labs make network namespaces and devices", err)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// Running lists the labs that there are, also those that nobody takes care of.
func Running(dir string) ([]State, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []State
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		s := State{}
		if data, err := os.ReadFile(filepath.Join(dir, e.Name(), stateFile)); err == nil {
			_ = json.Unmarshal(data, &s) // what can't be read belongs to nobody
		}
		s.ID = e.Name()
		s.Alive = isLocked(filepath.Join(dir, e.Name(), lockFile))
		all = append(all, s)
	}
	return all, nil
}

func isLocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Sweep removes the labs whose process has ended without doing so, and returns
// them. Those that were to stay do.
func Sweep(dir string) ([]State, error) {
	unlock, err := lockAll(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := Running(dir)
	if err != nil {
		return nil, err
	}
	var swept []State
	var errs []error
	for _, s := range all {
		if s.Alive || s.Kept {
			continue
		}
		errs = append(errs, remove(dir, s.ID))
		swept = append(swept, s)
	}
	return swept, errors.Join(errs...)
}

// remove ends what is left of a lab: its processes, its namespaces with the
// devices in them, and its folder.
func remove(dir, id string) error {
	all, err := netdev.ListNamespaces()
	if err != nil {
		return err
	}
	var own []string
	for _, name := range all {
		if strings.HasPrefix(name, namespacePrefix(id)) {
			own = append(own, name)
		}
	}
	errs := []error{killWithin(own)}
	for _, name := range own {
		errs = append(errs, netdev.DeleteNamespace(name))
	}
	return errors.Join(append(errs, os.RemoveAll(filepath.Join(dir, id)))...)
}

// Down ends a lab that stayed, given by its identifier or its scenario's name;
// "" is the only one. Running labs of other processes are theirs.
func Down(dir, name string) ([]State, error) {
	unlock, err := lockAll(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := Running(dir)
	if err != nil {
		return nil, err
	}
	var found []State
	var known []string
	for _, s := range all {
		if s.Alive {
			continue
		}
		known = append(known, s.ID+" ("+s.Scenario+")")
		if name == "" || name == s.ID || name == s.Scenario {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 0 && name == "":
		return nil, errors.New("no lab is up")
	case len(found) == 0:
		return nil, fmt.Errorf("no lab %s is up; there are: %s", name, strings.Join(known, ", "))
	case len(found) > 1 && name == "":
		return nil, fmt.Errorf("several labs are up: %s; say which", strings.Join(known, ", "))
	}
	var errs []error
	for _, s := range found {
		errs = append(errs, remove(dir, s.ID))
	}
	return found, errors.Join(errs...)
}
