package route

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// icmpError is what a router has to say about a packet that it did not forward.
type icmpError uint8

const (
	icmpNoRoute icmpError = iota
	icmpNoHost            // the next hop does not answer
	icmpNoPort
	icmpNoProtocol
	icmpBeyondScope
	icmpTTLExceeded
	icmpTooBig
)

// icmpCode is a message type and code; type 0 is no message.
type icmpCode struct{ typ, code uint8 }

// icmpErrors are the messages (RFC 792, RFC 1812 section 5.2.7; RFC 4443 section 3).
var icmpErrors = [...]struct{ v4, v6 icmpCode }{
	icmpNoRoute:     {icmpCode{packet.ICMPUnreachable, packet.ICMPCodeNet}, icmpCode{packet.ICMPv6Unreachable, 0}},
	icmpNoHost:      {icmpCode{packet.ICMPUnreachable, packet.ICMPCodeHost}, icmpCode{packet.ICMPv6Unreachable, 3}},
	icmpNoPort:      {icmpCode{packet.ICMPUnreachable, packet.ICMPCodePort}, icmpCode{packet.ICMPv6Unreachable, 4}},
	icmpNoProtocol:  {icmpCode{packet.ICMPUnreachable, packet.ICMPCodeProtocol}, icmpCode{packet.ICMPv6ParameterProblem, 1}},
	icmpBeyondScope: {icmpCode{}, icmpCode{packet.ICMPv6Unreachable, 2}},
	icmpTTLExceeded: {icmpCode{packet.ICMPTimeExceeded, packet.ICMPCodeTTLInTransit}, icmpCode{packet.ICMPv6TimeExceeded, 0}},
	icmpTooBig:      {icmpCode{packet.ICMPUnreachable, packet.ICMPCodeFragNeeded}, icmpCode{packet.ICMPv6PacketTooBig, 0}},
}

const (
	// An error quotes as much as fits into what every host takes (RFC 1812
	// section 4.3.2.3, RFC 4443 section 2.4 c).
	icmpMaxIPv4 = 576
	icmpMaxIPv6 = 1280

	// tosInternetControl is the precedence of ICMP errors (RFC 1812 section 4.3.2.5).
	tosInternetControl = 0xc0

	routerTTL = 64 // of packets that routers make
)

// icmpLimits bound what routers send in answer to packets (RFC 1812 section
// 4.3.2.8, RFC 4443 section 2.4 f): in total, and for each port that causes it,
// so that one cannot use up what all have.
type icmpLimits struct {
	errors, echoes icmpLimit
}

type icmpLimit struct {
	total *dataplane.Limiter
	share uint32                               // of one port
	ports atomic.Pointer[[]*dataplane.Limiter] // by number; as many as there was ever need of

	sent, refused atomic.Uint64
}

func (l *icmpLimit) init(rate uint32) {
	l.total = dataplane.NewLimiter(rate, rate)
	if rate != 0 {
		l.share = max(rate/4, 1)
	}
	l.ports.Store(&[]*dataplane.Limiter{})
}

// makeRoom makes limiters for ports up to a number, while workers use those that there are.
func (l *icmpLimit) makeRoom(highest int) {
	ports := *l.ports.Load()
	if highest < len(ports) {
		return
	}
	more := slices.Grow(slices.Clone(ports), highest+1-len(ports))
	for len(more) <= highest {
		more = append(more, dataplane.NewLimiter(l.share, l.share))
	}
	l.ports.Store(&more)
}

// take reports whether one more may be sent on account of a port.
func (l *icmpLimit) take(port uint16, now int64) bool {
	if ports := *l.ports.Load(); int(port) < len(ports) && ports[port].Take(now) && l.total.Take(now) {
		l.sent.Add(1)
		return true
	}
	l.refused.Add(1)
	return false
}

// ICMPStats are counts since the State was made.
type ICMPStats struct {
	Errors, ErrorsLimited uint64 // sent, and not sent for want of a token
	Echoes, EchoesLimited uint64 // echo replies
}

// ICMPStats returns the counts of what routers have sent.
func (s *State) ICMPStats() ICMPStats {
	l := &s.routers.limits
	return ICMPStats{
		Errors: l.errors.sent.Load(), ErrorsLimited: l.errors.refused.Load(),
		Echoes: l.echoes.sent.Load(), EchoesLimited: l.echoes.refused.Load(),
	}
}

// refuse drops a packet and tells its sender why. mtu is for icmpTooBig.
func (f *Forwarder) refuse(d *dataplane.Decision, seg *segment, r packet.Reason, e icmpError, mtu uint32) {
	f.sendError(d.W, seg, d.Buf, d.Info, e, mtu, d.Now)
	d.Drop(r)
}

// sendError answers the frame in b, which came in by segment seg, with an ICMP
// error, unless there are reasons not to. The frame stays as it is.
func (f *Forwarder) sendError(w *dataplane.Worker, seg *segment, b packet.Index, in *packet.Info, e icmpError, mtu uint32, now int64) {
	frame, port := w.Arena().Frame(b), w.Arena().Meta(b).InPort
	ip := frame[in.L3 : uint32(in.L3)+in.IPLen]
	v6 := in.Has(packet.IsIPv6)
	what, size := icmpErrors[e].v4, icmpMaxIPv4
	if v6 {
		what, size = icmpErrors[e].v6, icmpMaxIPv6
	}
	if what.typ == 0 || !f.mayAnswer(seg, ip, in) {
		return
	}
	sender := headerSource(ip, v6)
	from, found := f.sourceFor(seg, sender)
	if !found || !f.state.routers.limits.errors.take(port, now) {
		return
	}
	out := envelope{
		eth: packet.EthernetFields{Dst: packet.Ethernet(frame).Src(), Src: seg.routerMAC},
		src: from, dst: sender, proto: packet.ProtoICMP, tos: tosInternetControl,
	}
	rest := uint32(0)
	switch {
	case e == icmpTooBig:
		rest = mtu // both versions have it at the end of the word; IPv4's is 16 bits
	case e == icmpNoProtocol && v6:
		rest = nextHeaderOffset(ip)
	}
	if v6 {
		out.proto, out.tos = packet.ProtoICMPv6, 0
	}
	quote := ip[:min(len(ip), size-out.header()-packet.ICMPSize)]
	reply, message := out.generate(w, port, packet.ICMPSize+len(quote))
	if reply == 0 {
		return
	}
	fields := packet.ICMPFields{Type: what.typ, Code: what.code, Rest: rest}
	fields.Put(message)
	copy(message[packet.ICMPSize:], quote)
	out.send(w, seg.toward(port), reply)
}

// mayAnswer reports whether a packet may be answered with an ICMP error: it is
// no ICMP error itself, the first fragment if any, to one receiver and from one
// sender (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e).
func (f *Forwarder) mayAnswer(seg *segment, ip []byte, in *packet.Info) bool {
	if in.Has(packet.ICMPError | packet.IsLaterFragment | packet.ToMulticast) {
		return false
	}
	v6 := in.Has(packet.IsIPv6)
	if v6 && in.Proto == packet.ProtoICMPv6 && ip[in.L4-in.L3] == packet.ICMPv6Redirect {
		return false
	}
	src, dst := headerSource(ip, v6), in.Key.Dst
	if from := scopeOf(src); from != scopeGlobal && (from != scopeLink || !v6) {
		return false
	}
	if to := scopeOf(dst); to == scopeMulticast || to == scopeBroadcast {
		return false
	}
	for _, a := range [...]packet.Addr{src, dst} {
		if p, found := f.fibs[seg.router].lookup(a); found && p.kind == pathBroadcast {
			return false
		}
	}
	return true
}

// headerSource returns the source address of an IP packet.
func headerSource(ip []byte, v6 bool) packet.Addr {
	if v6 {
		return packet.IPv6(ip).Src()
	}
	return packet.IPv4(ip).Src()
}

// nextHeaderOffset returns where in an IPv6 packet the type of its payload
// stands: what a parameter problem of code 1 points to.
func nextHeaderOffset(ip []byte) uint32 {
	const inFixedHeader = 6
	at := uint32(inFixedHeader)
	it := packet.IPv6(ip).Extensions()
	for off := it.Offset(); ; off = it.Offset() {
		if _, ok := it.Next(); !ok {
			return at
		}
		at = uint32(off) // the next header is an extension header's first byte
	}
}

// echoKind is the echo of an IP version.
type echoKind struct{ proto, request, reply uint8 }

var echoes = [2]echoKind{
	{packet.ProtoICMP, packet.ICMPEcho, packet.ICMPEchoReply},
	{packet.ProtoICMPv6, packet.ICMPv6Echo, packet.ICMPv6EchoReply},
}

func echoOf(in *packet.Info) *echoKind {
	if in.Has(packet.IsIPv6) {
		return &echoes[1]
	}
	return &echoes[0]
}

// echo answers an echo request to one of the router's addresses. Options are
// not answered in kind: no one asks a gateway to record a route.
func (f *Forwarder) echo(d *dataplane.Decision, seg *segment, kind *echoKind) {
	in, meta, frame := d.Info, d.Meta(), d.Frame()
	from := scopeOf(in.Key.Src)
	switch {
	case in.Has(packet.BadIPChecksum):
		d.Drop(packet.InvalidIPChecksum)
		return
	case from != scopeGlobal && from != scopeLink:
		d.Drop(packet.InvalidSourceIP)
		return
	case !meta.CsumPartial && !meta.CsumValid && !packet.VerifyTransport(frame, int(in.L3), int(in.L4), int(in.IPLen), in.Proto):
		d.Drop(packet.InvalidHeader)
		return
	case !f.state.routers.limits.echoes.take(d.In.Number, d.Now):
		d.Drop(packet.RateLimited)
		return
	}
	out := envelope{
		eth: packet.EthernetFields{Dst: packet.Ethernet(frame).Src(), Src: seg.routerMAC},
		src: in.Key.Dst, dst: in.Key.Src, proto: kind.proto, tos: in.TOS, // RFC 1122 section 3.2.2.6
	}
	request := frame[in.L4 : uint32(in.L3)+in.IPLen]
	reply, message := out.generate(d.W, d.In.Number, len(request))
	if reply != 0 {
		copy(message, request)
		m := packet.ICMP(message)
		m.SetType(kind.reply)
		m.SetCode(0)
		out.send(d.W, seg.toward(d.In.Number), reply)
	}
	f.finish(d, reply != 0)
}

// envelope is what is around an ICMP message that a router sends.
type envelope struct {
	eth        packet.EthernetFields // Type is filled in
	src, dst   packet.Addr
	proto, tos uint8
}

// header returns the size of the IP header.
func (e *envelope) header() int {
	if e.src.Is4() {
		return packet.IPv4MinSize
	}
	return packet.IPv6Size
}

// generate makes a frame for a message of n bytes, on account of port in; 0 if
// there is no buffer.
func (e *envelope) generate(w *dataplane.Worker, in uint16, n int) (b packet.Index, message []byte) {
	l4 := packet.EthernetSize + e.header()
	b, frame := w.Generate(l4+n, in)
	if b == 0 {
		return 0, nil
	}
	if e.src.Is4() {
		e.eth.Type = packet.EtherTypeIPv4
		// One that is never fragmented needs no identification (RFC 6864 section 4.1).
		ip := packet.IPv4Fields{
			TOS: e.tos, TTL: routerTTL, Proto: e.proto, DontFragment: true,
			Length: uint16(packet.IPv4MinSize + n), Src: e.src, Dst: e.dst,
		}
		ip.Put(frame[packet.EthernetSize:])
	} else {
		e.eth.Type = packet.EtherTypeIPv6
		ip := packet.IPv6Fields{
			TrafficClass: e.tos, NextHeader: e.proto, HopLimit: routerTTL,
			PayloadLen: uint16(n), Src: e.src, Dst: e.dst,
		}
		ip.Put(frame[packet.EthernetSize:])
	}
	e.eth.Put(frame)
	return b, frame[l4:]
}

// send completes the message's checksum and sends the frame.
func (e *envelope) send(w *dataplane.Worker, out dataplane.FloodTarget, b packet.Index) {
	frame := w.Arena().Frame(b)
	packet.SetTransport(frame, packet.EthernetSize, packet.EthernetSize+e.header(), len(frame)-packet.EthernetSize, e.proto)
	w.Send(out.Port, b, out.Tags)
}
