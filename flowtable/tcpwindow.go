package flowtable

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// tcpHalf is a half of a TCP session, unpacked: all that one direction has said.
//
//	half.a   end 31..0 | ack 63..32
//	half.b   edge 31..0 | win 47..32 | scale 51..48 | flags 63..52
//
// The window rules are those of Guido van Rooij, "Real Stateful TCP Packet
// Filtering in IP Filter" (2000), as nf_conntrack amends them, turned so that
// every number is the property of the direction that said it and none is
// written by the peer: where they keep td_maxend with the sender, it is the
// receiver's edge here.
type tcpHalf struct {
	end  seq // highest sequence number sent, plus length; valid iff halfBegun
	ack  seq // highest acknowledgement sent; valid iff halfAcked
	edge seq // highest acknowledgement plus window; until halfAcked the initial sequence number plus one

	win   uint16 // largest window sent, unscaled
	scale uint8  // shift of win; it counts only if both directions have halfScale
	flags halfFlags
}

// halfFlags are the flags of a tcpHalf; 12 bits.
type halfFlags uint16

const (
	halfBegun     halfFlags = 1 << iota // something was sent
	halfAcked                           // something was acknowledged
	halfSYN                             // nothing but SYNs was sent, without data unless it is the first: win is not to be scaled
	halfScale                           // its SYN offered window scaling
	halfChallenge                       // ack is of a challenge ACK; nothing else is valid
	halfPending                         // session.pending is valid: the end of a SYN that was let through out of place
	halfPendingScale

	pendingScaleShift = 8 // the scale that SYN offered, four bits, valid iff halfPendingScale
	halfPendingAll    = halfPending | halfPendingScale | 0xf<<pendingScaleShift
)

func (h *half) load() tcpHalf {
	a, b := atomic.LoadUint64(&h.a), atomic.LoadUint64(&h.b)
	return tcpHalf{
		end:   seq(a),
		ack:   seq(a >> 32),
		edge:  seq(b),
		win:   uint16(b >> 32),
		scale: uint8(b>>48) & 0xf,
		flags: halfFlags(b >> 52),
	}
}

func (v *tcpHalf) pack() half {
	return half{
		a: uint64(v.end) | uint64(v.ack)<<32,
		b: uint64(v.edge) | uint64(v.win)<<32 | uint64(v.scale)<<48 | uint64(v.flags)<<52,
	}
}

func (h *half) store(v *tcpHalf) {
	p := v.pack()
	relaxedStore64(&h.a, p.a)
	relaxedStore64(&h.b, p.b)
}

// has reports whether any of the flags f is set.
func (v *tcpHalf) has(f halfFlags) bool { return v.flags&f != 0 }

// window returns the largest window v has offered, in octets.
func (v *tcpHalf) window(peer *tcpHalf) uint32 { return v.scaled(v.win, peer) }

func (v *tcpHalf) scaled(win uint16, peer *tcpHalf) uint32 {
	shift := v.scale
	if v.flags&halfSYN != 0 || peer.flags&halfScale == 0 {
		shift = 0
	}
	return uint32(win) << shift
}

const (
	// minSlack is the least a segment may lag behind. Above the largest unscaled
	// window, because a sender may fill a window that was seen here only in part.
	minSlack = 66000

	// maxSlack keeps window and slack together below half the circle.
	maxSlack = 1 << 30
)

// slack returns for how many octets behind its sender's newest a segment, or
// its acknowledgement, is still one of this connection's. A sender has at most
// the receiver's window in flight, so nothing it has to repeat is further
// behind. Twice that is let pass, as nf_conntrack lets pass all that is below
// the window: the network reorders, the sender may not have had the
// acknowledgements seen here, and the receiver has to see a repetition in order
// to acknowledge it again. The receiver drops what it already has; a blind
// sender gains nothing but a challenge ACK.
func (v *tcpHalf) slack(peer *tcpHalf) uint32 {
	return min(2*max(v.window(peer), minSlack), maxSlack)
}

// upper returns the highest sequence number the direction own may send at: the
// edge of peer's window, where a probe of a closed window is (RFC 9293 section
// 3.8.6.1), and one more, where the sender is after the probe or a FIN.
func (own *tcpHalf) upper(peer *tcpHalf) seq {
	if peer.flags&halfAcked != 0 {
		return peer.edge.add(1)
	}
	// Data of the answering end before the first ACK: fast open (RFC 7413).
	return own.end.add(peer.window(own) + 1)
}

// admits reports whether g is in the window of the connection: sent by the
// direction own, whose acknowledgements are peer's concern. Both have begun.
//
//	I    seq  <= edge of peer
//	II   end  >= end of own  - slack of peer
//	III  sack <= end of peer
//	IV   sack >= end of peer - slack of own
//
// where sack is the highest octet acknowledged selectively or otherwise. While
// peer has sent only a SYN, IV is exact: that SYN, or data that came with it.
func (own *tcpHalf) admits(g *segment, peer *tcpHalf) bool {
	if own.upper(peer).lessThan(g.seq) || g.end.lessThan(own.end.sub(peer.slack(own))) {
		return false
	}
	sack := g.sackEdge()
	return !peer.end.lessThan(sack) && !sack.lessThan(own.lowestACK(peer))
}

// lowestACK returns the lowest acknowledgement that own may send.
func (own *tcpHalf) lowestACK(peer *tcpHalf) seq {
	switch {
	case peer.flags&halfSYN == 0:
		return peer.end.sub(own.slack(peer))
	case peer.flags&halfAcked == 0:
		return peer.edge
	}
	return peer.end
}

// note takes an admitted segment with ACK into v. It also forgets a pending
// SYN: who goes on with the connection has not begun another.
func (v *tcpHalf) note(g *segment, peer *tcpHalf) {
	open := uint32(0) // the window of its SYN, which was not scaled
	if v.flags&halfSYN != 0 && !g.has(packet.TCPSyn) {
		v.flags &^= halfSYN
		open, v.win = uint32(v.win), 0
	}
	v.flags &^= halfPendingAll
	v.win = max(v.win, g.win)
	v.end = v.end.later(g.end)
	window := v.scaled(g.win, peer)
	if v.flags&halfAcked == 0 {
		v.flags |= halfAcked
		v.ack, v.edge = g.ack, g.ack.add(max(window, open))
		return
	}
	edge := g.ack.add(window)
	v.ack = v.ack.later(g.ack)
	v.edge = v.edge.later(edge)
}

// halfOfSYN returns what a SYN or SYN/ACK says.
func halfOfSYN(g *segment) (v tcpHalf) {
	v = tcpHalf{end: g.end, edge: g.seq.add(1), win: g.win, flags: halfBegun | halfSYN}
	if scale, offered := g.windowScale(); offered {
		v.scale = scale
		v.flags |= halfScale
	}
	if g.has(packet.TCPAck) {
		v.ack = g.ack
		v.edge = g.ack.add(uint32(g.win))
		v.flags |= halfAcked
		if g.end != g.seq.add(1) {
			v.flags &^= halfSYN // with data: it may be acknowledged in parts
		}
	}
	return v
}

// halfOfPending returns what the SYN said that ended before end.
func (v *tcpHalf) halfOfPending(end seq) tcpHalf {
	p := tcpHalf{end: end, edge: end, flags: halfBegun | halfSYN}
	if v.has(halfPendingScale) {
		p.scale = uint8(v.flags>>pendingScaleShift) & 0xf
		p.flags |= halfScale
	}
	return p
}

// setPending records that g, a SYN, was let through out of place.
func (v *tcpHalf) setPending(g *segment) {
	v.flags = v.flags&^halfPendingAll | halfPending
	if scale, offered := g.windowScale(); offered {
		v.flags |= halfPendingScale | halfFlags(scale)<<pendingScaleShift
	}
}
