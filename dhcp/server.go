package dhcp

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Ports of UDP (RFC 2131 section 4.1, RFC 8415 section 7.2).
const (
	serverPort4 = 67
	clientPort4 = 68
	clientPort6 = 546
	serverPort6 = 547
)

// Groups (RFC 4291 section 2.7.1, RFC 8415 section 7.1).
var (
	allNodes       = packet.AddrFrom16(&[16]byte{0: 0xff, 1: 0x02, 15: 1})
	allDHCPServers = packet.AddrFrom16(&[16]byte{0: 0xff, 1: 0x02, 13: 1, 15: 2})
	unspecified6   = packet.Addr{}
)

// Decide answers what clients and hosts ask of the segment. A Server is a
// dataplane.Decider. What is for others passes as if nobody had looked at it.
func (x *Server) Decide(d *dataplane.Decision) {
	in := d.Info
	switch {
	case in.Has(packet.IsFragment) || !in.Has(packet.IsIP):
		// No client fragments so little. Parts go where other packets go.
	case in.Proto == packet.ProtoUDP:
		switch port := in.Key.DstPort(); {
		case port == serverPort4 && in.Has(packet.IsIPv4):
			x.datagram4(d)
		case port == serverPort6 && in.Has(packet.IsIPv6) && in.Key.Dst == allDHCPServers:
			x.datagram6(d)
		}
	case in.Proto == packet.ProtoICMPv6 && in.Has(packet.IsIPv6):
		if m := message(d); len(m) > 0 && m[0] == packet.ICMPv6RouterSolicitation {
			x.solicitation(d, m)
		}
	}
}

// message returns a packet from its transport header on.
func message(d *dataplane.Decision) []byte {
	in := d.Info
	return d.Frame()[in.L4 : uint32(in.L3)+in.IPLen]
}

// member returns the port's membership where something is served, or nil.
func (x *Server) member(d *dataplane.Decision) *member {
	if l := x.lans[d.Zone]; l != nil {
		return l.members[d.In.Number]
	}
	return nil
}

// intact reports whether a packet's payload is as it was sent, and one by itself:
// the checksum is right or left to devices.
func intact(d *dataplane.Decision) bool {
	in, meta := d.Info, d.Meta()
	return meta.GSOType == packet.GSONone &&
		(meta.CsumPartial || meta.CsumValid ||
			packet.VerifyTransport(d.Frame(), int(in.L3), int(in.L4), int(in.IPLen), in.Proto))
}

// pass leaves a frame to the deciders behind this one. What becomes of it was
// found out from its contents, so it says nothing about the next of its flow.
func pass(d *dataplane.Decision) { d.Uncached = true }

// allowed takes a token of the port's limit; without one, the frame is dropped.
func (x *Server) allowed(d *dataplane.Decision, m *member) bool {
	if m.limit.Take(d.Now) {
		return true
	}
	x.state.count(countLimited)
	d.Drop(packet.RateLimited)
	return false
}

// finish ends the decision about a question that has been answered, or could
// not be for want of a buffer.
func (x *Server) finish(d *dataplane.Decision, sent bool, c count) {
	if !sent {
		d.Drop(packet.NoBuffer)
		return
	}
	x.state.count(c)
	d.Consume()
}

// envelope is what is around a datagram.
type envelope struct {
	from, to         packet.MAC
	src, dst         packet.Addr
	srcPort, dstPort uint16
}

const (
	maxFrameMTU = 1500 // answers are never longer, whatever the segment takes
	ttl         = 64
)

// header returns the size of the headers around the payload.
func (e *envelope) header() int {
	if e.src.Is4() {
		return packet.EthernetSize + packet.IPv4MinSize + packet.UDPSize
	}
	return packet.EthernetSize + packet.IPv6Size + packet.UDPSize
}

// generate makes a frame for a payload of at most size bytes, on account of port in. It returns
// 0 if there is no buffer.
func (e *envelope) generate(w *dataplane.Worker, in uint16, size int) (b packet.Index, payload []byte) {
	b, frame := w.Generate(e.header()+size, in)
	if b == 0 {
		return 0, nil
	}
	return b, frame[e.header():]
}

// send completes a frame whose payload has become size bytes, and sends it.
func (e *envelope) send(w *dataplane.Worker, out dataplane.FloodTarget, b packet.Index, size int) {
	frame := w.Arena().Frame(b)
	if cut := len(frame) - e.header() - size; cut > 0 {
		w.Arena().Trim(b, cut)
		frame = w.Arena().Frame(b)
	}
	eth := packet.EthernetFields{Dst: e.to, Src: e.from, Type: packet.EtherTypeIPv6}
	l3, l4 := packet.EthernetSize, e.header()-packet.UDPSize
	if e.src.Is4() {
		eth.Type = packet.EtherTypeIPv4
		// One that is never fragmented needs no identification (RFC 6864 section 4.1).
		ip := packet.IPv4Fields{
			TTL: ttl, Proto: packet.ProtoUDP, DontFragment: true, Length: uint16(len(frame) - l3), Src: e.src, Dst: e.dst,
		}
		ip.Put(frame[l3:])
	} else {
		ip := packet.IPv6Fields{
			NextHeader: packet.ProtoUDP, HopLimit: ttl, PayloadLen: uint16(len(frame) - l4), Src: e.src, Dst: e.dst,
		}
		ip.Put(frame[l3:])
	}
	eth.Put(frame)
	udp := packet.UDPFields{SrcPort: e.srcPort, DstPort: e.dstPort, Length: uint16(len(frame) - l4)}
	udp.Put(frame[l4:])
	packet.SetTransport(frame, l3, l4, len(frame)-l3, packet.ProtoUDP)
	w.Send(out.Port, b, out.Tags)
}
