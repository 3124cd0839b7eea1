package route

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// StateConfig sizes a State. All but Hops have defaults.
type StateConfig struct {
	Hops *dataplane.HopTable

	Ports     int    // largest port number; default 4095
	MACs      int    // learned addresses at most; default 65536
	Neighbors int    // neighbours of routers at most; default 16384
	Seed      uint64 // of hashes; should be secret

	// These bound what routers send in answer to packets, over all ports: ICMP errors,
	// and echo replies. One port gets at most a quarter. 0 is no limit.
	ICMPErrorsPerSecond uint32
	EchoesPerSecond     uint32
}

func (c StateConfig) withDefaults() StateConfig {
	for _, d := range []struct {
		n     *int
		value int
	}{{&c.Ports, 4095}, {&c.MACs, 1 << 16}, {&c.Neighbors, 1 << 14}} {
		if *d.n <= 0 {
			*d.n = d.value
		}
	}
	return c
}

// State is what a node has learned: where addresses are, and who its routers'
// neighbours are. It lives as long as the node, through all revisions; a
// Forwarder is one revision's view of it.
//
// Compile, Adopt and Close are for one goroutine at a time. What workers call is safe for
// all of them at once: lookups take no lock, learning takes one.
type State struct {
	config  StateConfig
	hops    *dataplane.HopTable
	macs    *macTable
	routers *routerState

	mu      sync.Mutex
	fixed   map[dataplane.Hop]*fixedHop // hops that configuration names, shared by all that look the same
	current *Forwarder                  // last one adopted
	pending *Forwarder                  // compiled since

	fibs uint64 // made so far; Compile's

	announcer announcer

	nextTick atomic.Int64
}

// fixedHop is a hop that never changes: it is in use while a lan refers to it.
type fixedHop struct {
	hopRef
	hop  dataplane.Hop
	uses int
}

// hopRef names a hop as flow entries do.
type hopRef struct{ index, gen uint32 }

// NewState makes an empty State. The error says that the hop table is missing,
// or what memory the kernel refused.
func NewState(c StateConfig) (*State, error) {
	if c.Hops == nil {
		return nil, errors.New("route state: a hop table is required")
	}
	c = c.withDefaults()
	macs, err := newMACTable(c.MACs, c.Ports, c.Seed, c.Hops)
	if err != nil {
		return nil, fmt.Errorf("route state: %d MAC addresses: %w", c.MACs, err)
	}
	routers, err := newRouterState(&c)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("route state: %d neighbours: %w", c.Neighbors, err), macs.close())
	}
	s := &State{
		config: c, hops: c.Hops, macs: macs, routers: routers,
		fixed: map[dataplane.Hop]*fixedHop{},
	}
	s.announcer.due.Store(never)
	return s, nil
}

// Compile makes the forwarding part of a snapshot from a revision's
// configuration. It changes nothing that the Forwarder in force refers to, so
// that one which is never published does no harm. The error names every fault.
// What a revision has in common with the one in force is not made anew: ports by
// their pointers, so a Port is never to be changed, and segments and routers by what they say.
//
// A Forwarder that was published is to be adopted before the next one is
// compiled; one that was not is forgotten by the next Compile.
func Compile(c *Config, s *State) (*Forwarder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(s.pending)
	s.pending = nil
	f := &Forwarder{state: s, links: linksOf(c)}
	if err := f.compile(c, s.current); err != nil {
		s.release(f)
		return nil, err
	}
	s.pending = f
	return f, nil
}

// compile fills an empty Forwarder, with what fits of old, which may be nil. Also if there is an
// error, f is to be released.
func (f *Forwarder) compile(c *Config, old *Forwarder) error {
	err := f.compileSegments(c, old)
	changes, portErr := f.compilePorts(c, old)
	if err = errors.Join(err, portErr, f.compileLANs(old, &changes)); err != nil {
		return err
	}
	return f.compileFIBs(c, old)
}

// Adopt makes f the forwarder in force. It is called when no worker uses an
// older one any more (dataplane.Engine.Synchronize): hops that only those
// referred to are given back, and what was learned and no longer fits is forgotten.
func (s *State) Adopt(f *Forwarder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != f {
		return // adopted already
	}
	old := s.current
	s.current, s.pending = f, nil
	if zones := f.changed(old); len(zones) != 0 {
		f.macsGone(s.macs.refit(f, old, zones))
		f.adoptRouters(old, zones)
	}
	s.announcer.add(f.unannounced(old))
	s.release(old)
}

// changed returns the zones that are not in f as they are in old, which may be nil: of
// the others, all that was learned still fits.
func (f *Forwarder) changed(old *Forwarder) map[packet.Zone]bool {
	zones := map[packet.Zone]bool{}
	for i := range f.segments {
		if seg := &f.segments[i]; old.lanOf(seg.zone) != seg.lan {
			zones[seg.zone] = true
		}
	}
	if old != nil {
		for i := range old.segments {
			if zone := old.segments[i].zone; f.lanOf(zone) == nil {
				zones[zone] = true
			}
		}
	}
	return zones
}

// replaces reports whether a port or a segment of f has the number of another
// one in old, which is gone: what was learned there does not hold here. old may be nil.
func (f *Forwarder) replaces(old *Forwarder, number uint16, zone packet.Zone) bool {
	was, is := old.portAt(number), f.portAt(number)
	if was != nil && (is == nil || was.config.Name != is.config.Name) {
		return true
	}
	before, now := old.lanOf(zone), f.lanOf(zone)
	return before != nil && now != nil && before.name != now.name
}

// release takes a Forwarder's parts from it, which may be nil, and frees the hops that nothing
// refers to any more.
func (s *State) release(f *Forwarder) {
	if f == nil {
		return
	}
	for i := range f.segments {
		l := f.segments[i].lan
		if l.users--; l.users > 0 {
			continue
		}
		for _, h := range l.hops {
			if h.uses--; h.uses == 0 {
				delete(s.fixed, h.hop)
				s.hops.Free(h.index)
			}
		}
	}
}

// fix returns the hop that looks like h, for a lan that is being compiled. The hop stays
// what it is while a lan refers to it; a flow that uses it is asked about
// again only with the next epoch.
func (s *State) fix(l *lan, h dataplane.Hop) (hopRef, error) {
	fixed := s.fixed[h]
	if fixed == nil {
		index, gen, err := s.hops.New(h)
		if err != nil {
			return hopRef{}, err
		}
		fixed = &fixedHop{hopRef: hopRef{index, gen}, hop: h}
		s.fixed[h] = fixed
	}
	fixed.uses++
	l.hops = append(l.hops, fixed)
	return fixed.hopRef, nil
}

// Close gives back the memory of the tables. No Forwarder of s may be in use.
func (s *State) Close() error { return errors.Join(s.macs.close(), s.routers.close()) }
