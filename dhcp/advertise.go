package dhcp

import (
	"encoding/binary"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Options of router advertisements that package packet has no words for (RFC 8106).
const (
	ndOptionDNS    = 25
	ndOptionSearch = 31
)

// raLifetime is where an advertisement's router lifetime stands in its frame.
const (
	raMessage  = packet.EthernetSize + packet.IPv6Size
	raLifetime = raMessage + 6
)

// compileAdvertisement makes an advertisement to all hosts, as a frame (RFC 4861
// section 6.2.3).
func (x *Server) compileAdvertisement(a *Advertisement, mtu int) []byte {
	fields := packet.NDRouterAdvertisementFields{
		HopLimit: ttl, Managed: a.Stateful, OtherConfig: a.Stateful || a.Stateless,
		HasLinkAddr: true, LinkAddr: x.mac, Lifetime: uint16(min(seconds(a.Lifetime), 1<<16-1)), MTU: uint32(mtu),
	}
	for _, p := range a.Prefixes {
		fields.Prefixes = append(fields.Prefixes, packet.NDPrefix{
			Addr: packet.AddrFrom(p.Masked().Addr()), Bits: uint8(p.Bits()), OnLink: true,
			Autonomous: a.Autonomous, Valid: seconds(a.Valid), Preferred: seconds(a.Preferred),
		})
	}
	frame := make([]byte, raMessage+fields.Size())
	fields.Put(frame[raMessage:])
	lifetime := seconds(3 * a.Interval) // RFC 8106 section 5.1
	frame = appendNDOption(frame, ndOptionDNS, lifetime, addresses(a.DNS, 128))
	frame = appendNDOption(frame, ndOptionSearch, lifetime, labels(a.Search))
	to, _ := packet.GroupMAC(allNodes)
	eth := packet.EthernetFields{Dst: to, Src: x.mac, Type: packet.EtherTypeIPv6}
	eth.Put(frame)
	ip := packet.IPv6Fields{
		NextHeader: packet.ProtoICMPv6, HopLimit: packet.NDHopLimit,
		PayloadLen: uint16(len(frame) - raMessage), Src: x.link, Dst: allNodes,
	}
	ip.Put(frame[packet.EthernetSize:])
	sumAdvertisement(frame)
	return frame
}

// appendNDOption appends an option with a lifetime, padded to a multiple of 8
// bytes; none if it would be empty.
func appendNDOption(b []byte, typ uint8, lifetime uint32, value []byte) []byte {
	if len(value) == 0 {
		return b
	}
	words := (8 + len(value) + 7) / 8
	b = append(b, typ, uint8(words), 0, 0)
	b = binary.BigEndian.AppendUint32(b, lifetime)
	b = append(b, value...)
	return append(b, make([]byte, words*8-8-len(value))...)
}

func sumAdvertisement(frame []byte) {
	packet.SetTransport(frame, packet.EthernetSize, raMessage, len(frame)-packet.EthernetSize, packet.ProtoICMPv6)
}

// lastAdvertisement is an advertisement of a router that ceases to be one (RFC
// 4861 section 6.2.5).
func lastAdvertisement(frame []byte) []byte {
	last := append([]byte(nil), frame...)
	binary.BigEndian.PutUint16(last[raLifetime:], 0)
	sumAdvertisement(last)
	return last
}

// solicitation answers a router solicitation: at once and by unicast, or, to a
// host without an address, to all by its port only. RFC 4861 section 6.2.6 has routers
// wait up to half a second, so that many need not answer at once; here there is one.
func (x *Server) solicitation(d *dataplane.Decision, b []byte) {
	m := x.member(d)
	if m == nil || m.seg.ra == nil {
		return
	}
	src := d.Info.Key.Src
	if !validSolicitation(d, b, src) {
		d.Drop(packet.InvalidHeader)
		return
	}
	if !x.allowed(d, m) {
		return
	}
	reply, frame := d.W.Generate(len(m.seg.ra), d.In.Number)
	if reply != 0 {
		copy(frame, m.seg.ra)
		if src != unspecified6 {
			packet.Ethernet(frame).SetDst(packet.Ethernet(d.Frame()).Src())
			packet.IPv6(frame[packet.EthernetSize:]).SetDst(src)
			sumAdvertisement(frame)
		}
		d.W.Send(m.out.Port, reply, m.out.Tags)
	}
	x.finish(d, reply != 0, countSolicited)
}

// validSolicitation is the validation of RFC 4861 section 6.1.1.
func validSolicitation(d *dataplane.Decision, b []byte, src packet.Addr) bool {
	rs, ok := packet.AsNDRouterSolicitation(b)
	if !ok || d.Info.TTL != packet.NDHopLimit || !intact(d) {
		return false
	}
	it := rs.Options()
	for {
		if _, ok := it.Next(); !ok {
			break
		}
	}
	_, stated := rs.LinkAddr()
	return !it.Malformed() && !(stated && src == unspecified6)
}

// Constants of RFC 4861 section 10, and of section 6.2.1 for the shortest interval.
const (
	minInterval       = 4 * time.Second
	minDelay          = int64(3 * time.Second)
	initialRounds     = 3
	initialInterval   = int64(16 * time.Second)
	finalRounds       = 3
	framesAtOnce      = 64                      // in one turn of a worker
	betweenPortions   = int64(time.Millisecond) // of a round to more ports than that
	never             = int64(1<<63 - 1)
	shortestOfLongest = 3 // a third
)

// shortestInterval is MinRtrAdvInterval by its default.
func shortestInterval(longest time.Duration) int64 {
	return max(int64(longest)/shortestOfLongest, minDelay)
}
