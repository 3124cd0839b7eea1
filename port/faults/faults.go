// Package faults damages the frames that a port receives, the same way every
// time: a bad network for tests.
package faults

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Config says what happens to received frames. Probabilities are per frame,
// from 0 to 1, and independent: a frame may be cut, corrupted, duplicated and
// reordered. A lost one is only lost.
type Config struct {
	Seed uint64 // with the number of the queue it makes that queue's random numbers

	Loss      float64
	Truncate  float64 // the frame keeps a random part from its start, maybe nothing
	Corrupt   float64 // one random bit is inverted
	Duplicate float64 // the frame comes twice
	Reorder   float64 // the frame comes later

	// ReorderDepth is by how many frames at most a frame is late, and how many
	// frames may be held at once; default 4. An empty poll counts as a frame, so
	// that held frames come at last.
	ReorderDepth int
}

// batch is the most frames taken from the port at once.
const batch = 64

// Counters say what has happened. Frames that the wrapped port has given, and
// copies, are delivered, lost, or held still:
//
//	Received + Duplicated = Delivered + Lost + Held
type Counters struct {
	Received  uint64 // from the wrapped port
	Delivered uint64 // to the caller of Rx

	Lost       uint64
	Truncated  uint64
	Corrupted  uint64
	Duplicated uint64
	Reordered  uint64
	NoBuffer   uint64 // not duplicated for want of a buffer

	Held uint64 // now
}

// Port is a wrapped port. It sends undamaged.
type Port struct {
	inner  dataplane.Port
	cfg    Config
	queues []queue
}

// queue is the state of a receive queue; only the worker that polls it uses it,
// but for the counters.
type queue struct {
	rng   *rand.Rand
	in    [batch]packet.Index
	ready []packet.Index // to be delivered, oldest first
	held  []held         // in the order in which they were held back

	received, delivered, lost, truncated, corrupted, duplicated, reordered, noBuffer atomic.Uint64
}

// held is a frame that comes later.
type held struct {
	buf   packet.Index
	after int // frames that go first
}

// New wraps a port, with as many receive queues as it has now.
func New(port dataplane.Port, cfg Config) (*Port, error) {
	for _, p := range []struct {
		name  string
		value float64
	}{
		{"loss", cfg.Loss},
		{"truncate", cfg.Truncate},
		{"corrupt", cfg.Corrupt},
		{"duplicate", cfg.Duplicate},
		{"reorder", cfg.Reorder},
	} {
		if !(p.value >= 0 && p.value <= 1) { // NaN is neither
			return nil, fmt.Errorf("faults: %s %g: want a probability from 0 to 1", p.name, p.value)
		}
	}
	if cfg.ReorderDepth < 0 {
		return nil, fmt.Errorf("faults: reorder depth %d: want 0 for the default or a positive number", cfg.ReorderDepth)
	}
	if cfg.ReorderDepth == 0 {
		cfg.ReorderDepth = 4
	}
	p := &Port{inner: port, cfg: cfg, queues: make([]queue, max(port.Caps().Queues, 1))}
	for i := range p.queues {
		q := &p.queues[i]
		q.rng = rand.New(rand.NewPCG(cfg.Seed, uint64(i)))
		q.held = make([]held, 0, cfg.ReorderDepth)
		q.ready = make([]packet.Index, 0, 2*batch+cfg.ReorderDepth)
	}
	return p, nil
}

// Rx receives from the wrapped port and gives what is left of it. What happens
// to a frame depends on its place in the queue's sequence, not on the vectors in
// which it was received.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if q >= len(p.queues) {
		return 0
	}
	s := &p.queues[q]
	n := s.deliver(bufs)
	if n == len(bufs) {
		return n
	}
	got := p.inner.Rx(q, c, s.in[:min(len(bufs)-n, batch)])
	for _, b := range s.in[:got] {
		s.receive(&p.cfg, c, b)
	}
	s.received.Add(uint64(got))
	if got == 0 {
		s.pass()
	}
	return n + s.deliver(bufs[n:])
}

// deliver moves frames that are ready to bufs.
func (s *queue) deliver(bufs []packet.Index) int {
	n := copy(bufs, s.ready)
	s.ready = s.ready[:copy(s.ready, s.ready[n:])]
	s.delivered.Add(uint64(n))
	return n
}

// receive decides what becomes of a frame. Each takes the same number of
// decisions, so that one fault's probability does not change who suffers another.
func (s *queue) receive(cfg *Config, c *packet.Cache, b packet.Index) {
	lost := s.rng.Float64() < cfg.Loss
	truncated := s.rng.Float64() < cfg.Truncate
	corrupted := s.rng.Float64() < cfg.Corrupt
	duplicated := s.rng.Float64() < cfg.Duplicate
	reordered := s.rng.Float64() < cfg.Reorder
	where, after := s.rng.Uint64(), 1+s.rng.IntN(cfg.ReorderDepth)

	if lost {
		s.lost.Add(1)
		c.Free(b)
		s.pass()
		return
	}
	if m := c.Arena().Meta(b); m.Len > 0 {
		if truncated {
			s.truncated.Add(1)
			m.Len = uint32(where % uint64(m.Len))
			// No device describes a header that the frame has not got.
			m.CsumPartial, m.CsumValid, m.GSOType = false, false, packet.GSONone
		}
		if corrupted && m.Len > 0 {
			s.corrupted.Add(1)
			m.CsumValid = false
			bit := (where >> 32) % (uint64(m.Len) * 8)
			c.Arena().Frame(b)[bit/8] ^= 1 << (bit % 8)
		}
	}
	if duplicated {
		if d := c.Clone(b); d != 0 {
			s.duplicated.Add(1)
			s.ready = append(s.ready, d)
		} else {
			s.noBuffer.Add(1)
		}
	}
	if reordered && len(s.held) < cap(s.held) {
		s.reordered.Add(1)
		s.pass()
		s.held = append(s.held, held{b, after})
		return
	}
	s.ready = append(s.ready, b)
	s.pass()
}

// pass lets held frames come one frame nearer.
func (s *queue) pass() {
	kept := s.held[:0]
	for _, h := range s.held {
		if h.after--; h.after == 0 {
			s.ready = append(s.ready, h.buf)
		} else {
			kept = append(kept, h)
		}
	}
	s.held = kept
}

// Tx sends by the wrapped port.
func (p *Port) Tx(q int, c *packet.Cache, bufs []packet.Index) int { return p.inner.Tx(q, c, bufs) }

// Caps returns the wrapped port's, with the queues it had when it was wrapped.
func (p *Port) Caps() dataplane.Caps {
	caps := p.inner.Caps()
	caps.Queues = len(p.queues)
	return caps
}

// Counters returns the sums over all queues. While workers poll, Held may be
// off by what is on its way.
func (p *Port) Counters() (sum Counters) {
	for i := range p.queues {
		q := &p.queues[i]
		sum.Received += q.received.Load()
		sum.Delivered += q.delivered.Load()
		sum.Lost += q.lost.Load()
		sum.Truncated += q.truncated.Load()
		sum.Corrupted += q.corrupted.Load()
		sum.Duplicated += q.duplicated.Load()
		sum.Reordered += q.reordered.Load()
		sum.NoBuffer += q.noBuffer.Load()
	}
	sum.Held = sum.Received + sum.Duplicated - sum.Delivered - sum.Lost
	return sum
}
