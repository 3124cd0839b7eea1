package packet

import "encoding/binary"

// TCPMinSize and TCPMaxSize bound a TCP header, in bytes.
const (
	TCPMinSize = 20
	TCPMaxSize = 60
)

const (
	tcpSrcPort  = 0
	tcpDstPort  = 2
	tcpSeq      = 4
	tcpAck      = 8
	tcpOffset   = 12 // header size in words << 4 | reserved
	tcpFlags    = 13
	tcpWindow   = 14
	tcpChecksum = 16
	tcpUrgent   = 18
)

// TCP is a TCP segment from its header on (RFC 9293).
//
//	 0          2          4     8     12       13      14       16         18       20
//	| src port | dst port | seq | ack | offset | flags | window | checksum | urgent | options | payload
type TCP []byte

// AsTCP views b as a segment; ok iff the header, with its options, is whole. The
// accessors then cannot fail.
func AsTCP(b []byte) (t TCP, ok bool) {
	if len(b) < TCPMinSize {
		return nil, false
	}
	t = TCP(b)
	n := t.HeaderLen()
	return t, n >= TCPMinSize && n <= len(b)
}

// SrcPort returns the source port.
func (t TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(t[tcpSrcPort:]) }

// DstPort returns the destination port.
func (t TCP) DstPort() uint16 { return binary.BigEndian.Uint16(t[tcpDstPort:]) }

// Seq returns the sequence number of the first payload byte, or of SYN.
func (t TCP) Seq() uint32 { return binary.BigEndian.Uint32(t[tcpSeq:]) }

// Ack returns the acknowledgment number; valid iff Flags has TCPAck.
func (t TCP) Ack() uint32 { return binary.BigEndian.Uint32(t[tcpAck:]) }

// HeaderLen returns the size of the header with options, in bytes.
func (t TCP) HeaderLen() int { return int(t[tcpOffset]>>4) * 4 }

// Flags returns TCPFin to TCPCwr.
func (t TCP) Flags() uint8 { return t[tcpFlags] }

// Window returns the window, not scaled.
func (t TCP) Window() uint16 { return binary.BigEndian.Uint16(t[tcpWindow:]) }

// Checksum returns the checksum.
func (t TCP) Checksum() uint16 { return binary.BigEndian.Uint16(t[tcpChecksum:]) }

// Urgent returns the urgent pointer; valid iff Flags has TCPUrg.
func (t TCP) Urgent() uint16 { return binary.BigEndian.Uint16(t[tcpUrgent:]) }

// Options returns a walk over the options; TCPOptions reads the common ones.
func (t TCP) Options() Options { return Options{b: t[TCPMinSize:t.HeaderLen()]} }

// Payload returns what follows the header, to the end of t.
func (t TCP) Payload() []byte { return t[t.HeaderLen():] }

// SetSrcPort sets the source port. It leaves the checksum, as all setters do.
func (t TCP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(t[tcpSrcPort:], p) }

// SetDstPort sets the destination port.
func (t TCP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(t[tcpDstPort:], p) }

// SetSeq sets the sequence number.
func (t TCP) SetSeq(n uint32) { binary.BigEndian.PutUint32(t[tcpSeq:], n) }

// SetAck sets the acknowledgment number.
func (t TCP) SetAck(n uint32) { binary.BigEndian.PutUint32(t[tcpAck:], n) }

// SetFlags sets TCPFin to TCPCwr.
func (t TCP) SetFlags(f uint8) { t[tcpFlags] = f }

// SetWindow sets the window, not scaled.
func (t TCP) SetWindow(w uint16) { binary.BigEndian.PutUint16(t[tcpWindow:], w) }

// SetChecksum sets the checksum.
func (t TCP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(t[tcpChecksum:], c) }

// SetUrgent sets the urgent pointer.
func (t TCP) SetUrgent(p uint16) { binary.BigEndian.PutUint16(t[tcpUrgent:], p) }

// TCPFields are the fields of a TCP header.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8
	Window           uint16
	Checksum         uint16
	Urgent           uint16
	Options          []byte // at most 40 bytes; padded with end-of-list to a multiple of 4
}

// Fields returns the header's fields; Options is part of t.
func (t TCP) Fields() TCPFields {
	return TCPFields{
		SrcPort: t.SrcPort(), DstPort: t.DstPort(), Seq: t.Seq(), Ack: t.Ack(),
		Flags: t.Flags(), Window: t.Window(), Checksum: t.Checksum(), Urgent: t.Urgent(),
		Options: t[TCPMinSize:t.HeaderLen()],
	}
}

// Size returns the size of the header in bytes, options included.
func (f *TCPFields) Size() int { return TCPMinSize + (len(f.Options)+3)&^3 }

// Put writes the header to b, which has at least Size bytes, and returns its
// size.
func (f *TCPFields) Put(b []byte) int {
	n := f.Size()
	t := TCP(b[:n])
	t.SetSrcPort(f.SrcPort)
	t.SetDstPort(f.DstPort)
	t.SetSeq(f.Seq)
	t.SetAck(f.Ack)
	t[tcpOffset] = uint8(n/4) << 4
	t.SetFlags(f.Flags)
	t.SetWindow(f.Window)
	t.SetChecksum(f.Checksum)
	t.SetUrgent(f.Urgent)
	clear(t[TCPMinSize+copy(t[TCPMinSize:], f.Options):])
	return n
}
