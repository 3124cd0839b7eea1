package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file in a state folder that says whose it is.
const lockName = "sluice.pid"

// lockState makes a state folder, if need be, and this process its only owner
// until the file is closed. The kernel lets go of the lock when the process
// ends, however it does; the file stays.
func lockState(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, explainState(dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, explainState(dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the state folder %s belongs to a daemon that runs%s: stop that, or give this one a folder of its own (--state DIR)", dir, owner(f))
		}
		return nil, fmt.Errorf("lock the state folder %s: %w", dir, err)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, explainState(dir, err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		f.Close()
		return nil, explainState(dir, err)
	}
	return f, nil
}

// owner is " (pid N)" if the lock's file says so.
func owner(f *os.File) string {
	data, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(data)); err == nil && pid != "" {
		return " (pid " + pid + ")"
	}
	return ""
}

func explainState(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("state folder %s: %w: run as root or as the folder's owner, or choose another (--state DIR)", dir, err)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("state folder %s: %w: it is no folder; choose another (--state DIR)", dir, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("state folder %s: %w: choose one that can be written (--state DIR)", dir, err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("state folder %s: %w: make room, or choose another (--state DIR)", dir, err)
	}
	return fmt.Errorf("state folder %s: %w", dir, err)
}
