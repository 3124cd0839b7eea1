package flowtable

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// SCTP chunk types (RFC 9260 section 3.2).
const (
	chunkData             = 0
	chunkInit             = 1
	chunkInitAck          = 2
	chunkHeartbeat        = 4
	chunkHeartbeatAck     = 5
	chunkAbort            = 6
	chunkShutdown         = 7
	chunkShutdownAck      = 8
	chunkError            = 9
	chunkCookieEcho       = 10
	chunkCookieAck        = 11
	chunkShutdownComplete = 14

	numChunks = 16 // types above change no state
)

const (
	sctpHeaderSize  = 12
	chunkHeaderSize = 4
	chunkFlagT      = 1  // ABORT, SHUTDOWN COMPLETE: the tag is the sender's own, reflected
	maxChunks       = 64 // of a packet; more carry nothing that matters here
)

// sctpHalf is a half of an SCTP session, unpacked. A direction's packets carry
// the tag that its peer announced in INIT or INIT ACK (RFC 9260 section 8.5). A
// tag announced while an association stands (restart, section 5.2) is next
// until the announcing end sends COOKIE ECHO or COOKIE ACK.
//
//	half.a   tag 31..0 | next 63..32    0 is none
//	half.b   used 31..0
type sctpHalf struct {
	tag, next uint32 // announced by this direction
	used      uint32 // carried by this direction's packets; only where the peer's announcement was not seen
}

func (h *half) loadSCTP() sctpHalf {
	v := h.load()
	return sctpHalf{tag: uint32(v.a), next: uint32(v.a >> 32), used: uint32(v.b)}
}

func (v *sctpHalf) pack() half {
	return half{a: uint64(v.tag) | uint64(v.next)<<32, b: uint64(v.used)}
}

// announced reports whether v's direction has announced the tag; known whether
// it has announced any.
func (v *sctpHalf) announced(tag uint32) (match, known bool) {
	return tag != 0 && (tag == v.tag || tag == v.next), v.tag|v.next != 0
}

// sctpTransitions are the states that chunks lead to; StateNew is no change.
// Those of the pseudo-states that nf_conntrack keeps, reduced to chunks in the
// direction they may come in.
var sctpTransitions = [numChunks][]sctpTransition{
	chunkInit: {
		{from: StateSCTPHeartbeatSent, dirs: 1 << Original, to: StateSCTPCookieWait},
		{from: StatePickedUp, dirs: 1 << Original, to: StateSCTPCookieWait},
	},
	chunkCookieEcho: {
		{from: StateSCTPCookieWait, dirs: bothDirs, to: StateSCTPCookieEchoed},
	},
	chunkCookieAck: {
		{from: StateSCTPCookieEchoed, dirs: bothDirs, to: StateSCTPEstablished},
		{from: StateSCTPShutdownSent, dirs: bothDirs, to: StateSCTPEstablished}, // restarted
		{from: StateSCTPShutdownRecd, dirs: bothDirs, to: StateSCTPEstablished},
	},
	chunkShutdown: {
		{from: StateSCTPEstablished, dirs: 1 << Original, to: StateSCTPShutdownSent},
		{from: StateSCTPEstablished, dirs: 1 << Reply, to: StateSCTPShutdownRecd},
	},
	chunkShutdownAck: {
		{from: StateSCTPEstablished, dirs: bothDirs, to: StateSCTPShutdownAckSent},
		{from: StateSCTPShutdownSent, dirs: bothDirs, to: StateSCTPShutdownAckSent},
		{from: StateSCTPShutdownRecd, dirs: bothDirs, to: StateSCTPShutdownAckSent},
	},
	chunkShutdownComplete: {
		{from: StateSCTPShutdownAckSent, dirs: bothDirs, to: StateSCTPClosed},
	},
	chunkHeartbeatAck: {
		{from: StateSCTPHeartbeatSent, dirs: 1 << Reply, to: StateSCTPEstablished},
	},
}

type sctpTransition struct {
	from State
	dirs uint8 // set of directions, bit 1 << Dir
	to   State
}

// sctpNext returns the state after a chunk of direction d.
func sctpNext(st State, d Dir, chunk uint8) State {
	if chunk == chunkAbort {
		return StateSCTPClosed
	}
	if chunk < numChunks {
		for _, t := range sctpTransitions[chunk] {
			if t.from == st && t.dirs>>d&1 != 0 {
				return t.to
			}
		}
	}
	if st == StatePickedUp && d == Reply {
		return StateSCTPEstablished
	}
	return st
}

// chunks is a packet's chunks, still to be read.
type chunks struct {
	rest  []byte
	count int  // read
	cut   bool // the packet is a fragment: the last chunk may be incomplete
}

// sctpChunks returns the tag and the chunks of a packet; false if there is no
// whole SCTP header.
func sctpChunks(in *packet.Info, frame []byte) (tag uint32, c chunks, ok bool) {
	first, last := int(in.L4), min(int(in.L3)+int(in.IPLen), len(frame))
	if last-first < sctpHeaderSize {
		return 0, c, false
	}
	h := frame[first:last]
	return binary.BigEndian.Uint32(h[4:]), chunks{rest: h[sctpHeaderSize:], cut: in.Has(packet.IsFragment)}, true
}

// next returns the type, flags and value of the next chunk; more is false at
// the end, legal is false where chunks contradict themselves or RFC 9260
// section 6.10: INIT, INIT ACK and SHUTDOWN COMPLETE travel alone, COOKIE ECHO
// and COOKIE ACK first.
func (c *chunks) next() (typ, flags uint8, value []byte, more, legal bool) {
	if len(c.rest) < chunkHeaderSize || c.count == maxChunks {
		return 0, 0, nil, false, c.count > 0
	}
	typ, flags = c.rest[0], c.rest[1]
	size := int(binary.BigEndian.Uint16(c.rest[2:]))
	if size < chunkHeaderSize {
		return 0, 0, nil, false, false
	}
	if size > len(c.rest) {
		if !c.cut {
			return 0, 0, nil, false, false
		}
		size = len(c.rest)
	}
	value = c.rest[chunkHeaderSize:size]
	c.rest = c.rest[min((size+3)&^3, len(c.rest)):] // chunks are padded to four octets
	alone := typ == chunkInit || typ == chunkInitAck || typ == chunkShutdownComplete
	first := typ == chunkCookieEcho || typ == chunkCookieAck
	if c.count > 0 && (alone || first) || alone && len(c.rest) >= chunkHeaderSize {
		return 0, 0, nil, false, false
	}
	c.count++
	return typ, flags, value, true, true
}

// beginSCTP returns the word and original half of an association that begins
// with the packet; StateNew if none does.
func beginSCTP(strict bool, in *packet.Info, frame []byte) (uint32, half) {
	tag, c, ok := sctpChunks(in, frame)
	if !ok {
		return 0, half{}
	}
	typ, _, value, more, legal := c.next()
	if !more || !legal {
		return 0, half{}
	}
	var v sctpHalf
	var st State
	switch {
	case typ == chunkInit:
		if v.next = initTag(value); v.next == 0 || tag != 0 {
			return 0, half{}
		}
		st = StateSCTPCookieWait
	case strict || tag == 0:
		return 0, half{}
	case typ == chunkHeartbeat:
		v.used, st = tag, StateSCTPHeartbeatSent
	case typ == chunkInitAck, typ == chunkAbort, typ == chunkError, typ == chunkCookieAck, typ == chunkShutdownComplete:
		return 0, half{} // answers to what was not seen (RFC 9260 section 8.4)
	default:
		v.used, st = tag, StatePickedUp
	}
	return makeWord(st, kindSCTP, 0), v.pack()
}

// initTag returns the tag that the value of an INIT or INIT ACK announces; 0
// is no legal one.
func initTag(value []byte) uint32 {
	if len(value) < 16 {
		return 0
	}
	return binary.BigEndian.Uint32(value)
}

// trackSCTP is track for SCTP.
func (s *session) trackSCTP(t *tracker, d Dir, in *packet.Info, frame []byte) (change, packet.Reason) {
	tag, c, ok := sctpChunks(in, frame)
	if !ok {
		return 0, packet.SessionInvalid
	}
	w := s.word.Load()
	own, peer := s.half[d].loadSCTP(), s.half[d.peer()].loadSCTP()
	before, from := own, wordState(w)
	st := from
	for {
		typ, flags, value, more, legal := c.next()
		if !legal {
			return 0, packet.SessionInvalid
		}
		if !more {
			break
		}
		switch {
		case typ == chunkInit:
			if tag != 0 || initTag(value) == 0 {
				return 0, packet.SessionInvalid
			}
			if st == StateSCTPClosed {
				return sessionReopened, packet.None
			}
			own.next = initTag(value)
		case !own.carries(&peer, typ, flags, tag):
			return 0, packet.SessionInvalid
		case typ == chunkInitAck:
			if own.next = initTag(value); own.next == 0 {
				return 0, packet.SessionInvalid
			}
		case typ == chunkCookieEcho, typ == chunkCookieAck:
			if own.next != 0 {
				own.tag, own.next = own.next, 0
			}
		}
		st = sctpNext(st, d, typ)
	}
	if own != before {
		s.half[d].store(own.pack())
	}
	if st == from {
		return 0, packet.None
	}
	if !s.word.CompareAndSwap(w, makeWord(st, kindSCTP, 0)) {
		return s.trackSCTP(t, d, in, frame) // the other direction was faster; a packet is idempotent
	}
	return s.changes(t, from, st), packet.None
}

// carries reports whether a packet of direction own may carry the tag with this
// chunk (RFC 9260 section 8.5.1), and learns the tag where the peer's
// announcement was not seen.
func (own *sctpHalf) carries(peer *sctpHalf, typ, flags uint8, tag uint32) bool {
	if (typ == chunkAbort || typ == chunkShutdownComplete) && flags&chunkFlagT != 0 {
		if match, known := own.announced(tag); known {
			return match
		}
		return tag != 0 && tag == peer.used
	}
	if match, known := peer.announced(tag); known {
		return match
	}
	if own.used == 0 && tag != 0 && typ != chunkAbort {
		own.used = tag
	}
	return tag != 0 && tag == own.used
}

// announcedTo reports whether peer may have sent a packet with the tag: one
// that own announced, or 0 with an INIT.
func (own *sctpHalf) announcedTo(peer *sctpHalf, tag uint32) bool {
	if tag == 0 {
		return peer.next != 0
	}
	if match, known := own.announced(tag); known {
		return match
	}
	return tag == peer.used
}
