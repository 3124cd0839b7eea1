package packet

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unsafe"
)

// Index names a buffer of an Arena. 0 is no buffer.
type Index uint32

// Headroom is the room before a received frame, for headers that tunnels and
// VLAN tags prepend. AF_XDP reserves the same 256 bytes.
const Headroom = 256

// GSO types of a super-frame (linux/virtio_net.h, VIRTIO_NET_HDR_GSO_*).
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 5 // USO: UDP segmentation (VIRTIO_NET_HDR_GSO_UDP_L4)
	GSOTCPv6 = 4
)

// Meta describes the frame in a buffer. It belongs to whoever owns the buffer.
// Half a cache line, apart from the frame, so that AF_XDP may own the headroom.
type Meta struct {
	Off uint32 // start of the frame, in bytes from the start of the arena
	Len uint32 // length of the frame in bytes

	InPort uint16 // port the frame came in by; set by the worker

	// Partial checksum: the transport checksum field holds the pseudo-header
	// sum only. Valid iff CsumPartial (VIRTIO_NET_HDR_F_NEEDS_CSUM).
	CsumStart  uint16 // where summing starts, from the start of the frame
	CsumOffset uint16 // where the sum goes, from CsumStart

	// Super-frame: one packet that stands for several. Valid iff GSOType != GSONone.
	GSOSize uint16 // payload bytes of each segment
	HdrLen  uint16 // headers that each segment repeats

	GSOType     uint8
	CsumPartial bool
	CsumValid   bool // the device has verified the transport checksum

	// Outer is the size of an IP header before that of the packet which the super-frame is: each segment gets
	// one. 0: there is none. Valid iff GSOType != GSONone.
	Outer uint8

	_ [2]byte

	// Mark is the driver's own number for the frame, 0 for none; copies keep
	// it. Replay finds a frame's place in its capture by it.
	Mark uint32

	// Zone is where a frame that is put aside belongs: its tags are gone.
	Zone Zone
}

var _ = [1]struct{}{}[unsafe.Sizeof(Meta{})-32]

// ArenaConfig sizes an Arena. Zero values are defaults.
type ArenaConfig struct {
	Buffers    int  // ordinary buffers; default 16384
	BufferSize int  // bytes each with headroom, power of two, 2048 or 4096; default 2048
	Supers     int  // super-frame buffers; default 0
	SuperSize  int  // bytes each with headroom, multiple of 64; default 65536+4096
	Prefault   bool // touch every page now: a cold page costs microseconds on the packet path
	Debug      bool // catch double free, use after free and leaks; slow
}

// Arena is the memory of all frames: one mapping, cut into buffers that are
// named by number. Ordinary buffers come first, super-frame buffers after them.
//
//	mapping: | buffer 1 | 2 | ... | n | super n+1 | ... | n+supers | Meta 0 | 1 | ...
//	buffer:  |<- Headroom ->|<- frame ...............->|
//	                        ^ Meta.Off after Alloc
//
// Ownership is single and explicit: Alloc gives a buffer to the caller; passing
// the Index on passes ownership; the last owner frees. There is no reference
// count; a second copy is a second buffer. An Arena is safe for use by several
// goroutines, each with a Cache of its own.
type Arena struct {
	base  unsafe.Pointer // of the mapping
	meta  unsafe.Pointer // []Meta, index-addressed; in the mapping, after the buffers
	n     uint32         // ordinary buffers; indices 1..n
	shift uint8          // log2 of BufferSize

	superSize uint32
	superBase uint32 // end of super i is superBase + i*superSize, modulo 2^32

	supers  uint32 // indices n+1..n+supers
	mapping Mapping
	cfg     ArenaConfig // defaults filled in
	debug   *debugState // nil unless cfg.Debug

	mu        sync.Mutex
	free      []Index // shared free list of ordinary buffers, LIFO
	freeSuper []Index
}

const (
	defaultBuffers   = 16384
	defaultSuperSize = 65536 + 4096
	maxSuperSize     = 1 << 20
)

// NewArena maps and cuts the memory that cfg describes. The error names every
// fault of cfg, or what the kernel refused. The caller closes the Arena.
func NewArena(cfg ArenaConfig) (*Arena, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	frames := cfg.Buffers*cfg.BufferSize + cfg.Supers*cfg.SuperSize
	metas := (1 + cfg.Buffers + cfg.Supers) * int(unsafe.Sizeof(Meta{}))
	m, err := Map(frames+metas, cfg.Prefault)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for the packet arena: %w", frames+metas, err)
	}
	a := &Arena{
		base: m.Base(), mapping: m, cfg: cfg,
		n: uint32(cfg.Buffers), supers: uint32(cfg.Supers),
		superSize: uint32(cfg.SuperSize),
		superBase: uint32(cfg.Buffers) * uint32(cfg.BufferSize-cfg.SuperSize),
		shift:     11,
	}
	if cfg.BufferSize == 4096 {
		a.shift = 12
	}
	a.meta = unsafe.Add(a.base, frames)
	// Popped from the end: low indices first, so that an idle node stays on few pages.
	a.free = make([]Index, 0, cfg.Buffers)
	for i := a.n; i > 0; i-- {
		a.free = append(a.free, Index(i))
	}
	a.freeSuper = make([]Index, 0, cfg.Supers)
	for i := a.n + a.supers; i > a.n; i-- {
		a.freeSuper = append(a.freeSuper, Index(i))
	}
	if cfg.Debug {
		a.debug = newDebugState(a)
	}
	return a, nil
}

func (cfg ArenaConfig) withDefaults() ArenaConfig {
	if cfg.Buffers == 0 {
		cfg.Buffers = defaultBuffers
	}
	if cfg.BufferSize == 0 {
		cfg.BufferSize = 2048
	}
	if cfg.SuperSize == 0 {
		cfg.SuperSize = defaultSuperSize
	}
	return cfg
}

func (cfg ArenaConfig) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	// The bound on counts keeps the products below from overflowing.
	counts := cfg.Buffers > 0 && cfg.Buffers <= math.MaxInt32 && cfg.Supers >= 0 && cfg.Supers <= math.MaxInt32
	if cfg.Buffers < 0 || cfg.Buffers > math.MaxInt32 {
		fault("arena: %d buffers: want a positive number", cfg.Buffers)
	}
	if cfg.Supers < 0 || cfg.Supers > math.MaxInt32 {
		fault("arena: %d super-frame buffers: want 0 or a positive number", cfg.Supers)
	}
	sizes := true
	if cfg.BufferSize != 2048 && cfg.BufferSize != 4096 {
		fault("arena: buffer size %d: want 2048 or 4096", cfg.BufferSize)
		sizes = false
	}
	if cfg.SuperSize < 4096 || cfg.SuperSize > maxSuperSize || cfg.SuperSize%64 != 0 {
		fault("arena: super-frame buffer size %d: want a multiple of 64 from 4096 to %d", cfg.SuperSize, maxSuperSize)
		sizes = false
	}
	if counts && sizes {
		// Meta.Off is 32 bits wide.
		size := int64(cfg.Buffers)*int64(cfg.BufferSize) + int64(cfg.Supers)*int64(cfg.SuperSize)
		if size > math.MaxUint32 {
			fault("arena: %d bytes of buffers: want less than 4 GiB", size)
		}
	}
	return errors.Join(faults...)
}

// Close returns the memory to the kernel. No frame, Meta or Cache of the Arena
// may be used afterwards.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free, a.freeSuper = nil, nil
	if err := a.mapping.Close(); err != nil {
		return fmt.Errorf("unmap the packet arena: %w", err)
	}
	return nil
}

// Populate is Mapping.Populate of the memory: what Prefault does, for an Arena
// that is in use already.
func (a *Arena) Populate(more func() bool) { a.mapping.Populate(more) }

// Config returns the configuration with defaults filled in.
func (a *Arena) Config() ArenaConfig { return a.cfg }

// Pages says which pages the kernel gave: "hugetlb", "thp 30 of 32 MiB", "4k".
// Not for the packet path.
func (a *Arena) Pages() string { return a.mapping.Pages() }

// Mem returns the memory of the ordinary buffers, page-aligned: the UMEM of
// AF_XDP ports. Buffer i's chunk address there is BufferOffset(i).
func (a *Arena) Mem() []byte {
	return unsafe.Slice((*byte)(a.base), int(a.n)<<a.shift)
}

// InUse counts the buffers that are not on the shared free lists: exact once
// every Cache is flushed; until then those that caches keep in reserve count too.
func (a *Arena) InUse() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.debug != nil {
		return a.debug.inUse
	}
	return int(a.n+a.supers) - len(a.free) - len(a.freeSuper)
}

// Meta returns the description of buffer i's frame. i must be owned by the caller.
func (a *Arena) Meta(i Index) *Meta {
	return (*Meta)(unsafe.Add(a.meta, uintptr(i)*unsafe.Sizeof(Meta{})))
}

// Frame returns buffer i's frame. i must be owned by the caller; the slice
// dies with the ownership.
func (a *Arena) Frame(i Index) []byte {
	m := a.Meta(i)
	return unsafe.Slice((*byte)(unsafe.Add(a.base, m.Off)), int(m.Len))
}

// Base returns the start of the memory that Meta.Off counts from.
func (a *Arena) Base() unsafe.Pointer { return a.base }

// Data returns the first byte of buffer i's frame, also of an empty one.
func (a *Arena) Data(i Index) unsafe.Pointer { return unsafe.Add(a.base, a.Meta(i).Off) }

// Room returns the memory from the start of buffer i's frame to the buffer's
// end: where a driver writes a frame before it sets Meta.Len.
func (a *Arena) Room(i Index) []byte {
	return unsafe.Slice((*byte)(a.Data(i)), a.Capacity(i))
}

// IsSuper reports whether i is a super-frame buffer.
func (a *Arena) IsSuper(i Index) bool { return uint32(i) > a.n }

// bufferEnd returns the offset after buffer i's last byte.
func (a *Arena) bufferEnd(i Index) uint32 {
	if uint32(i) > a.n {
		return a.superBase + uint32(i)*a.superSize
	}
	return uint32(i) << a.shift
}

// BufferOffset returns the offset of buffer i's first byte, headroom included.
func (a *Arena) BufferOffset(i Index) uint32 {
	if uint32(i) > a.n {
		return a.superBase + (uint32(i)-1)*a.superSize
	}
	return (uint32(i) - 1) << a.shift
}

// BufferAt is the inverse of BufferOffset for any byte of an ordinary buffer:
// an AF_XDP descriptor's address. It is 0 if there is none.
func (a *Arena) BufferAt(off uint64) Index {
	if off>>a.shift >= uint64(a.n) {
		return 0
	}
	return Index(off>>a.shift) + 1
}

// LongestFrame returns the length in bytes of the longest frame that any buffer
// takes.
func (a *Arena) LongestFrame() int {
	if a.cfg.Supers > 0 {
		return max(a.cfg.BufferSize, a.cfg.SuperSize) - Headroom
	}
	return a.cfg.BufferSize - Headroom
}

// Capacity returns the bytes from the start of buffer i's frame to the buffer's end.
func (a *Arena) Capacity(i Index) int { return int(a.bufferEnd(i) - a.Meta(i).Off) }

// Prepend moves the start of buffer i's frame back n bytes into the headroom;
// it reports false and does nothing if there are not as many. The new bytes
// hold what they held. Offsets in Meta follow.
func (a *Arena) Prepend(i Index, n int) bool {
	m := a.Meta(i)
	if uint(n) > uint(m.Off-a.BufferOffset(i)) {
		return false
	}
	m.moveStart(uint32(-n))
	return true
}

// TrimFront cuts n bytes off the start of buffer i's frame; it reports false
// and does nothing if there are not as many. Offsets in Meta follow: whoever
// cuts into what a partial checksum covers completes it before.
func (a *Arena) TrimFront(i Index, n int) bool {
	m := a.Meta(i)
	if uint(n) > uint(m.Len) {
		return false
	}
	m.moveStart(uint32(n))
	return true
}

// Trim cuts n bytes off the end of buffer i's frame; it reports false and does
// nothing if there are not as many.
func (a *Arena) Trim(i Index, n int) bool {
	m := a.Meta(i)
	if uint(n) > uint(m.Len) {
		return false
	}
	m.Len -= uint32(n)
	return true
}

// moveStart moves the start of the frame n bytes forward, modulo 2^32, and all
// that is counted from there. What is not valid is moved too, which harms nothing.
func (m *Meta) moveStart(n uint32) {
	m.Off += n
	m.Len -= n
	m.CsumStart -= uint16(n)
	m.HdrLen -= uint16(n)
}
