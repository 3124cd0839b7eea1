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
}

// Linear finds the first rule of sections that matches a packet by asking each: what any other
// way of finding it has to agree with. It returns nil if there is none. Sections of
// category Ethernet are passed over.
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
	family := policy.IPv6
	if p.Src.Is4() {
		family = policy.IPv4
	}
	return r.Directions&p.Direction != 0 && r.Families&family != 0 &&
		in.applies(r.AppliedTo, p.Port) &&
		in.holds(r.Source, p.Scope, p.Src) != r.SourceNot &&
		in.holds(r.Destination, p.Scope, p.Dst) != r.DestNot &&
		(len(r.Services) == 0 || slices.ContainsFunc(r.Services, func(s policy.Service) bool { return serves(&s, p) }))
}

// applies reports whether a port is in the set of those that a rule is at.
func (in *Input) applies(id policy.SetID, port uint16) bool {
	return id == policy.Any || in.Sets[id] != nil && slices.Contains(in.Sets[id].Ports, port)
}

// holds reports whether an address is in a set.
func (in *Input) holds(id policy.SetID, scope uint32, a packet.Addr) bool {
	if id == policy.Any {
		return true
	}
	s := in.Sets[id]
	if s == nil {
		return false
	}
	for _, p := range s.Prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return slices.ContainsFunc(s.Ports, func(port uint16) bool {
		if int(port) >= len(in.Endpoints) || in.Endpoints[port] == nil {
			return false
		}
		e := in.Endpoints[port]
		return e.Scope == scope && slices.Contains(e.Addresses, a)
	})
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
