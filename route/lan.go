package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// lan is a segment with its ports: who belongs to it, and which addresses are
// bound where. It is immutable. Forwarders share it for as long as neither the domain
// nor any of its ports changes, so that a change costs what it changes, however many other
// segments and ports there are.
type lan struct {
	*domain
	attached []attachment // by port number; what the rest is made of

	members  map[uint32]*member      // by port number
	stations map[uint64]station      // bound MACs, as words
	hosts    map[packet.Addr]host    // bound IP addresses
	gates    map[packet.Addr]hopRef  // how routed packets reach them
	flood    []dataplane.FloodTarget // all ports
	aging    int64                   // the shortest of a member's learning; 0: nothing ages

	// Under State.mu.
	users int         // Forwarders that it is a part of: the current one, the pending one
	hops  []*fixedHop // that it refers to, as often as it does
}

// attachment is an Attachment of a port.
type attachment struct {
	port *port
	at   *Attachment
}

// member is a port's membership in a segment.
type member struct {
	port     uint16
	mtu      uint16 // smaller of the port's and the segment's, bytes; 0 is no limit
	tags     dataplane.Tags
	security security // what it may not send
	learning Learning

	floodUnknown bool // unknown unicast is taken from here and flooded to here
}

// hop returns how frames of zone leave by the port.
func (m *member) hop(zone packet.Zone) dataplane.Hop {
	return dataplane.Hop{Port: m.port, Zone: zone, MTU: m.mtu, Tags: m.tags}
}

// stationKey is a MAC address in a zone.
type stationKey struct{ mac, zone uint64 }

// station is where a MAC address is.
type station struct {
	port uint16
	hop  hopRef
}

// host is whose an IP address is. Port 0: several ports share it (one that is
// on duty and its standby), and who has it just now is heard like that of an unbound one.
type host struct {
	mac  packet.MAC
	port uint16
}

// member returns a port's membership, nil if it has none.
func (l *lan) member(port uint16) *member { return l.members[uint32(port)] }

// toward returns the way to a port.
func (l *lan) toward(port uint16) dataplane.FloodTarget {
	t := dataplane.FloodTarget{Port: port}
	if m := l.member(port); m != nil {
		t.Tags = m.tags
	}
	return t
}

// hostAt returns whose an IP address is, if it is bound to one port.
func (l *lan) hostAt(ip packet.Addr) (h host, found bool) {
	h = l.hosts[ip]
	return h, h.port != 0
}

// routedHop returns how packets that leave by a router reach a host at mac.
func (l *lan) routedHop(m *member, mac packet.MAC) dataplane.Hop {
	h := m.hop(l.zone)
	h.Flags, h.DstMAC, h.SrcMAC = dataplane.HopRouted, mac, l.routerMAC
	return h
}

// compileLANs completes the segments with their ports: those that old has in the same
// form are taken over.
func (f *Forwarder) compileLANs(old *Forwarder, p *portChanges) error {
	f.floods = make([][]dataplane.FloodTarget, 0, len(f.segments))
	var faults []error
	for i := range f.segments {
		seg := &f.segments[i]
		was := old.lanOf(seg.zone)
		if seg.lan != was || p.dirty[seg.zone] {
			seg.lan = &lan{domain: seg.domain}
			if err := seg.compile(f.state, f.attachments(was, p.joined[seg.zone])); err != nil {
				faults = append(faults, err)
			}
		}
		seg.users++
		f.floods = append(f.floods, seg.flood)
		if seg.aging > 0 && (f.aging == 0 || seg.aging < f.aging) {
			f.aging = seg.aging
		}
	}
	return errors.Join(faults...)
}

// attachments returns the ports of a zone, by number: those that was has and that
// are still what they were, and those that are new there.
func (f *Forwarder) attachments(was *lan, joined []attachment) (list []attachment) {
	if was != nil {
		list = make([]attachment, 0, len(was.attached)+len(joined))
		for _, a := range was.attached {
			if f.has(a.port) {
				list = append(list, a)
			}
		}
	}
	list = append(list, joined...)
	slices.SortStableFunc(list, func(a, b attachment) int { return cmp.Compare(a.port.config.Number, b.port.config.Number) })
	return list
}

// compile fills an empty lan. The caller gives it back if there is an error.
func (l *lan) compile(s *State, list []attachment) error {
	addresses := 0
	for _, a := range list {
		addresses += len(a.port.config.Addresses)
	}
	l.attached = list
	l.members = make(map[uint32]*member, len(list))
	l.stations = make(map[uint64]station, len(list))
	l.hosts = make(map[packet.Addr]host, addresses)
	l.hops = make([]*fixedHop, 0, 2*addresses)
	l.flood = make([]dataplane.FloodTarget, 0, len(list))
	members := make([]member, len(list))
	var faults []error
	for i, a := range list {
		if err := l.attach(s, &members[i], a); err != nil {
			faults = append(faults, fmt.Errorf("port %s: %w", a.port.config.Name, err))
		}
	}
	if l.hasRouter && faults == nil {
		l.gates = make(map[packet.Addr]hopRef, addresses)
		for _, a := range list {
			faults = append(faults, l.openGates(s, a.port.config))
		}
	}
	return errors.Join(faults...)
}

// attach makes a port a member, and its addresses known.
func (l *lan) attach(s *State, m *member, a attachment) error {
	p := a.port.config
	if l.member(p.Number) != nil {
		return fmt.Errorf("is attached twice to %s", l.name)
	}
	*m = member{
		port: p.Number, mtu: smallerMTU(p.MTU, int(l.mtu)), tags: a.at.Tags,
		security: compileSecurity(&a.at.Security), learning: l.learning, floodUnknown: l.floodUnknown,
	}
	if a.at.FloodUnknown != nil {
		m.floodUnknown = *a.at.FloodUnknown
	}
	if a.at.Learning != nil && !l.uplink {
		m.learning = *a.at.Learning
	}
	l.members[uint32(p.Number)] = m
	if ns := m.learning.AgingNs; ns > 0 && (l.aging == 0 || ns < l.aging) {
		l.aging = ns
	}
	l.flood = append(l.flood, dataplane.FloodTarget{Port: p.Number, Tags: m.tags, GroupOnly: !m.floodUnknown})
	for _, address := range p.Addresses {
		if err := l.bind(s, m, address); err != nil {
			return err
		}
	}
	return nil
}

// bind makes an address of a port known.
func (l *lan) bind(s *State, m *member, a Address) error {
	if a.MAC.IsZero() || a.MAC.IsGroup() {
		return fmt.Errorf("MAC %s is not a unicast address", a.MAC)
	}
	if l.routed(a.MAC) {
		return fmt.Errorf("MAC %s is the router's in %s", a.MAC, l.name)
	}
	at, found := l.stations[a.MAC.Word()]
	switch {
	case !found:
		hop, err := s.fix(l, m.hop(l.zone))
		if err != nil {
			return err
		}
		l.stations[a.MAC.Word()] = station{port: m.port, hop: hop}
	case at.port != m.port:
		return fmt.Errorf("MAC %s is bound to port number %d in %s too", a.MAC, at.port, l.name)
	}
	if !a.IP.IsValid() {
		return nil
	}
	ip, h := packet.AddrFrom(a.IP), host{mac: a.MAC, port: m.port}
	if other, found := l.hosts[ip]; found && other != h {
		h = host{}
	}
	l.hosts[ip] = h
	return nil
}

// openGates makes the hops by which routed packets reach a port's addresses.
func (l *lan) openGates(s *State, p *Port) error {
	for _, a := range p.Addresses {
		ip := packet.AddrFrom(a.IP)
		if _, done := l.gates[ip]; done || !a.IP.IsValid() || l.hosts[ip] != (host{a.MAC, p.Number}) {
			continue // no IP address, or one that others have too
		}
		ref, err := s.fix(l, l.routedHop(l.member(p.Number), a.MAC))
		if err != nil {
			return fmt.Errorf("port %s: %w", p.Name, err)
		}
		l.gates[ip] = ref
	}
	return nil
}

// smallerMTU returns the stricter of two limits, where 0 is none.
func smallerMTU(a, b int) uint16 {
	if a == 0 || b != 0 && b < a {
		return uint16(b)
	}
	return uint16(a)
}
