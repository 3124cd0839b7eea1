package frametext

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/packet"
)

// maxQuotes is how deep quotes nest: an error about an error about ...
const maxQuotes = 4

// Parse returns the frame that line describes. The error is an *Error.
func Parse(line string) ([]byte, error) {
	tokens, err := lex(line)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, end: len(line) + 1}
	var frame []byte
	if p.peek().text == "raw" {
		p.next()
		frame = p.hexWords()
	} else if s := p.spec(0); p.err == nil {
		frame = s.frame()
	}
	if p.err == nil && p.pos < len(p.tokens) {
		p.fail(p.peek(), "the end of the line")
	}
	if p.err != nil {
		return nil, p.err
	}
	return frame, nil
}

// parser walks the words of a line. After the first fault it only goes through
// the motions.
type parser struct {
	tokens []token
	pos    int
	sha    bool // ARP addresses are given
	tha    bool
	end    int // column after the last word
	err    *Error
}

// peek returns the next word; an empty one at the end.
func (p *parser) peek() token {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return token{column: p.end}
}

func (p *parser) next() token {
	t := p.peek()
	p.pos++
	return t
}

func (p *parser) fail(at token, want string) {
	if p.err == nil {
		p.err = &Error{at.column, want, at.text}
	}
}

// expect takes the given word.
func (p *parser) expect(word string) {
	if t := p.next(); t.text != word {
		p.fail(t, "\""+word+"\"")
	}
}

// spec parses a line up to its end or the brace that ends a quote.
func (p *parser) spec(depth int) *spec {
	at := p.next()
	k := kind(0)
	for k < numKinds && kinds[k].name != at.text {
		k++
	}
	if k == numKinds {
		p.fail(at, "one of udp, tcp, sctp, icmp, icmp6, arp, ip, ether, raw")
		return newSpec(0)
	}
	s := newSpec(k)
	if depth > 0 && kinds[k].has&hasIP == 0 {
		p.fail(at, "an IP packet")
	}
	switch k {
	case kindARP:
		p.arp(s)
	case kindEther:
		p.expect("type")
		s.etherType = p.number(65535)
	default:
		p.endpoints(s)
		p.detail(s)
	}
	seen := map[string]bool{}
	for p.err == nil {
		t := p.peek()
		if t.text == "" || t.text == "}" && depth > 0 {
			break
		}
		p.next()
		field := fieldOf(t.text)
		if seen[field] {
			p.fail(t, "each attribute once")
		}
		seen[field] = field != "tag of a VLAN"
		p.attribute(s, t, depth)
	}
	p.finish(s)
	if p.err == nil {
		if want := s.validate(); want != "" {
			p.fail(at, want)
		}
	}
	return s
}

// fieldOf names what an attribute sets: those that set the same exclude each other.
func fieldOf(attribute string) string {
	switch attribute {
	case "vlan", "qinq":
		return "tag of a VLAN"
	case "data", "hex", "quote":
		return "payload"
	case "ipcsum", "badipcsum":
		return "IP checksum"
	case "csum", "badcsum", "nocsum", "partial":
		return "checksum"
	default:
		return attribute
	}
}

// finish fills in what depends on several attributes.
func (p *parser) finish(s *spec) {
	s.payload = extend(s.payload, int(s.size))
	if s.kind != kindARP {
		return
	}
	sha, tha := s.defaultARPMACs()
	if !p.sha {
		s.sha = sha
	}
	if !p.tha {
		s.tha = tha
	}
}

// arp parses what follows "arp".
func (p *parser) arp(s *spec) {
	s.from = p.addr(true)
	switch t := p.next(); t.text {
	case "who-has":
		s.op = packet.ARPRequest
		s.to = p.addr(true)
	case "is-at":
		s.op = packet.ARPReply
		s.sha = p.mac()
		s.to = s.from
		if p.peek().text == "to" {
			p.next()
			s.to = p.addr(true)
		}
	default:
		p.fail(t, "who-has or is-at")
	}
}

// endpoints parses "SRC > DST".
func (p *parser) endpoints(s *spec) {
	parse := func(like netip.Addr) (a netip.Addr, port uint16) {
		t := p.peek()
		if kinds[s.kind].ports {
			p.next()
			ap, err := netip.ParseAddrPort(t.text)
			if err != nil || ap.Addr().Zone() != "" {
				p.fail(t, "ADDRESS:PORT or [ADDRESS]:PORT")
				return netip.IPv4Unspecified(), 0
			}
			a, port = ap.Addr(), ap.Port()
		} else {
			a = p.addr(false)
		}
		if like.IsValid() && like.Is4() != a.Is4() {
			p.fail(t, "an address of the same version as the source")
		}
		return a, port
	}
	at := p.peek()
	s.from, s.fromPort = parse(netip.Addr{})
	p.expect(">")
	s.to, s.toPort = parse(s.from)
	if s.kind == kindICMP && s.v6() || s.kind == kindICMP6 && !s.v6() {
		p.fail(at, "an IPv4 address for icmp, an IPv6 address for icmp6")
	}
}

// detail parses what a kind says after its addresses.
func (p *parser) detail(s *spec) {
	switch s.kind {
	case kindIP:
		p.expect("proto")
		s.proto = p.number(255)
	case kindTCP:
		t := p.next()
		flags, valid := parseFlags(t.text)
		if !valid {
			p.fail(t, "TCP flags from FSRPAUEW, or none")
		}
		s.tcpFlags = flags
	case kindSCTP:
		t := p.next()
		if t.text == "chunk" {
			s.chunk = p.number(255)
			return
		}
		for _, c := range chunks {
			if c.name == t.text {
				s.chunk = uint32(c.typ)
				return
			}
		}
		p.fail(t, "an SCTP chunk such as init, data or abort")
	case kindICMP, kindICMP6:
		s.setMessage(p.message(s.kind == kindICMP6))
		if s.message.has&hasTarget != 0 {
			p.expect("target")
			t := p.peek()
			if s.target = p.addr(false); !s.target.Is6() {
				p.fail(t, "an IPv6 address")
			}
		}
	}
}

func (p *parser) message(v6 bool) message {
	t := p.next()
	if t.text == "type" {
		typ := p.number(255)
		p.expect("code")
		return messageByType(v6, uint8(typ), uint8(p.number(255)))
	}
	sub, at := "", t
	if t.text == "unreachable" {
		at = p.next()
		sub = at.text
	}
	for _, m := range messages {
		if m.v6 == v6 && m.name == t.text && m.sub == sub {
			return m
		}
	}
	if at != t {
		p.fail(at, "what is unreachable: net, host, port, admin, ...")
	}
	p.fail(t, "an ICMP message such as echo, reply, unreachable or type N code N")
	return message{v6: v6}
}

// tcpFlagLetters are the flags from the lowest bit on.
const tcpFlagLetters = "FSRPAUEW"

func parseFlags(word string) (flags uint8, valid bool) {
	if word == "none" {
		return 0, true
	}
	for _, c := range word {
		i := strings.IndexRune(tcpFlagLetters, c)
		if i < 0 || flags&(1<<i) != 0 {
			return 0, false
		}
		flags |= 1 << i
	}
	return flags, word != ""
}

// attribute parses the attribute that t names.
func (p *parser) attribute(s *spec, t token, depth int) {
	has := s.has(depth == 0)
	for _, n := range numbers {
		if n.name == t.text && has&n.of == n.of {
			*n.field(s) = p.number(n.max)
			return
		}
	}
	for _, f := range flags {
		if f.name == t.text && has&f.of == f.of {
			f.set(s)
			return
		}
	}
	if !p.special(s, t.text, has, depth) {
		p.fail(t, "an attribute of "+kinds[s.kind].name)
	}
}

// special parses an attribute that is neither a single number nor a flag; it
// reports false if name is none of s.
func (p *parser) special(s *spec, name string, has feature, depth int) bool {
	of, found := specials[name]
	if !found || has&of != of {
		return false
	}
	switch name {
	case "eth":
		s.src = p.mac()
		p.expect(">")
		s.dst = p.mac()
		s.macs = true
	case "vlan":
		s.tags = append(s.tags, p.tag(packet.EtherTypeVLAN))
	case "qinq":
		s.tags = append(s.tags, p.tag(packet.EtherTypeQinQ))
	case "len":
		s.size = p.number(65535)
	case "data":
		t := p.next()
		text, err := strconv.Unquote(t.text)
		if err != nil {
			p.fail(t, "a string in double quotes")
		}
		s.payload = []byte(text)
	case "hex":
		s.payload = p.hexWord()
	case "quote":
		s.payload = p.quote(depth + 1)
	case "csum":
		s.sum = sumGiven
		s.sumValue = p.number(sumMax(s.kind))
	case "ipcsum":
		s.ipSum, s.ipSumValue = sumGiven, p.number(0xffff)
	case "trailer":
		s.trailer = p.hexWord()
	case "mss":
		s.tcp.mss, s.tcp.hasMSS = p.number(65535), true
	case "wscale":
		s.tcp.wscale, s.tcp.hasScale = p.number(255), true
	case "ts":
		s.tcp.tsVal, s.tcp.tsEcr, s.tcp.hasTS = p.number(0xffffffff), p.number(0xffffffff), true
	case "opts":
		t := p.peek()
		if s.tcp.raw = p.hexWord(); len(s.tcp.raw) > 40 || len(s.tcp.raw)%4 != 0 {
			p.fail(t, "at most 40 bytes of options in words of 4")
		}
	case "lladdr":
		s.lladdr, s.hasLLAddr = p.mac(), true
	case "sha":
		s.sha, p.sha = p.mac(), true
	case "tha":
		s.tha, p.tha = p.mac(), true
	}
	return true
}

// specials are the names that special knows, and what they belong to.
var specials = map[string]feature{
	"eth": hasLink, "vlan": hasLink, "qinq": hasLink,
	"len": hasPayload, "data": hasPayload, "hex": hasPayload, "quote": hasQuote,
	"ipcsum": hasV4, "trailer": hasLink,
	"csum": hasSum, "mss": hasTCP, "wscale": hasTCP, "ts": hasTCP, "opts": hasTCP,
	"lladdr": hasLLOption, "sha": hasARP, "tha": hasARP,
}

// sumMax is the largest value of a kind's checksum field.
func sumMax(k kind) uint32 {
	if k == kindSCTP {
		return 0xffffffff
	}
	return 0xffff
}

// quote parses "{ line }".
func (p *parser) quote(depth int) []byte {
	open := p.peek()
	p.expect("{")
	if depth > maxQuotes {
		p.fail(open, "no more than "+strconv.Itoa(maxQuotes)+" quotes in one another")
	}
	if p.err != nil {
		return nil
	}
	inner := p.spec(depth)
	p.expect("}")
	if p.err != nil {
		return nil
	}
	return inner.quoted()
}

func (p *parser) tag(tpid uint16) tag {
	t := p.next()
	id, pcp, hasPCP := strings.Cut(t.text, ".")
	n, err := strconv.ParseUint(id, 10, 12)
	var prio uint64
	if err == nil && hasPCP {
		prio, err = strconv.ParseUint(pcp, 10, 3)
	}
	if err != nil {
		p.fail(t, "a VLAN number from 0 to 4095, with .0 to .7 for its priority")
	}
	return tag{tpid, uint16(prio)<<13 | uint16(n)}
}

func (p *parser) number(limit uint32) uint32 {
	t := p.next()
	n, err := strconv.ParseUint(t.text, 0, 32)
	if err != nil || n > uint64(limit) || strings.Contains(t.text, "_") {
		p.fail(t, "a number from 0 to "+strconv.FormatUint(uint64(limit), 10))
	}
	return uint32(n)
}

func (p *parser) addr(only4 bool) netip.Addr {
	t := p.next()
	a, err := netip.ParseAddr(t.text)
	switch {
	case only4 && (err != nil || !a.Is4()):
		p.fail(t, "an IPv4 address")
	case err != nil || a.Zone() != "":
		p.fail(t, "an IP address")
	default:
		return a
	}
	return netip.IPv4Unspecified()
}

func (p *parser) mac() packet.MAC {
	t := p.next()
	m, err := net.ParseMAC(t.text)
	if err != nil || len(m) != 6 {
		p.fail(t, "a MAC address")
		return packet.MAC{}
	}
	return packet.MAC(m)
}

func (p *parser) hexWord() []byte {
	t := p.next()
	b, err := hex.DecodeString(t.text)
	if err != nil || len(b) == 0 {
		p.fail(t, "hexadecimal digits, two for each byte")
	}
	return b
}

// hexWords takes hexadecimal words up to the end of the line.
func (p *parser) hexWords() (b []byte) {
	for p.err == nil && p.pos < len(p.tokens) {
		b = append(b, p.hexWord()...)
	}
	return b
}
