package packet

import (
	"encoding/binary"
	"math/bits"
)

const (
	macMask  = 1<<48 - 1 // six bytes of a word loaded in memory order
	groupBit = 1         // I/G bit of an address loaded in memory order (IEEE 802-2014 section 8.2)

	maxTags = 2 // 802.1ad: one service tag, one customer tag

	// maxIPSize is what the 16-bit length fields of IPv4 and UDP can say.
	maxIPSize = 1<<16 - 1
)

// headerSize is the size of the fixed transport header that has to be there
// in an unfragmented packet and in a first fragment; 0 for protocols that
// Parse does not look into.
var headerSize = [256]uint8{
	ProtoICMP:   ICMPSize,
	ProtoTCP:    TCPMinSize,
	ProtoUDP:    UDPSize,
	ProtoICMPv6: ICMPSize,
	ProtoSCTP:   SCTPSize,
}

// Parse reads the headers of an Ethernet frame without FCS and writes every
// field of in; the zone of the key is 0. It returns None if a switch can
// forward the frame, also if it is no IP packet or holds a protocol that Parse
// does not know, and else the Reason to drop it; in then holds what was read
// before the fault.
//
// Padding after the IP packet is allowed. At most two VLAN tags are skipped; a
// third leaves its own TPID in EtherType, so that the frame is not IP.
//
// The rules that are not obvious:
//
//   - A first fragment has to hold the whole fixed transport header, and a later
//     one must not begin inside it. RFC 1858 asks this for the TCP flags only;
//     but then a first fragment could pass that ends before the checksum, which
//     NAT has to rewrite. No link has an MTU so small.
//   - An IPv6 fragment that is the whole packet (RFC 6946) is not a fragment.
//   - An IPv6 source of the form ::ffff:0:0/96 is dropped: the key of the packet
//     would be that of an IPv4 session.
//   - A length of 0 in the IP header means the rest of the frame if that is TCP
//     or UDP and longer than the field could say (BIG TCP super-frames from the
//     kernel), or the hop-by-hop option's length (RFC 2675). Else IPv4 is
//     malformed, and IPv6 empty.
//   - An ICMP error that quotes too little to tell the session (less than 8
//     bytes after the IP header, a later fragment, another ICMP error) has
//     ICMPError and the key of its own addresses with ports 0.
func Parse(frame []byte, in *Info) Reason {
	*in = Info{}
	if len(frame) < EthernetSize {
		in.L3 = uint16(len(frame))
		return FrameTooShort
	}
	dst := binary.LittleEndian.Uint64(frame) & macMask
	word := binary.LittleEndian.Uint64(frame[ethSrc:]) // source and EtherType
	if dst&groupBit != 0 {
		in.Flags = ToMulticast
		if dst == macMask {
			in.Flags = ToMulticast | ToBroadcast
		}
	}
	in.EtherType = bits.ReverseBytes16(uint16(word >> 48))
	in.L3 = EthernetSize
	if src := word & macMask; src&groupBit != 0 || src == 0 {
		return InvalidSourceMAC
	}
	if in.EtherType == EtherTypeIPv4 {
		return parseIPv4(frame[EthernetSize:], in)
	}
	p := frame[EthernetSize:]
	for n := 0; n < maxTags && IsVLAN(in.EtherType); n++ {
		if len(p) < VLANSize {
			return TruncatedHeader
		}
		in.Flags |= HasVLAN
		in.EtherType = binary.BigEndian.Uint16(p[vlanType:])
		in.L3 += VLANSize
		p = p[VLANSize:]
	}
	switch in.EtherType {
	case EtherTypeIPv4:
		return parseIPv4(p, in)
	case EtherTypeIPv6:
		return parseIPv6(p, in)
	}
	return None
}

// QuotedPacket returns the offset, from the start of the frame, of the IP
// header that an ICMP error quotes. It is ok iff in.Key is the quoted packet's
// (reversed); then the quote holds its whole IP header, and 8 bytes more if its
// protocol is TCP, UDP, SCTP or ICMP. in is what Parse made of frame.
func QuotedPacket(frame []byte, in *Info) (offset int, ok bool) {
	if !in.Has(ICMPError) {
		return 0, false
	}
	offset = int(in.L4) + ICMPSize
	end := int(in.L3) + int(in.IPLen)
	if offset > end || end > len(frame) {
		return 0, false
	}
	_, ok = quotedKey(frame[offset:end], in.Has(IsIPv6))
	return offset, ok
}

// parseIPv4 reads the IPv4 packet (RFC 791) that p begins with.
func parseIPv4(p []byte, in *Info) Reason {
	if len(p) < IPv4MinSize {
		return TruncatedHeader
	}
	w0 := binary.LittleEndian.Uint64(p)
	w1 := binary.LittleEndian.Uint64(p[8:])
	w2 := uint64(binary.LittleEndian.Uint32(p[16:]))
	// Not p[0]: the compiler would load w0 in eight pieces to share that one.
	first := uint8(w0)
	hlen := int(first&0xf) * 4
	if first>>4 != 4 || hlen < IPv4MinSize {
		return InvalidHeader
	}
	flags := in.Flags | IsIPv4
	if hlen == IPv4MinSize {
		// The checksum in line. Its sum is one modulo 2^16-1, whatever the byte
		// order (RFC 1071 section 2(B)) and the size of the words, and it is right
		// iff the sum is 0; the compiler makes that a multiplication.
		s, c := bits.Add64(w0, w1, 0)
		s, c = bits.Add64(s, w2, c)
		if (s+c)%0xffff != 0 {
			flags |= BadIPChecksum
		}
	} else {
		flags |= HasIPOptions
	}
	proto := p[ip4Proto]
	size := int(binary.BigEndian.Uint16(p[ip4Length:]))
	if size == 0 {
		size = bigTCPSize(p, proto)
	}
	in.Key.Src = Addr{0, v4Prefix | w1&^0xffffffff}
	in.Key.Dst = Addr{0, v4Prefix | w2<<32}
	in.Key.Tail = uint64(proto) << 56
	in.L4 = in.L3 + uint16(hlen)
	in.IPLen = uint32(size)
	in.Flags = flags
	in.TOS, in.TTL, in.Proto = p[ip4TOS], p[ip4TTL], proto
	if hlen > len(p) || size > len(p) {
		return TruncatedHeader
	}
	if size < hlen {
		return InvalidHeader
	}
	if hlen != IPv4MinSize && !IPv4(p).ChecksumValid() {
		in.Flags |= BadIPChecksum
	}
	if frag := binary.BigEndian.Uint16(p[ip4Frag:]); frag&(ip4MoreFragments|ip4OffsetMask) != 0 {
		id := binary.BigEndian.Uint16(p[ip4ID:])
		if r := fragment(in, uint32(id), frag&ip4OffsetMask*8, size-hlen); r != None || in.Has(IsLaterFragment) {
			return r
		}
	}
	return parseTransport(p[hlen:size], proto, in)
}

// parseIPv6 reads the IPv6 packet (RFC 8200) that b begins with.
func parseIPv6(b []byte, in *Info) Reason {
	if len(b) < IPv6Size {
		return TruncatedHeader
	}
	if b[0]>>4 != 6 {
		return InvalidHeader
	}
	proto := b[ip6Next]
	in.Key.Src = AddrFrom16((*[16]byte)(b[ip6Src:]))
	in.Key.Dst = AddrFrom16((*[16]byte)(b[ip6Dst:]))
	in.Key.Tail = uint64(proto) << 56
	in.L4 = in.L3 + IPv6Size
	in.Flags |= IsIPv6
	in.TOS, in.TTL, in.Proto = b[0]<<4|b[1]>>4, b[ip6HopLimit], proto
	// The first word apart, for Is4 copies the address by way of the stack and
	// waits for it: 12 ns for the frame instead of 8.5.
	if in.Key.Src[0] == 0 && in.Key.Src.Is4() {
		return InvalidSourceIP
	}
	p := IPv6(b)
	size := IPv6Size + int(binary.BigEndian.Uint16(b[ip6Length:]))
	if size == IPv6Size {
		if n, found := p.JumboSize(); found {
			if n <= maxIPSize {
				return InvalidHeader // RFC 2675 section 3
			}
			size = IPv6Size + int(n)
		} else if n := bigTCPSize(b, proto); n != 0 {
			size = n
		}
	}
	in.IPLen = uint32(size)
	if size > len(b) {
		return TruncatedHeader
	}
	if isExtension[proto] {
		return parseExtensions(p[:size], in)
	}
	return parseTransport(b[IPv6Size:size], proto, in)
}

// parseExtensions goes on with an IPv6 packet that has extension headers.
func parseExtensions(p IPv6, in *Info) Reason {
	in.Flags |= HasIPOptions
	var frag IPv6Extension
	it := p.Extensions()
	for h, ok := it.Next(); ok; h, ok = it.Next() {
		if h.Type != ProtoFragment || h.IsAtomic() {
			continue
		}
		if frag.Bytes != nil {
			return InvalidExtension // fragments are not fragmented again
		}
		frag = h
	}
	off := it.Offset()
	in.Proto = it.Proto()
	in.L4 = in.L3 + uint16(off)
	in.Key.Tail = uint64(in.Proto) << 56
	if frag.Bytes != nil {
		r := fragment(in, frag.FragmentID(), frag.FragmentOffset(), len(p)-off)
		if r != None || in.Has(IsLaterFragment) {
			return r
		}
	}
	if it.Malformed() {
		if in.Has(IsFragment) && it.Truncated() {
			return FragmentTiny // RFC 7112: the first fragment holds the whole chain
		}
		return InvalidExtension
	}
	return parseTransport(p[off:], in.Proto, in)
}

// bigTCPSize is the size of the IP packet p whose length field is 0. Linux
// leaves it 0 in TCP super-frames that are longer than it can say (BIG TCP), and in
// the UDP tunnels around them. It gives 0 if p is neither.
func bigTCPSize(p []byte, proto uint8) int {
	if (proto == ProtoTCP || proto == ProtoUDP) && len(p) > maxIPSize {
		return len(p)
	}
	return 0
}

// fragment notes a fragment of n bytes at offset off of its datagram.
func fragment(in *Info, id uint32, off uint16, n int) Reason {
	in.Flags |= IsFragment
	in.FragID = id
	in.FragOff = off
	if off == 0 {
		return None
	}
	in.Flags |= IsLaterFragment
	if int(off)+n > maxIPSize {
		return InvalidHeader // would reassemble to more than a packet can be ("ping of death")
	}
	if off < uint16(headerSize[in.Proto]) {
		// RFC 1858 section 4, RFC 3128: it would overwrite the header that was
		// judged in the first fragment.
		return FragmentTiny
	}
	return None
}

// parseTransport reads the header of transport protocol proto. p reaches from
// there to the end of the IP packet. Flags and Key, but for ports, are set.
func parseTransport(p []byte, proto uint8, in *Info) Reason {
	flags := in.Flags
	isFragment := flags&IsFragment != 0
	if len(p) < int(headerSize[proto]) {
		if isFragment {
			return FragmentTiny
		}
		return TruncatedHeader
	}
	switch proto {
	case ProtoTCP:
		hlen := int(p[tcpOffset]>>4) * 4
		if hlen < TCPMinSize {
			return InvalidHeader
		}
		if hlen > len(p) && !isFragment {
			return TruncatedHeader
		}
		in.TCPFlags = p[tcpFlags]
	case ProtoUDP:
		n := int(binary.BigEndian.Uint16(p[udpLength:]))
		jumbo := n == 0 && len(p) > maxIPSize // RFC 2675 section 4
		if (n < UDPSize && !jumbo) || (n > len(p) && !isFragment) {
			return InvalidHeader
		}
	case ProtoSCTP:
	case ProtoICMP, ProtoICMPv6:
		return parseICMP(p, in)
	default:
		return None
	}
	in.Flags = flags | HasPorts
	in.Key.Tail = uint64(proto)<<56 | uint64(portPair(p))
	return None
}

// parseICMP reads an ICMP or ICMPv6 message of at least ICMPSize bytes.
func parseICMP(p []byte, in *Info) Reason {
	v6 := in.Has(IsIPv6)
	if (in.Proto == ProtoICMPv6) != v6 {
		return None // the other family's ICMP: a protocol like any unknown one
	}
	kind := icmpKindOf(v6, p[0])
	switch kind.class {
	case icmpRequest, icmpReply:
		in.Flags |= HasPorts
		in.Key.Tail |= uint64(kind.ports(p))
	case icmpError:
		in.Flags |= ICMPError
		if key, ok := quotedKey(p[ICMPSize:], v6); ok {
			in.Key = key.Reverse()
		}
	}
	return None
}

// quotedKey returns the key of the packet that q begins with, which may be cut
// off anywhere: routers quote at least 8 bytes after the IP header (RFC 792),
// or as much as fits (RFC 1812 section 4.3.2.3, RFC 4443).
// Its lengths and checksum are not looked at, for some senders change them.
func quotedKey(q []byte, v6 bool) (key Key, ok bool) {
	var proto uint8
	if v6 {
		p, ok := AsIPv6(q)
		if !ok {
			return Key{}, false
		}
		key.Src, key.Dst = p.Src(), p.Dst()
		if key.Src.Is4() {
			return Key{}, false
		}
		it := p.Extensions()
		for h, ok := it.Next(); ok; h, ok = it.Next() {
			if h.Type == ProtoFragment && h.FragmentOffset() != 0 {
				return Key{}, false
			}
		}
		if it.Malformed() {
			return Key{}, false
		}
		proto, q = it.Proto(), q[it.Offset():]
	} else {
		p, ok := AsIPv4(q)
		if !ok || p.FragmentOffset() != 0 {
			return Key{}, false
		}
		key.Src, key.Dst = p.Src(), p.Dst()
		proto, q = p.Proto(), q[p.HeaderLen():]
	}
	key.Tail = uint64(proto) << 56
	if headerSize[proto] == 0 {
		return key, true
	}
	if len(q) < 8 {
		return Key{}, false
	}
	switch {
	case proto != ProtoICMP && proto != ProtoICMPv6:
		key.Tail |= uint64(portPair(q))
	case (proto == ProtoICMPv6) == v6:
		kind := icmpKindOf(v6, q[0])
		if kind.class == icmpError {
			return Key{}, false
		}
		key.Tail |= uint64(kind.ports(q))
	}
	return key, true
}

// portPair returns destination port << 16 | source port, as in Key.Tail, of
// the TCP, UDP or SCTP header that p begins with.
func portPair(p []byte) uint32 {
	return bits.RotateLeft32(binary.BigEndian.Uint32(p), 16)
}
