package dataplane

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/relaxed"
)

// Idle says how a running worker waits when nothing comes. It learns, as KVM's
// halt polling does: it spins only while the last waits were short.
type Idle struct {
	// Spin is the longest time that it polls without a frame before it sleeps, where
	// frames have been coming at such intervals. 0: DefaultIdle's. Negative: never
	// sleep, for a core of one's own.
	Spin time.Duration
	// Sleep is the longest single sleep. 0: DefaultIdle's.
	Sleep time.Duration
	// Nap is the longest single sleep while there is a port that can't be waited
	// for. Naps start at a sixteenth of it and double. 0: DefaultIdle's.
	Nap time.Duration
}

// DefaultIdle costs an idle node less than one percent of a core.
var DefaultIdle = Idle{Spin: 50 * time.Microsecond, Sleep: 20 * time.Millisecond, Nap: time.Millisecond}

func (i Idle) withDefaults() Idle {
	if i.Spin == 0 {
		i.Spin = DefaultIdle.Spin
	}
	if i.Sleep <= 0 {
		i.Sleep = DefaultIdle.Sleep
	}
	if i.Nap <= 0 {
		i.Nap = DefaultIdle.Nap
	}
	return i
}

// RunConfig says how the workers run.
type RunConfig struct {
	CPUs []int // CPU of each worker; empty: the scheduler's choice
	Idle Idle

	// Nice is the priority of the workers' threads, -20 to 19 (setpriority(2)), below
	// 0 with CAP_SYS_NICE only; where it is not permitted they run like any other.
	// A worker that waits for a processor holds up everybody who sends and receives by it.
	Nice int
}

// Start runs every worker on a thread of its own until Stop.
func (e *Engine) Start(c RunConfig) error {
	if len(c.CPUs) != 0 && len(c.CPUs) != len(e.workers) {
		return fmt.Errorf("%d CPUs are named for %d workers", len(c.CPUs), len(e.workers))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != 0 {
		return errors.New("workers are running already")
	}
	e.stop.Store(false)
	started := make(chan error, len(e.workers))
	for i, w := range e.workers {
		cpu := -1
		if len(c.CPUs) != 0 {
			cpu = c.CPUs[i]
		}
		e.wg.Add(1)
		go func() {
			defer e.wg.Done()
			runtime.LockOSThread()
			// A thread that is pinned, or goes first, must not go back to the
			// scheduler's pool; left locked, it ends with the goroutine.
			if cpu < 0 && c.Nice == 0 {
				defer runtime.UnlockOSThread()
			}
			if c.Nice != 0 {
				_ = unix.Setpriority(unix.PRIO_PROCESS, 0, c.Nice)
			}
			err := pin(cpu)
			var p *poller
			if err == nil {
				p, err = newPoller()
			}
			if err != nil {
				started <- fmt.Errorf("worker %d: %w", i, err)
				return
			}
			defer p.close()
			w.wake.Store(p)
			defer w.wake.Store(nil)
			w.flows.Online()
			started <- nil
			w.run(c.Idle, p)
			w.flows.Offline()
		}()
	}
	var errs []error
	for range e.workers {
		errs = append(errs, <-started)
	}
	e.running = len(e.workers)
	if err := errors.Join(errs...); err != nil {
		e.stop.Store(true)
		e.wakeAll()
		e.wg.Wait()
		e.running = 0
		return err
	}
	return nil
}

// Stop ends the workers after their current turn.
func (e *Engine) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop.Store(true)
	e.wakeAll()
	e.wg.Wait()
	e.running = 0
}

// wakeAll ends the sleep of every worker.
func (e *Engine) wakeAll() {
	for _, w := range e.workers {
		if p := w.wake.Load(); p != nil {
			p.wake()
		}
	}
}

// Synchronize returns once no running worker uses an older snapshot than the
// one in force: what only the old one referred to may be closed.
func (e *Engine) Synchronize() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == 0 {
		for _, w := range e.workers {
			if s := e.snap.Load(); w.snap != s {
				w.adopt(s)
			}
		}
		return
	}
	epoch := e.snap.Load().Epoch
	for _, w := range e.workers {
		for w.seen.Load() != epoch && !e.stop.Load() {
			// Not time.Sleep, which makes a millisecond of whatever is shorter.
			_ = unix.Nanosleep(&unix.Timespec{Nsec: turn}, nil) // a signal ends it early
		}
	}
}

// turn is about what a worker's turn takes, ns.
const turn = 20_000

// pin binds the calling thread to a CPU; -1 leaves it.
func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	return nil
}

// run is the poll loop: run to completion, spin while frames come at short
// intervals, sleep when not.
func (w *Worker) run(idle Idle, p *poller) {
	idle = idle.withDefaults()
	var wait patience
	nap := idle.Nap / 16
	idleSince, idleTurns := Now(), 0
	for !w.engine.stop.Load() {
		w.refreshSnapshot()
		start := Now()
		relaxed.Add(&w.stats.turns, 1)
		if w.turn(start, p) > 0 {
			waited := time.Duration(start - idleSince)
			idleSince, idleTurns, nap = Now(), 0, idle.Nap/16
			wait.worked(waited, time.Duration(idleSince-start), idle.Spin)
			relaxed.Add(&w.stats.busyNs, uint64(idleSince-start))
			continue
		}
		if idle.Spin < 0 {
			continue
		}
		if time.Duration(start-idleSince) < wait.longest(idle.Spin) {
			if idleTurns++; idleTurns%yieldEvery == 1 {
				yield()
			}
			continue
		}
		longest := idle.Sleep
		if !p.complete {
			longest, nap = nap, min(2*nap, idle.Nap)
		}
		w.flows.Offline()
		relaxed.Add(&w.stats.sleeps, 1)
		wait.credit = 0
		woken := p.sleep(longest)
		w.flows.Online()
		if woken {
			wait.spin = adapt(wait.spin, time.Duration(Now()-idleSince), idle.Spin)
		}
	}
}

// yieldEvery: a worker that spins yields in its first empty turn, and then in
// every so-manieth.
const yieldEvery = 16

// yield lets others run that wait for this processor: the one whose frame was
// just delivered, most often. The kernel wakes a receiver where its frame was sent,
// for senders sleep soon after; one that spins instead would keep it waiting
// (request and response: 56 µs instead of 10).
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// patience is how long a worker polls without a frame before it sleeps, for one
// of two reasons.
type patience struct {
	// spin: frames have been coming at intervals so short; see adapt.
	spin time.Duration
	// credit: it has worked for so long since it last slept, less what it has waited
	// since. In a stream that keeps the worker busy a gap is a pause of somebody else
	// on its processor, and to sleep makes it longer; polling in vain costs no more than
	// the work did. One TCP stream over packet sockets: 13.9 instead of 13.1 Gb/s.
	credit time.Duration
}

// creditLimit is the most credit, in Idle.Spin.
const creditLimit = 4

// longest returns for how long to poll. Credit of less than Idle.Spin is none: of
// frames that come one by one, each a millisecond after the other, every one
// would buy a wait in vain (10 instead of 7 percent of a core).
func (p *patience) longest(spin time.Duration) time.Duration {
	if p.credit < spin {
		return p.spin
	}
	return max(p.spin, p.credit)
}

// worked is told of a turn that had frames: how long they were awaited, and how
// long it took.
func (p *patience) worked(waited, took, spin time.Duration) {
	if waited > p.spin {
		p.credit = max(0, p.credit-waited)
	}
	p.credit = min(creditLimit*spin, p.credit+took)
}

// adapt returns how long to spin next time, given that the last frame came after
// waiting so long: no longer than would have been enough, and not at all if nothing
// of the kind would have been.
func adapt(spin, waited, longest time.Duration) time.Duration {
	if waited > 2*longest {
		return spin / 2
	}
	return min(longest, max(2*spin, longest/4))
}

// workerStats are written by the worker alone.
type workerStats struct {
	turns, vectors, frames, busyNs, sleeps uint64
}

func (s *workerStats) vector(n int) {
	relaxed.Add(&s.vectors, 1)
	relaxed.Add(&s.frames, uint64(n))
}

// WorkerStats says how busy a worker has been.
type WorkerStats struct {
	Turns           uint64 // of the poll loop, also empty ones: it lives
	Vectors, Frames uint64
	Busy            time.Duration // in turns that received something
	Sleeps          uint64
}

// Stats returns a worker's figures; it may run meanwhile.
func (w *Worker) Stats() WorkerStats {
	return WorkerStats{
		Turns:   atomic.LoadUint64(&w.stats.turns),
		Vectors: atomic.LoadUint64(&w.stats.vectors),
		Frames:  atomic.LoadUint64(&w.stats.frames),
		Busy:    time.Duration(atomic.LoadUint64(&w.stats.busyNs)),
		Sleeps:  atomic.LoadUint64(&w.stats.sleeps),
	}
}
