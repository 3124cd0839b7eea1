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

// Counters are the counts of a port since it was added, over all workers.
type Counters struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64

	Forwarded, Generated, Replicated, Consumed, Held, Released uint64

	Drops [packet.NumReasons]uint64
}

func (c *Counters) add(w *counters) {
	for _, p := range []struct {
		sum *uint64
		n   *uint64
	}{
		{&c.RxPackets, &w.rxPackets},
		{&c.RxBytes, &w.rxBytes},
		{&c.TxPackets, &w.txPackets},
		{&c.TxBytes, &w.txBytes},
		{&c.Forwarded, &w.forwarded},
		{&c.Generated, &w.generated},
		{&c.Replicated, &w.replicated},
		{&c.Consumed, &w.consumed},
		{&c.Held, &w.held},
		{&c.Released, &w.released},
	} {
		*p.sum += atomic.LoadUint64(p.n)
	}
	for r := range w.drops {
		c.Drops[r] += atomic.LoadUint64(&w.drops[r])
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
