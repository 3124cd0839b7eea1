package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/packet"
)

// icmpLimits bound what routers send in answer to packets. That of errors is the node's,
// for whoever makes some.
type icmpLimits struct {
	errors, echoes *answer.Limit
}

// ErrorLimit returns the limit of ICMP errors, for features that answer packets too. There is
// room in it for every port that was ever compiled.
func (s *State) ErrorLimit() *answer.Limit { return s.routers.limits.errors }

// ICMPStats are counts since the State was made.
type ICMPStats struct {
	Errors, ErrorsLimited uint64 // sent, and not sent for want of a token, by all that share ErrorLimit
	Echoes, EchoesLimited uint64 // echo replies
}

// ICMPStats returns the counts of what routers have sent.
func (s *State) ICMPStats() ICMPStats {
	l := &s.routers.limits
	var st ICMPStats
	st.Errors, st.ErrorsLimited = l.errors.Counts()
	st.Echoes, st.EchoesLimited = l.echoes.Counts()
	return st
}

// refuse drops a packet and tells its sender why. mtu is for answer.TooBig.
func (f *Forwarder) refuse(d *dataplane.Decision, seg *segment, r packet.Reason, e answer.Error, mtu uint32) {
	f.sendError(d.W, seg, d.Buf, d.Info, e, mtu, d.Now)
	d.Drop(r)
}

// sendError answers the frame in b, which came in by segment seg, with an ICMP
// error, unless there are reasons not to. The frame stays as it is.
func (f *Forwarder) sendError(w *dataplane.Worker, seg *segment, b packet.Index, in *packet.Info, e answer.Error, mtu uint32, now int64) {
	frame, port := w.Arena().Frame(b), w.Arena().Meta(b).InPort
	v6 := in.Has(packet.IsIPv6)
	if !answer.Answerable(frame, in) {
		return
	}
	ip := frame[in.L3 : uint32(in.L3)+in.IPLen]
	sender, receiver := packet.Addresses(frame, in)
	if f.isNetwork(seg, sender) || f.isNetwork(seg, receiver) {
		return
	}
	from, found := f.sourceFor(seg, sender)
	if !found || !f.state.routers.limits.errors.Take(port, now) {
		return
	}
	rest := uint32(0)
	switch {
	case e == answer.TooBig:
		rest = mtu // both versions have it at the end of the word; IPv4's is 16 bits
	case e == answer.NoProtocol && v6:
		rest = nextHeaderOffset(ip)
	}
	out := answer.To(frame, from, sender)
	out.Eth.Src = seg.routerMAC
	answer.SendError(w, &out, seg.toward(port), port, e, rest, ip)
}

// isNetwork reports whether an address is the broadcast address of a network that the
// router knows: what is from or to all hosts there is not answered.
func (f *Forwarder) isNetwork(seg *segment, a packet.Addr) bool {
	p, found := f.fibs[seg.router].lookup(a)
	return found && p.kind == pathBroadcast
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

// echoRequest returns the kind of an echo request; nil if a packet is none, or can't be answered.
func echoRequest(d *dataplane.Decision) *echoKind {
	in := d.Info
	echo := echoOf(in)
	if in.Proto != echo.proto || in.Has(packet.IsFragment|packet.ICMPError) || !in.Has(packet.HasPorts) ||
		d.Frame()[in.L4] != echo.request {
		return nil
	}
	return echo
}

// echo answers an echo request to one of the router's addresses. Options are
// not answered in kind: no one asks a gateway to record a route.
func (f *Forwarder) echo(d *dataplane.Decision, seg *segment, kind *echoKind) {
	in, meta, frame := d.Info, d.Meta(), d.Frame()
	from := in.Key.Src.Scope()
	switch {
	case in.Has(packet.BadIPChecksum):
		d.Drop(packet.InvalidIPChecksum)
		return
	case from != packet.ScopeGlobal && from != packet.ScopeLink:
		d.Drop(packet.InvalidSourceIP)
		return
	case !meta.CsumPartial && !meta.CsumValid && !packet.VerifyTransport(frame, int(in.L3), int(in.L4), int(in.IPLen), in.Proto):
		d.Drop(packet.InvalidHeader)
		return
	case !f.state.routers.limits.echoes.Take(d.In.Number, d.Now):
		d.Drop(packet.RateLimited)
		return
	}
	out := answer.To(frame, in.Key.Dst, in.Key.Src)
	out.Eth.Src = seg.routerMAC
	out.Proto, out.TOS = kind.proto, in.TOS // RFC 1122 section 3.2.2.6
	request := frame[in.L4 : uint32(in.L3)+in.IPLen]
	reply, message := out.Generate(d.W, d.In.Number, len(request))
	if reply != 0 {
		copy(message, request)
		m := packet.ICMP(message)
		m.SetType(kind.reply)
		m.SetCode(0)
		out.Send(d.W, seg.toward(d.In.Number), reply)
	}
	f.finish(d, reply != 0)
}
