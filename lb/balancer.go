package lb

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/pick"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Balancer is a configuration of services and translations. It is immutable.
type Balancer struct {
	state *State
	spec  *service.Config

	zones     packet.ZoneMap[*Zone]
	frontends frontends
	servers   map[*service.Server]*server
	pools     map[uint32]*poolAtWork
	rules     *nat.Rules

	judged map[uint32]*service.NATRule // by ID: rules of which firewall rules see more, or nothing; nil: there are none

	passive map[uint32]*service.Passive // what connections tell, by member

	direct  bool // packets of some servers are sent on as they are
	tunnels bool // and some of those in IP packets
	idle    bool // there is nothing to do

	changed []poolChange              // to be made when it is in force
	fresh   map[uint32]*member.Member // that begin with it, while it is compiled
	sources []*service.SourcePool     // all that are in use
}

// poolChange is what a pool becomes.
type poolChange struct {
	*poolAtWork
	spec    *service.Pool
	members []*member.Member
}

// server is a service.Server at work.
type server struct {
	spec      *service.Server
	counts    *Counts
	rate      *dataplane.Limiter // nil: no limit
	frontends []frontend
	allowed   *bart.Lite // nil: everybody
	denied    *bart.Lite // nil: nobody
}

// Compile makes a Balancer of a configuration. Nothing that is in force changes until Adopt.
func Compile(c *Config, s *State) (*Balancer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec := c.Services
	if spec == nil {
		spec = &service.Config{}
	}
	old := s.current.Load()
	b := &Balancer{
		state: s, spec: spec,
		servers: make(map[*service.Server]*server, len(spec.Servers)), pools: make(map[uint32]*poolAtWork, len(spec.Pools)),
		fresh: map[uint32]*member.Member{},
	}
	err := b.compilePools()
	inOrder := make([]*server, 0, len(spec.Servers))
	for _, x := range spec.Servers {
		one := b.serverOf(x, old)
		b.servers[x] = one
		inOrder = append(inOrder, one)
	}
	b.findDirect()
	b.frontends = newFrontends(inOrder)
	inside := false
	for i := range c.Zones {
		z := c.Zones[i]
		b.zones.Set(z.Zone, &z)
		inside = inside || z.Inside
	}
	if b.tunnels {
		b.findOuter(c.Zones)
	}
	if old != nil && slices.Equal(old.spec.Rules, spec.Rules) {
		b.rules = old.rules
	} else {
		b.rules = nat.NewRules(spec.Rules)
	}
	b.fresh = nil
	b.idle = len(spec.Servers)+len(spec.Rules) == 0 && !inside && !b.direct
	err = errors.Join(err, b.stock(c.Zones, old))
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	for _, r := range spec.Rules {
		s.ruleCounts(r.ID)
		if r.Firewall != service.MatchInternal {
			if b.judged == nil {
				b.judged = map[uint32]*service.NATRule{}
			}
			b.judged[r.ID] = r
		}
	}
	return b, nil
}

// compilePools finds the pools of the configuration among those at work. New ones are set up, as nobody uses them
// yet; what others become is noted.
func (b *Balancer) compilePools() error {
	s := b.state
	for _, x := range b.spec.Pools {
		if b.pools[x.ID] != nil {
			return fmt.Errorf("pools %s and %s have one number", b.pools[x.ID].spec.Name, x.Name)
		}
		p := s.pools[x.ID]
		switch {
		case p == nil:
			p = &poolAtWork{choice: pick.New(s.config.Seed)}
			p.set(x, b.membersOf(x))
		case p.spec != x:
			b.changed = append(b.changed, poolChange{p, x, b.membersOf(x)})
		}
		b.pools[x.ID] = p
		if x.Passive != nil {
			for _, m := range x.Members {
				if b.passive == nil {
					b.passive = map[uint32]*service.Passive{}
				}
				b.passive[m.ID] = x.Passive
			}
		}
	}
	return nil
}

// membersOf returns the members of a pool at work; those that were not there before begin to be.
func (b *Balancer) membersOf(x *service.Pool) []*member.Member {
	s := b.state
	list := make([]*member.Member, len(x.Members))
	for i, spec := range x.Members {
		m := s.members.get(spec.ID)
		if m == nil || b.fresh[spec.ID] == nil && m.Gone() && m.Active() == 0 {
			m = member.New(spec.ID, spec)
			m.SetGone(true) // until the configuration is in force
			s.members.set(spec.ID, m)
			b.fresh[spec.ID] = m // which another pool may have, too
		}
		if _, known := s.holders[spec.ID]; !known && s.config.Probed && len(x.Monitors) > 0 {
			m.SetHealth(member.Unknown, 0)
		}
		list[i] = m
	}
	return list
}

// serverOf returns a server at work: that of old, which may be nil, if it is the same.
func (b *Balancer) serverOf(x *service.Server, old *Balancer) *server {
	if old != nil {
		if same := old.servers[x]; same != nil {
			return same
		}
	}
	one := &server{
		spec: x, counts: b.state.countsOf(x.ID), frontends: make([]frontend, len(x.Frontends)),
		allowed: networks(x.Allowed), denied: networks(x.Denied),
	}
	one.counts.dispatch.Store(uint32(x.Dispatch))
	if x.MaxRate != 0 {
		one.rate = dataplane.NewLimiter(x.MaxRate, x.MaxRate)
	}
	for i := range x.Frontends {
		f := &x.Frontends[i]
		one.frontends[i] = frontend{spec: f, server: one, inside: b.pools[f.Inside.ID], outside: b.pools[f.Outside.ID]}
		if f.Sorry != nil {
			one.frontends[i].sorry = b.pools[f.Sorry.ID]
		}
	}
	return one
}

// automapSource is where numbers of the pools begin that are made of the routers' own addresses, one for each
// zone: above all that control gives.
const automapSource = service.MaxID + 1

// stock has ports given out of the configuration's pools and of the routers' own addresses, and still of those of old.
func (b *Balancer) stock(zones []Zone, old *Balancer) error {
	b.sources = slices.Clone(b.spec.Sources)
	for i := range zones {
		if x := b.state.automap(&zones[i]); x != nil {
			b.sources = append(b.sources, x)
		}
	}
	all := b.sources
	if old != nil {
		has := map[uint32]bool{}
		for _, x := range b.sources {
			has[x.ID] = true
		}
		all = slices.Clone(all)
		for _, x := range old.sources {
			if !has[x.ID] {
				all = append(all, x)
			}
		}
	}
	return b.state.sources.Set(all)
}

// automap returns the pool of the router's own addresses in a zone, that which it was if they are the same; nil if it
// has none there.
func (s *State) automap(z *Zone) *service.SourcePool {
	var own []packet.Addr
	for _, a := range z.Own {
		if a != (packet.Addr{}) {
			own = append(own, a)
		}
	}
	if len(own) == 0 {
		return nil
	}
	x := s.automaps[z.Zone]
	if x == nil || x.Scope != z.Scope || !slices.Equal(x.Addresses, own) {
		x = &service.SourcePool{
			ID: automapSource | uint32(z.Zone), Name: "automap", Scope: z.Scope, Addresses: own, PerDestination: true,
		}
		s.automaps[z.Zone] = x
	}
	return x
}

// Adopt makes a Balancer, which workers use by now, the one that the state belongs to.
func (s *State) Adopt(b *Balancer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Swap(b)
	if old == b {
		return
	}
	for id, p := range b.pools {
		if s.pools[id] == nil {
			s.enlist(p)
		}
	}
	for i := range b.changed {
		x := &b.changed[i]
		before := *x.poolAtWork
		x.set(x.spec, x.members)
		s.enlist(x.poolAtWork)
		s.delist(x.poolAtWork, before.members)
	}
	b.changed = nil
	for id, p := range s.pools {
		if b.pools[id] != p {
			s.delist(p, p.members)
		}
	}
	s.pools = b.pools
	s.adoptServers(b)
	s.clear()
	_ = s.sources.Set(b.sources) // which it took with those of old
	s.sweep.Begin()
}

// enlist notes that members are in a pool, as its configuration says.
func (s *State) enlist(p *poolAtWork) {
	refreshed := false
	for i, m := range p.members {
		h := s.holders[m.ID]
		if h == nil {
			h = &holding{Member: m}
			s.holders[m.ID] = h
		}
		if m.Spec() != p.spec.Members[i] {
			m.SetSpec(p.spec.Members[i])
			refreshed = true
		}
		if m.Gone() {
			m.SetGone(false)
			refreshed = true
		}
		if len(p.spec.Monitors) == 0 && p.spec.Passive == nil {
			if health, _ := m.Health(); health != member.Unmonitored {
				m.SetHealth(member.Unmonitored, 0)
				refreshed = true
			}
		}
		if !slices.Contains(h.pools, p) {
			h.pools = append(h.pools, p)
		}
	}
	if refreshed {
		p.choice.Refresh()
	}
}

// delist notes that members are not in a pool any more, unless it still has them.
func (s *State) delist(p *poolAtWork, members []*member.Member) {
	has := map[*member.Member]bool{}
	if s.current.Load().pools[p.spec.ID] == p {
		for _, m := range p.members {
			has[m] = true
		}
	}
	for _, m := range members {
		h := s.holders[m.ID]
		if h == nil || h.Member != m || has[m] {
			continue
		}
		h.pools = slices.DeleteFunc(h.pools, func(x *poolAtWork) bool { return x == p })
		if len(h.pools) == 0 {
			delete(s.holders, m.ID)
			m.SetGone(true)
			s.retired = append(s.retired, m)
		}
	}
}

// adoptServers notes which servers there are.
func (s *State) adoptServers(b *Balancer) {
	here := make(map[uint32]bool, len(b.servers))
	for x := range maps.Keys(b.servers) {
		here[x.ID] = true
		if c := s.servers.get(x.ID); !c.listed {
			c.listed = true
			c.gone.Store(false)
			s.listed = append(s.listed, x.ID)
		}
	}
	s.listed = slices.DeleteFunc(s.listed, func(id uint32) bool {
		if here[id] {
			return false
		}
		c := s.servers.get(id)
		c.listed = false
		c.gone.Store(true)
		s.gone = append(s.gone, id)
		return true
	})
}

// clear forgets what is gone and has no sessions any more.
func (s *State) clear() {
	s.retired = slices.DeleteFunc(s.retired, func(m *member.Member) bool {
		if m.Gone() && m.Active() > 0 {
			return false
		}
		if m.Gone() && s.members.get(m.ID) == m {
			s.members.set(m.ID, nil)
		}
		return true
	})
	s.gone = slices.DeleteFunc(s.gone, func(id uint32) bool {
		c := s.servers.get(id)
		if c.gone.Load() && c.active.Load() > 0 {
			return false
		}
		if c.gone.Load() {
			s.servers.set(id, nil)
		}
		return true
	})
}

// networks returns a table of networks; nil if there are none.
func networks(list []netip.Prefix) *bart.Lite {
	if len(list) == 0 {
		return nil
	}
	x := new(bart.Lite)
	for _, p := range list {
		x.Insert(p.Masked())
	}
	return x
}
