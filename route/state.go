package route

import (
	"errors"
	"fmt"
	"maps"
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

	nextTick atomic.Int64
}

// fixedHop is a hop that never changes: it is in use while the current or the
// pending Forwarder refers to it.
type fixedHop struct {
	hopRef
	current, pending bool
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
	return &State{
		config: c, hops: c.Hops, macs: macs, routers: routers,
		fixed: map[dataplane.Hop]*fixedHop{},
	}, nil
}

// Compile makes the forwarding part of a snapshot from a revision's
// configuration. It changes nothing that the Forwarder in force refers to, so
// that one which is never published does no harm. The error names every fault.
//
// A Forwarder that was published is to be adopted before the next one is
// compiled; one that was not is forgotten by the next Compile.
func Compile(c *Config, s *State) (*Forwarder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(func(h *fixedHop) { h.pending = false })
	f := &Forwarder{state: s}
	s.pending = f
	err := errors.Join(f.compileSegments(c), f.compilePorts(c))
	if err == nil {
		err = f.compileRouters(c)
	}
	if err != nil {
		s.forget(func(h *fixedHop) { h.pending = false })
		s.pending = nil
		return nil, err
	}
	return f, nil
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
	f.macsGone(s.macs.refit(f, old))
	f.adoptRouters(old)
	s.forget(func(h *fixedHop) { h.current, h.pending = h.pending, false })
}

// replaces reports whether a port or a segment of f has the number of another
// one in old, which is gone: what was learned there does not hold here. old may be nil.
func (f *Forwarder) replaces(old *Forwarder, port uint16, zone packet.Zone) bool {
	if old == nil {
		return false
	}
	if name := old.portNames[port]; name != "" && name != f.portNames[port] {
		return true
	}
	was, is := old.segmentOf(zone), f.segmentOf(zone)
	return was != nil && is != nil && was.name != is.name
}

// forget applies a change to all fixed hops and frees those that nothing
// refers to any more.
func (s *State) forget(change func(*fixedHop)) {
	maps.DeleteFunc(s.fixed, func(_ dataplane.Hop, h *fixedHop) bool {
		change(h)
		unused := !h.current && !h.pending
		if unused {
			s.hops.Free(h.index)
		}
		return unused
	})
}

// fix returns the hop that looks like h, for a Forwarder that is being
// compiled. The hop stays what it is while a Forwarder refers to it; a flow
// that uses it is asked about again only with the next epoch.
func (s *State) fix(h dataplane.Hop) (hopRef, error) {
	fixed := s.fixed[h]
	if fixed == nil {
		index, gen, err := s.hops.New(h)
		if err != nil {
			return hopRef{}, err
		}
		fixed = &fixedHop{hopRef: hopRef{index, gen}}
		s.fixed[h] = fixed
	}
	fixed.pending = true
	return fixed.hopRef, nil
}

// Close gives back the memory of the tables. No Forwarder of s may be in use.
func (s *State) Close() error { return errors.Join(s.macs.close(), s.routers.close()) }
