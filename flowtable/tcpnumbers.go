package flowtable

import "github.com/sluice-net/sluice/packet"

// TCPNumbers are what one direction of a TCP session has said: what a segment
// must carry that is to be taken for the next one of this direction.
type TCPNumbers struct {
	// Seq is the sequence number that the receiver expects next (RFC 9293: RCV.NXT):
	// what it has acknowledged last or, if it has not yet, what was sent.
	Seq uint32

	// Sent is the sequence number after the last octet sent (SND.NXT). Where it differs
	// from Seq, data is under way, and RCV.NXT is one of the two or between them:
	// RFC 5961 section 3 lets a RST reset at exactly that number only, so who
	// has to be sure sends one with each.
	Sent uint32

	// Ack acknowledges all that the receiver has sent.
	Ack uint32

	// SeqKnown, AckKnown: the sender, the receiver has sent something. In SYN_SENT the
	// server has not: a RST in its name has sequence number 0, ACK set, and the
	// number that acknowledges the SYN (RFC 9293 section 3.10.7.3).
	SeqKnown, AckKnown bool
}

// Link is whose frames a permit was for, as Entry.Link returns it.
type Link [2]uint64

// Valid reports whether there was a permit.
func (l *Link) Valid() bool { return l[1]&LinkValid != 0 }

// Port returns the number of the port by which the frames came in.
func (l *Link) Port() uint16 { return uint16(l[1] >> 32) }

// MACs returns the addresses of the frames.
func (l *Link) MACs() (dst, src packet.MAC) {
	for i := range 6 {
		dst[i] = byte(l[0] >> (8 * i))
	}
	src[0], src[1] = byte(l[0]>>48), byte(l[0]>>56)
	for i := range 4 {
		src[2+i] = byte(l[1] >> (8 * i))
	}
	return dst, src
}

// tcpNumbers returns the numbers of both directions; nothing is known unless the
// session is of TCP.
func (s *session) tcpNumbers() (n [2]TCPNumbers) {
	if wordKind(s.word.Load()) != kindTCP {
		return n
	}
	halves := [2]half{s.half[Original].load(), s.half[Reply].load()}
	for d := range Dir(2) {
		own, peer := halves[d], halves[d.peer()]
		if own.has(halfBegun) {
			n[d].SeqKnown = true
			n[d].Seq, n[d].Sent = uint32(own.end()), uint32(own.end())
		}
		if peer.has(halfBegun) {
			n[d].AckKnown = true
			n[d].Ack = uint32(peer.end())
		}
		// A challenge ACK is of another connection: halfAcked is not set.
		if peer.has(halfAcked) {
			n[d].SeqKnown = true
			if n[d].Seq = uint32(peer.ack()); !own.has(halfBegun) {
				n[d].Sent = n[d].Seq
			}
		}
	}
	return n
}

// TCPNumbers returns the numbers of a direction of a session; none are known if it is
// not of TCP.
func (t *Table) TCPNumbers(id ID) TCPNumbers { return t.session(id.Session()).tcpNumbers()[id.Dir()] }
