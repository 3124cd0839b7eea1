package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Forwarder is a revision's segments and routers as workers read them. It is
// immutable; what is learned is in its State. Its parts are shared with the
// Forwarders before and after it, where nothing changed:
//
//	Forwarder ─┬─ segment (its number) ── lan (its ports) ── domain (its settings)
//	           ├─ port
//	           └─ fib
type Forwarder struct {
	state *State

	segments []segment // flood lists have the same numbers; uplinks after the segments
	zones    map[packet.Zone]uint16
	ports    []*port // by number; nil: none
	links    []Link  // by port number
	fibs     []*fib  // by router
	floods   [][]dataplane.FloodTarget
	aging    int64 // the shortest of a member's learning; 0: nothing ages
}

// segment is a layer-2 domain: a Segment, or the network of an uplink.
type segment struct {
	*lan
	list   uint16 // number of the flood list, and of the segment
	router int    // index in Config.Routers; -1: none
	uplink int    // index in Router.Uplinks; -1: not an uplink
}

// domain is what of a segment does not depend on its ports. It is immutable; one that is
// equal is the same one.
type domain struct {
	settings
	addresses []packet.Addr // the router's own here, with its link-local one
	networks  []network
	proxied   []netip.Prefix
}

// settings are what can be compared of a domain.
type settings struct {
	name   string
	zone   packet.Zone
	mtu    uint32 // largest IP packet; 0 is no limit
	uplink bool

	hasRouter bool
	routerMAC packet.MAC // valid iff hasRouter

	learning     Learning // of ports without their own; the zero Learning on an uplink
	floodUnknown bool
	suppress     bool
}

// network is an IP network on a segment.
type network struct {
	prefix netip.Prefix // masked
	router netip.Addr   // the router's address there; invalid: none
}

func (d *domain) equal(other *domain) bool {
	return d.settings == other.settings && slices.Equal(d.addresses, other.addresses) &&
		slices.Equal(d.networks, other.networks) && slices.Equal(d.proxied, other.proxied)
}

// routed reports whether mac is the router's in this segment.
func (d *domain) routed(mac packet.MAC) bool { return d.hasRouter && mac == d.routerMAC }

// owns reports whether ip is one of the router's addresses here.
func (d *domain) owns(ip packet.Addr) bool {
	for _, a := range d.addresses {
		if a == ip {
			return true
		}
	}
	return false
}

// proxies reports whether the router answers for ip, which is not its own.
func (d *domain) proxies(ip packet.Addr) bool {
	if len(d.proxied) == 0 {
		return false
	}
	a := ip.Netip()
	for _, p := range d.proxied {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Floods returns the flood lists of the snapshot, one for each segment and uplink.
func (f *Forwarder) Floods() [][]dataplane.FloodTarget { return f.floods }

// segmentOf returns the segment of a zone, nil if there is none.
func (f *Forwarder) segmentOf(zone packet.Zone) *segment {
	if i, found := f.zones[zone]; found {
		return &f.segments[i]
	}
	return nil
}

// lanOf returns what is known of a zone, nil if there is none. f may be nil.
func (f *Forwarder) lanOf(zone packet.Zone) *lan {
	if f == nil {
		return nil
	}
	if seg := f.segmentOf(zone); seg != nil {
		return seg.lan
	}
	return nil
}

// memberOf returns a port's membership in a zone, nil if there is none.
func (f *Forwarder) memberOf(port uint16, zone packet.Zone) *member {
	if seg := f.segmentOf(zone); seg != nil {
		return seg.member(port)
	}
	return nil
}

// hopOf returns where a MAC address of a segment is, bound or learned.
func (f *Forwarder) hopOf(seg *segment, mac packet.MAC) (at station, found bool) {
	if at, found = seg.stations[mac.Word()]; found {
		return at, true
	}
	return f.state.macs.find(seg.zone, mac.Word())
}

// macsGone tells layer 3 about addresses that have been forgotten.
func (f *Forwarder) macsGone(gone []stationKey) {
	for _, k := range gone {
		f.macMoved(packet.Zone(k.zone), packet.MACFromWord(k.mac), 0)
	}
}

// compileSegments makes the domains of the segments, and those of uplinks after
// them, and gives each the lan that it had in old, if that is of the same domain, or an empty one.
func (f *Forwarder) compileSegments(c *Config, old *Forwarder) error {
	n := len(c.Segments)
	f.zones, f.segments = make(map[packet.Zone]uint16, n), make([]segment, 0, n)
	var faults []error
	for i := range c.Segments {
		in := &c.Segments[i]
		d := domain{proxied: in.Proxied, settings: settings{
			name: "segment " + in.Name, zone: in.Zone, hasRouter: in.Router >= 0, routerMAC: c.GatewayMAC,
			learning: in.Learning, floodUnknown: in.FloodUnknown, suppress: in.Suppress,
		}}
		if in.Router < -1 || in.Router >= len(c.Routers) {
			faults = append(faults, fmt.Errorf("%s: router %d does not exist", d.name, in.Router))
			continue
		}
		for _, n := range in.Subnets {
			if d.hasRouter && n.Gateway.IsValid() {
				d.addresses = append(d.addresses, packet.AddrFrom(n.Gateway))
			}
			faults = append(faults, d.addNetwork(n.Prefix, n.Gateway))
		}
		faults = append(faults, f.addSegment(old, &d, in.MTU, in.Router, -1))
	}
	for r := range c.Routers {
		for u := range c.Routers[r].Uplinks {
			in := &c.Routers[r].Uplinks[u]
			d := domain{proxied: in.Proxied, settings: settings{
				name: fmt.Sprintf("router %s: uplink %d", c.Routers[r].Name, u), zone: in.Zone, uplink: true,
				hasRouter: true, routerMAC: in.MAC,
			}}
			for _, a := range in.Addresses {
				d.addresses = append(d.addresses, packet.AddrFrom(a.Addr()))
				faults = append(faults, d.addNetwork(a, a.Addr()))
			}
			faults = append(faults, f.addSegment(old, &d, in.MTU, r, u))
		}
	}
	return errors.Join(faults...)
}

// addNetwork adds a network with the router's address there.
func (d *domain) addNetwork(prefix netip.Prefix, router netip.Addr) error {
	if !isPlain(prefix) {
		return fmt.Errorf("%s: %v is not a network", d.name, prefix)
	}
	router = router.Unmap()
	if router.IsValid() && (router.Is4() != prefix.Addr().Is4() || packet.AddrFrom(router).Scope() != packet.ScopeGlobal) {
		return fmt.Errorf("%s: %s cannot be the router's address in %s", d.name, router, prefix)
	}
	d.networks = append(d.networks, network{prefix.Masked(), router})
	return nil
}

func (f *Forwarder) addSegment(old *Forwarder, d *domain, mtu, router, uplink int) error {
	var faults []error
	if d.zone == 0 || d.zone > packet.MaxZone {
		faults = append(faults, fmt.Errorf("%s: zone %d is not between 1 and %d", d.name, d.zone, packet.MaxZone))
	}
	if other := f.segmentOf(d.zone); other != nil {
		faults = append(faults, fmt.Errorf("%s: zone %d is that of %s", d.name, d.zone, other.name))
	}
	if mtu < 0 || mtu > maxMTU {
		faults = append(faults, fmt.Errorf("%s: MTU %d is not between 0 and %d", d.name, mtu, maxMTU))
	}
	if d.hasRouter && (d.routerMAC.IsZero() || d.routerMAC.IsGroup()) {
		faults = append(faults, fmt.Errorf("%s: the router's MAC %s is not a unicast address", d.name, d.routerMAC))
	}
	if len(f.segments) > maxSegments {
		faults = append(faults, fmt.Errorf("%s: more than %d segments", d.name, maxSegments))
	}
	if faults != nil {
		return errors.Join(faults...)
	}
	if d.hasRouter {
		d.addresses = append(d.addresses, packet.LinkLocal(d.routerMAC))
	}
	d.mtu = uint32(mtu)
	l := old.lanOf(d.zone)
	if l == nil || !l.equal(d) {
		l = &lan{domain: d}
	}
	list := uint16(len(f.segments))
	f.zones[d.zone] = list
	f.segments = append(f.segments, segment{l, list, router, uplink})
	return nil
}

const (
	maxMTU      = 1<<16 - 1 // of a Hop
	maxSegments = 1<<16 - 1 // flood lists are numbered by 16 bits
)
