package pick

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-net/sluice/lb/maglev"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// selection is the members that take connections now, ready to be chosen from. It is
// immutable but for the position of turns and the beginning of slow starts.
type selection struct {
	algorithm service.Algorithm
	entries   []entry
	ids       []uint32     // of all members, sorted
	turns     *turns       // of all algorithms but hashing ones
	table     maglev.Table // of hashing algorithms

	backups, lastResort bool // these take part

	slowNs     int64        // how long slow start takes
	unsettled  atomic.Bool  // slow starts may begin with the next connection
	steadyFrom atomic.Int64 // ns: somebody is at full speed; valid when not unsettled
}

// entry is a member that takes connections.
type entry struct {
	m      *member.Member
	ramp   *ramp  // nil: no slow start
	limit  uint32 // 0: none
	weight uint16
	why    member.Why
}

// take takes a place if there is one, and doesn't count it against the member if not.
func (e *entry) take() bool { return e.room() && e.m.Take(e.limit) }

func (e *entry) room() bool { return e.limit == 0 || e.m.Active() < int64(e.limit) }

// standing is what becomes of a member.
type standing uint8

const (
	takes    standing = iota // connections
	spare                    // is a backup that could
	draining                 // serves its clients
	unready                  // likewise, and is nobody's last resort
	disabled
	down
)

// able reports whether a member could take connections.
func (s standing) able() bool { return s == takes || s == spare }

func standingOf(m *member.Member) standing {
	spec := m.Spec()
	health, _ := m.Health()
	switch {
	case spec.Admin == service.Disabled:
		return disabled
	case !health.Serves():
		return down
	case spec.Admin == service.Draining && spec.NotReady:
		return unready
	case spec.Admin == service.Draining:
		return draining
	case spec.Backup:
		return spare
	}
	return takes
}

// rebuild makes a new selection.
func (p *Pool) rebuild() {
	old := p.selection.Load()
	s := &selection{algorithm: p.spec.Algorithm, slowNs: p.spec.SlowStartNs}
	s.ids = make([]uint32, len(p.members))
	var count [down + 1]int
	for i, m := range p.members {
		s.ids[i] = m.ID
		count[standingOf(m)]++
	}
	slices.Sort(s.ids)
	s.backups = count[spare] > 0 && count[takes] < max(1, p.spec.MinActive)
	s.lastResort = p.spec.LastResort && count[takes] == 0 && count[spare] == 0 && count[draining] > 0

	p.noteRamps()
	algorithm := member.Algorithm(p.spec.Algorithm)
	for _, m := range slices.Backward(p.members) {
		why := algorithm
		switch at := standingOf(m); {
		case at == spare && s.backups:
			why = member.ByBackup
		case at == draining && s.lastResort:
			why = member.ByLastResort
		case at != takes:
			continue
		}
		spec := m.Spec()
		e := entry{m: m, ramp: p.ramps[m.ID], limit: spec.MaxConnections, weight: 1, why: why}
		if e.limit == 0 {
			e.limit = p.spec.MaxConnections
		}
		if weighted(s.algorithm) {
			e.weight = max(1, spec.Weight)
		}
		s.entries = append(s.entries, e)
	}
	if len(s.entries) >= maglev.MaxBackends {
		s.entries = s.entries[:maglev.MaxBackends]
	}
	s.prepare(old, p.order(old), p.tableSize())
	s.unsettled.Store(s.slowNs > 0)
	p.selection.Store(s)
}

// prepare makes turns or a table for the entries, or takes over those of before if they are still right.
func (s *selection) prepare(old *selection, ring []uint32, size int) {
	same := old != nil && old.algorithm == s.algorithm && slices.EqualFunc(old.entries, s.entries, func(a, b entry) bool {
		return a.m == b.m && a.weight == b.weight
	})
	switch {
	case len(s.entries) == 0:
		if old != nil {
			s.turns = old.turns // of nobody, but the position
		}
	case hashing(s.algorithm):
		if same && len(old.table) == size {
			s.table = old.table
			return
		}
		backends := make([]maglev.Backend, len(s.entries))
		for i := range s.entries {
			spec := s.entries[i].m.Spec()
			backends[i] = maglev.Backend{Address: spec.Address, Port: spec.Port, Weight: s.entries[i].weight}
		}
		s.table = maglev.New(backends, size)
	case same:
		s.turns = old.turns
	default:
		s.turns = newTurns(s.entries)
		if old != nil && old.turns != nil {
			s.turns.follow(old.turns, ring)
		}
	}
}

// order returns the IDs of members in the order of turns. If who had the last turn has gone, it is as it was
// before: the place in it would be lost.
func (p *Pool) order(old *selection) []uint32 {
	ring := make([]uint32, 0, len(p.members))
	for _, m := range slices.Backward(p.members) {
		ring = append(ring, m.ID)
	}
	if old == nil || old.turns == nil || slices.Contains(ring, old.turns.previous()) || old.turns.previous() == 0 {
		p.ring = ring
	}
	return p.ring
}

// tableSize is for all members, not only for those that are up: a table of another size is another table. With
// weights, the lightest has as many slots as a member of a pool without, within bounds.
func (p *Pool) tableSize() int {
	if p.spec.TableSize > 0 {
		return p.spec.TableSize
	}
	sum, lightest := 0, 1<<16
	for _, m := range p.members {
		weight := int(max(1, m.Spec().Weight))
		sum, lightest = sum+weight, min(lightest, weight)
	}
	return maglev.Size(min(sum/lightest, 8*len(p.members)))
}

func weighted(a service.Algorithm) bool {
	return a == service.WeightedRoundRobin || a == service.WeightedLeastConnection || hashing(a)
}

func hashing(a service.Algorithm) bool {
	return a == service.SourceHash || a == service.TupleHash || a == service.Maglev
}
