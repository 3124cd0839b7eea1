package packet

import "encoding/binary"

// ICMPSize is the size in bytes of the part that all ICMP messages share, and
// of what comes before the quoted packet in an error; the same for ICMPv6.
const ICMPSize = 8

const (
	icmpType     = 0
	icmpCode     = 1
	icmpChecksum = 2
	icmpRest     = 4 // identifier and sequence, MTU, gateway or pointer: depends on the type
	icmpSeq      = 6
	icmpMTU      = 6 // of ICMPUnreachable; ICMPv6PacketTooBig has it in icmpRest
)

// ICMP types (IANA, "ICMP Type Numbers").
const (
	ICMPEchoReply           = 0
	ICMPUnreachable         = 3
	ICMPSourceQuench        = 4
	ICMPRedirect            = 5
	ICMPEcho                = 8
	ICMPRouterAdvertisement = 9
	ICMPRouterSolicitation  = 10
	ICMPTimeExceeded        = 11
	ICMPParameterProblem    = 12
	ICMPTimestamp           = 13
	ICMPTimestampReply      = 14
	ICMPInformation         = 15
	ICMPInformationReply    = 16
	ICMPAddressMask         = 17
	ICMPAddressMaskReply    = 18
	ICMPExtendedEcho        = 42 // RFC 8335
	ICMPExtendedEchoReply   = 43
)

// Codes of ICMPUnreachable (RFC 792, RFC 1122, RFC 1812) and ICMPTimeExceeded.
const (
	ICMPCodeNet             = 0
	ICMPCodeHost            = 1
	ICMPCodeProtocol        = 2
	ICMPCodePort            = 3
	ICMPCodeFragNeeded      = 4
	ICMPCodeNetProhibited   = 9
	ICMPCodeHostProhibited  = 10
	ICMPCodeAdminProhibited = 13

	ICMPCodeTTLInTransit = 0
	ICMPCodeReassembly   = 1
)

// ICMP is an ICMP or ICMPv6 message from its header on (RFC 792, RFC 4443). The
// two differ in type numbers, and in the checksum, to which ICMPv6 adds a
// pseudo-header.
//
//	 0      1      2          4                            8
//	| type | code | checksum | id, sequence; MTU; pointer | data, or the quoted packet
type ICMP []byte

// AsICMP views b as a message; ok iff the 8 bytes are there. The accessors then
// cannot fail.
func AsICMP(b []byte) (m ICMP, ok bool) { return ICMP(b), len(b) >= ICMPSize }

// Type returns the message type, of ICMP or ICMPv6.
func (m ICMP) Type() uint8 { return m[icmpType] }

// Code returns the code.
func (m ICMP) Code() uint8 { return m[icmpCode] }

// Checksum returns the checksum.
func (m ICMP) Checksum() uint16 { return binary.BigEndian.Uint16(m[icmpChecksum:]) }

// ID returns the identifier; valid iff the message is a query.
func (m ICMP) ID() uint16 { return binary.BigEndian.Uint16(m[icmpRest:]) }

// Seq returns the sequence number; valid iff the message is a query.
func (m ICMP) Seq() uint16 { return binary.BigEndian.Uint16(m[icmpSeq:]) }

// Rest returns the second word: a pointer, a gateway, ID<<16 | Seq, or the MTU
// of ICMPv6PacketTooBig.
func (m ICMP) Rest() uint32 { return binary.BigEndian.Uint32(m[icmpRest:]) }

// NextHopMTU returns the MTU of ICMPUnreachable with ICMPCodeFragNeeded, in
// bytes; 0 if the router does not know (RFC 1191).
func (m ICMP) NextHopMTU() uint16 { return binary.BigEndian.Uint16(m[icmpMTU:]) }

// Payload returns what follows the 8 bytes, to the end of m.
func (m ICMP) Payload() []byte { return m[ICMPSize:] }

// SetType sets the message type. It leaves the checksum, as all setters do.
func (m ICMP) SetType(t uint8) { m[icmpType] = t }

// SetCode sets the code.
func (m ICMP) SetCode(c uint8) { m[icmpCode] = c }

// SetChecksum sets the checksum.
func (m ICMP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(m[icmpChecksum:], c) }

// SetID sets the identifier.
func (m ICMP) SetID(id uint16) { binary.BigEndian.PutUint16(m[icmpRest:], id) }

// SetSeq sets the sequence number.
func (m ICMP) SetSeq(n uint16) { binary.BigEndian.PutUint16(m[icmpSeq:], n) }

// SetRest sets the second word.
func (m ICMP) SetRest(v uint32) { binary.BigEndian.PutUint32(m[icmpRest:], v) }

// ICMPFields are the fields of a message's first 8 bytes.
type ICMPFields struct {
	Type, Code uint8
	Checksum   uint16
	Rest       uint32 // second word; for a query ID<<16 | sequence number
}

// Fields returns the message's fields.
func (m ICMP) Fields() ICMPFields {
	return ICMPFields{Type: m.Type(), Code: m.Code(), Checksum: m.Checksum(), Rest: m.Rest()}
}

// Put writes the 8 bytes to b and returns their number.
func (f *ICMPFields) Put(b []byte) int {
	m := ICMP(b[:ICMPSize])
	m.SetType(f.Type)
	m.SetCode(f.Code)
	m.SetChecksum(f.Checksum)
	m.SetRest(f.Rest)
	return ICMPSize
}

// icmpClass is a message's role in a session.
type icmpClass uint8

const (
	icmpOther   icmpClass = iota
	icmpRequest           // a query that has an identifier
	icmpReply
	icmpError // quotes a packet
)

// icmpKind is a message type's role, and for queries the type of the request.
type icmpKind struct {
	class   icmpClass
	request uint8
}

// icmpKinds holds ICMP at 0 and ICMPv6 at 1.
var icmpKinds = [2][256]icmpKind{
	{
		ICMPEchoReply:         {icmpReply, ICMPEcho},
		ICMPEcho:              {icmpRequest, ICMPEcho},
		ICMPTimestamp:         {icmpRequest, ICMPTimestamp},
		ICMPTimestampReply:    {icmpReply, ICMPTimestamp},
		ICMPInformation:       {icmpRequest, ICMPInformation},
		ICMPInformationReply:  {icmpReply, ICMPInformation},
		ICMPAddressMask:       {icmpRequest, ICMPAddressMask},
		ICMPAddressMaskReply:  {icmpReply, ICMPAddressMask},
		ICMPExtendedEcho:      {icmpRequest, ICMPExtendedEcho},
		ICMPExtendedEchoReply: {icmpReply, ICMPExtendedEcho},

		ICMPUnreachable:      {class: icmpError},
		ICMPSourceQuench:     {class: icmpError},
		ICMPRedirect:         {class: icmpError},
		ICMPTimeExceeded:     {class: icmpError},
		ICMPParameterProblem: {class: icmpError},
	},
	{
		ICMPv6Echo:              {icmpRequest, ICMPv6Echo},
		ICMPv6EchoReply:         {icmpReply, ICMPv6Echo},
		ICMPv6ExtendedEcho:      {icmpRequest, ICMPv6ExtendedEcho},
		ICMPv6ExtendedEchoReply: {icmpReply, ICMPv6ExtendedEcho},

		ICMPv6Unreachable:      {class: icmpError},
		ICMPv6PacketTooBig:     {class: icmpError},
		ICMPv6TimeExceeded:     {class: icmpError},
		ICMPv6ParameterProblem: {class: icmpError},
	},
}

// icmpKindOf returns the role of a message type.
func icmpKindOf(v6 bool, typ uint8) icmpKind {
	if v6 {
		return icmpKinds[1][typ]
	}
	return icmpKinds[0][typ]
}

// ICMPQuery reports whether messages of a type have an identifier, which stands for a port in keys: the
// source's of a request, the destination's of a reply.
func ICMPQuery(v6 bool, typ uint8) (query, reply bool) {
	class := icmpKindOf(v6, typ).class
	return class == icmpRequest || class == icmpReply, class == icmpReply
}

// ports returns what stands for destination port << 16 | source port in the
// key of message p, at least ICMPSize bytes long; see Key.
func (k icmpKind) ports(p []byte) uint32 {
	id, server := uint32(binary.BigEndian.Uint16(p[icmpRest:])), uint32(k.request)<<8
	switch k.class {
	case icmpRequest:
		return server<<16 | id
	case icmpReply:
		return id<<16 | server
	}
	return 0
}
