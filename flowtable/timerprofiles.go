package flowtable

import (
	"errors"
	"fmt"
	"math"
)

// MaxTimerProfiles is how many timer profiles there may be.
const MaxTimerProfiles = 256

// tracker is what tracking knows of timers: immutable, shared by all workers,
// replaced whole by SetTimers.
type tracker struct {
	profiles [][numStates]int64 // ns; the first is the node's
	shortest int64              // ns, of all
}

// newTracker returns a tracker with valid timers.
func newTracker(profiles []Timers) *tracker {
	t := &tracker{profiles: make([][numStates]int64, len(profiles)), shortest: math.MaxInt64}
	for i := range profiles {
		t.profiles[i] = profiles[i].byState()
		for _, ns := range t.profiles[i] {
			t.shortest = min(t.shortest, ns)
		}
	}
	return t
}

// of returns a profile's timeouts by state, in ns; the node's if there is no such
// profile.
func (t *tracker) of(profile uint8) *[numStates]int64 {
	if int(profile) < len(t.profiles) {
		return &t.profiles[profile]
	}
	return &t.profiles[0]
}

// SetTimers puts timer profiles in force, for live sessions too, while workers run.
// The first is the node's; sessions name the others by index (Terms.Timers). It
// returns all faults at once, and then has changed nothing.
//
// If a timeout has become shorter, it looks at every live session (0.1 us each),
// on the goroutine that calls it.
func (t *Table) SetTimers(profiles []Timers) error {
	if n := len(profiles); n < 1 || n > MaxTimerProfiles {
		return fmt.Errorf("timer profiles: %d is not in 1 to %d", n, MaxTimerProfiles)
	}
	var faults []error
	for i := range profiles {
		for _, fault := range profiles[i].Validate() {
			faults = append(faults, fmt.Errorf("timer profile %d: %w", i, fault))
		}
	}
	if faults != nil {
		return errors.Join(faults...)
	}
	// Whoever computes a deadline loads the tracker, stores the deadline, and loads the
	// tracker again (recheck): either it sees the new one there, or its deadline
	// was stored before this and is seen below.
	next := newTracker(profiles)
	before := t.tracker.Swap(next)
	if next.shortens(before) {
		for n := uint32(1); n <= t.pool.fresh.Load(); n++ {
			t.hasten(n)
		}
	}
	return nil
}

// shortens reports whether a session may end earlier than before.
func (t *tracker) shortens(before *tracker) bool {
	for i := range uint8(max(len(t.profiles), len(before.profiles)) - 1) {
		if t.anyShorter(before, i) {
			return true
		}
	}
	return t.anyShorter(before, MaxTimerProfiles-1)
}

// anyShorter reports whether a state of a profile has a shorter timeout than before.
func (t *tracker) anyShorter(before *tracker, profile uint8) bool {
	now, was := t.of(profile), before.of(profile)
	for st := range now {
		if now[st] < was[st] {
			return true
		}
	}
	return false
}

// recheck makes good a deadline of session n that was computed by timers, if others
// are in force by now.
func (t *Table) recheck(n uint32, timers *tracker) {
	if t.tracker.Load() != timers {
		t.hasten(n)
	}
}

// hasten makes the deadline of a session not later than its last packet and its state
// ask for. If the number is another session's meanwhile, that one is judged early,
// once.
func (t *Table) hasten(n uint32) {
	s := t.session(n)
	t.lowerDeadline(n, t.tickOf(t.lastSeen(n)+s.timeout(t.tracker.Load())))
}
