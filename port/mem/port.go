// Package mem makes ports of memory: Port, which tests fill and read, and
// Generator and Sink, between which benchmarks run.
package mem

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Config makes a Port. The zero Config has one queue and no limits.
type Config struct {
	Queues     int // default 1
	RxCapacity int // frames that wait in a receive queue before Inject refuses; 0 is no limit
	TxCapacity int // frames that a transmit queue takes before Sent empties it; 0 is no limit

	MTU         int // these three are reported by Caps
	CsumPartial bool
	GSO         bool
}

// Frame is a frame at the wire side of a Port.
type Frame struct {
	Data  []byte
	Queue int
	Meta  packet.Meta // offload fields only; Off, Len and InPort mean nothing
}

// Port is a device whose wire is in the hands of a test: it injects what the
// port receives and collects what it sends. All methods may be called by any
// goroutine at any time. A new Port is up.
type Port struct {
	cfg    Config
	down   atomic.Bool
	queues []queue
}

// queue is a receive and a transmit queue.
type queue struct {
	mu sync.Mutex
	rx []Frame
	tx []Frame
}

// New makes a port.
func New(cfg Config) *Port {
	cfg.Queues = max(cfg.Queues, 1)
	return &Port{cfg: cfg, queues: make([]queue, cfg.Queues)}
}

// Inject puts copies of frames into receive queue 0, in order, and returns how
// many found room.
func (p *Port) Inject(frames ...[]byte) int {
	for i, f := range frames {
		if !p.InjectFrame(Frame{Data: f}) {
			return i
		}
	}
	return len(frames)
}

// InjectFrame puts a copy of a frame with its offload fields into the receive
// queue that it names; it reports false if there is no room.
func (p *Port) InjectFrame(f Frame) bool {
	q := &p.queues[f.Queue]
	f.Data = bytes.Clone(f.Data)
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.cfg.RxCapacity > 0 && len(q.rx) >= p.cfg.RxCapacity {
		return false
	}
	q.rx = append(q.rx, f)
	return true
}

// Waiting returns how many injected frames have not been received.
func (p *Port) Waiting() (n int) {
	for i := range p.queues {
		q := &p.queues[i]
		q.mu.Lock()
		n += len(q.rx)
		q.mu.Unlock()
	}
	return n
}

// Sent returns the frames sent since the last call, by queue, each queue's in
// order, and makes room for as many.
func (p *Port) Sent() (frames []Frame) {
	for i := range p.queues {
		q := &p.queues[i]
		q.mu.Lock()
		frames = append(frames, q.tx...)
		q.tx = nil
		q.mu.Unlock()
	}
	return frames
}

// SetUp sets the link state. A port that is down neither receives nor sends;
// what waits in its queues stays.
func (p *Port) SetUp(up bool) { p.down.Store(!up) }

// Rx gives injected frames. One that is longer than any buffer stays, and all
// behind it.
func (p *Port) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if q >= len(p.queues) || p.down.Load() {
		return 0
	}
	s := &p.queues[q]
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < min(len(bufs), len(s.rx)) {
		f := &s.rx[n]
		b := c.AllocFor(len(f.Data))
		if b == 0 {
			break
		}
		m := c.Arena().Meta(b)
		off := m.Off
		*m = f.Meta
		m.Off, m.Len, m.InPort = off, uint32(len(f.Data)), 0
		copy(c.Arena().Frame(b), f.Data)
		bufs[n] = b
		n++
	}
	s.rx = s.rx[n:]
	return n
}

// Tx collects copies of frames. Queue numbers beyond the port's share its queues.
func (p *Port) Tx(q int, c *packet.Cache, bufs []packet.Index) int {
	if p.down.Load() {
		return 0
	}
	q %= len(p.queues)
	s := &p.queues[q]
	s.mu.Lock()
	n := len(bufs)
	if p.cfg.TxCapacity > 0 {
		n = min(n, max(p.cfg.TxCapacity-len(s.tx), 0))
	}
	for _, b := range bufs[:n] {
		s.tx = append(s.tx, Frame{Data: bytes.Clone(c.Arena().Frame(b)), Queue: q, Meta: *c.Arena().Meta(b)})
	}
	s.mu.Unlock()
	c.FreeN(bufs[:n])
	return n
}

// Caps returns what Config says and the link state.
func (p *Port) Caps() dataplane.Caps {
	return dataplane.Caps{
		Queues: len(p.queues), MTU: p.cfg.MTU, Up: !p.down.Load(),
		CsumPartial: p.cfg.CsumPartial, GSO: p.cfg.GSO,
	}
}
