package firewall

import (
	"maps"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/dataplane/reply"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
)

// StateConfig sizes a State.
type StateConfig struct {
	Workers int    // of the engine
	Seed    uint64 // of hashes

	// Errors bounds what the firewall sends in answer to packets, together with whoever else uses it.
	Errors *answer.Limit

	Hops *dataplane.HopTable // of the engine

	Log LogConfig // Workers is filled in
}

// State is what outlives a policy: counters, limits, the log, and what each worker is about. Compile and
// Adopt are for one goroutine at a time; workers use the rest.
type State struct {
	config    StateConfig
	workers   []workerState
	log       *Log
	rejector  *reply.Rejector
	resets    *reply.Resets
	sweep     dataplane.Sweep // for sessions that a section with policy.Reset has let through and that may not pass any more
	resetting bool            // some section has, or had, policy.Reset

	ip, ethernet *classify.Compiler
	limits       limits
	logged       atomic.Pointer[map[uint32]classify.Match] // rules whose sessions' ends are noted, by ID
	summaries    map[*policy.Section]*summary              // of the last policy compiled
	pages        map[int]bool                              // of counters of the policy in force

	current atomic.Pointer[Firewall] // last one adopted
}

// workerState belongs to a worker, by its number.
type workerState struct {
	_ [64]byte

	look     look
	counters counters

	_ [64]byte
}

// NewState returns a State in which nothing has happened.
func NewState(c StateConfig) *State {
	c.Log.Workers = c.Workers
	s := &State{
		config: c, workers: make([]workerState, c.Workers),
		log: NewLog(c.Log), rejector: reply.NewRejector(c.Errors), resets: reply.NewResets(c.Workers),
		ip: classify.NewCompiler(), ethernet: classify.NewCompiler(),
	}
	s.sweep.Match, s.sweep.Why = s.unwanted, flowtable.EndPolicy
	return s
}

// Log returns the records of what logged rules have done.
func (s *State) Log() *Log { return s.log }

// Rejections returns how rejections were answered.
func (s *State) Rejections() reply.RejectStats { return s.rejector.Stats() }

// Resets returns how ends of sessions were told.
func (s *State) Resets() reply.ResetStats { return s.resets.Stats() }

// summary is what preparing for a section's rules takes.
type summary struct {
	pages    map[int]bool // of counters
	limited  []*policy.Rule
	logged   []classify.Match
	directed bool // some rules are for one direction
}

// prepare makes room for what a Firewall's rules count. Sections that are the same are not looked at again.
func (s *State) prepare(f *Firewall) (err error) {
	next := make(map[*policy.Section]*summary, len(f.Policy.Sections))
	all := summary{pages: map[int]bool{
		int(policy.DefaultRuleID >> countBits): true, // that of EthernetDefaultRuleID, too
	}}
	for _, section := range f.Policy.Sections {
		one := s.summaries[section]
		if one == nil {
			one = summarize(section)
		}
		next[section] = one
		maps.Copy(all.pages, one.pages)
		f.directed = f.directed || one.directed
		s.resetting = s.resetting || section.Established == policy.Reset
		all.limited = append(all.limited, one.limited...)
		all.logged = append(all.logged, one.logged...)
	}
	s.summaries = next
	for i := range s.workers {
		s.workers[i].counters.makeRoom(all.pages, s.pages)
	}
	s.keepLogged(all.logged)
	f.pages = all.pages
	f.limited, err = s.limits.prepare(all.limited, s.config.Seed)
	return err
}

func summarize(section *policy.Section) *summary {
	one := &summary{pages: map[int]bool{}}
	for i := range section.Rules {
		r := &section.Rules[i]
		one.pages[int(r.ID>>countBits)] = true
		one.directed = one.directed || r.Directions != policy.In|policy.Out
		if r.PerRule|r.PerSource != 0 {
			one.limited = append(one.limited, r)
		}
		if r.Logged {
			one.logged = append(one.logged, classify.Match{Section: section, Rule: r})
		}
	}
	return one
}

// Tick does what time demands: it is for the end of each of a worker's turns.
func (s *State) Tick(w *dataplane.Worker, now int64) {
	s.log.Tick(w.ID(), now)
	s.sweep.Turn(w, now)
	s.resets.Tick(w, now)
}
