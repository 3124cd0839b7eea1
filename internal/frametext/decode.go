package frametext

import (
	"bytes"
	"net/netip"

	"github.com/sluice-net/sluice/packet"
)

// How deep decode looks into a frame. What a depth cannot say in full is tried
// again with less.
const (
	decodeEther     = iota // the payload behind the MAC addresses and EtherType
	decodeTags             // and behind VLAN tags
	decodeIP               // IP header
	decodeTransport        // transport header, ARP
	deepest         = decodeTransport
)

// decode is the inverse of spec.frame: it finds a spec that may give f. The
// caller checks whether it does.
func decode(f []byte, depth int) (s *spec, known bool) {
	if len(f) < packet.EthernetSize {
		return nil, false
	}
	etherType, rest := be.Uint16(f[12:]), f[14:]
	var tags []tag
	for depth >= decodeTags && (etherType == packet.EtherTypeVLAN || etherType == packet.EtherTypeQinQ) && len(rest) >= 4 {
		tags = append(tags, tag{etherType, be.Uint16(rest)})
		etherType, rest = be.Uint16(rest[2:]), rest[4:]
	}
	switch {
	case depth >= decodeTransport && etherType == packet.EtherTypeARP:
		s, known = decodeARP(rest)
	case depth >= decodeIP && (etherType == packet.EtherTypeIPv4 || etherType == packet.EtherTypeIPv6):
		s, known = decodePacket(rest, depth)
		if known && s.v6() != (etherType == packet.EtherTypeIPv6) {
			return nil, false
		}
	case depth <= decodeTags:
		s, known = newSpec(kindEther), true
		s.etherType, s.payload = uint32(etherType), rest
	}
	if !known {
		return nil, false
	}
	s.tags = tags
	if s.cut > 0 {
		s.cut = uint32(len(f))
	}
	s.dst, s.src = packet.MAC(f[0:6]), packet.MAC(f[6:12])
	src, dst := s.defaultMACs()
	s.macs = s.src != src || s.dst != dst
	return s, true
}

func decodeARP(b []byte) (s *spec, known bool) {
	if len(b) < packet.ARPSize {
		return nil, false
	}
	s = newSpec(kindARP)
	s.op = be.Uint16(b[6:])
	s.sha, s.tha = packet.MAC(b[8:14]), packet.MAC(b[18:24])
	s.from, s.to = netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	s.setPadding(b[packet.ARPSize:])
	return s, s.op == packet.ARPRequest || s.op == packet.ARPReply
}

// setPadding takes what stands behind a packet: zeros, then anything.
func (s *spec) setPadding(b []byte) {
	s.trailer = bytes.TrimLeft(b, "\x00")
	s.pad = uint32(len(b) - len(s.trailer))
}

// decodePacket is the inverse of spec.quoted, with padding behind it. Of a
// packet that ends too early, what is missing is taken for the pattern.
func decodePacket(b []byte, depth int) (s *spec, known bool) {
	s = newSpec(kindIP)
	var size, l4 int
	var proto uint8
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		size, l4 = int(be.Uint16(b[2:])), int(b[0]&15)*4
		if l4 < 20 {
			return nil, false
		}
		s.options = uint32(l4 - 20)
		s.tos, s.ttl, proto = uint32(b[1]), uint32(b[8]), b[9]
		s.id = uint32(be.Uint16(b[4:]))
		frag := be.Uint16(b[6:])
		s.df, s.mf, s.off = frag&0x4000 != 0, frag&0x2000 != 0, uint32(frag&0x1fff)*8
		s.from, s.to = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	case len(b) >= 40 && b[0]>>4 == 6:
		size = int(be.Uint16(b[4:])) + 40
		word := be.Uint32(b)
		s.tos, s.flow = word>>20&0xff, word&0xfffff
		s.ttl = uint32(b[7])
		s.from, s.to = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		proto, l4 = s.decodeExtensions(b)
	default:
		return nil, false
	}
	s.proto = uint32(proto)
	if size < l4 {
		return nil, false
	}
	if size > len(b) {
		s.cut = uint32(len(b))
		b = append(append(make([]byte, 0, size), b...), make([]byte, size-len(b))...)
	}
	s.setPadding(b[size:])
	header, end := l4, size
	if depth >= decodeTransport && s.off == 0 {
		header, end = s.decodeTransport(b[:size], l4, proto)
	}
	s.payload = b[header:end]
	if s.cut != 0 {
		seen := min(max(int(s.cut), header), end)
		s.payload = extend(b[header:seen:seen], end-header)
	}
	s.decodeSums(b[:size], l4)
	return s, true
}

// decodeExtensions reads the extension headers that a spec can have, in its order.
func (s *spec) decodeExtensions(b []byte) (proto uint8, l4 int) {
	proto, l4 = b[6], 40
	for _, e := range []struct {
		proto uint8
		size  *uint32
	}{{packet.ProtoHopByHop, &s.hbh}, {packet.ProtoDestOpts, &s.options}} {
		if proto == e.proto && l4+8 <= len(b) {
			*e.size = (uint32(b[l4+1]) + 1) * 8
			proto, l4 = b[l4], l4+int(*e.size)
		}
	}
	if proto == packet.ProtoFragment && l4+8 <= len(b) {
		off := be.Uint16(b[l4+2:])
		s.mf, s.off = off&1 != 0, uint32(off&^7)
		s.frag = off&^6 == 0
		s.id = be.Uint32(b[l4+4:])
		proto, l4 = b[l4], l4+8
	}
	return proto, l4
}

// decodeTransport reads the transport header of packet p, if it is one of
// those that have a kind, and returns where the payload starts and ends.
func (s *spec) decodeTransport(p []byte, l4 int, proto uint8) (header, end int) {
	end = len(p)
	h := p[l4:]
	fits := func(n int) bool { return len(h) >= n }
	switch {
	case proto == packet.ProtoUDP && fits(8):
		s.kind = kindUDP
		s.decodePorts(h)
		return l4 + 8, end
	case proto == packet.ProtoTCP && fits(20):
		n := int(h[12]>>4) * 4
		if s.cut != 0 && int(s.cut) <= l4+12 {
			n = 20 // RFC 792 quotes 8 bytes
		}
		if n < 20 || !fits(n) {
			return l4, end
		}
		s.kind = kindTCP
		s.decodePorts(h)
		s.seq, s.ack, s.tcpFlags = be.Uint32(h[4:]), be.Uint32(h[8:]), h[13]
		s.win, s.urg = uint32(be.Uint16(h[14:])), uint32(be.Uint16(h[18:]))
		if s.cut != 0 && int(s.cut) <= l4+14 {
			s.win = 65535
		}
		s.tcp = decodeTCPOptions(h[20:n])
		return l4 + n, end
	case proto == packet.ProtoSCTP && fits(16):
		n, fixed := int(be.Uint16(h[14:])), chunkFixed(uint32(h[12]))
		if n < 4+fixed || !fits(12+n) {
			return l4, end
		}
		s.kind = kindSCTP
		s.decodePorts(h)
		s.tag, s.chunk, s.chunkFlags = be.Uint32(h[4:]), uint32(h[12]), uint32(h[13])
		if fixed >= 12 {
			s.chunkWord = be.Uint32(h[16:])
		}
		return l4 + 16 + fixed, l4 + 12 + n // without the chunk's padding
	case proto == packet.ProtoICMP && !s.v6() && fits(8):
		s.kind = kindICMP
		return l4 + s.decodeICMP(h), end
	case proto == packet.ProtoICMPv6 && s.v6() && fits(8):
		s.kind = kindICMP6
		return l4 + s.decodeICMP(h), end
	}
	return l4, end
}

func (s *spec) decodePorts(h []byte) {
	s.fromPort, s.toPort = be.Uint16(h), be.Uint16(h[2:])
}

// decodeICMP reads an ICMP message and returns the size of its header.
func (s *spec) decodeICMP(h []byte) int {
	m := messageByType(s.kind == kindICMP6, h[0], h[1])
	n := 8
	if m.has&hasTarget != 0 {
		if len(h) < 24 {
			s.kind = kindIP
			return 0
		}
		s.target = netip.AddrFrom16([16]byte(h[8:]))
		n = 24
	}
	s.message, s.rest = m, be.Uint32(h[4:])
	s.echoID, s.echoSeq = s.rest>>16, s.rest&0xffff
	if m.has&hasLLOption != 0 && len(h) >= n+8 && h[n] == llOption(m.typ) && h[n+1] == 1 {
		s.lladdr, s.hasLLAddr = packet.MAC(h[n+2:n+8]), true
		n += 8
	}
	return n
}

// decodeTCPOptions names the options if that says all of them.
func decodeTCPOptions(b []byte) (o tcpOptions) {
	for rest := b; len(rest) > 0; {
		if rest[0] == optionNop {
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			break
		}
		opt := rest[:rest[1]]
		rest = rest[len(opt):]
		switch {
		case opt[0] == optionMSS && len(opt) == 4:
			o.mss, o.hasMSS = uint32(be.Uint16(opt[2:])), true
		case opt[0] == optionSACKOK:
			o.sackOK = true
		case opt[0] == optionTS && len(opt) == 10:
			o.tsVal, o.tsEcr, o.hasTS = be.Uint32(opt[2:]), be.Uint32(opt[6:]), true
		case opt[0] == optionScale && len(opt) == 3:
			o.wscale, o.hasScale = uint32(opt[2]), true
		}
	}
	if string(o.bytes()) != string(b) {
		return tcpOptions{raw: b}
	}
	return o
}

// decodeSums finds out how the checksums of packet p differ from those that s
// would get.
func (s *spec) decodeSums(p []byte, l4 int) {
	right := s.packet()
	if len(right) != len(p) {
		return
	}
	if !s.v6() {
		switch sum := be.Uint16(p[10:]); sum {
		case be.Uint16(right[10:]):
		case be.Uint16(right[10:]) ^ wrongBits:
			s.ipSum = sumWrong
		default:
			s.ipSum, s.ipSumValue = sumGiven, uint32(sum)
		}
	}
	if kinds[s.kind].has&hasSum == 0 {
		return
	}
	at := l4 + sumOffset(s.kind)
	size := 2
	if s.kind == kindSCTP {
		size = 4
	}
	if s.cut != 0 && int(s.cut) < at+size {
		return
	}
	for _, m := range []struct {
		mode sumMode
		of   feature
	}{{sumRight, 0}, {sumWrong, 0}, {sumNone, hasUDP}, {sumPartial, hasPseudo}} {
		s.sum = m.mode
		if kinds[s.kind].has&m.of == m.of && bytes.Equal(s.packet()[at:at+size], p[at:at+size]) {
			return
		}
	}
	s.sum = sumGiven
	if s.sumValue = uint32(be.Uint16(p[at:])); size == 4 {
		s.sumValue = be.Uint32(p[at:])
	}
}
