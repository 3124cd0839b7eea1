package afxdp

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

const (
	// txHeadroom is where a copied frame starts in its buffer: after room for
	// the metadata, at a cache line.
	txHeadroom = 64

	// maxPieces is how many buffers a frame may be in: the kernel makes one
	// the head of a packet and MAX_SKB_FRAGS (17) its fragments (net/xdp/xsk.c).
	maxPieces = 18

	// kernelBatch is how many frames a system call sends (TX_BATCH_SIZE).
	kernelBatch = 32
)

// txMetadata is struct xsk_tx_metadata (linux/if_xdp.h).
type txMetadata struct {
	flags      uint64
	csumStart  uint16 // where summing starts, from the start of the frame
	csumOffset uint16 // where the sum goes, from csumStart
	_          [4]byte
	_          uint64 // launch time: not asked for
}

var _ = [1]struct{}{}[unsafe.Sizeof(txMetadata{})-metadataSize]

// Tx gives the frames to the kernel in the buffers that they are in, up to as many
// as are on their way at once (Config.Ring); their buffers are freed once they
// are sent, by later calls of Tx and Rx. None is taken while the device is down.
// A queue number beyond the device's shares its queues.
func (p *Port) Tx(q int, c *packet.Cache, bufs []packet.Index) int {
	if p.ended.Load() != 0 || len(bufs) == 0 {
		return 0
	}
	s := p.queues[uint32(q)%p.txs]
	if s.down.Load() && !p.kick(s, 1) {
		return 0
	}
	s.lock.Lock()
	s.reap(c)
	n, queued := p.enqueue(s, c, bufs)
	s.inFlight.Store(s.sending.n)
	s.lock.Unlock()
	if queued > 0 {
		p.kick(s, queued)
	}
	return n
}

// settle frees what was sent meanwhile, and has the kernel go on with what it has
// left lying. It does nothing while another worker sends.
func (p *Port) settle(s *queue, c *packet.Cache) {
	if !s.lock.TryLock() {
		return
	}
	s.reap(c)
	s.inFlight.Store(s.sending.n)
	waiting := s.tx.backlog()
	s.lock.Unlock()
	// While the device is down, it is tried now and then only.
	if waiting > 0 && (!s.down.Load() || s.empty%lookAfter == 0) {
		p.kick(s, waiting)
	}
}

// reap frees the buffers of sent frames. The lock must be held.
func (s *queue) reap(c *packet.Cache) {
	ready := s.completion.ready()
	if ready == 0 {
		return
	}
	a := c.Arena()
	for range ready {
		b := a.BufferAt(*s.completion.addr(s.completion.next))
		s.completion.next++
		if s.sending.remove(uint32(b)) {
			c.Free(b)
		}
	}
	s.completion.publish()
}

// enqueue writes frames to the TX ring until it, or the supply of buffers for
// those that need copying, is at its end. It returns how many were taken, and how
// many descriptors were made of them. Neither TX nor COMPLETION can overflow: no
// more buffers than they have entries are held for sending. The lock must be
// held.
func (p *Port) enqueue(s *queue, c *packet.Cache, bufs []packet.Index) (taken int, queued uint32) {
	a := c.Arena()
	before, refused := s.tx.next, 0
	room := s.tx.size() - s.sending.n
	for _, b := range bufs {
		if room == 0 {
			break
		}
		m := a.Meta(b)
		if m.Len < packet.EthernetSize || m.CsumPartial && !p.finishable(a, b, m) {
			c.Free(b)
			refused++
			taken++
			continue
		}
		if a.IsSuper(b) || m.Off-a.BufferOffset(b) < metadataSize {
			used, gone := s.enqueueCopy(c, b, room)
			if !gone {
				break
			}
			if used == 0 {
				refused++
			}
			room -= used
			taken++
			continue
		}
		s.put(a, b, 0)
		room--
		taken++
	}
	if queued = s.tx.next - before; queued > 0 {
		s.tx.publish()
		s.sent.Add(uint64(taken - refused))
	}
	if refused > 0 {
		s.txRefused.Add(uint64(refused))
	}
	return taken, queued
}

// finishable makes sure that what is sent with a partial checksum can be
// finished: by the kernel, which would stop at a frame that contradicts itself,
// or here.
func (p *Port) finishable(a *packet.Arena, b packet.Index, m *packet.Meta) bool {
	if p.csum {
		return uint32(m.CsumStart)+uint32(m.CsumOffset)+2 <= m.Len
	}
	return packet.CompleteIfPartial(a.Frame(b), m)
}

// put writes one descriptor for the frame in buffer b.
func (s *queue) put(a *packet.Arena, b packet.Index, options uint32) {
	m := a.Meta(b)
	if m.CsumPartial {
		*(*txMetadata)(unsafe.Add(s.base, m.Off-metadataSize)) = txMetadata{
			flags: unix.XDP_TXMD_FLAGS_CHECKSUM, csumStart: m.CsumStart, csumOffset: m.CsumOffset,
		}
		options |= unix.XDP_TX_METADATA
	}
	s.sending.add(uint32(b))
	*s.tx.desc(s.tx.next) = unix.XDPDesc{Addr: uint64(m.Off), Len: m.Len, Options: options}
	s.tx.next++
}

// enqueueCopy sends a frame that can't be sent from where it is (in a super-frame
// buffer, which is no part of the UMEM, or without room for metadata) from as
// many ordinary buffers as it takes. gone says that it was freed: else there is
// no room or no buffer now. used is 0 if it can't be sent at all.
func (s *queue) enqueueCopy(c *packet.Cache, b packet.Index, room uint32) (used uint32, gone bool) {
	a := c.Arena()
	frame, meta := a.Frame(b), *a.Meta(b)
	size := a.Config().BufferSize - txHeadroom
	pieces := (len(frame) + size - 1) / size
	sumEnd := 0
	if meta.CsumPartial {
		sumEnd = int(meta.CsumStart) + int(meta.CsumOffset) + 2 // has to be in the first piece
	}
	if pieces > maxPieces || pieces > 1 && !s.kind.multiBuffer || sumEnd > min(size, len(frame)) {
		c.Free(b)
		return 0, true
	}
	var into [maxPieces]packet.Index
	if uint32(pieces) > room {
		return 0, false
	}
	if got := c.AllocN(into[:pieces]); got < pieces {
		c.FreeN(into[:got])
		return 0, false
	}
	for k, piece := range into[:pieces] {
		m := a.Meta(piece)
		m.Off = a.BufferOffset(piece) + txHeadroom
		m.Len = uint32(min(size, len(frame)))
		frame = frame[copy(a.Frame(piece), frame):]
		if k == 0 {
			m.CsumPartial, m.CsumStart, m.CsumOffset = meta.CsumPartial, meta.CsumStart, meta.CsumOffset
		}
		options := uint32(unix.XDP_PKT_CONTD)
		if k == pieces-1 {
			options = 0
		}
		s.put(a, piece, options)
	}
	c.Free(b)
	return uint32(pieces), true
}

// kick has the kernel send what is in the TX ring, of which n descriptors are
// new. It returns false while the device is down, or gone. Frames that it has left
// (the device is busy) stay in the ring for the next kick. Workers may kick one
// socket at the same time; the kernel takes them in turn.
func (p *Port) kick(s *queue, n uint32) bool {
	if !s.tx.needWakeup() {
		return true // the driver is at it
	}
	// Two more than are needed if all goes well.
	for range n/kernelBatch + 3 {
		// It does not wait. A call by way of Go's scheduler would lose the
		// thread's place to others while frames are sent, for 20 us and more.
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			s.down.Store(false)
			return true
		case unix.EAGAIN: // 32 were sent, or the device is busy
		case unix.EBUSY: // one was lost: the link has no carrier
			s.txLost.Add(1)
		case unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
			return true
		case unix.ENETDOWN:
			s.down.Store(true)
			return false
		default:
			p.end(errno)
			return false
		}
	}
	return true
}
