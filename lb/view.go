package lb

import (
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/pick"
)

// Member returns the member at work with a number; nil if there is none. Of those that are in no pool
// any more it knows the ones that have sessions.
func (s *State) Member(id uint32) *member.Member { return s.members.get(id) }

// Pool returns the pool at work with a number; nil if the configuration in force has none.
func (s *State) Pool(id uint32) *pick.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pools[id]; p != nil {
		return p.choice
	}
	return nil
}

// Server returns what the virtual server with a number has done; nothing of one that there is not.
func (s *State) Server(id uint32) ServerCounts {
	if c := s.servers.get(id); c != nil {
		return c.Read()
	}
	return ServerCounts{}
}

// RuleSessions returns how many sessions the NAT rule with a number has translated.
func (s *State) RuleSessions(id uint32) (sessions uint64) {
	if c := s.rules.get(id); c != nil {
		sessions, _, _ = c.Read()
	}
	return sessions
}

// Sources returns how much of each pool that sources are translated to is in use.
func (s *State) Sources() []nat.PoolStats { return s.sources.Stats() }
