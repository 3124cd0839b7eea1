package flowtable

import (
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/internal/relaxed"
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

// Flags of an Entry. Bits 8 to 15 are the pipeline's, as are 24 and up; bits 16 to 23 are the features', who agree in node.
const (
	// Settled: Worker.Track has nothing left to do for packets of this
	// direction. The table's flag; a Permit does not change it.
	Settled uint32 = 1 << iota

	// Translated: addresses or ports are rewritten; the new ones are the peer's
	// key, seen from the other side.
	Translated

	tableFlags = Settled
)

// Entry is one direction of a session: two cache lines. The two entries of a
// session stand side by side, so the peer's key, which holds the translated
// addresses of a NATed session, is the neighbouring line:
//
//	line 0   who: key, link and permit     read for every packet, written when the decision is made
//	line 1   how much: counters, binding   written for every packet, by the worker that polls this direction
//
// The permit's words are written by StorePermit and read by the worker of the
// direction; two ports of a segment may both claim to send the same flow, so
// they are locked and read as below. The counters are single-writer: see
// internal/relaxed.
//
// # Reading a permit
//
// A permit was made for frames of one link: one ingress port, source MAC and
// destination MAC. It consists of several words, and another worker may be
// replacing it. So link1 is also a lock and a version: who writes takes it
// (linkTaken), writes the words, and publishes a link1 with a version one
// higher. Allowed reads link1, the words, and link1 again. If both times it is
// the link asked for, in the same version, no writer took it in between, and
// all words belong to one permit for this link. The version has 15 bits: to
// mistake one permit for another, a reader would have to be overtaken by a
// multiple of 32768 of them.
//
// Without Allowed, a reader that asks for Epoch, then Hop and Flags, and Link
// last, may see words of different permits only if one was replaced in these
// nanoseconds, and none older than the epoch it saw, as StorePermit writes the
// epoch after the others.
type Entry struct {
	Key packet.Key // immutable while the session lives

	link0 uint64        // destination MAC and the first two bytes of the source MAC, as in the frame
	link1 atomic.Uint64 // source MAC's last four bytes | ingress port << 32 | version << 48 | valid << 63
	hop   uint64        // Permit.Hop | Permit.HopGen << 32

	packets  uint64 // by the polling worker; relaxed
	bytes    uint64 // of whole frames, without FCS; relaxed
	lastSeen int64  // ns; relaxed. 0: no packet yet
	flags    atomic.Uint32
	epoch    atomic.Uint32 // of the permit

	egressRule  uint32 // rule that let the packet leave its port; 0 if none was asked
	ingressRule uint32 // rule that let it into the destination
	meters      uint32 // index of the meter of the sender's port | receiver's << 16; 0 is none
	mirrors     uint32 // index of a mirror set, 0 is none
	// The binding: Service and Member at the original entry, Rule and Source at the reply's.
	bound [2]atomic.Uint32

	// aux is the table's and the session's. While it lives: links in the list of
	// a group, see caps.go. Then, original entry: when the session ended, ns. Reply
	// entry: next chain of the pool of free sessions.
	aux atomic.Uint64
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

const (
	// LinkValid is set in every second word of a link.
	LinkValid = 1 << 63

	linkVersion = 0x7fff << 48
	linkTaken   = 1 // no valid link: a writer is at the permit
)

// Permit is a decision about one direction of a session, asked for again when
// the epoch moves on.
type Permit struct {
	Epoch       uint32 // of the configuration that decided
	Hop         uint32 // where to; the pipeline's number
	HopGen      uint32 // generation of Hop, to notice that it was reused
	Flags       uint32 // Translated and the features' flags
	EgressRule  uint32 // rule that let the packet leave its port; 0 if none was asked
	IngressRule uint32 // rule that let it into the destination
	Meters      uint32 // index of the meter of the sender's port | receiver's << 16; 0 is none
	Mirrors     uint32 // index of a mirror set, 0 is none
}

// Binding is what is chosen once for the whole session. The numbers are the
// features'; 0 is none.
type Binding struct {
	Service uint32 // virtual server
	Member  uint32 // pool member, and why it was chosen
	Rule    uint32 // NAT rule that has changed the destination
	Source  uint32 // what has changed the source: a NAT rule, or a service's pool
}

// Allowed returns the hop and the flags of the permit if there is one for this
// link and of this epoch. link1 must have LinkValid set and its version 0.
func (e *Entry) Allowed(link0, link1 uint64, epoch uint32) (hop uint64, flags uint32, ok bool) {
	l := e.link1.Load()
	if (l^link1)&^linkVersion|atomic.LoadUint64(&e.link0)^link0|uint64(e.epoch.Load()^epoch) != 0 {
		return 0, 0, false
	}
	hop, flags = atomic.LoadUint64(&e.hop), e.flags.Load()
	return hop, flags, e.link1.Load() == l
}

// Hop returns where packets go, and the generation of that number.
func (e *Entry) Hop() (hop, gen uint32) {
	h := atomic.LoadUint64(&e.hop)
	return uint32(h), uint32(h >> 32)
}

// Epoch returns the epoch of the permit.
func (e *Entry) Epoch() uint32 { return e.epoch.Load() }

// Link returns the link that the permit is for. The second word has LinkValid
// set iff there is a permit.
func (e *Entry) Link() (link0, link1 uint64) {
	return atomic.LoadUint64(&e.link0), e.link1.Load() &^ linkVersion
}

// Flags returns the flags: the permit's and the table's.
func (e *Entry) Flags() uint32 { return e.flags.Load() }

// Rules returns the rules that let the packets out of their port and into the
// destination's.
func (e *Entry) Rules() (egress, ingress uint32) {
	return atomic.LoadUint32(&e.egressRule), atomic.LoadUint32(&e.ingressRule)
}

// Meters returns the meters: the sender's port's | the receiver's << 16.
func (e *Entry) Meters() uint32 { return atomic.LoadUint32(&e.meters) }

// Mirrors returns the mirror set.
func (e *Entry) Mirrors() uint32 { return atomic.LoadUint32(&e.mirrors) }

// Binding returns what Worker.Bind stored for the session of id.
func (t *Table) Binding(id ID) Binding {
	original, reply := &t.Entry(id&^1).bound, &t.Entry(id|1).bound
	return Binding{original[0].Load(), original[1].Load(), reply[0].Load(), reply[1].Load()}
}

// Count accounts a frame of size bytes, received at now. Only the worker that
// polls this direction may call it.
func (e *Entry) Count(size uint32, now int64) {
	relaxed.Add(&e.packets, 1)
	relaxed.Add(&e.bytes, uint64(size))
	relaxed.Store(&e.lastSeen, now)
}

// Counters returns the packets and bytes so far.
func (e *Entry) Counters() (packets, bytes uint64) {
	return atomic.LoadUint64(&e.packets), atomic.LoadUint64(&e.bytes)
}

// LastSeen returns the time of the last packet, ns; 0 if there was none.
func (e *Entry) LastSeen() int64 { return atomic.LoadInt64(&e.lastSeen) }

// StorePermit makes p the permit for frames of a link. It reports false if
// another worker is storing one: then p holds for the packet in hand only, and
// the next asks again.
func (e *Entry) StorePermit(p *Permit, link0, link1 uint64) bool {
	old := e.link1.Load()
	if old == linkTaken || !e.link1.CompareAndSwap(old, linkTaken) {
		return false
	}
	relaxed.Store(&e.link0, link0)
	relaxed.Store(&e.hop, uint64(p.Hop)|uint64(p.HopGen)<<32)
	for {
		f := e.flags.Load()
		if next := f&tableFlags | p.Flags&^tableFlags; next == f || e.flags.CompareAndSwap(f, next) {
			break
		}
	}
	relaxed.Store(&e.egressRule, p.EgressRule)
	relaxed.Store(&e.ingressRule, p.IngressRule)
	relaxed.Store(&e.meters, p.Meters)
	relaxed.Store(&e.mirrors, p.Mirrors)
	relaxed.Release((*uint32)(unsafe.Pointer(&e.epoch)), p.Epoch)
	version := (old + 1<<48) & linkVersion
	relaxed.Release((*uint64)(unsafe.Pointer(&e.link1)), link1&^linkVersion|version|LinkValid)
	return true
}

// setFlag sets or clears flags of the table.
func (e *Entry) setFlag(f uint32, on bool) {
	if on {
		e.flags.Or(f)
	} else {
		e.flags.And(^f)
	}
}

// reset makes e the entry of a session that nobody knows of yet. Plain stores
// will do: an atomic one for each word cost 100 ns per session. aux stays, as
// the pool may be looking at it.
func (e *Entry) reset(key *packet.Key) {
	const words = unsafe.Offsetof(e.aux) / 8
	*(*[words]uint64)(unsafe.Pointer(e)) = [words]uint64{}
	e.Key = *key
}

// touch loads both lines.
func (e *Entry) touch() {
	atomic.LoadUint64(&e.hop)
	e.aux.Load()
}
