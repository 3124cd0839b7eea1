package reply

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Ends says who is told that a session is over.
type Ends uint8

// Ends of a session.
const (
	Initiator Ends = 1 << iota // who sent the first packet
	Responder

	Both = Initiator | Responder
)

// Resets tells the ends of sessions that the node has ended. Only TCP has a word for that: of other protocols
// there is no packet at hand that an ICMP error could quote, and the next one gets the rules' answer anyway.
//
// Sessions come from flowtable's Config.Ended, in the middle of a worker's Quiesce, and wait in a
// queue of the worker for the end of its next turn:
//
//	Ended ──▶ Add ──▶ queue of the worker ──▶ Tick: RST to each end, by the port where it is
//
// It lives as long as the node.
type Resets struct {
	workers []resetQueue
}

// resetQueue belongs to a worker; others read the counts.
type resetQueue struct {
	_          [64]byte
	head, tail uint32
	ring       [resetsQueued]session

	sent, unreachable, lost atomic.Uint64
	_                       [64]byte
}

const (
	// resetsPerTick bounds the work of one turn, to some 0.1 ms. It is as many sessions as flowtable recycles in a
	// turn, so that the queue does not grow.
	resetsPerTick = 256
	resetsQueued  = 1024 // a power of two
)

// session is what of a Record a reset needs. Arrays are by flowtable.Dir.
type session struct {
	ends  Ends
	keys  [2]packet.Key
	links [2]flowtable.Link
	hops  [2]uint32
	tcp   [2]flowtable.TCPNumbers
}

// NewResets makes an empty Resets for an engine with so many workers.
func NewResets(workers int) *Resets { return &Resets{workers: make([]resetQueue, workers)} }

// ResetStats are counts since the Resets were made.
type ResetStats struct {
	Sent        uint64 // TCP resets
	Unreachable uint64 // ends that were not told: it is not known any more, or was not yet, where they are
	Lost        uint64 // sessions whose ends were not told for want of room in the queue
}

// Stats returns the counts.
func (r *Resets) Stats() (sum ResetStats) {
	for i := range r.workers {
		q := &r.workers[i]
		sum.Sent += q.sent.Load()
		sum.Unreachable += q.unreachable.Load()
		sum.Lost += q.lost.Load()
	}
	return sum
}

// Add has the ends of a session told that it is over; by worker number w. Sessions that are over by themselves,
// and those of other protocols than TCP, are left alone.
func (r *Resets) Add(w int, s *flowtable.Record, ends Ends) {
	if s.Keys[flowtable.Original].Proto() != packet.ProtoTCP || s.State == flowtable.StateTCPClosed || s.State == flowtable.StateTCPTimeWait {
		return
	}
	q := &r.workers[w]
	if q.tail-q.head == resetsQueued {
		q.lost.Add(1)
		return
	}
	q.ring[q.tail%resetsQueued] = session{ends: ends, keys: s.Keys, links: s.Links, hops: s.Hop, tcp: s.TCP}
	q.tail++
}

// Tick sends the resets that wait. Resets is a dataplane.Ticker.
func (r *Resets) Tick(w *dataplane.Worker, _ int64) {
	q := &r.workers[w.ID()]
	for n := 0; q.head != q.tail && n < resetsPerTick; n++ {
		s := &q.ring[q.head%resetsQueued]
		q.head++
		if s.ends&Initiator != 0 {
			q.tell(w, s, flowtable.Reply)
		}
		if s.ends&Responder != 0 {
			q.tell(w, s, flowtable.Original)
		}
	}
}

// tell sends resets to the receiver of a direction, as if its sender had sent them. A stack takes a reset only
// with exactly the number that it expects next (RFC 5961 section 3). While data is under way, that may be
// what it has acknowledged or what was sent: each gets one. Those that acknowledge nothing new do
// no harm with ACK, and a client in SYN_SENT takes no other (RFC 9293 section 3.10.7.3).
func (q *resetQueue) tell(w *dataplane.Worker, s *session, d flowtable.Dir) {
	numbers := &s.tcp[d]
	e, out, found := s.way(w, d)
	if !found || !numbers.SeqKnown && !numbers.AckKnown {
		q.unreachable.Add(1)
		return
	}
	from := &s.keys[d^1] // what the receiver sends
	rst := packet.TCPFields{SrcPort: from.DstPort(), DstPort: from.SrcPort(), Flags: packet.TCPRst}
	if numbers.AckKnown {
		rst.Flags |= packet.TCPAck
		rst.Ack = numbers.Ack
	}
	tries := [...]uint32{numbers.Seq, numbers.Sent}
	for i, seq := range tries {
		if i > 0 && (!numbers.SeqKnown || seq == tries[0]) {
			break
		}
		if rst.Seq = seq; !numbers.SeqKnown {
			rst.Seq = 0
		}
		if sendReset(w, &e, out, out.Port, rst) {
			q.sent.Add(1)
		} else {
			q.unreachable.Add(1)
		}
	}
}

// way returns how a packet reaches the receiver of a direction: back by where its own packets came from, or if there was
// none yet, by the hop of the direction.
func (s *session) way(w *dataplane.Worker, d flowtable.Dir) (e answer.Envelope, out dataplane.FloodTarget, found bool) {
	own := &s.keys[d^1]
	e.Src, e.Dst = own.Dst, own.Src
	if link := &s.links[d^1]; link.Valid() {
		e.Eth.Src, e.Eth.Dst = link.MACs()
		out, found = toward(w.Snapshot(), link.Port(), own.Zone())
		return e, out, found
	}
	link := &s.links[d]
	if !link.Valid() || s.hops[d] == 0 {
		return e, out, false
	}
	// The hop may be another's by now, if nothing else then its zone shows it.
	hop := w.Hops().Lookup(s.hops[d])
	if hop.Flags&dataplane.HopFlood != 0 {
		return e, out, false
	}
	e.Eth.Dst, e.Eth.Src = link.MACs()
	if hop.Flags&dataplane.HopRouted != 0 {
		e.Eth.Dst, e.Eth.Src = hop.DstMAC, hop.SrcMAC
	}
	out, found = toward(w.Snapshot(), hop.Port, own.Zone())
	out.Tags = hop.Tags
	return e, out, found
}

// toward is answer.Toward for a port that may be gone.
func toward(s *dataplane.Snapshot, port uint16, z packet.Zone) (dataplane.FloodTarget, bool) {
	if p := s.Port(port); p != nil {
		return answer.Toward(p, z)
	}
	return dataplane.FloodTarget{}, false
}
