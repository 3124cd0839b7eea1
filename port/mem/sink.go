package mem

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Sink is a port where frames end: it receives nothing, and frees and counts
// what it is to send.
type Sink struct {
	queues []sinkQueue
}

type sinkQueue struct {
	sent atomic.Uint64
	_    [lineSize - 8]byte // each is written by another worker
}

// NewSink makes a Sink for so many workers.
func NewSink(queues int) *Sink { return &Sink{make([]sinkQueue, max(queues, 1))} }

// Rx gives nothing.
func (s *Sink) Rx(int, *packet.Cache, []packet.Index) int { return 0 }

// Tx takes all frames, frees them and counts them. Queue numbers beyond the
// port's share its counters.
func (s *Sink) Tx(q int, c *packet.Cache, bufs []packet.Index) int {
	s.queues[q%len(s.queues)].sent.Add(uint64(len(bufs)))
	c.FreeN(bufs)
	return len(bufs)
}

// Caps returns a port that is always up.
func (s *Sink) Caps() dataplane.Caps { return dataplane.Caps{Queues: len(s.queues), Up: true} }

// Sent returns how many frames were taken.
func (s *Sink) Sent() (n uint64) {
	for i := range s.queues {
		n += s.queues[i].sent.Load()
	}
	return n
}
