package server

import (
	"context"
	"slices"
	"sync"
)

// budget bounds how many bytes are in use at a time. Who comes first is served first.
type budget struct {
	mu      sync.Mutex
	free    int64
	waiting []*waiter
}

// waiter waits for bytes; ready is closed once it has them.
type waiter struct {
	n     int64
	ready chan struct{}
}

func newBudget(n int64) *budget { return &budget{free: n} }

// take waits until there are n bytes, or ctx is done. n is at most what newBudget got.
func (b *budget) take(ctx context.Context, n int64) error {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free >= n {
		b.free -= n
		b.mu.Unlock()
		return nil
	}
	w := &waiter{n, make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, w)
	if i < 0 { // it was given them just now
		return nil
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	b.serve() // who comes after may need less
	return ctx.Err()
}

// give gives bytes back.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.serve()
}

// serve gives those who wait what there is. The caller holds mu.
func (b *budget) serve() {
	for len(b.waiting) > 0 && b.free >= b.waiting[0].n {
		b.free -= b.waiting[0].n
		close(b.waiting[0].ready)
		b.waiting = slices.Delete(b.waiting, 0, 1)
	}
}
