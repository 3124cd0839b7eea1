// Package tap makes a port of a TAP device: whatever the kernel sends to the
// interface is received, and the kernel receives what is sent. With offloads
// frames come with a virtio_net_hdr (port/internal/vnet): a checksum may be left
// to whoever receives them, and one super-frame stands for up to 64 KiB of TCP
// or UDP. Without, frames are plain, and songgao/water opens the device, which knows no
// such header.
//
// Each frame is a readv or a write. io_uring, a ring for each worker and one
// io_uring_enter for up to 16 reads (RWF_NOWAIT) or writes, saves system calls but
// no time, and is not used. Approximate ns of the worker's CPU for each frame, medians:
//
//	                      60 B   1514 B   60,000 B
//	write                  310      325       2000
//	io_uring, 16           305      330       2000
//	readv, 1 waiting       735      760       2270   with the readv that finds no more
//	io_uring, 1           1130     1115       2750
//	readv, 32 waiting      305      320       4500   (each copied from memory, not from the cache)
//	io_uring, 32           395      415       4700
//
// Many reads under way all the time, which need 64 super-frame buffers for each port,
// had been 25 % faster than read and write for one TCP stream, at twice the time of
// a ping. Between two kernels through an engine with one worker, a TCP stream
// gets 0.75 to 0.85 of what a bridge passes.
package tap

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
)

// Port is an open TAP device. Each receive queue is polled by one worker at a
// time; all else is for everybody.
//
//	kernel's stack ── interface ──┬─ queue 0 ── Rx(0)    the kernel chooses the queue by flow,
//	                              ├─ queue 1 ── Rx(1)    as it has seen the flow's replies sent
//	                              └─ ...
//
// A device that is removed while in use ends the port: it neither receives nor
// sends, is down, and Err says why. It does not come back; open another.
type Port struct {
	name       string
	index      int    // of the interface, when it was opened
	headerSize int    // bytes of virtio_net_hdr before each frame: vnet.Size or 0
	offers     string // offloads that the kernel has accepted, as Mode says it
	queues     []queue
	ctl        int // socket in the device's namespace, for what is asked by name

	ended  atomic.Uint32 // errno that ended the port; 0 while it works
	mtu    atomic.Int32  // as last seen
	closed atomic.Bool

	linksMu    sync.Mutex
	links      *netlink.Handle // in the device's namespace; nil once closed
	lostBefore uint64          // kernel's count when the device was opened
	lost       uint64          // since then, as last seen
}

// closedHere is the errno of a port that Close has ended, which is no fault.
const closedHere = unix.ESHUTDOWN

// Counters say what has passed a port since it was opened, in frames.
type Counters struct {
	Received  uint64 // given by Rx
	RxRefused uint64 // longer than any buffer of the arena, or contradicting their virtio header
	RxLost    uint64 // dropped by the kernel, for which Rx came too seldom (tx_dropped of the interface)
	Sent      uint64 // the kernel has them
	TxErrors  uint64 // taken by Tx, but the kernel would not have them: shorter than an Ethernet header, or contradicting themselves
}

// end stops the port for good; the first reason stays.
func (p *Port) end(errno unix.Errno) { p.ended.CompareAndSwap(0, uint32(errno)) }

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
	caps := dataplane.Caps{
		Queues: len(p.queues), RxSyscall: true,
		CsumPartial: p.headerSize != 0, GSO: p.headerSize != 0,
	}
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

// Mode says what was obtained: "vnet_hdr: csum, TSO, USO; 2 queues".
func (p *Port) Mode() string {
	mode := "plain, no offloads"
	if p.headerSize != 0 {
		mode = "vnet_hdr: " + p.offers
	}
	if len(p.queues) == 1 {
		return mode + "; 1 queue"
	}
	return fmt.Sprintf("%s; %d queues", mode, len(p.queues))
}

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

// Counters returns the counts over all queues; workers may run meanwhile. It
// asks the kernel for RxLost, which stays what it was once the device is gone.
func (p *Port) Counters() (c Counters) {
	for i := range p.queues {
		s := &p.queues[i]
		c.Received += atomic.LoadUint64(&s.received)
		c.RxRefused += atomic.LoadUint64(&s.refused)
		c.Sent += s.sent.Load()
		c.TxErrors += s.txErrors.Load()
	}
	c.RxLost = p.askLost()
	return c
}

func (p *Port) askLost() uint64 {
	p.linksMu.Lock()
	defer p.linksMu.Unlock()
	if p.links == nil {
		return p.lost
	}
	// A count that is lower is another device's, which has the index now.
	if link, err := p.links.LinkByIndex(p.index); err == nil && kernelDrops(link) >= p.lostBefore+p.lost {
		p.lost = kernelDrops(link) - p.lostBefore
	}
	return p.lost
}

// kernelDrops are the frames that found a queue full, or nobody who reads it.
func kernelDrops(link netlink.Link) uint64 {
	if s := link.Attrs().Statistics; s != nil {
		return s.TxDropped
	}
	return 0
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
	if p.ctl >= 0 {
		errs = append(errs, unix.Close(p.ctl))
	}
	p.linksMu.Lock()
	if p.links != nil {
		p.links.Close()
		p.links = nil
	}
	p.linksMu.Unlock()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close tap %s: %w", p.name, err)
	}
	return nil
}
