package firewall

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Flags that permits of the firewall carry, of those that flowtable leaves to features. They say by which
// kind of section each end let the session through.
const (
	keepOut       uint32 = 1 << (8 + iota) // policy.Keep at the sender's port
	keepIn                                 // and at the receiver's
	resetOut                               // policy.Reset
	resetIn                                //
	statelessOut                           // the section has no state: replies are asked about
	statelessIn                            //
	loggedSession                          // the end of the session is to be noted

	flagsOut = keepOut | resetOut | statelessOut
	flagsIn  = keepIn | resetIn | statelessIn
	ownFlags = flagsOut | flagsIn | loggedSession
)

// look is what the deciders have found about the frame in hand.
type look struct {
	active bool // the frame is a matter for rules
	known  bool // it is of a session
	reply  bool // of its reply direction

	was   [2]uint32 // rules of the permit that the direction had: egress, ingress
	flags uint32    // of the session, so far

	key   classify.Key // of the packet, valid iff keyed
	keyed bool
	found *classify.Match // for key at the sender's port; nil if its rules were not asked

	ports     [2]uint16          // where rules were asked
	asked     [2]*classify.Match // that let it pass; nil if none was asked
	refusedBy *classify.Match
	refusedAt *point
}

// reset makes l that of another frame.
func (l *look) reset() {
	l.active, l.known, l.reply, l.keyed = false, false, false, false
	l.was, l.flags = [2]uint32{}, 0
	l.asked, l.found, l.refusedBy = [2]*classify.Match{}, nil, nil
}

const (
	atEgress = iota
	atIngress
)

// point is a place where rules are asked.
type point struct {
	index       int
	direction   policy.Direction
	keep, reset uint32
	stateless   uint32
}

var points = [2]point{
	atEgress:  {atEgress, policy.Out, keepOut, resetOut, statelessOut},
	atIngress: {atIngress, policy.In, keepIn, resetIn, statelessIn},
}

// Decide asks the rules of the sender's port.
func (x egressDecider) Decide(d *dataplane.Decision) {
	f := x.f
	l := &f.state.workers[d.W.ID()].look
	l.reset()
	if !subject(d.Info, d.Frame()) || d.Info.Has(packet.ICMPError) && d.Session != 0 {
		return // ICMP errors that belong to a session follow it
	}
	if d.Unfiltered {
		return
	}
	l.active = true
	if d.Session != 0 {
		f.resume(d, l)
	}
	if !l.reply {
		f.ask(d, l, &points[atEgress], d.In.Number)
	}
}

// Decide asks the rules of the receiver's port.
func (x ingressDecider) Decide(d *dataplane.Decision) {
	f := x.f
	l := &f.state.workers[d.W.ID()].look
	if !d.Forwarded() {
		return
	}
	port, _, flood := d.Out()
	if flood {
		return // receivers are asked one by one
	}
	if rule, r := f.judgeFrame(d.W, d.Info, d.Frame(), policy.In, port); r != packet.None {
		d.Permit.IngressRule = rule
		d.Drop(r)
		return
	}
	switch {
	case !l.active:
		return
	case l.reply:
		f.askReply(d, l, port)
		return
	case port != d.In.Number:
		f.ask(d, l, &points[atIngress], port)
	}
	if !d.Forwarded() {
		return
	}
	const both = statelessOut | statelessIn
	asked := uint32(0)
	for i := range l.asked {
		if l.asked[i] != nil {
			asked |= points[i].stateless
		}
	}
	if asked != 0 && l.flags&both == asked && !l.known {
		d.Uncached = true // nobody keeps state
	}
	d.Permit.Flags |= l.flags
	f.agree(d, port)
}

// subject reports whether a frame is a matter for rules about packets.
func subject(in *packet.Info, frame []byte) bool {
	if !in.Has(packet.IsIP) {
		return false
	}
	typ := uint8(0)
	if in.Proto == packet.ProtoICMPv6 && !in.Has(packet.IsLaterFragment) && int(in.L4) < len(frame) {
		typ = frame[in.L4]
	}
	return !Housekeeping(in.Proto, typ)
}

// resume takes over what is known of the session that a frame belongs to.
func (f *Firewall) resume(d *dataplane.Decision, l *look) {
	own := d.W.Table().Entry(d.Session)
	original := d.W.Table().Entry(d.Session &^ 1)
	l.known, l.reply = true, d.Session.Dir() == flowtable.Reply
	l.was[atEgress], l.was[atIngress] = own.Rules()
	l.flags = original.Flags() & ownFlags
}

// ask asks the rules of a port about a packet of the original direction, and ends the decision if they do
// not let it pass.
func (f *Firewall) ask(d *dataplane.Decision, l *look, at *point, port uint16) {
	l.ports[at.index] = port
	if !f.Filters(port) {
		return
	}
	if l.known && l.flags&at.keep != 0 {
		f.permit(d, at, l.was[at.index])
		return
	}
	if f.blank {
		f.apply(d, l, at, &f.ByDefault)
		return
	}
	if at.index == atEgress || !l.keyed {
		// Whom it is for is known by now: the sources of connections are translated after this, and of no concern.
		to := target(d)
		l.key, l.keyed = f.keyOfPacket(d.Info, d.Frame(), &to), true
	}
	if at.index == atIngress && l.found != nil && !f.directed && f.IP.Alike(l.ports[atEgress], port) {
		f.apply(d, l, at, l.found) // no rule tells the two ends apart
		return
	}
	l.key.Port, l.key.Direction = port, at.direction
	l.found, _ = f.Find(&l.key)
	f.apply(d, l, at, l.found)
}

// apply does what a rule says.
func (f *Firewall) apply(d *dataplane.Decision, l *look, at *point, m *classify.Match) {
	if m.Rule.Action != policy.Allow {
		f.refuse(d, l, at, m)
		return
	}
	if m.Rule.PerRule|m.Rule.PerSource != 0 && !l.known && !f.admitted(d, l, at, m) {
		return
	}
	l.asked[at.index] = m
	l.flags &^= at.keep | at.reset | at.stateless
	if m.Section.Stateless {
		l.flags |= at.stateless
	} else if m.Section.TCPStrict {
		d.Terms.Strict = true
	}
	if m.Rule.Logged {
		l.flags |= loggedSession
	}
	switch m.Section.Established {
	case policy.Keep:
		l.flags |= at.keep
	case policy.Reset:
		l.flags |= at.reset
	}
	f.permit(d, at, m.Rule.ID)
}

// admitted takes a place for a session that is to begin by a rule with limits. If there is none left, it
// ends the decision.
func (f *Firewall) admitted(d *dataplane.Decision, l *look, at *point, m *classify.Match) bool {
	slot := f.slot(m.Rule.ID)
	if slot == d.Terms.Marks[atEgress] {
		return true // the same rule at both ends
	}
	if !f.state.limits.take(slot, d.Info.Key.Src, d.Info.Key.Zone()) {
		l.refusedBy, l.refusedAt = m, at
		f.permit(d, at, m.Rule.ID)
		d.Drop(packet.RuleLimit)
		return false
	}
	d.Terms.Marks[at.index] = slot
	return true
}

// permit notes the rule that lets the packet pass, or does not.
func (f *Firewall) permit(d *dataplane.Decision, at *point, rule uint32) {
	if at.index == atEgress {
		d.Permit.EgressRule = rule
	} else {
		d.Permit.IngressRule = rule
	}
}

// refuse drops the packet, tells its sender if the rule says so, and ends the session that it is of.
func (f *Firewall) refuse(d *dataplane.Decision, l *look, at *point, m *classify.Match) {
	l.refusedBy, l.refusedAt = m, at
	f.permit(d, at, m.Rule.ID)
	if l.known {
		// Its ends are told once it is over, if its section says so: see SessionEnded.
		d.W.Flows().End(d.Session, flowtable.EndPolicy, d.Now)
	}
	if m.Rule.Action == policy.Reject {
		f.state.rejector.Reject(d, answer.AdminProhibited)
		d.Drop(packet.PolicyRejected)
		return
	}
	d.Drop(packet.PolicyDenied)
}

// target is whom rules take a packet to be for.
func target(d *dataplane.Decision) packet.Key {
	to := d.Translated
	if d.AsReceived {
		to = d.Info.Key
	}
	if d.Via != (packet.Addr{}) {
		to.Dst = d.Via
	}
	return to
}

// keyOfPacket is what rules look at in a packet whose destination is that of to.
func (f *Firewall) keyOfPacket(in *packet.Info, frame []byte, to *packet.Key) classify.Key {
	src, dst, ports := in.Key.Src, to.Dst, uint32(in.Key.SrcPort())|uint32(to.DstPort())<<16
	if in.Proto == packet.ProtoICMP || in.Proto == packet.ProtoICMPv6 {
		ports &= 0xffff0000
		if !in.Has(packet.HasPorts) {
			src, dst = packet.Addresses(frame, in)
			ports = messageType(frame, in)
		}
	}
	return f.keyOf(f.scopes.At(in.Key.Zone()), src, dst, in.Proto, ports)
}

// messageType returns type << 8 | code of an ICMP message where the destination port stands; a later
// fragment has none.
func messageType(frame []byte, in *packet.Info) uint32 {
	if in.Has(packet.IsLaterFragment) || int(in.L4)+2 > len(frame) {
		return 0xffff << 16
	}
	return uint32(frame[in.L4])<<24 | uint32(frame[in.L4+1])<<16
}

// keyOf makes a key; ports are destination << 16 | source.
func (f *Firewall) keyOf(scope uint32, src, dst packet.Addr, proto uint8, ports uint32) classify.Key {
	return classify.Key{
		Src: f.IP.Class(scope, src), Dst: f.IP.Class(scope, dst),
		Protocol: proto, V6: !src.Is4(), SrcPort: uint16(ports), DstPort: uint16(ports >> 16),
	}
}

// agree settles the terms of a session that is to begin, and the timers of one that goes on after a change: numbers of
// profiles are those of the policy in force.
func (f *Firewall) agree(d *dataplane.Decision, out uint16) {
	for i, port := range [2]uint16{d.In.Number, out} {
		if int(port) >= len(f.terms) {
			continue
		}
		t := &f.terms[port]
		d.Terms.Caps[i] = t.Caps
		if d.Terms.Timers == 0 {
			d.Terms.Timers = t.Timers
		}
	}
	if d.Session != 0 {
		d.W.Flows().UseTimers(d.Session, d.Terms.Timers)
	}
}
