package firewall

import (
	"github.com/sluice-net/sluice/dataplane/reply"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
)

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
