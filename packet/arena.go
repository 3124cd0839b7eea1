package packet

import (
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

	_ [7]byte
}

// ArenaConfig sizes an Arena. Zero values are defaults.
type ArenaConfig struct {
	Buffers    int  // ordinary buffers; default 16384
	BufferSize int  // bytes each with headroom, power of two, 2048 or 4096; default 2048
	Supers     int  // super-frame buffers; default 0
	SuperSize  int  // bytes each; default 65536+4096
	Prefault   bool // touch every page now: a cold page costs microseconds on the packet path
	Debug      bool // catch double free, use after free and leaks; slow
}

// Arena is the memory of all frames: one mapping, cut into buffers that are
// named by number. Ordinary buffers come first, super-frame buffers after them.
//
//	buffer:  |<- Headroom ->|<- frame ...............->|
//	                        ^ Meta.Off after Alloc
//
// Ownership is single and explicit: Alloc gives a buffer to the caller; passing
// the Index on passes ownership; the last owner frees. There is no reference
// count; a second copy is a second buffer. An Arena is safe for use by several
// goroutines, each with a Cache of its own.
type Arena struct {
	base    unsafe.Pointer // of mem
	meta    unsafe.Pointer // []Meta, index-addressed
	mem     []byte
	metaMem []byte
	cfg     ArenaConfig
	n       int // ordinary buffers; indices 1..n
	supers  int // indices n+1..n+supers

	mu        sync.Mutex
	free      []Index // shared free list of ordinary buffers, LIFO
	freeSuper []Index
}

// Cache is one worker's private list of free buffers: Alloc and Free touch
// no shared memory until it runs empty or full.
type Cache struct {
	arena *Arena
}
