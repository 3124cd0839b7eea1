package nat_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// source is what a mapping is for, and external what it gives.
type source struct {
	pool  uint32
	addr  packet.Addr
	proto uint8
	port  uint16
}

type external struct {
	scope uint32
	addr  packet.Addr
	proto uint8
	port  uint16
}

// model is Sources as maps: who has what, for how many sessions.
type model struct {
	t     *testing.T
	pools map[uint32]*service.SourcePool
	of    map[external]source // who has it
	has   map[source]map[external]int
	live  []taken
}

type taken struct {
	k   *packet.Key
	src source
	ext external
}

// scopeOf is where the pools of a test are: the two of one scope have an address in common.
func scopeOf(pool uint32) uint32 { return pool / 3 }

func ranges(p *service.SourcePool, proto uint8) service.PortRange {
	switch {
	case p.Ports != service.PortRange{}:
		return p.Ports
	case proto == packet.ProtoICMP:
		return service.PortRange{Last: 65535}
	}
	return service.PortRange{First: 1024, Last: 65535}
}

// current returns what a source has that its pool still gives out.
func (m *model) current(s source) (e external, found bool) {
	p := m.pools[s.pool]
	for e := range m.has[s] {
		if slices.Contains(p.Addresses, e.addr) && ranges(p, s.proto).Has(e.port) {
			require.False(m.t, found, "a source has one port: %v", s)
			return e, true
		}
	}
	return e, false
}

func (m *model) take(s *nat.Sources, pool uint32, k *packet.Key) {
	t, p := m.t, m.pools[pool]
	src := source{pool, k.Src, k.Proto(), k.SrcPort()}
	had, mapped := m.current(src)
	a, port, ok := s.Take(pool, k, outside, 0)
	e := external{p.Scope, a, k.Proto(), port}
	if !ok {
		require.False(t, mapped, "what has a port keeps it")
		if len(m.live)%8 != 0 {
			return // to count costs more than all the rest
		}
		free := 0
		for _, a := range p.Addresses {
			r := ranges(p, k.Proto())
			for port := int(r.First); port <= int(r.Last); port++ {
				if _, used := m.of[external{p.Scope, a, k.Proto(), uint16(port)}]; !used && a.Is4() == k.Src.Is4() {
					free++
				}
			}
		}
		require.Zero(t, free, "ports are left: pool %d", pool)
		return
	}
	require.Contains(t, p.Addresses, a)
	require.True(t, ranges(p, k.Proto()).Has(port), "port %d", port)
	if mapped {
		require.Equal(t, had, e, "a source has one port toward all")
	} else {
		require.NotContains(t, m.of, e, "nothing is given out twice")
		m.of[e] = src
		if m.has[src] == nil {
			m.has[src] = map[external]int{}
		}
	}
	m.has[src][e]++
	m.live = append(m.live, taken{k, src, e})
}

func (m *model) give(s *nat.Sources, i int) {
	x := m.live[i]
	m.live[i] = m.live[len(m.live)-1]
	m.live = m.live[:len(m.live)-1]
	s.Give(x.src.pool, x.k, x.ext.addr, x.ext.port)
	if m.has[x.src][x.ext]--; m.has[x.src][x.ext] == 0 {
		delete(m.has[x.src], x.ext)
		delete(m.of, x.ext)
	}
}

// compare holds what Sources tells of itself against the model.
func (m *model) compare(s *nat.Sources) {
	n := 0
	s.Mappings(func(x *nat.Mapping) bool {
		n++
		src := source{x.Pool, x.Source, x.Protocol, x.Port}
		ext := external{scopeOf(x.Pool), x.Address, x.Protocol, x.External}
		require.Equal(m.t, m.has[src][ext], x.Sessions, "%+v", x)
		return true
	})
	require.Len(m.t, m.of, n)
}

// change draws new pools: some go, some lose an address or a part of their ports.
func (m *model) change(s *nat.Sources, r *rand.Rand) {
	all := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
	m.pools = map[uint32]*service.SourcePool{}
	var list []*service.SourcePool
	for id := uint32(1); id <= 5; id++ {
		if r.IntN(4) == 0 && id != 1 {
			continue
		}
		p := &service.SourcePool{ID: id, Scope: scopeOf(id), Ports: service.PortRange{First: 2000 + uint16(r.IntN(50)), Last: 2100 + uint16(r.IntN(50))}}
		for _, a := range all {
			if r.IntN(3) != 0 {
				p.Addresses = append(p.Addresses, a)
			}
		}
		m.pools[id], list = p, append(list, p)
	}
	require.NoError(m.t, s.Set(list))
}

func TestSourcesAgreeWithModel(t *testing.T) {
	seeds, steps := uint64(4), 8000
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		s := nat.NewSources(newTable(t, 20000), seed)
		m := &model{t: t, of: map[external]source{}, has: map[source]map[external]int{}}
		m.change(s, r)
		for step := range steps {
			switch x := r.IntN(1000); {
			case x == 0:
				m.change(s, r)
				m.compare(s)
			case x < 520+200*(step/2000%2):
				pool := uint32(1 + r.IntN(5))
				if m.pools[pool] == nil {
					continue
				}
				src := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(8))})
				if r.IntN(3) == 0 {
					src = netip.AddrFrom16([16]byte{0xfd, 15: byte(r.IntN(8))})
				}
				proto := []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoSCTP}[r.IntN(4)]
				m.take(s, pool, &packet.Key{
					Src: packet.AddrFrom(src), Dst: addr("198.51.100.1"),
					Tail: packet.MakeTail(inside, proto, uint16(2000+r.IntN(200)), 80),
				})
			case len(m.live) > 0:
				m.give(s, r.IntN(len(m.live)))
			}
		}
		m.compare(s)
		for len(m.live) > 0 {
			m.give(s, len(m.live)-1)
		}
		m.compare(s)
		for _, p := range s.Stats() {
			require.Zero(t, p.Sessions)
			for _, x := range p.Protocols {
				require.Zero(t, x.InUse, "everything comes back")
				require.Equal(t, x.Ports, x.Free)
			}
		}
	}
}

// TestSourcesOfSeveralWorkers has workers take and give the same few ports, and map the same few sources, while pools change.
func TestSourcesOfSeveralWorkers(t *testing.T) {
	const workers, rounds = 4, 10000
	s := nat.NewSources(newTable(t, 4000), 1)
	pools := []*service.SourcePool{
		{ID: 1, Addresses: addrs("192.0.2.1", "192.0.2.2"), Ports: service.PortRange{First: 2000, Last: 2040}},
		{ID: 2, Addresses: addrs("192.0.2.2", "192.0.2.3"), Ports: service.PortRange{First: 2020, Last: 2060}},
	}
	require.NoError(t, s.Set(pools))
	var mu sync.Mutex
	owners := map[external]source{}
	shares := map[external]int{}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			var mine []taken
			giveLast := func() {
				x := mine[len(mine)-1]
				mine = mine[:len(mine)-1]
				mu.Lock() // noted first: another may have it as soon as it is given back
				shares[x.ext]--
				mu.Unlock()
				s.Give(x.src.pool, x.k, x.ext.addr, x.ext.port)
			}
			for range rounds {
				if r.IntN(2) == 0 && len(mine) < 40 {
					k := &packet.Key{
						Src: packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))})), Dst: addr("198.51.100.1"),
						Tail: packet.MakeTail(inside, packet.ProtoUDP, uint16(2000+r.IntN(30)), 80),
					}
					pool := uint32(1 + r.IntN(2))
					a, port, ok := s.Take(pool, k, outside, 0)
					if !ok {
						continue
					}
					x := taken{k, source{pool, k.Src, k.Proto(), k.SrcPort()}, external{0, a, k.Proto(), port}}
					mu.Lock()
					if shares[x.ext]++; shares[x.ext] == 1 {
						owners[x.ext] = x.src
					}
					owner := owners[x.ext]
					mu.Unlock()
					if owner != x.src {
						t.Errorf("%v is given to %v and %v", x.ext, owner, x.src)
						return
					}
					mine = append(mine, x)
				} else if len(mine) > 0 {
					giveLast()
				}
			}
			for len(mine) > 0 {
				giveLast()
			}
		})
	}
	for i := range 50 {
		changed := *pools[i%2]
		changed.Addresses = addrs("192.0.2.1", "192.0.2.2", "192.0.2.3")[i%3:]
		require.NoError(t, s.Set([]*service.SourcePool{&changed, pools[1-i%2]}))
		s.Stats()
	}
	all.Wait()
	require.NoError(t, s.Set(pools))
	s.Mappings(func(m *nat.Mapping) bool { t.Errorf("%+v was not given back", m); return true })
	for _, p := range s.Stats() {
		require.Zero(t, p.Sessions)
		for _, x := range p.Protocols {
			require.Zero(t, x.InUse, "%s of pool %d", x.Protocol, p.Pool.ID)
		}
	}
	// The notes on words that are full have to be right again: each port can be had.
	seen := map[external]bool{}
	for i := range 400 {
		k := key(packet.ProtoUDP, "10.0.1.1:3000", "198.51.100.1:80")
		k.Tail = packet.MakeTail(inside, packet.ProtoUDP, uint16(3000+i), 80)
		if a, port, ok := s.Take(1, k, outside, 0); ok {
			seen[external{0, a, packet.ProtoUDP, port}] = true
		}
	}
	require.Len(t, seen, 2*41)
}

func TestSourcesAreDeterministic(t *testing.T) {
	run := func(seed uint64, perDestination bool) (all []external) {
		table := newTable(t, 2000)
		s := nat.NewSources(table, seed)
		require.NoError(t, s.Set([]*service.SourcePool{{ID: 1, Addresses: addrs("192.0.2.1", "192.0.2.2", "192.0.2.3"), PerDestination: perDestination}}))
		for i := range 500 {
			k := key(packet.ProtoUDP, "10.0.0.1:5000", "198.51.100.1:80")
			k.Src = packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
			a, port, ok := s.Take(1, k, outside, 0)
			require.True(t, ok)
			begin(t, table, k, a, port)
			all = append(all, external{0, a, packet.ProtoUDP, port})
		}
		return all
	}
	for _, perDestination := range []bool{false, true} {
		require.Equal(t, run(1, perDestination), run(1, perDestination))
		require.NotEqual(t, run(1, perDestination), run(2, perDestination), "nobody outside knows what comes next")
	}
}

func TestSourcesAllocateNothing(t *testing.T) {
	table := newTable(t, 5000)
	s := nat.NewSources(table, 1)
	small := service.PortRange{First: 5000, Last: 5003}
	require.NoError(t, s.Set([]*service.SourcePool{
		{ID: 1, Addresses: addrs("192.0.2.1"), Fixed: []service.FixedSource{{Prefix: prefix("10.0.0.0/8"), To: addr("192.0.2.1")}}},
		{ID: 2, Addresses: addrs("192.0.2.1", "192.0.2.2"), PerDestination: true},
		{ID: 3, Addresses: addrs("192.0.2.9"), Ports: small},
	}))
	rules := nat.NewRules(benchRules(100))
	k := key(packet.ProtoUDP, "10.0.0.1:5000", "198.51.100.1:80")
	busy := key(packet.ProtoUDP, "10.0.0.9:5000", "198.51.100.1:80")
	begin(t, table, busy, addr("192.0.2.1"), 5000)
	begin(t, table, key(packet.ProtoUDP, "10.0.0.8:5000", "198.51.100.1:80"), addr("192.0.2.2"), 5000)
	for i := range 4 {
		other := *k
		other.Tail = packet.MakeTail(inside, packet.ProtoUDP, uint16(6000+i), 80)
		_, _, ok := s.Take(3, &other, outside, 0)
		require.True(t, ok)
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		for pool := uint32(1); pool <= 4; pool++ {
			if a, port, ok := s.Take(pool, k, outside, 0); ok {
				s.Give(pool, k, a, port)
			}
		}
		rules.Source(0, 1, k)
		rules.Destination(0, 1, k)
	}))
}
