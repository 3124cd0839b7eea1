package vnet

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// Slots is how many frames a Kit takes at once: a vector.
const Slots = 64

// Parts is the number of iovecs of a slot to receive with.
const Parts = 3

// Kit is what one worker receives frames of unknown size with, 60 bytes or
// 64 KiB: slots that are armed with buffers. Super-frame buffers are few, and
// nobody knows before which frames need one, so that all ports which a worker
// polls share its Kit: between two calls of Rx no port needs it.
//
//	iovecs of a slot:   0 header      1 ordinary buffer        2 rest of a super-frame buffer
//	                    |<- Size ->|  |<- BufferSize-Headroom ->|<- ... ->|
//
// A frame that ends within the second part is in the ordinary buffer as it
// should be, and the other one stays armed. Of one that is longer the second part is
// copied to where it belongs, in the super-frame buffer before its rest: 1792
// bytes of copying for some 64 KiB. Both begin after packet.Headroom, so that
// there is room for the VLAN tag that the kernel has stripped.
//
// A Kit is its worker's alone, as is the Cache. Descriptors of I/O that is going
// on while Rx is not (io_uring's) need a Kit of their own.
type Kit struct {
	cache  *packet.Cache
	arena  *packet.Arena
	room   int // bytes of a frame that an ordinary buffer takes
	supers int // slots that may have a super-frame buffer; 0: the arena has none to spare

	armed int // slots before it have all they can have
	iovs  [Slots][Parts]unix.Iovec
	slots [Slots]slot

	out    [Slots][2]unix.Iovec
	in     [Slots]Header
	outH   [Slots]Header
	beyond [1]byte // takes the byte that shows that a frame is too long

	outer [maxOuter]byte // headers around a tunnel's super-frame, while that is cut

	messages *Messages // for packet sockets; made when first asked for
}

// maxOuter is more than the headers of a tunnel have, and less than Headroom.
const maxOuter = 192

// slot is the buffers that a slot is armed with.
type slot struct {
	plain packet.Index // 0: not armed
	super packet.Index // 0: none, or none was free
}

// NewKit makes the Kit of c's worker. Nothing is armed.
func NewKit(c *packet.Cache) *Kit {
	a := c.Arena()
	cfg := a.Config()
	k := &Kit{cache: c, arena: a, room: cfg.BufferSize - packet.Headroom}
	if cfg.Supers > 0 && cfg.SuperSize-packet.Headroom > k.room+1 {
		// An eighth, as many as a Cache keeps: the frames that are under way need them too.
		k.supers = min(max(cfg.Supers/8, 1), Slots)
	}
	for i := range Slots {
		k.iovs[i][0].Base = &k.in[i][0]
		k.iovs[i][0].SetLen(Size)
		k.out[i][0].Base = &k.outH[i][0]
		k.out[i][0].SetLen(Size)
	}
	return k
}

// Arm makes slots ready for n frames, at most Slots, and returns for how many:
// fewer where buffers lack, or where no more of them can take super-frames.
// Slots that were used are armed anew, with the same addresses of their iovecs.
//
// While no super-frame buffer at all is free, the slots take ordinary frames
// only, and longer ones are lost; among the short may be those that set others free. Unless
// the caller holds frames already: to give these on comes first, and the device
// can wait, so that Arm returns 0.
func (k *Kit) Arm(n int, holding bool) int {
	if n <= k.armed {
		return n
	}
	n = min(n, Slots)
	if k.supers > 0 {
		n = min(n, k.supers)
	}
	for i := k.armed; i < n; i++ {
		s := &k.slots[i]
		if s.plain == 0 && !k.armPlain(i) {
			return i
		}
		if s.super == 0 && k.supers > 0 && !k.armSuper(i) {
			if i > 0 || holding {
				return i
			}
			return k.armPlainOnly(n)
		}
		k.armed = i + 1
	}
	return n
}

// armPlainOnly arms slots for ordinary frames, in the hope for better times.
func (k *Kit) armPlainOnly(n int) int {
	for i := range n {
		if k.slots[i].plain == 0 && !k.armPlain(i) {
			return i
		}
	}
	return n
}

func (k *Kit) armPlain(i int) bool {
	b := k.cache.Alloc()
	if b == 0 {
		return false
	}
	k.slots[i].plain = b
	k.iovs[i][1].Base = (*byte)(k.arena.Data(b))
	k.iovs[i][1].SetLen(k.room)
	if k.slots[i].super == 0 {
		k.endPlain(i)
	}
	return true
}

func (k *Kit) armSuper(i int) bool {
	b := k.cache.AllocSuper()
	if b == 0 {
		return false
	}
	k.slots[i].super = b
	k.iovs[i][2].Base = (*byte)(unsafe.Add(k.arena.Data(b), k.room))
	k.iovs[i][2].SetLen(k.arena.Capacity(b) - k.room)
	return true
}

// endPlain lets slot i end with the ordinary buffer and one byte more.
func (k *Kit) endPlain(i int) {
	k.iovs[i][2].Base = &k.beyond[0]
	k.iovs[i][2].SetLen(1)
}

// Vector returns the iovecs of slot i, which has been armed: Parts of them for a
// device with a header before each frame, one less for others. They stay where they are.
func (k *Kit) Vector(i int, header bool) []unix.Iovec {
	if header {
		return k.iovs[i][:]
	}
	return k.iovs[i][1:]
}

// Arena returns the arena of the Kit's buffers.
func (k *Kit) Arena() *packet.Arena { return k.arena }

// Free gives buffer b, which Take has given, to the Kit's Cache.
func (k *Kit) Free(b packet.Index) { k.cache.Free(b) }

// Header returns the header that was received into slot i.
func (k *Kit) Header(i int) *Header { return &k.in[i] }

// Take gives the frame of size bytes, without the header, that was received
// into armed slot i to the caller, who decodes the header. It is 0 for one that was longer
// than the slot took, which the device has cut; the slot is still armed then.
func (k *Kit) Take(i, size int) packet.Index {
	s := &k.slots[i]
	if size <= k.room {
		b := s.plain
		s.plain = 0
		k.armed = min(k.armed, i)
		k.arena.Meta(b).Len = uint32(size)
		return b
	}
	// TAPs don't say that they have cut a frame: one that fills a slot to the last
	// byte may be longer.
	if s.super == 0 || size >= k.arena.Capacity(s.super) {
		return 0
	}
	b := s.super
	s.super = 0
	k.armed = min(k.armed, i)
	k.endPlain(i)
	copy(unsafe.Slice((*byte)(k.arena.Data(b)), k.room), unsafe.Slice((*byte)(k.arena.Data(s.plain)), k.room))
	k.arena.Meta(b).Len = uint32(size)
	return b
}

// Gather makes the iovecs that send buffer b's frame by slot i: of its header, as
// its Meta says, and of the frame itself. They are good until the slot is used again;
// the buffer stays the caller's.
func (k *Kit) Gather(i int, b packet.Index, header bool) []unix.Iovec {
	m := k.arena.Meta(b)
	v := &k.out[i]
	v[1].Base = (*byte)(k.arena.Data(b))
	v[1].SetLen(int(m.Len))
	if !header {
		return v[1:]
	}
	k.outH[i].Encode(m)
	return v[:]
}

// Disarm gives all buffers back to the Cache. The Kit may be used again.
func (k *Kit) Disarm() {
	for i := range k.slots {
		s := &k.slots[i]
		k.cache.Free(s.plain)
		k.cache.Free(s.super)
		*s = slot{}
	}
	k.armed = 0
}
