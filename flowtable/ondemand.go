package flowtable

import (
	"github.com/sluice-net/sluice/packet"
)

// Expire ends the session of id if its time is over at now, although the sweep
// has not been by, and reports whether it is no longer live. The pipeline asks
// when a packet comes after a pause; so what a packet finds does not depend on
// how far the sweep is.
func (w *Worker) Expire(id ID, now int64) bool {
	t, n := w.t, id.Session()
	s := t.session(n)
	if s.control().phase() != phaseLive {
		return s.control().phase() == phaseEnded
	}
	state := s.state()
	if t.lastSeen(n)+t.tracker.Load().of(s.control().timers())[state] > now {
		return false
	}
	w.end(n, endOf(state), now)
	return true
}

// ShortestTimeout returns the least time, in ns, after which a session in any
// state can be over: a packet that comes sooner after the last needs no Expire. It
// follows SetTimers, and costs two loads.
func (t *Table) ShortestTimeout() int64 { return t.tracker.Load().shortest }

// TrackError decides whether an ICMP error may pass that quotes a packet of
// the session: id is the direction in which the error travels, as looked up by
// the key that packet.Parse makes of it. It returns SessionUnrelated for a
// forged or stale error.
func (w *Worker) TrackError(id ID, in *packet.Info, frame []byte, now int64) packet.Reason {
	offset, ok := packet.QuotedPacket(frame, in)
	if !ok {
		return packet.SessionUnrelated
	}
	outer, quoted := frame[in.L3:], frame[offset:int(in.L3)+int(in.IPLen)]
	l4 := 0
	// An error is for who has sent what it quotes. One for somebody else would get past
	// rules as part of a session that is none of its receiver's (CVE-2019-5598, pf).
	if in.Has(packet.IsIPv4) {
		to, _ := packet.AsIPv4(outer)
		ip, _ := packet.AsIPv4(quoted) // QuotedPacket has checked
		if to.Dst() != ip.Src() {
			return packet.SessionUnrelated
		}
		l4 = ip.HeaderLen()
	} else {
		to, _ := packet.AsIPv6(outer)
		ip, _ := packet.AsIPv6(quoted)
		if to.Dst() != ip.Src() {
			return packet.SessionUnrelated
		}
		it := ip.Extensions()
		for _, more := it.Next(); more; _, more = it.Next() {
		}
		l4 = it.Offset()
	}
	n := id.Session()
	s := w.t.session(n)
	timers, before := w.t.tracker.Load(), s.state()
	r := s.relatedError(id.Dir(), quoted[l4:])
	if c := s.changes(timers, before, s.state()); c != 0 {
		w.t.stateChanged(n, c, now)
	}
	w.t.recheck(n, timers)
	if r == packet.None && id.Dir() == Reply && refuses(frame[in.L4:], in, before) {
		w.tellOfMember(w.t.cfg.Refused, id, now)
	}
	return r
}

// refuses reports whether an ICMP error says no to a session in a state. A size that is too large is no refusal, nor is what
// a host that is there says of one packet of many.
func refuses(message []byte, in *packet.Info, st State) bool {
	m, ok := packet.AsICMP(message)
	if !ok {
		return false
	}
	unreachable, port := m.Type() == packet.ICMPUnreachable && m.Code() != packet.ICMPCodeFragNeeded, uint8(packet.ICMPCodePort)
	if !in.Has(packet.IsIPv4) {
		unreachable, port = m.Type() == packet.ICMPv6Unreachable, packet.ICMPv6CodePort
	}
	switch st {
	case StateUDPFirst, StateUDPSingle, StateUDPMultiple:
		return unreachable && m.Code() == port
	}
	return unreachable && st.unanswered()
}
