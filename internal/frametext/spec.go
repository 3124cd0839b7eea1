package frametext

import (
	"net/netip"

	"github.com/sluice-net/sluice/packet"
)

// spec is what a line says, with defaults filled in: the form between text and
// bytes. Numbers are uint32 whatever their field's width, so that attributes
// are rows of a table.
type spec struct {
	kind kind

	// Link layer.
	src, dst  packet.MAC
	macs      bool // src and dst are given
	tags      []tag
	etherType uint32 // kindEther
	pad, cut  uint32 // cut 0: whole
	trailer   []byte // behind pad

	// Network layer.
	from, to           netip.Addr
	fromPort, toPort   uint16
	ttl, tos, flow, id uint32
	off, options, hbh  uint32
	proto              uint32 // kindIP
	df, mf, frag       bool
	ipSum              sumMode // of the IPv4 header: right, wrong or given
	ipSumValue         uint32  // valid iff ipSum is sumGiven

	// Transport layer.
	tcpFlags           uint8
	seq, ack, win, urg uint32
	tcp                tcpOptions
	message            message
	rest               uint32 // second word of an ICMP message, unless it is an echo
	echoID, echoSeq    uint32
	target             netip.Addr
	lladdr             packet.MAC
	hasLLAddr          bool
	chunk              uint32 // SCTP chunk type
	chunkFlags         uint32
	tag, chunkWord     uint32 // verification tag; itag or tsn
	sum                sumMode
	sumValue           uint32 // valid iff sum is sumGiven

	// ARP.
	op       uint16
	sha, tha packet.MAC

	payload []byte
	size    uint32 // of payload with pattern behind it; while parsing
}

// tag is a VLAN tag.
type tag struct{ tpid, tci uint16 }

// tcpOptions are the usual ones; raw excludes the others.
type tcpOptions struct {
	mss, wscale   uint32
	tsVal, tsEcr  uint32
	hasMSS        bool
	hasScale      bool
	hasTS, sackOK bool
	raw           []byte
}

// sumMode says what a checksum field holds.
type sumMode uint8

const (
	sumRight sumMode = iota
	sumWrong
	sumNone
	sumPartial
	sumGiven
)

type kind uint8

const (
	kindUDP kind = iota
	kindTCP
	kindSCTP
	kindICMP
	kindICMP6
	kindIP
	kindARP
	kindEther
	numKinds
)

// kinds says how each kind is written and what it is made of.
var kinds = [numKinds]struct {
	name  string
	proto uint8
	ports bool
	has   feature
}{
	kindUDP:   {"udp", packet.ProtoUDP, true, hasPayload | hasIP | hasPlainID | hasSum | hasUDP | hasPseudo},
	kindTCP:   {"tcp", packet.ProtoTCP, true, hasPayload | hasIP | hasPlainID | hasSum | hasTCP | hasPseudo},
	kindSCTP:  {"sctp", packet.ProtoSCTP, true, hasPayload | hasIP | hasPlainID | hasSum | hasSCTP},
	kindICMP:  {"icmp", packet.ProtoICMP, false, hasPayload | hasIP | hasSum},
	kindICMP6: {"icmp6", packet.ProtoICMPv6, false, hasPayload | hasIP | hasSum},
	kindIP:    {"ip", 0, false, hasPayload | hasIP | hasPlainID},
	kindARP:   {"arp", 0, false, hasARP},
	kindEther: {"ether", 0, false, hasPayload},
}

// feature is a set of things that attributes belong to.
type feature uint32

const (
	hasLink     feature = 1 << iota // anything but a packet in a quote
	hasIP                           // either version
	hasV4                           //
	hasV6                           //
	hasPayload                      // room for one
	hasPlainID                      // "id" is the IP identification; otherwise it is "ipid"
	hasSum                          // transport checksum
	hasPseudo                       // that covers the pseudo-header
	hasUDP                          //
	hasTCP                          //
	hasSCTP                         //
	hasInitTag                      // SCTP init, init-ack
	hasTSN                          // SCTP data, sack
	hasARP                          //
	hasEcho                         // ICMP id and seq
	hasMTU                          // in the second word
	hasRest                         // nothing else is known of the second word
	hasQuote                        // ICMP error, IP in IP
	hasTarget                       // neighbour discovery with a target
	hasLLOption                     // neighbour discovery with a link-layer address option
	hasAdvert                       // neighbour advertisement's flags
)

// message is an ICMP message by name.
type message struct {
	v6        bool
	name, sub string
	typ, code uint8
	has       feature
}

var messages = []message{
	{false, "echo", "", 8, 0, hasEcho},
	{false, "reply", "", 0, 0, hasEcho},
	{false, "ttl-exceeded", "", 11, 0, hasRest | hasQuote},
	{false, "reassembly-exceeded", "", 11, 1, hasRest | hasQuote},
	{false, "frag-needed", "", 3, 4, hasMTU | hasQuote},
	{false, "unreachable", "net", 3, 0, hasRest | hasQuote},
	{false, "unreachable", "host", 3, 1, hasRest | hasQuote},
	{false, "unreachable", "proto", 3, 2, hasRest | hasQuote},
	{false, "unreachable", "port", 3, 3, hasRest | hasQuote},
	{false, "unreachable", "admin", 3, 13, hasRest | hasQuote},
	{true, "echo", "", 128, 0, hasEcho},
	{true, "reply", "", 129, 0, hasEcho},
	{true, "ttl-exceeded", "", 3, 0, hasRest | hasQuote},
	{true, "reassembly-exceeded", "", 3, 1, hasRest | hasQuote},
	{true, "too-big", "", 2, 0, hasMTU | hasQuote},
	{true, "unreachable", "net", 1, 0, hasRest | hasQuote},
	{true, "unreachable", "admin", 1, 1, hasRest | hasQuote},
	{true, "unreachable", "scope", 1, 2, hasRest | hasQuote},
	{true, "unreachable", "host", 1, 3, hasRest | hasQuote},
	{true, "unreachable", "port", 1, 4, hasRest | hasQuote},
	{true, "ns", "", 135, 0, hasRest | hasTarget | hasLLOption},
	{true, "na", "", 136, 0, hasAdvert | hasTarget | hasLLOption},
	{true, "rs", "", 133, 0, hasRest | hasLLOption},
}

// otherMessage is an ICMP message without a name.
func otherMessage(v6 bool, typ, code uint8) message {
	return message{v6, "type", "", typ, code, hasRest | hasQuote}
}

// messageByType returns the message of a type and code; otherMessage if it has
// no name.
func messageByType(v6 bool, typ, code uint8) message {
	for _, m := range messages {
		if m.v6 == v6 && m.typ == typ && m.code == code {
			return m
		}
	}
	return otherMessage(v6, typ, code)
}

// chunks names SCTP chunk types and says how many bytes their fixed part has.
var chunks = []struct {
	name  string
	typ   uint8
	fixed int
}{
	{"data", packet.SCTPData, 12},
	{"init", packet.SCTPInit, 16},
	{"init-ack", packet.SCTPInitAck, 16},
	{"sack", packet.SCTPSack, 12},
	{"heartbeat", packet.SCTPHeartbeat, 0},
	{"heartbeat-ack", packet.SCTPHeartbeatAck, 0},
	{"abort", packet.SCTPAbort, 0},
	{"shutdown", packet.SCTPShutdown, 4},
	{"shutdown-ack", packet.SCTPShutdownAck, 0},
	{"error", packet.SCTPError, 0},
	{"cookie-echo", packet.SCTPCookieEcho, 0},
	{"cookie-ack", packet.SCTPCookieAck, 0},
	{"shutdown-complete", packet.SCTPShutdownComplete, 0},
}

func chunkFixed(typ uint32) int {
	for _, c := range chunks {
		if uint32(c.typ) == typ {
			return c.fixed
		}
	}
	return 0
}

// newSpec returns the defaults of a kind.
func newSpec(k kind) *spec { return &spec{kind: k, ttl: 64, win: 65535} }

// setMessage makes s an ICMP message of kind m. Neighbour discovery is only
// accepted with a hop limit that no router has touched (RFC 4861 section 7.1).
func (s *spec) setMessage(m message) {
	s.message = m
	if m.has&hasLLOption != 0 {
		s.ttl = 255
	}
}

func (s *spec) v6() bool { return s.from.Is6() }

// has returns what attributes make sense for s; link is false in a quote.
func (s *spec) has(link bool) feature {
	f := kinds[s.kind].has | s.message.has
	if link {
		f |= hasLink
	}
	if f&hasIP != 0 {
		if s.v6() {
			f |= hasV6
		} else {
			f |= hasV4
		}
	}
	if s.kind == kindIP && (s.proto == packet.ProtoIPIP || s.proto == packet.ProtoIPv6) {
		f |= hasQuote
	}
	if s.kind == kindSCTP {
		switch s.chunk {
		case packet.SCTPInit, packet.SCTPInitAck:
			f |= hasInitTag
		case packet.SCTPData, packet.SCTPSack:
			f |= hasTSN
		}
	}
	return f
}

// defaults returns what a line with only the kind and its arguments would
// give: the attributes worth writing are those that differ.
func (s *spec) defaults() *spec {
	d := newSpec(s.kind)
	d.setMessage(s.message)
	return d
}

// defaultMACs returns the addresses of a frame that names none.
func (s *spec) defaultMACs() (src, dst packet.MAC) {
	switch {
	case s.kind == kindARP && (s.op == packet.ARPRequest || s.from == s.to):
		return s.sha, packet.Broadcast
	case s.kind == kindARP:
		return s.sha, s.tha
	case s.from.IsValid():
		return macOf(s.from), macOf(s.to)
	default:
		return packet.MAC{2, 0, 0, 0, 0, 1}, packet.Broadcast
	}
}

// defaultARPMACs returns the addresses in an ARP packet that names none but
// what "is-at" says: those of the frame, else those of the IP addresses.
func (s *spec) defaultARPMACs() (sha, tha packet.MAC) {
	switch {
	case s.op == packet.ARPRequest && s.macs:
		return s.src, packet.MAC{}
	case s.op == packet.ARPRequest:
		return macOf(s.from), packet.MAC{}
	case s.macs:
		return s.sha, s.dst
	case s.from == s.to:
		return s.sha, packet.Broadcast
	default:
		return s.sha, macOf(s.to)
	}
}

// macOf returns the MAC address that an IP address has by default.
func macOf(a netip.Addr) packet.MAC {
	ip := packet.AddrFrom(a)
	if group, found := packet.GroupMAC(ip); found {
		return group
	}
	return packet.HostMAC(ip)
}

// patternAt is byte i of the payload of "len N".
func patternAt(i int) byte { return 'a' + byte(i%26) }

// extend appends the pattern to a payload up to size bytes.
func extend(payload []byte, size int) []byte {
	for i := len(payload); i < size; i++ {
		payload = append(payload, patternAt(i))
	}
	return payload
}
