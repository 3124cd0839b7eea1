package route

import (
	"math/bits"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// learnable reports whether an address may be learned at a port: the segment
// learns, and the address is neither the router's nor bound.
func (f *Forwarder) learnable(m *member, seg *segment, mac uint64) bool {
	if !m.learning.Enabled || f.ports[m.port].guard {
		return false
	}
	if _, bound := seg.stations[mac]; bound {
		return false
	}
	return !seg.routed(packet.MACFromWord(mac))
}

// learn notes where the source address of a frame is. It returns why the frame is
// to be dropped, or None.
func (f *Forwarder) learn(d *dataplane.Decision, seg *segment, m *member, mac uint64) packet.Reason {
	if f.state.macs.use(d.Zone, mac, m.port, d.Now) {
		return packet.None
	}
	if !f.learnable(m, seg, mac) {
		return packet.None
	}
	what, port := f.state.macs.learn(f, m, d.Zone, mac, d.Now)
	switch what {
	case lessonHeld:
		return packet.MACConflict
	case lessonLimited:
		if m.learning.Drop {
			return packet.MACLimit
		}
	case lessonMoved:
		f.macMoved(d.Zone, packet.MACFromWord(mac), port)
		if port != m.port {
			return packet.MACConflict
		}
	}
	return packet.None
}

// Refresh notes that the sources of live flows are in use. Frames may have left
// by now: the addresses are those that the flow's permit is tied to.
func (x refresher) Refresh(w *dataplane.Worker, v *dataplane.Vector, set uint64) {
	f := x.f
	for m := set; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m) & 63
		id := v.Entry[i]
		if id == 0 {
			continue // decided meanwhile, and without a session
		}
		e := w.Table().Entry(id)
		link0, link1 := e.Link()
		mac := link0>>48 | link1&(1<<32-1)<<16
		f.state.macs.use(v.Zone[i], mac, uint16(link1>>32), v.Now)
		f.confirm(v.Zone[i], v.Info[i].Key.Src, packet.MACFromWord(mac), v.Now)
		hop, _ := e.Hop()
		f.hopInUse(hop, v.Now)
	}
}

// tickInterval is the time between two turns of what is due.
const tickInterval = 10e6

// Tick does what is due: it forgets addresses that have aged, a few at a time,
// and asks again for neighbours. A Forwarder is a dataplane.Ticker; all workers
// call this every turn, and it returns at once but for one of them every 10 ms.
func (f *Forwarder) Tick(w *dataplane.Worker, now int64) {
	due := f.state.nextTick.Load()
	if now < due || !f.state.nextTick.CompareAndSwap(due, now+tickInterval) {
		return
	}
	var gone [sweepSize]stationKey
	f.macsGone(gone[:f.state.macs.sweep(now, &gone)])
	f.tickRouters(w, now)
	f.announceDue(w, now)
}
