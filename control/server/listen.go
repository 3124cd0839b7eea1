package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
)

// directoryMode is that of a directory that Listen makes: everybody may see what is in it.
const directoryMode = 0o755

// Listen is ListenFor nobody but root and the daemon's own user.
func Listen(path string) (net.Listener, error) { return ListenFor(path, Members{}, Members{}) }

// ListenFor makes a unix socket that those can connect to who have a role, and listens
// on it. A socket that a dead daemon has left
// is replaced; one on which somebody answers is an error. Closing the listener
// removes it.
//
// The socket is made under another name and moved into its place: at no time
// may others connect than permit says, and who finds it is answered. A lock
// on PATH.lock, which stays, keeps two daemons that start at once from taking each other's
// socket for a dead one's.
func ListenFor(path string, admins, viewers Members) (net.Listener, error) {
	if _, err := api.SocketPath("unix:" + path); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, directoryMode); err != nil {
		return nil, fmt.Errorf("the directory of the API's socket: %w: make it, or name another socket (--api)", err)
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, err
	}
	l, err := listenLocked(path, dir, admins, viewers)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l.lock = lock
	return l, nil
}

// lockSocket takes the lock of whoever serves on a path.
func lockSocket(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock of the API's socket: %w: run as a user who may write to the directory, or name another socket (--api)", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, inUse(path)
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	return f, nil
}

func inUse(path string) error {
	return fmt.Errorf("another daemon answers on unix:%s: stop it, or name another socket (--api)", path)
}

func listenLocked(path, dir string, admins, viewers Members) (*listener, error) {
	if err := removeDead(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".api")
	if err != nil {
		return nil, fmt.Errorf("the API's socket: %w: run as a user who may write to %s, or name another socket (--api)", err, dir)
	}
	defer os.RemoveAll(private) // empty by then, or of no use
	name := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		if errors.Is(err, syscall.EINVAL) { // the path fits, and this one is a little longer
			err = fmt.Errorf("%w: the path of its directory is too long; choose a shorter one (--api)", err)
		}
		return nil, fmt.Errorf("the API's socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // it goes by another name soon
	info, err := os.Lstat(name)
	if err == nil {
		err = permit(name, admins, viewers)
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the API's socket: %w", err), l.Close())
	}
	return &listener{UnixListener: l, path: path, info: info}, nil
}

// removeDead removes the socket of a daemon that is dead.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the API's socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: remove it, or name another socket (--api)", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close() // nothing was said
		return inUse(path)
	}
	// Only this says that nobody listens: a daemon that is too busy to answer lives.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("who listens on unix:%s can't be found out: %w: stop it, or name another socket (--api)", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("the socket of a daemon that is dead: %w", err)
	}
	return nil
}

// listener removes its socket when it is closed.
type listener struct {
	*net.UnixListener
	path string
	info fs.FileInfo // of the socket
	lock *os.File
	once sync.Once
}

// Close stops listening and removes the socket, if it still is the one that was made.
func (l *listener) Close() (err error) {
	l.once.Do(func() {
		if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.info) {
			err = os.Remove(l.path)
		}
		err = errors.Join(err, l.UnixListener.Close(), l.lock.Close())
	})
	return err
}
