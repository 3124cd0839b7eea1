package tap

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/port/internal/vnet"
)

// queue is a descriptor of the device. Fields up to refused belong to the
// worker that polls it.
type queue struct {
	fd     int
	held   int         // bytes of a frame in spill that waits for a buffer; 0 is none
	header vnet.Header // of that frame
	spill  []byte      // a frame that is longer than an ordinary buffer, where no other was free
	iov    [3]unix.Iovec

	received, refused uint64 // written by relaxed.Add

	sent, txErrors atomic.Uint64 // any worker sends

	_ [64]byte // another worker writes the next queue's counters
}

// longestSpill is more than the kernel's longest frame with two VLAN tags. So
// nothing that is read is cut off unnoticed.
const longestSpill = longestFrame + 65

// attachment says which device to open a queue of, and how.
type attachment struct {
	name       string
	several    bool // it has or will have several queues
	exists     bool
	persistent bool // valid if it exists
}

// openQueue opens a queue that has a virtio_net_hdr before each frame. A device
// that is made, or had no open queue, has no carrier until all is set: nothing is
// queued that would be of the wrong kind, and nobody greets a network that is not there yet.
func openQueue(t attachment) (fd int, name string, err error) {
	fd, err = unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", explainOpen(err)
	}
	const want = uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	flags := want | unix.IFF_NO_CARRIER
	if t.several {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if !t.exists {
		flags |= unix.IFF_TUN_EXCL // not one that somebody has made since we looked
	}
	ifr, err := attachTo(fd, t.name, flags)
	if err == nil && ifr.Uint16()&want != want {
		err = errors.New("another program has just opened it, without virtio headers: end that, or choose another name")
	}
	if err != nil {
		unix.Close(fd)
		return -1, "", explain(err)
	}
	return fd, ifr.Name(), nil
}

// attachTo makes fd a queue of the device and asks what it is: name and flags.
func attachTo(fd int, name string, flags uint16) (*unix.Ifreq, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return nil, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
		return nil, err
	}
	return ifr, nil
}

// openWithWater opens a plain queue and takes the descriptor out of water's hands.
// What water returns is an os.File, which Go's own poller watches: it would be
// woken by every frame for nobody. A duplicate that only ppoll knows, then
// closing the file, ends that; it stays non-blocking, which is how water opens it.
func openWithWater(t attachment) (fd int, name string, err error) {
	// water does not set close-on-exec; until the duplicate does, nobody may fork.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w, err := water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{
		Name: t.name, MultiQueue: t.several,
		Persist: t.persistent, // it would be ended otherwise
	}})
	if err != nil {
		return -1, "", explain(err)
	}
	defer w.Close() // of the original only; nothing is lost if that fails
	file, ok := w.ReadWriteCloser.(syscall.Conn)
	if !ok {
		return -1, "", errors.New("water gives no descriptor")
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return -1, "", err
	}
	var dupErr error
	err = conn.Control(func(original uintptr) {
		fd, dupErr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, dupErr); err != nil {
		return -1, "", fmt.Errorf("duplicate the descriptor: %w", err)
	}
	return fd, w.Name(), nil
}
