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

// Idle says how a running worker waits when nothing comes.
type Idle struct {
	// Spin is how many empty turns are polled before sleeping; a turn is
	// some hundred ns. Negative: never sleep, for a core of one's own.
	Spin int
	// Sleep is the longest single sleep. Sleeps start at a sixteenth of it and double.
	Sleep time.Duration
}

// DefaultIdle answers within a millisecond and costs an idle node less than one
// percent of a core.
var DefaultIdle = Idle{Spin: 256, Sleep: time.Millisecond}

// A Waiter is a Port that can be waited for: FD returns a descriptor that
// becomes readable when queue q has frames.
type Waiter interface {
	FD(q int) int
}

// RunConfig says how the workers run.
type RunConfig struct {
	CPUs []int // CPU of each worker; empty: the scheduler's choice
	Idle Idle
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
			// A pinned thread must not go back to the scheduler's pool; left
			// locked, it ends with the goroutine.
			if cpu < 0 {
				defer runtime.UnlockOSThread()
			}
			if err := pin(cpu); err != nil {
				started <- fmt.Errorf("worker %d: %w", i, err)
				return
			}
			w.flows.Online()
			started <- nil
			w.run(c.Idle)
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
	e.wg.Wait()
	e.running = 0
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
			time.Sleep(100 * time.Microsecond)
		}
	}
}

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

// run is the poll loop: run to completion, spin while there is work, doze when not.
func (w *Worker) run(idle Idle) {
	if idle.Sleep <= 0 {
		idle.Sleep = DefaultIdle.Sleep
	}
	empty, nap := 0, idle.Sleep/16
	for !w.engine.stop.Load() {
		start := Now()
		if w.Step(start) > 0 {
			empty, nap = 0, idle.Sleep/16
			relaxed.Add(&w.stats.busyNs, uint64(Now()-start))
			continue
		}
		empty++
		if idle.Spin < 0 || empty <= idle.Spin {
			continue
		}
		w.flows.Offline()
		w.wait(nap)
		w.flows.Online()
		nap = min(2*nap, idle.Sleep)
	}
}

// wait sleeps until a port has frames or the time is over. Ports that can't be
// waited for are polled again after the nap.
func (w *Worker) wait(nap time.Duration) {
	fds := w.fds[:0]
	for _, q := range w.queues {
		if p, ok := q.port.Port.(Waiter); ok {
			fds = append(fds, unix.PollFd{Fd: int32(p.FD(q.q)), Events: unix.POLLIN})
		}
	}
	w.fds = fds
	relaxed.Add(&w.stats.sleeps, 1)
	ts := unix.NsecToTimespec(int64(nap))
	// EINTR and a descriptor that has gone bad both mean: look again.
	_, _ = unix.Ppoll(fds, &ts, nil)
}

// workerStats are written by the worker alone.
type workerStats struct {
	vectors, frames, busyNs, sleeps uint64
}

func (s *workerStats) vector(n int) {
	relaxed.Add(&s.vectors, 1)
	relaxed.Add(&s.frames, uint64(n))
}

// WorkerStats says how busy a worker has been.
type WorkerStats struct {
	Vectors, Frames uint64
	Busy            time.Duration // in turns that received something
	Sleeps          uint64
}

// Stats returns a worker's figures; it may run meanwhile.
func (w *Worker) Stats() WorkerStats {
	return WorkerStats{
		Vectors: atomic.LoadUint64(&w.stats.vectors),
		Frames:  atomic.LoadUint64(&w.stats.frames),
		Busy:    time.Duration(atomic.LoadUint64(&w.stats.busyNs)),
		Sleeps:  atomic.LoadUint64(&w.stats.sleeps),
	}
}
