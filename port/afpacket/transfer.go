package afpacket

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

// Rx receives frames until there are none. VLAN tags that the kernel has put
// aside are back in the frames. Super-frames come whole, but for those of tunnels,
// which are cut.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return 0
	}
	s := &p.queues[q]
	k := s.hint.For(p.kits, c)
	m := k.Messages()
	n := s.give(bufs)
	// So many turns are enough for all buffers, one at a time, and end if frames
	// or errors are all that come.
	for range len(bufs) + 2 {
		if n == len(bufs) {
			break
		}
		room := len(bufs) - n
		if s.oneByOne > 0 {
			s.oneByOne--
			room = 1
		}
		want := k.Arm(room, n > 0)
		if want == 0 {
			break // no buffers: the frames stay in the socket
		}
		got, errno := messages(unix.SYS_RECVMMSG, s.fd, m.In[:want])
		if errno != 0 {
			if p.goOn(s, errno) {
				continue
			}
			break
		}
		n += s.take(k, m, got, bufs[n:])
		if got < want {
			break
		}
	}
	relaxed.Add(&s.received, uint64(n))
	return n
}

// goOn says whether receiving may find a frame after an error.
func (p *Port) goOn(s *queue, errno unix.Errno) bool {
	switch errno {
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
		return false
	case unix.ENETDOWN:
		// Said once, when the device goes down or away; what was received before
		// is still there.
		return !p.gone()
	case unix.EINVAL:
		// A super-frame of a kind that the header can't describe is lost. If others
		// came before it in the same call, this is said in the next.
		s.lost.Add(1)
		return true
	default:
		// What this driver does not know ends the port: the descriptor may stay
		// readable, and a worker that tries for ever would never sleep.
		p.end(errno)
		return false
	}
}

// take makes frames of the first n messages and returns how many.
func (s *queue) take(k *vnet.Kit, m *vnet.Messages, n int, bufs []packet.Index) (taken int) {
	a := k.Arena()
	refused := 0
	for i := range n {
		msg := &m.In[i]
		tags := parseAux(&m.Control[i], uint64(msg.Header.Controllen))
		msg.Header.SetControllen(vnet.ControlSize)
		size := int(msg.Size) - vnet.Size
		b := packet.Index(0)
		if size >= packet.EthernetSize {
			b = k.Take(i, size)
		}
		if b == 0 {
			refused++
			continue
		}
		if k.Header(i).Decode(a.Meta(b), a.Frame(b)) {
			if tags.present {
				retag(a, b, tags)
			}
			bufs[taken] = b
			taken++
			continue
		}
		if !s.cut(k, b, tags) {
			k.Free(b)
			refused++
			continue
		}
		taken += s.give(bufs[taken : len(bufs)-(n-1-i)]) // the rest is for those that follow
	}
	if refused > 0 {
		relaxed.Add(&s.refused, uint64(refused))
	}
	return taken
}

// cut makes frames of a frame that Decode has refused, if it is a tunnel's
// super-frame. They are given on as there is room.
func (s *queue) cut(k *vnet.Kit, b packet.Index, t tag) bool {
	a := k.Arena()
	if a.Meta(b).GSOType == packet.GSONone {
		return false
	}
	s.oneByOne = patient
	n := k.CutTunnel(b, s.segments[s.last:])
	if t.present {
		for _, segment := range s.segments[s.last : s.last+n] {
			retag(a, segment, t)
		}
	}
	s.last += n
	return n > 0
}

// give gives on what cut has made, and returns how many.
func (s *queue) give(bufs []packet.Index) int {
	n := copy(bufs, s.segments[s.first:s.last])
	if s.first += n; s.first == s.last {
		s.first, s.last = 0, 0
	}
	return n
}

// patient is for how many frames a queue receives one by one after a tunnel's
// super-frame, so that its segments don't come behind what was sent after them.
const patient = 4096

// tag is an outer VLAN tag that the kernel has taken out of a frame.
type tag struct {
	present   bool
	tci, tpid uint16
}

// parseAux reads the one control message that is asked for, a struct
// tpacket_auxdata (linux/if_packet.h):
//
//	0       8      12    16         20   24       28   30   32   34
//	length  level  type  tp_status  len  snaplen  mac  net  tci  tpid
func parseAux(control *[vnet.ControlSize]byte, size uint64) (t tag) {
	const (
		header = unix.SizeofCmsghdr
		end    = header + 20
	)
	ne := binary.NativeEndian
	if size < end || ne.Uint32(control[header-8:]) != unix.SOL_PACKET || ne.Uint32(control[header-4:]) != unix.PACKET_AUXDATA {
		return t
	}
	status := ne.Uint32(control[header:])
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return t
	}
	t = tag{true, ne.Uint16(control[header+16:]), packet.EtherTypeVLAN}
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		t.tpid = ne.Uint16(control[header+18:])
	}
	return t
}

// retag puts the tag back before the EtherType; the headroom has room for it.
// Checksum offsets follow.
func retag(a *packet.Arena, b packet.Index, t tag) {
	a.Prepend(b, packet.VLANSize)
	f := a.Frame(b)
	copy(f[:2*macSize], f[packet.VLANSize:])
	binary.BigEndian.PutUint16(f[2*macSize:], t.tpid)
	binary.BigEndian.PutUint16(f[2*macSize+2:], t.tci)
}

const macSize = 6

// Tx sends frames in order, up to the first for which the kernel has no memory
// or no room, and none while the device is down. A queue number beyond the device's
// shares its queues. Frames that the kernel would not take at any time, or drops by
// themselves, are freed and counted, so that they don't hold up the others.
func (p *Port) Tx(q int, c *packet.Cache, bufs []packet.Index) int {
	if p.ended.Load() != 0 {
		return 0
	}
	s := &p.queues[uint(q)%uint(len(p.queues))]
	k := p.sending[uint(q)%hints].For(p.kits, c)
	m := k.Messages()
	n, refused := 0, 0
	for n < len(bufs) {
		some := bufs[n:min(n+vnet.Slots, len(bufs))]
		for i, b := range some {
			k.Gather(i, b, true)
		}
		taken, bad := p.send(s, m.Out[:len(some)])
		n += taken
		refused += bad
		if taken < len(some) {
			break
		}
	}
	s.sent.Add(uint64(n - refused))
	if refused > 0 {
		s.txErrors.Add(uint64(refused))
	}
	c.FreeN(bufs[:n])
	return n
}

// send hands messages to the kernel and returns how many are done with, and how
// many of those it has refused.
func (p *Port) send(s *queue, m []vnet.Message) (done, refused int) {
	var pending unix.Errno // of the first attempt at message done
	dropped := 0           // messages in a row, up to done, that the kernel has dropped
	for done < len(m) {
		got, errno := messages(unix.SYS_SENDMMSG, s.fd, m[done:])
		if errno == 0 {
			if pending == unix.EINVAL {
				s.lost.Add(1) // it was of a frame received, as in goOn
			}
			done, pending, dropped = done+got, 0, 0
			continue
		}
		switch errno {
		case unix.EAGAIN, unix.EINTR, unix.ENOMEM:
			return done, refused
		case unix.ENOBUFS:
			// The frame was dropped behind the socket, and is no more
			// (net_xmit_errno): by a veth because it is longer than its peer's MTU,
			// which concerns this frame alone, or because a queue is full, which
			// concerns the next as well. The kernel's own shortage of memory says the same.
			if dropped++; dropped == full {
				return done - (full - 1), refused - (full - 1)
			}
			done, refused, pending = done+1, refused+1, 0
			continue
		case unix.ENXIO, unix.ENODEV, unix.EBADF:
			p.end(unix.ENODEV)
			return done, refused
		}
		// An error may be one that receiving has left on the socket: only the
		// second in a row is this frame's.
		if pending == 0 {
			pending = errno
			continue
		}
		if errno == unix.ENETDOWN {
			p.gone()
			return done, refused
		}
		done, refused, pending, dropped = done+1, refused+1, 0, 0
	}
	return done, refused
}

// full is how many frames dropped in a row say that there is no room.
const full = 8

// messages calls recvmmsg or sendmmsg, which do not wait.
func messages(call uintptr, fd int, m []vnet.Message) (n int, errno unix.Errno) {
	r, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

// gone finds out whether the device is gone, and ends the port then.
func (p *Port) gone() bool {
	if index, err := deviceOf(p.queues[0].fd); err == nil && index >= 0 {
		return false
	}
	p.end(unix.ENODEV)
	return true
}

// end stops the port for good; the first reason stays.
func (p *Port) end(errno unix.Errno) { p.ended.CompareAndSwap(0, uint32(errno)) }

func (c *Counters) add(s *queue) {
	c.Received += atomic.LoadUint64(&s.received)
	c.RxRefused += atomic.LoadUint64(&s.refused) + s.lost.Load()
	c.Sent += s.sent.Load()
	c.TxErrors += s.txErrors.Load()
}
