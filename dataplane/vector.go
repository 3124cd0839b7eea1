package dataplane

import (
	"math/bits"
	"unsafe"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// VectorSize is the number of frames that go through the pipeline together. 32
// to 64 measured best up to 1k flows, 64 to 256 equal at 1M; and 64 frames make
// a set of frames one machine word.
const VectorSize = 64

// Vector is a batch of frames from one port, in the order of arrival, and what
// the stages have found out about them. Sets of frames are words: bit i is
// frame i. Loops over a set read
//
//	for m := v.Live; m != 0; m &= m - 1 {
//		i := bits.TrailingZeros64(m) & 63   // the mask removes bounds checks
//
// A Vector is the scratch memory of one worker and is used again for the next.
type Vector struct {
	Now   int64 // ns, read once for the vector
	Epoch uint32
	Snap  *Snapshot
	In    *PortConfig // where all frames came in
	N     int

	Live   uint64 // frames that are neither dropped nor given away
	Hit    uint64 // Entry is valid and so is its permit, Hop is filled in
	Todo   uint64 // to be decided
	Routed uint64 // the hop is a routed one; means something for frames in Hit
	// Translated: addresses or ports become those of the session's other direction, see
	// flowtable.Entry; means something for frames in Hit. Entry is valid for these.
	Translated uint64
	Fresh      uint64 // session was made for this frame, which needs no tracking
	Group      uint64 // destination MAC has the group bit
	Frag       uint64 // IP fragments

	Special uint64 // super-frames, and frames with a partial checksum

	dropped uint64 // by the stage that runs; disposed of after it
	refresh uint64 // the flow has not been seen for a second
	done    uint64 // frames a stage has finished with before it panicked
	at      int    // frame being worked on, for when a stage panics
	created bool   // a session was made since Lookup
	again   bool   // the frames were put aside and are released

	Buf    [VectorSize]packet.Index
	Off    [VectorSize]uint32 // of the frame in the arena
	Len    [VectorSize]uint32
	Zone   [VectorSize]packet.Zone
	Info   [VectorSize]packet.Info
	Hash   [VectorSize]uint64
	Entry  [VectorSize]flowtable.ID // 0: no session
	Reason [VectorSize]packet.Reason
	hop    [VectorSize]hopWords

	base unsafe.Pointer // of the arena
}

// Drop marks frame i. The worker frees and counts it after the stage.
func (v *Vector) Drop(i int, r packet.Reason) {
	v.Live &^= 1 << (i & 63)
	v.dropped |= 1 << (i & 63)
	v.Reason[i&63] = r
}

// Frames returns the set a feature's stage works on: frames on their way out
// whose hop is known, less those it is done with.
func (v *Vector) Frames() uint64 { return v.Hit & v.Live &^ v.done }

// At notes that the stage is about to work on frame i: should it panic, that
// frame is dropped and the stage goes on with the next. Loops over sets call it first.
func (v *Vector) At(i int) { v.at = i }

// Frame returns the bytes of frame i, valid until the frame leaves the vector.
func (v *Vector) Frame(i int) []byte {
	return unsafe.Slice((*byte)(v.data(i)), v.Len[i&63])
}

// data returns where frame i begins. Reading more than Len is reading the
// buffer's remains, not foreign memory, for up to 64 bytes.
func (v *Vector) data(i int) unsafe.Pointer {
	return unsafe.Add(v.base, v.Off[i&63])
}

// next returns the lowest frame of the set.
func next(set uint64) int { return bits.TrailingZeros64(set) & 63 }
