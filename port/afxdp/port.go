// Package afxdp makes a port of a network device by AF_XDP: an XDP program in the
// driver hands each frame to a socket, whose rings and buffers are memory that is
// shared with the kernel. It is for NICs, and for ports with many small packets:
// about 1 us of CPU time for each that is forwarded, less than half of what a packet socket
// takes. Super-frames don't pass: native XDP makes the other end of a veth cut
// its streams itself, so that a pod with TCP is better off with port/afpacket.
//
// Sockets, promiscuous mode and programs go with the process, however it ends. What
// Open has changed besides stays after kill -9:
//
//	ip link set DEV down                        it is up, also after Close
//	ethtool -K DEV rxvlan on                    a NIC does not take VLAN tags off any more, where Mode says so
//	sysctl -w net.ipv6.conf.DEV.disable_ipv6=0  the host's IPv6 is off: before Linux 6.6, as Mode says
package afxdp

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
)

// Port is a device whose frames come and go by AF_XDP. Each receive queue is
// polled by one worker at a time; Tx, Caps, Err, Mode and Counters are for
// everybody.
//
//	device ── queue 0 ── XDP program ── socket 0:  FILL, RX  (the worker of queue 0)
//	       │                      │                TX, COMPLETION  (any worker, by turns)
//	       └─ queue 1 ────────────┴── socket 1:  ...
//
// A device that is removed while in use ends the port: it neither receives nor
// sends, is down, and Err says why. It does not come back; open another.
type Port struct {
	name   string
	arena  *packet.Arena
	umem   *UMEM
	queues []*queue
	txs    uint32 // queues that frames are sent by: the first ones

	suspect bool // frames may come with partial checksums that nothing marks
	csum    bool // partial checksums are finished by the kernel or the device
	mode    string

	ended atomic.Uint32 // errno that ended the port; 0 while it works

	mu       sync.Mutex // over what follows, and over the sockets being open
	closed   bool
	device   *device
	redirect *redirect
	link     link.Link
	mtu      int // as last seen
	zeroCopy bool
}

// closedHere is the errno of a port that Close has ended, which is no fault.
const closedHere = unix.ESHUTDOWN

// Counters say what has passed a port, in frames.
type Counters struct {
	Received  uint64 // given by Rx
	RxRefused uint64 // longer than any buffer of the arena
	RxLost    uint64 // by the kernel, because no buffer was ready or the workers were too slow
	Sent      uint64 // the kernel or the device has them
	TxRefused uint64 // taken by Tx, but can't be sent: too short, too long, or contradicting themselves
	TxLost    uint64 // by the kernel, because the link had no carrier
}

// FD returns the descriptor that becomes readable when queue q has frames, or
// -1 if there is none (any more).
func (p *Port) FD(q int) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return -1
	}
	return p.queues[q].fd
}

// Caps asks the kernel for link state and MTU.
func (p *Port) Caps() dataplane.Caps {
	p.mu.Lock()
	defer p.mu.Unlock()
	caps := dataplane.Caps{Queues: len(p.queues), CsumPartial: p.csum}
	if !p.closed {
		p.look()
		if p.ended.Load() == 0 {
			up, mtu, there := p.device.state()
			if there {
				caps.Up, p.mtu = up, mtu
			} else {
				p.end(unix.ENODEV)
			}
		}
	}
	caps.MTU = p.mtu
	return caps
}

// Err returns what has ended the port, or nil while it works and after Close.
func (p *Port) Err() error {
	p.mu.Lock()
	if !p.closed {
		p.look()
	}
	p.mu.Unlock()
	switch errno := unix.Errno(p.ended.Load()); errno {
	case 0, closedHere:
		return nil
	case unix.ENXIO, unix.ENODEV, unix.ENETDOWN, unix.EBADF:
		return fmt.Errorf("afxdp %s: the device was removed, or moved to another network namespace: %w", p.name, errno)
	default:
		return fmt.Errorf("afxdp %s: %w", p.name, errno)
	}
}

// look finds out whether the device is still there. p.mu must be held.
func (p *Port) look() {
	if p.ended.Load() == 0 {
		p.ask(p.queues[0].fd)
	}
}

// ask ends the port if the kernel has left an error with the socket: it leaves
// ENETDOWN when the device is removed (net/xdp/xsk.c, xsk_notifier), and
// nothing else ever.
func (p *Port) ask(fd int) {
	if errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		p.end(unix.Errno(errno))
	}
}

// end stops the port for good; the first reason stays.
func (p *Port) end(errno unix.Errno) { p.ended.CompareAndSwap(0, uint32(errno)) }

// Name returns the name that the device was opened by.
func (p *Port) Name() string { return p.name }

// Mode says what was obtained, for the status.
func (p *Port) Mode() string { return p.mode }

// describe makes Mode's line of what the kernel has granted.
func (p *Port) describe(generic bool) string {
	words := []string{"native", "copy", "need_wakeup"}
	if generic {
		words[0] = "generic"
	}
	if p.zeroCopy {
		words[1] = "zero-copy"
	}
	if p.csum {
		words = append(words, "tx checksum")
	}
	if p.queues[0].kind.multiBuffer {
		words = append(words, "multi-buffer")
	}
	if p.redirect.tags {
		words = append(words, "vlan tags")
	}
	unit := "queues"
	if len(p.queues) == 1 {
		unit = "queue"
	}
	words = append(words, fmt.Sprintf("%d %s", len(p.queues), unit), p.device.shield.String())
	if p.device.keepTags {
		words = append(words, "rxvlan off (stays if the process is killed)")
	}
	return strings.Join(words, ", ")
}

// Counters returns the counts over all queues; workers may run meanwhile.
func (p *Port) Counters() (c Counters) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.queues {
		c.Received += atomic.LoadUint64(&s.received)
		c.RxRefused += atomic.LoadUint64(&s.rxRefused)
		c.Sent += s.sent.Load()
		c.TxRefused += s.txRefused.Load()
		c.TxLost += s.txLost.Load()
		if !p.closed {
			s.seen, _ = s.statistics() // no error is possible on an open socket
		}
		c.RxLost += s.seen.Rx_dropped + s.seen.Rx_ring_full
		c.TxRefused += s.seen.Tx_invalid_descs
	}
	c.Sent -= min(c.Sent, c.TxLost)
	return c
}

// Close takes the program off the device and returns every buffer to the arena.
// No worker may use the port any more: see dataplane.Engine.Synchronize. A
// second Close does nothing.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	p.end(closedHere)
	var errs []error
	if p.link != nil {
		errs = append(errs, netdev.CloseLink(p.link))
	}
	for _, s := range p.queues {
		s.seen, _ = s.statistics()
		errs = append(errs, p.umem.close(s.socket))
	}
	if p.redirect != nil {
		errs = append(errs, p.redirect.Close())
	}
	if p.zeroCopy {
		// The driver is told to stop by a work queue of the kernel; until
		// then the device may write into buffers that it was given. Nothing
		// says when that is over.
		time.Sleep(zeroCopyGrace)
	}
	cache := p.arena.NewCache()
	for _, s := range p.queues {
		free := func(i uint32) { cache.Free(packet.Index(i)) }
		s.receiving.drain(free)
		s.sending.drain(free)
	}
	cache.Flush()
	if p.device != nil {
		errs = append(errs, p.device.restore())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close afxdp %s: %w", p.name, err)
	}
	return nil
}

// zeroCopyGrace is many times what the kernel's work takes.
const zeroCopyGrace = 200 * time.Millisecond
