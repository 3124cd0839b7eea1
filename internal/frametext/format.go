package frametext

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/packet"
)

// Format returns a line that Parse turns into frame again, whatever frame is:
// in the most telling form that can say all of it, and as "raw HEX" at worst.
func Format(frame []byte) string {
	for depth := deepest; depth >= 0; depth-- {
		s, known := decode(frame, depth)
		if !known {
			continue
		}
		line := s.text(0)
		if again, err := Parse(line); err == nil && bytes.Equal(again, frame) {
			return line
		}
	}
	if len(frame) == 0 {
		return "raw"
	}
	return "raw " + hex.EncodeToString(frame)
}

// text returns s as a line; quotes counts those around it.
func (s *spec) text(quotes int) string {
	var b strings.Builder
	s.writeHead(&b)
	if s.macs {
		fmt.Fprintf(&b, " eth %s > %s", s.src, s.dst)
	}
	for _, t := range s.tags {
		name := " vlan "
		if t.tpid == packet.EtherTypeQinQ {
			name = " qinq "
		}
		b.WriteString(name + strconv.Itoa(int(t.tci&0xfff)))
		if prio := t.tci >> 13; prio != 0 {
			fmt.Fprintf(&b, ".%d", prio)
		}
	}
	s.writeAttributes(&b)
	s.writePayload(&b, quotes)
	if len(s.trailer) > 0 {
		fmt.Fprintf(&b, " trailer %x", s.trailer)
	}
	return b.String()
}

// writeHead writes the kind and its arguments.
func (s *spec) writeHead(b *strings.Builder) {
	k := &kinds[s.kind]
	b.WriteString(k.name)
	switch {
	case s.kind == kindEther:
		fmt.Fprintf(b, " type 0x%04x", s.etherType)
	case s.kind == kindARP && s.op == packet.ARPRequest:
		fmt.Fprintf(b, " %s who-has %s", s.from, s.to)
	case s.kind == kindARP:
		fmt.Fprintf(b, " %s is-at %s", s.from, s.sha)
		if s.to != s.from {
			fmt.Fprintf(b, " to %s", s.to)
		}
	case k.ports:
		fmt.Fprintf(b, " %s > %s", netip.AddrPortFrom(s.from, s.fromPort), netip.AddrPortFrom(s.to, s.toPort))
	default:
		fmt.Fprintf(b, " %s > %s", s.from, s.to)
	}
	switch s.kind {
	case kindTCP:
		b.WriteByte(' ')
		b.WriteString(flagText(s.tcpFlags))
	case kindSCTP:
		b.WriteString(" " + chunkText(s.chunk))
	case kindIP:
		fmt.Fprintf(b, " proto %d", s.proto)
	case kindICMP, kindICMP6:
		m := &s.message
		b.WriteString(" " + m.name)
		if m.name == "type" {
			fmt.Fprintf(b, " %d code %d", m.typ, m.code)
		} else if m.sub != "" {
			b.WriteString(" " + m.sub)
		}
		if m.has&hasTarget != 0 {
			fmt.Fprintf(b, " target %s", s.target)
		}
	}
}

func flagText(flags uint8) string {
	if flags == 0 {
		return "none"
	}
	var b strings.Builder
	for i, c := range tcpFlagLetters {
		if flags&(1<<i) != 0 {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func chunkText(typ uint32) string {
	for _, c := range chunks {
		if uint32(c.typ) == typ {
			return c.name
		}
	}
	return fmt.Sprintf("chunk %d", typ)
}

// writeAttributes writes what differs from the defaults.
func (s *spec) writeAttributes(b *strings.Builder) {
	defaults := s.defaults()
	has := s.has(true)
	written := map[*uint32]bool{} // id and ipid are one field
	for _, n := range numbers {
		field := n.field(s)
		if has&n.of != n.of || *field == *n.field(defaults) || written[field] {
			continue
		}
		written[field] = true
		if n.hex {
			fmt.Fprintf(b, " %s 0x%x", n.name, *field)
		} else {
			fmt.Fprintf(b, " %s %d", n.name, *field)
		}
	}
	for _, f := range flags {
		if has&f.of == f.of && f.get(s) {
			b.WriteString(" " + f.name)
		}
	}
	if s.ipSum == sumGiven {
		fmt.Fprintf(b, " ipcsum 0x%x", s.ipSumValue)
	}
	if s.sum == sumGiven {
		fmt.Fprintf(b, " csum 0x%x", s.sumValue)
	}
	o := &s.tcp
	if o.hasMSS {
		fmt.Fprintf(b, " mss %d", o.mss)
	}
	if o.hasTS {
		fmt.Fprintf(b, " ts %d %d", o.tsVal, o.tsEcr)
	}
	if o.hasScale {
		fmt.Fprintf(b, " wscale %d", o.wscale)
	}
	if o.raw != nil {
		fmt.Fprintf(b, " opts %x", o.raw)
	}
	if s.hasLLAddr {
		fmt.Fprintf(b, " lladdr %s", s.lladdr)
	}
	if s.kind == kindARP {
		sha, tha := s.defaultARPMACs()
		if s.sha != sha {
			fmt.Fprintf(b, " sha %s", s.sha)
		}
		if s.tha != tha {
			fmt.Fprintf(b, " tha %s", s.tha)
		}
	}
}

// writePayload writes the payload as what it looks like.
func (s *spec) writePayload(b *strings.Builder, quotes int) {
	if len(s.payload) == 0 {
		return
	}
	if s.has(true)&hasQuote != 0 && quotes < maxQuotes {
		for depth := deepest; depth >= decodeIP; depth-- {
			inner, known := decodePacket(s.payload, depth)
			if known && inner.validate() == "" && bytes.Equal(inner.quoted(), s.payload) {
				fmt.Fprintf(b, " quote { %s }", inner.text(quotes+1))
				return
			}
		}
	}
	head := len(s.payload)
	for head > 0 && s.payload[head-1] == patternAt(head-1) {
		head--
	}
	if len(s.payload)-head < minPattern && head > 0 {
		head = len(s.payload)
	}
	switch given := s.payload[:head]; {
	case head == 0:
	case isText(given):
		b.WriteString(" data " + strconv.Quote(string(given)))
	default:
		fmt.Fprintf(b, " hex %x", given)
	}
	if head < len(s.payload) {
		fmt.Fprintf(b, " len %d", len(s.payload))
	}
}

// minPattern is how many bytes of pattern behind other payload are written as
// "len": fewer may be there by chance.
const minPattern = 8

// isText reports whether b reads better as a string than as digits.
func isText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && !isBlank(c) {
			return false
		}
	}
	return true
}
