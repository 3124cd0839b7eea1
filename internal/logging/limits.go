package logging

import (
	"container/list"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxKinds bounds how many kinds of lines are remembered. Messages are constants,
// so the program has some hundreds of them; what makes its messages up pushes out
// the kind that was silent for longest.
const maxKinds = 1024

// kind is what is limited together. Lines of a kind differ in attributes only.
type kind struct {
	component string
	level     slog.Level
	message   string
}

// suppressed says how many lines of a kind were left out.
type suppressed struct {
	kind
	n uint64
}

// tally is a kind's past.
type tally struct {
	kind
	limiter *rate.Limiter
	n       uint64    // suppressed and not told yet
	since   time.Time // when the first of them came; valid if n is not 0
}

// limits bounds how often a kind of line is written. Nothing is left out in silence:
// the next line of the kind that is written carries the count, or a line without the
// attributes does, when none comes, or the kind is forgotten.
type limits struct {
	burst     int
	perSecond rate.Limit

	mu     sync.Mutex
	kinds  map[kind]*list.Element // of *tally
	recent *list.List             // the kind that was heard last is first
}

func newLimits(burst int, perSecond float64) *limits {
	return &limits{burst: burst, perSecond: rate.Limit(perSecond), kinds: map[kind]*list.Element{}, recent: list.New()}
}

// allow says whether a line of a kind is written, and how many before it were not.
// forgotten is told, without a lock, of a count that would be lost.
func (l *limits) allow(now time.Time, k kind, forgotten func(suppressed)) (before uint64, written bool) {
	l.mu.Lock()
	e := l.kinds[k]
	var lost suppressed
	if e == nil {
		if len(l.kinds) >= maxKinds {
			lost = l.forget()
		}
		e = l.recent.PushFront(&tally{kind: k, limiter: rate.NewLimiter(l.perSecond, l.burst)})
		l.kinds[k] = e
	} else {
		l.recent.MoveToFront(e)
	}
	t := e.Value.(*tally)
	if written = t.limiter.AllowN(now, 1); written {
		before, t.n = t.n, 0
	} else {
		if t.n == 0 {
			t.since = now
		}
		t.n++
	}
	l.mu.Unlock()
	if lost.n != 0 {
		forgotten(lost)
	}
	return before, written
}

// forget makes room for a kind.
func (l *limits) forget() suppressed {
	t := l.recent.Remove(l.recent.Back()).(*tally)
	delete(l.kinds, t.kind)
	return suppressed{t.kind, t.n}
}

// take returns the counts that are older than a time, or all for the zero time, and
// begins anew to count.
func (l *limits) take(before time.Time) []suppressed {
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken []suppressed
	for e := l.recent.Back(); e != nil; e = e.Prev() {
		t := e.Value.(*tally)
		if t.n != 0 && (before.IsZero() || !t.since.After(before)) {
			taken = append(taken, suppressed{t.kind, t.n})
			t.n = 0
		}
	}
	return taken
}
