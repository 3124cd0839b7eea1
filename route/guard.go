package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Decide judges who sent the frame and learns where that address is.
func (x guardDecider) Decide(d *dataplane.Decision) {
	f := x.f
	seg := f.segmentOf(d.Zone)
	var m *member
	if seg != nil {
		m = seg.member(d.In.Number)
	}
	if m == nil {
		d.Drop(packet.UnknownSegment)
		return
	}
	src := packet.Ethernet(d.Frame()).Src()
	if r := f.judgeSource(d, seg, src); r != packet.None {
		d.Drop(r)
		return
	}
	if r := f.learn(d, seg, m, src.Word()); r != packet.None {
		d.Drop(r)
	}
}

// judgeSource returns why an address may not send by this port, or None.
func (f *Forwarder) judgeSource(d *dataplane.Decision, seg *segment, src packet.MAC) packet.Reason {
	if p := f.ports[d.In.Number]; p.guard {
		if r := p.judgeBinding(d, src); r != packet.None {
			return r
		}
	}
	if at, bound := seg.stations[src.Word()]; bound && at.port != d.In.Number {
		return packet.MACConflict
	}
	if seg.routed(src) {
		return packet.MACConflict
	}
	return packet.None
}

// judgeBinding holds a frame from a guarded port against its bindings: the
// frame's addresses, and those that ARP and ND messages state.
func (p *port) judgeBinding(d *dataplane.Decision, src packet.MAC) packet.Reason {
	b := binding{mac: src.Word()}
	if d.Info.Has(packet.IsIPv4) && p.bindings.has(b.with(sourceIP(d))) {
		return packet.None // nearly all
	}
	anyIP, bound := p.bindings.get(b)
	ok := bound
	switch in := d.Info; {
	case !bound:
	case in.EtherType == packet.EtherTypeARP:
		ok = p.mayARP(d, b, src, anyIP)
	case in.Has(packet.IsIPv6):
		ok = p.maySend6(d, b, src, anyIP)
	case in.Has(packet.IsIPv4):
		ip := sourceIP(d)
		ok = anyIP || p.bindings.has(b.with(ip)) || (ip == unspecified4 && isDHCPClient(in))
	}
	if !ok && !(bound && answersInPlace(d)) {
		return packet.SpoofGuard
	}
	return packet.None
}

// answersInPlace reports whether a packet answers one that was sent to this port although it is addressed to somebody
// else: a virtual server that has its members answer in its name (direct server return).
func answersInPlace(d *dataplane.Decision) bool {
	if d.Session.Dir() != flowtable.Reply || d.Info.Has(packet.ICMPError) {
		return false
	}
	table := d.W.Table()
	if table.Binding(d.Session).Service == 0 {
		return false
	}
	hop, gen := table.Entry(d.Session.Peer()).Hop()
	port, _ := d.W.Hops().Exit(hop)
	return port == d.In.Number && d.W.Hops().Valid(hop, gen)
}

// mayARP reports whether a guarded port may send an ARP packet. Without an
// address of its own yet, a host may ask whether one is taken (RFC 5227 section 2.1.1).
// What cannot be read cannot be trusted.
func (p *port) mayARP(d *dataplane.Decision, b binding, src packet.MAC, anyIP bool) bool {
	arp, ok := packet.AsARP(d.Frame()[d.Info.L3:])
	if !ok || arp.SenderMAC() != src {
		return false
	}
	ip := arp.SenderIP()
	return anyIP || p.bindings.has(b.with(ip)) || (ip == unspecified4 && arp.Op() == packet.ARPRequest)
}

// maySend6 reports whether a guarded port may send an IPv6 packet: from a bound
// address, the link-local one made of its MAC, or none where a host that has
// none yet must (RFC 4862 section 5.4, RFC 3590). Neighbour discovery must
// speak of the port's own addresses.
func (p *port) maySend6(d *dataplane.Decision, b binding, src packet.MAC, anyIP bool) bool {
	in := d.Info
	own := func(ip packet.Addr) bool { return anyIP || p.bindings.has(b.with(ip)) || ip == packet.LinkLocal(src) }
	ip := sourceIP(d)
	if in.Proto != packet.ProtoICMPv6 || in.Has(packet.IsLaterFragment) {
		return own(ip)
	}
	message := icmpOf(d)
	if len(message) == 0 {
		return false
	}
	var link packet.MAC
	stated := false
	switch message[0] {
	case packet.ICMPv6NeighborSolicitation, packet.ICMPv6NeighborAdvertisement:
		nd, ok := packet.AsNDNeighbor(message)
		if !ok || (nd.Type() == packet.ICMPv6NeighborAdvertisement && !own(nd.Target())) {
			return false
		}
		link, stated = nd.LinkAddr()
	case packet.ICMPv6RouterSolicitation:
		if rs, ok := packet.AsNDRouterSolicitation(message); ok {
			link, stated = rs.LinkAddr()
		}
	case packet.ICMPv6RouterAdvertisement:
		if ra, ok := packet.AsNDRouterAdvertisement(message); ok {
			it := ra.Options()
			for o, ok := it.Next(); ok && !stated; o, ok = it.Next() {
				link, stated = o.LinkAddr()
			}
		}
	case packet.ICMPv6MulticastReport, packet.ICMPv6MulticastReportV2, packet.ICMPv6MulticastDone:
	default:
		return own(ip)
	}
	if stated && link != src {
		return false
	}
	return ip == unspecified6 && message[0] != packet.ICMPv6NeighborAdvertisement || own(ip)
}

var (
	unspecified4 = packet.AddrFrom4(&[4]byte{})
	unspecified6 = packet.Addr{}
)

// isDHCPClient reports whether a packet is from a DHCP client to a server (RFC
// 2131 section 4.1).
func isDHCPClient(in *packet.Info) bool {
	return in.Proto == packet.ProtoUDP && in.Has(packet.HasPorts) &&
		in.Key.SrcPort() == dhcpClientPort && in.Key.DstPort() == dhcpServerPort
}

// sourceIP returns the source address in the IP header: the key of an ICMP
// error is that of the packet it quotes.
func sourceIP(d *dataplane.Decision) packet.Addr {
	in := d.Info
	switch {
	case !in.Has(packet.ICMPError):
		return in.Key.Src
	case in.Has(packet.IsIPv6):
		return packet.IPv6(d.Frame()[in.L3:]).Src()
	}
	return packet.IPv4(d.Frame()[in.L3:]).Src()
}

// icmpOf returns the ICMP message of an IP packet.
func icmpOf(d *dataplane.Decision) []byte {
	in := d.Info
	return d.Frame()[in.L4 : uint32(in.L3)+in.IPLen]
}
