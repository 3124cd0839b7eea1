package flowtable

import (
	"math/bits"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// EndReason says why a session ended. Names follow IPFIX flowEndReason (RFC
// 5102 section 5.11.3) where one fits.
type EndReason uint8

const (
	neverBegan EndReason = iota // its key was taken: no session, no record

	EndTimeout  // no packet for as long as its state allows
	EndFIN      // both ends had closed (TCP FIN, SCTP SHUTDOWN), and it timed out or was reopened
	EndRST      // an end had aborted, likewise
	EndEvicted  // made room for another: see the package comment
	EndFlood    // half open, made room for another under a group's cap: see Caps.SYNCache
	EndCleared  // by an operator
	EndPolicy   // by a policy change that says reset
	EndMember   // its load balancer member is gone
	EndShutdown // the table is being closed, or the replay is over

	numEndReasons
)

var endNames = [numEndReasons]string{
	EndTimeout:  "IDLE_TIMEOUT",
	EndFIN:      "END_OF_FLOW",
	EndRST:      "RESET",
	EndEvicted:  "LACK_OF_RESOURCES",
	EndFlood:    "FLOOD_PROTECTION",
	EndCleared:  "CLEARED",
	EndPolicy:   "POLICY_CHANGED",
	EndMember:   "MEMBER_REMOVED",
	EndShutdown: "SHUTDOWN",
}

// String returns the name that reports and flow records carry; empty for the
// zero EndReason, which a live session has.
func (r EndReason) String() string {
	if r < numEndReasons {
		return endNames[r]
	}
	return "UNKNOWN_END_REASON"
}

// endOf returns the reason for a session that ends by itself in a state.
func endOf(st State) EndReason {
	switch {
	case st == StateTCPClosed:
		return EndRST
	case stateInfo[st].ended:
		return EndFIN
	}
	return EndTimeout
}

// Record is what is known of a session, live or ended. Arrays are by Dir.
type Record struct {
	Keys    [2]packet.Key // unless addresses are translated, Keys[Reply] is the Reverse of Keys[Original], in the zone where replies enter
	Packets [2]uint64
	Bytes   [2]uint64 // of whole frames, without FCS

	Start int64 // ns, of the first packet
	Last  int64 // ns, of the last packet
	End   int64 // ns, when it left the table; 0 while it lives

	EgressRule  [2]uint32 // of the last permits
	IngressRule [2]uint32
	Epoch       [2]uint32
	Hop         [2]uint32
	Flags       [2]uint32
	Binding     Binding

	Links [2]Link       // that the last permits were for
	TCP   [2]TCPNumbers // of a TCP session
	Terms Terms

	Session uint32 // number; another session may have it by now
	State   State  // last one
	Reason  EndReason
}

// Zone returns the zone of the original direction.
func (r *Record) Zone() packet.Zone { return r.Keys[Original].Zone() }

// Translated reports whether addresses or ports are rewritten. That the reply of
// a routed session enters in another zone is no translation.
func (r *Record) Translated() bool {
	original := &r.Keys[Original]
	return r.Keys[Reply].WithZone(original.Zone()) != original.Reverse()
}

// Unanswered reports whether the session is a connection that was asked for and never answered.
func (r *Record) Unanswered() bool { return r.State.unanswered() && r.Reason == EndTimeout }

// fill reads what is known of session n, which must not be recycled meanwhile.
func (r *Record) fill(t *Table, n uint32) {
	s := t.session(n)
	*r = Record{Start: atomic.LoadInt64(&s.start), Last: t.lastSeen(n), Session: n, State: s.state()}
	for d := range Dir(2) {
		e := t.Entry(ID(n<<1) | ID(d))
		r.Keys[d] = e.Key
		r.Packets[d], r.Bytes[d] = e.Counters()
		r.EgressRule[d], r.IngressRule[d] = e.Rules()
		r.Epoch[d] = e.Epoch()
		r.Hop[d], _ = e.Hop()
		r.Flags[d] = e.Flags()
		r.Links[d][0], r.Links[d][1] = e.Link()
	}
	r.Binding = t.Binding(ID(n << 1))
	r.Terms = s.unpackTerms()
	r.TCP = s.tcpNumbers()
}

// tell hands out the record of a session that has ended.
func (w *Worker) tell(n uint32, why EndReason) {
	ended := w.t.cfg.Ended
	r := w.records.next()
	lost := r == nil
	if lost {
		if ended == nil {
			return
		}
		r = &w.scratch
	}
	r.fill(w.t, n)
	r.End, r.Reason = int64(w.t.Entry(ID(n<<1)).aux.Load()), why
	if ended != nil {
		ended(w.number, r)
	}
	if !lost {
		w.records.push()
	}
}

// Records is a ring of records of ended sessions, from one worker to one
// exporter. The worker never waits: if the ring is full the record is lost and
// counted.
type Records struct {
	ring []Record
	mask uint64

	_    [lineSize]byte
	tail atomic.Uint64 // next to be written, by the worker
	lost atomic.Uint64
	_    [lineSize - 16]byte
	head atomic.Uint64 // next to be read, by the exporter
	_    [lineSize - 8]byte
}

func (q *Records) init(n int) {
	n = 1 << bits.Len(uint(n-1))
	q.ring, q.mask = make([]Record, n), uint64(n-1)
}

// next returns the record to fill, or nil, and counts it as lost, if there is no room.
func (q *Records) next() *Record {
	tail := q.tail.Load()
	if tail-q.head.Load() == uint64(len(q.ring)) {
		q.lost.Add(1)
		return nil
	}
	return &q.ring[tail&q.mask]
}

// push publishes the record that next returned.
func (q *Records) push() { q.tail.Store(q.tail.Load() + 1) }

// Pop copies the oldest record to r, or reports false if there is none.
func (q *Records) Pop(r *Record) bool {
	head := q.head.Load()
	if head == q.tail.Load() {
		return false
	}
	*r = q.ring[head&q.mask]
	q.head.Store(head + 1)
	return true
}

// Lost returns how many records found no room.
func (q *Records) Lost() uint64 { return q.lost.Load() }
