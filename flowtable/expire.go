package flowtable

import "sync/atomic"

// Expiry is a linear sweep over one dense array: for each session the tick
// after which it is to be looked at, 0 for none. Four bytes per session and a
// predictable stream make ten million sessions 40 MB/s, which is nothing; a
// timing wheel would need links to be maintained for every packet, or lists of
// cold entries to be walked.
//
// Packets do not touch the deadline. It may therefore be early, never late: a
// session whose deadline has come is judged by the time of its last packet and
// its present state, and gets a new deadline or its end. A state that shortens
// the timeout lowers the deadline at once.
const (
	tickBits = 26 // a tick is 2^26 ns, about 67 ms

	// A sweep of the whole table begins every sweepTicks ticks (1 s) and is
	// spread over them.
	sweepTicks = 15

	// Bounds of one Quiesce: slots looked at (0.5 ns each) and sessions judged
	// (0.1 us each), the latter checked after each chunk.
	sweepChunk  = 256
	sweepSlots  = 4096
	sweepJudged = 64
)

// sweep is how far the workers together have got.
type sweep struct {
	_    [lineSize]byte
	base atomic.Int64  // time of tick 1, ns; 0 is unknown yet
	at   atomic.Uint64 // tick at which this round began << 32 | next number
	_    [lineSize - 16]byte
}

// setBase makes the first time that the table hears of the start of its ticks,
// which have 32 bits: nine years.
func (t *Table) setBase(now int64) {
	if t.sweep.base.Load() == 0 {
		t.sweep.base.CompareAndSwap(0, now)
	}
}

// tickOf returns the tick that ns is in, at least 1.
func (t *Table) tickOf(ns int64) uint32 {
	d := (ns - t.sweep.base.Load()) >> tickBits
	return uint32(max(0, min(d, 1<<32-3))) + 1
}

// lowerDeadline makes the deadline of a session not later than tick, unless it
// has none.
func (t *Table) lowerDeadline(n, tick uint32) {
	p := t.deadline(n)
	for d := atomic.LoadUint32(p); d > tick && !atomic.CompareAndSwapUint32(p, d, tick); {
		d = atomic.LoadUint32(p)
	}
}

// expire takes this worker's share of the sweep.
func (w *Worker) expire(tick uint32, now int64) {
	t := w.t
	w.tick = tick
	w.sweeping = true
	judged := 0
	for range sweepSlots / sweepChunk {
		from, to := t.claim(tick)
		if from == to {
			w.sweeping = false
			return
		}
		if judged += w.judge(from, to, tick, now); judged >= sweepJudged {
			return
		}
	}
}

// claim takes the next chunk of the sweep, [from, to), or nothing if the sweep
// is where it should be at this tick.
func (t *Table) claim(tick uint32) (from, to uint32) {
	for {
		at := t.sweep.at.Load()
		began, next := uint32(at>>32), uint32(at)
		all := t.pool.fresh.Load() + 1
		if tick <= began {
			return 0, 0
		}
		behind := tick - began
		if next >= all {
			began, next, behind = tick-1, 0, 1 // next round
		}
		goal := all
		if behind < sweepTicks {
			goal = uint32(uint64(all) * uint64(behind) / sweepTicks)
		}
		to = min(next+sweepChunk, goal)
		if to <= next {
			return 0, 0
		}
		if t.sweep.at.CompareAndSwap(at, uint64(began)<<32|uint64(to)) {
			return next, to
		}
	}
}

// judge ends the sessions from to to-1 that have expired and returns how many
// it had to look at.
func (w *Worker) judge(from, to, tick uint32, now int64) (looked int) {
	t := w.t
	for n := from; n < to; n++ {
		p := t.deadline(n)
		d := atomic.LoadUint32(p)
		if d == 0 || d > tick {
			continue
		}
		looked++
		s := t.session(n)
		if s.control().phase() != phaseLive {
			continue // its creator is at it, or it has just been ended
		}
		timers, state := t.tracker.Load(), s.state()
		if last := t.lastSeen(n) + timers.of(s.control().timers())[state]; last > now {
			// If it fails somebody lowered it.
			atomic.CompareAndSwapUint32(p, d, t.tickOf(last))
			t.recheck(n, timers)
			continue
		}
		w.end(n, endOf(state), now)
	}
	return looked
}

// lastSeen returns the time of the session's last packet in either direction.
func (t *Table) lastSeen(n uint32) int64 {
	id := ID(n << 1)
	return max(atomic.LoadInt64(&t.session(n).start), t.Entry(id).LastSeen(), t.Entry(id|1).LastSeen())
}

// SweepAll ends every session that has expired at now, whatever it costs, for
// replays and tests: Quiesce does the same little by little.
func (w *Worker) SweepAll(now int64) {
	w.judge(0, w.t.pool.fresh.Load()+1, w.t.tickOf(now), now)
}
