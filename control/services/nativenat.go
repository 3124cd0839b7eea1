package services

import (
	"fmt"
	"net/netip"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// readNATRule reads a NATRule.
func readNATRule(v *api.NATRule) (s says) {
	spec := v.Spec
	api.SetDefaults(&spec)
	s.router, s.routerPath = spec.Router, "spec.router"
	d := ruleDraft{NATRule: service.NATRule{
		Priority: spec.Priority, Action: service.NATAction(oneOf(service.NATActions(), string(spec.Action))), Logged: spec.Logged,
	}}
	switch spec.FirewallMatch {
	case api.MatchExternalAddress:
		d.Firewall = service.MatchExternal
	case api.MatchBypass:
		d.Firewall = service.MatchBypass
	}
	s.matches(&spec, &d)
	s.translates(&spec, &d)
	for i, name := range spec.Scope {
		path := index("spec.scope", i)
		for j, other := range spec.Scope[:i] {
			if other == name {
				s.fault(path, "the Port "+clip(name)+" is there twice", "also in "+index("spec.scope", j))
			}
		}
		// Not among references: it has to be an uplink of the router, which is more than to be there.
		d.uplinks = append(d.uplinks, reference{"Port", name, path})
	}
	if !*spec.Enabled {
		s.note = "it is not enabled"
		return s
	}
	s.rules = []ruleDraft{d}
	return s
}

// matches reads what packets are meant.
func (s *says) matches(spec *api.NATRuleSpec, d *ruleDraft) {
	var from, to int
	d.Source, from = s.networks("spec.sourceNetworks", spec.SourceNetworks)
	d.Destination, to = s.networks("spec.destinationNetworks", spec.DestinationNetworks)
	if from != 0 && to != 0 && from != to {
		s.fault("spec.destinationNetworks", "are "+familyName(to)+", and sourceNetworks "+familyName(from), "write a rule for each")
	}
	switch destination := len(spec.DestinationNetworks) > 0; {
	case (spec.Action == api.NATDestination || spec.Action == api.NATNoDestination) && !destination:
		s.fault("spec", "destinationNetworks are needed with the action "+string(spec.Action), "the addresses outside")
	case spec.Action == api.NATDestination:
		for i, n := range spec.DestinationNetworks { // routers answer for them
			s.bounded(index("spec.destinationNetworks", i), n.Prefix())
		}
	case spec.Action == api.NATReflexive && destination:
		s.fault("spec.destinationNetworks", "not with the action REFLEXIVE", "sourceNetworks are the addresses inside, and translatedNetwork those outside")
	}
	svc := spec.Service
	if svc == nil {
		return
	}
	if spec.Action == api.NATReflexive {
		s.fault("spec.service", "not with the action REFLEXIVE, which is of whole addresses", "leave it out, or write a SNAT and a DNAT rule")
	}
	d.Protocol = protocolOf(svc.Protocol)
	d.Ports = s.ports("spec.service.destinationPorts", svc.DestinationPorts)
	d.SourcePorts = s.ports("spec.service.sourcePorts", svc.SourcePorts)
}

// translates reads what becomes of addresses and ports.
func (s *says) translates(spec *api.NATRuleSpec, d *ruleDraft) {
	const network, pool, ports = "spec.translatedNetwork", "spec.translatedPool", "spec.translatedPorts"
	given := !spec.TranslatedNetwork.IsZero()
	if spec.Action != api.NATSource && spec.TranslatedPool != "" {
		s.fault(pool, "not with the action "+string(spec.Action), "it is of SNAT")
	}
	if spec.Action != api.NATDestination && spec.TranslatedPorts != "" {
		s.fault(ports, "not with the action "+string(spec.Action), "they are of DNAT")
	}
	switch spec.Action {
	case api.NATNoSource, api.NATNoDestination:
		if given {
			s.fault(network, "not with the action "+string(spec.Action), "leave it out: nothing is translated")
		}
		return
	case api.NATSource:
		switch {
		case given == (spec.TranslatedPool != ""):
			s.fault("spec", "one of translatedNetwork and translatedPool is needed with the action SNAT", "translatedPool is an IPPool with usage snat")
			return
		case !given:
			d.pool, d.poolPath = spec.TranslatedPool, pool
			return
		}
	default:
		if !given {
			s.fault("spec", "translatedNetwork is needed with the action "+string(spec.Action), "such as 10.244.1.10")
			return
		}
	}
	to := spec.TranslatedNetwork.Prefix()
	for _, p := range [][]netip.Prefix{d.Source, d.Destination} {
		if len(p) > 0 && p[0].Addr().BitLen() != to.Addr().BitLen() {
			s.fault(network, to.String()+" is not of the family of "+p[0].String(), "addresses of one family don't become those of the other")
			return
		}
	}
	switch spec.Action {
	case api.NATSource:
		d.addresses = s.addresses(network, to)
	case api.NATDestination:
		d.To = to
		s.bounded(network, to)
		s.portsTo(ports, spec.TranslatedPorts, d)
	case api.NATReflexive:
		s.reflexive(spec, d, to)
	}
}

func (s *says) reflexive(spec *api.NATRuleSpec, d *ruleDraft, to netip.Prefix) {
	const from = "spec.sourceNetworks"
	if len(spec.SourceNetworks) != 1 {
		path := from
		if len(spec.SourceNetworks) == 0 {
			path = "spec"
		}
		s.fault(path, "exactly one of sourceNetworks is needed with the action REFLEXIVE", "the addresses inside; write a rule for each")
		return
	}
	inside := spec.SourceNetworks[0].Prefix()
	switch {
	case inside.Bits() != to.Bits():
		s.fault("spec.translatedNetwork", fmt.Sprintf("%s is not as large as %s of sourceNetworks", to, inside),
			fmt.Sprintf("each address stands for one: a network with /%d", inside.Bits()))
		return
	case inside.Overlaps(to):
		s.fault("spec.translatedNetwork", to.String()+" is that of sourceNetworks", "addresses that are not used inside")
		return
	}
	d.Inside, d.To, d.Source = inside, to, nil
}

// bounded reports a network of more addresses than connections are spread over.
func (s *says) bounded(path string, p netip.Prefix) bool {
	if host := p.Addr().BitLen() - p.Bits(); host > 12 || 1<<host > service.MaxPoolAddresses {
		s.fault(path, fmt.Sprintf("%s is more than %d addresses", p, service.MaxPoolAddresses), fmt.Sprintf("at most a /%d", p.Addr().BitLen()-12))
		return false
	}
	return true
}

// addresses lists those of a network.
func (s *says) addresses(path string, p netip.Prefix) (all []packet.Addr) {
	if !s.bounded(path, p) || !s.host(path, p.Addr()) {
		return nil
	}
	for a := p.Addr(); p.Contains(a); a = a.Next() {
		all = append(all, packet.AddrFrom(a))
	}
	return all
}

// portsTo reads what destination ports become.
func (s *says) portsTo(path, text string, d *ruleDraft) {
	if text == "" {
		return
	}
	to, message, hint := parsePorts(text)
	switch {
	case message != "":
		s.fault(path, message, hint)
	case d.Protocol == 0:
		s.fault(path, "has no meaning without service", "write service: {protocol: TCP, destinationPorts: [...]}")
	case to.First != to.Last && (len(d.Ports) != 1 || d.Ports[0].Last-d.Ports[0].First != to.Last-to.First):
		s.fault(path, portsText(to)+" is a range, and destinationPorts are not one of the same length", "as many ports, one to one; or a single one")
	default:
		d.ToPort = to
	}
}
