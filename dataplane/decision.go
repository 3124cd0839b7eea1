package dataplane

import (
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Outcome of a Decision.
type outcome uint8

const (
	undecided outcome = iota
	forwarded
	dropped
	consumed
	held
)

// Decision is the question what becomes of a frame, as the deciders answer it
// one after the other. The first that drops, consumes or holds it ends the
// decision. One that forwards it does not: those after it see where it goes,
// may translate it, add to its permit, or drop it after all.
//
// A Decision belongs to a worker and is valid during Decide only.
type Decision struct {
	W   *Worker
	Now int64
	In  *PortConfig

	Buf  packet.Index
	Info *packet.Info
	Zone packet.Zone // where the frame entered

	// Session is the direction this frame belongs to; 0 if there is none yet. A
	// decision for an existing session asks for the permit again; its binding stays.
	Session flowtable.ID

	// Translated is the key as it leaves, after NAT: that of a session, if the frame
	// is of one; else deciders that translate change it. It is in the zone of the frame.
	Translated packet.Key

	// Via is the address that is routed to in the place of Translated.Dst, for frames
	// that are sent to somebody without being addressed to him; zero: none.
	Via packet.Addr

	Permit  flowtable.Permit
	Binding flowtable.Binding
	Terms   flowtable.Terms // of the session, if one is made

	// Overhead is how many bytes a stage will put before the packet: all of it has to fit where it goes. The permit keeps it.
	Overhead uint8

	// Clash: what the frame was to be translated to is another session's, so that this
	// is a second try. There is no third.
	Clash bool

	// Unfiltered: no rule is asked about the packet. AsReceived: rules see the
	// destination that it came with, not that of Translated.
	Unfiltered, AsReceived bool

	// Uncached: the permit holds for this frame alone, and no session is made.
	Uncached bool

	outcome outcome
	reason  packet.Reason
	hop     hopWords
	outZone packet.Zone
}

// overheadShift is where Decision.Overhead begins in the flags of a permit: in the last 8 of them. Features use those from
// 16 to 23.
const overheadShift = 24

// Done reports whether a decider has said what becomes of the frame.
func (d *Decision) Done() bool { return d.outcome != undecided }

// Dropped returns the reason if the decision is to drop the frame, else None.
func (d *Decision) Dropped() packet.Reason {
	if d.outcome == dropped {
		return d.reason
	}
	return packet.None
}

// Forwarded reports whether a decider has said where the frame goes.
func (d *Decision) Forwarded() bool { return d.outcome == forwarded }

// Out returns where the frame goes, valid if Forwarded: the port and the zone
// in which replies will enter, or a flood list.
func (d *Decision) Out() (port uint16, zone packet.Zone, flood bool) {
	return d.hop.port(), d.outZone, d.hop.flags()&HopFlood != 0
}

// Frame returns the frame's bytes; deciders may change them if they also
// forward or drop it.
func (d *Decision) Frame() []byte { return d.W.arena.Frame(d.Buf) }

// Meta returns the frame's metadata.
func (d *Decision) Meta() *packet.Meta { return d.W.arena.Meta(d.Buf) }

// Drop ends the decision: the frame is freed and counted.
func (d *Decision) Drop(r packet.Reason) { d.outcome, d.reason = dropped, r }

// Consume ends the decision: the frame was for the switch itself.
func (d *Decision) Consume() { d.outcome = consumed }

// Hold ends the decision: the decider keeps the buffer, to give it back by
// Worker.Release or Worker.Discard later.
func (d *Decision) Hold() {
	d.Meta().Zone = d.Zone
	d.outcome = held
}

// Forward says that the frame leaves by a hop of the table. It is dropped if the
// hop is no longer of generation gen.
func (d *Decision) Forward(hop, gen uint32) {
	if !d.W.hops.load(hop, gen, &d.hop) {
		d.Drop(packet.NoDestination)
		return
	}
	d.outZone = packet.Zone(d.W.hops.slots[hop].zone.Load())
	d.Permit.Hop, d.Permit.HopGen = hop, gen
	d.outcome = forwarded
}

// Flood says that copies leave by all ports of flood list number list but the
// one the frame came in by. Floods are decided frame by frame; receivers are
// asked about one by one, see Admitter.
func (d *Decision) Flood(list uint16) {
	d.hop = hopWords{w0: uint64(list) << 48, w1: uint64(HopFlood) << 48, w2: noMTU}
	d.outZone = d.Zone
	d.Uncached = true
	d.outcome = forwarded
}

// decide answers for the frames of the vector that have no valid permit, one by
// one and in order, so that batches are invisible: what one frame teaches
// (an address, a session), the next one finds.
func decide(w *Worker, v *Vector) {
	if todo := v.Todo & v.Live &^ v.done; todo&(todo-1) != 0 && w.replyZone != 0 && w.table.Large() {
		w.anticipate(v, todo)
	}
	for m := v.Todo & v.Live &^ v.done; m != 0; m &= m - 1 {
		i := next(m)
		v.at = i
		w.decide(v, i)
	}
	v.Todo = 0
}

// anticipate brings in what sessions of the frames need of the flow table's index, for all of
// them at once: one after the other, each would wait for memory, 120 of 750 ns at a million sessions. The
// zone that replies will enter is not known yet; it is often that of the last session. If that was translated,
// replyZone is 0: nobody knows whom a service will choose, and to guess wrong costs 70 ns.
func (w *Worker) anticipate(v *Vector, todo uint64) {
	w.table.Anticipate(&v.Info, todo&^v.Hit, w.replyZone, &v.Hash)
}

func (w *Worker) decide(v *Vector, i int) {
	in := &v.Info[i]
	trackable := flowtable.Trackable(in)
	if trackable && v.Entry[i] == 0 && v.created {
		v.Entry[i] = w.table.Lookup(&in.Key)
	}
	d := &w.decision
	*d = Decision{
		W: w, Now: v.Now, In: v.In, Buf: v.Buf[i], Info: in, Zone: v.Zone[i],
		Session: v.Entry[i], Translated: in.Key,
		Uncached: !trackable, Clash: w.clash,
	}
	w.clash = false
	if d.Session != 0 {
		d.Translated = w.table.Entry(d.Session.Peer()).Key.Reverse().WithZone(in.Key.Zone())
	}
	for s := range v.Snap.Deciders {
		step := &v.Snap.Deciders[s]
		step.Decider.Decide(d)
		if len(v.Snap.Taps) != 0 {
			w.tellStep(d, step.Name)
		}
		if d.outcome > forwarded {
			break
		}
	}
	bit := uint64(1) << i
	id, created, again := flowtable.ID(0), false, false
	switch d.outcome {
	case forwarded:
		id, created, again = w.admit(v, i, d)
	case consumed:
		v.Live &^= bit
		count(&w.counters[v.In.Number].consumed, 1)
		w.cache.Free(v.Buf[i])
	case held:
		v.Live &^= bit
		count(&w.counters[v.In.Number].held, 1)
	case dropped:
		v.Drop(i, d.reason)
	default:
		v.Drop(i, packet.NoDestination)
	}
	for _, c := range v.Snap.Conclude {
		c.Conclude(d, id, created)
	}
	if again {
		if v.Entry[i] = id; w.clash {
			v.Entry[i] = 0
		}
		w.decide(v, i)
	}
}

// admit makes the session of a permitted frame, or renews its permit. It returns the direction of the
// session that has the permit, 0 if none is kept, and whether it has begun. again says that the frame is to be
// decided about once more: another worker was first with this session and has translated it otherwise; or, if the
// worker's clash is set, id is another session, which has the tuple that this one was to be translated to.
func (w *Worker) admit(v *Vector, i int, d *Decision) (id flowtable.ID, created, again bool) {
	v.hop[i] = d.hop
	bit := uint64(1) << i
	v.Routed = v.Routed&^bit | d.hop.routed()<<i
	translated := d.Translated != d.Info.Key
	v.Translated &^= bit
	d.Permit.Flags |= uint32(d.Overhead) << overheadShift
	if translated {
		v.Translated |= bit
		d.Permit.Flags |= flowtable.Translated
		if d.Uncached = !flowtable.Trackable(d.Info); d.Uncached && d.Session == 0 {
			// Nobody would know what to do with the answer.
			d.Drop(packet.SessionInvalid)
			v.Drop(i, packet.SessionInvalid)
			return 0, false, false
		}
	}
	if d.Uncached {
		v.Hit |= bit
		if !d.Info.Has(packet.ICMPError) {
			v.Entry[i] = 0
		}
		return 0, false, false
	}
	id = d.Session
	if id == 0 {
		zone := d.outZone
		if out := v.Snap.Port(d.hop.port()); out != nil && out.Sessions != 0 {
			zone = out.Sessions
		}
		w.replyZone = zone
		if translated {
			w.replyZone = 0
		}
		reply := d.Translated.Reverse().WithZone(zone)
		var reason packet.Reason
		id, created, reason = w.flows.Create(d.Info.Key, reply, d.Terms, d.Info, v.Frame(i), v.Now)
		if reason != packet.None {
			d.Drop(reason)
			v.Drop(i, reason)
			return 0, false, false
		}
		if !created && (translated || w.table.Binding(id) != flowtable.Binding{}) {
			if w.table.Entry(id).Key != d.Info.Key {
				if !d.Clash {
					v.Hit &^= bit
					w.clash = true
					return id, false, true
				}
				d.Drop(packet.NATExhausted)
				v.Drop(i, packet.NATExhausted)
				return 0, false, false
			}
			if w.table.Entry(id.Peer()).Key != reply {
				v.Hit &^= bit
				return id, false, true
			}
		}
		if created {
			v.created = true
			v.Fresh |= bit
			if d.Binding != (flowtable.Binding{}) {
				w.flows.Bind(id, d.Binding)
			}
		}
		v.Entry[i] = id
	}
	d.Permit.Epoch = v.Epoch
	link0, link1 := v.link(i)
	// Another worker writing the same entry at this moment means that two ports
	// claim one flow; this frame goes its way, the entry keeps the other's permit.
	w.table.Entry(id).StorePermit(&d.Permit, link0, link1)
	v.Hit |= bit
	return id, created, false
}
