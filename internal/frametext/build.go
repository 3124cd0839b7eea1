package frametext

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

var be = binary.BigEndian

// Option types: IANA "IP Option Numbers", "TCP Parameters", "IPv6 Parameters" and "ICMPv6 Parameters".
const (
	optionNop  = 1 // IPv4 and TCP
	optionPadN = 1 // IPv6

	optionMSS, optionScale, optionSACKOK, optionTS = 2, 3, 4, 8

	ndSourceLLAddr, ndTargetLLAddr = 1, 2
	ndAdvert                       = 136
)

// frame returns the bytes of s with its link layer.
func (s *spec) frame() []byte {
	src, dst := s.src, s.dst
	if !s.macs {
		src, dst = s.defaultMACs()
	}
	f := append(append([]byte(nil), dst[:]...), src[:]...)
	for _, t := range s.tags {
		f = be.AppendUint16(be.AppendUint16(f, t.tpid), t.tci)
	}
	switch {
	case s.kind == kindEther:
		f = append(be.AppendUint16(f, uint16(s.etherType)), s.payload...)
	case s.kind == kindARP:
		f = s.appendARP(be.AppendUint16(f, packet.EtherTypeARP))
	case s.v6():
		f = append(be.AppendUint16(f, packet.EtherTypeIPv6), s.packet()...)
	default:
		f = append(be.AppendUint16(f, packet.EtherTypeIPv4), s.packet()...)
	}
	return s.truncate(append(append(f, make([]byte, s.pad)...), s.trailer...))
}

// quoted returns the bytes of s as an ICMP error quotes it.
func (s *spec) quoted() []byte { return s.truncate(s.packet()) }

func (s *spec) truncate(b []byte) []byte {
	if s.cut != 0 && int(s.cut) < len(b) {
		return b[:s.cut]
	}
	return b
}

func (s *spec) appendARP(f []byte) []byte {
	from, to := s.from.As4(), s.to.As4()
	f = append(f, 0, 1, 8, 0, 6, 4, byte(s.op>>8), byte(s.op))
	f = append(append(f, s.sha[:]...), from[:]...)
	return append(append(f, s.tha[:]...), to[:]...)
}

// packet returns the IP packet of s, whole.
func (s *spec) packet() []byte {
	p, l4, proto := s.ipHeader()
	p = append(p, s.transport()...)
	if s.v6() {
		be.PutUint16(p[4:], uint16(len(p)-40))
	} else {
		be.PutUint16(p[2:], uint16(len(p)))
		sum := packet.Checksum(p[:l4])
		switch s.ipSum {
		case sumWrong:
			sum ^= wrongBits
		case sumGiven:
			sum = uint16(s.ipSumValue)
		}
		be.PutUint16(p[10:], sum)
	}
	if kinds[s.kind].has&hasSum != 0 {
		s.checksum(p, l4, proto)
	}
	return p
}

// wrongBits are flipped in a checksum that is to be wrong.
const wrongBits = 0x0100

// checksum fills the transport checksum of a packet that is otherwise complete.
func (s *spec) checksum(p []byte, l4 int, proto uint8) {
	packet.SetTransport(p, 0, l4, len(p), proto)
	field := p[l4+sumOffset(s.kind):]
	switch s.sum {
	case sumWrong:
		field[0] ^= wrongBits >> 8
	case sumNone:
		field[0], field[1] = 0, 0
	case sumPartial:
		be.PutUint16(field, packet.PartialChecksum(packet.AddrFrom(s.from), packet.AddrFrom(s.to), proto, uint32(len(p)-l4)))
	case sumGiven:
		if s.kind == kindSCTP {
			be.PutUint32(field, s.sumValue)
		} else {
			be.PutUint16(field, uint16(s.sumValue))
		}
	}
}

// sumOffset is where a kind's transport header has its checksum.
func sumOffset(k kind) int {
	return [numKinds]int{kindUDP: 6, kindTCP: 16, kindSCTP: 8, kindICMP: 2, kindICMP6: 2}[k]
}

// ipHeader returns the IP header with options or extensions, its length field
// and checksum still 0, and the final protocol.
func (s *spec) ipHeader() (p []byte, l4 int, proto uint8) {
	proto = kinds[s.kind].proto
	if s.kind == kindIP {
		proto = uint8(s.proto)
	}
	if !s.v6() {
		from, to := s.from.As4(), s.to.As4()
		p = make([]byte, 20, 64)
		p[0] = 0x45 + byte(s.options/4)
		p[1] = byte(s.tos)
		be.PutUint16(p[4:], uint16(s.id))
		be.PutUint16(p[6:], bit(s.df, 0x4000)|bit(s.mf, 0x2000)|uint16(s.off/8))
		p[8], p[9] = byte(s.ttl), proto
		copy(p[12:], from[:])
		copy(p[16:], to[:])
		for range s.options {
			p = append(p, optionNop)
		}
		return p, len(p), proto
	}
	from, to := s.from.As16(), s.to.As16()
	p = make([]byte, 40, 64)
	be.PutUint32(p, 6<<28|s.tos<<20|s.flow)
	p[7] = byte(s.ttl)
	copy(p[8:], from[:])
	copy(p[24:], to[:])
	next := 6 // offset of the field that names the next header
	if s.hbh > 0 {
		p, next = appendPadded(p, next, packet.ProtoHopByHop, int(s.hbh))
	}
	if s.options > 0 {
		p, next = appendPadded(p, next, packet.ProtoDestOpts, int(s.options))
	}
	if s.fragmentHeader() {
		p[next] = packet.ProtoFragment
		next = len(p)
		p = append(p, 0, 0)
		p = be.AppendUint16(p, uint16(s.off)|bit(s.mf, 1))
		p = be.AppendUint32(p, s.id)
	}
	p[next] = proto
	return p, len(p), proto
}

func (s *spec) fragmentHeader() bool { return s.frag || s.mf || s.off > 0 }

// appendPadded appends an options header of size bytes that holds padding.
func appendPadded(p []byte, next int, proto uint8, size int) ([]byte, int) {
	p[next] = proto
	next = len(p)
	p = append(p, 0, byte(size/8-1))
	for left := size - 2; left > 0; {
		n := min(left, 257)
		if left-n == 1 {
			n-- // PadN takes two bytes at least
		}
		p = append(p, optionPadN, byte(n-2))
		p = append(p, make([]byte, n-2)...)
		left -= n
	}
	return p, next
}

func bit(set bool, b uint16) uint16 {
	if set {
		return b
	}
	return 0
}

// transport returns the transport header and payload, checksum 0.
func (s *spec) transport() []byte {
	var h []byte
	switch s.kind {
	case kindUDP:
		h = be.AppendUint16(s.appendPorts(h), uint16(8+len(s.payload)))
		h = append(h, 0, 0)
	case kindTCP:
		opts := s.tcp.bytes()
		h = be.AppendUint32(be.AppendUint32(s.appendPorts(h), s.seq), s.ack)
		h = append(h, byte(5+len(opts)/4)<<4, s.tcpFlags)
		h = append(be.AppendUint16(h, uint16(s.win)), 0, 0)
		h = append(be.AppendUint16(h, uint16(s.urg)), opts...)
	case kindSCTP:
		h = append(be.AppendUint32(s.appendPorts(h), s.tag), 0, 0, 0, 0)
		fixed := make([]byte, chunkFixed(s.chunk))
		if len(fixed) >= 12 {
			be.PutUint32(fixed, s.chunkWord)
		}
		h = append(h, byte(s.chunk), byte(s.chunkFlags))
		h = append(be.AppendUint16(h, uint16(4+len(fixed)+len(s.payload))), fixed...)
		h = append(h, s.payload...)
		return append(h, make([]byte, -len(h)&3)...)
	case kindICMP, kindICMP6:
		m, rest := &s.message, s.rest
		if m.has&hasEcho != 0 {
			rest = s.echoID<<16 | s.echoSeq
		}
		h = be.AppendUint32([]byte{m.typ, m.code, 0, 0}, rest)
		if m.has&hasTarget != 0 {
			target := s.target.As16()
			h = append(h, target[:]...)
		}
		if s.hasLLAddr {
			h = append(append(h, llOption(m.typ), 1), s.lladdr[:]...)
		}
	}
	return append(h, s.payload...)
}

// llOption is the link-layer address option of a neighbour discovery message
// (RFC 4861 section 4.6.1): of the target in an advertisement, else of the source.
func llOption(typ uint8) uint8 {
	if typ == ndAdvert {
		return ndTargetLLAddr
	}
	return ndSourceLLAddr
}

func (s *spec) appendPorts(b []byte) []byte {
	return be.AppendUint16(be.AppendUint16(b, s.fromPort), s.toPort)
}

// bytes returns the options, each aligned with no-operations as Linux does, so
// that the header is whole words.
func (o *tcpOptions) bytes() []byte {
	if o.raw != nil {
		return o.raw
	}
	var b []byte
	if o.hasMSS {
		b = be.AppendUint16(append(b, optionMSS, 4), uint16(o.mss))
	}
	switch {
	case o.sackOK && o.hasTS:
		b = append(b, optionSACKOK, 2)
	case o.sackOK:
		b = append(b, optionNop, optionNop, optionSACKOK, 2)
	case o.hasTS:
		b = append(b, optionNop, optionNop)
	}
	if o.hasTS {
		b = be.AppendUint32(be.AppendUint32(append(b, optionTS, 10), o.tsVal), o.tsEcr)
	}
	if o.hasScale {
		b = append(b, optionNop, optionScale, 3, byte(o.wscale))
	}
	return b
}

// validate returns what is wrong with s as a whole, or "".
func (s *spec) validate() string {
	switch {
	case s.size > 0 && len(s.payload) > int(s.size):
		return "a len of at least the payload given"
	case s.kind == kindEther || s.kind == kindARP:
		return ""
	case s.tcp.raw != nil && (s.tcp.hasMSS || s.tcp.hasScale || s.tcp.hasTS || s.tcp.sackOK):
		return "either opts or single TCP options"
	case s.off > 0 && s.kind != kindIP:
		return "ip, as a later fragment has no header but IP's,"
	case !s.v6() && s.id > 0xffff:
		return "an id of 16 bits"
	case s.v6() && s.id != 0 && !s.fragmentHeader():
		return "mf, off or frag, as IPv6 has an id in fragments only,"
	case !s.v6() && s.options > 40:
		return "at most 40 bytes of options"
	case s.options%s.optionUnit() != 0 || s.hbh%8 != 0:
		return "options in whole words: of 4 bytes over IPv4, 8 over IPv6"
	case s.off%8 != 0:
		return "an offset that is a multiple of 8"
	}
	_, l4, _ := s.ipHeader()
	size := l4 + len(s.transport())
	if s.v6() {
		size -= 40
	}
	if size > 0xffff {
		return "a packet of at most 65535 bytes"
	}
	return ""
}

func (s *spec) optionUnit() uint32 {
	if s.v6() {
		return 8
	}
	return 4
}
