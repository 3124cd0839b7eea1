package tap

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

// Rx reads frames until there are none. How long one is shows only once it is
// read, so three pieces of memory await it, of which most frames need the first:
//
//	| header | ordinary buffer | super-frame buffer | spill |
//	  ^ in the headroom          ^ not from its start: the part that is in the
//	                               ordinary one is copied there, and nothing else
//
// If all super-frame buffers are in use the spill takes the place of one: a long
// frame waits there for a buffer, with all behind it. It is refused and counted if the
// arena has none as long, or if its header contradicts it.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if uint(q) >= uint(len(p.queues)) || p.ended.Load() != 0 {
		return 0
	}
	s, a, n := &p.queues[q], c.Arena(), 0
	longest, refused := a.LongestFrame(), 0
	var small, super packet.Index // armed
	// A turn for each buffer also bounds how many frames can be refused at once.
	for range bufs {
		var b packet.Index
		var header *vnet.Header
		if s.held != 0 {
			if b = s.release(c); b == 0 {
				break
			}
			header = &s.header
		} else {
			if small == 0 {
				if small = c.Alloc(); small == 0 {
					break
				}
			}
			room := a.Room(small)
			if super == 0 && longest > len(room) {
				super = c.AllocSuper()
			}
			size, errno := s.read(a, small, super, p.headerSize)
			if errno != 0 {
				p.readFailed(errno)
				break
			}
			header = (*vnet.Header)(unsafe.Add(a.Data(small), -vnet.Size))
			switch {
			case size <= len(room):
				b, small = small, 0
			case size > longest:
				refused++
				continue
			case super != 0:
				copy(a.Room(super), room)
				b, super = super, 0
			default:
				copy(s.spill, room)
				s.held, s.header = size, *header
				continue
			}
			a.Meta(b).Len = uint32(size)
		}
		if p.headerSize != 0 && !header.Decode(a.Meta(b), a.Frame(b)) {
			refused++
			c.Free(b)
			continue
		}
		bufs[n] = b
		n++
	}
	c.Free(small)
	c.Free(super)
	relaxed.Add(&s.received, uint64(n))
	if refused > 0 {
		relaxed.Add(&s.refused, uint64(refused))
	}
	return n
}

// read reads a frame and returns its length in bytes, without the header that
// comes before it.
func (s *queue) read(a *packet.Arena, small, super packet.Index, headerSize int) (size int, err unix.Errno) {
	room := a.Capacity(small)
	s.iov[0].Base = (*byte)(unsafe.Add(a.Data(small), -headerSize))
	s.iov[0].SetLen(headerSize + room)
	rest, last := s.spill[room:], 1
	if super != 0 {
		s.iov[1].Base = (*byte)(unsafe.Add(a.Data(super), room))
		s.iov[1].SetLen(a.Capacity(super) - room)
		last = 2
	}
	s.iov[last].Base = unsafe.SliceData(rest)
	s.iov[last].SetLen(len(rest))
	// It returns at once, so that the scheduler need not know; told, it may give
	// the worker's place to another goroutine while the kernel copies.
	n, _, errno := unix.RawSyscall(unix.SYS_READV, uintptr(s.fd), uintptr(unsafe.Pointer(&s.iov)), uintptr(last+1))
	return int(n) - headerSize, errno
}

// release gives the frame in the spill a buffer, or returns 0 if there is none.
func (s *queue) release(c *packet.Cache) packet.Index {
	b := c.AllocFor(s.held)
	if b != 0 {
		a := c.Arena()
		a.Meta(b).Len = uint32(s.held)
		copy(a.Frame(b), s.spill)
		s.held = 0
	}
	return b
}

// readFailed ends the port unless reading later may do better. What this driver
// does not know ends it too: the descriptor may stay readable, and a worker
// that tries for ever would never sleep.
func (p *Port) readFailed(err unix.Errno) {
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
		written, errno := s.write(a, b, p.headerSize)
		if errno != 0 && !p.frameAtFault(errno) {
			break
		}
		// Of an empty frame nothing may be written, without an error.
		if errno != 0 || written == 0 {
			refused++
		}
		n++
	}
	s.sent.Add(uint64(n - refused))
	if refused > 0 {
		s.txErrors.Add(uint64(refused))
	}
	c.FreeN(bufs[:n])
	return n
}

// write writes a frame, with its header before it in the headroom where there
// is room: that takes 8 % less than a writev of the two, 25 ns a frame.
func (s *queue) write(a *packet.Arena, b packet.Index, headerSize int) (written int, err unix.Errno) {
	m := a.Meta(b)
	if int(m.Off-a.BufferOffset(b)) < headerSize {
		var header vnet.Header
		header.Encode(m)
		iov := [2]unix.Iovec{{Base: &header[0]}, {Base: (*byte)(a.Data(b))}}
		iov[0].SetLen(headerSize)
		iov[1].SetLen(int(m.Len))
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(s.fd), uintptr(unsafe.Pointer(&iov)), uintptr(len(iov)))
		return int(n), errno
	}
	start := unsafe.Add(a.Data(b), -headerSize)
	if headerSize != 0 {
		(*vnet.Header)(start).Encode(m)
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(s.fd), uintptr(start), uintptr(headerSize)+uintptr(m.Len))
	return int(n), errno
}

// frameAtFault reports whether a write has failed for the frame's own sake, so
// that the next one may pass.
func (p *Port) frameAtFault(err unix.Errno) bool {
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
