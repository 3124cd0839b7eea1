package dhcp

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// advertised is a segment with advertisements.
type advertised struct {
	zone              packet.Zone
	name              string
	frame             []byte // to all hosts
	shortest, longest int64  // time between two rounds, ns
}

// timetable is when a segment's hosts are told next. A round is an
// advertisement to each of its ports.
//
//	changed ─▶ 3 rounds, 16 s apart at most ─▶ rounds for ever
//	removed ─▶ 3 rounds that take the router back ─▶ gone
type timetable struct {
	advertised
	ports  []dataplane.FloodTarget
	ending bool
	rounds uint64 // since it changed
	last   int64  // when the last round ended
	next   int64  // when the next begins
	at     int    // next port of the round that is on; -1: none is
}

// Tick sends what is due. A Server is a dataplane.Ticker; all workers call this
// every turn, and it returns at once but for one of them when something is.
func (x *Server) Tick(w *dataplane.Worker, now int64) {
	s := x.state
	if now < s.due.Load() || s.adopted.Load() != x.revision || !s.mu.TryLock() {
		return // nothing is due, or another worker or Adopt is at it
	}
	defer s.mu.Unlock()
	s.due.Store(s.advertise(w, now))
}

// Adopt makes x the Server in force, when no worker uses an older one any more
// (dataplane.Engine.Synchronize). Advertisements that go on as they were keep
// their times; what has changed is told at once, and so is the end of a router.
func (s *State) Adopt(x *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := make(map[packet.Zone]*timetable, len(s.adverts))
	for _, t := range s.adverts {
		before[t.zone] = t
	}
	var list []*timetable
	for i := range x.advertised {
		a := &x.advertised[i]
		t := before[a.zone]
		if t == nil || t.name != a.name {
			t = &timetable{last: -minDelay}
		}
		if t.ending || !bytes.Equal(t.frame, a.frame) {
			t.begin(a.frame, false)
		}
		t.advertised, t.ports = *a, x.lans[a.zone].ports
		list = append(list, t)
		delete(before, a.zone)
	}
	for _, t := range before {
		l := x.lans[t.zone]
		if l == nil || l.config.Name != t.name {
			continue // the segment is gone with its hosts
		}
		if !t.ending {
			t.begin(lastAdvertisement(t.frame), true)
		}
		t.ports = l.ports
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *timetable) int { return cmp.Compare(a.zone, b.zone) })
	s.adverts = list
	s.current = x
	s.due.Store(0)
	s.adopted.Store(x.revision)
}

// begin makes a timetable tell something new.
func (t *timetable) begin(frame []byte, ending bool) {
	t.frame, t.ending = frame, ending
	t.rounds, t.at, t.next = 0, -1, t.last+minDelay
}

// advertise sends what is due and returns when more will be.
func (s *State) advertise(w *dataplane.Worker, now int64) (due int64) {
	due = never
	budget := framesAtOnce
	for _, t := range s.adverts {
		if t.at < 0 && now >= t.next {
			t.at = 0
		}
		for t.at >= 0 && t.at < len(t.ports) && budget > 0 {
			s.advertiseTo(w, t)
			t.at++
			budget--
		}
		switch {
		case t.at < 0:
			due = min(due, t.next)
		case t.at < len(t.ports):
			due = min(due, now+betweenPortions)
		default:
			t.at, t.last = -1, now
			t.rounds++
			t.next = now + t.interval(s.seed)
			due = min(due, t.next)
		}
	}
	s.adverts = slices.DeleteFunc(s.adverts, func(t *timetable) bool { return t.ending && t.rounds >= finalRounds })
	return due
}

// advertiseTo tells the next port of a round. Without a buffer it is left out:
// there is another round.
func (s *State) advertiseTo(w *dataplane.Worker, t *timetable) {
	to := t.ports[t.at]
	b, frame := w.Generate(len(t.frame), to.Port)
	if b == 0 {
		return
	}
	copy(frame, t.frame)
	w.Send(to.Port, b, to.Tags)
	s.count(countPeriodic)
}

// interval returns the time to the next round: at random, so that segments and
// nodes don't fall into step (RFC 4861 section 6.2.4), but the same in each replay.
func (t *timetable) interval(seed uint64) int64 {
	if t.ending {
		return minDelay
	}
	high, low := bits.Mul64(seed^uint64(t.zone)<<32^t.rounds+0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	ns := t.shortest + int64((high^low)%uint64(t.longest-t.shortest+1))
	if t.rounds < initialRounds {
		ns = min(ns, initialInterval)
	}
	return ns
}
