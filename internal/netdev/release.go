package netdev

import (
	"errors"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// releasePatience is how long a device may take to be free after its last holder
// has let go of it.
const releasePatience = 200 * time.Millisecond

// AwaitRelease calls open again while its error wraps EBUSY, for a fraction of a
// second. A device that is closed is not free at once: a child of the process that
// is about to exec has a copy of every descriptor, whatever their FD_CLOEXEC, and the
// kernel ends some holds only later, by a work queue.
func AwaitRelease(open func() error) error {
	for end := time.Now().Add(releasePatience); ; time.Sleep(2 * time.Millisecond) {
		if err := open(); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// CloseLink takes a link's program off its device and closes the link. To close alone
// leaves the program in force as long as another holds the link, be it bpftool link that
// is just listing all. A device that has gone is no error.
func CloseLink(l link.Link) error {
	return errors.Join(l.Detach(), l.Close())
}
