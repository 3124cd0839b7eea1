// Package tap makes a port of a TAP device: whatever the kernel sends to the
// interface is received, and the kernel receives what is sent. Frames pass
// plainly, without offloads, one read or write each.
package tap

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
)

// Port is an open TAP device. Each receive queue is polled by one worker at a
// time; Tx, Caps, Err and Counters are for everybody.
//
//	kernel's stack ── interface ──┬─ queue 0 ── Rx(0)    the kernel chooses the queue by flow,
//	                              ├─ queue 1 ── Rx(1)    as it has seen the flow's replies sent
//	                              └─ ...
//
// A device that is removed while in use ends the port: it neither receives nor
// sends, is down, and Err says why. It does not come back; open another.
type Port struct {
	name   string
	queues []queue
	ctl    int // socket in the device's namespace, for what is asked by name

	ended  atomic.Uint32 // errno that ended the port; 0 while it works
	mtu    atomic.Int32  // as last seen
	closed atomic.Bool
}

// queue is a descriptor of the device. Fields up to refused belong to the
// worker that polls it.
type queue struct {
	fd    int
	held  int    // bytes of a frame in spill that waits for a buffer; 0 is none
	spill []byte // the whole of a frame that is longer than an ordinary buffer

	received, refused uint64 // written by relaxed.Add

	sent, txRefused atomic.Uint64 // any worker sends

	_ [64]byte // another worker writes the next queue's counters
}

// longestSpill is more than a TAP's longest frame: MTU 65521, Ethernet header,
// and two VLAN tags. So nothing that is read is cut off unnoticed.
const longestSpill = 65536 + 64

// closedHere is the errno of a port that Close has ended, which is no fault.
const closedHere = unix.ESHUTDOWN

// Counters say what has passed a port, in frames.
type Counters struct {
	Received  uint64 // given by Rx
	RxRefused uint64 // longer than any buffer of the arena
	Sent      uint64 // the kernel has them
	TxRefused uint64 // taken by Tx, but the kernel would not have them: shorter than an Ethernet header
}

// Rx reads frames until there are none. One that is longer than an ordinary
// buffer gets a super-frame buffer, and waits for one if all are in use, with all behind
// it; it is refused and counted if there are none or it is longer than those.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return 0
	}
	s, a, n := &p.queues[q], c.Arena(), 0
	// A turn for each buffer also bounds how many frames can be refused at once.
	for range bufs {
		if s.held != 0 {
			b := c.AllocFor(s.held)
			if b == 0 {
				break
			}
			a.Meta(b).Len = uint32(s.held)
			copy(a.Frame(b), s.spill)
			s.held = 0
			bufs[n] = b
			n++
			continue
		}
		b := c.Alloc()
		if b == 0 {
			break
		}
		room := a.Room(b)
		size, err := unix.Readv(s.fd, [][]byte{room, s.spill[len(room):]})
		if err != nil {
			c.Free(b)
			p.readFailed(err)
			break
		}
		if size <= len(room) {
			a.Meta(b).Len = uint32(size)
			bufs[n] = b
			n++
			continue
		}
		copy(s.spill, room)
		c.Free(b)
		if size > a.LongestFrame() {
			relaxed.Add(&s.refused, 1)
			continue
		}
		s.held = size
	}
	relaxed.Add(&s.received, uint64(n))
	return n
}

// readFailed ends the port unless reading later may do better. What this driver
// does not know ends it too: the descriptor may stay readable, and a worker
// that tries for ever would never sleep.
func (p *Port) readFailed(err error) {
	switch err {
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
	default:
		p.end(err)
	}
}

// Tx writes the frames, up to the first for which the kernel has no memory, or
// none while the interface is down. A queue number beyond the device's shares
// its queues. Frames that the kernel would not take at any time are freed and counted, so
// that they don't hold up the others.
func (p *Port) Tx(q int, c *packet.Cache, bufs []packet.Index) int {
	if p.ended.Load() != 0 {
		return 0
	}
	s, a := &p.queues[uint(q)%uint(len(p.queues))], c.Arena()
	n, refused := 0, 0
	for _, b := range bufs {
		if _, err := unix.Write(s.fd, a.Frame(b)); err != nil {
			if !p.frameAtFault(err) {
				break
			}
			refused++
		}
		n++
	}
	s.sent.Add(uint64(n - refused))
	if refused > 0 {
		s.txRefused.Add(uint64(refused))
	}
	c.FreeN(bufs[:n])
	return n
}

// frameAtFault reports whether a write has failed for the frame's own sake, so
// that the next one may pass.
func (p *Port) frameAtFault(err error) bool {
	switch err {
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
		return false
	case unix.EIO: // the interface is down
		return false
	case unix.EBADFD, unix.EBADF, unix.ENODEV, unix.ENXIO: // it is gone
		p.end(err)
		return false
	default:
		return true
	}
}

// end stops the port for good; the first reason stays.
func (p *Port) end(err error) {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		errno = unix.EIO
	}
	p.ended.CompareAndSwap(0, uint32(errno))
}

// FD returns the descriptor that becomes readable when queue q has frames, or
// -1, which ppoll ignores, if there is none (any more): that of a removed device
// is ready at any time.
func (p *Port) FD(q int) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return -1
	}
	return p.queues[q].fd
}

// Caps asks the kernel for link state and MTU. A device that was moved to
// another network namespace has the MTU that it had before.
func (p *Port) Caps() dataplane.Caps {
	caps := dataplane.Caps{Queues: len(p.queues)}
	if p.ended.Load() == 0 {
		caps.Up = p.up()
		p.askMTU()
	}
	caps.MTU = int(p.mtu.Load())
	return caps
}

// up reports whether the interface is up: the descriptor of one that is not
// can't be written to. That needs neither name nor namespace, unlike SIOCGIFFLAGS.
func (p *Port) up() bool {
	fds := [1]unix.PollFd{{Fd: int32(p.queues[0].fd), Events: unix.POLLOUT}}
	if _, err := unix.Poll(fds[:], 0); err != nil {
		return false
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0 {
		p.end(unix.EBADFD) // what a read would say
		return false
	}
	return fds[0].Revents&unix.POLLOUT != 0
}

// askMTU keeps the MTU up to date. The device is asked for its name, which may
// have changed.
func (p *Port) askMTU() {
	var ifr unix.Ifreq
	if unix.IoctlIfreq(p.queues[0].fd, unix.TUNGETIFF, &ifr) != nil {
		return
	}
	if unix.IoctlIfreq(p.ctl, unix.SIOCGIFMTU, &ifr) == nil {
		p.mtu.Store(int32(ifr.Uint32()))
	}
}

// Name returns the name that the device was opened by.
func (p *Port) Name() string { return p.name }

// Err returns what has ended the port, or nil while it works and after Close.
func (p *Port) Err() error {
	switch errno := unix.Errno(p.ended.Load()); errno {
	case 0, closedHere:
		return nil
	case unix.EBADFD, unix.ENODEV, unix.ENXIO:
		return fmt.Errorf("tap %s: the device was removed: %w", p.name, errno)
	default:
		return fmt.Errorf("tap %s: %w", p.name, errno)
	}
}

// Counters returns the counts over all queues; workers may run meanwhile.
func (p *Port) Counters() (c Counters) {
	for i := range p.queues {
		s := &p.queues[i]
		c.Received += atomic.LoadUint64(&s.received)
		c.RxRefused += atomic.LoadUint64(&s.refused)
		c.Sent += s.sent.Load()
		c.TxRefused += s.txRefused.Load()
	}
	return c
}

// Close lets go of the device, which the kernel removes unless it is
// persistent. No worker may use the port any more: see dataplane.Engine.Synchronize.
// A second Close does nothing.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	p.ended.CompareAndSwap(0, uint32(closedHere))
	var errs []error
	for i := range p.queues {
		errs = append(errs, unix.Close(p.queues[i].fd))
	}
	errs = append(errs, unix.Close(p.ctl))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close tap %s: %w", p.name, err)
	}
	return nil
}
