package pick

import (
	"math"
	"sync/atomic"
)

// ramp is a member's slow start in a pool.
type ramp struct {
	start atomic.Int64 // ns; notYet: with the pool's next connection
	was   standing     // when it was last looked at; of whoever rebuilds
	kept  bool         // likewise: it is still a member
}

const (
	notYet = math.MinInt64
	whole  = 1 << 16 // the share of a member that isn't in slow start
)

// noteRamps begins the slow start of members that can take connections and could not before, or
// were not there.
//
// It begins when the member came up. If nobody watches it, or if its administrator has just
// enabled it, that was now: with the pool's next connection.
func (p *Pool) noteRamps() {
	if p.spec.SlowStartNs <= 0 {
		p.ramps = nil
		return
	}
	if p.ramps == nil {
		p.ramps = make(map[uint32]*ramp, len(p.members))
	}
	for _, m := range p.members {
		r := p.ramps[m.ID]
		if r == nil {
			r = &ramp{was: down}
		}
		now := standingOf(m)
		if now.able() && !r.was.able() {
			_, since := m.Health()
			byAdmin := r.was != down
			r = &ramp{} // not that which a selection before refers to
			r.start.Store(since)
			if since == 0 || byAdmin {
				r.start.Store(notYet)
			}
		}
		r.was, r.kept = now, true
		p.ramps[m.ID] = r
	}
	for id, r := range p.ramps {
		if !r.kept {
			delete(p.ramps, id)
		}
		r.kept = false
	}
}

// settle begins the slow starts that are due, and finds out when the first entry is at
// full speed. Several workers at once come to the same result.
func (s *selection) settle(now int64) {
	steadyFrom := int64(math.MaxInt64)
	for i := range s.entries {
		end := int64(math.MinInt64)
		if r := s.entries[i].ramp; r != nil {
			r.start.CompareAndSwap(notYet, now)
			end = r.start.Load() + s.slowNs
		}
		steadyFrom = min(steadyFrom, end)
	}
	s.steadyFrom.Store(steadyFrom)
	s.unsettled.Store(false)
}

// starting reports whether slow start holds e back. As long as nobody is at full speed it
// holds back nobody: members that start together share what there is.
func (s *selection) starting(e *entry, now int64) bool {
	return e.ramp != nil && now >= s.steadyFrom.Load() && now-e.ramp.start.Load() < s.slowNs
}

// share returns how much of its share an entry that is starting gets, of whole.
func (s *selection) share(e *entry, now int64) uint64 {
	elapsed := max(0, now-e.ramp.start.Load())
	return uint64(float64(elapsed) / float64(s.slowNs) * whole)
}

// heldBack reports whether slow start takes e's turn from it. It does so by chance, so
// that nothing has to be made anew while a member starts.
func (p *Pool) heldBack(s *selection, e *entry, now int64) bool {
	return s.starting(e, now) && p.roll()>>48 >= s.share(e, now)
}
