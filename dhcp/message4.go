package dhcp

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// Fields of a BOOTP message (RFC 951, RFC 2131 section 2) and what they hold.
//
//	 0    1       2      3      4     8      10      12      16      20      24      28       44      108    236
//	| op | htype | hlen | hops | xid | secs | flags | ciaddr| yiaddr| siaddr| giaddr| chaddr | sname | file | cookie, options
const (
	bootOp      = 0
	bootHType   = 1
	bootHLen    = 2
	bootXID     = 4
	bootFlags   = 10
	bootCIAddr  = 12
	bootYIAddr  = 16
	bootSIAddr  = 20
	bootGIAddr  = 24
	bootCHAddr  = 28
	bootSName   = 44
	bootFile    = 108
	bootCookie  = 236
	bootOptions = 240
	bootMinSize = 300 // what BOOTP clients and relays may expect (RFC 1542 section 2.1)

	bootRequest   = 1
	bootReply     = 2
	bootEthernet  = 1
	bootBroadcast = 0x8000
	dhcpCookie    = 0x63825363
)

// Message types (RFC 2132 section 9.6).
const (
	discover = 1 + iota
	offer
	request
	decline
	ack
	nak
	release
	inform
)

// Option codes (IANA, "BOOTP Vendor Extensions and DHCP Options").
const (
	optionPad           = 0
	optionMask          = 1
	optionRouter        = 3
	optionDNS           = 6
	optionHostName      = 12
	optionDomain        = 15
	optionMTU           = 26
	optionBroadcast     = 28
	optionNTP           = 42
	optionRequestedIP   = 50
	optionLease         = 51
	optionOverload      = 52
	optionType          = 53
	optionServer        = 54
	optionParameters    = 55
	optionMessage       = 56
	optionMaxSize       = 57
	optionRenew         = 58
	optionRebind        = 59
	optionClientID      = 61
	optionTFTPServer    = 66
	optionBootFile      = 67
	optionRapidCommit   = 80
	optionSearch        = 119
	optionRoutes        = 121
	optionRoutesWindows = 249 // what 121 was before it had a number
	optionEnd           = 255
)

// reading is what became of reading a message.
type reading uint8

const (
	readable  reading = iota
	foreign           // for somebody else, or of a kind that is not answered here
	malformed         // contradicts itself
)

// message4 is what a client says. Slices are the frame's.
type message4 struct {
	kind       uint8
	broadcast  bool // the client can't receive unicast yet
	rapid      bool // an offer may be left out (RFC 4039)
	maxSize    uint16
	boot       []byte // the fixed part, bootOptions bytes
	mac        packet.MAC
	client     packet.Addr // ciaddr: what the client uses already; unspecified4 is none
	requested  packet.Addr // option 50, valid iff hasRequest
	server     packet.Addr // option 54, valid iff hasServer
	hasRequest bool
	hasServer  bool
	parameters []byte // option 55, in the client's order
	id         []byte // option 61
}

var (
	unspecified4 = packet.AddrFrom4(&[4]byte{})
	broadcast4   = packet.AddrFrom4(&[4]byte{255, 255, 255, 255})
)

// read4 reads the payload of a datagram to a server. It is bounded by the
// payload's size: each byte is looked at once.
func read4(p []byte) (m message4, r reading) {
	if len(p) < bootCookie {
		return m, malformed
	}
	switch {
	case p[bootOp] == bootReply || !allZero(p[bootGIAddr:bootGIAddr+4]):
		return m, foreign // a server's answer to a relay, or what a relay passes on
	case p[bootOp] != bootRequest || p[bootHType] != bootEthernet || p[bootHLen] != 6:
		return m, malformed
	case len(p) < bootOptions || binary.BigEndian.Uint32(p[bootCookie:]) != dhcpCookie:
		return m, foreign // BOOTP
	}
	m.boot = p[:bootOptions:bootOptions]
	m.broadcast = binary.BigEndian.Uint16(p[bootFlags:])&bootBroadcast != 0
	m.mac = packet.MAC(p[bootCHAddr : bootCHAddr+6])
	m.client = packet.AddrFrom4((*[4]byte)(p[bootCIAddr:]))
	overload, ok := m.options(p[bootOptions:])
	if ok && overload&1 != 0 {
		_, ok = m.options(p[bootFile:bootCookie])
	}
	if ok && overload&2 != 0 {
		_, ok = m.options(p[bootSName:bootFile])
	}
	switch {
	case !ok:
		return m, malformed
	case m.kind == 0:
		return m, foreign // BOOTP with vendor extensions (RFC 1534)
	}
	return m, readable
}

// options reads a field of options. Of one that is there twice the first
// counts: none of those that are of interest is ever split (RFC 3396). An end may be
// missing. ok is false if a length is impossible.
func (m *message4) options(p []byte) (overload uint8, ok bool) {
	for len(p) > 0 {
		code := p[0]
		switch {
		case code == optionPad:
			p = p[1:]
			continue
		case code == optionEnd:
			return overload, true
		case len(p) < 2 || len(p) < 2+int(p[1]):
			return overload, false
		}
		n := int(p[1])
		if code == optionOverload && n == 1 && overload == 0 {
			overload = p[2]
		}
		if !m.option(code, p[2:2+n:2+n]) {
			return overload, false
		}
		p = p[2+n:]
	}
	return overload, true
}

// option takes note of an option; ok is false if its size is impossible.
func (m *message4) option(code uint8, data []byte) (ok bool) {
	switch code {
	case optionType:
		if len(data) != 1 || data[0] == 0 {
			return false
		}
		if m.kind == 0 {
			m.kind = data[0]
		}
	case optionRequestedIP:
		return first4(data, &m.requested, &m.hasRequest)
	case optionServer:
		return first4(data, &m.server, &m.hasServer)
	case optionMaxSize:
		if len(data) != 2 {
			return false
		}
		if m.maxSize == 0 {
			m.maxSize = binary.BigEndian.Uint16(data)
		}
	case optionParameters:
		if m.parameters == nil {
			m.parameters = data
		}
	case optionClientID:
		if m.id == nil {
			m.id = data
		}
	case optionRapidCommit:
		m.rapid = true
	}
	return true
}

// first4 takes an address that has not been given before.
func first4(data []byte, a *packet.Addr, given *bool) (ok bool) {
	if len(data) != 4 {
		return false
	}
	if !*given {
		*a, *given = packet.AddrFrom4((*[4]byte)(data)), true
	}
	return true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
