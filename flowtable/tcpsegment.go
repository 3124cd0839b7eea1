package flowtable

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// segment is what the TCP machine reads of a segment (RFC 9293 section 3.1). A
// super-frame is one long segment.
type segment struct {
	seq   seq    // first octet
	end   seq    // octet after the last; SYN and FIN count as one each
	ack   seq    // acknowledgement; valid iff flags has ACK
	win   uint16 // window as it stands, unscaled
	flags uint8
	opts  []byte // options, in the frame
}

const tcpHeaderSize = 20

// legalTCPFlags has a bit for each combination of FIN, SYN, RST and ACK that
// exists; the others are scans and evasions: nothing at all, SYN with FIN or
// RST, FIN without ACK (RFC 9293 section 3.10.7.4: only SYN and RST come
// without ACK). PSH, URG, ECE and CWR are anybody's.
const legalTCPFlags uint32 = 1<<packet.TCPSyn |
	1<<(packet.TCPSyn|packet.TCPAck) |
	1<<packet.TCPRst |
	1<<(packet.TCPRst|packet.TCPAck) |
	1<<(packet.TCPFin|packet.TCPAck) |
	1<<packet.TCPAck

const tcpFlagsThatMatter = packet.TCPFin | packet.TCPSyn | packet.TCPRst | packet.TCPAck

// read fills g from the frame; false if it is not a segment that TCP can send.
func (g *segment) read(in *packet.Info, frame []byte) bool {
	at := int(in.L4)
	if len(frame) < at+tcpHeaderSize {
		return false
	}
	h := frame[at : at+tcpHeaderSize : at+tcpHeaderSize]
	g.flags = h[13] & tcpFlagsThatMatter
	size := int(h[12]>>4) * 4
	length := int(in.L3) + int(in.IPLen) - at - size // of the payload
	if in.Flags&packet.IsFragment != 0 {
		// The length of a fragmented segment is not known from its first fragment;
		// assume the longest, so that its acknowledgement is not one for octets that
		// were never seen. Options may be cut off.
		size = min(size, size+length)
		length = 65535
	}
	if legalTCPFlags>>g.flags&1 == 0 || size < tcpHeaderSize || length < 0 || len(frame) < at+size {
		return false
	}
	g.seq = seq(binary.BigEndian.Uint32(h[4:]))
	g.ack = seq(binary.BigEndian.Uint32(h[8:]))
	g.win = binary.BigEndian.Uint16(h[14:])
	g.end = g.seq.add(uint32(length) + uint32(g.flags>>1&1) + uint32(g.flags&1))
	g.opts = frame[at+tcpHeaderSize : at+size]
	return true
}

// has reports whether any of the flags f is set.
func (g *segment) has(f uint8) bool { return g.flags&f != 0 }

// TCP option kinds (IANA, "TCP Option Kind Numbers").
const (
	optEnd         = 0
	optNop         = 1
	optWindowScale = 3
	optSACK        = 5
	optTimestamps  = 8
)

// maxScale is the largest window scale (RFC 7323 section 2.3).
const maxScale = 14

// option returns the body of the next option and the rest; kind optEnd at the
// end, or where the list stops making sense.
func option(opts []byte) (kind uint8, body, rest []byte) {
	for len(opts) > 0 && opts[0] == optNop {
		opts = opts[1:]
	}
	if len(opts) < 2 || opts[0] == optEnd {
		return optEnd, nil, nil
	}
	size := int(opts[1])
	if size < 2 || size > len(opts) {
		return optEnd, nil, nil
	}
	return opts[0], opts[2:size], opts[size:]
}

// windowScale returns the scale that a SYN offers (RFC 7323 section 2.2).
func (g *segment) windowScale() (scale uint8, offered bool) {
	for kind, body, rest := option(g.opts); kind != optEnd; kind, body, rest = option(rest) {
		if kind == optWindowScale && len(body) == 1 {
			return min(body[0], maxScale), true
		}
	}
	return 0, false
}

// timestampsOnly is how nearly every segment's options begin: NOP, NOP,
// timestamps, and nothing else (RFC 7323 appendix A).
const timestampsOnly = optNop<<24 | optNop<<16 | optTimestamps<<8 | 10

// sackEdge returns the highest octet, exclusive, that the segment acknowledges,
// cumulatively or selectively (RFC 2018 section 3).
func (g *segment) sackEdge() seq {
	edge := g.ack
	if len(g.opts) == 0 || len(g.opts) == 12 && binary.BigEndian.Uint32(g.opts) == timestampsOnly {
		return edge
	}
	for kind, body, rest := option(g.opts); kind != optEnd; kind, body, rest = option(rest) {
		if kind != optSACK {
			continue
		}
		for ; len(body) >= 8; body = body[8:] {
			edge = edge.later(seq(binary.BigEndian.Uint32(body[4:])))
		}
	}
	return edge
}
