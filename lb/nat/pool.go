package nat

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// pool is a service.SourcePool at work. It is immutable but for its counts, which those of the same ID share.
type pool struct {
	spec     *service.SourcePool
	counts   *poolCounts
	families [2]family // v4, v6
	ports    bands
	idents   bands  // of ICMP
	hosts    []bool // by number: whether the address is the pool's
	fixed    spans  // of sources that are pinned: index in spec.Fixed, plus 1
}

type poolCounts struct {
	sessions  atomic.Int64 // that are not of mapped sources
	exhausted [numClasses + 1]atomic.Uint64
}

// family is the addresses of one version of IP.
type family struct {
	addrs []packet.Addr
	hosts []*host // likewise; of pools of mapped sources only

	// slots say by hash which address sources have: a power of two of them, as evenly spread as
	// can be. When addresses come or go, few other sources change theirs.
	slots []uint16
}

// band is a run of ports; that from 1 to 0 is empty.
type band struct{ first, last uint16 }

func (b band) has(port uint16) bool { return port >= b.first && port <= b.last }
func (b band) size() int            { return int(b.last) - int(b.first) + 1 }

// at returns the port of the band that a number leads to; the band is not empty.
func (b band) at(n uint64) uint16 { return b.first + uint16(n%uint64(b.size())) }

// bands are the ports of a pool, in the order in which sources with well-known ports are served, and others.
type bands [2][2]band

// wellKnown is the number of ports that are well known (RFC 6335 section 6).
const wellKnown = 1024

// newBands parts ports into those that are well known and others. Sources with a well-known port get one of the others if there is
// none of the former, but nobody gets a well-known one without having one, unless there is nothing else: servers may take them
// for a sign of a privileged sender.
func newBands(r service.PortRange) bands {
	none := band{1, 0}
	low, high := none, none
	if r.First < wellKnown {
		low = band{max(r.First, 1), min(r.Last, wellKnown-1)}
	}
	if r.Last >= wellKnown {
		high = band{max(r.First, wellKnown), r.Last}
	}
	switch {
	case low.size() <= 0:
		return bands{{high, none}, {high, none}}
	case high.size() <= 0:
		return bands{{low, none}, {low, none}}
	}
	return bands{{low, high}, {high, none}}
}

// prefer returns the order for a source with a port.
func (b *bands) prefer(port uint16) *[2]band {
	if port < wellKnown {
		return &b[0]
	}
	return &b[1]
}

// size returns how many ports there are in all.
func (b *bands) size() int { return b[0][0].size() + b[0][1].size() }

func (p *pool) bands(c class) *bands {
	if c == classICMP {
		return &p.idents
	}
	return &p.ports
}

func (p *pool) family(k *packet.Key) *family {
	if k.Src.Is4() {
		return &p.families[0]
	}
	return &p.families[1]
}

// gives reports whether what a source was mapped to is still of the pool.
func (p *pool) gives(e *mapping, k *packet.Key) bool {
	if int(e.host) >= len(p.hosts) || !p.hosts[e.host] {
		return false
	}
	b := p.bands(classOf(k.Proto()))
	return b[0][0].has(e.port) || b[0][1].has(e.port)
}

// first returns the index of the address that a source has, and whether it may have another.
func (p *pool) first(f *family, s *seeds, k *packet.Key) (i int, fixed bool) {
	if len(f.addrs) == 0 {
		return 0, false
	}
	if n := p.fixed.find(numberOf(k.Src)); n != 0 {
		if i, found := slices.BinarySearchFunc(f.addrs, p.spec.Fixed[n-1].To, compareAddrs); found {
			return i, true
		}
	}
	h := s.source(&packet.Key{Src: k.Src, Tail: k.Tail & (packet.MaxZone << 32)})
	return int(f.slots[h&uint64(len(f.slots)-1)]), false
}

func compareAddrs(a, b packet.Addr) int { return numberOf(a).compare(numberOf(b)) }

// with returns a stock of these pools, and of what those before have given out.
func (st *stock) with(specs []*service.SourcePool, sessions int, s *seeds) (*stock, error) {
	next := &stock{
		pools: make(map[uint32]*pool, len(specs)), hosts: slices.Clone(st.hosts), at: maps.Clone(st.at),
		mappings: st.mappings,
	}
	if next.at == nil {
		next.at = map[place]*host{}
	}
	var faults []error
	needed := map[place]bool{}
	names := map[uint32]string{}
	for _, x := range specs {
		if err := validate(x); err != nil {
			faults = append(faults, err)
		}
		if other, taken := names[x.ID]; taken {
			faults = append(faults, fmt.Errorf("source pool %q: another one, %q, has its number %d; give each its own", x.Name, other, x.ID))
		}
		names[x.ID] = x.Name
		if !x.PerDestination {
			for _, a := range x.Addresses {
				needed[place{x.Scope, a}] = true
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	next.drop(needed)
	for _, x := range specs {
		next.pools[x.ID] = next.poolOf(x, st.pools[x.ID], s)
	}
	if next.mappings == nil && len(needed) > 0 {
		next.mappings = newMappings(sessions)
	}
	return next, nil
}

// validate returns what would make a pool useless or dangerous.
func validate(x *service.SourcePool) error {
	switch {
	case x.ID == 0:
		return fmt.Errorf("source pool %q: it has no number; numbers begin at 1", x.Name)
	case len(x.Addresses) > service.MaxPoolAddresses:
		return fmt.Errorf("source pool %q: %d addresses are more than %d; make several pools of it", x.Name, len(x.Addresses), service.MaxPoolAddresses)
	case x.Ports.First > x.Ports.Last || x.Ports.Last == 0 && x.Ports != (service.PortRange{}):
		return fmt.Errorf("source pool %q: ports %d to %d are none; name the lower one first", x.Name, x.Ports.First, x.Ports.Last)
	}
	return nil
}

// drop takes out the addresses that nobody needs, unless some of their ports are still given out.
func (st *stock) drop(needed map[place]bool) {
	for i, h := range st.hosts {
		if h != nil && !needed[h.place] && h.close() {
			st.hosts[i] = nil
			delete(st.at, h.place)
		}
	}
}

// host returns the one at a place, which it makes if there is none.
func (st *stock) host(at place) *host {
	h := st.at[at]
	if h == nil {
		n := slices.Index(st.hosts, nil)
		if n < 0 {
			n = len(st.hosts)
			st.hosts = append(st.hosts, nil)
		}
		h = &host{place: at, number: uint32(n)}
		st.hosts[n], st.at[at] = h, h
	}
	return h
}

// poolOf returns a pool at work: that of old if nothing about it has changed.
func (st *stock) poolOf(x *service.SourcePool, old *pool, s *seeds) *pool {
	if old != nil && old.spec == x {
		return old // its addresses were needed all the time, so its hosts are still there
	}
	p := &pool{spec: x, counts: &poolCounts{}}
	if old != nil {
		p.counts = old.counts
	}
	ports, idents := x.Ports, x.Ports
	if ports == (service.PortRange{}) {
		ports, idents = service.PortRange{First: wellKnown, Last: 1<<16 - 1}, service.PortRange{Last: 1<<16 - 1}
	}
	p.ports = newBands(ports)
	// Identifiers know no ranges, and 0 is one as any other.
	p.idents = bands{{{idents.First, idents.Last}, {1, 0}}, {{idents.First, idents.Last}, {1, 0}}}
	for _, a := range x.Addresses {
		f := &p.families[1]
		if a.Is4() {
			f = &p.families[0]
		}
		f.addrs = append(f.addrs, a)
	}
	for i := range p.families {
		f := &p.families[i]
		slices.SortFunc(f.addrs, compareAddrs)
		f.addrs = slices.Compact(f.addrs)
		f.slots = shares(f.addrs, s)
		if x.PerDestination {
			continue
		}
		for _, a := range f.addrs {
			h := st.host(place{x.Scope, a})
			f.hosts = append(f.hosts, h)
			for len(p.hosts) <= int(h.number) {
				p.hosts = append(p.hosts, false)
			}
			p.hosts[h.number] = true
		}
	}
	p.fixed = fixedSpans(x.Fixed)
	return p
}

// slotsAnAddress is how many slots an address has: with 16, none has more than a sixteenth more sources than another.
const slotsAnAddress = 16

// shares deals slots to addresses in turns, each of which goes through all slots in an order of its own until it finds
// one that is left (Eisenbud et al., "Maglev", NSDI 2016, section 3.4).
func shares(addrs []packet.Addr, s *seeds) []uint16 {
	if len(addrs) == 0 {
		return nil
	}
	size := 256
	for size < slotsAnAddress*len(addrs) {
		size *= 2
	}
	const free = 1<<16 - 1 // more than there are addresses
	slots := make([]uint16, size)
	for i := range slots {
		slots[i] = free
	}
	next := make([]uint64, len(addrs))
	step := make([]uint64, len(addrs))
	for i, a := range addrs {
		next[i] = s.address(a)
		step[i] = mix(next[i]) | 1 // odd: it comes by every slot
	}
	for dealt := 0; dealt < size; {
		for i := 0; i < len(addrs) && dealt < size; i++ {
			for slots[next[i]&uint64(size-1)] != free {
				next[i] += step[i]
			}
			slots[next[i]&uint64(size-1)] = uint16(i)
			dealt++
		}
	}
	return slots
}
