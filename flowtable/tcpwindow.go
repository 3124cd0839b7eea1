package flowtable

import "github.com/sluice-net/sluice/packet"

// A half of a TCP session is all that one direction has said:
//
//	half.a   end 31..0 | ack 63..32
//	half.b   edge 31..0 | win 47..32 | scale 51..48 | flags 63..52
//
//	end     highest sequence number sent, plus length; valid iff halfBegun
//	ack     highest acknowledgement sent; valid iff halfAcked
//	edge    highest acknowledgement plus window; while halfUnacked the initial
//	        sequence number plus one, which the peer must acknowledge at least
//	win     largest window sent, unscaled
//	scale   shift of win; it counts only if both directions have halfScale
//
// The window rules are those of Guido van Rooij, "Real Stateful TCP Packet
// Filtering in IP Filter" (2000), as nf_conntrack amends them, turned so that
// every number is the property of the direction that said it and none is
// written by the peer: where they keep td_maxend with the sender, it is the
// receiver's edge here.
//
// A half is handled as its two words, in registers: unpacked into a struct of
// six fields, which the compiler keeps in memory, tracking took half as long
// again.
type halfFlags uint16 // 12 bits

const (
	halfBegun     halfFlags = 1 << iota // something was sent
	halfAcked                           // something was acknowledged
	halfSYN                             // nothing but SYNs was sent: win is not to be scaled
	halfScale                           // its SYN offered window scaling
	halfChallenge                       // ack is of a challenge ACK; nothing else is valid
	halfPending                         // session.pending is valid: the end of a SYN that was let through out of place
	halfPendingScale
	halfUnacked // its SYN: by the time it last sent something, the peer had not acknowledged it

	pendingScaleShift = 8 // the scale that SYN offered, four bits, valid iff halfPendingScale
	halfPendingAll    = halfPending | halfPendingScale | 0xf<<pendingScaleShift

	flagsShift = 52
	scaleShift = 48
	winShift   = 32
)

func makeHalf(end, ack, edge seq, win uint16, scale uint8, flags halfFlags) half {
	return half{
		a: uint64(end) | uint64(ack)<<32,
		b: uint64(edge) | uint64(win)<<winShift | uint64(scale)<<scaleShift | uint64(flags)<<flagsShift,
	}
}

func (v half) end() seq             { return seq(v.a) }
func (v half) ack() seq             { return seq(v.a >> 32) }
func (v half) edge() seq            { return seq(v.b) }
func (v half) win() uint16          { return uint16(v.b >> winShift) }
func (v half) scale() uint8         { return uint8(v.b>>scaleShift) & 0xf }
func (v half) flags() halfFlags     { return halfFlags(v.b >> flagsShift) }
func (v half) has(f halfFlags) bool { return v.b&(uint64(f)<<flagsShift) != 0 } // any of f

// shift returns by how much v's windows are to be shifted.
func (v half) shift(peer half) uint8 {
	if v.has(halfSYN) || !peer.has(halfScale) {
		return 0
	}
	return v.scale()
}

const (
	// minSlack is the least a segment may lag behind. Above the largest unscaled
	// window, because a sender may fill a window that was seen here only in part.
	minSlack = 66000

	// maxSlack keeps window and slack together below half the circle.
	maxSlack = 1 << 30
)

// slack returns for how many octets behind its sender's newest a segment, or
// its acknowledgement, is still one of this connection's; v's largest window
// decides. A sender has at most the receiver's window in flight, so nothing it
// has to repeat is further behind. Twice that is let pass, as nf_conntrack lets
// pass all that is below the window: the network reorders, the sender may not
// have had the acknowledgements seen here, and the receiver has to see a
// repetition in order to acknowledge it again. The receiver drops what it
// already has; a blind sender gains nothing but a challenge ACK.
func (v half) slack(peer half) uint32 {
	return min(2*max(uint32(v.win())<<v.shift(peer), minSlack), maxSlack)
}

// limit returns the highest acknowledgement plus window; valid iff halfAcked.
func (v half) limit(peer half) seq {
	if v.has(halfUnacked) {
		return v.ack().add(uint32(v.win()) << v.shift(peer))
	}
	return v.edge()
}

// upper returns the highest sequence number the direction own may send at: the
// edge of peer's window, where a probe of a closed window is (RFC 9293 section
// 3.8.6.1), and one more, where the sender is after the probe or a FIN.
func (own half) upper(peer half) seq {
	if peer.has(halfAcked) {
		return peer.limit(own).add(1)
	}
	// Data of the answering end before the first ACK: fast open (RFC 7413).
	return own.end().add(uint32(peer.win()) + 1)
}

// admits reports whether g is in the window of the connection: sent by the
// direction own, whose acknowledgements are peer's concern. Both have begun.
//
//	I    seq  <= edge of peer
//	II   end  >= end of own  - slack of peer
//	III  sack <= end of peer
//	IV   sack >= end of peer - slack of own
//
// where sack is the highest octet acknowledged selectively or otherwise. Until
// peer's SYN is acknowledged, IV is exact: that SYN, and perhaps what came after it.
func (own half) admits(g *segment, peer half) bool {
	upper := peer.edge().add(1)
	if peer.has(halfUnacked) { // else halfAcked, and nothing is to be worked out
		upper = own.upper(peer)
	}
	if upper.lessThan(g.seq) || own.end().leads(g.end) && g.end.lessThan(own.end().sub(peer.slack(own))) {
		return false
	}
	sack := g.ack
	if len(g.opts) != 0 {
		sack = g.sackEdge()
	}
	if peer.end().leads(sack) || peer.has(halfUnacked) {
		return sack.inRange(own.lowestACK(peer), peer.end())
	}
	return !peer.end().lessThan(sack)
}

// leads reports whether a is ahead of b by more than the least slack there is:
// only then is it worth while to know how much there is.
func (a seq) leads(b seq) bool { return int32(a-b) > 2*minSlack }

// lowestACK returns the lowest acknowledgement that own may send.
func (own half) lowestACK(peer half) seq {
	if peer.has(halfUnacked) {
		return peer.edge()
	}
	return peer.end().sub(own.slack(peer))
}

// note returns v with an admitted segment with ACK taken in. It also forgets a
// pending SYN: who goes on with the connection has not begun another.
func (v half) note(g *segment, peer half) half {
	if v.flags()&(halfAcked|halfSYN|halfUnacked|halfPendingAll) != halfAcked {
		return v.noteFirst(g, peer)
	}
	edge := v.edge().later(g.ack.add(uint32(g.win) << v.shift(peer)))
	return half{
		a: uint64(v.end().later(g.end)) | uint64(v.ack().later(g.ack))<<32,
		b: v.b>>scaleShift<<scaleShift | uint64(max(v.win(), g.win))<<winShift | uint64(edge),
	}
}

// noteFirst is note for the first segments after a SYN, and those after a pending one.
func (v half) noteFirst(g *segment, peer half) half {
	flags, win, ack := v.flags()&^halfPendingAll|halfAcked, v.win(), v.ack().later(g.ack)
	limit := v.limit(peer)
	if !v.has(halfAcked) {
		// The window of the SYN was not scaled and may be the larger one.
		ack, limit = g.ack, g.ack.add(uint32(win))
	}
	if v.has(halfSYN) && !g.has(packet.TCPSyn) {
		flags &^= halfSYN
		win = 0
	}
	own := makeHalf(v.end().later(g.end), ack, v.edge(), max(win, g.win), v.scale(), flags)
	if v.has(halfUnacked) && !(peer.has(halfAcked) && !peer.ack().lessThan(v.edge())) {
		return own
	}
	limit = limit.later(g.ack.add(uint32(g.win) << own.shift(peer)))
	return makeHalf(own.end(), ack, limit, own.win(), v.scale(), flags&^halfUnacked)
}

// halfOfSYN returns what a SYN or SYN/ACK says.
func halfOfSYN(g *segment) half {
	flags, ack := halfBegun|halfSYN|halfUnacked, seq(0)
	scale, offered := g.windowScale()
	if offered {
		flags |= halfScale
	}
	if g.has(packet.TCPAck) {
		flags |= halfAcked
		ack = g.ack
	}
	return makeHalf(g.end, ack, g.seq.add(1), g.win, scale, flags)
}

// halfOfPending returns what the SYN said that ended before end.
func (v half) halfOfPending(end seq) half {
	flags, scale := halfBegun|halfSYN|halfUnacked, uint8(0)
	if v.has(halfPendingScale) {
		flags |= halfScale
		scale = uint8(v.flags()>>pendingScaleShift) & 0xf
	}
	return makeHalf(end, 0, end, 0, scale, flags)
}

// withPending returns v with g noted, a SYN that was let through out of place.
func (v half) withPending(g *segment) half {
	flags := v.flags()&^halfPendingAll | halfPending
	if scale, offered := g.windowScale(); offered {
		flags |= halfPendingScale | halfFlags(scale)<<pendingScaleShift
	}
	v.b = v.b<<(64-flagsShift)>>(64-flagsShift) | uint64(flags)<<flagsShift
	return v
}
