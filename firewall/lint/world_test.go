package lint

import (
	"math/rand/v2"
	"net/netip"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

func prefix(s string) policy.Prefix { return policy.PrefixOf(netip.MustParsePrefix(s)) }

// The addresses of the world: those of endpoints, in prefixes, and outside of all.
var (
	worldV4 = []packet.Addr{addr("10.0.0.0"), addr("10.0.0.1"), addr("10.0.0.2"), addr("10.0.0.3"), addr("192.0.2.1")}
	worldV6 = []packet.Addr{addr("fd00::1"), addr("fd00::2"), addr("2001:db8::1")}

	worldPrefixes = []policy.Prefix{
		prefix("10.0.0.0/31"), prefix("10.0.0.2/32"), prefix("10.0.0.2/31"), prefix("10.0.0.0/30"),
		prefix("0.0.0.0/0"), prefix("fd00::1/128"), prefix("fd00::/126"), prefix("::/0"),
	}
)

// The MAC addresses and types of frames; the last of each is in no rule.
var (
	worldMACs  = []packet.MAC{{2, 1}, {2, 2}, {2, 3}, {2, 4}}
	worldTypes = []uint16{packet.EtherTypeIPv4, packet.EtherTypeARP, 0x88b5}
)

// aboutFrames reports whether the rules of a policy of the world are of category Ethernet.
func aboutFrames(p *policy.Policy) bool {
	return len(p.Sections) > 0 && p.Sections[0].Category == policy.Ethernet
}

// points calls f with each port that any policy filters, and direction.
func points(policies []*policy.Policy, f func(classify.Packet)) {
	for port := range uint16(8) {
		for _, p := range policies {
			if filters(p, port) {
				for _, direction := range []policy.Direction{policy.In, policy.Out} {
					f(classify.Packet{Port: port, Direction: direction, Scope: p.Endpoints[port].Scope})
				}
				break
			}
		}
	}
}

// everyFrame is everyPacket for policies about frames.
func everyFrame(policies ...*policy.Policy) (all []classify.Packet) {
	points(policies, func(p classify.Packet) {
		for _, p.SrcMAC = range worldMACs {
			for _, p.DstMAC = range worldMACs {
				for _, p.DstPort = range worldTypes {
					all = append(all, p)
				}
			}
		}
	})
	return all
}

// everyPacket returns a packet of each kind that rules of randomPolicy can tell apart.
func everyPacket(policies ...*policy.Policy) (all []classify.Packet) {
	if aboutFrames(policies[0]) {
		return everyFrame(policies...)
	}
	type transport struct {
		protocol uint8
		src, dst uint16
	}
	var transports []transport
	for _, p := range []uint8{packet.ProtoTCP, packet.ProtoUDP} {
		for src := range uint16(2) {
			for dst := range uint16(4) {
				transports = append(transports, transport{p, src, dst})
			}
		}
	}
	for _, message := range []uint16{0x000, 0x001, 0x100, 0x101, 0x202} {
		transports = append(transports, transport{packet.ProtoICMP, 0, message})
	}
	transports = append(transports, transport{packet.ProtoGRE, 0, 0}, transport{200, 0, 0})

	points(policies, func(p classify.Packet) {
		for _, family := range [][]packet.Addr{worldV4, worldV6} {
			for _, p.Src = range family {
				for _, p.Dst = range family {
					for _, t := range transports {
						p.Protocol, p.SrcPort, p.DstPort = t.protocol, t.src, t.dst
						all = append(all, p)
					}
				}
			}
		}
	})
	return all
}

// randomPolicy returns a policy whose rules tell nothing apart but what everyPacket does.
func randomPolicy(r *rand.Rand, frames bool) *policy.Policy {
	p := &policy.Policy{
		Sets:      []*policy.Set{nil, nil},
		Endpoints: make([]*policy.Endpoint, 5),
		Default:   policy.Rule{ID: policy.DefaultRuleID, Action: policy.Action(r.IntN(2))},
		Excluded:  policy.None,
	}
	if frames {
		p.Default.Action = policy.Allow // so that it does not matter where packets are filtered
	}
	hosts := [][]packet.Addr{{addr("10.0.0.1")}, {addr("10.0.0.2"), addr("fd00::1")}, {addr("10.0.0.1"), addr("fd00::2")}, nil}
	for i := 1; i < len(p.Endpoints); i++ {
		if r.IntN(5) > 0 {
			p.Endpoints[i] = &policy.Endpoint{Number: uint16(i), Scope: uint32(r.IntN(2)), Addresses: hosts[i-1], MACs: worldMACs[:1+r.IntN(2)]}
		}
	}
	for range 5 {
		s := &policy.Set{}
		for port := range uint16(6) {
			if r.IntN(4) == 0 {
				s.Ports = append(s.Ports, port)
			}
		}
		if r.IntN(2) == 0 {
			s.Prefixes = append(s.Prefixes, worldPrefixes[r.IntN(len(worldPrefixes))])
		}
		if r.IntN(2) == 0 {
			s.MACs = append(s.MACs, worldMACs[r.IntN(3)])
		}
		p.Sets = append(p.Sets, s)
	}
	p.Sets = append(p.Sets, nil)
	if r.IntN(4) == 0 {
		p.Excluded = policy.SetID(r.IntN(len(p.Sets)))
	}
	id := policy.FirstRuleID
	for range 1 + r.IntN(3) {
		s := &policy.Section{Category: policy.Category(1 + r.IntN(4)), Title: "s"}
		if frames {
			s.Category = policy.Ethernet
		}
		for range r.IntN(5) {
			s.Rules = append(s.Rules, randomRule(r, p, id, s.Category))
			id++
		}
		p.Sections = append(p.Sections, s)
	}
	sortSections(p)
	return p
}

func sortSections(p *policy.Policy) {
	for i := range p.Sections {
		for j := i; j > 0 && p.Sections[j].Category < p.Sections[j-1].Category; j-- {
			p.Sections[j], p.Sections[j-1] = p.Sections[j-1], p.Sections[j]
		}
	}
}

func randomRule(r *rand.Rand, p *policy.Policy, id uint32, c policy.Category) policy.Rule {
	set := func() policy.SetID {
		if r.IntN(2) == 0 {
			return policy.Any
		}
		return policy.SetID(r.IntN(len(p.Sets)))
	}
	rule := policy.Rule{
		ID: id, Action: policy.Action(r.IntN(3)), Directions: policy.Direction(1 + r.IntN(3)), Families: policy.Families(1 + r.IntN(3)),
		AppliedTo: set(), Source: set(), Destination: set(), SourceNot: r.IntN(5) == 0, DestNot: r.IntN(5) == 0,
	}
	if c != policy.Application && c != policy.Ethernet && r.IntN(3) == 0 {
		rule.Action = policy.JumpToApplication
	}
	if r.IntN(2) == 0 {
		rule.Families = policy.IPv4 | policy.IPv6
	}
	for range r.IntN(3) {
		rule.Services = append(rule.Services, randomService(r))
	}
	return rule
}

func randomService(r *rand.Rand) policy.Service {
	ranges := func(top int) []policy.PortRange {
		if r.IntN(2) == 0 {
			return nil
		}
		first := uint16(r.IntN(top + 1))
		last := first + uint16(r.IntN(top+1-int(first)))
		if int(last) == top {
			last = 0xffff // what is beyond the ports of the world is like the last
		}
		return []policy.PortRange{{First: first, Last: last}}
	}
	protocols := []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoGRE}
	s := policy.Service{Protocol: protocols[r.IntN(len(protocols))], ICMPType: int16(r.IntN(3)) - 1, ICMPCode: int16(r.IntN(3)) - 1}
	s.EtherType = []uint16{0, worldTypes[0], worldTypes[1], worldTypes[1]}[r.IntN(4)]
	switch {
	case r.IntN(8) == 0:
		s.AnyProtocol = true
	case s.Protocol != packet.ProtoICMP:
		s.SourcePorts, s.DestPorts = ranges(1), ranges(3)
	}
	return s
}
