package daemon

import (
	"time"

	"github.com/sluice-net/sluice/dataplane"
)

// heart is what the workers' progress is seen by.
type heart func() (beats []uint64)

// workersHeart counts the turns of an engine's workers: an idle one makes some, too.
func workersHeart(e *dataplane.Engine) heart {
	return func() []uint64 {
		beats := make([]uint64, e.Workers())
		for i := range beats {
			beats[i] = e.Worker(i).Stats().Turns
		}
		return beats
	}
}

// startWatchdog sends the service manager signs of life, if it wants some, at
// half the interval and only while every worker makes progress: one that hangs
// is noticed by the manager, which starts the daemon anew. The caller calls stop.
func (d *Daemon) startWatchdog() (stop func()) {
	if d.notify == nil || d.notify.watchdog == 0 {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(d.notify.watchdog / 2)
		defer ticker.Stop()
		w := watchdog{heart: workersHeart(d.node.Engine())}
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if stuck := w.stuck(); stuck >= 0 {
				d.log.Error("a worker makes no progress; the service manager is not told that all is well", "worker", stuck)
				continue
			}
			d.notify.tell("WATCHDOG=1")
		}
	}()
	return func() { close(done); <-ended }
}

// watchdog compares beats with those of the last time.
type watchdog struct {
	heart heart
	last  []uint64
}

// stuck returns the first worker that has done nothing since the last call, -1 if there
// is none.
func (w *watchdog) stuck() int {
	beats := w.heart()
	last := w.last
	w.last = beats
	for i := range last {
		if beats[i] == last[i] {
			return i
		}
	}
	return -1
}
