package flowtable

import "sync/atomic"

const (
	// poolBatch is how many numbers pass between a worker and the pool at once.
	poolBatch = 32

	// sparePerWorker is how many sessions a worker may hold that do not live:
	// free ones in its cache, and ended ones that wait for the others'
	// Quiesce. A vector ends at most 64 and makes 64, and two or three
	// vectors pass before they are recycled.
	sparePerWorker = 512
)

// pool is the numbers of sessions that nobody uses: those never used, above
// fresh, and a stack of chains of poolBatch numbers. The last number that
// went in is the first that comes out: its lines are the ones in the cache.
//
// The head carries a count that grows with every change: else a worker that
// read the head and its successor, and slept while others took both and put
// the head back, would put the wrong successor in place (ABA).
type pool struct {
	_     [lineSize]byte
	head  atomic.Uint64 // number of the first chain's first session | count << 32
	_     [lineSize - 8]byte
	fresh atomic.Uint32 // numbers up to this have been handed out; grows only
	last  uint32        // highest number; immutable
	_     [lineSize - 8]byte
}

// takeFree fills the worker's cache from the pool; false if it is empty.
func (w *Worker) takeFree() bool {
	t := w.t
	for {
		head := t.pool.head.Load()
		first := uint32(head)
		if first == 0 {
			break
		}
		next := uint32(t.Entry(ID(first<<1 | 1)).aux.Load())
		if t.pool.head.CompareAndSwap(head, head>>32<<32+1<<32|uint64(next)) {
			for n := first; n != 0; n = t.session(n).control().link() {
				w.free[w.nFree] = n
				w.nFree++
			}
			return true
		}
	}
	for {
		used := t.pool.fresh.Load()
		n := min(t.pool.last-used, poolBatch)
		if n == 0 {
			return false
		}
		if t.pool.fresh.CompareAndSwap(used, used+n) {
			for i := used + n; i > used; i-- { // low numbers first
				w.free[w.nFree] = i
				w.nFree++
			}
			return true
		}
	}
}

// putFree returns the number of a session that nobody knows of.
func (w *Worker) putFree(n uint32) {
	t := w.t
	t.session(n).setControl(0)
	if w.nFree == len(w.free) {
		chain := w.free[:poolBatch]
		for i, c := range chain {
			next := uint32(0)
			if i+1 < len(chain) {
				next = chain[i+1]
			}
			t.session(c).setControl(makeControl(phaseFree, 0, 0, next))
		}
		first := chain[0]
		for {
			head := t.pool.head.Load()
			t.Entry(ID(first<<1 | 1)).aux.Store(uint64(uint32(head)))
			if t.pool.head.CompareAndSwap(head, head>>32<<32+1<<32|uint64(first)) {
				break
			}
		}
		w.nFree = copy(w.free[:], w.free[poolBatch:])
	}
	w.free[w.nFree] = n
	w.nFree++
}
