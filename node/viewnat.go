package node

import (
	"errors"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/service"
)

// NATRuleViews are the rules of NAT in the order of evaluation.
func (n *Node) NATRuleViews(f *api.Filter) (iter.Seq[api.NATRuleView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, service.NATActions())); err != nil {
		return nil, err
	}
	look := n.lookAtServices(s)
	routers, stocks := s.routersByScope(), look.work.sources()
	all := func(yield func(api.NATRuleView) bool) {
		for i, r := range look.names.config.Rules {
			v := look.natRule(s, r, routers[r.Scope])
			v.Order = i + 1
			if r.Pool != nil {
				v.Pool = sourcePool(r.Pool, stocks[r.Pool.ID])
				v.Translations += look.live.rules[r.Pool.ID] // sessions know the pool
			}
			if !yield(v) {
				return
			}
		}
	}
	list, err := choose(f, "NAT rule", all, func(v *api.NATRuleView) string { return v.Name }, func(v *api.NATRuleView) bool {
		return f.MatchState(v.Action) && (f.Router == "" || v.Router == f.Router) && !(f.Unused && v.Hits > 0) &&
			(f.Port == "" || len(v.Uplinks) == 0 || slices.Contains(v.Uplinks, f.Port)) &&
			(!f.Address.IsValid() || isAbout(look.names.config.Rules[v.Order-1], f.Address))
	})
	return slices.Values(list), err
}

// isAbout reports whether any of some addresses is in what a rule matches, or translates to.
func isAbout(r *service.NATRule, addresses netip.Prefix) bool {
	return slices.ContainsFunc(r.Source, addresses.Overlaps) || slices.ContainsFunc(r.Destination, addresses.Overlaps) ||
		r.To.IsValid() && r.To.Overlaps(addresses) || r.Inside.IsValid() && r.Inside.Overlaps(addresses) ||
		r.Pool != nil && slices.ContainsFunc(stockPrefixes(r.Pool), addresses.Overlaps)
}

func stockPrefixes(p *service.SourcePool) (list []netip.Prefix) {
	for _, a := range p.Addresses {
		ip := a.Netip()
		list = append(list, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return list
}

// routersByScope are the names of routers by their address spaces.
func (s *shown) routersByScope() map[uint32]string {
	routers := map[uint32]string{}
	for i := range s.model.Segments {
		if x := &s.model.Segments[i]; x.Router >= 0 {
			routers[x.Scope] = s.routerName(x.Router)
		}
	}
	for i := range s.model.Routers {
		for _, u := range s.model.Routers[i].Uplinks {
			routers[u.Scope] = s.model.Routers[i].Name
		}
	}
	return routers
}

func (l *servicesLook) natRule(s *shown, r *service.NATRule, router string) api.NATRuleView {
	v := api.NATRuleView{
		Name: r.Name, ID: r.ID, Origin: originRef(&r.Origin), Router: router, Priority: r.Priority, Action: r.Action.String(),
		Sources: r.Source, SourcePorts: portTexts(r.SourcePorts), Destinations: r.Destination, Ports: portTexts(r.Ports),
		FirewallMatch: r.Firewall.String(), Logged: r.Logged, To: natTarget(r),
		Hits: l.work.ruleSessions(r.ID), Translations: l.live.rules[r.ID],
	}
	if r.Protocol != 0 {
		v.Protocol = export.ProtocolName(r.Protocol)
	}
	if r.Action == service.Reflexive && r.Inside.IsValid() {
		v.Sources = append([]netip.Prefix{r.Inside}, v.Sources...)
	}
	for _, number := range r.Uplinks {
		v.Uplinks = append(v.Uplinks, s.portName(number))
	}
	return v
}

// natTarget is what a rule puts in the place of what it matches.
func natTarget(r *service.NATRule) string {
	switch {
	case r.Pool != nil:
		return r.Pool.Name
	case !r.To.IsValid():
		return ""
	case r.ToPort == service.PortRange{}:
		return prefixText(r.To)
	case r.To.IsSingleIP():
		return net.JoinHostPort(r.To.Addr().String(), portsText(r.ToPort))
	}
	return prefixText(r.To) + " port " + portsText(r.ToPort)
}

func portTexts(list []service.PortRange) (texts []string) {
	for _, r := range list {
		texts = append(texts, portsText(r))
	}
	return texts
}

// shownAddresses is how many addresses of a pool its view names.
const shownAddresses = 8

// sourcePool is the view of a pool; use is nil if nothing is known of it.
func sourcePool(p *service.SourcePool, use *nat.PoolStats) *api.SourcePoolView {
	v := &api.SourcePoolView{Name: p.Name, Size: len(p.Addresses), Ports: "1024-65535", PerDestination: p.PerDestination}
	if p.Ports != (service.PortRange{}) {
		v.Ports = strconv.Itoa(int(p.Ports.First)) + "-" + strconv.Itoa(int(p.Ports.Last))
	}
	for _, a := range p.Addresses[:min(len(p.Addresses), shownAddresses)] {
		v.Addresses = append(v.Addresses, a.Netip().String())
	}
	if use == nil {
		return v
	}
	v.Sessions = use.Sessions
	first := true
	for _, x := range use.Protocols {
		v.Exhausted += x.Exhausted
		if x.Ports == 0 {
			continue
		}
		v.Protocols = append(v.Protocols, api.SourcePoolPorts{
			Protocol: x.Protocol, Ports: x.Ports, InUse: x.InUse, Free: x.Free, Exhausted: x.Exhausted,
		})
		if first || x.Free < v.Free {
			v.Free, first = x.Free, false
		}
	}
	return v
}
