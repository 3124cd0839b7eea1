package afxdp

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
)

// queue is a socket in use. What stands before the lock belongs to the worker that
// polls the queue.
type queue struct {
	*socket
	base unsafe.Pointer // of the arena

	receiving holdings // buffers in FILL, in RX, and in between
	level     uint32   // how many buffers are kept for reception
	empty     uint32   // calls of Rx in a row that found nothing

	received, rxRefused uint64 // written by relaxed.Add

	_ [64]byte // other workers write what follows

	// lock is taken once for a batch, and not while the kernel sends: several
	// workers may send by one queue, since a device can have fewer queues than
	// there are workers. Without contention it costs about 10 ns.
	lock    sync.Mutex
	sending holdings // buffers in TX, in COMPLETION, and in between

	inFlight atomic.Uint32 // buffers in sending, for whoever does not hold the lock
	down     atomic.Bool   // the kernel has said that the device is down

	sent, txRefused, txLost atomic.Uint64

	seen unix.XDPStatistics // as last asked for; guarded by Port.mu
}

// refillBatch is how many buffers go to FILL at once.
const refillBatch = 64

// lookAfter is how many empty calls of Rx pass before the kernel is asked
// whether the device is still there: a call of 0.2 us every 64 turns.
const lookAfter = 64

// Rx takes frames from the RX ring: the buffers that they are in, without a
// copy, or a super-frame buffer for one that is in several. That one waits, with all
// behind it, while those are in use, and is refused and counted if it is longer.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return 0
	}
	s := p.queues[q]
	n := s.receive(c, bufs)
	if n > 0 {
		s.empty = 0
		relaxed.Add(&s.received, uint64(n))
		if p.suspect {
			a := c.Arena()
			for _, b := range bufs[:n] {
				markPartial(a.Frame(b), a.Meta(b))
			}
		}
	} else if s.empty++; s.empty%lookAfter == 0 {
		p.ask(s.fd)
	}
	s.refill(c)
	if s.inFlight.Load() != 0 {
		p.settle(s, c)
	}
	return n
}

// receive takes up to len(bufs) frames.
func (s *queue) receive(c *packet.Cache, bufs []packet.Index) (n int) {
	ready := s.rx.ready()
	if ready == 0 {
		return 0
	}
	a := c.Arena()
	start := s.rx.next
	for ready > 0 && n < len(bufs) {
		d := s.rx.desc(s.rx.next)
		if d.Options&unix.XDP_PKT_CONTD != 0 {
			b, used := s.gather(c, ready)
			if used == 0 {
				break
			}
			s.rx.next += used
			ready -= used
			if b != 0 {
				bufs[n] = b
				n++
			}
			continue
		}
		b := a.BufferAt(d.Addr)
		s.rx.next++
		ready--
		if !s.receiving.remove(uint32(b)) {
			continue
		}
		*a.Meta(b) = packet.Meta{Off: uint32(d.Addr), Len: d.Len}
		bufs[n] = b
		n++
	}
	if s.rx.next != start {
		s.rx.publish()
	}
	return n
}

// gather copies a frame that is in several buffers, of which ready descriptors
// may be looked at, into one. used is how many descriptors it took: 0 if
// the rest of it or a buffer is still missing. b is 0 if no buffer is as long.
func (s *queue) gather(c *packet.Cache, ready uint32) (b packet.Index, used uint32) {
	a, size := c.Arena(), 0
	for last := false; !last; used++ {
		if used == ready {
			return 0, 0
		}
		d := s.rx.desc(s.rx.next + used)
		size += int(d.Len)
		last = d.Options&unix.XDP_PKT_CONTD == 0
	}
	var room []byte
	if size <= a.LongestFrame() {
		if b = c.AllocFor(size); b == 0 {
			return 0, 0
		}
		room = a.Room(b)
		a.Meta(b).Len = uint32(size)
	} else {
		relaxed.Add(&s.rxRefused, 1)
	}
	for i := range used {
		d := s.rx.desc(s.rx.next + i)
		piece := a.BufferAt(d.Addr)
		if !s.receiving.remove(uint32(piece)) {
			continue
		}
		if b != 0 {
			*a.Meta(piece) = packet.Meta{Off: uint32(d.Addr), Len: d.Len}
			room = room[copy(room, a.Frame(piece)):]
		}
		c.Free(piece)
	}
	return b, used
}

// refill brings FILL back to its level, in batches. It can't overflow: what it
// holds is part of what is held for reception, which is at most the level.
func (s *queue) refill(c *packet.Cache) {
	missing := s.level - s.receiving.n
	wakeup := s.kind.zeroCopy && s.fill.needWakeup()
	if missing >= min(refillBatch, s.level/2) || wakeup && missing > 0 {
		a := c.Arena()
		var batch [refillBatch]packet.Index
		for missing > 0 {
			got := c.AllocN(batch[:min(missing, refillBatch)])
			for _, b := range batch[:got] {
				s.receiving.add(uint32(b))
				*s.fill.addr(s.fill.next) = uint64(a.BufferOffset(b))
				s.fill.next++
			}
			missing -= uint32(got)
			if got < refillBatch {
				break
			}
		}
		s.fill.publish()
	}
	if wakeup {
		// The driver has run out of buffers, and waits to be told of new ones.
		unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0) //nolint:errcheck // what is wrong is found out by look
	}
}
