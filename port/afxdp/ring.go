package afxdp

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is our end of one of a socket's four rings (linux/if_xdp.h, struct
// xdp_ring_offset): shared memory with one producer and one consumer, of whom
// one is the kernel. Indices run freely modulo 2^32; an entry's place is its
// index modulo the size.
//
//	FILL        we produce     addresses of empty buffers         (uint64)
//	RX          we consume     received frames                    (unix.XDPDesc)
//	TX          we produce     frames to send                     (unix.XDPDesc)
//	COMPLETION  we consume     addresses of sent buffers          (uint64)
//
// Our index is kept here and published once for a batch: an atomic store is an
// XCHG, some 20 cycles. What is published can't be taken back.
type ring struct {
	ours    *uint32 // our index as the kernel sees it
	theirs  *uint32 // the kernel's index
	flags   *uint32 // written by the kernel: XDP_RING_NEED_WAKEUP
	entries unsafe.Pointer
	mask    uint32 // size-1; the size is a power of two
	next    uint32 // our index, ahead of what is published
}

func (r *ring) size() uint32 { return r.mask + 1 }

// publish lets the kernel see what was produced or consumed up to next.
func (r *ring) publish() { atomic.StoreUint32(r.ours, r.next) }

// ready returns how many entries there are to consume. More than the ring has
// are the whole ring: indices in memory that is shared are only believed so far.
func (r *ring) ready() uint32 {
	return min(atomic.LoadUint32(r.theirs)-r.next, r.size())
}

// backlog returns how many entries the kernel has not consumed yet, which it
// may be doing at this moment.
func (r *ring) backlog() uint32 {
	return min(atomic.LoadUint32(r.ours)-atomic.LoadUint32(r.theirs), r.size())
}

// needWakeup reports whether the kernel waits for a system call.
func (r *ring) needWakeup() bool {
	return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}

// addr returns the place of entry i of a FILL or COMPLETION ring.
func (r *ring) addr(i uint32) *uint64 {
	return (*uint64)(unsafe.Add(r.entries, uintptr(i&r.mask)*unsafe.Sizeof(uint64(0))))
}

// desc returns the place of entry i of an RX or TX ring.
func (r *ring) desc(i uint32) *unix.XDPDesc {
	return (*unix.XDPDesc)(unsafe.Add(r.entries, uintptr(i&r.mask)*unsafe.Sizeof(unix.XDPDesc{})))
}

// holdings is the set of buffers that are on one side of a socket: from FILL to
// RX, or from TX to COMPLETION. The kernel keeps some in places that nobody else sees
// (a frame on its way, a buffer that found no room in RX), so that the rings
// don't tell whose a buffer is. It also bounds what is believed: an address that
// was not given to the kernel does not come from there.
type holdings struct {
	words []uint64 // a bit for each ordinary buffer
	n     uint32
}

func newHoldings(buffers int) holdings { return holdings{words: make([]uint64, buffers/64+1)} }

func (h *holdings) add(i uint32) {
	h.words[i>>6] |= 1 << (i & 63)
	h.n++
}

// remove reports whether i was in the set.
func (h *holdings) remove(i uint32) bool {
	w := i >> 6
	if uint(w) >= uint(len(h.words)) || h.words[w]>>(i&63)&1 == 0 {
		return false
	}
	h.words[w] &^= 1 << (i & 63)
	h.n--
	return true
}

// drain empties the set into free.
func (h *holdings) drain(free func(i uint32)) {
	for w, word := range h.words {
		for i := uint32(0); word != 0; i++ {
			if word>>i&1 != 0 {
				word &^= 1 << i
				free(uint32(w)<<6 + i)
			}
		}
		h.words[w] = 0
	}
	h.n = 0
}
