package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/packet"
)

// resolve sends a packet that came in by segment seg to next, a host on segment out. If
// it is not known where that is, the packet waits while it is asked for.
func (f *Forwarder) resolve(d *dataplane.Decision, seg, out *segment, next packet.Addr) {
	if ref, bound := out.gates[next]; bound {
		f.forward(d, seg, ref)
		return
	}
	t := f.state.routers.neighbors
	s := t.find(out.zone, next)
	switch {
	case s.state == neighborFailed:
	case s.state == neighborIncomplete && s.full:
		d.Drop(packet.NeighborQueueFull)
		return
	case s.state == neighborAbsent, s.state == neighborIncomplete, s.hop.index == 0:
		var first bool
		if s, first = t.want(f, d, out.zone, next); first {
			f.inquire(d.W, d.In.Number, out, next, host{})
		}
	}
	switch {
	case d.Done(): // it waits, or must not
	case s.state == neighborFailed:
		f.refuse(d, seg, packet.NeighborUnresolved, answer.NoHost, 0)
	default:
		t.use(s.id, d.Now)
		f.forward(d, seg, s.hop)
	}
}

// want finds a neighbour for a packet, with its hop, or has the packet wait, or dropped
// if too many do. first says that the neighbour is now to be asked for.
func (t *neighborTable) want(f *Forwarder, d *dataplane.Decision, zone packet.Zone, ip packet.Addr) (s sighting, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, e := t.entryOf(zone, ip)
	if id == 0 {
		if id = t.add(zone, ip, false, d.Now); id == 0 {
			d.Drop(packet.NeighborQueueFull)
			return sighting{}, false
		}
		e = &t.entries[id]
		e.tries, e.asker = 1, d.In.Number
		first = true
	}
	switch e.mode() {
	case neighborIncomplete:
		if t.hold(e, heldPacket{d.Buf, d.Zone}) {
			d.Hold()
		} else {
			d.Drop(packet.NeighborQueueFull)
		}
	case neighborKnown, neighborProbing:
		if e.hop.Load() == 0 && !t.rehop(f, id) {
			d.Drop(packet.NeighborQueueFull)
		}
	}
	return t.find(zone, ip), first
}

// inquire asks who has an address, or the one at a place whether it is still
// there.
func (f *Forwarder) inquire(w *dataplane.Worker, in uint16, out *segment, ip packet.Addr, at host) {
	src, found := f.sourceFor(out, ip)
	if !found {
		src = unspecified4 // answers go to the asker's MAC all the same (RFC 5227 section 2.1.1)
	}
	f.solicit(w, in, out, src, ip, at)
}

// heard is told that ip was seen to be at mac behind a port, by ARP or ND.
// Called for every ARP or ND message whose sender was allowed to send it.
//
// On a segment everybody who speaks is noted, for answering in the others'
// place. On an uplink, whose network may be large, only those who are asked for.
//
// It reports whether another MAC address was known to have the address.
func (f *Forwarder) heard(w *dataplane.Worker, zone packet.Zone, ip packet.Addr, mac packet.MAC, port uint16, now int64) (moved bool) {
	t := f.state.routers.neighbors
	at := host{mac, port}
	s := t.find(zone, ip)
	if s.state == neighborKnown && s.host == at {
		t.confirm(s.id, now)
		return false
	}
	if s.id == 0 && (f.segmentOf(zone).uplink >= 0 || ip.Scope() != packet.ScopeGlobal && ip.Scope() != packet.ScopeLink) {
		return false
	}
	waiting, n := t.learn(f, zone, ip, at, now)
	for _, p := range waiting[:n] {
		w.Release(p.buf)
	}
	return s.reachable() && s.host.mac != mac
}

// learn makes a host the place of a neighbour. It returns the packets that
// waited for it.
func (t *neighborTable) learn(f *Forwarder, zone packet.Zone, ip packet.Addr, at host, now int64) (waiting [maxWaiting]heldPacket, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, e := t.entryOf(zone, ip)
	if id == 0 {
		if id = t.add(zone, ip, true, now); id == 0 {
			return waiting, 0
		}
		e = &t.entries[id]
	}
	waiting, n = t.takeHeld(e)
	t.locate(f, id, at)
	e.confirmed.Store(now)
	e.tries, e.asker = 0, at.port
	if e.mode() != neighborKnown {
		t.stats.resolved.Add(1)
	}
	t.set(id, neighborKnown, now)
	return waiting, n
}

// confirm notes that a neighbour was heard of.
func (t *neighborTable) confirm(id uint32, now int64) {
	if e := &t.entries[id]; now-e.confirmed.Load() > usedGrain {
		e.confirmed.Store(now)
	}
}

// neighborAt returns who was last heard to have an address, for answering in
// place of hosts that are not bound.
func (f *Forwarder) neighborAt(zone packet.Zone, ip packet.Addr) (h host, found bool) {
	s := f.state.routers.neighbors.find(zone, ip)
	return s.host, s.reachable()
}

// confirm is told, once in a while for each flow (Forwarder.RefreshNs), that a flow from ip at mac is alive.
func (f *Forwarder) confirm(zone packet.Zone, ip packet.Addr, mac packet.MAC, now int64) {
	t := f.state.routers.neighbors
	if s := t.find(zone, ip); s.reachable() && s.host.mac == mac {
		t.confirm(s.id, now)
	}
}

// hopInUse is told, once in a while for each flow, that a flow leaves by
// a hop: if that is a neighbour's, it is to be probed in time.
func (f *Forwarder) hopInUse(hop uint32, now int64) {
	t := f.state.routers.neighbors
	if int(hop) < len(t.byHop) {
		if id := t.byHop[hop].Load(); id != 0 {
			t.use(id, now)
		}
	}
}

// macMoved is told that a learned MAC is behind another port now, or (port 0)
// forgotten. No lock is held.
func (f *Forwarder) macMoved(zone packet.Zone, mac packet.MAC, port uint16) {
	t := f.state.routers.neighbors
	t.mu.Lock()
	defer t.mu.Unlock()
	var next uint32
	for id := *t.chain(zone, mac.Word()); id != 0; id = next {
		e := &t.entries[id]
		next = e.macNext
		switch {
		case e.zone() != zone || e.host().mac != mac:
		case port != 0:
			t.locate(f, id, host{mac, port})
		case e.waits() == 0:
			t.remove(id)
		}
	}
}

// adoptRouters revises neighbours for the forwarder that is in force now, in the place of old, which differ
// in these zones. Those for which packets wait are left to the next turn, as workers have the means.
func (f *Forwarder) adoptRouters(old *Forwarder, zones map[packet.Zone]bool) {
	t := f.state.routers.neighbors
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := uint32(1); id <= t.high; id++ {
		e := &t.entries[id]
		if e.mode() == neighborAbsent || e.waits() != 0 || !zones[e.zone()] {
			continue
		}
		switch {
		case !f.keeps(e, old):
			t.remove(id)
		case e.hop.Load() != 0:
			t.rehop(f, id)
		}
	}
}

// keeps reports whether what is known of a neighbour still holds.
func (f *Forwarder) keeps(e *neighbor, old *Forwarder) bool {
	seg := f.segmentOf(e.zone())
	if seg == nil || seg.owns(e.addr()) {
		return false
	}
	if _, bound := seg.hostAt(e.addr()); bound {
		return false
	}
	if state := e.mode(); state != neighborKnown && state != neighborProbing {
		return true // nobody knows where it is
	}
	port := e.host().port
	return seg.member(port) != nil && !f.replaces(old, port, seg.zone)
}

// task is what time demands for one neighbour.
type task struct {
	kind    taskKind
	zone    packet.Zone
	ip      packet.Addr
	at      host // of a probe; else the zero host
	asker   uint16
	waiting [maxWaiting]heldPacket
	n       int
}

type taskKind uint8

const (
	taskNothing taskKind = iota
	taskAsk
	taskGiveUp  // refuse what waits
	taskRelease // what waits has another way now
)

// tasksPerTurn bounds what one turn does.
const tasksPerTurn = 64

// tickRouters does what is due: retries, expiry.
func (f *Forwarder) tickRouters(w *dataplane.Worker, now int64) {
	t := f.state.routers.neighbors
	for range tasksPerTurn {
		if now < t.nextDue.Load() {
			return
		}
		x, found := t.next(f, now)
		if !found {
			return
		}
		switch x.kind {
		case taskAsk:
			f.inquire(w, x.asker, f.segmentOf(x.zone), x.ip, x.at)
		case taskGiveUp:
			f.giveUp(w, &x, now)
		case taskRelease:
			for _, p := range x.waiting[:x.n] {
				w.Release(p.buf)
			}
		}
	}
}

// next does the next thing that is due in the table and returns what follows
// from it.
func (t *neighborTable) next(f *Forwarder, now int64) (x task, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var id uint32
	for i := range t.queues {
		if head := t.queues[i].head; head != 0 && t.entries[head].due <= now {
			id = head
			break
		}
	}
	if id == 0 {
		return task{}, false
	}
	e := &t.entries[id]
	x = task{zone: e.zone(), ip: e.addr(), asker: e.asker}
	switch e.mode() {
	case neighborIncomplete:
		seg := f.segmentOf(x.zone)
		bound := false
		if seg != nil {
			_, bound = seg.gates[x.ip]
		}
		switch {
		case bound:
			x.kind = taskRelease
			x.waiting, x.n = t.takeHeld(e)
			t.remove(id)
		case seg == nil || seg.router < 0 || e.tries == maxTries:
			x.kind = taskGiveUp
			x.waiting, x.n = t.takeHeld(e)
			t.set(id, neighborFailed, now)
			t.stats.failed.Add(1)
		default:
			x.kind = taskAsk
			e.tries++
			t.requeue(id, queueAsking, now)
		}
	case neighborFailed:
		t.remove(id)
	case neighborKnown:
		t.rest(id, &x, now)
	case neighborProbing:
		switch {
		case now-e.confirmed.Load() < reachableNs:
			t.set(id, neighborKnown, now)
		case e.tries == maxTries:
			t.remove(id)
		default:
			x.kind, x.at = taskAsk, e.host()
			e.tries++
			t.requeue(id, queueAsking, now)
		}
	}
	if x.kind == taskAsk && f.segmentOf(x.zone) == nil {
		x.kind = taskNothing // until adoptRouters has been by
	}
	return x, true
}

// rest looks at a known neighbour: is it still there, is it still of use?
func (t *neighborTable) rest(id uint32, x *task, now int64) {
	e := &t.entries[id]
	confirmed, used := e.confirmed.Load(), e.used.Load()
	switch {
	case now-confirmed < reachableNs:
		t.requeue(id, queueResting, now)
	case used > confirmed:
		x.kind, x.at = taskAsk, e.host()
		e.tries = 1
		t.set(id, neighborProbing, now)
	case now-confirmed > idleNs:
		t.remove(id)
	default:
		t.requeue(id, queueResting, now)
	}
}

// giveUp drops the packets that waited for a neighbour in vain, and tells the
// sender of the first.
func (f *Forwarder) giveUp(w *dataplane.Worker, x *task, now int64) {
	for i, p := range x.waiting[:x.n] {
		if seg := f.segmentOf(p.zone); i == 0 && seg != nil && seg.router >= 0 {
			var in packet.Info
			if packet.Parse(w.Arena().Frame(p.buf), &in) == packet.None && in.Has(packet.IsIP) {
				f.sendError(w, seg, p.buf, &in, answer.NoHost, 0, now)
			}
		}
		w.Discard(p.buf, packet.NeighborUnresolved)
	}
}

// NeighborStats are counts since the State was made.
type NeighborStats struct {
	Resolved  uint64 // neighbours that became known
	Failed    uint64 // that did not answer
	Forgotten uint64
	Crowded   uint64 // that found no room
}

// NeighborStats returns the counts of the neighbour table.
func (s *State) NeighborStats() NeighborStats {
	c := &s.routers.neighbors.stats
	return NeighborStats{
		Resolved: c.resolved.Load(), Failed: c.failed.Load(),
		Forgotten: c.forgotten.Load(), Crowded: c.crowded.Load(),
	}
}
