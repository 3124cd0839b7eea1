package answer

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Error is what an ICMP error says.
type Error uint8

// The errors.
const (
	NoRoute         Error = iota
	NoHost                // the next hop does not answer
	NoPort                // nobody listens
	NoProtocol            // likewise
	BeyondScope           // of a source address that routers do not forward from; IPv6 only
	TTLExceeded           // in transit
	TooBig                // for the next link
	AdminProhibited       // by a filter
)

// code is a message type and code; type 0 is no message.
type code struct{ typ, code uint8 }

// messages are the types and codes (RFC 792, RFC 1812 section 5.2.7; RFC 4443 section 3).
var messages = [...]struct{ v4, v6 code }{
	NoRoute:         {code{packet.ICMPUnreachable, packet.ICMPCodeNet}, code{packet.ICMPv6Unreachable, packet.ICMPv6CodeNoRoute}},
	NoHost:          {code{packet.ICMPUnreachable, packet.ICMPCodeHost}, code{packet.ICMPv6Unreachable, packet.ICMPv6CodeAddress}},
	NoPort:          {code{packet.ICMPUnreachable, packet.ICMPCodePort}, code{packet.ICMPv6Unreachable, packet.ICMPv6CodePort}},
	NoProtocol:      {code{packet.ICMPUnreachable, packet.ICMPCodeProtocol}, code{packet.ICMPv6ParameterProblem, 1}},
	BeyondScope:     {code{}, code{packet.ICMPv6Unreachable, 2}},
	TTLExceeded:     {code{packet.ICMPTimeExceeded, packet.ICMPCodeTTLInTransit}, code{packet.ICMPv6TimeExceeded, packet.ICMPv6CodeHopLimitInTransit}},
	TooBig:          {code{packet.ICMPUnreachable, packet.ICMPCodeFragNeeded}, code{packet.ICMPv6PacketTooBig, 0}},
	AdminProhibited: {code{packet.ICMPUnreachable, packet.ICMPCodeAdminProhibited}, code{packet.ICMPv6Unreachable, packet.ICMPv6CodeAdminProhibited}},
}

const (
	// An error quotes as much as fits into what every host takes (RFC 1812
	// section 4.3.2.3, RFC 4443 section 2.4 c).
	icmpMaxIPv4 = 576
	icmpMaxIPv6 = 1280

	// tosInternetControl is the precedence of ICMP errors (RFC 1812 section 4.3.2.5).
	tosInternetControl = 0xc0
)

// Answerable reports whether a packet may be answered with an ICMP error: it is
// no ICMP error itself, the first fragment if any, to one receiver and from one
// sender (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4
// e). It does not know the broadcast addresses of networks.
func Answerable(frame []byte, in *packet.Info) bool {
	if !in.Has(packet.IsIP) || in.Has(packet.ICMPError|packet.IsLaterFragment|packet.ToMulticast) {
		return false
	}
	ip := frame[in.L3 : uint32(in.L3)+in.IPLen]
	v6 := in.Has(packet.IsIPv6)
	if in.Proto == ICMPOf(v6) && maybeError(v6, ip[in.L4-in.L3:]) {
		return false
	}
	src, dst := packet.Addresses(frame, in)
	if from := src.Scope(); from != packet.ScopeGlobal && (from != packet.ScopeLink || !v6) {
		return false
	}
	to := dst.Scope()
	return to != packet.ScopeMulticast && to != packet.ScopeBroadcast
}

// maybeError reports whether an ICMP message that the parser does not take for an error is one of
// a type that nobody knows, or a redirect, which must not be answered either.
func maybeError(v6 bool, m []byte) bool {
	if len(m) == 0 {
		return true
	}
	typ := m[0]
	if v6 {
		const firstInformational = 128 // RFC 4443 section 2.1
		return typ < firstInformational || typ == packet.ICMPv6Redirect
	}
	return typ > packet.ICMPAddressMaskReply && typ != packet.ICMPExtendedEcho && typ != packet.ICMPExtendedEchoReply
}

// ICMPOf returns the number of the ICMP of an IP version.
func ICMPOf(v6 bool) uint8 {
	if v6 {
		return packet.ProtoICMPv6
	}
	return packet.ProtoICMP
}

// SendError sends an ICMP error with e around it, of which Proto and TOS are filled in, on
// account of port in. rest is the message's second word, ip the packet that is
// quoted. It reports false if there is no buffer, or the IP version has no such error.
func SendError(w *dataplane.Worker, e *Envelope, out dataplane.FloodTarget, in uint16, x Error, rest uint32, ip []byte) bool {
	v6 := !e.Src.Is4()
	c, size := messages[x].v4, icmpMaxIPv4
	e.Proto, e.TOS = ICMPOf(v6), tosInternetControl
	if v6 {
		c, size, e.TOS = messages[x].v6, icmpMaxIPv6, 0
	}
	if c.typ == 0 {
		return false
	}
	quote := ip[:min(len(ip), size-e.Header()-packet.ICMPSize)]
	reply, message := e.Generate(w, in, packet.ICMPSize+len(quote))
	if reply == 0 {
		return false
	}
	fields := packet.ICMPFields{Type: c.typ, Code: c.code, Rest: rest}
	fields.Put(message)
	copy(message[packet.ICMPSize:], quote)
	e.Send(w, out, reply)
	return true
}
