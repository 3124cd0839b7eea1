package classify

import (
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Packet is what rules look at, in plain terms: for Linear, and for whoever examines a policy.
type Packet struct {
	Port      uint16           // at which the rules are asked
	Direction policy.Direction // In or Out
	Scope     uint32           // address space of Src and Dst
	Src, Dst  packet.Addr
	Protocol  uint8
	SrcPort   uint16
	DstPort   uint16 // of ICMP: type << 8 | code

	// Of an Input about frames: these in place of the five above, and DstPort is the EtherType.
	SrcMAC, DstMAC packet.MAC
}

// Linear finds the first rule of a tier that matches a packet by asking each: what any other
// way of finding it has to agree with. It returns nil if there is none.
func Linear(in *Input, tier int, p *Packet) *Match {
	for _, s := range in.Tiers[tier] {
		for i := range s.Rules {
			if matches(in, &s.Rules[i], p) {
				return &Match{Section: s, Rule: &s.Rules[i]}
			}
		}
	}
	return nil
}

func matches(in *Input, r *policy.Rule, p *Packet) bool {
	if r.Directions&p.Direction == 0 || !in.applies(r.AppliedTo, p.Port) {
		return false
	}
	if in.Ethernet {
		return in.holdsMAC(r.Source, p.SrcMAC) != r.SourceNot &&
			in.holdsMAC(r.Destination, p.DstMAC) != r.DestNot &&
			(len(r.Services) == 0 || slices.ContainsFunc(r.Services, func(s policy.Service) bool {
				return s.EtherType == 0 || s.EtherType == p.DstPort
			}))
	}
	family := policy.IPv6
	if p.Src.Is4() {
		family = policy.IPv4
	}
	return r.Families&family != 0 &&
		in.holds(r.Source, p.Scope, p.Src) != r.SourceNot &&
		in.holds(r.Destination, p.Scope, p.Dst) != r.DestNot &&
		(len(r.Services) == 0 || slices.ContainsFunc(r.Services, func(s policy.Service) bool { return serves(&s, p) }))
}

// applies reports whether a port is in the set of those that a rule is at.
func (in *Input) applies(id policy.SetID, port uint16) bool {
	if id == policy.Any {
		return true
	}
	s := in.set(id)
	return s != nil && slices.Contains(s.Ports, port)
}

// holds reports whether an address is in a set.
func (in *Input) holds(id policy.SetID, scope uint32, a packet.Addr) bool {
	if id == policy.Any {
		return true
	}
	s := in.set(id)
	if s == nil {
		return false
	}
	for _, p := range s.Prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return slices.ContainsFunc(s.Ports, func(port uint16) bool {
		e := in.endpoint(port)
		return e != nil && e.Scope == scope && slices.Contains(e.Addresses, a)
	})
}

// holdsMAC reports whether a MAC address is in a set.
func (in *Input) holdsMAC(id policy.SetID, m packet.MAC) bool {
	if id == policy.Any {
		return true
	}
	s := in.set(id)
	return s != nil && (slices.Contains(s.MACs, m) || slices.ContainsFunc(s.Ports, func(port uint16) bool {
		e := in.endpoint(port)
		return e != nil && slices.Contains(e.MACs, m)
	}))
}

// set returns the members of a set; nil if there are none.
func (in *Input) set(id policy.SetID) *policy.Set {
	if int(id) >= len(in.Sets) {
		return nil
	}
	return in.Sets[id]
}

// endpoint returns the endpoint of a number; nil if there is none.
func (in *Input) endpoint(port uint16) *policy.Endpoint {
	if int(port) >= len(in.Endpoints) {
		return nil
	}
	return in.Endpoints[port]
}

// serves reports whether a packet is one of a service.
func serves(s *policy.Service, p *Packet) bool {
	if s.AnyProtocol {
		return true
	}
	if s.Protocol != p.Protocol {
		return false
	}
	if p.Protocol == packet.ProtoICMP || p.Protocol == packet.ProtoICMPv6 {
		return (s.ICMPType < 0 || uint16(s.ICMPType) == p.DstPort>>8) && (s.ICMPCode < 0 || uint16(s.ICMPCode) == p.DstPort&0xff)
	}
	return inRanges(s.SourcePorts, p.SrcPort) && inRanges(s.DestPorts, p.DstPort)
}

func inRanges(ranges []policy.PortRange, port uint16) bool {
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(r policy.PortRange) bool { return r.First <= port && port <= r.Last })
}
