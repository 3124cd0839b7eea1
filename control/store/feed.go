package store

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
)

// What a feed remembers: who is further behind has to load anew.
const (
	history      = 1024     // transactions
	historyBytes = 16 << 20 // of their values; the last transaction is remembered in any case
)

// feed tells those who watch what was saved. Nobody who watches keeps a writer
// waiting: events are remembered, and each reads them at its own pace.
type feed struct {
	mu     sync.Mutex
	last   uint64  // revision of the store
	first  uint64  // the events after this revision are all there
	events []Event // in order of revisions
	size   int     // of the events' values, bytes
	wake   chan struct{}
	closed bool
}

// start makes the feed begin behind a revision; what was before is lost.
func (f *feed) start(revision uint64) {
	f.last, f.first = revision, revision
	f.wake = make(chan struct{})
}

// publish adds a transaction. Revisions grow by 1.
func (f *feed) publish(revision uint64, changes []Change) {
	e := Event{Revision: revision}
	for _, c := range changes {
		e.Records = append(e.Records, Record{c.Key, slices.Clone(c.Value), revision})
	}
	slices.SortFunc(e.Records, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.events, f.size = append(f.events, e), f.size+e.size()
	drop := 0
	for ; len(f.events)-drop > history || f.size > historyBytes && len(f.events)-drop > 1; drop++ {
		f.first = f.events[drop].Revision
		f.size -= f.events[drop].size()
	}
	f.events = slices.Delete(f.events, 0, drop)
	f.last = revision
	close(f.wake)
	f.wake = make(chan struct{})
}

// size returns how many bytes the values have.
func (e *Event) size() (n int) {
	for i := range e.Records {
		n += len(e.Records[i].Value)
	}
	return n
}

// close ends all watching.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.wake)
	}
}

// after returns the events after a revision, and what to wait for if there are
// none; nil if the feed is closed.
func (f *feed) after(revision uint64) (events []Event, wake <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision < f.first || revision > f.last {
		return nil, nil, ErrLost
	}
	i, _ := slices.BinarySearchFunc(f.events, revision+1, func(e Event, r uint64) int { return cmp.Compare(e.Revision, r) })
	if f.closed {
		return f.events[i:], nil, nil
	}
	return slices.Clone(f.events[i:]), f.wake, nil
}

// watch is Store.Watch.
func (f *feed) watch(ctx context.Context, prefix string, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			events, wake, err := f.after(after)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range events {
				after = e.Revision
				e.Records = slices.DeleteFunc(slices.Clone(e.Records), func(r Record) bool { return !strings.HasPrefix(r.Key, prefix) })
				if len(e.Records) > 0 && !yield(e, nil) {
					return
				}
			}
			if wake == nil {
				return
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}
}
