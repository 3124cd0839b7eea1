package packet

import "encoding/binary"

// SCTPSize is the size in bytes of SCTP's common header.
const SCTPSize = 12

const (
	sctpSrcPort = 0
	sctpDstPort = 2
	sctpTag     = 4
	sctpCRC     = 8

	sctpChunkSize = 4 // type, flags, length
)

// SCTP chunk types (IANA, "SCTP Parameters").
const (
	SCTPData             = 0
	SCTPInit             = 1
	SCTPInitAck          = 2
	SCTPSack             = 3
	SCTPHeartbeat        = 4
	SCTPHeartbeatAck     = 5
	SCTPAbort            = 6
	SCTPShutdown         = 7
	SCTPShutdownAck      = 8
	SCTPError            = 9
	SCTPCookieEcho       = 10
	SCTPCookieAck        = 11
	SCTPShutdownComplete = 14
)

// SCTP is an SCTP packet from its common header on (RFC 9260).
//
//	 0          2          4                  8          12
//	| src port | dst port | verification tag | checksum | chunks
type SCTP []byte

// AsSCTP views b as a packet; ok iff the common header is whole. The accessors
// then cannot fail.
func AsSCTP(b []byte) (s SCTP, ok bool) { return SCTP(b), len(b) >= SCTPSize }

// SrcPort returns the source port.
func (s SCTP) SrcPort() uint16 { return binary.BigEndian.Uint16(s[sctpSrcPort:]) }

// DstPort returns the destination port.
func (s SCTP) DstPort() uint16 { return binary.BigEndian.Uint16(s[sctpDstPort:]) }

// Tag returns the verification tag.
func (s SCTP) Tag() uint32 { return binary.BigEndian.Uint32(s[sctpTag:]) }

// Checksum returns the CRC32c as the four bytes stand in the packet, least
// significant byte first (RFC 9260 appendix A).
func (s SCTP) Checksum() uint32 { return binary.LittleEndian.Uint32(s[sctpCRC:]) }

// Chunks returns a walk over the chunks.
func (s SCTP) Chunks() SCTPChunks { return SCTPChunks{b: s[SCTPSize:]} }

// SetSrcPort sets the source port. It leaves the checksum, as all setters do.
func (s SCTP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(s[sctpSrcPort:], p) }

// SetDstPort sets the destination port.
func (s SCTP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(s[sctpDstPort:], p) }

// SetTag sets the verification tag.
func (s SCTP) SetTag(t uint32) { binary.BigEndian.PutUint32(s[sctpTag:], t) }

// SetChecksum sets the CRC32c.
func (s SCTP) SetChecksum(c uint32) { binary.LittleEndian.PutUint32(s[sctpCRC:], c) }

// SCTPFields are the fields of the common header.
type SCTPFields struct {
	SrcPort, DstPort uint16
	Tag              uint32
	Checksum         uint32
}

// Fields returns the header's fields.
func (s SCTP) Fields() SCTPFields {
	return SCTPFields{SrcPort: s.SrcPort(), DstPort: s.DstPort(), Tag: s.Tag(), Checksum: s.Checksum()}
}

// Put writes the common header to b, which has at least SCTPSize bytes, and
// returns its size.
func (f *SCTPFields) Put(b []byte) int {
	s := SCTP(b[:SCTPSize])
	s.SetSrcPort(f.SrcPort)
	s.SetDstPort(f.DstPort)
	s.SetTag(f.Tag)
	s.SetChecksum(f.Checksum)
	return SCTPSize
}

// SCTPChunk is one chunk.
type SCTPChunk struct {
	Type, Flags uint8
	Data        []byte // after the chunk header, without padding; part of the packet
}

// SCTPChunks walks the chunks of a packet. Each is at least 4 bytes, so the
// packet's size bounds the walk.
type SCTPChunks struct {
	b         []byte
	malformed bool
}

// Next returns the next chunk; ok is false at the end of the packet, and where
// a length is impossible: see Malformed.
func (it *SCTPChunks) Next() (c SCTPChunk, ok bool) {
	if len(it.b) == 0 {
		return SCTPChunk{}, false
	}
	n := 0
	if len(it.b) >= sctpChunkSize {
		n = int(binary.BigEndian.Uint16(it.b[2:]))
	}
	if n < sctpChunkSize || n > len(it.b) {
		it.malformed = true
		it.b = nil
		return SCTPChunk{}, false
	}
	c = SCTPChunk{Type: it.b[0], Flags: it.b[1], Data: it.b[sctpChunkSize:n:n]}
	it.b = it.b[min((n+3)&^3, len(it.b)):] // the last chunk's padding may be missing
	return c, true
}

// Malformed reports whether the walk ended at an impossible length.
func (it *SCTPChunks) Malformed() bool { return it.malformed }
