package lb

import (
	"math"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// passive is what connections tell of members (service.Passive), and what is to follow.
//
// Workers note who is out. That pools choose without him, and later with him again, takes tables to be made, so
// whoever has called Run does it; or Tick, where nobody has: in a replay, whose workers wait for nothing.
type passive struct {
	wake       chan struct{} // somebody is out, or due to come back
	background atomic.Bool   // Run is at work
	now        atomic.Int64  // of the workers' clock, when it was woken
	due        atomic.Int64  // when the next of those who are out comes back
}

// Refused takes note of a connection that its member has refused; for flowtable.Config.
func (s *State) Refused(_ int, b flowtable.Binding, now int64) { s.failed(&b, now) }

// Answered takes note of a connection that its member has taken; for flowtable.Config.
func (s *State) Answered(_ int, b flowtable.Binding, _ int64) {
	if m, p := s.watched(&b); p != nil {
		m.Succeeded()
	}
}

// watched returns the member of a session, and what its connections tell; nil if they tell nothing.
func (s *State) watched(b *flowtable.Binding) (*member.Member, *service.Passive) {
	current := s.current.Load()
	if current == nil || len(current.passive) == 0 {
		return nil, nil
	}
	p := current.passive[MemberID(b)]
	m := s.members.get(MemberID(b))
	if m == nil {
		return nil, nil
	}
	return m, p
}

// failed takes note of a connection that has failed.
func (s *State) failed(b *flowtable.Binding, now int64) {
	if m, p := s.watched(b); p != nil && m.Failed(p, now) {
		s.passive.due.Store(now) // at the next tick
	}
}

// tick has done what is due.
func (x *passive) tick(s *State, w *dataplane.Worker, now int64) {
	if now < x.due.Load() || w.ID() != 0 {
		return
	}
	x.now.Store(now)
	if !x.background.Load() {
		s.settle(now)
		return
	}
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Run does what follows from connections that fail, until stop is closed.
func (s *State) Run(stop <-chan struct{}) {
	s.passive.background.Store(true)
	defer s.passive.background.Store(false)
	for {
		select {
		case <-stop:
			return
		case <-s.passive.wake:
			s.settle(s.passive.now.Load())
		}
	}
}

// settle has pools choose without those who are out, and with those who are back.
func (s *State) settle(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// From here on, who goes out is for the next time.
	s.passive.due.Store(math.MaxInt64)
	current := s.current.Load()
	if current == nil {
		return
	}
	due, changed, lost := int64(math.MaxInt64), map[*poolAtWork]bool{}, false
	for id := range current.passive {
		h := s.holders[id]
		if h == nil {
			continue
		}
		until := h.FailingUntil()
		if until != 0 && h.Recover(now) {
			until = 0
		}
		if out := until != 0; out != h.out {
			h.out = out
			lost = lost || out
			for _, p := range h.pools {
				changed[p] = true
			}
		}
		if until != 0 {
			due = min(due, until)
		}
	}
	for p := range changed {
		p.choice.Refresh()
	}
	if lost {
		s.sweep.Begin()
	}
	for {
		old := s.passive.due.Load()
		if old <= due || s.passive.due.CompareAndSwap(old, due) {
			return
		}
	}
}
