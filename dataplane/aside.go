package dataplane

import (
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Frames that are put aside (a fragment without its first one, a packet whose
// next hop is being asked for) leave the vector as held and come back here.

// Release takes back a held frame: it goes through the pipeline again at the
// end of this turn.
func (w *Worker) Release(b packet.Index) {
	count(&w.counters[w.arena.Meta(b).InPort].released, 1)
	w.again = append(w.again, b)
}

// Discard takes back a held frame and drops it.
func (w *Worker) Discard(b packet.Index, r packet.Reason) {
	count(&w.counters[w.arena.Meta(b).InPort].released, 1)
	w.drop(b, r)
}

// processReleased runs a vector of released frames that came in by one port.
func (w *Worker) processReleased(now int64) {
	v := &w.vector
	in := w.arena.Meta(w.again[0]).InPort
	n := 0
	for n < len(w.again) && n < VectorSize && w.arena.Meta(w.again[n]).InPort == in {
		v.Buf[n] = w.again[n]
		n++
	}
	w.again = w.again[:copy(w.again, w.again[n:])]
	config := w.snap.Port(in)
	if config == nil {
		for _, b := range v.Buf[:n] {
			w.drop(b, packet.PortUnknown)
		}
		return
	}
	w.load(config, n)
	w.process(config, n, now, true)
}

// fragment asks the tracker about a fragment.
func (w *Worker) fragment(v *Vector, i int) {
	w.arena.Meta(v.Buf[i]).Zone = v.Zone[i]
	verdict, n, reason := w.frags.Offer(v.Buf[i], &v.Info[i], v.Frame(i), v.Now, &w.releases)
	switch verdict {
	case flowtable.FragmentHeld:
		v.Live &^= 1 << i
		count(&w.counters[v.In.Number].held, 1)
	case flowtable.FragmentDrop:
		v.Drop(i, reason)
	}
	for _, b := range w.releases[:n] {
		w.Release(b)
	}
}

// expireFragments drops fragments that have waited long enough.
func (w *Worker) expireFragments(now int64) {
	if w.frags.Held() == 0 {
		return
	}
	n := w.frags.Expire(now, w.expired[:])
	for _, b := range w.expired[:n] {
		w.Discard(b, packet.FragmentNoFirst)
	}
}

// Refuse accounts for frames that a port's device has and that no buffer
// takes: received and dropped, so that the books know of them.
func (w *Worker) Refuse(port uint16, packets, bytes int, r packet.Reason) {
	c := &w.counters[port]
	count(&c.rxPackets, packets)
	count(&c.rxBytes, bytes)
	count(&c.drops[r], packets)
}

// Generate makes a frame of n bytes, to be filled in and sent by Send; 0 if
// there is no buffer. in is the port to which its being made is attributed.
func (w *Worker) Generate(n int, in uint16) (packet.Index, []byte) {
	b := w.cache.AllocFor(n)
	if b == 0 {
		return 0, nil
	}
	meta := w.arena.Meta(b)
	meta.Len, meta.InPort = uint32(n), in
	return b, w.arena.Frame(b)
}

// Send sends a frame made by Generate out of a port, after the vector's frames
// that were sent before it.
func (w *Worker) Send(port uint16, b packet.Index, tags Tags) {
	count(&w.counters[w.arena.Meta(b).InPort].generated, 1)
	w.enqueue(port, b, tags)
}

// SendReplica is Send for a frame that stands for a part of the one being decided
// (an IP fragment, a copy): counted as replicated.
func (w *Worker) SendReplica(port uint16, b packet.Index, tags Tags) {
	count(&w.counters[w.arena.Meta(b).InPort].replicated, 1)
	w.enqueue(port, b, tags)
}
