// Package afpacket makes a port of any Ethernet device by packet sockets
// (packet(7)): the default for a pod's veth. Frames come and go with a
// virtio_net_hdr (PACKET_VNET_HDR), so that one super-frame stands for up to 64 KiB
// of TCP or UDP and checksums are left to whoever needs them.
//
//	pod's namespace          host
//	eth0 ═══ veth ═══ DEV ──┬─ queue 0 ── Rx(0)    PACKET_FANOUT by hash of the flow,
//	                        ├─ queue 1 ── Rx(1)    the same for both directions
//	                        └─ tcx: drop           the host's own stack gets and sends nothing (Config.Exclusive)
//
// Frames are received and sent by vectors (recvmmsg, sendmmsg): over a veth about
// 0.25 µs of CPU to receive and 0.7 µs to send a short frame, 5 µs each for 60 kB;
// a call for each frame makes receiving 0.15 µs dearer. Rings that the
// kernel shares with the program (TPACKET_V2) were measured worse for TCP, 6 to 6.8
// instead of 7.8 to 9.1 Gb/s, as each frame must fit a slot of the ring; for small
// frames they are better, 1.85 instead of 2.45 µs of CPU. Who wants small frames
// takes port/afxdp, at 1 µs.
//
// Of what Open does to the device one thing outlives the process, however it ends:
// it is up (ip link set DEV down). Sockets, promiscuous mode and programs go with the process.
// Before Linux 6.6 a process that is killed leaves more behind, as Mode says:
//
//	tc qdisc delete dev DEV clsact              the filter that keeps the host off
//	sysctl -w net.ipv6.conf.DEV.disable_ipv6=0  the host's IPv6
package afpacket

import (
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/shield"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

// Port is an open device. Each receive queue is polled by one worker at a time;
// all else is for everybody.
//
// A device that goes down and comes up again goes on by itself. One that is
// removed, or moved to another network namespace, ends the port: it neither
// receives nor sends, is down, and Err says why.
type Port struct {
	name    string
	offload bool
	queues  []queue
	arena   *packet.Arena
	kits    *vnet.Kits
	sending [hints]vnet.Hint // by the number that Tx is called with
	mode    string
	shield  *shield.Shield // nil unless Config.Exclusive

	ended   atomic.Uint32 // errno that ended the port; 0 while it works
	closed  atomic.Bool
	mtu     atomic.Int32 // as last seen
	dropped atomic.Uint64
}

// hints is more than most nodes have workers; others share.
const hints = 16

// queue is a packet socket. The counters without atomics belong to the worker
// that polls it.
type queue struct {
	fd   int
	hint vnet.Hint // Kit of that worker

	received, refused uint64 // written by relaxed.Add

	// Segments of tunnels' super-frames that have found no room in a vector, and for
	// how many frames more are to be expected.
	segments    [maxSegments]packet.Index
	first, last int // those that wait
	oneByOne    int

	sent, txErrors, lost atomic.Uint64 // any worker sends

	_ [64]byte // another worker writes the next queue's counters
}

// maxSegments is several super-frames, as many as come before they are received
// one by one.
const maxSegments = 256

// closedHere is the errno of a port that Close has ended, which is no fault.
const closedHere = unix.ESHUTDOWN

// Counters say what has passed a port since it was opened, in frames.
type Counters struct {
	Received uint64 // given by Rx

	// RxRefused are frames that can't be forwarded: longer than any buffer that
	// was free, contradicting their virtio header, or super-frames of a kind that it
	// can't describe, which no device need make (ethtool -K DEV tx-sctp-segmentation off).
	RxRefused uint64
	RxLost    uint64 // dropped by the kernel because the socket's buffer was full: Rx came too seldom
	Sent      uint64 // the kernel has them
	TxErrors  uint64 // taken by Tx, but the kernel would not have them: longer than the MTU of the device or of a veth's other end, or contradicting themselves
}

// Name returns the name that the device was opened by.
func (p *Port) Name() string { return p.name }

// FD returns the descriptor that becomes readable when queue q has frames, or
// -1 if there is none (any more).
func (p *Port) FD(q int) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return -1
	}
	return p.queues[q].fd
}

// Caps asks the kernel for link state and MTU. Up is the operational state: a
// veth is down while its peer is.
func (p *Port) Caps() dataplane.Caps {
	caps := dataplane.Caps{
		Queues: len(p.queues), RxSyscall: true,
		CsumPartial: p.offload, GSO: p.offload,
	}
	if p.ended.Load() == 0 {
		caps.Up = p.ask()
	}
	caps.MTU = int(p.mtu.Load())
	return caps
}

// ask brings the MTU up to date and reports whether frames can pass. The device
// is asked for by its number, as the name may change.
func (p *Port) ask() (up bool) {
	fd := p.queues[0].fd
	index, err := deviceOf(fd)
	if err != nil || index < 0 {
		p.end(unix.ENODEV)
		return false
	}
	var ifr unix.Ifreq
	ifr.SetUint32(uint32(index))
	if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, &ifr) != nil {
		return false
	}
	if unix.IoctlIfreq(fd, unix.SIOCGIFMTU, &ifr) == nil {
		p.mtu.Store(int32(ifr.Uint32()))
	}
	const want = unix.IFF_UP | unix.IFF_RUNNING
	return unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, &ifr) == nil && ifr.Uint16()&want == want
}

// deviceOf returns the number of the device that a packet socket is bound to, -1
// once it is gone (net/packet/af_packet.c, packet_notifier).
func deviceOf(fd int) (index int, err error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	ll, ok := sa.(*unix.SockaddrLinklayer)
	if !ok {
		return 0, unix.EBADF
	}
	return ll.Ifindex, nil
}

// Mode says what was obtained: "packet socket, vnet_hdr, 2 queues, host kept off by tcx".
func (p *Port) Mode() string { return p.mode }

// describe makes Mode, of an open port.
func (p *Port) describe() string {
	parts := []string{"packet socket", "vnet_hdr"}
	if !p.offload {
		parts[1] = "vnet_hdr for receiving only"
	}
	if len(p.queues) == 1 {
		parts = append(parts, "1 queue")
	} else {
		parts = append(parts, fmt.Sprintf("%d queues", len(p.queues)))
	}
	if p.shield != nil {
		parts = append(parts, p.shield.String())
	} else {
		parts = append(parts, "shared with the host")
	}
	return strings.Join(parts, ", ")
}

// Err returns what has ended the port, or nil while it works and after Close.
func (p *Port) Err() error {
	switch errno := unix.Errno(p.ended.Load()); errno {
	case 0, closedHere:
		return nil
	case unix.ENODEV:
		return fmt.Errorf("afpacket %s: the device was removed, or moved to another network namespace: %w", p.name, errno)
	default:
		return fmt.Errorf("afpacket %s: %w", p.name, errno)
	}
}

// Counters returns the counts over all queues; workers may run meanwhile. It
// asks the kernel for RxLost.
func (p *Port) Counters() (c Counters) {
	closed := p.closed.Load()
	for i := range p.queues {
		s := &p.queues[i]
		if !closed {
			// Reading sets the kernel's count back to 0.
			if stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
				p.dropped.Add(uint64(stats.Drops))
			}
		}
		c.add(s)
	}
	c.RxLost += p.dropped.Load()
	return c
}
