package firewall

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// askReply decides about a packet of a session's reply direction, which leaves by port out: where the
// original direction's packets come in. Where state is kept, it may pass if the
// original direction may. If that has not been asked since the policy changed, it is asked now.
func (f *Firewall) askReply(d *dataplane.Decision, l *look, out uint16) {
	original := d.W.Table().Entry(d.Session.Peer())
	// The sender of the session is where replies go out, its receiver where they come in.
	ends := [2]uint16{atEgress: out, atIngress: d.In.Number}
	l.ports = ends
	rules := [2]uint32{}
	rules[atEgress], rules[atIngress] = original.Rules()
	current := original.Epoch() == d.W.Snapshot().Epoch
	for i := range points {
		at := &points[i]
		if !f.Filters(ends[i]) || out == d.In.Number {
			continue
		}
		if l.flags&at.stateless != 0 {
			// A packet like any other, that goes the other way.
			f.askStateless(d, l, at, ends[i])
		} else if current || l.flags&at.keep != 0 {
			f.permit(d, at, rules[i])
		} else {
			k := f.original(d)
			k.Port, k.Direction = ends[i], at.direction
			m, _ := f.Find(&k)
			f.apply(d, l, at, m)
		}
		if !d.Forwarded() {
			return
		}
	}
	d.Permit.Flags |= l.flags
}

// askStateless asks one end's rules about a reply: what the receiver sends goes out of its port.
func (f *Firewall) askStateless(d *dataplane.Decision, l *look, at *point, port uint16) {
	to := target(d)
	k := f.keyOfPacket(d.Info, d.Frame(), &to)
	k.Port, k.Direction = port, at.direction^(policy.In|policy.Out)
	m, _ := f.Find(&k)
	if m.Rule.Action != policy.Allow {
		// The session is not the reply's to end: its original direction may go on.
		l.known = false
		f.refuse(d, l, at, m)
		return
	}
	f.permit(d, at, m.Rule.ID)
}

// original is what rules look at in the original direction of the session that a reply is of.
func (f *Firewall) original(d *dataplane.Decision) classify.Key {
	table := d.W.Table()
	o, r := &table.Entry(d.Session&^1).Key, table.Entry(d.Session|1).Key
	if d.AsReceived {
		r = o.Reverse()
	}
	if d.Via != (packet.Addr{}) {
		r.Src = d.Via
	}
	return f.sessionKey(o, &r)
}

// sessionKey is what rules look at in a session with these keys. The
// source is before translation, the destination after it.
func (f *Firewall) sessionKey(original, reply *packet.Key) classify.Key {
	proto, ports := original.Proto(), uint32(original.SrcPort())|uint32(reply.SrcPort())<<16
	if proto == packet.ProtoICMP || proto == packet.ProtoICMPv6 {
		ports &= 0xffff0000
	}
	return f.keyOf(f.scopes.At(original.Zone()), original.Src, reply.Src, proto, ports)
}

// SessionEnded takes over what a session has counted, gives back its places, and notes its end where
// its rules are logged; for flowtable.Config.Ended.
func (s *State) SessionEnded(w int, r *flowtable.Record) {
	c := &s.workers[w].counters
	for d := range r.Packets {
		egress, ingress := r.EgressRule[d], r.IngressRule[d]
		c.session(egress, r.Packets[d], r.Bytes[d], r.Last)
		if ingress != egress {
			c.session(ingress, r.Packets[d], r.Bytes[d], r.Last)
		}
	}
	if r.Terms.Marks != [2]uint16{} {
		original := &r.Keys[flowtable.Original]
		s.limits.leave(r.Terms.Marks, original.Src, original.Zone())
	}
	s.tell(w, r)
	if r.Flags[flowtable.Original]&loggedSession != 0 {
		s.noteEnd(w, r)
	}
}

// session adds what an ended session has counted for a rule.
func (c *counters) session(rule uint32, packets, bytes uint64, last int64) {
	if rule == 0 {
		return
	}
	c.packets(rule, packets, bytes)
	if n := c.of(rule); n != nil && n.LastHit < last {
		c.hit(rule, last)
	}
}
