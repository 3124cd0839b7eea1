package dataplane

import (
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// track asks the session's state machine about a frame, and reports whether the
// frame goes on and counts for v.Entry[i].
func (w *Worker) track(v *Vector, i int, id flowtable.ID) bool {
	in := &v.Info[i]
	if in.Has(packet.ICMPError) {
		if r := w.flows.TrackError(id, in, v.Frame(i), v.Now); r != packet.None {
			v.Drop(i, r)
			return false
		}
		return true
	}
	r, reopened := w.flows.Track(id, in, v.Frame(i), v.Now)
	if r != packet.None {
		v.Drop(i, r)
		return false
	}
	if reopened {
		// A new connection on the tuple of one that is over: it is decided
		// like any first packet.
		v.Entry[i] = 0
		v.Hit &^= 1 << i
		w.decide(v, i)
		return v.Live&(1<<i) != 0 && v.Entry[i] != 0
	}
	return true
}
