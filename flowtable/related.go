package flowtable

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// relatedError decides whether an ICMP error that travels in direction d of
// the session is about a packet that the session has seen: of the opposite
// direction, its transport header beginning at quotedL4, of which an error
// carries at least eight octets (RFC 792; RFC 4443 section 3 more). It returns
// SessionUnrelated for a forged or stale error; the error leaves the session as
// it is, except that an ICMP session is in state ERROR from then on.
//
// A blind sender knows the ports of a connection, or guesses them among 2^16;
// so for TCP the quoted sequence number has to be one in flight (RFC 5927
// section 4.1), for SCTP the verification tag the session's (RFC 9260
// section 10).
func (s *session) relatedError(d Dir, quotedL4 []byte) packet.Reason {
	w := s.word.Load()
	if len(quotedL4) < 8 {
		return packet.SessionUnrelated
	}
	quoted := binary.BigEndian.Uint32(quotedL4[4:])
	switch wordKind(w) {
	case kindTCP:
		if w&(tcpLiberal|tcpResync) != 0 {
			return packet.None
		}
		own, peer := s.half[d].load(), s.half[d.peer()].load()
		if !peer.has(halfBegun) || !seq(quoted).inRange(peer.end().sub(own.slack(peer)), peer.end()) {
			return packet.SessionUnrelated
		}
	case kindSCTP:
		own, peer := s.half[d].loadSCTP(), s.half[d.peer()].loadSCTP()
		if !own.announcedTo(&peer, quoted) {
			return packet.SessionUnrelated
		}
	default:
		s.icmpError(w)
	}
	return packet.None
}

// icmpError notes that an error came back for the query of an ICMP session.
func (s *session) icmpError(w uint32) {
	for wordState(w) == StateICMPFirst || wordState(w) == StateICMPReplied {
		if s.word.CompareAndSwap(w, makeWord(StateICMPError, kindAlike, 0)) {
			return
		}
		w = s.word.Load()
	}
}
