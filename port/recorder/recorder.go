// Package recorder keeps a copy of what passes a port.
package recorder

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Writer takes copies of frames: a pcap.Writer, or a pcap.Stream, which adds the
// direction. origLen is the frame's length, len(data) what is kept of it.
type Writer interface {
	Write(t int64, data []byte, origLen int) error
}

// Config makes a Port.
type Config struct {
	Rx Writer // of frames received; nil: they are not recorded
	Tx Writer // of frames sent; may be the same as Rx

	Clock   func() int64 // time in nanoseconds since 1970; asked once a vector
	SnapLen int          // bytes that are kept of each frame; 0 is all
}

// Counters say what has been recorded.
type Counters struct {
	Rx, Tx uint64 // frames written
	Missed uint64 // frames that passed after recording had ended
}

// Port is a wrapped port. Recording is for debugging: a lock makes the queues
// take turns. When a writer fails recording ends, and the port goes on.
type Port struct {
	inner dataplane.Port
	cfg   Config

	ended          atomic.Bool
	rx, tx, missed atomic.Uint64

	mu     sync.Mutex // of all below, and of the writers
	err    error
	kept   []byte // copies of frames that are being sent
	bounds []bound
}

// bound is a frame in kept.
type bound struct{ end, origLen int }

// New wraps a port. It panics if a clock is missing.
func New(port dataplane.Port, cfg Config) *Port {
	if cfg.Clock == nil && (cfg.Rx != nil || cfg.Tx != nil) {
		panic("recorder: no clock")
	}
	return &Port{inner: port, cfg: cfg}
}

// Rx receives and records.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	n := p.inner.Rx(q, c, bufs)
	if n == 0 || p.cfg.Rx == nil {
		return n
	}
	if p.ended.Load() {
		p.missed.Add(uint64(n))
		return n
	}
	a, t := c.Arena(), p.cfg.Clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range bufs[:n] {
		frame := a.Frame(b)
		if !p.write(p.cfg.Rx, &p.rx, t, p.cut(frame), len(frame)) {
			p.missed.Add(uint64(n - i))
			break
		}
	}
	return n
}

// Tx sends and records what the wrapped port has taken. The frames belong to it
// then, so copies are made before.
func (p *Port) Tx(q int, c *packet.Cache, bufs []packet.Index) int {
	if p.cfg.Tx == nil || len(bufs) == 0 {
		return p.inner.Tx(q, c, bufs)
	}
	if p.ended.Load() {
		n := p.inner.Tx(q, c, bufs)
		p.missed.Add(uint64(n))
		return n
	}
	a, t := c.Arena(), p.cfg.Clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.bounds = p.kept[:0], p.bounds[:0]
	for _, b := range bufs {
		frame := a.Frame(b)
		p.kept = append(p.kept, p.cut(frame)...)
		p.bounds = append(p.bounds, bound{len(p.kept), len(frame)})
	}
	n := p.inner.Tx(q, c, bufs)
	start := 0
	for i, f := range p.bounds[:n] {
		if !p.write(p.cfg.Tx, &p.tx, t, p.kept[start:f.end], f.origLen) {
			p.missed.Add(uint64(n - i))
			break
		}
		start = f.end
	}
	return n
}

// cut returns what is kept of a frame.
func (p *Port) cut(frame []byte) []byte {
	if p.cfg.SnapLen > 0 {
		return frame[:min(len(frame), p.cfg.SnapLen)]
	}
	return frame
}

// write records a frame; it reports false if recording has ended.
func (p *Port) write(w Writer, count *atomic.Uint64, t int64, data []byte, origLen int) bool {
	if p.err != nil {
		return false // it ended while this queue waited for its turn
	}
	if p.err = w.Write(t, data, origLen); p.err != nil {
		p.ended.Store(true)
		return false
	}
	count.Add(1)
	return true
}

// Caps returns the wrapped port's.
func (p *Port) Caps() dataplane.Caps { return p.inner.Caps() }

// Counters returns what has been recorded.
func (p *Port) Counters() Counters {
	return Counters{Rx: p.rx.Load(), Tx: p.tx.Load(), Missed: p.missed.Load()}
}

// Err returns the error that ended the recording: a writer's, or ErrStopped. It is
// nil while frames are recorded.
func (p *Port) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// ErrStopped ends a recording by intention; see Stop.
var ErrStopped = errors.New("recording was stopped")

// Stop ends the recording. The writers are not used after it returns.
func (p *Port) Stop() {
	p.ended.Store(true)
	p.mu.Lock()
	if p.err == nil {
		p.err = ErrStopped
	}
	p.mu.Unlock()
}
