package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Decide answers a frame that asks something of the switch, and hears what
// frames say of their senders.
func (x localDecider) Decide(d *dataplane.Decision) {
	f := x.f
	seg := f.segmentOf(d.Zone)
	if seg == nil {
		d.Drop(packet.UnknownSegment)
		return
	}
	dst := packet.Ethernet(d.Frame()).Dst()
	in := d.Info
	switch {
	case in.EtherType == packet.EtherTypeARP:
		f.arp(d, seg)
	case in.Has(packet.IsIPv6) && in.Proto == packet.ProtoICMPv6 && isNeighborDiscovery(d):
		f.neighborDiscovery(d, seg)
	case in.Has(packet.IsIP):
		if seg.routed(dst) {
			f.answer(d, seg)
		}
		return
	}
	// What is no IP, and neighbour discovery, ends at the router at the latest.
	if !d.Done() && seg.routed(dst) {
		d.Drop(packet.NoService)
	}
}

// claim is what an ARP or ND message says of an address, or asks.
type claim struct {
	ip  packet.Addr
	mac packet.MAC
}

// believe hears who has an address. It refuses, and drops the frame, if the
// address is somebody else's for sure: the router's, or bound to another port. moved says
// that another MAC address was known to have it.
func (f *Forwarder) believe(d *dataplane.Decision, seg *segment, c claim) (believed, moved bool) {
	port := d.In.Number
	h, bound := seg.hostAt(c.ip)
	if seg.owns(c.ip) || f.proxies(seg, c.ip) || (bound && h.port != port) {
		d.Drop(packet.MACConflict)
		return false, false
	}
	if !bound {
		moved = f.heard(d.W, d.Zone, c.ip, c.mac, port, d.Now)
	}
	return true, moved
}

// whoHas returns who answers for an address that a frame asks for, and whether
// that is to be done here.
func (f *Forwarder) whoHas(d *dataplane.Decision, seg *segment, ip packet.Addr) (a answerer, found bool) {
	if seg.owns(ip) || f.proxies(seg, ip) {
		return answerer{mac: seg.routerMAC, router: true, override: true}, true
	}
	if !seg.suppress {
		return answerer{}, false
	}
	h, bound := seg.hostAt(ip)
	found = bound
	if !bound {
		h, found = f.neighborAt(d.Zone, ip)
	}
	// Who asks on the wire of the one asked for gets the answer there. If it is the
	// same one, it wants to know whether others have its address.
	if !found || h.port == d.In.Number {
		return answerer{}, false
	}
	return answerer{mac: h.mac, override: bound}, true
}

// answerer is who an answer is from.
type answerer struct {
	mac      packet.MAC
	router   bool
	override bool // what is known here is certain (RFC 4861 section 7.2.8: a proxy's answer is not)
}

// arp hears and answers ARP (RFC 826).
func (f *Forwarder) arp(d *dataplane.Decision, seg *segment) {
	body := d.Frame()[d.Info.L3:]
	arp, ok := packet.AsARP(body)
	if !ok {
		if len(body) < packet.ARPSize {
			d.Drop(packet.TruncatedHeader)
		}
		return // for another protocol than IPv4: a frame like any other
	}
	op, sender := arp.Op(), claim{arp.SenderIP(), arp.SenderMAC()}
	if op != packet.ARPRequest && op != packet.ARPReply {
		return
	}
	if sender.mac.IsGroup() || sender.mac.IsZero() {
		d.Drop(packet.InvalidHeader)
		return
	}
	moved := false
	// The sender of a probe has no address yet (RFC 5227 section 1.1).
	if sender.ip != unspecified4 {
		var believed bool
		if believed, moved = f.believe(d, seg, sender); !believed {
			return
		}
	}
	if op == packet.ARPReply {
		if seg.routed(packet.Ethernet(d.Frame()).Dst()) {
			d.Consume()
		}
		return
	}
	target := arp.TargetIP()
	if target == sender.ip {
		return // an announcement, which is for all
	}
	a, found := f.whoHas(d, seg, target)
	if !found || moved && !a.router {
		// Its question tells the others that the sender has another MAC address
		// now, as RFC 826 wants; answered here, they would go on with the old one.
		return
	}
	sent := f.sendARP(d.W, d.In.Number, seg.toward(d.In.Number), sender.mac, &packet.ARPFields{
		Op: packet.ARPReply, SenderMAC: a.mac, SenderIP: target, TargetMAC: sender.mac, TargetIP: sender.ip,
	})
	if !moved {
		f.finish(d, sent)
	}
}

// isNeighborDiscovery reports whether an ICMPv6 packet is a neighbour
// solicitation or advertisement, well-formed or not.
func isNeighborDiscovery(d *dataplane.Decision) bool {
	if d.Info.Has(packet.IsLaterFragment) {
		return false
	}
	m := icmpOf(d)
	return len(m) > 0 && (m[0] == packet.ICMPv6NeighborSolicitation || m[0] == packet.ICMPv6NeighborAdvertisement)
}

// neighborDiscovery hears and answers neighbour solicitations and advertisements.
func (f *Forwarder) neighborDiscovery(d *dataplane.Decision, seg *segment) {
	nd, ok := packet.AsNDNeighbor(icmpOf(d))
	if !ok || !validND(d, nd) {
		d.Drop(packet.InvalidHeader)
		return
	}
	src := packet.Ethernet(d.Frame()).Src()
	link, stated := nd.LinkAddr()
	if stated && (link.IsGroup() || link.IsZero()) {
		d.Drop(packet.InvalidHeader)
		return
	}
	if nd.Type() == packet.ICMPv6NeighborAdvertisement {
		if !stated {
			link = src
		}
		if believed, _ := f.believe(d, seg, claim{nd.Target(), link}); believed && seg.routed(packet.Ethernet(d.Frame()).Dst()) {
			d.Consume()
		}
		return
	}
	asker := d.Info.Key.Src
	to, mac, solicited := asker, src, true
	if asker == unspecified6 {
		// RFC 4861 section 7.2.4: whoever has no address yet is told by all-nodes multicast.
		to, solicited = allNodes, false
		mac, _ = packet.GroupMAC(allNodes)
	} else if stated {
		if believed, _ := f.believe(d, seg, claim{asker, link}); !believed {
			return
		}
		mac = link
	}
	target := nd.Target()
	if a, found := f.whoHas(d, seg, target); found {
		f.finish(d, f.sendND(d.W, d.In.Number, seg.toward(d.In.Number), mac, target, to, &packet.NDNeighborFields{
			Type: packet.ICMPv6NeighborAdvertisement, Target: target,
			Router: a.router, Solicited: solicited, Override: a.override,
			HasLinkAddr: true, LinkAddr: a.mac,
		}))
	}
}

// validND is the validation of RFC 4861 sections 7.1.1 and 7.1.2, and of RFC
// 6980: neighbour discovery is never fragmented.
func validND(d *dataplane.Decision, nd packet.NDNeighbor) bool {
	in, meta := d.Info, d.Meta()
	target := nd.Target().As16()
	if in.TTL != packet.NDHopLimit || in.Has(packet.IsFragment) || target[0] == 0xff {
		return false
	}
	for it := nd.Options(); ; {
		if _, ok := it.Next(); ok {
			continue
		}
		if it.Malformed() {
			return false
		}
		break
	}
	if !meta.CsumPartial && !meta.CsumValid &&
		!packet.VerifyTransport(d.Frame(), int(in.L3), int(in.L4), int(in.IPLen), in.Proto) {
		return false
	}
	dst := in.Key.Dst.As16()
	if nd.Type() == packet.ICMPv6NeighborAdvertisement {
		return dst[0] != 0xff || !nd.Solicited()
	}
	if in.Key.Src != unspecified6 {
		return true
	}
	_, stated := nd.LinkAddr()
	return !stated && in.Key.Dst == solicitedNode(nd.Target())
}

// finish ends the decision about a question that has been answered, or could
// not be for want of a buffer.
func (f *Forwarder) finish(d *dataplane.Decision, sent bool) {
	if !sent {
		d.Drop(packet.NoBuffer)
		return
	}
	d.Consume()
}
