package nat

import (
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// withPorts are the protocols that conditions on ports hold for.
var withPorts = [...]uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP}

func hasPorts(proto uint8) bool { return slices.Contains(withPorts[:], proto) }

// leaving returns when a rule holds for connections that leave; false if never.
func leaving(r *service.NATRule) (condition, bool) {
	c := condition{rule: r}
	switch r.Action {
	case service.NoSNAT:
		c.spans[dimSrc] = prefixes(r.Source)
	case service.SNAT:
		c.spans[dimSrc] = ofFamilies(prefixes(r.Source), poolFamilies(r.Pool))
	case service.Reflexive:
		c.spans[dimSrc] = prefixIntervals(r.Inside)
		if len(r.Source) != 0 {
			c.spans[dimSrc] = meet(prefixes(r.Source), prefixIntervals(r.Inside))
		}
	default:
		return condition{}, false
	}
	c.spans[dimDst] = prefixes(r.Destination)
	c.common(r.SourcePorts, r.Ports)
	return c, true
}

// entering returns when a rule holds for connections that enter; false if never. The conditions of a reflexive
// rule are those of connections that leave, seen from the other side: its source is where they go.
func entering(r *service.NATRule) (condition, bool) {
	c := condition{rule: r}
	switch r.Action {
	case service.DNAT, service.NoDNAT:
		c.spans[dimSrc], c.spans[dimDst] = prefixes(r.Source), prefixes(r.Destination)
		if r.Action == service.DNAT && r.To.IsValid() {
			c.spans[dimDst] = ofFamilies(c.spans[dimDst], [2]bool{r.To.Addr().Is4(), !r.To.Addr().Is4()})
		}
		c.common(r.SourcePorts, r.Ports)
	case service.Reflexive:
		inside, outside := prefixInterval(r.Inside), prefixInterval(r.To)
		c.spans[dimSrc], c.spans[dimDst] = prefixes(r.Destination), prefixIntervals(r.To)
		if len(r.Source) != 0 {
			of := meet(prefixes(r.Source), prefixIntervals(r.Inside))
			for i, x := range of {
				of[i] = interval{outside.first.plus(x.first.minus(inside.first)), outside.first.plus(x.last.minus(inside.first))}
			}
			c.spans[dimDst] = meet(of, c.spans[dimDst])
		}
		c.common(r.Ports, r.SourcePorts)
	default:
		return condition{}, false
	}
	return c, true
}

// common adds the conditions that are alike for connections that enter and leave. Ports are a condition on the protocol, too: to
// have some. What stands for ports in keys of ICMP is no port.
func (c *condition) common(srcPorts, dstPorts []service.PortRange) {
	c.spans[dimSrcPort], c.spans[dimDstPort] = ports(srcPorts), ports(dstPorts)
	switch r := c.rule; {
	case len(srcPorts)+len(dstPorts) == 0:
		if r.Protocol != 0 {
			c.spans[dimProto] = []interval{one(uint64(r.Protocol))}
		}
	default:
		c.spans[dimProto] = []interval{}
		for _, proto := range withPorts {
			if r.Protocol == 0 || r.Protocol == proto {
				c.spans[dimProto] = append(c.spans[dimProto], one(uint64(proto)))
			}
		}
	}
	if c.rule.Uplinks != nil {
		c.spans[dimUplink] = []interval{}
		for _, u := range c.rule.Uplinks {
			c.spans[dimUplink] = append(c.spans[dimUplink], one(uint64(u)))
		}
	}
}

func one(n uint64) interval { return interval{number{lo: n}, number{lo: n}} }

// prefixes returns the addresses of prefixes; nil if there are none, which is everything.
func prefixes(list []netip.Prefix) []interval {
	if len(list) == 0 {
		return nil
	}
	all := make([]interval, 0, len(list))
	for _, p := range list {
		if p.IsValid() {
			all = append(all, prefixIntervals(p)...)
		}
	}
	return all
}

func ports(list []service.PortRange) []interval {
	if len(list) == 0 {
		return nil
	}
	all := make([]interval, 0, len(list))
	for _, r := range list {
		if r.First <= r.Last {
			all = append(all, interval{number{lo: uint64(r.First)}, number{lo: uint64(r.Last)}})
		}
	}
	return all
}

// ofFamilies leaves of intervals, nil being everything, what is of the families that a translation is to: v4, v6. A rule
// does not hold for what it could not translate.
func ofFamilies(list []interval, families [2]bool) []interval {
	if families == [2]bool{true, true} {
		return list
	}
	if list == nil {
		list = []interval{{last: number{^uint64(0), ^uint64(0)}}}
	}
	all := []interval{}
	if families[0] {
		all = append(all, within(list, mapped)...)
	}
	if families[1] {
		all = append(all, unmapped(list)...)
	}
	return all
}

// poolFamilies returns of which families a pool has addresses. One that has none at all is of both: it is exhausted.
func poolFamilies(p *service.SourcePool) (families [2]bool) {
	if p == nil || len(p.Addresses) == 0 {
		return [2]bool{true, true}
	}
	for _, a := range p.Addresses {
		families[0], families[1] = families[0] || a.Is4(), families[1] || !a.Is4()
	}
	return families
}

// spread returns the address that a DNAT rule has a connection go to: of several the one that follows from the client's
// address, so that a client always comes to the same.
func spread(r *service.NATRule, k *packet.Key) packet.Addr {
	if !r.To.IsValid() {
		return k.Dst
	}
	first, hosts := numberOf(packet.AddrFrom(r.To.Masked().Addr())), hostsOf(r.To)
	if hosts == (number{}) {
		return first.addr()
	}
	// The hash is not seeded: replicas of this node are to send a client to the same address.
	h := mix(fold(k.Src[0]^0x9e3779b97f4a7c15, k.Src[1]^0xbf58476d1ce4e5b9))
	return first.plus(number{mix(h) & hosts.hi, h & hosts.lo}).addr()
}

// portOf returns the port that a DNAT rule has a connection go to.
func portOf(r *service.NATRule, k *packet.Key) uint16 {
	port := k.DstPort()
	if r.ToPort == (service.PortRange{}) || !hasPorts(k.Proto()) {
		return port
	}
	n := uint32(r.ToPort.Last) - uint32(r.ToPort.First) + 1
	if n <= 1 || r.ToPort.Last < r.ToPort.First {
		return r.ToPort.First
	}
	offset := uint32(0)
	for _, x := range r.Ports {
		if x.Has(port) {
			offset += uint32(port - x.First)
			return r.ToPort.First + uint16(offset%n)
		}
		offset += uint32(x.Last) - uint32(x.First) + 1
	}
	return r.ToPort.First + uint16(uint32(port)%n)
}

// moved returns the address that is at the same place of network to as a is of network from.
func moved(a packet.Addr, from, to netip.Prefix) packet.Addr {
	offset := numberOf(a).minus(prefixInterval(from).first)
	return prefixInterval(to).first.plus(offset).addr()
}
