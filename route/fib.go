package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"github.com/sluice-net/sluice/packet"
)

// fib is a router's forwarding table: which way for which destination, the
// longest prefix first. It is built by Compile and then only read. It must not
// be copied.
type fib struct {
	number   uint64 // of no other table of the State
	name     string
	id       packet.Addr  // an IPv4 address of the router's, for segments without one; zero: none
	statics  []Static     // what it is made of, with the segments
	gateways []netip.Addr // of uplinks, by number; invalid: none
	proxied  []Proxied

	// own is all but proxied, of which there are many, and a few change at a time: routes is own with them, and shares what
	// it can with the table before.
	own, routes *bart.Fast[path] // 5 ns less than Table, for 2 KiB a node
}

// path is what a route says of the destinations that it matches.
type path struct {
	via     packet.Addr // next hop; valid iff kind is pathVia
	segment uint16      // where packets leave; valid iff kind is pathDirect or pathVia
	kind    pathKind

	announced bool // of pathProxied: on uplinks too
}

// pathKind is what becomes of a packet that a route matches.
type pathKind uint8

const (
	pathDirect    pathKind = iota // the destination is on the segment
	pathVia                       // it is reached by another router on the segment
	pathLocal                     // it is the router
	pathProxied                   // the router answers for it; services translate what goes there
	pathBroadcast                 // a connected network's broadcast address (RFC 2644)
	pathBlackhole                 // discarded without a word
)

// lookup returns the way to an address.
func (t *fib) lookup(ip packet.Addr) (p path, found bool) {
	return t.routes.Lookup(ip.Netip())
}

// add puts a route into the table, unless there is one for the prefix: the
// first wins.
func (t *fib) add(prefix netip.Prefix, p path) bool {
	if _, taken := t.own.Get(prefix); taken {
		return false
	}
	t.own.Insert(prefix, p)
	return true
}

// compileFIBs builds the table of every router, unless old has it. What is more certain goes in
// first: the router's own addresses, connected networks, static routes, the
// default routes of uplinks.
func (f *Forwarder) compileFIBs(c *Config, old *Forwarder) error {
	f.fibs = make([]*fib, len(c.Routers))
	building := make([]*fib, len(c.Routers)) // nil: it is old's
	changed := f.rewired(old, len(c.Routers))
	for r := range c.Routers {
		t := newFIB(&c.Routers[r])
		if old != nil && r < len(old.fibs) && !changed[r] && old.fibs[r].alike(t) {
			if t = old.fibs[r]; !slices.Equal(t.proxied, c.Routers[r].Proxied) {
				f.state.fibs++
				t = t.proxying(c.Routers[r].Proxied, f.state.fibs)
			}
			f.fibs[r] = t
			continue
		}
		f.state.fibs++
		t.number = f.state.fibs
		f.fibs[r], building[r] = t, t
	}
	var segments []*segment // of those routers
	for i := range f.segments {
		if seg := &f.segments[i]; seg.router >= 0 && building[seg.router] != nil {
			segments = append(segments, seg)
		}
	}
	var faults []error
	for _, seg := range segments {
		faults = append(faults, building[seg.router].addOwn(seg))
	}
	connected := make(map[connection]*segment)
	for _, seg := range segments {
		faults = append(faults, building[seg.router].connect(seg, connected))
	}
	for r, t := range building {
		if t == nil {
			continue
		}
		for _, s := range t.statics {
			if err := f.addStatic(r, s); err != nil {
				faults = append(faults, fmt.Errorf("%s: route %s: %w", t.name, s.Prefix, err))
			}
		}
	}
	for _, seg := range segments {
		if seg.uplink < 0 {
			continue
		}
		t := building[seg.router]
		if gateway := t.gateways[seg.uplink]; gateway.IsValid() {
			all := netip.PrefixFrom(gateway, 0).Masked()
			t.add(all, path{via: packet.AddrFrom(gateway), segment: seg.list, kind: pathVia})
		}
	}
	for r, t := range building {
		if t != nil {
			t.proxyAll(c.Routers[r].Proxied)
		}
	}
	return errors.Join(faults...)
}

// newFIB makes an empty table.
func newFIB(r *Router) *fib {
	t := &fib{
		name: "router " + r.Name, statics: slices.Clone(r.Routes), gateways: make([]netip.Addr, len(r.Uplinks)),
		own: new(bart.Fast[path]),
	}
	t.routes = t.own
	for u := range r.Uplinks {
		t.gateways[u] = r.Uplinks[u].Gateway.Unmap()
	}
	return t
}

// alike reports whether two tables are of one configuration, as far as segments
// don't tell.
func (t *fib) alike(other *fib) bool {
	return t.name == other.name && slices.Equal(t.statics, other.statics) && slices.Equal(t.gateways, other.gateways)
}

// rewired reports which of the first n routers have other segments, or the same with
// other addresses or numbers, than they have in old, which may be nil.
func (f *Forwarder) rewired(old *Forwarder, n int) []bool {
	changed := make([]bool, n)
	var before []segment
	if old != nil {
		before = old.segments
	}
	for i := range max(len(f.segments), len(before)) {
		var was, is segment
		if i < len(before) {
			was = before[i]
		}
		if i < len(f.segments) {
			is = f.segments[i]
		}
		if was.lan != nil && is.lan != nil && was.domain == is.domain && was.router == is.router && was.uplink == is.uplink {
			continue
		}
		for _, seg := range [...]segment{was, is} {
			if seg.lan != nil && seg.router >= 0 && seg.router < n {
				changed[seg.router] = true
			}
		}
	}
	return changed
}

// isPlain reports whether a prefix is valid and not one of mapped addresses.
func isPlain(p netip.Prefix) bool { return p.IsValid() && !p.Addr().Is4In6() }

// addOwn adds the router's addresses in a segment.
func (t *fib) addOwn(seg *segment) error {
	var faults []error
	for _, n := range seg.networks {
		if n.router.Is4() && t.id == (packet.Addr{}) {
			t.id = packet.AddrFrom(n.router)
		}
		if n.router.IsValid() && !t.add(host32(n.router), path{kind: pathLocal}) {
			faults = append(faults, fmt.Errorf("%s: %s is the router's address in another segment too: %s", t.name, n.router, seg.name))
		}
	}
	return errors.Join(faults...)
}

// connection is a router's network, for finding those that two segments claim.
type connection struct {
	router int
	prefix netip.Prefix
}

// connect adds the networks of a segment, and the addresses that the router answers for there.
func (t *fib) connect(seg *segment, connected map[connection]*segment) error {
	var faults []error
	for _, n := range seg.networks {
		if other := connected[connection{seg.router, n.prefix}]; other != nil && other != seg && (other.uplink < 0 || seg.uplink < 0) {
			faults = append(faults, fmt.Errorf("%s: network %s is that of %s and of %s", t.name, n.prefix, other.name, seg.name))
			continue
		}
		connected[connection{seg.router, n.prefix}] = seg
		t.add(n.prefix, path{segment: seg.list, kind: pathDirect})
		// A network of two addresses has none for broadcast (RFC 3021).
		if n.prefix.Addr().Is4() && n.prefix.Bits() < 31 {
			t.add(host32(n.prefix.Addr()), path{kind: pathBroadcast})
			t.add(host32(lastOf(n.prefix)), path{kind: pathBroadcast})
		}
	}
	for _, p := range seg.proxied {
		if isPlain(p) {
			t.add(p.Masked(), path{kind: pathProxied})
		}
	}
	return errors.Join(faults...)
}

// addStatic adds a configured route.
func (f *Forwarder) addStatic(router int, s Static) error {
	t := f.fibs[router]
	if !isPlain(s.Prefix) {
		return errors.New("is not a network")
	}
	prefix := s.Prefix.Masked()
	if s.Blackhole {
		t.add(prefix, path{kind: pathBlackhole})
		return nil
	}
	via := s.Via.Unmap()
	if !via.IsValid() {
		return errors.New("has no next hop")
	}
	if via.Is4() != prefix.Addr().Is4() {
		return fmt.Errorf("next hop %s is of the other IP version", via)
	}
	on, bits := -1, -1
	for i := range f.segments {
		seg := &f.segments[i]
		if seg.router != router {
			continue
		}
		if s.Zone == seg.zone {
			on, bits = i, via.BitLen()+1 // a link-local address does not say by itself
			if seg.owns(packet.AddrFrom(via)) {
				return fmt.Errorf("next hop %s is the router itself", via)
			}
		}
		for _, n := range seg.networks {
			if n.router == via {
				return fmt.Errorf("next hop %s is the router itself", via)
			}
			if n.prefix.Contains(via) && n.prefix.Bits() > bits {
				on, bits = i, n.prefix.Bits()
			}
		}
	}
	if on < 0 {
		return fmt.Errorf("next hop %s is on none of the router's networks", via)
	}
	t.add(prefix, path{via: packet.AddrFrom(via), segment: f.segments[on].list, kind: pathVia})
	return nil
}

// host32 returns the prefix that is one address.
func host32(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// lastOf returns the last address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// sourceFor returns the router's address in a segment from which it speaks to
// peer: the one on peer's network, else the first of the same IP version. If
// the segment has none, IPv6 has the link-local one, and IPv4 takes one of
// another segment (RFC 1812 section 2.2.7, router-id).
func (f *Forwarder) sourceFor(seg *segment, peer packet.Addr) (a packet.Addr, found bool) {
	ip := peer.Netip()
	list := seg.networks
	for _, onNetwork := range [...]bool{true, false} {
		for i := range list {
			n := &list[i]
			if n.router.IsValid() && n.router.Is4() == ip.Is4() && (!onNetwork || n.prefix.Contains(ip)) {
				return packet.AddrFrom(n.router), true
			}
		}
	}
	if !ip.Is4() {
		return packet.LinkLocal(seg.routerMAC), true
	}
	id := f.fibs[seg.router].id
	return id, id != packet.Addr{}
}
