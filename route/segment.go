package route

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Forwarder is a revision's segments and routers as workers read them. It is
// immutable; what is learned is in its State.
type Forwarder struct {
	state *State

	segments []segment // flood lists have the same numbers; uplinks after the segments
	zones    map[packet.Zone]uint16
	ports    []portRules // by number
	members  map[memberKey]member
	stations map[stationKey]station // bound MACs
	hosts    map[hostKey]host       // bound IP addresses
	bindings map[binding]bool       // of all ports; see binding
	floods   [][]dataplane.FloodTarget
	aging    int64 // the shortest of a member's learning; 0: nothing ages

	routing
}

// segment is a layer-2 domain: a Segment, or the network of an uplink.
type segment struct {
	name string
	zone packet.Zone
	list uint16 // number of the flood list, and of the segment
	mtu  uint32 // largest IP packet; 0 is no limit

	router int // index in Config.Routers; -1: none
	uplink int // index in Router.Uplinks; -1: not an uplink

	routerMAC packet.MAC    // valid iff router >= 0
	addresses []packet.Addr // the router's own here, with its link-local one
	proxied   []netip.Prefix

	floodUnknown bool
	suppress     bool
}

// routed reports whether mac is the router's in this segment.
func (s *segment) routed(mac packet.MAC) bool { return s.router >= 0 && mac == s.routerMAC }

// owns reports whether ip is one of the router's addresses here.
func (s *segment) owns(ip packet.Addr) bool {
	for _, a := range s.addresses {
		if a == ip {
			return true
		}
	}
	return false
}

// proxies reports whether the router answers for ip, which is not its own.
func (s *segment) proxies(ip packet.Addr) bool {
	if len(s.proxied) == 0 {
		return false
	}
	a := ip.Netip()
	for _, p := range s.proxied {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// portRules is what holds for a port in all its segments.
type portRules struct {
	guard     bool
	rxUnknown *dataplane.Limiter // nil: no limit
}

type memberKey struct{ port, zone uint32 }

// member is a port's membership in a segment.
type member struct {
	port     uint16
	mtu      uint16 // smaller of the port's and the segment's, bytes; 0 is no limit
	tags     dataplane.Tags
	security *security // what it may not send
	learning Learning

	floodUnknown bool // unknown unicast is taken from here and flooded to here
}

// hop returns how frames of zone leave by the port.
func (m *member) hop(zone packet.Zone) dataplane.Hop {
	return dataplane.Hop{Port: m.port, Zone: zone, MTU: m.mtu, Tags: m.tags}
}

type stationKey struct{ mac, zone uint64 }

// station is where a MAC address is.
type station struct {
	port uint16
	hop  hopRef
}

type hostKey struct {
	ip   packet.Addr
	zone packet.Zone
}

// host is whose an IP address is. Port 0: several ports share it (one that is
// on duty and its standby), and who has it just now is heard like that of an unbound one.
type host struct {
	mac  packet.MAC
	port uint16
}

// binding is an address that a port has. That with the zero ip is the MAC
// itself, and true if it may send from any IP address; others are true.
type binding struct {
	ip   packet.Addr
	mac  uint64
	port uint64
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

// memberOf returns a port's membership in a zone.
func (f *Forwarder) memberOf(port uint16, zone packet.Zone) (m member, found bool) {
	m, found = f.members[memberKey{uint32(port), uint32(zone)}]
	return m, found
}

// hopOf returns where a MAC address of a zone is, bound or learned.
func (f *Forwarder) hopOf(zone packet.Zone, mac packet.MAC) (at station, found bool) {
	if at, found = f.stations[stationKey{mac.Word(), uint64(zone)}]; found {
		return at, true
	}
	return f.state.macs.find(zone, mac.Word())
}

// hostAt returns whose an IP address of a zone is, if it is bound to one port.
func (f *Forwarder) hostAt(zone packet.Zone, ip packet.Addr) (h host, found bool) {
	h = f.hosts[hostKey{ip, zone}]
	return h, h.port != 0
}

// macsGone tells layer 3 about addresses that have been forgotten.
func (f *Forwarder) macsGone(gone []stationKey) {
	for _, k := range gone {
		f.macMoved(packet.Zone(k.zone), packet.MACFromWord(k.mac), 0)
	}
}

// compileSegments makes the segments, and those of uplinks after them.
func (f *Forwarder) compileSegments(c *Config) error {
	f.zones = make(map[packet.Zone]uint16, len(c.Segments))
	var faults []error
	add := func(s segment, mtu int) {
		if err := f.addSegment(s, mtu); err != nil {
			faults = append(faults, err)
		}
	}
	for i := range c.Segments {
		in := &c.Segments[i]
		s := segment{
			name: "segment " + in.Name, zone: in.Zone, router: in.Router, uplink: -1,
			routerMAC: c.GatewayMAC, proxied: in.Proxied,
			floodUnknown: in.FloodUnknown, suppress: in.Suppress,
		}
		if in.Router < -1 || in.Router >= len(c.Routers) {
			faults = append(faults, fmt.Errorf("%s: router %d does not exist", s.name, in.Router))
			continue
		}
		for _, n := range in.Subnets {
			if in.Router >= 0 && n.Gateway.IsValid() {
				s.addresses = append(s.addresses, packet.AddrFrom(n.Gateway))
			}
		}
		add(s, in.MTU)
	}
	for r := range c.Routers {
		for u := range c.Routers[r].Uplinks {
			in := &c.Routers[r].Uplinks[u]
			s := segment{
				name: fmt.Sprintf("router %s: uplink %d", c.Routers[r].Name, u), zone: in.Zone,
				router: r, uplink: u, routerMAC: in.MAC, proxied: in.Proxied,
			}
			for _, a := range in.Addresses {
				s.addresses = append(s.addresses, packet.AddrFrom(a.Addr()))
			}
			add(s, in.MTU)
		}
	}
	return errors.Join(faults...)
}

func (f *Forwarder) addSegment(s segment, mtu int) error {
	var faults []error
	if s.zone == 0 || s.zone > packet.MaxZone {
		faults = append(faults, fmt.Errorf("%s: zone %d is not between 1 and %d", s.name, s.zone, packet.MaxZone))
	}
	if other := f.segmentOf(s.zone); other != nil {
		faults = append(faults, fmt.Errorf("%s: zone %d is that of %s", s.name, s.zone, other.name))
	}
	if mtu < 0 || mtu > maxMTU {
		faults = append(faults, fmt.Errorf("%s: MTU %d is not between 0 and %d", s.name, mtu, maxMTU))
	}
	if s.router >= 0 && (s.routerMAC.IsZero() || s.routerMAC.IsGroup()) {
		faults = append(faults, fmt.Errorf("%s: the router's MAC %s is not a unicast address", s.name, s.routerMAC))
	}
	if len(f.segments) > maxSegments {
		faults = append(faults, fmt.Errorf("%s: more than %d segments", s.name, maxSegments))
	}
	if faults != nil {
		return errors.Join(faults...)
	}
	if s.router >= 0 {
		s.addresses = append(s.addresses, packet.LinkLocal(s.routerMAC))
	}
	s.mtu, s.list = uint32(mtu), uint16(len(f.segments))
	f.zones[s.zone] = s.list
	f.segments = append(f.segments, s)
	f.floods = append(f.floods, nil)
	return nil
}

const (
	maxMTU      = 1<<16 - 1 // of a Hop
	maxSegments = 1<<16 - 1 // flood lists are numbered by 16 bits
)

// compilePorts makes memberships, bindings and flood lists.
func (f *Forwarder) compilePorts(c *Config) error {
	highest := 0
	for i := range c.Ports {
		highest = max(highest, int(c.Ports[i].Number))
	}
	f.ports = make([]portRules, min(highest, f.state.config.Ports)+1)
	f.members = make(map[memberKey]member, len(c.Ports))
	f.stations = make(map[stationKey]station, len(c.Ports))
	f.hosts = make(map[hostKey]host, len(c.Ports))
	f.bindings = make(map[binding]bool)
	learning := make(map[packet.Zone]*Learning, len(c.Segments))
	for i := range c.Segments {
		learning[c.Segments[i].Zone] = &c.Segments[i].Learning
	}
	var faults []error
	names := make(map[uint16]string, len(c.Ports))
	for i := range c.Ports {
		p := &c.Ports[i]
		switch {
		case p.Number == 0 || int(p.Number) >= len(f.ports):
			faults = append(faults, fmt.Errorf("port %s: number %d is not between 1 and %d", p.Name, p.Number, f.state.config.Ports))
			continue
		case names[p.Number] != "":
			faults = append(faults, fmt.Errorf("port %s: number %d is that of port %s", p.Name, p.Number, names[p.Number]))
			continue
		case p.MTU < 0 || p.MTU > maxMTU:
			faults = append(faults, fmt.Errorf("port %s: MTU %d is not between 0 and %d", p.Name, p.MTU, maxMTU))
			continue
		}
		names[p.Number] = p.Name
		f.ports[p.Number] = portRules{guard: p.Guard, rxUnknown: p.RxUnknown}
		for _, a := range p.Zones {
			if err := f.attach(p, a, learning[a.Zone]); err != nil {
				faults = append(faults, fmt.Errorf("port %s: %w", p.Name, err))
			}
		}
	}
	return errors.Join(faults...)
}

// attach makes a port a member of a segment, and its addresses known there.
func (f *Forwarder) attach(p *Port, a Attachment, learning *Learning) error {
	seg := f.segmentOf(a.Zone)
	if seg == nil {
		return fmt.Errorf("zone %d is no segment's", a.Zone)
	}
	key := memberKey{uint32(p.Number), uint32(a.Zone)}
	if _, found := f.members[key]; found {
		return fmt.Errorf("is attached twice to %s", seg.name)
	}
	m := member{
		port: p.Number, mtu: smallerMTU(p.MTU, int(seg.mtu)), tags: a.Tags,
		security: compileSecurity(&a.Security), floodUnknown: seg.floodUnknown,
	}
	if a.FloodUnknown != nil {
		m.floodUnknown = *a.FloodUnknown
	}
	if a.Learning != nil {
		learning = a.Learning
	}
	if learning != nil && seg.uplink < 0 {
		m.learning = *learning
	}
	f.members[key] = m
	if ns := m.learning.AgingNs; ns > 0 && (f.aging == 0 || ns < f.aging) {
		f.aging = ns
	}
	f.floods[seg.list] = append(f.floods[seg.list], dataplane.FloodTarget{Port: p.Number, Tags: a.Tags, GroupOnly: !m.floodUnknown})
	for _, address := range p.Addresses {
		if err := f.bind(p, &m, seg, address); err != nil {
			return err
		}
	}
	return nil
}

// bind makes an address of a port known in a segment.
func (f *Forwarder) bind(p *Port, m *member, seg *segment, a Address) error {
	if a.MAC.IsZero() || a.MAC.IsGroup() {
		return fmt.Errorf("MAC %s is not a unicast address", a.MAC)
	}
	if seg.routed(a.MAC) {
		return fmt.Errorf("MAC %s is the router's in %s", a.MAC, seg.name)
	}
	key := stationKey{a.MAC.Word(), uint64(seg.zone)}
	if at, found := f.stations[key]; found && at.port != p.Number {
		return fmt.Errorf("MAC %s is bound to port number %d in %s too", a.MAC, at.port, seg.name)
	}
	hop, err := f.state.fix(m.hop(seg.zone))
	if err != nil {
		return err
	}
	f.stations[key] = station{port: p.Number, hop: hop}
	b := binding{mac: key.mac, port: uint64(p.Number)}
	if !a.IP.IsValid() {
		f.bindings[b] = true
		return nil
	}
	if !f.bindings[b] {
		f.bindings[b] = false // it is bound, but not for any address
	}
	ip := packet.AddrFrom(a.IP)
	f.bindings[b.with(ip)] = true
	h := host{mac: a.MAC, port: p.Number}
	if other, found := f.hosts[hostKey{ip, seg.zone}]; found && other != h {
		h = host{}
	}
	f.hosts[hostKey{ip, seg.zone}] = h
	return nil
}

// smallerMTU returns the stricter of two limits, where 0 is none.
func smallerMTU(a, b int) uint16 {
	if a == 0 || b != 0 && b < a {
		return uint16(b)
	}
	return uint16(a)
}
