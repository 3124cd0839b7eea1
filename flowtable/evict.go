package flowtable

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/internal/relaxed"
)

// Queues of sessions that are to be evicted before others. queueTCP to
// queueOther are embryonic sessions by Family.
const (
	queueTCP = int(iota)
	queueUDP
	queueICMP
	queueOther
	queueClosing

	numQueues
	noQueue = numQueues
)

const (
	// staleAtOnce bounds the left-over positions that one look at a queue's
	// head clears away.
	staleAtOnce = 64

	// trimPerCreate: when the table is 7/8 full, or its family has a cap, each
	// new session clears away this many, so that the head of the queue is in
	// order when it is needed. Each session leaves at most two behind.
	trimPerCreate = 8

	// sampleSize is how many sessions are compared to find one that was silent
	// for long.
	sampleSize = 32
)

// queueOf returns the queue for sessions of a class, or noQueue.
func queueOf(c class, f Family) int {
	switch c {
	case classEmbryonic:
		return int(f)
	case classClosing:
		return queueClosing
	}
	return noQueue
}

// queue is a ring of session numbers in the order in which they joined. Nobody
// is taken out of the middle: a session remembers its position, and a position
// whose session does not remember it is stale. If the ring goes round before a
// session has left its class, its position is lost and only the sample finds
// it; the rings are as long as the table for TCP and UDP, a quarter for the rest.
type queue struct {
	_     [lineSize]byte
	tail  atomic.Uint64 // next position
	_     [lineSize - 8]byte
	head  atomic.Uint64 // first position that may not be stale
	_     [lineSize - 8]byte
	slots unsafe.Pointer // [size]uint32
	size  uint64
}

// reserve returns a position, for put once the session knows it.
func (q *queue) reserve() uint64 { return q.tail.Add(1) - 1 }

func (q *queue) slot(position uint64) *uint32 {
	return (*uint32)(unsafe.Add(q.slots, position%q.size*4))
}

func (q *queue) put(position uint64, n uint32) { relaxed.Store(q.slot(position), n) }

// first returns the session at the head of queue i and its control word, or 0
// if there is none. It clears away at most atOnce stale positions.
func (t *Table) first(i, atOnce int) (n uint32, c control) {
	q := &t.queues[i]
	for range atOnce {
		head, tail := q.head.Load(), q.tail.Load()
		if head >= tail {
			return 0, 0
		}
		if tail-head > q.size {
			q.head.CompareAndSwap(head, tail-q.size)
			continue
		}
		n = atomic.LoadUint32(q.slot(head))
		c = t.session(n).control()
		if c.phase() == phaseLive && c.link() == uint32(head) && queueOf(c.class(), c.family()) == i {
			return n, c
		}
		// A position that its owner has reserved but not filled yet is lost, if
		// the queue is that short; so is the position of a session that is
		// starting. The sample finds them.
		q.head.CompareAndSwap(head, head+1)
	}
	return 0, 0
}

// evict ends one session to make room; family restricts it to sessions of a
// family, numFamilies to none. It reports false if it found nobody.
func (w *Worker) evict(family Family, now int64) bool {
	for range 4 { // the chosen one may be ended by somebody else: choose again
		n := w.t.chooseEmbryonic(family)
		if n == 0 && family == numFamilies {
			n, _ = w.t.first(queueClosing, staleAtOnce)
		}
		if n == 0 && family != FamilyTCP { // its cap is of embryonic sessions only
			n = w.t.sample(family)
		}
		if n == 0 {
			return false
		}
		if w.end(n, EndEvicted, now) {
			return true
		}
	}
	return false
}

// chooseEmbryonic returns the embryonic session that was created first.
func (t *Table) chooseEmbryonic(family Family) (oldest uint32) {
	if family != numFamilies {
		oldest, _ = t.first(int(family), staleAtOnce)
		return oldest
	}
	start := int64(math.MaxInt64)
	for i := queueTCP; i <= queueOther; i++ {
		if n, _ := t.first(i, staleAtOnce); n != 0 {
			if s := atomic.LoadInt64(&t.session(n).start); s < start {
				oldest, start = n, s
			}
		}
	}
	return oldest
}

// sample returns, of the next few sessions in the table's order, one of the
// class that goes first, and in it the one that was silent longest.
func (t *Table) sample(family Family) (victim uint32) {
	all := t.pool.fresh.Load()
	if all == 0 {
		return 0
	}
	size := min(all, sampleSize)
	at := t.census.hand.Add(size) % all
	rank, silent := 3, int64(math.MaxInt64)
	for range size {
		at = at%all + 1
		c := t.session(at).control()
		if c.phase() != phaseLive || family != numFamilies && c.family() != family {
			continue
		}
		r := evictionRank[c.class()]
		last := t.lastSeen(at)
		if r < rank || r == rank && last < silent {
			victim, rank, silent = at, r, last
		}
	}
	return victim
}

var evictionRank = [...]int{classEmbryonic: 0, classClosing: 1, classEstablished: 2}
