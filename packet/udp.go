package packet

import "encoding/binary"

// UDPSize is the size in bytes of a UDP header.
const UDPSize = 8

const (
	udpSrcPort  = 0
	udpDstPort  = 2
	udpLength   = 4
	udpChecksum = 6
)

// UDP is a UDP datagram from its header on (RFC 768).
//
//	 0             2                  4        6          8
//	| source port | destination port | length | checksum | payload
type UDP []byte

// AsUDP views b as a datagram; ok iff the header is whole. The accessors then
// cannot fail. The length is not checked: see Payload.
func AsUDP(b []byte) (u UDP, ok bool) { return UDP(b), len(b) >= UDPSize }

// SrcPort returns the source port.
func (u UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(u[udpSrcPort:]) }

// DstPort returns the destination port.
func (u UDP) DstPort() uint16 { return binary.BigEndian.Uint16(u[udpDstPort:]) }

// Length returns the size of the datagram with its header, in bytes; 0 in an
// IPv6 jumbogram (RFC 2675).
func (u UDP) Length() uint16 { return binary.BigEndian.Uint16(u[udpLength:]) }

// Checksum returns the checksum; 0 is none.
func (u UDP) Checksum() uint16 { return binary.BigEndian.Uint16(u[udpChecksum:]) }

// Payload returns what follows the header, to the end that the length gives
// or to that of u, whichever comes first.
func (u UDP) Payload() []byte {
	n := int(u.Length())
	if n == 0 {
		n = len(u)
	}
	return u[UDPSize:max(UDPSize, min(n, len(u)))]
}

// SetSrcPort sets the source port. It leaves the checksum, as all setters do.
func (u UDP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(u[udpSrcPort:], p) }

// SetDstPort sets the destination port.
func (u UDP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(u[udpDstPort:], p) }

// SetLength sets the size of the datagram with its header, in bytes.
func (u UDP) SetLength(n uint16) { binary.BigEndian.PutUint16(u[udpLength:], n) }

// SetChecksum sets the checksum.
func (u UDP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(u[udpChecksum:], c) }

// UDPFields are the fields of a UDP header.
type UDPFields struct {
	SrcPort, DstPort uint16
	Length           uint16 // bytes, header included
	Checksum         uint16
}

// Fields returns the header's fields.
func (u UDP) Fields() UDPFields {
	return UDPFields{SrcPort: u.SrcPort(), DstPort: u.DstPort(), Length: u.Length(), Checksum: u.Checksum()}
}

// Put writes the header to b, which has at least UDPSize bytes, and returns
// its size.
func (f *UDPFields) Put(b []byte) int {
	u := UDP(b[:UDPSize])
	u.SetSrcPort(f.SrcPort)
	u.SetDstPort(f.DstPort)
	u.SetLength(f.Length)
	u.SetChecksum(f.Checksum)
	return UDPSize
}
