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

// witness makes a packet of the cell that was found.
func (s *searcher) witness() *Witness {
	y, c := s.y, &s.cell
	direction := policy.In << (c.class[atPoint] & 1)
	if y.ethernet {
		return y.frame(c, direction)
	}
	place := &y.places[c.place]
	port := y.portOf(c, direction)
	p := &classify.Packet{Port: port, Direction: direction, Scope: y.scopeOf(place.realm)}
	p.Protocol = uint8(pick(knownProtocols, y.services.protocols, c.class[atProtocol], func(i int) (uint32, uint32) { return uint32(i), uint32(i) }))
	if hasPorts(p.Protocol) {
		p.SrcPort = y.services.number(atSrcPort, c.class[atSrcPort], knownSrcPorts)
		p.DstPort = y.services.number(atDstPort, c.class[atDstPort], knownDstPorts)
	} else if isICMP(p.Protocol) {
		p.DstPort = y.services.number(atDstPort, c.class[atDstPort], knownMessages)
	}
	if direction == policy.Out {
		p.Src = y.addressOf(place, c.class[atSrc], []uint16{port})
		p.Dst = y.addressOf(place, c.class[atDst], y.others(port))
	} else {
		p.Dst = y.addressOf(place, c.class[atDst], []uint16{port})
		p.Src = y.addressOf(place, c.class[atSrc], y.others(port))
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

// frame is witness for rules of category Ethernet.
func (y *layer) frame(c *cell, direction policy.Direction) *Witness {
	f := &Frame{Direction: direction}
	for i, port := range y.ports {
		if y.points.class[i] == c.class[atPoint]>>1 && y.realmOf[port] == y.places[c.place].realm {
			f.Port = port
			break
		}
	}
	f.Src, f.Dst = y.macs.example(c.class[atSrc]), y.macs.example(c.class[atDst])
	f.EtherType = y.services.number(atProtocol, c.class[atProtocol], knownEtherTypes)
	return &Witness{
		Frame: f, Port: y.nameOf(f.Port), Direction: direction.String(),
		Src: f.Src.String(), Dst: f.Dst.String(), EtherType: fmt.Sprintf("0x%04x", f.EtherType),
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
	return uint16(pick(known, p.parts, class, func(i int) (uint32, uint32) { return p.cuts[i], p.end(i) }))
}

// pick returns a number of a class of intervals: the first that is known, or the lowest but 0 if there is another.
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
		if first == 0 && last > 0 {
			first = 1
		}
		if lowest == ^uint32(0) || lowest == 0 {
			lowest = first
		}
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

// others returns all ports but one.
func (y *layer) others(but uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(y.ports), func(p uint16) bool { return p == but })
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
		if y.points.class[i] != c.class[atPoint]>>1 || y.realmOf[port] != place.realm {
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

// addressOf returns an address of a class, if possible of one of the ports.
func (y *layer) addressOf(place *place, class uint32, ports []uint16) packet.Addr {
	for _, port := range ports {
		if a, has := y.addressAt(place, class, port); has {
			return a
		}
	}
	a := y.addresses
	taken := a.taken(place.realm)
	best, any := ip{}, false
	for cut := range a.cuts {
		if a.parts.class[cut] != class {
			continue
		}
		free, has := a.free(cut, taken)
		if !has {
			continue
		}
		addr := packet.AddrFrom16((*[16]byte)(&free))
		if slices.Contains(examples, addr) {
			return addr
		}
		if !any {
			best, any = free, true
		}
	}
	if !any {
		for _, h := range a.hosts {
			if h.realm == place.realm && a.parts.class[a.at[h]] == class {
				best = h.addr
				break
			}
		}
	}
	return packet.AddrFrom16((*[16]byte)(&best))
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
