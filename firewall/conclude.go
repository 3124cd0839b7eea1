package firewall

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Conclude counts a decision, whoever made it.
func (x concluder) Conclude(d *dataplane.Decision, id flowtable.ID, created bool) {
	s := x.f.state
	worker := &s.workers[d.W.ID()]
	l := &worker.look
	if !l.active {
		return
	}
	l.active = false
	c, size := &worker.counters, uint64(len(d.Frame()))
	if !created && d.Terms.Marks != [2]uint16{} {
		s.limits.leave(d.Terms.Marks, d.Info.Key.Src, d.Info.Key.Zone())
	}
	switch {
	case l.refusedBy != nil:
		c.one(l.refusedBy, size, d.Now)
		s.note(d, l, l.refusedAt, l.refusedBy, d.Dropped())
	case created:
		for _, m := range l.each() {
			c.begun(m.Rule.ID)
			c.hit(m.Rule.ID, d.Now)
		}
		s.noteAll(d, l)
	case d.Dropped() != packet.None:
		// No rule of ours has decided it; those that let it pass may want to know.
		s.noteAll(d, l)
	case id == 0:
		for _, m := range l.each() {
			c.one(m, size, d.Now)
		}
		s.noteAll(d, l)
	case l.known:
		c.move(l, d.W.Table().Entry(id))
	}
}

// each returns the rules that were asked and let the packet pass, each once.
func (l *look) each() []*classify.Match {
	egress, ingress := l.asked[atEgress], l.asked[atIngress]
	switch {
	case egress == nil && ingress == nil:
		return nil
	case egress == nil:
		return l.asked[atIngress:]
	case ingress == nil || ingress == egress:
		return l.asked[:atIngress]
	}
	return l.asked[:]
}

// one counts a packet that is of no session.
func (c *counters) one(m *classify.Match, size uint64, now int64) {
	c.packets(m.Rule.ID, 1, size)
	c.hit(m.Rule.ID, now)
}

// move credits the rules that had let a direction pass with what it has seen so far, and debits those
// that do so now: see counters.
func (c *counters) move(l *look, e *flowtable.Entry) {
	now := [2]uint32{}
	now[atEgress], now[atIngress] = e.Rules()
	if now == l.was {
		return
	}
	packets, bytes := e.Counters()
	c.account(l.was, packets, bytes)
	c.account(now, -packets, -bytes)
}

// account adds to both ends' rules, once if they are the same.
func (c *counters) account(rules [2]uint32, packets, bytes uint64) {
	c.packets(rules[atEgress], packets, bytes)
	if rules[atIngress] != rules[atEgress] {
		c.packets(rules[atIngress], packets, bytes)
	}
}
