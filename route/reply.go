package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Frames that the switch makes: answers to ARP and neighbour discovery, and its own
// questions. in is the port whose books they go to.

// allNodes is ff02::1.
var allNodes = packet.AddrFrom16(&[16]byte{0: 0xff, 1: 0x02, 15: 1})

// solicitedNode returns the group that an address's owner listens to (RFC 4291
// section 2.7.1).
func solicitedNode(a packet.Addr) packet.Addr {
	b := a.As16()
	return packet.AddrFrom16(&[16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// sendARP sends an ARP packet. It reports false if there is no buffer. The
// frame is from the packet's sender, as if that had sent it.
func (f *Forwarder) sendARP(w *dataplane.Worker, in uint16, out dataplane.FloodTarget, dst packet.MAC, arp *packet.ARPFields) bool {
	b, frame := w.Generate(packet.EthernetSize+packet.ARPSize, in)
	if b == 0 {
		return false
	}
	eth := packet.EthernetFields{Dst: dst, Src: arp.SenderMAC, Type: packet.EtherTypeARP}
	arp.Put(frame[eth.Put(frame):])
	w.Send(out.Port, b, out.Tags)
	return true
}

// ndSize is the frame of a neighbour discovery message with a link-layer address.
const ndSize = packet.EthernetSize + packet.IPv6Size + packet.NDNeighborSize + 8

// sendND sends a neighbour solicitation or advertisement from src to dst, which is at
// to. It reports false if there is no buffer. The link-layer address that it states is
// the frame's source too.
func (f *Forwarder) sendND(w *dataplane.Worker, in uint16, out dataplane.FloodTarget, to packet.MAC, src, dst packet.Addr, nd *packet.NDNeighborFields) bool {
	b, frame := w.Generate(ndSize, in)
	if b == 0 {
		return false
	}
	eth := packet.EthernetFields{Dst: to, Src: nd.LinkAddr, Type: packet.EtherTypeIPv6}
	l3 := eth.Put(frame)
	ip := packet.IPv6Fields{
		NextHeader: packet.ProtoICMPv6, HopLimit: packet.NDHopLimit, PayloadLen: ndSize - packet.EthernetSize - packet.IPv6Size,
		Src: src, Dst: dst,
	}
	l4 := l3 + ip.Put(frame[l3:])
	nd.Put(frame[l4:])
	packet.SetTransport(frame, l3, l4, ndSize-l3, packet.ProtoICMPv6)
	w.Send(out.Port, b, out.Tags)
	return true
}

// solicit asks who has target, in the router's name: an ARP request or a
// neighbour solicitation from its address src, to all ports of the segment. If at has a
// port, that one alone is asked, by unicast: is it still there (RFC 1122
// section 2.3.2.1, RFC 4861 section 7.3.3)? It returns the number of frames sent.
func (f *Forwarder) solicit(w *dataplane.Worker, in uint16, seg *segment, src, target packet.Addr, at host) (n int) {
	if at.port != 0 {
		if f.ask(w, in, seg, seg.toward(at.port), src, target, at.mac) {
			n++
		}
		return n
	}
	for _, t := range seg.flood {
		if f.ask(w, in, seg, t, src, target, packet.MAC{}) {
			n++
		}
	}
	return n
}

// ask sends one question by one port; to the zero MAC means to all.
func (f *Forwarder) ask(w *dataplane.Worker, in uint16, seg *segment, t dataplane.FloodTarget, src, target packet.Addr, to packet.MAC) bool {
	if target.Is4() {
		if to.IsZero() {
			to = packet.Broadcast
		}
		return f.sendARP(w, in, t, to, &packet.ARPFields{
			Op: packet.ARPRequest, SenderMAC: seg.routerMAC, SenderIP: src, TargetIP: target,
		})
	}
	dst := target
	if to.IsZero() {
		dst = solicitedNode(target)
		to, _ = packet.GroupMAC(dst)
	}
	return f.sendND(w, in, t, to, src, dst, &packet.NDNeighborFields{
		Type: packet.ICMPv6NeighborSolicitation, Target: target, HasLinkAddr: true, LinkAddr: seg.routerMAC,
	})
}
