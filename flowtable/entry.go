package flowtable

import (
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

// Dir is a direction of a session: the way its first packet went, or back.
type Dir uint8

const (
	Original Dir = iota
	Reply
)

// ID names one direction of a session: the session's number << 1 | Dir. It is
// stable for the session's life. 0 and 1 are no session.
type ID uint32

// Session returns the number of the session.
func (id ID) Session() uint32 { return uint32(id) >> 1 }

// Dir returns the direction.
func (id ID) Dir() Dir { return Dir(id & 1) }

// Peer returns the opposite direction of the same session.
func (id ID) Peer() ID { return id ^ 1 }

// Entry is one direction of a session: two cache lines. The two entries of a
// session stand side by side, so the peer's key, which holds the translated
// addresses of a NATed session, is the neighbouring line:
//
//	line 0   who: key, link and permit     read for every packet, written when the decision is made
//	line 1   how much: counters, binding   written for every packet, by the worker that polls this direction
//
// The words of line 0 after the key are written by Permit.Store and read by
// the worker of the direction; they are atomic because two ports of a segment
// may both claim to send the same flow. The counters are single-writer: see
// relaxed.go.
type Entry struct {
	Key packet.Key // immutable while the session lives

	link0 atomic.Uint64 // destination MAC and the first two bytes of the source MAC, as in the frame
	link1 atomic.Uint64 // source MAC's last four bytes | ingress port << 32 | valid << 63; 0 while being written
	hop   atomic.Uint64 // Permit.Hop | Permit.HopGen << 32

	packets  uint64 // by the polling worker; relaxed
	bytes    uint64 // of whole frames, without FCS; relaxed
	lastSeen int64  // ns; relaxed. 0: no packet yet
	flags    atomic.Uint32
	epoch    atomic.Uint32 // of the permit

	egressRule  atomic.Uint32 // rule that let the packet leave its port; 0 if none was asked
	ingressRule atomic.Uint32 // rule that let it into the destination
	meters      atomic.Uint32 // index of the meter of the sender's port | receiver's << 16; 0 is none
	mirrors     atomic.Uint32 // index of a mirror set, 0 is none
	service     atomic.Uint32 // binding: virtual server, 0 is none
	member      atomic.Uint32 // binding: pool member, 0 is none
	_           [8]byte
}

const (
	entrySize = 128
	lineSize  = 64
)

// The layout is part of the design: two lines, the key on the first.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(Entry{})-entrySize]
	_ = [1]struct{}{}[unsafe.Offsetof(Entry{}.packets)-lineSize]
)
