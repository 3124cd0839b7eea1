// Package nat gives sources of connections addresses and ports that they leave with, and finds the NAT rule that
// holds for a connection.
//
// Sources has stocks of addresses and ports (service.SourcePool) and two ways to give them out:
//
//	mapped           a source (zone, address, protocol, port) has one address and port of the pool for all its sessions,
//	                 whoever they are with, as long as one of them lives (RFC 4787 REQ-1, RFC 5382 REQ-1,
//	                 RFC 5508 REQ-1a); a bitmap for each address says which ports are given out
//	per destination  an address and port is free for a session if no other has it toward the same destination;
//	                 the flow table knows, so nothing is kept here
//
// Rules has the NAT rules of a configuration and finds the first that matches by intersecting sets of rules, one for
// each condition.
//
// What workers call allocates nothing and does a bounded amount of work: it is for the first packets of
// flows. Its results follow from the seed and the order of the calls.
package nat

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Sources gives out addresses and ports. Set is for one goroutine at a time, everything
// else for any number.
type Sources struct {
	table *flowtable.Table
	stock atomic.Pointer[stock]
	seeds seeds

	_     [64]byte
	turns [turnCounters]turn
}

// stock is what there is to give out: immutable, but for what hosts, counts and mappings hold.
type stock struct {
	pools    map[uint32]*pool
	hosts    []*host // by number; nil: not in use
	at       map[place]*host
	mappings *mappings // nil as long as no pool was one of mapped sources
}

// turn counts the ports that were chosen for a few destinations.
type turn struct{ n atomic.Uint32 }

// turnCounters is the number of counters for destinations: with more of them, it is less that who is one of the
// destinations learns of how many connections there are to others (RFC 6056 section 3.3.4).
const turnCounters = 256

// NewSources returns Sources without pools. The table is asked whether sessions have a key, and bounds the number
// of sources that may be mapped at a time. Equal seeds, and equal calls in the same order, give equal results.
func NewSources(table *flowtable.Table, seed uint64) *Sources {
	s := &Sources{table: table, seeds: newSeeds(seed)}
	s.stock.Store(&stock{})
	return s
}

// Take chooses the address and port that a session is to leave with: k is its tuple as it is to leave but for
// the source, in the zone where it enters, and zone is that in which replies enter. For queries of ICMP the port is their
// identifier; protocols without ports get 0, and an address with which no other session of the protocol is under way to the
// same destination.
//
// ok is false if the pool has nothing left, or no address of the family, which it counts. It is
// false, too, for a pool that is not there.
//
// Of what is not mapped, two workers can be given the same at one moment. One of them is told by
// flowtable.Worker.Create that the reply's key is taken: it is to Take again, or to drop the packet, whose repetition will
// find another port. The same goes for a mapped source whose port has a session toward this destination that
// did not come from here.
func (s *Sources) Take(pool uint32, k *packet.Key, zone packet.Zone, _ int64) (addr packet.Addr, port uint16, ok bool) {
	st := s.stock.Load()
	p := st.pools[pool]
	if p == nil {
		return addr, 0, false
	}
	c := classOf(k.Proto())
	if p.spec.PerDestination || c == classNone {
		addr, port, ok = s.takeFor(st, p, c, k, zone)
		if ok {
			p.counts.sessions.Add(1)
		}
	} else {
		addr, port, ok = s.takeMapped(st.mappings, pool, c, k, zone)
	}
	if !ok {
		p.counts.exhausted[c].Add(1)
	}
	return addr, port, ok
}

// Give takes back what a session had, at its end or if it was not made after all: the pool, the key of its original
// direction, or any with the same zone, source and protocol, and what Take had returned.
func (s *Sources) Give(pool uint32, original *packet.Key, addr packet.Addr, port uint16) {
	st := s.stock.Load()
	// The mappings are asked even if the pool is none of mapped sources now: it may have been.
	if c := classOf(original.Proto()); c != classNone && st.mappings != nil && s.giveMapped(st.mappings, pool, c, original, addr, port) {
		return
	}
	if p := st.pools[pool]; p != nil {
		p.counts.sessions.Add(-1)
	}
}

// inUse reports whether a session has the key of replies to k, were its source addr and port.
func (s *Sources) inUse(k *packet.Key, addr packet.Addr, port uint16, zone packet.Zone) bool {
	reply := packet.Key{Src: k.Dst, Dst: addr, Tail: packet.MakeTail(zone, k.Proto(), k.DstPort(), port)}
	return s.table.Lookup(&reply) != 0
}

// Bounds of the work of one Take.
const (
	maxHosts   = 16 // addresses of a pool that are tried for a mapping
	maxRefused = 8  // ports of an address that are free, but for sessions toward this destination

	maxProbes    = 64 // ports that are tried toward a destination, at the source's own address
	maxDetours   = 3  // other addresses that are tried then
	detourProbes = 16 // ports of each of these
)

// takeMapped returns what the source of k is mapped to, and maps it if it is not yet.
func (s *Sources) takeMapped(m *mappings, pool uint32, c class, k *packet.Key, zone packet.Zone) (packet.Addr, uint16, bool) {
	hash := s.seeds.source(k)
	stripe := m.claim(hash)
	defer m.release(hash)
	st := s.claimed()
	p := st.pools[pool]
	if p == nil {
		return packet.Addr{}, 0, false // it went a moment ago
	}
	e, free := m.find(stripe, hash, k, p)
	switch {
	case e != nil:
		e.sessions++
		return st.hosts[e.host].addr, e.port, true
	case free == nil:
		return packet.Addr{}, 0, false
	}
	host, port, ok := s.choose(p, c, k, zone)
	if !ok {
		return packet.Addr{}, 0, false
	}
	*free = mapping{src: k.Src, tail: sourceTail(k), pool: pool, host: host.number, sessions: 1, port: port}
	return host.addr, port, true
}

// giveMapped takes back a session's share of what its source has. It reports false if the source does not have that.
func (s *Sources) giveMapped(m *mappings, pool uint32, c class, k *packet.Key, addr packet.Addr, port uint16) bool {
	hash := s.seeds.source(k)
	stripe := m.claim(hash)
	defer m.release(hash)
	st := s.claimed()
	i := m.findGiven(stripe, hash, &mapping{src: k.Src, tail: sourceTail(k), pool: pool, port: port}, addr, st.hosts)
	if i < 0 {
		return false
	}
	e := &stripe[i]
	if e.sessions--; e.sessions == 0 {
		h := st.hosts[e.host]
		m.close(stripe, i, &s.seeds)
		h.give(c, port)
	}
	return true
}

// claimed returns the stock for who has just claimed a stripe. Numbers of hosts are given anew when nothing of
// a host is given out; so in a stock from before, the number in a mapping that came meanwhile can be another host's.
func (s *Sources) claimed() *stock { return s.stock.Load() }

// choose takes a port for a source that has none: of the address that all ports of this source's address come from
// (RFC 4787 REQ-2), or if that has nothing left, of another.
func (s *Sources) choose(p *pool, c class, k *packet.Key, zone packet.Zone) (*host, uint16, bool) {
	f := p.family(k)
	first, fixed := p.first(f, &s.seeds, k)
	n := min(len(f.hosts), maxHosts)
	if fixed {
		n = 1
	}
	for i := range n {
		h := f.hosts[(first+i)%len(f.hosts)]
		if port, ok := s.chooseAt(h, p, c, k, zone); ok {
			return h, port, true
		}
	}
	return nil, 0, false
}

// chooseAt takes a port of an address: one that has no session toward k's destination, for there are other ways to get one:
// by a pool that shares the address, or if the address is that of a router, by a connection to it.
func (s *Sources) chooseAt(h *host, p *pool, c class, k *packet.Key, zone packet.Zone) (port uint16, ok bool) {
	var refused [maxRefused]uint16
	n := 0
	for ; n < maxRefused; n++ {
		if port, ok = h.take(c, k.SrcPort(), p.bands(c), &s.seeds, k); !ok || !s.inUse(k, h.addr, port, zone) {
			break
		}
		refused[n], ok = port, false
	}
	for _, r := range refused[:n] {
		h.give(c, r)
	}
	return port, ok
}

// takeFor returns an address and port that no session has toward k's destination: the source's own port if it can be, or else
// one found by the double-hash algorithm (RFC 6056 section 3.3.4), whose steps lead away from what was used last.
func (s *Sources) takeFor(st *stock, p *pool, c class, k *packet.Key, zone packet.Zone) (packet.Addr, uint16, bool) {
	f := p.family(k)
	first, fixed := p.first(f, &s.seeds, k)
	n := min(len(f.addrs), 1+maxDetours)
	if fixed {
		n = 1
	}
	probes := maxProbes
	for i := range n {
		addr := f.addrs[(first+i)%len(f.addrs)]
		if port, ok := s.takeAt(addr, st.at[place{p.spec.Scope, addr}], p.bands(c), probes, c, k, zone); ok {
			return addr, port, true
		}
		probes = detourProbes
	}
	return packet.Addr{}, 0, false
}

// takeAt is takeFor at one address; h is what mapped sources have of it, or nil.
func (s *Sources) takeAt(addr packet.Addr, h *host, b *bands, probes int, c class, k *packet.Key, zone packet.Zone) (uint16, bool) {
	free := func(port uint16) bool {
		return !(h != nil && h.has(c, port)) && !s.inUse(k, addr, port, zone)
	}
	if c == classNone {
		return 0, !s.inUse(k, addr, 0, zone)
	}
	own := k.SrcPort()
	if b.prefer(own)[0].has(own) && free(own) {
		return own, true
	}
	offset, counter := s.seeds.destination(k)
	next := &s.turns[counter%turnCounters].n
	for _, band := range b.prefer(own) {
		for range min(probes, band.size()) {
			port := band.at(offset + uint64(next.Add(1)))
			if free(port) {
				return port, true
			}
		}
	}
	return 0, false
}

// Set has ports given out of these pools from now on. A pool with the ID of one that was there before takes its place, and
// what that has given out is still so. Addresses that no pool has any more are kept until all
// their ports have come back. If it fails, everything stays as it was.
func (s *Sources) Set(pools []*service.SourcePool) error {
	next, err := s.stock.Load().with(pools, s.table.Config().Sessions, &s.seeds)
	if err != nil {
		return err
	}
	s.stock.Store(next)
	return nil
}
