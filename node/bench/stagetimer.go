package bench

import (
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// stageTimer is a tap that looks at the clock after each stage. A vector's
// time begins when its turn does, so the first stage's share has receiving in
// it; what lies between the last stage and the next turn is called "send".
type stageTimer struct {
	workers []workerTimes
}

// firstStage is what the first stage's share is called.
const firstStage = "receive, parse"

// workerTimes are one worker's, two cache lines from the next one's.
type workerTimes struct {
	last  int64
	names []string
	ns    []int64
	_     [64]byte
}

func newStageTimer(workers int) *stageTimer {
	return &stageTimer{make([]workerTimes, workers)}
}

// reset forgets what was measured so far.
func (t *stageTimer) reset() {
	for i := range t.workers {
		t.workers[i] = workerTimes{}
	}
}

// AfterStage gives the time since the last look to a stage.
func (t *stageTimer) AfterStage(w *dataplane.Worker, v *dataplane.Vector, stage string) {
	m := &t.workers[w.ID()]
	now := dataplane.Now()
	if stage == v.Snap.Stages[0].Name {
		if m.last != 0 {
			m.add("send", v.Now-m.last)
		}
		m.last = v.Now
		stage = firstStage
	}
	m.add(stage, now-m.last)
	m.last = now
}

func (m *workerTimes) add(name string, ns int64) {
	i := slices.Index(m.names, name)
	if i < 0 {
		m.names, m.ns = append(m.names, name), append(m.ns, 0)
		i = len(m.names) - 1
	}
	m.ns[i] += ns
}

// AfterStep is of no interest.
func (t *stageTimer) AfterStep(*dataplane.Decision, string) {}

// Dropped is of no interest.
func (t *stageTimer) Dropped(*dataplane.Worker, packet.Index, *packet.Info, packet.Reason) {}

// Sent is of no interest.
func (t *stageTimer) Sent(*dataplane.Worker, uint16, packet.Index) {}

// perPacket divides by the number of packets.
func (t *stageTimer) perPacket(packets int) (all []StageTime) {
	for _, name := range t.workers[0].names {
		sum := int64(0)
		for i := range t.workers {
			if k := slices.Index(t.workers[i].names, name); k >= 0 {
				sum += t.workers[i].ns[k]
			}
		}
		all = append(all, StageTime{name, float64(sum) / float64(packets)})
	}
	return all
}
