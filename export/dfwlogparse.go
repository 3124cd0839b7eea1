package export

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/packet"
)

// ParseFirewallLine reads a line that FirewallLine.Append has written. What Append has made one word stays that.
func ParseFirewallLine(line string) (l FirewallLine, err error) {
	p := lineParser{words: strings.Fields(line)}
	l.Time = p.time()
	l.Filter = p.word("filter")
	family := p.word("address family")
	if family == "LOST" {
		l.Filter, l.Lost = "", p.number("count", 64)
		return l, p.end("a count of lines lost")
	}
	l.Reason, l.Action = p.word("reason"), p.word("action")
	l.Set, l.Rule = p.rule()
	l.Out = p.oneOf("direction", "IN", "OUT") == 1
	l.Length = uint32(p.number("length", 32))
	if p.next("MORE") {
		l.More = uint32(p.number("count of packets", 32))
	}
	v6 := p.family(family)
	p.protocol(&l, family, v6)
	if l.Reason == FirewallTerm {
		ends := []string{"RST", "FIN", "TIMEOUT"}
		l.End = ends[p.oneOf("end", ends...)]
	}
	p.addresses(&l, family)
	switch {
	case l.End != "":
		l.Packets, l.Bytes = p.pair("packets"), p.pair("bytes")
	case l.Src.IsValid() && l.Protocol == packet.ProtoTCP:
		l.Flags = p.flags()
	}
	if len(p.words) > 0 {
		l.Tag = p.word("tag")
	}
	return l, p.end("a line of the firewall log")
}

// lineParser takes words from the front, and notes the first fault.
type lineParser struct {
	words []string
	err   error
}

func (p *lineParser) fail(what, got string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %q", what, got)
	}
}

// end returns the first fault; words that are left are one.
func (p *lineParser) end(what string) error {
	if p.err == nil && len(p.words) > 0 {
		p.fail("behind the end", strings.Join(p.words, " "))
	}
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("not %s: %w", what, p.err)
}

func (p *lineParser) word(what string) string {
	if len(p.words) == 0 {
		if p.err == nil {
			p.err = errors.New("ends before the " + what)
		}
		return ""
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

// next takes the next word if it is w.
func (p *lineParser) next(w string) bool {
	found := len(p.words) > 0 && p.words[0] == w
	if found {
		p.words = p.words[1:]
	}
	return found
}

func (p *lineParser) oneOf(what string, list ...string) int {
	w := p.word(what)
	for i, s := range list {
		if s == w {
			return i
		}
	}
	p.fail(what, w)
	return 0
}

func (p *lineParser) time() int64 {
	w := p.word("time")
	t, err := time.Parse(time.RFC3339Nano, w)
	if err != nil {
		p.fail("time", w)
		return 0
	}
	return t.UnixNano()
}

func (p *lineParser) number(what string, size int) uint64 {
	return p.parse(what, p.word(what), 0, size)
}

func (p *lineParser) parse(what, w string, base, size int) uint64 {
	n, err := strconv.ParseUint(w, base, size)
	if err != nil {
		p.fail(what, w)
	}
	return n
}

// rule reads SET/RULE; slashes belong to the set but for the last.
func (p *lineParser) rule() (set string, rule uint32) {
	w := p.word("rule")
	i := strings.LastIndexByte(w, '/')
	if i < 0 {
		p.fail("rule", w)
		return "", 0
	}
	return w[:i], uint32(p.parse("rule", w[i+1:], 10, 32))
}

func (p *lineParser) family(w string) (v6 bool) {
	switch w {
	case "INET", "ETHER":
	case "INET6":
		return true
	default:
		p.fail("address family", w)
	}
	return false
}

func (p *lineParser) protocol(l *FirewallLine, family string, v6 bool) {
	switch w := p.word("protocol"); {
	case w == "PROTO" && family == "ETHER":
		l.EtherType = uint16(p.number("EtherType", 16))
	case w == "PROTO":
		l.Protocol = uint8(p.number("protocol", 8))
	case w == "TCP":
		l.Protocol = packet.ProtoTCP
	case w == "UDP":
		l.Protocol = packet.ProtoUDP
	case w == "ICMP" && v6:
		l.Protocol = packet.ProtoICMPv6
	case w == "ICMP":
		l.Protocol = packet.ProtoICMP
	default:
		p.fail("protocol", w)
	}
}

func (p *lineParser) addresses(l *FirewallLine, family string) {
	w := p.word("addresses")
	src, dst, found := strings.Cut(w, "->")
	if !found {
		p.fail("addresses", w)
		return
	}
	if family == "ETHER" {
		l.SrcMAC, l.DstMAC = p.mac(src), p.mac(dst)
		return
	}
	l.Src, l.Dst = p.addr(src, l.Protocol), p.addr(dst, l.Protocol)
	if l.Src.Addr().Is4() != (family == "INET") || l.Dst.Addr().Is4() != (family == "INET") {
		p.fail("addresses of family "+family, w)
	}
}

func (p *lineParser) addr(w string, proto uint8) netip.AddrPort {
	port := uint16(0)
	if host, number, found := strings.Cut(w, "/"); found == hasPorts(proto) {
		if found {
			w, port = host, uint16(p.parse("port", number, 10, 16))
		}
	} else {
		p.fail("address", w)
	}
	a, err := netip.ParseAddr(w)
	if err != nil || a.Zone() != "" {
		p.fail("address", w)
	}
	return netip.AddrPortFrom(a, port)
}

func (p *lineParser) mac(w string) (m packet.MAC) {
	parts := strings.Split(w, ":")
	if len(parts) != len(m) {
		p.fail("MAC address", w)
		return m
	}
	for i, s := range parts {
		m[i] = uint8(p.parse("MAC address", s, 16, 8))
	}
	return m
}

// pair reads IN/OUT.
func (p *lineParser) pair(what string) (n [2]uint64) {
	w := p.word(what)
	in, out, found := strings.Cut(w, "/")
	if !found {
		p.fail(what, w)
		return n
	}
	return [2]uint64{p.parse(what, in, 10, 64), p.parse(what, out, 10, 64)}
}

func (p *lineParser) flags() (flags uint8) {
	w := p.word("flags")
	if w == "-" {
		return 0
	}
	for i := range len(w) {
		bit := strings.IndexByte(tcpFlagLetters, w[i])
		if bit < 0 {
			p.fail("flags", w)
			return 0
		}
		flags |= 1 << bit
	}
	return flags
}
