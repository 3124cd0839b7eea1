package dataplane

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/sluice-net/sluice/packet"
)

// Crash is what is kept of a panic in a stage or a driver, for diagnosis.
type Crash struct {
	Worker int
	Stage  string // or "rx PORT", "tx PORT"
	Value  string
	Stack  string
	Port   string // that the frame came in by
	Frame  []byte // nil if no single frame was at fault
}

// crashes keeps the first ones: later ones mostly are consequences.
type crashes struct {
	mu    sync.Mutex
	n     int
	first []Crash
}

const keptCrashes = 8

func (c *crashes) add(crash Crash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if len(c.first) < keptCrashes {
		c.first = append(c.first, crash)
	}
}

// contain ends what a panic in a stage has begun: the frame that caused it is
// dropped and kept, the rest of the vector goes on where it was. A stage that
// panicked over no frame in particular loses all of them, and so does one that
// comes back to a frame it was done with. It returns the number of the stage to
// go on with.
func (w *Worker) contain(v *Vector, stage string, s int, p any) (resume int) {
	crash := Crash{
		Worker: w.id, Stage: stage, Value: fmt.Sprint(p), Stack: string(debug.Stack()), Port: v.In.Name,
	}
	if v.at < 0 || v.done&(1<<v.at) != 0 {
		for m := v.Live; m != 0; m &= m - 1 {
			v.Drop(next(m), packet.InternalError)
		}
		v.done = 0
		s++
	} else {
		bit := uint64(1) << v.at
		crash.Frame = append([]byte(nil), v.Frame(v.at)...)
		if v.Live&bit != 0 {
			v.Drop(v.at, packet.InternalError)
		}
		v.Hit &^= bit
		v.Todo &^= bit
		// Frames up to this one are done with the stage that runs again.
		v.done = bit<<1 - 1
	}
	w.crash.add(crash)
	for m := v.dropped; m != 0 && s <= 1; m &= m - 1 {
		v.Info[next(m)] = packet.Info{} // not read by the first stage, or not to its end
	}
	w.dispose(v)
	return s
}

// receive polls a device; one that panics has received nothing.
func (w *Worker) receive(q *queue, bufs []packet.Index) (n int) {
	defer func() {
		if p := recover(); p != nil {
			w.crash.add(Crash{
				Worker: w.id, Stage: "rx " + q.port.Name, Value: fmt.Sprint(p), Stack: string(debug.Stack()), Port: q.port.Name,
			})
			n = 0
		}
	}()
	return q.port.Port.Rx(q.q, w.cache, bufs)
}

// transmitTo hands frames to a device. If it panics nobody knows which buffers
// it has freed: they are given up, which is better than using one twice.
func (w *Worker) transmitTo(config *PortConfig, bufs []packet.Index) (n int, crashed bool) {
	defer func() {
		if p := recover(); p != nil {
			w.crash.add(Crash{
				Worker: w.id, Stage: "tx " + config.Name, Value: fmt.Sprint(p), Stack: string(debug.Stack()), Port: config.Name,
			})
			n, crashed = 0, true
		}
	}()
	return config.Port.Tx(w.id, w.cache, bufs), false
}
