package vnet

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// CutTunnel cuts a super-frame of a tunnel into frames, as the header can't
// describe it in a form that others could cut later: it gives the type of the inner
// packet, and by the place of its checksum where that is, but nothing of what is around
// it. A pod makes such frames that has a tunnel of its own (VXLAN, Geneve, GRE, IP in
// IP) over a veth, which takes all kinds of super-frames.
//
//	| Ethernet | IP | UDP, GRE or nothing | ... | inner IP | TCP or UDP | payload ...
//	           ^ L3 ^ L4                        ^ inner    ^ CsumStart
//
// b is a frame that Decode has just refused. On success its segments are in out
// and b is gone; n is 0 and b stays the caller's if it is something else, does
// not fit into out or if no buffers are free.
func (k *Kit) CutTunnel(b packet.Index, out []packet.Index) (n int) {
	a := k.arena
	m := a.Meta(b)
	frame := a.Frame(b)
	var in packet.Info
	if !m.CsumPartial || m.GSOSize == 0 || packet.Parse(frame, &in) != packet.None || !in.Has(packet.IsIP) || in.Has(packet.IsFragment) {
		return 0
	}
	end := int(in.L3) + int(in.IPLen)
	inner, etherType := innerPacket(frame[:end], int(in.L4), int(m.CsumStart))
	if inner == 0 || inner > len(k.outer) || in.Proto == packet.ProtoGRE && frame[in.L4]&greChecksum != 0 {
		return 0
	}
	outer := k.outer[:copy(k.outer[:], frame[:inner])]

	// The inner packet, with an Ethernet header where the outer ones end, is a
	// super-frame like any other.
	const before = packet.EthernetSize
	a.Trim(b, len(frame)-end)
	a.TrimFront(b, inner-before)
	packet.Ethernet(a.Frame(b)).SetType(etherType)
	n, r := packet.Segment(k.cache, b, out)
	if r != packet.None {
		return 0
	}
	for i, segment := range out[:n] {
		a.Prepend(segment, inner-before) // less than the headroom
		f := a.Frame(segment)
		copy(f, outer)
		finishOuter(f, &in, uint16(i))
	}
	return n
}

// greChecksum is the flag of a checksum over the payload (RFC 2784 section 2.2).
const greChecksum = 0x80

// innerPacket finds the IP header that ends at l4 and whose packet ends with the
// frame: whatever the tunnel is, nothing else looks like that. It returns 0 if
// there is none behind min.
func innerPacket(frame []byte, min, l4 int) (l3 int, etherType uint16) {
	if l4 > len(frame) {
		return 0, 0
	}
	if l3 = l4 - packet.IPv6Size; l3 >= min {
		if p, ok := packet.AsIPv6(frame[l3:]); ok && p[0]>>4 == 6 && int(p.PayloadLen()) == len(frame)-l4 {
			return l3, packet.EtherTypeIPv6
		}
	}
	for l3 = l4 - packet.IPv4MinSize; l3 >= min && l3 >= l4-maxIPv4Header; l3 -= 4 {
		p, ok := packet.AsIPv4(frame[l3:])
		if ok && p[0]>>4 == 4 && p.HeaderLen() == l4-l3 && int(p.Length()) == len(frame)-l3 && p.ChecksumValid() {
			return l3, packet.EtherTypeIPv4
		}
	}
	return 0, 0
}

const maxIPv4Header = 60

// finishOuter corrects the outer headers of segment number i, as described by in.
func finishOuter(f []byte, in *packet.Info, i uint16) {
	size := len(f) - int(in.L3)
	if in.Has(packet.IsIPv4) {
		p := packet.IPv4(f[in.L3:])
		p.SetLength(uint16(size))
		p.SetID(p.ID() + i)
		p.UpdateChecksum()
	} else {
		packet.IPv6(f[in.L3:]).SetPayloadLen(uint16(size - packet.IPv6Size))
	}
	if in.Proto != packet.ProtoUDP {
		return
	}
	udp := f[in.L4:]
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	if packet.UDP(udp).Checksum() != 0 {
		packet.SetTransport(f, int(in.L3), int(in.L4), size, packet.ProtoUDP)
	}
}
