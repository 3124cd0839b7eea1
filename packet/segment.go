package packet

import (
	"encoding/binary"
)

// gsoECN is a flag in virtio's GSO type (VIRTIO_NET_HDR_GSO_ECN): the frame has
// CWR set. Nothing follows from it here, CWR is on the first segment anyway.
const gsoECN = 0x80

// segmentation is what cutting needs to know about a super-frame. Offsets are
// from the start of the frame.
//
//	| Ethernet, tags | outer IP, if any | IP, extensions | TCP or UDP | payload ........ | padding |
//	                 ^ outer            ^ l3             ^ l4         ^ payload         ^ end
type segmentation struct {
	outer, l3, l4, payload, end int

	src, dst Addr
	v4       bool
	proto    uint8
}

// Segment cuts the super-frame in buffer i into frames of at most
// Meta.GSOSize bytes of payload in buffers from c, complete with lengths and checksums, as the sender would have sent them: IPv4
// identifications count up, FIN and PSH are on the last TCP segment only, CWR on
// the first only.
//
// On success, r is None, i is freed, and the caller owns out[:n]. Otherwise i
// stays the caller's and no buffer is lost: r is NoBuffer if c cannot provide
// them, or Unsegmentable if the headers contradict each other or Meta, a segment
// does not fit a buffer, or there are more than out takes. Segments of jumbo frames
// that are longer than an ordinary buffer lie in super-frame buffers.
func Segment(c *Cache, i Index, out []Index) (n int, r Reason) {
	a := c.arena
	m := a.Meta(i)
	stripJumbogram(a, i)
	frame := a.Frame(i)
	s, valid := segmentationOf(frame, m.GSOType&^gsoECN, int(m.Outer))
	size := s.end - s.payload
	mss := int(m.GSOSize)
	if !valid || mss == 0 || s.payload+min(mss, size) > a.LongestFrame() {
		return 0, Unsegmentable
	}
	n = max(1, (size+mss-1)/mss)
	if n > len(out) {
		return 0, Unsegmentable
	}
	out = out[:n]
	if got := c.allocFor(out, s.payload+min(mss, size)); got < n {
		c.FreeN(out[:got])
		return 0, NoBuffer
	}
	pseudo := PseudoSum(s.src, s.dst, s.proto, 0)
	for k, o := range out {
		from := s.payload + k*mss
		to := min(from+mss, s.end)
		om := a.Meta(o)
		om.InPort, om.Mark = m.InPort, m.Mark
		om.Len = uint32(s.payload + to - from)
		seg := a.Frame(o)
		copy(seg, frame[:s.payload])
		copy(seg[s.payload:], frame[from:to])
		s.finish(seg, k, k*mss, k == n-1, pseudo)
	}
	c.Free(i)
	return n, None
}

// finish corrects the headers of segment number k, whose payload starts
// offset bytes after that of the super-frame.
func (s *segmentation) finish(seg []byte, k, offset int, last bool, pseudo uint32) {
	be := binary.BigEndian
	ip, l4 := seg[s.l3:s.l4], seg[s.l4:]
	if s.v4 {
		be.PutUint16(ip[2:], uint16(len(seg)-s.l3))
		be.PutUint16(ip[4:], be.Uint16(ip[4:])+uint16(k))
		be.PutUint16(ip[10:], 0)
		be.PutUint16(ip[10:], Checksum(ip))
	} else {
		be.PutUint16(ip[4:], uint16(len(seg)-s.l3-40))
	}
	if s.outer != s.l3 {
		SetIPLength(seg[s.outer:])
	}
	field := 6
	if s.proto == ProtoTCP {
		field = 16
		be.PutUint32(l4[4:], be.Uint32(l4[4:])+uint32(offset))
		if !last {
			l4[13] &^= TCPFin | TCPPsh
		}
		if k > 0 {
			l4[13] &^= TCPCwr
		}
	} else {
		be.PutUint16(l4[4:], uint16(len(l4)))
	}
	be.PutUint16(l4[field:], 0)
	hc := ^Fold(Sum(l4, pseudo+uint32(len(l4))))
	if hc == 0 && s.proto == ProtoUDP {
		hc = 0xffff
	}
	be.PutUint16(l4[field:], hc)
}

// segmentationOf finds the parts of a super-frame, with an outer IP header of so many bytes. Meta.HdrLen and CsumStart
// are not asked: the first is a hint only (virtio 1.2 section 5.1.6.2), and
// cutting must not trust either.
func segmentationOf(frame []byte, gso uint8, outer int) (s segmentation, valid bool) {
	l3, etherType := innerHeader(frame, outer)
	s.outer, s.l3 = l3-outer, l3
	ip := frame[l3:]
	var headers int // length of the IP header with extensions
	switch {
	case etherType == EtherTypeIPv4 && len(ip) >= 20 && ip[0]>>4 == 4:
		s.v4 = true
		s.proto = ip[9]
		headers = int(ip[0]&15) * 4
		s.end = int(binary.BigEndian.Uint16(ip[2:]))
		if headers < 20 || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
			return s, false // a fragment cannot be cut like a packet
		}
	case etherType == EtherTypeIPv6 && len(ip) >= 40 && ip[0]>>4 == 6:
		s.end = int(binary.BigEndian.Uint16(ip[4:]))
		if s.end != 0 {
			s.end += 40
		}
		chain := IPv6(ip).Extensions()
		for h, more := chain.Next(); more; h, more = chain.Next() {
			if h.Type != ProtoHopByHop && h.Type != ProtoRouting && h.Type != ProtoDestOpts {
				return s, false // not what may stand in every segment alike
			}
		}
		if chain.Malformed() {
			return s, false
		}
		s.proto, headers = chain.Proto(), chain.Offset()
	default:
		return s, false
	}
	if s.end == 0 {
		s.end = len(ip) // BIG TCP: more than the field can say
	}
	s.end += l3
	s.l4 = l3 + headers
	if s.end > len(frame) {
		return s, false
	}
	var fits bool
	switch {
	case s.proto == ProtoTCP && (gso == GSOTCPv4 && s.v4 || gso == GSOTCPv6 && !s.v4):
		if s.l4+20 > s.end {
			return s, false
		}
		header := int(frame[s.l4+12]>>4) * 4
		s.payload = s.l4 + header
		fits = header >= 20 && s.payload <= s.end
	case s.proto == ProtoUDP && gso == GSOUDP:
		s.payload = s.l4 + 8
		fits = s.payload <= s.end
	}
	if !fits {
		return s, false
	}
	s.src, s.dst, valid = addrsAt(ip)
	return s, valid
}

// networkHeader returns where the network header starts and the EtherType
// before it, behind any VLAN tags; the frame's length and 0 if there is none.
func networkHeader(frame []byte) (l3 int, etherType uint16) {
	for at := 12; at+2 <= len(frame); at += VLANSize {
		etherType = binary.BigEndian.Uint16(frame[at:])
		if !IsVLAN(etherType) {
			return at + 2, etherType
		}
	}
	return len(frame), 0
}

// innerHeader is networkHeader for a packet behind an outer IP header of so many bytes.
func innerHeader(frame []byte, outer int) (l3 int, etherType uint16) {
	l3, etherType = networkHeader(frame)
	if outer == 0 {
		return l3, etherType
	}
	if l3 += outer; l3 >= len(frame) {
		return l3 - outer, 0
	}
	if frame[l3]>>4 == 6 {
		return l3, EtherTypeIPv6
	}
	return l3, EtherTypeIPv4
}

// stripJumbogram takes the hop-by-hop header out that Linux puts into IPv6
// super-frames beyond 64 KiB (RFC 2675) and that no segment must carry: what
// precedes it moves up against what follows. The payload length stays 0.
func stripJumbogram(a *Arena, i Index) {
	const size = 8
	frame := a.Frame(i)
	l3, etherType := innerHeader(frame, int(a.Meta(i).Outer))
	if etherType != EtherTypeIPv6 || len(frame) < l3+40+size {
		return
	}
	ip := frame[l3:]
	if ip[4] != 0 || ip[5] != 0 || ip[6] != ProtoHopByHop || ip[41] != 0 || ip[42] != IPv6OptionJumbo || ip[43] != 4 {
		return
	}
	ip[6] = ip[40]
	copy(frame[size:], frame[:l3+40])
	a.TrimFront(i, size)
}
