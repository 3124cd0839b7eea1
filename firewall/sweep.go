package firewall

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/reply"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
)

// sweep looks, after a change, for sessions that a section with policy.Reset has let through and that may not pass
// any more: they end at once rather than at their next packet. Worker 0 does so, some sessions in each turn.
type sweep struct {
	wanted bool          // some section has, or had, policy.Reset
	next   atomic.Uint32 // session to go on from; 0: nothing to do
	match  func(*flowtable.Record) bool
}

// sweepPerTurn bounds the work of one turn, to some 0.1 ms.
const sweepPerTurn = 512

// begin has all sessions looked at, if there may be any that matter.
func (x *sweep) begin() {
	if x.wanted {
		x.next.Store(1)
	}
}

func (x *sweep) turn(w *dataplane.Worker, now int64) {
	from := x.next.Load()
	if from == 0 || w.ID() != 0 {
		return
	}
	// Another change may have begun it anew meanwhile: then that holds.
	x.next.CompareAndSwap(from, w.Flows().EndMatching(from, sweepPerTurn, x.match, flowtable.EndPolicy, now))
}

// unwanted reports whether a session is one that a section with policy.Reset had let through, and that the rules
// in force do not.
func (s *State) unwanted(r *flowtable.Record) bool {
	f, flags := s.current.Load(), r.Flags[flowtable.Original]
	if f == nil || flags&(resetOut|resetIn) == 0 {
		return false
	}
	k := f.sessionKey(&r.Keys[flowtable.Original], &r.Keys[flowtable.Reply])
	for i := range points {
		at := &points[i]
		port := s.endOf(r, i)
		if flags&at.keep != 0 || !f.Filters(port) {
			continue
		}
		k.Port, k.Direction = port, at.direction
		if m, _ := f.Find(&k); m.Rule.Action != policy.Allow {
			return true
		}
	}
	return false
}

// endOf returns the port at which rules are asked about a session: that of its sender, or of its receiver; 0 if
// it is not known.
func (s *State) endOf(r *flowtable.Record, index int) uint16 {
	// The receiver's is where replies come in; if there was none yet, where the session's packets go.
	if link := &r.Links[index]; link.Valid() {
		return link.Port()
	}
	if index == atIngress && r.Hop[flowtable.Original] != 0 {
		return s.config.Hops.Lookup(r.Hop[flowtable.Original]).Port
	}
	return 0
}

// tell has the ends of a session told that the firewall has ended it, by worker number w.
func (s *State) tell(w int, r *flowtable.Record) {
	switch {
	case r.Reason == flowtable.EndPolicy && r.Flags[flowtable.Original]&(resetOut|resetIn) != 0:
		s.resets.Add(w, r, reply.Both)
	case r.Reason == flowtable.EndFlood && s.spoofs(r.Terms.Caps):
		// The receiver would hold the half-open connection for a minute; the sender, if there is one, may try again.
		s.resets.Add(w, r, reply.Responder)
	}
}

// spoofs reports whether one of the cap groups has its servers told of evicted connections.
func (s *State) spoofs(groups [2]uint16) bool {
	f := s.current.Load()
	if f == nil {
		return false
	}
	for _, g := range groups {
		if g != 0 && int(g) < len(f.spoof) && f.spoof[g] {
			return true
		}
	}
	return false
}
