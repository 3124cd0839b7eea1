package netdev

import (
	"errors"
	"syscall"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// CloseFD closes a descriptor that holds a device, and the device is free when it
// returns. A plain close leaves that to chance: a child of this process that is between
// fork and exec has a copy of every descriptor, whatever their FD_CLOEXEC, and with it
// the device. syscall.ForkLock says when there is none.
func CloseFD(fd int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return unix.Close(fd)
}

// CloseLink takes a link's program off its device and closes the link. To close alone
// leaves the program in force as long as another holds the link, be it bpftool link that
// is just listing all. A device that has gone is no error.
func CloseLink(l link.Link) error {
	return errors.Join(l.Detach(), l.Close())
}
