package dataplane

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/flowtable"
)

// Sweep looks through all sessions for those that a change has made unwanted, and ends them at once
// rather than at their next packet. Worker 0 does so, some sessions in each turn.
type Sweep struct {
	// Match reports whether a session is to be ended, and Why is the reason that its record gets.
	// Both are set before the first Turn.
	Match func(*flowtable.Record) bool
	Why   flowtable.EndReason

	next atomic.Uint32 // session to go on from; 0: nothing to do
}

// sweepPerTurn bounds the work of one turn, to some 0.1 ms.
const sweepPerTurn = 512

// Begin has all sessions looked at, from the first; any goroutine.
func (x *Sweep) Begin() { x.next.Store(1) }

// Turn is for the end of each of a worker's turns.
func (x *Sweep) Turn(w *Worker, now int64) {
	from := x.next.Load()
	if from == 0 || w.ID() != 0 {
		return
	}
	// Another change may have begun it anew meanwhile: then that holds.
	x.next.CompareAndSwap(from, w.Flows().EndMatching(from, sweepPerTurn, x.Match, x.Why, now))
}
