package lint

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// examples are addresses that stand for anybody, where they can: RFC 5737 and RFC 3849.
var examples = []packet.Addr{
	packet.AddrFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1})),
	packet.AddrFrom(netip.AddrFrom4([4]byte{198, 51, 100, 1})),
	packet.AddrFrom(netip.AddrFrom4([4]byte{203, 0, 113, 1})),
	packet.AddrFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1})),
}

// Numbers that people know, the first of which in a class stands for it.
var (
	knownProtocols  = []uint32{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6, packet.ProtoSCTP}
	knownSrcPorts   = []uint32{49152, 50000, 32768, 1024}
	knownDstPorts   = []uint32{80, 443, 22, 53, 8080}
	knownMessages   = []uint32{8 << 8, 128 << 8, 3 << 8} // echo requests of ICMP and ICMPv6, unreachable
	knownEtherTypes = []uint32{packet.EtherTypeIPv4, packet.EtherTypeARP, packet.EtherTypeIPv6, packet.EtherTypeLLDP}
)

// witnessAt makes a packet of a cell.
func (s *searcher) witnessAt(at cell) *Witness {
	y, c := s.y, &at
	direction := policy.In << (c.class[atPoint] & 1)
	if y.ethernet {
		return y.frame(c, direction)
	}
	place := &y.places[c.place]
	port := y.portOf(c, direction)
	p := classify.Packet{Port: port, Direction: direction, Scope: y.scopeOf(place.realm)}
	p.Protocol = uint8(pick(knownProtocols, y.services.protocols, c.class[atProtocol], func(i int) (uint32, uint32) { return uint32(i), uint32(i) }))
	if hasPorts(p.Protocol) {
		p.SrcPort = y.services.number(atSrcPort, c.class[atSrcPort], knownSrcPorts)
		p.DstPort = y.services.number(atDstPort, c.class[atDstPort], knownDstPorts)
	} else if isICMP(p.Protocol) {
		p.DstPort = y.services.number(atDstPort, c.class[atDstPort], knownMessages)
	}
	if direction == policy.Out {
		p.Src, p.Dst = y.ownAddress(place, c.class[atSrc], port), y.peerAddress(place, c.class[atDst], port)
	} else {
		p.Dst, p.Src = y.ownAddress(place, c.class[atDst], port), y.peerAddress(place, c.class[atSrc], port)
	}
	w := &Witness{
		Packet: p, Port: y.nameOf(port), Direction: direction.String(),
		Src: p.Src.String(), Dst: p.Dst.String(), Protocol: protocolName(p.Protocol), SrcPort: p.SrcPort,
	}
	if isICMP(p.Protocol) {
		typ, code := uint8(p.DstPort>>8), uint8(p.DstPort)
		w.ICMPType, w.ICMPCode = &typ, &code
	} else {
		w.DstPort = p.DstPort
	}
	return w
}

// frame is witnessAt for rules of category Ethernet.
func (y *layer) frame(c *cell, direction policy.Direction) *Witness {
	p := classify.Packet{Direction: direction}
	for i, port := range y.ports {
		if y.points.class[i] == c.class[atPoint]>>1 && y.realmOf[i] == y.places[c.place].realm {
			p.Port = port
			break
		}
	}
	p.SrcMAC, p.DstMAC = y.macs.example(c.class[atSrc]), y.macs.example(c.class[atDst])
	p.DstPort = y.services.number(atProtocol, c.class[atProtocol], knownEtherTypes)
	return &Witness{
		Packet: p, Port: y.nameOf(p.Port), Direction: direction.String(),
		Src: p.SrcMAC.String(), Dst: p.DstMAC.String(), EtherType: fmt.Sprintf("0x%04x", p.DstPort),
	}
}

// example returns an address of a class.
func (m *macs) example(class uint32) packet.MAC {
	for i, mac := range m.named {
		if m.parts.class[i] == class {
			return mac
		}
	}
	other := packet.MAC{0x02, 0, 0, 0, 0, 1} // locally administered
	for slices.Contains(m.named, other) {
		for i := len(other) - 1; i > 0; i-- {
			if other[i]++; other[i] != 0 {
				break
			}
		}
	}
	return other
}

// number returns a number of a class, one that is known if there is one.
func (s *services) number(d int, class uint32, known []uint32) uint16 {
	p := &s.ports[d]
	return uint16(pick(known, p.parts, class, func(i int) (first, last uint32) {
		first, last = p.cuts[i], p.end(i)
		if first == 0 && last > 0 && d == atSrcPort {
			first = 1
		}
		return first, last
	}))
}

// pick returns a number of a class of intervals: the first that is known, or the lowest.
func pick(known []uint32, parts *partition, class uint32, interval func(i int) (first, last uint32)) uint32 {
	best, lowest := len(known), ^uint32(0)
	for i, c := range parts.class {
		if c != class {
			continue
		}
		first, last := interval(i)
		for j, k := range known[:best] {
			if first <= k && k <= last {
				best = j
				break
			}
		}
		lowest = min(lowest, first)
	}
	if best < len(known) {
		return known[best]
	}
	return lowest
}

// scopeOf returns the scope that packets of a realm have.
func (y *layer) scopeOf(r uint32) uint32 {
	for l := range y.lists {
		if y.realms[r].filtered[l] {
			return y.realms[r].scope[l]
		}
	}
	return 0
}

// endpoint returns an endpoint that a packet of a port may be about.
func (y *layer) endpoint(port uint16) *policy.Endpoint {
	for _, p := range y.lists {
		if e := endpointOf(p, port); e != nil {
			return e
		}
	}
	return nil
}

func (y *layer) nameOf(port uint16) string {
	if e := y.endpoint(port); e != nil && e.Name != "" {
		return e.Name
	}
	return fmt.Sprint("port ", port)
}

// portOf returns a port of the cell, if possible one that has the address that packets of it have there.
func (y *layer) portOf(c *cell, direction policy.Direction) uint16 {
	place := &y.places[c.place]
	own := c.class[atDst]
	if direction == policy.Out {
		own = c.class[atSrc]
	}
	first, any := uint16(0), false
	for i, port := range y.ports {
		if y.points.class[i] != c.class[atPoint]>>1 || y.realmOf[i] != place.realm {
			continue
		}
		if !any {
			first, any = port, true
		}
		if _, has := y.addressAt(place, own, port); has {
			return port
		}
	}
	return first
}

// addressAt returns an address of a class that a port has.
func (y *layer) addressAt(place *place, class uint32, port uint16) (packet.Addr, bool) {
	for l, p := range y.lists {
		e := endpointOf(p, port)
		if e == nil || !y.realms[place.realm].filtered[l] || e.Scope != y.realms[place.realm].scope[l] {
			continue
		}
		for _, a := range e.Addresses {
			if y.addresses.parts.class[y.addresses.at[host{a.As16(), place.realm}]] == class {
				return a, true
			}
		}
	}
	return packet.Addr{}, false
}

// ownAddress returns an address of a class, if possible of a port.
func (y *layer) ownAddress(place *place, class uint32, port uint16) packet.Addr {
	if a, has := y.addressAt(place, class, port); has {
		return a
	}
	return y.peerAddress(place, class, port)
}

// peerAddress returns an address of a class, if possible of another port than one.
func (y *layer) peerAddress(place *place, class uint32, port uint16) packet.Addr {
	if place.samples == nil {
		place.samples = y.addresses.samples(place.realm)
	}
	all := &place.samples[class]
	if own := y.endpoint(port); all.n == 2 && own != nil && slices.Contains(own.Addresses, all.addrs[0]) {
		return all.addrs[1]
	}
	return all.addrs[0]
}

// sample is up to two addresses that stand for a class, those of endpoints first.
type sample struct {
	addrs [2]packet.Addr
	n     int
}

func (m *sample) add(a ip) {
	if m.n < len(m.addrs) {
		m.addrs[m.n] = packet.AddrFrom16((*[16]byte)(&a))
		m.n++
	}
}

// samples returns addresses for each class that is in a realm.
func (a *addresses) samples(r uint32) []sample {
	all := make([]sample, a.parts.n)
	for i, h := range a.hosts {
		if h.realm == r {
			all[a.parts.class[i]].add(h.addr)
		}
	}
	taken := a.taken(r)
	for _, known := range [...]bool{true, false} { // addresses that are known as examples are better
		for cut := range a.cuts {
			m := &all[a.parts.class[len(a.hosts)+cut]]
			if m.n > 0 {
				continue
			}
			if free, has := a.free(cut, taken); has && (!known || isExample(free)) {
				m.add(free)
			}
		}
	}
	return all
}

func isExample(a ip) bool {
	return slices.Contains(examples, packet.AddrFrom16((*[16]byte)(&a)))
}

func protocolName(p uint8) string {
	switch p {
	case packet.ProtoICMP:
		return "ICMP"
	case packet.ProtoTCP:
		return "TCP"
	case packet.ProtoUDP:
		return "UDP"
	case packet.ProtoICMPv6:
		return "ICMPv6"
	case packet.ProtoSCTP:
		return "SCTP"
	}
	return fmt.Sprint("protocol ", p)
}
