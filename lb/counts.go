package lb

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/flowtable"
)

// Counts are what a virtual server has done. All workers share them: they change at the beginning and the end of
// a session only.
type Counts struct {
	active atomic.Int64

	total, refused, denied, lonely atomic.Uint64

	packets, bytes [2]atomic.Uint64 // of sessions that have ended, by flowtable.Dir

	dispatch atomic.Uint32 // how packets get to members: a service.Dispatch

	gone   atomic.Bool // it is in no configuration any more
	listed bool        // it is in State.listed; under State.mu
}

// ServerCounts are Counts at a moment.
type ServerCounts struct {
	Active   int64  // sessions now
	Total    uint64 // sessions begun
	Refused  uint64 // connections over its limits
	Denied   uint64 // connections from clients that may not use it
	NoMember uint64 // connections for which there was no member

	Packets, Bytes [2]uint64 // of sessions that have ended, by flowtable.Dir
}

// Read returns the counts at this moment.
func (c *Counts) Read() ServerCounts {
	v := ServerCounts{
		Active: c.active.Load(), Total: c.total.Load(), Refused: c.refused.Load(),
		Denied: c.denied.Load(), NoMember: c.lonely.Load(),
	}
	for d := range v.Packets {
		v.Packets[d], v.Bytes[d] = c.packets[d].Load(), c.bytes[d].Load()
	}
	return v
}

// take takes a place for a connection, of at most limit; 0 is no limit.
func (c *Counts) take(limit uint32) bool {
	if c.active.Add(1) > int64(limit) && limit != 0 {
		c.active.Add(-1)
		return false
	}
	return true
}

func (c *Counts) ended(r *flowtable.Record) {
	c.active.Add(-1)
	for d := range r.Packets {
		c.packets[d].Add(r.Packets[d])
		c.bytes[d].Add(r.Bytes[d])
	}
}

// countsOf returns the counts of a server, which begin with the first configuration that has it.
func (s *State) countsOf(id uint32) *Counts {
	c := s.servers.get(id)
	if c == nil {
		c = &Counts{}
		s.servers.set(id, c)
	}
	return c
}

// RuleCounts are what a NAT rule has done.
type RuleCounts struct {
	sessions, packets, bytes atomic.Uint64
}

// ruleCounts returns the counts of a NAT rule, which begin with the first configuration that has it.
func (s *State) ruleCounts(id uint32) *RuleCounts {
	c := s.rules.get(id)
	if c == nil {
		c = &RuleCounts{}
		s.rules.set(id, c)
	}
	return c
}

// ended counts what a session did, both ways, that a rule has translated.
func (c *RuleCounts) ended(r *flowtable.Record) {
	c.packets.Add(r.Packets[0] + r.Packets[1])
	c.bytes.Add(r.Bytes[0] + r.Bytes[1])
}

// Read returns the sessions that the rule has translated, and the packets and bytes of those that have ended.
func (c *RuleCounts) Read() (sessions, packets, bytes uint64) {
	return c.sessions.Load(), c.packets.Load(), c.bytes.Load()
}
