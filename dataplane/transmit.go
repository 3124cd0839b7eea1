package dataplane

import (
	"github.com/sluice-net/sluice/packet"
)

// txQueue collects a worker's frames for one port until the end of the vector.
type txQueue struct {
	n     int
	bytes int
	from  uint16 // port the frames came in by
	mixed bool   // not all of them came in by from
	work  bool   // some are super-frames, or have partial checksums
	outer bool   // some are super-frames in another IP packet, which no device takes
	bufs  [VectorSize]packet.Index
}

// transmit sends each frame to its hop. What is ordinary (one receiver, no tags, a
// queue that frames of this vector are in) is one well-predicted branch.
func transmit(w *Worker, v *Vector) {
	in := v.In.Number
	for m := v.Hit & v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		v.at = i
		h := &v.hop[i]
		// The frame leaves the vector here: whatever happens from now on is
		// accounted for by enqueue and flush.
		v.Live &^= 1 << i
		port := h.port()
		if v.Special>>i&1|h.w1>>48&uint64(HopFlood)|h.w2>>16 == 0 && int(port) < len(w.tx) {
			if q := &w.tx[port]; q.n != 0 && q.from == in {
				q.bufs[q.n&(VectorSize-1)] = v.Buf[i]
				q.n++
				q.bytes += int(v.Len[i])
				if q.n == VectorSize {
					w.flush(port)
				}
				continue
			}
		}
		if h.flags()&HopFlood != 0 {
			w.flood(v, i, port)
			continue
		}
		w.enqueue(port, v.Buf[i], h.tags())
	}
}

// enqueue puts a frame on a port's transmit queue of this worker and takes
// ownership.
func (w *Worker) enqueue(port uint16, b packet.Index, tags Tags) {
	config := w.snap.Port(port)
	if config == nil {
		w.drop(b, packet.PortUnknown)
		return
	}
	if tags != (Tags{}) && !w.push(b, tags, &config.VLAN) {
		w.drop(b, packet.FrameTooLong)
		return
	}
	q, meta := &w.tx[port], w.arena.Meta(b)
	if q.n == 0 {
		w.dirty = append(w.dirty, port)
		q.from, q.mixed, q.work, q.outer = meta.InPort, false, false, false
	}
	q.bufs[q.n&(VectorSize-1)] = b
	q.n++
	q.bytes += int(meta.Len)
	q.mixed = q.mixed || q.from != meta.InPort
	q.work = q.work || meta.CsumPartial || meta.GSOType != packet.GSONone
	q.outer = q.outer || meta.Outer != 0
	if q.n == VectorSize {
		w.flush(port)
	}
}

// flood sends copies of frame i to all receivers of a list but the port it
// came from; the last one gets the frame itself. A receiver that must not have
// its copy is one that was made and dropped.
func (w *Worker) flood(v *Vector, i int, list uint16) {
	b := v.Buf[i]
	var last *FloodTarget
	var targets []FloodTarget
	if int(list) < len(v.Snap.Floods) {
		targets = v.Snap.Floods[list]
	}
	refused := packet.NoDestination
	for t := range targets {
		target := &targets[t]
		config := v.Snap.Port(target.Port)
		if target.Port == v.In.Number || config == nil || (target.GroupOnly && v.Group&(1<<i) == 0) {
			continue
		}
		if r := w.admits(v, i, config); r != packet.None {
			if refused != packet.NoDestination {
				count(&w.counters[v.In.Number].replicated, 1)
				count(&w.counters[v.In.Number].drops[refused], 1)
			}
			refused = r
			continue
		}
		if last != nil {
			w.replicate(b, last, v.In.Number)
		}
		last = target
	}
	if last == nil {
		w.dropInfo(b, &v.Info[i], refused)
		return
	}
	if refused != packet.NoDestination {
		count(&w.counters[v.In.Number].replicated, 1)
		count(&w.counters[v.In.Number].drops[refused], 1)
	}
	w.enqueue(last.Port, b, last.Tags)
}

// admits says whether a port gets its copy of flooded frame i.
func (w *Worker) admits(v *Vector, i int, to *PortConfig) packet.Reason {
	in := &v.Info[i]
	limit := to.Storm.TxMulticast
	if in.Has(packet.ToBroadcast) {
		limit = to.Storm.TxBroadcast
	}
	if to.MTU != 0 && in.IPLen > uint32(to.MTU) && SegmentLen(w.arena.Meta(v.Buf[i]), in, v.Frame(i)) > uint32(to.MTU) {
		return packet.FrameTooLong
	}
	for _, a := range v.Snap.Admit {
		if r := a.Admit(w, in, v.Frame(i), v.In.Number, to.Number); r != packet.None {
			return r
		}
	}
	if limit != nil && !limit.Take(v.Now) {
		return packet.StormControl
	}
	return packet.None
}

// replicate sends a copy of a frame. A copy that finds no buffer is counted as
// made and dropped.
func (w *Worker) replicate(b packet.Index, t *FloodTarget, in uint16) {
	count(&w.counters[in].replicated, 1)
	c := w.cache.Clone(b)
	if c == 0 {
		count(&w.counters[in].drops[packet.NoBuffer], 1)
		return
	}
	w.enqueue(t.Port, c, t.Tags)
}

// flush hands a transmit queue to the device. What it does not take is dropped:
// waiting here would let one slow port stop all others.
func (w *Worker) flush(port uint16) {
	q := &w.tx[port]
	n, bytes := q.n, q.bytes
	if n == 0 {
		return
	}
	q.n, q.bytes = 0, 0
	bufs := q.bufs[:n]
	config := w.snap.Port(port)
	switch {
	case config == nil:
		for _, b := range bufs {
			w.drop(b, packet.PortUnknown)
		}
	case q.outer || q.work && !(config.Caps.CsumPartial && config.Caps.GSO):
		w.flushSoftware(port, config, bufs)
	case q.mixed:
		for _, b := range bufs {
			w.sendOne(port, config, b)
		}
	default:
		w.send(port, config, bufs, bytes, q.from)
	}
}

// sendOne is send for a single frame.
func (w *Worker) sendOne(port uint16, config *PortConfig, b packet.Index) {
	w.one[0] = b
	meta := w.arena.Meta(b)
	w.send(port, config, w.one[:], int(meta.Len), meta.InPort)
}

// send hands frames to the device and counts. All came in by port from;
// together they have so many bytes.
func (w *Worker) send(port uint16, config *PortConfig, bufs []packet.Index, bytes int, from uint16) {
	out := &w.counters[port]
	count(&w.counters[from].forwarded, len(bufs))
	count(&out.txPackets, len(bufs))
	count(&out.txBytes, bytes)
	if len(w.snap.Taps) != 0 {
		w.tellSent(port, bufs)
	}
	n, crashed := w.transmitTo(config, bufs)
	if n == len(bufs) {
		return
	}
	// The frames were counted as sent because their buffers are the device's
	// once it has taken them; take the rest back.
	reason := packet.TxQueueFull
	switch {
	case crashed:
		reason = packet.InternalError
	case !config.Port.Caps().Up:
		reason = packet.PortDown
	}
	for _, b := range bufs[n:] {
		meta := w.arena.Meta(b)
		count(&out.txPackets, -1)
		count(&out.txBytes, -int(meta.Len))
		count(&w.counters[meta.InPort].forwarded, -1)
		if crashed {
			count(&w.counters[meta.InPort].drops[reason], 1)
			continue
		}
		w.drop(b, reason)
	}
}

// flushSoftware finishes checksums and cuts super-frames for a device that
// does not. Segments count as copies of the frame they come from.
func (w *Worker) flushSoftware(port uint16, config *PortConfig, bufs []packet.Index) {
	for _, b := range bufs {
		meta := w.arena.Meta(b)
		switch {
		case meta.GSOType != packet.GSONone && (!config.Caps.GSO || meta.Outer != 0):
			w.sendSegments(port, config, b)
			continue
		case meta.CsumPartial && !config.Caps.CsumPartial:
			packet.CompleteIfPartial(w.arena.Frame(b), meta)
		}
		w.sendOne(port, config, b)
	}
}

func (w *Worker) sendSegments(port uint16, config *PortConfig, b packet.Index) {
	in := w.arena.Meta(b).InPort
	n, r := packet.Segment(w.cache, b, w.segments[:])
	if r != packet.None {
		w.drop(b, r)
		return
	}
	count(&w.counters[in].replicated, n-1)
	for segments := w.segments[:n]; len(segments) > 0; {
		some := segments[:min(VectorSize, len(segments))]
		bytes := 0
		for _, s := range some {
			meta := w.arena.Meta(s)
			meta.InPort = in
			bytes += int(meta.Len)
		}
		w.send(port, config, some, bytes, in)
		segments = segments[len(some):]
	}
}

// maxSegments is a 64 KiB super-frame of the smallest segments that a TCP
// stack of today makes (RFC 6691: MSS 536, less options), with room to spare; smaller ones are refused.
const maxSegments = 256

// drop frees a frame that is no longer in a vector and counts it.
func (w *Worker) drop(b packet.Index, r packet.Reason) { w.dropInfo(b, nil, r) }

func (w *Worker) dropInfo(b packet.Index, in *packet.Info, r packet.Reason) {
	count(&w.counters[w.arena.Meta(b).InPort].drops[r], 1)
	if len(w.snap.Taps) != 0 {
		w.tellDropped(b, in, r)
	}
	w.cache.Free(b)
}
