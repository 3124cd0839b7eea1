package flowtable

import "sync/atomic"

// Terms are what policy says about a session that is to begin, beyond that it may.
type Terms struct {
	// Timers is the number of the timer profile: see Table.SetTimers. A number that
	// there is no profile for stands for 0, the node's.
	Timers uint8

	// Strict: a TCP connection or SCTP association begins with its handshake or not
	// at all, as if Config.StrictTCP were set.
	Strict bool

	// Caps are the groups that the session counts against, those of the sender's and
	// of the receiver's port; 0 is none: see Table.SetCaps. The same group twice
	// counts once.
	Caps [2]uint16

	// Marks are the features', kept with the session and returned in its Record: what
	// they have charged for it and have to give back at its end.
	Marks [2]uint16
}

// pack returns what session.terms keeps of the terms; the rest is in control.
func (m *Terms) pack() uint64 {
	return uint64(m.Caps[0]) | uint64(m.Caps[1])<<16 | uint64(m.Marks[0])<<32 | uint64(m.Marks[1])<<48
}

// caps returns the groups that the session counts against.
func (s *session) caps() [2]uint16 {
	w := atomic.LoadUint64(&s.terms)
	return [2]uint16{uint16(w), uint16(w >> 16)}
}

// unpackTerms is the inverse of Terms.pack and makeControl.
func (s *session) unpackTerms() Terms {
	w, c := atomic.LoadUint64(&s.terms), s.control()
	return Terms{Timers: c.timers(), Strict: c.strict(), Caps: s.caps(), Marks: [2]uint16{uint16(w >> 32), uint16(w >> 48)}}
}

// Terms returns the terms of a session. Groups of caps that did not exist when it
// began are 0.
func (t *Table) Terms(id ID) Terms { return t.session(id.Session()).unpackTerms() }

// UseTimers makes a session one of another timer profile, from now on.
func (w *Worker) UseTimers(id ID, profile uint8) {
	n := id.Session()
	s := w.t.session(n)
	for {
		c := s.control()
		if c.timers() == profile || c.phase() != phaseLive {
			return
		}
		if s.swapControl(c, c.withTimers(profile)) {
			break
		}
	}
	w.t.hasten(n)
}
