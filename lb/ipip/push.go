// Package ipip puts IP packets into IP packets.
//
// What is sent this way arrives as it was, at whoever has the outer destination: IPv4 or IPv6 in IPv4 (RFC 2003, RFC 4213), or
// in IPv6 (RFC 2473). The outer header is a packet's own in all but its traffic class.
package ipip

import "github.com/sluice-net/sluice/packet"

// TTL is that of outer headers: that of the packet inside counts the routers on the way to the node, not those behind it
// (RFC 2003 section 3.1, RFC 2473 section 6.3).
const TTL = 64

// Overhead returns the size in bytes of the header of packets to an address.
func Overhead(to packet.Addr) uint8 {
	if to.Is4() {
		return packet.IPv4MinSize
	}
	return packet.IPv6Size
}

// Push puts the IP packet in buffer b, which the caller owns, into one from src to dst, addresses of one family, and moves
// in's offsets by the header's size: it still describes the packet inside. What is not None says why it can't be, and that
// nothing has changed.
//
//	| Ethernet | packet ......| padding |
//	| Ethernet | outer header | packet ......| padding |
//
// A partial checksum is completed, for devices look for it where a transport header is. A super-frame stays one, and
// gets an outer header for each segment when it is cut: see packet.Meta.Outer.
func Push(a *packet.Arena, b packet.Index, in *packet.Info, src, dst packet.Addr) packet.Reason {
	size := int(Overhead(dst))
	meta, l3 := a.Meta(b), int(in.L3)
	super := meta.GSOType != packet.GSONone
	if !in.Has(packet.IsIP) || l3 < packet.EthernetSize {
		return packet.InvalidHeader
	}
	if !super && int(in.IPLen)+size > maxSize || meta.Outer != 0 {
		return packet.FrameTooLong
	}
	if !super && !packet.CompleteIfPartial(a.Frame(b), meta) {
		return packet.InvalidHeader
	}
	if !a.Prepend(b, size) {
		return packet.FrameTooLong
	}
	frame := a.Frame(b)
	copy(frame, frame[size:size+l3])
	putHeader(frame[l3:], in, src, dst)
	etherType := uint16(packet.EtherTypeIPv4)
	if size == packet.IPv6Size {
		etherType = packet.EtherTypeIPv6
	}
	frame[l3-2], frame[l3-1] = byte(etherType>>8), byte(etherType)
	if super {
		meta.Outer = uint8(size)
	}
	in.L3 += uint16(size)
	in.L4 += uint16(size)
	return packet.None
}

// maxSize is what IPv4's total length can say. IPv6's length could say 40 bytes more, which no link takes.
const maxSize = 0xffff

// putHeader writes the header of outer, an IP packet that carries the one that in describes. That of a super-frame may be longer
// than the header can say: then it says 0, which its segments' do not.
//
// The traffic class is copied: DSCP, so that who queues on the way sees what the packet is; ECN, as RFC 6040 section 4.1 has it in
// normal mode, so that who is congested can say so. The header has DF, whether or not the packet inside has: fragments of packets
// to one member would need identifications that differ among all of its clients' (RFC 6864 section 4.3), so packets are cut before
// they get here, and the identification is 0.
func putHeader(outer []byte, in *packet.Info, src, dst packet.Addr) {
	proto := uint8(packet.ProtoIPIP)
	if in.Has(packet.IsIPv6) {
		proto = packet.ProtoIPv6
	}
	length := in.IPLen
	if dst.Is4() {
		length += packet.IPv4MinSize
	}
	if length > maxSize {
		length = 0
	}
	if dst.Is4() {
		(&packet.IPv4Fields{
			TOS: in.TOS, TTL: TTL, Proto: proto, DontFragment: true, Length: uint16(length), Src: src, Dst: dst,
		}).Put(outer)
		return
	}
	(&packet.IPv6Fields{
		TrafficClass: in.TOS, HopLimit: TTL, NextHeader: proto, PayloadLen: uint16(length), FlowLabel: flowLabel(in), Src: src, Dst: dst,
	}).Put(outer)
}

// flowLabel returns one for the flow that a packet is of, so that who spreads load on the way keeps it together (RFC 6438
// section 3): a hash of its tuple.
func flowLabel(in *packet.Info) uint32 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio
	k := &in.Key
	h := k.Tail &^ (uint64(packet.MaxZone) << 32)
	for _, word := range [4]uint64{k.Src[0], k.Src[1], k.Dst[0], k.Dst[1]} {
		h = (h*golden)>>29 ^ h*golden ^ word
	}
	return uint32(h * golden >> 44)
}
