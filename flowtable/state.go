package flowtable

import (
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
)

// State is where a session is in its protocol. It is derived from the packets
// of both directions as the tracker saw them, not from either end's own view.
type State uint8

const (
	StateNew State = iota // record not in use

	// PICKED_UP is a TCP connection or SCTP association whose beginning was not
	// seen, before the peer has answered.
	StatePickedUp

	// TCP, names of nf_conntrack.

	StateTCPSynSent     // SYN one way
	StateTCPSynSent2    // SYN both ways, none acknowledged: simultaneous open
	StateTCPSynRecv     // one SYN acknowledged
	StateTCPEstablished // both acknowledged, or picked up and answered
	StateTCPFinWait     // FIN one way
	StateTCPCloseWait   // FIN one way, acknowledged: half closed
	StateTCPLastAck     // FIN both ways
	StateTCPTimeWait    // FIN both ways, both acknowledged
	StateTCPClosed      // RST

	// UDP, names of pf.

	StateUDPFirst    // one packet
	StateUDPSingle   // several packets, one way
	StateUDPMultiple // packets both ways

	StateICMPFirst   // query, no answer yet
	StateICMPReplied // answered
	StateICMPError   // an ICMP error came back for a query

	// SCTP, names of nf_conntrack.

	StateSCTPCookieWait      // INIT, or INIT ACK too
	StateSCTPCookieEchoed    // COOKIE ECHO
	StateSCTPEstablished     // COOKIE ACK, or picked up and answered
	StateSCTPShutdownSent    // SHUTDOWN in the original direction
	StateSCTPShutdownRecd    // SHUTDOWN in the reply direction
	StateSCTPShutdownAckSent // SHUTDOWN ACK
	StateSCTPClosed          // SHUTDOWN COMPLETE or ABORT
	StateSCTPHeartbeatSent   // HEARTBEAT without an association: a second path of a multi-homed one

	// Every other protocol, as UDP.

	StateOtherFirst
	StateOtherSingle
	StateOtherMultiple

	numStates
)

// class is what the table has to know of a state: whom to evict first and what
// counts against which limit.
type class uint8

const (
	classEmbryonic   class = iota // the peer has not taken part, or not completed the handshake
	classEstablished              // both ends have agreed
	classClosing                  // an end is on its way out
)

// stateInfo is what is known of each state, in one place.
var stateInfo = [numStates]struct {
	name  string
	class class
	ended bool // nothing but stragglers is expected any more

	// next is the successor for a packet of the original and of the reply
	// direction; only for protocols whose packets are all alike.
	next [2]State
}{
	StateNew:                 {name: "NEW"},
	StatePickedUp:            {name: "PICKED_UP"},
	StateTCPSynSent:          {name: "SYN_SENT"},
	StateTCPSynSent2:         {name: "SYN_SENT2"},
	StateTCPSynRecv:          {name: "SYN_RECV"},
	StateTCPEstablished:      {name: "ESTABLISHED", class: classEstablished},
	StateTCPFinWait:          {name: "FIN_WAIT", class: classClosing},
	StateTCPCloseWait:        {name: "CLOSE_WAIT", class: classClosing},
	StateTCPLastAck:          {name: "LAST_ACK", class: classClosing},
	StateTCPTimeWait:         {name: "TIME_WAIT", class: classClosing, ended: true},
	StateTCPClosed:           {name: "CLOSED", class: classClosing, ended: true},
	StateUDPFirst:            {name: "FIRST", next: [2]State{StateUDPSingle, StateUDPMultiple}},
	StateUDPSingle:           {name: "SINGLE", next: [2]State{StateUDPSingle, StateUDPMultiple}},
	StateUDPMultiple:         {name: "MULTIPLE", class: classEstablished, next: [2]State{StateUDPMultiple, StateUDPMultiple}},
	StateICMPFirst:           {name: "FIRST", next: [2]State{StateICMPFirst, StateICMPReplied}},
	StateICMPReplied:         {name: "REPLIED", class: classEstablished, next: [2]State{StateICMPReplied, StateICMPReplied}},
	StateICMPError:           {name: "ERROR", class: classClosing, next: [2]State{StateICMPError, StateICMPError}},
	StateSCTPCookieWait:      {name: "COOKIE_WAIT"},
	StateSCTPCookieEchoed:    {name: "COOKIE_ECHOED"},
	StateSCTPEstablished:     {name: "ESTABLISHED", class: classEstablished},
	StateSCTPShutdownSent:    {name: "SHUTDOWN_SENT", class: classClosing},
	StateSCTPShutdownRecd:    {name: "SHUTDOWN_RECD", class: classClosing},
	StateSCTPShutdownAckSent: {name: "SHUTDOWN_ACK_SENT", class: classClosing},
	StateSCTPClosed:          {name: "CLOSED", class: classClosing, ended: true},
	StateSCTPHeartbeatSent:   {name: "HEARTBEAT_SENT"},
	StateOtherFirst:          {name: "FIRST", next: [2]State{StateOtherSingle, StateOtherMultiple}},
	StateOtherSingle:         {name: "SINGLE", next: [2]State{StateOtherSingle, StateOtherMultiple}},
	StateOtherMultiple:       {name: "MULTIPLE", class: classEstablished, next: [2]State{StateOtherMultiple, StateOtherMultiple}},
}

// String returns the name as flow records and listings carry it. Names are
// unique within a protocol only.
func (st State) String() string {
	if st < numStates {
		return stateInfo[st].name
	}
	return "UNKNOWN"
}

// change says what a packet did to its session beside passing; a set.
type change uint8

const (
	classChanged     change = 1 << iota // session.class is another one now
	timeoutShortened                    // session.timeout is less than before
	sessionEnded                        // RST, last acknowledgement, ABORT…: first packet that says so
	// sessionReopened: this packet begins a new connection on the tuple of one
	// that is over. The record is untouched and the packet not accounted for:
	// retire the session and treat the packet as a miss, so that policy and load
	// balancing decide anew.
	sessionReopened
	sessionRefused  // an end has said no to the first packet: with sessionEnded
	sessionAnswered // both ends have agreed: with classChanged
)

// session is the part of a session that both directions share: one cache line,
// without pointers, in the table's mapping.
//
//	 0  start      written by begin
//	 8  half[0]    written by the worker that polls the original direction
//	24  half[1]    written by the worker that polls the reply direction
//	40  word       changed by compare and swap, only when the state changes
//	44  pending    written by the original direction
//	48  table      the table's
//	56  terms      the table's
//
// So a packet in the middle of a connection costs plain loads and stores: what
// a direction tells (how far it has sent, acknowledged, and opened its window)
// is in words of its own, and what it may send follows from its peer's.
type session struct {
	start int64 // ns, of the first packet

	half [2]half // by Dir

	word    atomic.Uint32 // State 7..0 | kind 15..8 | protocol's bits 31..16
	pending atomic.Uint32 // TCP: see tcp.go; valid iff the original half has halfPending

	table uint64 // the table's: see control
	terms uint64 // the table's: see Terms.pack; written by Create only
}

// half is one direction's share of a session: two words, each written whole by
// relaxed.Store and read by atomic load, so that what the peer sees of one word
// is consistent. What they hold is the protocol's business.
type half struct{ a, b uint64 }

func (h *half) load() half {
	return half{atomic.LoadUint64(&h.a), atomic.LoadUint64(&h.b)}
}

// store is for the worker that polls the direction.
func (h *half) store(v half) {
	relaxed.Store(&h.a, v.a)
	relaxed.Store(&h.b, v.b)
}

const sessionSize = 64

var _ = [1]struct{}{}[unsafe.Sizeof(session{})-sessionSize]

// kind is the machine that tracks a session.
type kind uint8

const (
	kindAlike kind = iota // UDP, ICMP and other protocols: only the direction of a packet matters
	kindTCP
	kindSCTP
)

func makeWord(st State, k kind, bits uint32) uint32 { return uint32(st) | uint32(k)<<8 | bits }
func wordState(w uint32) State                      { return State(w) }
func wordKind(w uint32) kind                        { return kind(w >> 8) }

// Trackable reports whether a packet is of a kind that has sessions: not ICMP
// other than queries and their replies (errors belong to the session of the
// packet they quote; ND, MLD and router discovery to none) and not IGMP.
func Trackable(in *packet.Info) bool {
	if !in.Has(packet.IsIP) || in.Has(packet.ICMPError) {
		return false
	}
	switch in.Proto {
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return in.Has(packet.HasPorts | packet.IsLaterFragment)
	case packet.ProtoIGMP:
		return false
	}
	return true
}

// begin makes s the session of the packet in, which is of the original
// direction and at frame, received at now. It returns SessionInvalid, with s
// untouched, if no session begins with such a packet. The caller owns s alone
// until it publishes it. When strict, a TCP connection or SCTP association begins
// with its handshake or not at all; otherwise one under way is picked up, as after
// a restart.
func (s *session) begin(strict bool, in *packet.Info, frame []byte, now int64) packet.Reason {
	if !Trackable(in) {
		return packet.SessionInvalid
	}
	// A later fragment begins nothing: what it is a part of was not let through.
	if in.Has(packet.IsLaterFragment) && hasTransport(in.Proto) {
		return packet.SessionInvalid
	}
	word, halves := uint32(0), [2]half{}
	switch in.Proto {
	case packet.ProtoTCP:
		word, halves[Original] = beginTCP(strict, in, frame)
	case packet.ProtoSCTP:
		word, halves[Original] = beginSCTP(strict, in, frame)
	case packet.ProtoUDP:
		word = makeWord(StateUDPFirst, kindAlike, 0)
	case packet.ProtoICMP, packet.ProtoICMPv6:
		if isQuery(in, frame) {
			word = makeWord(StateICMPFirst, kindAlike, 0)
		}
	default:
		word = makeWord(StateOtherFirst, kindAlike, 0)
	}
	if wordState(word) == StateNew {
		return packet.SessionInvalid
	}
	relaxed.Store(&s.start, now)
	for d := range s.half {
		s.half[d].store(halves[d])
	}
	relaxed.Store((*uint32)(unsafe.Pointer(&s.pending)), 0)
	relaxed.Store((*uint32)(unsafe.Pointer(&s.word)), word)
	return packet.None
}

// hasTransport reports whether packets of the protocol are told apart by
// something in their transport header.
func hasTransport(proto uint8) bool {
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, packet.ProtoICMP, packet.ProtoICMPv6:
		return true
	}
	return false
}

// isQuery reports whether an ICMP packet asks rather than answers: a reply
// without its request is no session.
func isQuery(in *packet.Info, frame []byte) bool {
	if int(in.L4) >= len(frame) {
		return false
	}
	switch typ := frame[in.L4]; in.Proto {
	case packet.ProtoICMP:
		return typ == packet.ICMPEcho || typ == packet.ICMPTimestamp || typ == packet.ICMPInformation ||
			typ == packet.ICMPAddressMask || typ == packet.ICMPExtendedEcho
	default:
		return typ == packet.ICMPv6Echo || typ == packet.ICMPv6ExtendedEcho
	}
}

// track takes a packet of direction d of the session into account. It is
// called by the worker that polls d. A Reason other than None says that the
// packet is no legal part of the session; it has changed nothing then.
func (s *session) track(t *tracker, d Dir, in *packet.Info, frame []byte) (change, packet.Reason) {
	w := s.word.Load()
	if in.Has(packet.IsLaterFragment) {
		return 0, packet.None // the first fragment has spoken for it
	}
	switch wordKind(w) {
	case kindTCP:
		return s.trackTCP(t, d, in, frame, w)
	case kindSCTP:
		return s.trackSCTP(t, d, in, frame)
	}
	for {
		next := stateInfo[wordState(w)].next[d]
		if next == wordState(w) {
			return 0, packet.None
		}
		if s.word.CompareAndSwap(w, makeWord(next, kindAlike, 0)) {
			return s.changes(t, wordState(w), next), packet.None
		}
		w = s.word.Load()
	}
}

// changes compares two states.
func (s *session) changes(t *tracker, from, to State) (c change) {
	a, b := &stateInfo[from], &stateInfo[to]
	if a.class != b.class {
		c |= classChanged
		if b.class == classEstablished {
			c |= sessionAnswered
		}
	}
	if timeouts := t.of(s.control().timers()); timeouts[to] < timeouts[from] {
		c |= timeoutShortened
	}
	if b.ended && !a.ended {
		c |= sessionEnded
		if from.unanswered() {
			c |= sessionRefused
		}
	}
	return c
}

// unanswered reports whether a connection has been asked for, and the peer has said nothing that counts.
func (st State) unanswered() bool { return st == StateTCPSynSent || st == StateSCTPCookieWait }

// settled reports whether track has nothing left to do for packets of
// direction d; once true it stays so.
func (s *session) settled(d Dir) bool {
	w := s.word.Load()
	return wordKind(w) == kindAlike && stateInfo[wordState(w)].next[d] == wordState(w)
}

// state returns the session's state.
func (s *session) state() State { return wordState(s.word.Load()) }

// class returns the session's class.
func (s *session) class() class { return stateInfo[s.state()].class }

// timeout returns for how long, in nanoseconds, the session outlives its last
// packet in its present state.
func (s *session) timeout(t *tracker) int64 { return t.of(s.control().timers())[s.state()] }
