package dataplane

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
)

// counters are one worker's counts about one port, written by that worker alone.
// All but tx are attributed to the port a frame came in by, so that the books
// balance for each port.
type counters struct {
	rxPackets, rxBytes uint64
	txPackets, txBytes uint64 // frames sent out of this port

	forwarded  uint64 // frames from this port that some port has taken
	generated  uint64 // frames made here in answer to one from this port
	replicated uint64 // copies made of frames from this port
	consumed   uint64 // frames answered or used here
	held       uint64 // frames put aside: fragments, frames that wait for a neighbour
	released   uint64 // and taken up again

	drops [packet.NumReasons]uint64
	_     [7]uint64 // keeps two ports' counters off one line
}

// Counters are the counts of a port over all workers.
type Counters struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64

	Forwarded, Generated, Replicated, Consumed, Held, Released uint64

	Drops [packet.NumReasons]uint64
}

func (c *Counters) add(w *counters) {
	from := w.all()
	for i, sum := range c.all() {
		*sum += atomic.LoadUint64(from[i])
	}
	for r := range w.drops {
		c.Drops[r] += atomic.LoadUint64(&w.drops[r])
	}
}

func (c *Counters) subtract(base *Counters) {
	from := base.all()
	for i, sum := range c.all() {
		*sum -= *from[i]
	}
	for r := range base.Drops {
		c.Drops[r] -= base.Drops[r]
	}
}

// all lists what is counted besides drops, in one order for both types.
func (c *Counters) all() [10]*uint64 {
	return [...]*uint64{
		&c.RxPackets, &c.RxBytes, &c.TxPackets, &c.TxBytes, &c.Forwarded,
		&c.Generated, &c.Replicated, &c.Consumed, &c.Held, &c.Released,
	}
}

func (c *counters) all() [10]*uint64 {
	return [...]*uint64{
		&c.rxPackets, &c.rxBytes, &c.txPackets, &c.txBytes, &c.forwarded,
		&c.generated, &c.replicated, &c.consumed, &c.held, &c.released,
	}
}

// Dropped is the sum over all reasons.
func (c *Counters) Dropped() (n uint64) {
	for _, d := range c.Drops {
		n += d
	}
	return n
}

// Ledger balances what came with what became of it.
type Ledger struct {
	Received    uint64 `json:"received"`
	Generated   uint64 `json:"generated"`
	Replicated  uint64 `json:"replicated"`
	Transmitted uint64 `json:"transmitted"`
	Dropped     uint64 `json:"dropped"`
	Consumed    uint64 `json:"consumed"`
	Queued      int64  `json:"queued"`      // put aside just now
	Unexplained int64  `json:"unexplained"` // 0, or a frame was lost without a reason
}

// Ledger returns the books of the frames that came in by this port.
func (c *Counters) Ledger() Ledger {
	l := Ledger{
		Received: c.RxPackets, Generated: c.Generated, Replicated: c.Replicated,
		Transmitted: c.Forwarded, Dropped: c.Dropped(), Consumed: c.Consumed,
		Queued: int64(c.Held - c.Released),
	}
	l.Unexplained = int64(l.Received+l.Generated+l.Replicated-l.Transmitted-l.Dropped-l.Consumed) - l.Queued
	return l
}

// Add adds the books of another port.
func (l *Ledger) Add(o Ledger) {
	l.Received += o.Received
	l.Generated += o.Generated
	l.Replicated += o.Replicated
	l.Transmitted += o.Transmitted
	l.Dropped += o.Dropped
	l.Consumed += o.Consumed
	l.Queued += o.Queued
	l.Unexplained += o.Unexplained
}

func count(p *uint64, n int) { relaxed.Add(p, uint64(n)) }
