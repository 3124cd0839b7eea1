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
