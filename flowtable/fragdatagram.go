package flowtable

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// datagramID identifies a datagram: identification 63..32, zone 31..8,
// protocol 7..0 in tag.
type datagramID struct {
	src, dst packet.Addr
	tag      uint64
}

// datagramState is which of a stripe's lists a datagram is in.
type datagramState uint8

const (
	waiting datagramState = iota
	open
	complete
	numDatagramStates
)

// maxRuns suffices for a datagram of 45 fragments, the most that fit a link
// with an MTU of 1500, in any order: of the pieces seen no two of which touch
// there are at most 23.
const maxRuns = 24

// datagram is what is known of one. Its list neighbours, chain and held
// fragments are numbers in the arrays of its stripe; 0 is none.
type datagram struct {
	id       datagramID
	tail     uint64 // Key.Tail of the first fragment; valid unless waiting
	deadline int64  // ns

	next         uint32 // in the chain of its bucket
	older, newer uint32 // in the list of its state
	heldFirst    uint32 // slots, in order of arrival
	heldLast     uint32
	bucket       uint32

	total uint16 // octets of payload; 0 while the last fragment has not come
	bytes uint16 // octets that have come
	nHeld uint8
	nRuns uint8
	state datagramState
	runs  [maxRuns]run
}

// run is a row of fragments of equal size that follow each other without a gap:
// the whole of an ordinary datagram but its last fragment.
type run struct{ from, to, size uint16 }

// insert notes the octets from..to (exclusive) of the datagram, last if none
// follow. It returns None if they are new or an exact repetition,
// FragmentOverlap if they contradict what was seen, and FragmentLimit if there
// are too many pieces.
func (g *datagram) insert(from, to uint16, last bool) packet.Reason {
	for i := range g.runs[:g.nRuns] {
		u := &g.runs[i]
		if from >= u.to || to <= u.from {
			continue
		}
		isRepetition := from >= u.from && to <= u.to && to-from == u.size && (from-u.from)%u.size == 0 &&
			last == (to == g.total)
		if isRepetition {
			return packet.None
		}
		return packet.FragmentOverlap
	}
	if last {
		if g.total != 0 || g.end() > to {
			return packet.FragmentOverlap
		}
	} else if g.total != 0 && to > g.total {
		return packet.FragmentOverlap
	}

	size := to - from
	before, after := -1, -1 // runs that the fragment continues or precedes
	for i := range g.runs[:g.nRuns] {
		if u := &g.runs[i]; u.size == size {
			if u.to == from {
				before = i
			}
			if u.from == to {
				after = i
			}
		}
	}
	switch {
	case before >= 0 && after >= 0:
		g.runs[before].to = g.runs[after].to
		g.nRuns--
		g.runs[after] = g.runs[g.nRuns]
	case before >= 0:
		g.runs[before].to = to
	case after >= 0:
		g.runs[after].from = from
	case g.nRuns == maxRuns:
		return packet.FragmentLimit
	default:
		g.runs[g.nRuns] = run{from: from, to: to, size: size}
		g.nRuns++
	}
	g.bytes += size
	if last {
		g.total = to
	}
	return packet.None
}

// end returns the end of the highest octet that has come.
func (g *datagram) end() (end uint16) {
	for i := range g.runs[:g.nRuns] {
		end = max(end, g.runs[i].to)
	}
	return end
}

// slot is a place for a fragment that waits.
type slot struct {
	index packet.Index
	next  uint32 // of the same datagram, or free
}

// stripe is a part of a Fragments that has its own lock and shares nothing.
// Element 0 of datagrams and slots is none.
type stripe struct {
	mu        sync.Mutex
	buckets   []uint32 // first datagram of each chain
	datagrams []datagram
	slots     []slot
	lists     [numDatagramStates]struct{ oldest, newest uint32 }
	free      uint32 // first of a chain of datagrams not in use
	freeSlot  uint32

	due atomic.Int64 // no datagram's time is over before; ns
	_   [64]byte     // the next stripe's lock is another worker's
}

func (s *stripe) init(datagrams, held int) {
	n := 1
	for n < datagrams {
		n *= 2
	}
	s.buckets = make([]uint32, n)
	s.datagrams = make([]datagram, datagrams+1)
	s.slots = make([]slot, held+1)
	for i := datagrams; i > 0; i-- {
		s.datagrams[i].next, s.free = s.free, uint32(i)
	}
	for i := held; i > 0; i-- {
		s.slots[i].next, s.freeSlot = s.freeSlot, uint32(i)
	}
	s.due.Store(math.MaxInt64)
}

// find returns the datagram with the identity, 0 if it is unknown.
func (s *stripe) find(id *datagramID, h uint32) uint32 {
	d := s.buckets[h&uint32(len(s.buckets)-1)]
	for d != 0 && s.datagrams[d].id != *id {
		d = s.datagrams[d].next
	}
	return d
}

// remember enters a new datagram, forgetting another if need be; 0 if there is
// none to forget.
func (s *stripe) remember(id *datagramID, h uint32, st datagramState, deadline int64) uint32 {
	if s.free == 0 {
		switch {
		case s.lists[complete].oldest != 0:
			s.forget(s.lists[complete].oldest)
		case s.lists[open].oldest != 0:
			s.forget(s.lists[open].oldest)
		default:
			return 0
		}
	}
	d := s.free
	g := &s.datagrams[d]
	s.free = g.next
	bucket := h & uint32(len(s.buckets)-1)
	*g = datagram{id: *id, bucket: bucket, next: s.buckets[bucket]}
	s.buckets[bucket] = d
	s.push(d, st, deadline)
	return d
}

// forget removes a datagram of which nothing is held.
func (s *stripe) forget(d uint32) {
	s.unlink(d)
	g := &s.datagrams[d]
	p := &s.buckets[g.bucket]
	for *p != d {
		p = &s.datagrams[*p].next
	}
	*p = g.next
	g.next, s.free = s.free, d
}

// move puts a datagram at the end of another state's list.
func (s *stripe) move(d uint32, st datagramState, deadline int64) {
	s.unlink(d)
	s.push(d, st, deadline)
}

func (s *stripe) push(d uint32, st datagramState, deadline int64) {
	g, l := &s.datagrams[d], &s.lists[st]
	g.state, g.deadline = st, deadline
	g.older, g.newer = l.newest, 0
	if l.newest != 0 {
		s.datagrams[l.newest].newer = d
	} else {
		l.oldest = d
	}
	l.newest = d
	if deadline < s.due.Load() {
		s.due.Store(deadline)
	}
}

func (s *stripe) unlink(d uint32) {
	g := &s.datagrams[d]
	l := &s.lists[g.state]
	if g.older != 0 {
		s.datagrams[g.older].newer = g.newer
	} else {
		l.oldest = g.newer
	}
	if g.newer != 0 {
		s.datagrams[g.newer].older = g.older
	} else {
		l.newest = g.older
	}
}

// setDue finds the earliest deadline; each list is in order of deadline.
func (s *stripe) setDue() {
	due := int64(math.MaxInt64)
	for st := range s.lists {
		if d := s.lists[st].oldest; d != 0 {
			due = min(due, s.datagrams[d].deadline)
		}
	}
	s.due.Store(due)
}

// hold appends a fragment to those that wait; there is a free slot.
func (s *stripe) hold(g *datagram, i packet.Index) {
	k := s.freeSlot
	s.freeSlot = s.slots[k].next
	s.slots[k] = slot{index: i}
	if g.heldLast != 0 {
		s.slots[g.heldLast].next = k
	} else {
		g.heldFirst = k
	}
	g.heldLast = k
	g.nHeld++
}

// unhold takes fragments that wait, in order of arrival, until out is full.
func (s *stripe) unhold(g *datagram, out []packet.Index) (n int) {
	for n < len(out) && g.heldFirst != 0 {
		k := g.heldFirst
		out[n] = s.slots[k].index
		n++
		g.heldFirst = s.slots[k].next
		s.slots[k].next, s.freeSlot = s.freeSlot, k
		g.nHeld--
	}
	if g.heldFirst == 0 {
		g.heldLast = 0
	}
	return n
}
