package classify

import (
	"math"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// rule is a rule of a policy as numbers. Tables share it: it is replaced, not changed.
type rule struct {
	match Match
	tier  int

	dims     [3]spans // dimPoint, dimSrc, dimDst
	families uint8    // bits as policy.Families
	atoms    []atom   // any of them
	home     home     // where its trees are
	moves    uint32   // how often its place among the others has become another
}

// atom is services that have the source ports in common.
type atom struct{ service, srcPort spans }

const bothFamilies = uint8(policy.IPv4 | policy.IPv6)

var (
	allServices = spans{{0, 1<<24 - 1}}
	allSrcPorts = spans{{0, 1<<16 - 1}}
)

// void reports whether nothing can match the rule.
func (r *rule) void() bool {
	return len(r.dims[dimPoint]) == 0 || len(r.dims[dimSrc]) == 0 || len(r.dims[dimDst]) == 0 ||
		r.families == 0 || len(r.atoms) == 0
}

// holds reports whether a point is one of the rule's in some dimensions, given as bits, when it is
// known to be in the others.
func (r *rule) holds(p *point, dims uint32) bool {
	for d := range r.dims {
		if dims>>d&1 != 0 && !r.dims[d].contains(p[d]) {
			return false
		}
	}
	if dims>>dimService == 0 {
		return true
	}
	for i := range r.atoms {
		if r.atoms[i].service.contains(p[dimService]) && r.atoms[i].srcPort.contains(p[dimSrcPort]) {
			return true
		}
	}
	return false
}

// compileRule returns what of a rule does not depend on sets.
func compileRule(m Match, tier int, ethernet bool) *rule {
	r := &rule{match: m, tier: tier, families: uint8(m.Rule.Families) & bothFamilies}
	if ethernet {
		r.families = bothFamilies
	}
	r.atoms = compileServices(m.Rule.Services, ethernet)
	return r
}

func compileServices(services []policy.Service, ethernet bool) []atom {
	if len(services) == 0 {
		return []atom{{allServices, allSrcPorts}}
	}
	type part struct {
		service []span
		srcPort spans
	}
	var parts []part
	for i := range services {
		service, srcPort := numbers(&services[i], ethernet)
		if len(service) == 0 || len(srcPort) == 0 {
			continue
		}
		at := slices.IndexFunc(parts, func(p part) bool { return slices.Equal(p.srcPort, srcPort) })
		if at < 0 {
			at = len(parts)
			parts = append(parts, part{srcPort: srcPort})
		}
		parts[at].service = append(parts[at].service, service...)
	}
	atoms := make([]atom, len(parts))
	for i, p := range parts {
		atoms[i] = atom{normal(p.service), p.srcPort}
	}
	return atoms
}

// numbers returns what a service says of dimService and of dimSrcPort.
func numbers(s *policy.Service, ethernet bool) (service []span, srcPort spans) {
	switch {
	case ethernet && s.EtherType != 0:
		return []span{{uint32(s.EtherType), uint32(s.EtherType)}}, allSrcPorts
	case ethernet || s.AnyProtocol:
		return slices.Clone(allServices), allSrcPorts
	}
	base := uint32(s.Protocol) << 16
	if s.Protocol == packet.ProtoICMP || s.Protocol == packet.ProtoICMPv6 {
		return typesAndCodes(base, s.ICMPType, s.ICMPCode), allSrcPorts
	}
	service = slices.Clone(ranges(s.DestPorts))
	for i := range service {
		service[i].lo += base
		service[i].hi += base
	}
	return service, ranges(s.SourcePorts)
}

// ranges returns port ranges as numbers; without any, all.
func ranges(ports []policy.PortRange) spans {
	if len(ports) == 0 {
		return allSrcPorts
	}
	var out []span
	for _, p := range ports {
		if p.First <= p.Last {
			out = append(out, span{uint32(p.First), uint32(p.Last)})
		}
	}
	return normal(out)
}

func typesAndCodes(base uint32, kind, code int16) []span {
	switch {
	case kind > math.MaxUint8 || code > math.MaxUint8:
		return nil
	case kind < 0 && code < 0:
		return []span{{base, base + 1<<16 - 1}}
	case code < 0:
		return []span{{base + uint32(kind)<<8, base + uint32(kind)<<8 + 0xff}}
	case kind < 0:
		out := make([]span, 256)
		for i := range out {
			at := base + uint32(i)<<8 + uint32(code)
			out[i] = span{at, at}
		}
		return out
	}
	at := base + uint32(kind)<<8 + uint32(code)
	return []span{{at, at}}
}

// same reports whether two rules match the same packets in every policy.
func same(a, b *policy.Rule) bool {
	return a.Directions == b.Directions && a.Families == b.Families && a.AppliedTo == b.AppliedTo &&
		a.Source == b.Source && a.SourceNot == b.SourceNot &&
		a.Destination == b.Destination && a.DestNot == b.DestNot &&
		slices.EqualFunc(a.Services, b.Services, func(a, b policy.Service) bool {
			return a.EtherType == b.EtherType && a.AnyProtocol == b.AnyProtocol && a.Protocol == b.Protocol &&
				a.ICMPType == b.ICMPType && a.ICMPCode == b.ICMPCode &&
				slices.Equal(a.SourcePorts, b.SourcePorts) && slices.Equal(a.DestPorts, b.DestPorts)
		})
}

// members returns the labels of a set, or of everybody else.
func (sp *space) members(id policy.SetID, not bool) spans {
	s := everything
	if id != policy.Any {
		s = nil
		if int(id) < len(sp.spans) {
			s = sp.spans[id]
		}
	}
	if !not {
		return s
	}
	if id == policy.Any {
		return nil
	}
	return s.not()
}

// at returns the points of a rule: of each direction, the labels of its ports.
func (sp *space) at(r *policy.Rule) spans {
	if r.AppliedTo == policy.Any {
		switch r.Directions & (policy.In | policy.Out) {
		case policy.In | policy.Out:
			return everything
		case policy.In:
			return spans{{0, outPoints - 1}}
		case policy.Out:
			return spans{{outPoints, math.MaxUint32}}
		}
		return nil
	}
	in := sp.members(r.AppliedTo, false)
	var out spans
	if r.Directions&policy.In != 0 {
		out = append(out, in...)
	}
	if r.Directions&policy.Out != 0 {
		for _, x := range in {
			out = append(out, span{x.lo + outPoints, x.hi + outPoints})
		}
	}
	return normal(out)
}

// outPoints is added to the labels of ports of what they send.
const outPoints = 1 << 31
