package pick

import (
	"fmt"
	"slices"

	"github.com/sluice-net/sluice/lb/member"
)

// State is what a pool does with its members.
type State struct {
	Members    []Standing // as in service.Pool
	Eligible   int        // take connections
	Backups    bool       // so do backup members
	LastResort bool       // so do draining members, for there is nobody else
}

// Standing is what a pool does with a member.
type Standing struct {
	Member   *member.Member
	Eligible bool   // takes connections, if it isn't full
	Why      string // why not, or why less than others: "down", "slow start 40 %", "full"…; empty otherwise
}

var standings = [...]string{spare: "backup, not needed", draining: "draining", unready: "not ready", disabled: "disabled", down: "down"}

// State returns what the pool does with its members at a time, ns.
func (p *Pool) State(now int64) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.selection.Load()
	if s == nil {
		return State{}
	}
	if s.unsettled.Load() {
		s = s.imagine(now)
	}
	state := State{Members: make([]Standing, len(p.members)), Eligible: len(s.entries), Backups: s.backups, LastResort: s.lastResort}
	entries := make(map[uint32]*entry, len(s.entries))
	for i := range s.entries {
		entries[s.entries[i].m.ID] = &s.entries[i]
	}
	for i, m := range p.members {
		e, eligible := entries[m.ID]
		at := Standing{Member: m, Eligible: eligible}
		switch {
		case !eligible:
			at.Why = standings[standingOf(m)]
		case !e.room():
			at.Why = "full"
		case s.starting(e, now):
			at.Why = fmt.Sprintf("slow start %d %%", (s.share(e, now)*100+whole/2)/whole)
		}
		state.Members[i] = at
	}
	return state
}

// imagine returns what s is like if slow starts begin at a time: to look is not to begin.
func (s *selection) imagine(now int64) *selection {
	c := &selection{entries: slices.Clone(s.entries), backups: s.backups, lastResort: s.lastResort, slowNs: s.slowNs}
	for i := range c.entries {
		if e := &c.entries[i]; e.ramp != nil {
			start := e.ramp.start.Load()
			e.ramp = &ramp{}
			e.ramp.start.Store(start)
		}
	}
	c.settle(now)
	return c
}
