package dataplane

import (
	"fmt"
	"runtime/debug"

	"github.com/sluice-net/sluice/packet"
)

// Taps, Tickers and Refreshers are called here. One that panics has a defect of
// its own: it is noted, and the frames go on.

// survive ends a panic; it is deferred.
func (w *Worker) survive(what string) {
	if p := recover(); p != nil {
		w.crash.add(Crash{Worker: w.id, Stage: what, Value: fmt.Sprint(p), Stack: string(debug.Stack())})
	}
}

func (w *Worker) tellStage(v *Vector, stage string) {
	defer w.survive("tap of stages")
	for _, t := range w.snap.Taps {
		t.AfterStage(w, v, stage)
	}
}

func (w *Worker) tellStep(d *Decision, step string) {
	defer w.survive("tap of decisions")
	for _, t := range w.snap.Taps {
		t.AfterStep(d, step)
	}
}

func (w *Worker) tellDropped(b packet.Index, in *packet.Info, r packet.Reason) {
	defer w.survive("tap of drops")
	for _, t := range w.snap.Taps {
		t.Dropped(w, b, in, r)
	}
}

func (w *Worker) tellSent(port uint16, bufs []packet.Index) {
	defer w.survive("tap of frames sent")
	for _, t := range w.snap.Taps {
		for _, b := range bufs {
			t.Sent(w, port, b)
		}
	}
}

func (w *Worker) tick(now int64) {
	defer w.survive("tick")
	for _, t := range w.snap.Tickers {
		t.Tick(w, now)
	}
}

func (w *Worker) refreshFlows(v *Vector) {
	defer w.survive("refresh")
	for _, r := range w.snap.Refresh {
		r.Refresh(w, v, v.refresh)
	}
}
