package lb

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/reply"
	"github.com/sluice-net/sluice/flowtable"
)

// Conclude counts what has begun, and gives back what was taken for a session that is not made.
func (x concluder) Conclude(d *dataplane.Decision, _ flowtable.ID, created bool) {
	s := x.b.state
	c := &s.workers[d.W.ID()].choice
	if !c.active {
		return
	}
	if created {
		s.begun(d, c)
	} else {
		s.takeBack(d, c)
	}
	*c = choice{}
}

func (s *State) begun(d *dataplane.Decision, c *choice) {
	if c.server != nil {
		c.server.counts.total.Add(1)
	}
	if c.member != nil {
		c.member.Begun()
		if a := c.server.spec.Affinity; a != nil {
			s.affinity.Put(a, d.Info.Key.Src, c.front.spec.Scope, c.member.ID, d.Now)
		}
	}
	if c.rule != nil {
		s.rules.get(c.rule.ID).sessions.Add(1)
	}
	if c.source != nil && c.source != c.rule {
		s.rules.get(c.source.ID).sessions.Add(1)
	}
}

func (s *State) takeBack(d *dataplane.Decision, c *choice) {
	if c.member != nil {
		c.member.Leave()
	}
	if c.taken {
		c.server.counts.active.Add(-1)
	}
	if c.given {
		t := &d.Translated
		s.sources.Give(d.Binding.Source, &d.Info.Key, t.Src, t.SrcPort())
	}
}

// SessionEnded gives back what a session had, and tells its ends if it has ended for its member's sake; for
// flowtable.Config.Ended.
func (s *State) SessionEnded(w int, r *flowtable.Record) {
	b := &r.Binding
	if *b == (flowtable.Binding{}) {
		return
	}
	if c := s.servers.get(b.Service); b.Service != 0 && c != nil {
		c.ended(r)
	}
	if m := s.members.get(MemberID(b)); b.Service != 0 && m != nil {
		m.Ended(r.Packets, r.Bytes)
	}
	for _, id := range [2]uint32{b.Rule, b.Source} {
		if c := s.rules.get(id); id != 0 && c != nil {
			c.ended(r)
		}
	}
	if b.Member != 0 && r.Unanswered() {
		s.failed(b, r.End)
	}
	if b.Source != 0 {
		original, back := &r.Keys[flowtable.Original], &r.Keys[flowtable.Reply]
		s.sources.Give(b.Source, original, back.Dst, back.DstPort())
	}
	if r.Reason == flowtable.EndMember {
		s.resets.Add(w, r, reply.Both)
	}
}
