package vnet

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// Kits are the Kits of all workers: one object for all ports of a node. The
// zero Kits is ready for use, by any goroutine.
type Kits struct {
	mu   sync.Mutex // held to make a Kit
	kits sync.Map   // *packet.Cache to its *Kit
}

// For returns the Kit of the worker that c belongs to; the first call makes it.
func (s *Kits) For(c *packet.Cache) *Kit {
	if k, found := s.kits.Load(c); found {
		return k.(*Kit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, _ := s.kits.LoadOrStore(c, NewKit(c))
	return k.(*Kit)
}

// Release gives the buffers of c's Kit back to c: before c is flushed for good.
// It is for the worker that c belongs to, or for others once that has stopped.
// The Kit may be used again.
func (s *Kits) Release(c *packet.Cache) {
	if k, found := s.kits.Load(c); found {
		k.(*Kit).Disarm()
	}
}

// Close is Release of all Kits, once all workers have stopped.
func (s *Kits) Close() {
	s.kits.Range(func(_, k any) bool {
		k.(*Kit).Disarm()
		return true
	})
}

// Hint remembers the last Kit that was asked for, in a port's queue: the same
// worker asks nearly always.
type Hint struct{ last atomic.Pointer[Kit] }

// For is s.For(c).
func (h *Hint) For(s *Kits, c *packet.Cache) *Kit {
	if k := h.last.Load(); k != nil && k.cache == c {
		return k
	}
	k := s.For(c)
	h.last.Store(k)
	return k
}
