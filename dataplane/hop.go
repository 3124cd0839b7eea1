package dataplane

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// HopFlags say what is done to a frame on its way to a Hop.
type HopFlags uint16

const (
	// HopRouted: the frame leaves its segment. Both MAC addresses are
	// replaced, TTL or hop limit is decremented. The lowest bit: see hopWords.routed.
	HopRouted HopFlags = 1 << iota
	// HopFlood: Hop.Port is the number of a flood list of the snapshot.
	HopFlood
)

// Hop is a next hop: the port by which frames leave and what their link-layer
// header becomes. Flow entries name hops by index and generation, so a host
// that moves to another port invalidates all its flows with one store.
type Hop struct {
	Port   uint16
	Flags  HopFlags
	Zone   packet.Zone // where replies enter; for the session's reply key
	MTU    uint16      // largest IP packet, bytes; 0 is no limit
	DstMAC packet.MAC  // with HopRouted
	SrcMAC packet.MAC  // with HopRouted
	Tags   Tags        // pushed when the frame leaves
}

// Tags are up to two VLAN tags to push, as TCIs: priority, DEI and VLAN number. The
// zero Tags push nothing.
type Tags struct{ Outer, Inner uint16 }

// hopWords is a Hop as the packet path reads it:
//
//	w0  DstMAC 47..0 | Port 63..48
//	w1  SrcMAC 47..0 | Flags 63..48
//	w2  MTU 15..0, noMTU for no limit | Outer 31..16 | Inner 47..32
type hopWords struct{ w0, w1, w2 uint64 }

// noMTU is beyond what an IPv4 packet can be, so that the packet path has one comparison.
const noMTU = 0xffff

func (h *hopWords) port() uint16    { return uint16(h.w0 >> 48) }
func (h *hopWords) flags() HopFlags { return HopFlags(h.w1 >> 48) }
func (h *hopWords) routed() uint64  { return h.w1 >> 48 & uint64(HopRouted) } // 0 or 1
func (h *hopWords) mtu() uint32     { return uint32(uint16(h.w2)) }
func (h *hopWords) tags() Tags      { return Tags{uint16(h.w2 >> 16), uint16(h.w2 >> 32)} }

type hopSlot struct {
	gen  atomic.Uint32
	zone atomic.Uint32
	w    [3]atomic.Uint64
}

// HopTable holds all next hops: half a cache line each, index-addressed, of
// fixed size. Allocation takes a lock; the packet path only loads.
type HopTable struct {
	slots []hopSlot

	mu   sync.Mutex
	free []uint32
	used int
}

// ErrHopsExhausted is returned when every hop is in use.
var ErrHopsExhausted = errors.New("next-hop table is full")

// NewHopTable makes a table for n hops, numbered from 1.
func NewHopTable(n int) *HopTable {
	t := &HopTable{slots: make([]hopSlot, n+1), free: make([]uint32, 0, n)}
	for i := n; i > 0; i-- {
		t.free = append(t.free, uint32(i))
	}
	return t
}

// New allocates a hop and returns its index and generation.
func (t *HopTable) New(h Hop) (index, gen uint32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) == 0 {
		return 0, 0, ErrHopsExhausted
	}
	index = t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.used++
	return index, t.write(index, h), nil
}

// Set replaces a hop. Flows that used it decide again, with the new generation.
func (t *HopTable) Set(index uint32, h Hop) (gen uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.write(index, h)
}

// Free invalidates a hop and makes its index available.
func (t *HopTable) Free(index uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.slots[index].gen.Add(1)
	t.free = append(t.free, index)
	t.used--
}

// Used returns the number of hops in use and the table's size.
func (t *HopTable) Used() (used, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used, len(t.slots) - 1
}

// write stores the generation before the words, load reads it after them: a
// reader that sees the generation it expects has read that generation's words.
func (t *HopTable) write(index uint32, h Hop) (gen uint32) {
	s := &t.slots[index]
	gen = s.gen.Add(1)
	s.zone.Store(uint32(h.Zone))
	s.w[0].Store(h.DstMAC.Word() | uint64(h.Port)<<48)
	s.w[1].Store(h.SrcMAC.Word() | uint64(h.Flags)<<48)
	mtu := h.MTU
	if mtu == 0 {
		mtu = noMTU
	}
	s.w[2].Store(uint64(mtu) | uint64(h.Tags.Outer)<<16 | uint64(h.Tags.Inner)<<32)
	return gen
}

// load copies a hop's words and reports whether it still is of generation gen.
func (t *HopTable) load(index, gen uint32, h *hopWords) bool {
	if int(index) >= len(t.slots) {
		return false
	}
	s := &t.slots[index]
	h.w0, h.w1, h.w2 = s.w[0].Load(), s.w[1].Load(), s.w[2].Load()
	return s.gen.Load() == gen
}

// Valid reports whether hop index is still of generation gen.
func (t *HopTable) Valid(index, gen uint32) bool {
	return int(index) < len(t.slots) && t.slots[index].gen.Load() == gen
}

// Exit returns the port and the MTU of a hop, 0 for no limit: what Lookup costs too much for where nothing else matters.
func (t *HopTable) Exit(index uint32) (port, mtu uint16) {
	s := &t.slots[index]
	if mtu = uint16(s.w[2].Load()); mtu == noMTU {
		mtu = 0
	}
	return uint16(s.w[0].Load() >> 48), mtu
}

// Zone returns the zone of a hop; 0 if there is no such hop.
func (t *HopTable) Zone(index uint32) packet.Zone {
	if int(index) >= len(t.slots) {
		return 0
	}
	return packet.Zone(t.slots[index].zone.Load())
}

// Lookup returns a hop for display.
func (t *HopTable) Lookup(index uint32) Hop {
	var h hopWords
	s := &t.slots[index]
	t.load(index, 0, &h)
	mtu := uint16(h.mtu())
	if mtu == noMTU {
		mtu = 0
	}
	return Hop{
		Port: h.port(), Flags: h.flags(), Zone: packet.Zone(s.zone.Load()), MTU: mtu,
		DstMAC: packet.MACFromWord(h.w0), SrcMAC: packet.MACFromWord(h.w1), Tags: h.tags(),
	}
}
