package flowtable

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// dumpChunk is how many numbers a listing goes through between two quiescent
// points, so that a long listing does not hold up recycling.
const dumpChunk = 256

// Sessions calls yield for every session, in the order of their numbers, until
// it returns false. Workers may run meanwhile: sessions that live throughout
// are listed once, those that begin or end may be or not. The Record is
// yield's for the call only.
func (t *Table) Sessions(yield func(*Record) bool) {
	reader := t.Reader()
	defer reader.Close()
	var r Record
	for n := uint32(1); n <= t.pool.fresh.Load(); n++ {
		if n%dumpChunk == 0 {
			reader.Quiesce()
		}
		// Live now means not recycled before the next Quiesce.
		if t.session(n).control().phase() != phaseLive {
			continue
		}
		if r.fill(t, n); !yield(&r) {
			return
		}
	}
}

// EndMatching ends the sessions with numbers from up to at most limit further
// for which match holds, and returns the number to go on from, 0 at the end.
// match may be nil: all. A worker calls it between vectors, with as large a
// limit as it can afford: about 0.1 us for each live session.
func (w *Worker) EndMatching(from, limit uint32, match func(*Record) bool, why EndReason, now int64) (next uint32) {
	t := w.t
	from = max(from, 1)
	all := t.pool.fresh.Load() + 1
	to := all
	if from < all && limit < all-from {
		to = from + limit
	}
	for n := from; n < to; n++ {
		if t.session(n).control().phase() != phaseLive {
			continue
		}
		if match != nil {
			// Of the worker: what is passed to an unknown function is on the heap.
			if w.scratch.fill(t, n); !match(&w.scratch) {
				continue
			}
		}
		w.end(n, why, now)
	}
	if to >= all {
		return 0
	}
	return to
}

// State returns the state that a session is in.
func (t *Table) State(id ID) State { return t.session(id.Session()).state() }

// Stats is the table in numbers.
type Stats struct {
	Live      int                   // sessions
	Capacity  int                   // Config.Sessions
	Classes   [numFamilies]ByClass  // live sessions
	Created   uint64                // sessions ever
	Ended     [numEndReasons]uint64 // sessions ever, by EndReason
	Backlog   int                   // ended sessions that were not recycled when their workers last looked
	Lost      uint64                // records that found no room
	IndexLoad float64               // slots of the index in use, 0 to 1
	Memory    int                   // bytes
}

// ByClass is a number of sessions by class.
type ByClass struct{ Embryonic, Established, Closing int }

// Stats returns the table in numbers, each of them exact, but not all of the
// same moment.
func (t *Table) Stats() Stats {
	st := Stats{
		Live:     int(t.census.live.Load()),
		Capacity: t.cfg.Sessions,
		Memory:   t.Memory(),
	}
	for f := range st.Classes {
		c := &t.census.count[f].class
		st.Classes[f] = ByClass{
			Embryonic:   int(c[classEmbryonic].Load()),
			Established: int(c[classEstablished].Load()),
			Closing:     int(c[classClosing].Load()),
		}
	}
	for _, w := range t.workers {
		st.Created += atomic.LoadUint64(&w.created)
		for r := range w.ended {
			st.Ended[r] += atomic.LoadUint64(&w.ended[r])
		}
		st.Backlog += int(w.waiting.Load())
		st.Lost += w.records.Lost()
	}
	st.IndexLoad = float64(2*st.Live) / float64(t.index.Slots())
	return st
}

// SourceSessions returns how many sessions a source has; 0 if sources are not
// limited and so not counted.
func (t *Table) SourceSessions(zone packet.Zone, source packet.Addr) int {
	if t.sources == nil {
		return 0
	}
	return t.sources.Count(source, zone)
}
