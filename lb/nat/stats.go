package nat

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// PoolStats is how much of a pool is in use.
type PoolStats struct {
	Pool      *service.SourcePool
	Addresses int

	// Protocols are tcp, udp, sctp, icmp and other, in this order.
	Protocols []ProtocolStats

	Mappings int   // sources that have a port of the pool
	Sessions int64 // that have an address of the pool, of mapped sources and others
}

// ProtocolStats is how much of a pool is in use by one protocol. Ports of pools per destination are in use toward
// destinations only, so none is counted as such.
type ProtocolStats struct {
	Protocol  string
	Ports     int    // that there are, or identifiers; 0: the protocol has none
	InUse     int    // by whichever pool has the same addresses
	Free      int    // all of them, of a pool per destination
	Exhausted uint64 // sessions for which there was nothing left
}

// Mapping is what a source has of a pool.
type Mapping struct {
	Pool     uint32
	Zone     packet.Zone // of the source
	Protocol uint8
	Source   packet.Addr
	Port     uint16 // of the source; of ICMP the identifier
	Address  packet.Addr
	External uint16 // port, or identifier
	Sessions int
}

// User is a source address with what it has of a pool.
type User struct {
	Zone     packet.Zone
	Source   packet.Addr
	Mappings int
	Sessions int
}

// Stats returns how much is in use of each pool, by ID. It looks at all mappings: what is given out
// meanwhile may be counted or not.
func (s *Sources) Stats() []PoolStats {
	st := s.stock.Load()
	all := make([]PoolStats, 0, len(st.pools))
	at := map[uint32]int{}
	for _, id := range slices.Sorted(maps.Keys(st.pools)) {
		at[id] = len(all)
		all = append(all, st.pools[id].stats())
	}
	s.Mappings(func(m *Mapping) bool {
		if i, ok := at[m.Pool]; ok {
			all[i].Mappings++
			all[i].Sessions += int64(m.Sessions)
		}
		return true
	})
	return all
}

func (p *pool) stats() PoolStats {
	x := PoolStats{Pool: p.spec, Sessions: max(p.counts.sessions.Load(), 0)}
	for i := range p.families {
		x.Addresses += len(p.families[i].addrs)
	}
	for c := range class(len(classNames)) {
		y := ProtocolStats{Protocol: classNames[c], Exhausted: p.counts.exhausted[c].Load()}
		if c != classNone {
			y.Ports = p.bands(c).size() * x.Addresses
			for i := range p.families {
				for _, h := range p.families[i].hosts {
					y.InUse += int(h.ports[c].used.Load())
				}
			}
			y.Free = max(y.Ports-y.InUse, 0)
		}
		x.Protocols = append(x.Protocols, y)
	}
	return x
}

// Mappings calls yield with what each source has, in no order, until it returns false. m is valid during the call. A stripe of mappings
// is copied at a time, so workers hardly notice.
func (s *Sources) Mappings(yield func(m *Mapping) bool) {
	st := s.stock.Load()
	if st.mappings == nil {
		return
	}
	scratch := make([]mapping, 0, st.mappings.perStripe)
	for n := range st.mappings.stripes {
		slots := st.mappings.claim(n)
		// What was given out just now may be of an address that came just now.
		hosts := s.stock.Load().hosts
		scratch = append(scratch[:0], slots...)
		st.mappings.release(n)
		for i := range scratch {
			e := &scratch[i]
			if e.sessions == 0 {
				continue
			}
			k := packet.Key{Tail: e.tail}
			m := Mapping{
				Pool: e.pool, Zone: k.Zone(), Protocol: k.Proto(), Source: e.src, Port: k.SrcPort(),
				Address: hosts[e.host].addr, External: e.port, Sessions: int(e.sessions),
			}
			if !yield(&m) {
				return
			}
		}
	}
}

// Users returns who has most of a pool: at most n source addresses, those with most mappings first.
func (s *Sources) Users(pool uint32, n int) []User {
	type source struct {
		zone packet.Zone
		addr packet.Addr
	}
	sum := map[source]*User{}
	s.Mappings(func(m *Mapping) bool {
		if m.Pool != pool {
			return true
		}
		u := sum[source{m.Zone, m.Source}]
		if u == nil {
			u = &User{Zone: m.Zone, Source: m.Source}
			sum[source{m.Zone, m.Source}] = u
		}
		u.Mappings++
		u.Sessions += m.Sessions
		return true
	})
	all := make([]User, 0, len(sum))
	for _, u := range sum {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b User) int {
		return cmp.Or(cmp.Compare(b.Mappings, a.Mappings), cmp.Compare(b.Sessions, a.Sessions),
			cmp.Compare(a.Zone, b.Zone), compareAddrs(a.Source, b.Source))
	})
	return all[:min(len(all), max(n, 0))]
}
