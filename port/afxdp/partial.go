package afxdp

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// markPartial finds out whether a frame has a partial checksum and notes it in
// m. The kernel at the other end of a veth leaves checksums to the device: the
// field holds the sum of the pseudo-header, not complemented, and native XDP has
// no way to say so. Such a frame would be passed on with a wrong checksum: ping
// works, TCP stalls.
//
// A complete checksum may happen to look so (one in 65536). That harms
// nothing: completing it gives the same again. With p the folded sum of the
// pseudo-header and d that of the rest, the complete checksum is ^(p+d); the field
// being p, completing sums p+d, and stores ^(p+d).
//
// Not found are: a partial checksum inside a tunnel that the other end makes,
// and fragments, whose checksum Linux has always completed.
func markPartial(frame []byte, m *packet.Meta) {
	be := binary.BigEndian
	l3 := packet.EthernetSize
	if len(frame) < l3+20 {
		return
	}
	etherType := be.Uint16(frame[l3-2:])
	for range 2 {
		if packet.IsVLAN(etherType) && len(frame) >= l3+packet.VLANSize+20 {
			l3 += packet.VLANSize
			etherType = be.Uint16(frame[l3-2:])
		}
	}
	ip := frame[l3:]
	var sum uint64
	var proto uint8
	var headers, end int
	switch etherType {
	case packet.EtherTypeIPv4:
		headers, end = int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
		if be.Uint16(ip[6:])&0x3fff != 0 {
			return
		}
		proto = ip[9]
		sum = uint64(be.Uint32(ip[12:])) + uint64(be.Uint32(ip[16:]))
	case packet.EtherTypeIPv6:
		if len(ip) < packet.IPv6Size {
			return
		}
		headers, end = packet.IPv6Size, packet.IPv6Size+int(be.Uint16(ip[4:]))
		if proto = ip[6]; proto != packet.ProtoTCP && proto != packet.ProtoUDP {
			if proto, headers = behindExtensions(ip); proto == 0 {
				return
			}
		}
		for at := 8; at < packet.IPv6Size; at += 8 {
			w := be.Uint64(ip[at:])
			sum += w>>32 + w&0xffffffff
		}
	default:
		return
	}
	field := headers
	switch proto {
	case packet.ProtoTCP:
		field += 16
	case packet.ProtoUDP:
		field += 6
	case packet.ProtoSCTP:
		// Its checksum is a CRC, which has no partial form: the field is 0.
		field += 8
		if end <= len(ip) && field+4 <= end && be.Uint32(ip[field:]) == 0 {
			packet.SetTransport(frame, l3, l3+headers, end, proto)
		}
		return
	default:
		return
	}
	if end > len(ip) || field+2 > end {
		return
	}
	sum += uint64(proto) + uint64(end-headers)
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	if be.Uint16(ip[field:]) != uint16(sum) {
		return
	}
	m.CsumPartial = true
	m.CsumStart, m.CsumOffset = uint16(l3+headers), uint16(field-headers)
}

// behindExtensions returns the transport protocol of an IPv6 packet that has
// extension headers, and where it starts; 0 if there is none, or the packet
// is a fragment.
func behindExtensions(ip []byte) (proto uint8, at int) {
	chain := packet.IPv6(ip).Extensions()
	for h, more := chain.Next(); more; h, more = chain.Next() {
		if h.Type == packet.ProtoFragment && !h.IsAtomic() {
			return 0, 0
		}
	}
	if chain.Malformed() || chain.Truncated() {
		return 0, 0
	}
	return chain.Proto(), chain.Offset()
}
