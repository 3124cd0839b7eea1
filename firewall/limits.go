package firewall

import (
	"fmt"
	"sync/atomic"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// limits bound the sessions that rules let begin. A session has a place with each rule that let it begin, at
// either end, and keeps it for life, whatever rule lets it go on after a change: its Terms say where.
type limits struct {
	slots  atomic.Pointer[[]*limit] // by number; 0 is nil. Those of rules that are gone stay while there are sessions
	byRule map[uint32]uint16        // slots of the rules of the policy in force
}

// limit is one rule's.
type limit struct {
	rule      uint32
	perRule   int
	perSource int
	live      atomic.Int64
	sources   *flowtable.SourceCounts // nil: no limit
}

const (
	maxLimits = 1<<16 - 1

	// maxSources is how many sources at a time a rule can tell apart that has a limit for each,
	// and none for all together. More are refused.
	maxSources = 1 << 16
)

// slot returns a rule's, 0 if it has none.
func (f *Firewall) slot(rule uint32) uint16 { return f.limited[rule] }

// take takes a place for a session that is to begin; false if there is none left.
func (s *limits) take(slot uint16, source packet.Addr, zone packet.Zone) bool {
	n := (*s.slots.Load())[slot]
	if live := n.live.Add(1); n.perRule != 0 && live > int64(n.perRule) {
		n.live.Add(-1)
		return false
	}
	if n.sources != nil && !n.sources.Add(source, zone) {
		n.live.Add(-1)
		return false
	}
	return true
}

// leave gives back the places that a session's marks say it has.
func (s *limits) leave(marks [2]uint16, source packet.Addr, zone packet.Zone) {
	for _, slot := range marks {
		if slot == 0 {
			continue
		}
		n := (*s.slots.Load())[slot]
		n.live.Add(-1)
		if n.sources != nil {
			n.sources.Remove(source, zone)
		}
	}
}

// prepare makes the limits of a policy's rules, and returns their slots by rule. Those of rules that have the same limit as
// before live on.
func (s *limits) prepare(rules []*policy.Rule, seed uint64) (map[uint32]uint16, error) {
	if len(rules) == 0 && len(s.byRule) == 0 {
		return nil, nil
	}
	slots := []*limit{nil}
	if before := s.slots.Load(); before != nil {
		slots = append(slots[:0], *before...)
	}
	next := make(map[uint32]uint16, len(rules))
	inUse := make([]bool, len(slots))
	var fresh []*policy.Rule
	for _, r := range rules {
		slot := s.byRule[r.ID]
		if slot != 0 && slots[slot].perRule == r.PerRule && slots[slot].perSource == r.PerSource {
			next[r.ID], inUse[slot] = slot, true
			continue
		}
		fresh = append(fresh, r)
	}
	// A slot of a rule that is gone is free once its last session has ended; but those of the policy in
	// force are left alone, for its rules may take places until the next is.
	for _, slot := range s.byRule {
		inUse[slot] = true
	}
	at := 1
	for _, r := range fresh {
		for at < len(slots) && (inUse[at] || slots[at].live.Load() != 0) {
			at++
		}
		if at > maxLimits {
			return nil, fmt.Errorf("more than %d rules have sessionLimits; remove some", maxLimits)
		}
		n := &limit{rule: r.ID, perRule: r.PerRule, perSource: r.PerSource}
		if r.PerSource != 0 {
			sources := maxSources
			if r.PerRule != 0 {
				sources = min(r.PerRule, maxSources)
			}
			n.sources = flowtable.NewSourceCounts(sources, r.PerSource, seed+uint64(r.ID))
		}
		if at == len(slots) {
			slots = append(slots, n)
		} else {
			slots[at] = n
		}
		next[r.ID] = uint16(at)
		at++
	}
	s.slots.Store(&slots)
	return next, nil
}
