package dataplane

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Worker is one poll loop: it takes frames from its queues, runs each vector
// through the whole pipeline and sends what comes out, before it takes more.
// It shares the flow table, the hops and the arena with the other workers, and
// nothing else. Its methods are for the goroutine that runs it, that is for
// stages, deciders and taps; Counters and Busy are for everybody.
type Worker struct {
	id     int
	engine *Engine
	arena  *packet.Arena
	cache  *packet.Cache
	table  *flowtable.Table
	flows  *flowtable.Worker
	frags  *flowtable.Fragments
	hops   *HopTable
	snap   *Snapshot
	quiet  int64 // the shortest timeout of a session, ns, as of this turn

	refreshShift uint // the flows' clock ticks every 1<<refreshShift ns

	queues    []queue
	counters  []counters // by port number; others read by counted
	tx        []txQueue  // by port number
	dirty     []uint16   // ports with frames in tx
	again     []packet.Index
	one       [1]packet.Index
	segments  [maxSegments]packet.Index
	releases  [flowtable.MaxHeldPerDatagram]packet.Index
	expired   [VectorSize]packet.Index
	decision  Decision
	replyZone packet.Zone // of the last session made
	clash     bool        // the next decision is a second try: see Decision.Clash
	vector    Vector

	seen    atomic.Uint32 // epoch of the snapshot in use
	counted atomic.Pointer[[]counters]
	wake    atomic.Pointer[poller] // of the running loop; nil when it does not run
	stats   workerStats
	crash   crashes
}

// queue is a receive queue this worker polls.
type queue struct {
	port *PortConfig
	q    int
}

// ID returns the worker's number, from 0.
func (w *Worker) ID() int { return w.id }

// Snapshot returns the one the worker uses in this turn.
func (w *Worker) Snapshot() *Snapshot { return w.snap }

// Now returns the time of the vector in hand, ns.
func (w *Worker) Now() int64 { return w.vector.Now }

// Arena returns the frames' memory.
func (w *Worker) Arena() *packet.Arena { return w.arena }

// Cache returns the worker's free list, for frames that features make.
func (w *Worker) Cache() *packet.Cache { return w.cache }

// Hops returns the next hops.
func (w *Worker) Hops() *HopTable { return w.hops }

// Flows returns the worker's handle on the flow table.
func (w *Worker) Flows() *flowtable.Worker { return w.flows }

// Table returns the flow table.
func (w *Worker) Table() *flowtable.Table { return w.table }

// Step polls every queue once, at time now in ns, and returns the number of
// frames received. One call is one turn of the poll loop; replay and tests call
// it themselves.
func (w *Worker) Step(now int64) (n int) {
	w.refreshSnapshot()
	for i := range w.queues {
		n += w.poll(&w.queues[i], now, VectorSize)
	}
	w.endTurn(now)
	return n
}

// StepPort is Step for the queues of one port, if this worker polls it: for
// drivers that decide themselves whose turn it is.
func (w *Worker) StepPort(number uint16, now int64) (n int) {
	w.refreshSnapshot()
	for i := range w.queues {
		if w.queues[i].port.Number == number {
			n += w.poll(&w.queues[i], now, VectorSize)
		}
	}
	w.endTurn(now)
	return n
}

func (w *Worker) refreshSnapshot() {
	if s := w.engine.snap.Load(); s != w.snap {
		w.adopt(s)
	}
	w.quiet = w.table.ShortestTimeout()
}

// endTurn does what was put aside and is due. Released frames may make others
// come free; ports that only send hear of what was made here at its end.
func (w *Worker) endTurn(now int64) {
	w.expireFragments(now)
	w.tick(now)
	for len(w.again) > 0 {
		w.processReleased(now)
	}
	w.flushDirty()
	w.flows.Quiesce(now)
}

func (w *Worker) flushDirty() {
	for _, port := range w.dirty {
		w.flush(port)
	}
	w.dirty = w.dirty[:0]
}

// poll takes one vector of at most so many frames from a queue and processes it.
func (w *Worker) poll(q *queue, now int64, most int) int {
	v := &w.vector
	n := w.receive(q, v.Buf[:most])
	if n == 0 {
		return 0
	}
	bytes := w.load(q.port, n)
	c := &w.counters[q.port.Number]
	count(&c.rxPackets, n)
	count(&c.rxBytes, bytes)
	w.process(q.port, n, now, false)
	return n
}

// load reads the metadata of the first n buffers of the vector, all of which
// came in by one port, and returns the bytes of their frames.
func (w *Worker) load(in *PortConfig, n int) (bytes int) {
	v := &w.vector
	v.Special = 0
	for i, b := range v.Buf[:n] {
		meta := w.arena.Meta(b)
		meta.InPort = in.Number
		v.Off[i], v.Len[i] = meta.Off, meta.Len
		bytes += int(meta.Len)
		if meta.CsumPartial || meta.GSOType != packet.GSONone {
			v.Special |= 1 << i
		}
	}
	return bytes
}

// process runs the first n buffers of the vector, which are loaded, through the
// pipeline; again if it is not the first time.
func (w *Worker) process(in *PortConfig, n int, now int64, again bool) {
	v := &w.vector
	v.Now, v.Epoch, v.Snap, v.In, v.N = now, w.snap.Epoch, w.snap, in, n
	v.Live = ^uint64(0) >> (VectorSize - n)
	v.Hit, v.Todo, v.Routed, v.Translated, v.Fresh, v.Group, v.Frag = 0, 0, 0, 0, 0, 0, 0
	v.dropped, v.refresh, v.done, v.created, v.again = 0, 0, 0, false, again
	v.base = w.arena.Base()
	for s := 0; s < len(w.snap.Stages); {
		s = w.runStages(v, s)
	}
	if v.refresh != 0 {
		w.refreshFlows(v)
	}
	if v.Live != 0 {
		// No stage took them: the pipeline's order lacks a last word.
		for m := v.Live; m != 0; m &= m - 1 {
			v.Drop(next(m), packet.NoDestination)
		}
		w.dispose(v)
	}
	w.flushDirty()
	w.stats.vector(n)
}

// runStages runs the stages from number s on, and returns the number to go on
// with: past the last, unless one panicked.
func (w *Worker) runStages(v *Vector, s int) (resume int) {
	stages := w.snap.Stages
	defer func() {
		if p := recover(); p != nil {
			resume = w.contain(v, stages[s].Name, s, p)
		}
	}()
	for ; s < len(stages); s++ {
		v.at = -1
		stages[s].Run(w, v)
		if len(w.snap.Taps) != 0 {
			w.tellStage(v, stages[s].Name)
		}
		if v.dropped != 0 {
			w.dispose(v)
		}
		v.done = 0
	}
	return s
}

// dispose frees, counts and shows the frames that a stage has dropped: the one
// place where frames of a vector end.
func (w *Worker) dispose(v *Vector) {
	c := &w.counters[v.In.Number]
	for m := v.dropped; m != 0; m &= m - 1 {
		i := next(m)
		count(&c.drops[v.Reason[i]], 1)
		if len(w.snap.Taps) != 0 {
			w.tellDropped(v.Buf[i], &v.Info[i], v.Reason[i])
		}
		w.cache.Free(v.Buf[i])
	}
	v.dropped = 0
}
