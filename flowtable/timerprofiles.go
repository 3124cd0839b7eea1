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
	next := newTracker(profiles)
	if before := t.tracker.Swap(next); next.shortens(before) {
		t.hastenAll()
	}
	return nil
}

// hastenAll is hasten for all that live. Whoever computes a deadline loads the tracker,
// stores the deadline of a session that lives, and loads the tracker again
// (recheck): either it sees the new one there, or what it stored is seen here.
func (t *Table) hastenAll() {
	reader := t.Reader()
	defer reader.Close()
	for n := uint32(1); n <= t.pool.fresh.Load(); n++ {
		if n%dumpChunk == 0 {
			reader.Quiesce()
		}
		if t.session(n).control().phase() == phaseLive {
			t.hasten(n)
		}
	}
}

// shortens reports whether a session may end earlier than before.
func (t *tracker) shortens(before *tracker) bool {
	for i := range max(len(t.profiles), len(before.profiles)) {
		now, was := t.of(uint8(i)), before.of(uint8(i))
		for st := range now {
			if now[st] < was[st] {
				return true
			}
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

// hasten makes the deadline of a session, whose ID the caller may hold, not later than
// its last packet and its state ask for.
func (t *Table) hasten(n uint32) {
	s := t.session(n)
	t.lowerDeadline(n, t.tickOf(t.lastSeen(n)+s.timeout(t.tracker.Load())))
}
