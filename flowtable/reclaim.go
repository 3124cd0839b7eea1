package flowtable

import (
	"math"
	"sync/atomic"
)

const (
	// maxReaders is how many readers there may be at a time besides workers.
	maxReaders = 8

	// recyclePerQuiesce bounds the sessions that one Quiesce recycles: about
	// 0.1 us each, more if their lines are cold.
	recyclePerQuiesce = 256

	offline = math.MaxUint64
)

// grace finds out when nobody can hold an ID any more (quiescent-state-based
// reclamation; Hart et al., "Making lockless synchronization fast", IPDPS
// 2006). There is a global epoch. Each participant publishes the epoch that it
// saw when it last held no ID. The epoch moves on when every participant that
// is online has published it.
//
//	epoch e      session X ends: its keys leave the index
//	e -> e+1     needs everyone's e, which may have been published before X ended
//	e+1 -> e+2   needs everyone's e+1: read after X ended, and holding nothing
//	epoch e+2    nobody can hold X
type grace struct {
	_      [lineSize]byte
	epoch  atomic.Uint64
	_      [lineSize - 8]byte
	places []participant
}

type participant struct {
	seen atomic.Uint64 // epoch at its last quiescent point, or offline
	_    [lineSize - 8]byte
}

func (g *grace) init(n int) {
	g.places = make([]participant, n)
	for i := range g.places {
		g.places[i].seen.Store(offline)
	}
	g.epoch.Store(3) // so that epoch-2 is a number
}

// advance moves the epoch on if everyone has seen it, and returns it.
func (g *grace) advance() uint64 {
	e := g.epoch.Load()
	for i := range g.places {
		if seen := g.places[i].seen.Load(); seen != e && seen != offline {
			return e
		}
	}
	g.epoch.CompareAndSwap(e, e+1)
	return g.epoch.Load()
}

// list is a list of sessions through their control words, first in, first out.
type list struct {
	first, last uint32
	n           int
	epoch       uint64 // in which they ended
}

func (l *list) push(t *Table, n uint32) {
	if l.n == 0 {
		l.first = n
	} else {
		s := t.session(l.last)
		s.setControl(s.control().withLink(n))
	}
	l.last = n
	l.n++
}

// join moves all of o to the end of l.
func (l *list) join(t *Table, o *list) {
	if o.n == 0 {
		return
	}
	if l.n == 0 {
		l.first = o.first
	} else {
		s := t.session(l.last)
		s.setControl(s.control().withLink(o.first))
	}
	l.last = o.last
	l.n += o.n
	o.n = 0
}

// Quiesce says that this worker holds no IDs and no pointers to entries. It is
// called once per iteration of the poll loop, also an empty one; it costs
// about 5 ns when there is nothing to do. It recycles sessions that have ended,
// writes their records, and ends sessions that have expired, a bounded number
// of each.
func (w *Worker) Quiesce(now int64) {
	w.publish()
	if w.backlog != 0 {
		w.reclaim()
	}
	if w.t.cfg.ManualSweep {
		return
	}
	if tick := w.t.tickOf(now); tick != w.tick || w.sweeping {
		w.expire(tick, now)
	}
}

// Offline is Quiesce for a worker that is about to wait: nobody waits for it
// until it calls Online. In between it may not use the table.
func (w *Worker) Offline() {
	w.seen = offline
	w.place.seen.Store(offline)
}

// Online ends Offline.
func (w *Worker) Online() {
	// If the epoch moves on between the load and the store, others wait for
	// this worker longer than they need to; what they did not wait for had left
	// the index before the store.
	w.seen = w.t.grace.epoch.Load()
	w.place.seen.Store(w.seen)
}

func (w *Worker) publish() {
	if e := w.t.grace.epoch.Load(); e != w.seen {
		w.seen = e
		w.place.seen.Store(e)
	}
}

// retire puts a session whose keys have left the index where it waits.
func (w *Worker) retire(n uint32) {
	// Loaded after the keys are gone: see grace.
	epoch := w.t.grace.epoch.Load()
	l := &w.limbo[epoch%3]
	if l.epoch != epoch {
		// Whatever is in the list is three epochs old.
		w.safe.join(w.t, l)
		l.epoch = epoch
	}
	l.push(w.t, n)
	w.backlog++
}

// reclaim recycles sessions that nobody can hold. A lone worker gets there in
// one call: what a vector has ended is free for the next.
func (w *Worker) reclaim() {
	t := w.t
	for range 2 {
		epoch := t.grace.advance()
		w.publish() // this is a quiescent point for the new epoch too
		for i := range uint64(3) {
			// Oldest first: epoch+1 is epoch-2 (mod 3).
			if l := &w.limbo[(epoch+1+i)%3]; l.n != 0 && l.epoch+2 <= epoch {
				w.safe.join(t, l)
			}
		}
	}
	for range min(w.safe.n, recyclePerQuiesce) {
		n := w.safe.first
		s := t.session(n)
		c := s.control()
		w.safe.first = c.link()
		w.safe.n--
		if c.reason() != neverBegan {
			w.tell(n, c.reason())
		}
		w.putFree(n)
		w.backlog--
	}
	w.waiting.Store(int64(w.backlog))
}

// Reader is the right of a goroutine that is not a worker to hold IDs.
type Reader struct {
	t     *Table
	place int
}

// Reader returns a Reader; it waits if there are 8 already. Close gives it back.
// While it exists and does not call Quiesce, no session can be recycled, so it
// is for moments.
func (t *Table) Reader() Reader {
	r := Reader{t: t, place: <-t.freeIDs}
	r.Quiesce()
	return r
}

// Quiesce says that the reader holds no ID at the moment.
func (r Reader) Quiesce() { r.t.grace.places[r.place].seen.Store(r.t.grace.epoch.Load()) }

// Close ends the reader.
func (r Reader) Close() {
	r.t.grace.places[r.place].seen.Store(offline)
	r.t.freeIDs <- r.place
}
