package firewall

import (
	"maps"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// note writes to the log what a rule has done, if it is logged.
func (s *State) note(d *dataplane.Decision, l *look, at *point, m *classify.Match, r packet.Reason) {
	s.log.Packet(d.W.ID(), m.Section, m.Rule, l.ports[at.index], at.direction, r, d.Info, d.Frame(), d.Now)
}

// noteAll does so for the rules that let the packet pass.
func (s *State) noteAll(d *dataplane.Decision, l *look) {
	for i, m := range l.asked {
		if m != nil {
			s.note(d, l, &points[i], m, d.Dropped())
		}
	}
}

// noteEnd writes to the log that a session has ended, for each end whose rule is logged.
func (s *State) noteEnd(w int, r *flowtable.Record) {
	rules := s.logged.Load()
	if rules == nil {
		return
	}
	for i, rule := range [2]uint32{atEgress: r.EgressRule[flowtable.Original], atIngress: r.IngressRule[flowtable.Original]} {
		if m, logged := (*rules)[rule]; logged {
			s.log.Ended(w, m.Section, m.Rule, s.endOf(r, i), points[i].direction, r)
		}
	}
}

// maxFormerlyLogged bounds the rules that are gone and whose sessions may still end.
const maxFormerlyLogged = 1 << 14

// keepLogged remembers the rules that are logged. Those of former policies stay, for
// sessions that have not been asked about since.
func (s *State) keepLogged(rules []classify.Match) {
	before := s.logged.Load()
	if len(rules) == 0 && before == nil {
		return
	}
	next := make(map[uint32]classify.Match, len(rules))
	if before != nil && len(*before) < maxFormerlyLogged {
		maps.Copy(next, *before)
	}
	for _, m := range rules {
		next[m.Rule.ID] = m
	}
	s.logged.Store(&next)
}
