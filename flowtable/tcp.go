package flowtable

import "github.com/sluice-net/sluice/packet"

// The TCP machine keeps eleven facts about a connection, each of which only
// ever becomes true, and derives the State from them:
//
//	                    syn[O]           syn[R]            both synAcked
//	     SYN ──▶ SYN_SENT ──▶ (SYN_SENT2) ──▶ SYN_RECV ──▶ ESTABLISHED
//	                                                            │ fin[d]
//	  RST, exact: CLOSED, from everywhere                   FIN_WAIT
//	                                           finAcked[d] ╱        ╲ fin[other]
//	                                              CLOSE_WAIT ──▶ LAST_ACK ──▶ TIME_WAIT
//	                                                  fin[other]      both finAcked
//
//	without SYN, not strict: PICKED_UP ──▶ ESTABLISHED (answered)
//
// Because an acknowledgement counts only if it covers the SYN or FIN in
// question, a challenge ACK (RFC 5961) is never taken for the last one. Bits
// with [d] are shifted by the Dir.
const (
	tcpSYN      = 1 << 16 // [d] SYN sent
	tcpSYNAcked = 1 << 18 // [d] d's SYN is acknowledged
	tcpFIN      = 1 << 20 // [d] FIN sent
	tcpFINAcked = 1 << 22 // [d] d's FIN is acknowledged

	tcpClosed   = 1 << 24 // RST
	tcpPickedUp = 1 << 25 // the beginning was not seen
	tcpAnswered = 1 << 26 // picked up, and the peer has sent

	// tcpLiberal: windows are not checked, because the scale is unknown or a
	// number may be stale.
	tcpLiberal = 1 << 27

	// tcpResync: the answering end has accepted a SYN that was let through out
	// of place; until the other end confirms, windows are not checked.
	tcpResync = 1 << 28

	tcpBits = 0x1fff << 16
)

// by shifts a per-direction bit.
func (d Dir) by(bit uint32) uint32 { return bit << d }

// peer returns the opposite direction.
func (d Dir) peer() Dir { return d ^ 1 }

const bothDirs = 0b11 // times a per-direction bit: both

// tcpState derives the state from the facts.
func tcpState(w uint32) State {
	if w&tcpClosed != 0 {
		return StateTCPClosed
	}
	if w&tcpPickedUp != 0 {
		if w&tcpAnswered == 0 {
			return StatePickedUp
		}
	} else {
		switch w & (bothDirs * tcpSYNAcked) {
		case 0:
			if w&Reply.by(tcpSYN) != 0 {
				return StateTCPSynSent2
			}
			return StateTCPSynSent
		case bothDirs * tcpSYNAcked:
		default:
			return StateTCPSynRecv
		}
	}
	switch w & (bothDirs * tcpFIN) {
	case 0:
		return StateTCPEstablished
	case bothDirs * tcpFIN:
		if w&(bothDirs*tcpFINAcked) == bothDirs*tcpFINAcked {
			return StateTCPTimeWait
		}
		return StateTCPLastAck
	}
	if w&(bothDirs*tcpFINAcked) != 0 {
		return StateTCPCloseWait
	}
	return StateTCPFinWait
}

// beginTCP returns the word and original half of a connection that begins with
// the packet; StateNew if none does.
func beginTCP(strict bool, in *packet.Info, frame []byte) (uint32, half) {
	var g segment
	if !g.read(in, frame) {
		return 0, half{}
	}
	switch g.flags {
	case packet.TCPSyn:
		return tcpWord(Original.by(tcpSYN)), halfOfSYN(&g)
	case packet.TCPAck:
		if strict {
			break
		}
		return tcpWord(tcpPickedUp | tcpLiberal), makeHalf(g.end, 0, 0, 0, 0, halfBegun).note(&g, half{})
	}
	// A SYN/ACK, FIN or RST by itself is too late, or a scan.
	return 0, half{}
}

func tcpWord(bits uint32) uint32 { return makeWord(tcpState(bits), kindTCP, bits) }

// trackTCP is track for TCP; w is the word as just loaded. The word is loaded
// before the halves: a peer stores its half before it sets a bit that refers to
// it.
func (s *session) trackTCP(t *tracker, d Dir, in *packet.Info, frame []byte, w uint32) (change, packet.Reason) {
	var g segment
	if !g.read(in, frame) {
		return 0, packet.SessionInvalid
	}
	own, peer := s.half[d].load(), s.half[d.peer()].load()
	switch g.flags {
	case packet.TCPAck:
		if wordState(w) != StateTCPEstablished || w&(tcpLiberal|tcpResync) != 0 {
			return s.tcpACK(t, d, &g, own, peer, w)
		}
		// Nearly every packet ends here: no state to change.
		if !own.admits(&g, peer) {
			return 0, packet.SessionInvalid
		}
		s.half[d].store(own.note(&g, peer))
		return 0, packet.None
	case packet.TCPFin | packet.TCPAck:
		return s.tcpACK(t, d, &g, own, peer, w)
	case packet.TCPSyn:
		return s.tcpSYN(t, d, &g, own, w)
	case packet.TCPSyn | packet.TCPAck:
		return s.tcpSYNACK(t, d, &g, own, peer, w)
	}
	return s.tcpRST(t, d, &g, own, peer, w)
}

// tcpSet makes the bits of clear false and those of set true.
func (s *session) tcpSet(t *tracker, w, set, clear uint32) change {
	for {
		bits := w&tcpBits&^clear | set
		next := tcpWord(bits)
		if next == w {
			return 0
		}
		if s.word.CompareAndSwap(w, next) {
			return s.changes(t, wordState(w), wordState(next))
		}
		w = s.word.Load()
	}
}

// tcpACK handles segments with ACK, or ACK and FIN.
func (s *session) tcpACK(t *tracker, d Dir, g *segment, own, peer half, w uint32) (change, packet.Reason) {
	if wordState(w) == StateTCPSynSent {
		// The client has nothing to acknowledge yet. The server may hold an older
		// connection half open and answer the SYN with a challenge ACK (RFC 5961
		// section 4); the client will answer that with a RST, see tcpRST.
		if d == Original || g.has(packet.TCPFin) {
			return 0, packet.SessionInvalid
		}
		s.half[d].store(makeHalf(0, g.ack, 0, 0, 0, halfChallenge))
		return 0, packet.None
	}
	var set, clear uint32
	if w&tcpResync != 0 && d == Original && own.has(halfPending) &&
		g.seq == seq(s.pending.Load()) && g.ack == peer.end() {
		own = own.halfOfPending(g.seq)
		clear = tcpResync
	}
	opening := w&d.peer().by(tcpSYN) != 0 && w&d.peer().by(tcpSYNAcked) == 0
	acksSYN := !peer.has(halfUnacked) || g.ack == peer.edge() || g.ack == peer.end() ||
		w&tcpLiberal == 0 && g.ack.inRange(peer.edge(), peer.end())
	switch {
	case w&^clear&(tcpLiberal|tcpResync) == 0:
		if !own.admits(g, peer) {
			return 0, packet.SessionInvalid
		}
	case opening && !acksSYN && w&tcpLiberal != 0:
		return 0, packet.SessionInvalid
	case !own.has(halfBegun):
		own = makeHalf(g.end, 0, 0, 0, 0, halfBegun)
	}
	own = own.note(g, peer)
	s.half[d].store(own)

	if d == Reply {
		set |= tcpAnswered
	}
	if opening && acksSYN {
		set |= d.peer().by(tcpSYNAcked)
	}
	if g.has(packet.TCPFin) {
		set |= d.by(tcpFIN)
	}
	if w&d.peer().by(tcpFIN) != 0 && !own.ack().lessThan(peer.end()) {
		set |= d.peer().by(tcpFINAcked)
	}
	return s.tcpSet(t, w, set, clear), packet.None
}

// tcpSYN handles segments with SYN alone.
func (s *session) tcpSYN(t *tracker, d Dir, g *segment, own half, w uint32) (change, packet.Reason) {
	switch st := wordState(w); {
	case st == StateTCPClosed, st == StateTCPTimeWait && own.end().lessThan(g.seq):
		// RFC 9293 section 3.6.1: from TIME-WAIT with a sequence number above the
		// last. Either end may begin; policy is asked anew.
		return sessionReopened, packet.None

	case st == StateTCPSynSent && (d == Original || !own.has(halfBegun)),
		st == StateTCPSynSent2:
		// Repeated, replaced by a client that started over, or simultaneous open
		// (RFC 9293 section 3.5).
		if own.has(halfBegun) && own.edge() == g.seq.add(1) {
			g.end = g.end.later(own.end()) // repeated without its fast-open data
		}
		s.half[d].store(halfOfSYN(g))
		return s.tcpSet(t, w, d.by(tcpSYN), 0), packet.None

	case own.has(halfSYN) && (own.has(halfAcked) && g.end == own.end() || !own.has(halfAcked) && g.seq.add(1) == own.edge()):
		return 0, packet.None // repeated

	case d == Original:
		// The ends may agree where this record is stale: the server answers a SYN
		// it does not like with a challenge ACK, one it likes with a SYN/ACK.
		s.pending.Store(uint32(g.end))
		s.half[d].store(own.withPending(g))
		return 0, packet.None
	}
	return 0, packet.SessionInvalid
}

// tcpSYNACK handles segments with SYN and ACK.
func (s *session) tcpSYNACK(t *tracker, d Dir, g *segment, own, peer half, w uint32) (change, packet.Reason) {
	acksSYN := peer.has(halfSYN) && g.ack.inRange(own.lowestACK(peer), peer.end())
	switch st := wordState(w); {
	case (st == StateTCPSynSent && d == Reply ||
		st == StateTCPSynSent2 ||
		st == StateTCPSynRecv && w&d.by(tcpSYN) != 0 && w&d.by(tcpSYNAcked) == 0) && acksSYN:
		set := d.by(tcpSYN) | d.peer().by(tcpSYNAcked)
		said := halfOfSYN(g)
		if st == StateTCPSynRecv && own.end() != g.end {
			// A stateless server (SYN cookies) has answered a repeated SYN with
			// another number; whichever arrives first counts: end is one, edge the other.
			set |= tcpLiberal
			said = makeHalf(said.end(), said.ack(), own.end(), said.win(), said.scale(), said.flags())
		}
		s.half[d].store(said)
		return s.tcpSet(t, w, set, 0), packet.None

	case st == StateTCPSynSent:
		// Answers an older SYN, or the client talks to itself.
		return 0, packet.SessionInvalid

	case w&(bothDirs*tcpSYN) == bothDirs*tcpSYN && acksSYN && g.end == own.end():
		// The second SYN/ACK of a simultaneous open.
		s.half[d].store(own.note(g, peer))
		return s.tcpSet(t, w, d.peer().by(tcpSYNAcked), 0), packet.None

	case !own.end().lessThan(g.end) && own.has(halfBegun) && own.admits(g, peer):
		return 0, packet.None // repeated; the receiver answers with an ACK

	case d == Reply && peer.has(halfPending) && g.ack == seq(s.pending.Load()):
		s.half[d].store(halfOfSYN(g))
		return s.tcpSet(t, w, bothDirs*tcpSYN|Original.by(tcpSYNAcked)|tcpResync, tcpBits), packet.None

	case w&(tcpLiberal|tcpResync) != 0:
		return 0, packet.None
	}
	return 0, packet.SessionInvalid
}

// tcpRST handles segments with RST. RFC 9293 section 3.10.7.4 and RFC 5961
// section 3: a RST closes the connection iff its number is exactly the one that
// the receiver expects next, which is what the receiver has acknowledged or, if
// that is under way still, what the sender has sent. One elsewhere in the
// window makes a receiver send a challenge ACK, and is let through to do so.
func (s *session) tcpRST(t *tracker, d Dir, g *segment, own, peer half, w uint32) (change, packet.Reason) {
	closes, passes := false, false
	switch st := wordState(w); {
	case d == Reply && peer.has(halfSYN) && !peer.has(halfAcked) && g.has(packet.TCPAck) &&
		g.ack.inRange(peer.edge(), peer.end()):
		closes = true // connection refused: the sequence number is 0

	case st == StateTCPSynSent && d == Reply:
		// Invalid: it answers no SYN.

	case st == StateTCPSynSent:
		closes = g.seq.inRange(own.edge().sub(1), own.end())
		passes = peer.has(halfChallenge) && g.seq == peer.ack()

	case peer.has(halfAcked) && g.seq == peer.ack(), own.has(halfBegun) && g.seq == own.end():
		closes = true

	case !own.has(halfBegun):
		// Invalid: nothing was sent that it could follow.

	default:
		first, last := own.end(), own.upper(peer)
		switch {
		case stateInfo[st].class == classClosing:
			// The end that has closed answers what is still under way with RSTs whose
			// numbers are those of the segments they answer.
			first = own.end().sub(peer.slack(own))
		case peer.has(halfAcked):
			first = peer.ack()
		}
		if w&(tcpLiberal|tcpResync) != 0 {
			last = first.add(maxSlack)
		}
		passes = g.seq.inRange(first, last)
	}
	switch {
	case closes:
		return s.tcpSet(t, w, tcpClosed, 0), packet.None
	case passes:
		return 0, packet.None
	}
	return 0, packet.SessionInvalid
}
