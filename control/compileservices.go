package control

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// balancing is what a Compiler keeps of services.
type balancing struct {
	resolver  *services.Resolver
	settings  services.Settings // NodeConfig's; the rest is added each time
	nodePorts service.PortRange

	stocks   []vips.Pool
	sources  []services.Source
	poolsRun uint64 // that stocks and sources are of

	takenRun    uint64 // the last compilation in which somebody came to, or lost, an address
	takenRouter []Router
}

// servicesSettings reads what the NodeConfig says of services; o is nil if there is none.
func (c *compiler) servicesSettings(o *Object, spec *api.NodeConfigSpec) {
	b := &c.balancing
	b.settings = services.Settings{
		NodeName: spec.Topology.NodeName, Zone: spec.Topology.Zone, Class: spec.LoadBalancer.LoadBalancerClass,
		Algorithm: service.Algorithm(max(0, slices.Index(service.Algorithms(), string(spec.LoadBalancer.DefaultAlgorithm)))),
	}
	low, high, isRange := strings.Cut(spec.LoadBalancer.NodePortRange, "-")
	first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if !isRange || err1 != nil || err2 != nil || first == 0 || last < first {
		c.fault(o, "spec.loadBalancer.nodePortRange", fmt.Sprintf("%q is not a range of ports", clip(spec.LoadBalancer.NodePortRange)), `such as "30000-32767", within 1 to 65535`)
		return
	}
	b.nodePorts = service.PortRange{First: uint16(first), Last: uint16(last)}
}

// checkServices tells the resolver which objects are others than before, and reports what is wrong with those that there
// are: all of it, if nothing else is wrong, for where services are depends on routers, segments and pools.
func (c *compiler) checkServices() {
	r := c.balancing.resolver
	for _, o := range slices.Concat(c.inventory.removed, c.inventory.added) {
		if !slices.Contains(services.Kinds(), o.Kind) {
			continue
		}
		if now := c.object(o.Key()); now != nil {
			r.Put(serviceOrigin(o.Key()), now.Value)
		} else {
			r.Put(serviceOrigin(o.Key()), nil)
		}
	}
	var faults []services.Fault
	if len(c.faults) > 0 {
		faults = r.CheckObjects()
	} else {
		faults = r.Check(c.whereServicesAre(), c.addressesOfServices())
	}
	for _, f := range faults {
		if o := c.object(Key{f.Object.Kind, f.Object.Namespace, f.Object.Name}); o != nil {
			c.fault(o, f.Path, f.Message, f.Hint)
		}
	}
}

func serviceOrigin(k Key) service.Origin {
	return service.Origin{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
}

// whereServicesAre are the resolver's settings.
func (c *compiler) whereServicesAre() services.Settings {
	s := c.balancing.settings
	s.NodeName = cmp.Or(s.NodeName, c.in.HostName)
	s.Scopes = map[string]uint32{}
	for i := range c.m.Routers {
		r := &c.m.Routers[i]
		x := services.Router{Name: r.Name, Scope: c.scopes[r.Name]}
		for j := range r.Uplinks {
			u := &r.Uplinks[j]
			if u.Inside {
				continue
			}
			x.Uplinks = append(x.Uplinks, services.Uplink{Port: c.order[u.Port].name, Number: c.numbers[u.Port], Addresses: u.Addresses})
		}
		s.Routers = append(s.Routers, x)
	}
	s.Subnets = map[string][]netip.Prefix{}
	for _, p := range c.namespaceOrder {
		if p.segment == "" {
			continue
		}
		c.subnetsOutside(s.Subnets, p)
		if seg := c.existing(p.segment); seg != nil && seg.resolved != nil && seg.resolved.Router >= 0 && seg.resolved.Scope != c.scopes[api.DefaultRouter] {
			s.Scopes[p.name] = seg.resolved.Scope
		}
	}
	c.stockServices()
	s.Sources = c.balancing.sources
	return s
}

// subnetsOutside adds the networks of a namespace that has an address of its own outside.
func (c *compiler) subnetsOutside(subnets map[string][]netip.Prefix, p *namespacePlan) {
	seg := c.existing(p.segment)
	if p.object == nil || seg == nil {
		return
	}
	if v, is := p.object.Value.(*corev1.Namespace); !is || !services.Outgoing(v) {
		return
	}
	for _, n := range seg.subnets {
		subnets[p.name] = append(subnets[p.name], n.Prefix)
	}
}

// poolUses are the uses of IPPools that services have addresses of.
var poolUses = map[api.PoolUsage]vips.Use{api.UsageVIPs: vips.Virtual, api.UsageClusterIPs: vips.Cluster, api.UsageSNAT: vips.Source}

// stockServices makes the IPPools' addresses services' stocks.
func (c *compiler) stockServices() {
	b := &c.balancing
	if b.poolsRun == c.poolsRun {
		return
	}
	b.poolsRun, b.stocks, b.sources = c.poolsRun, nil, nil
	for i := range c.poolModel {
		p := &c.poolModel[i]
		use, has := poolUses[p.Usage]
		if !has {
			continue
		}
		b.stocks = append(b.stocks, vips.Pool{Name: p.Name, Use: use, Ranges: p.Ranges})
		if p.Usage != api.UsageSNAT {
			continue
		}
		s := services.Source{Name: p.Name}
		for _, r := range p.Ranges {
			for a := r.First; a.IsValid() && a.Compare(r.Last) <= 0 && len(s.Addresses) <= service.MaxPoolAddresses; a = a.Next() {
				s.Addresses = append(s.Addresses, packet.AddrFrom(a))
			}
		}
		b.sources = append(b.sources, s)
	}
}

// addressesOfServices is what there is to be given to services, and who else has addresses.
func (c *compiler) addressesOfServices() vips.Input {
	b := &c.balancing
	if c.segmentsRun == c.run || !slices.EqualFunc(b.takenRouter, c.m.Routers, Router.equal) ||
		slices.ContainsFunc(c.segmentOrder, func(s *segmentPlan) bool { return s.book.renewed }) {
		b.takenRun, b.takenRouter = c.run, c.m.Routers
	}
	return vips.Input{
		Pools: b.stocks, NodePorts: b.nodePorts, Taken: c.hasAddress, TakenRun: b.takenRun,
		Previous: c.previous.VIPs, Now: c.in.Now, Quarantine: int64(c.m.Node.IPReallocationTime),
	}
}

// hasAddress names who has an address in an address space, besides services; empty: nobody.
func (c *compiler) hasAddress(scope uint32, a netip.Addr) string {
	for _, s := range c.segmentOrder {
		if s.resolved.Scope != scope {
			continue
		}
		for _, n := range s.subnets {
			if !n.Prefix.Contains(a) {
				continue
			}
			if n.Gateway == a {
				return "the gateway of segment " + s.name
			}
			if p := s.book.byIP[a]; p != nil {
				return p.object.Key().String()
			}
		}
	}
	for i := range c.m.Routers {
		for j := range c.m.Routers[i].Uplinks {
			u := &c.m.Routers[i].Uplinks[j]
			if u.Scope == scope && (slices.ContainsFunc(u.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) || slices.Contains(u.Gateways, a)) {
				return "Router " + c.m.Routers[i].Name + " or its gateway"
			}
		}
	}
	return ""
}

// makeServices makes virtual servers, when no fault has been found, and ports and the firewall are made.
func (c *compiler) makeServices() {
	highest := 0
	for _, n := range c.numbers {
		highest = max(highest, int(n))
	}
	endpoints := make([]*services.Endpoint, highest+1)
	for i, p := range c.order {
		if p.uplinkOf == nil {
			endpoints[c.numbers[i]] = p.servedOn(c.m.Ports[i])
		}
	}
	r := c.balancing.resolver
	result := r.Resolve(services.Input{
		Endpoints: endpoints, Groups: c.groupMembers, Previous: c.previous.ServiceIDs, LastID: c.previous.LastServiceID,
	})
	if !result.Config.Empty() {
		c.m.Services = result.Config
	}
	c.m.ServiceStatuses = result.Statuses
	if len(result.IDs) > 0 {
		c.m.Allocations.ServiceIDs = result.IDs
	}
	c.m.Allocations.LastServiceID = result.LastID
	given := r.Given()
	if a := given.Allocations; a != nil && len(a.Held)+len(a.Freed) > 0 {
		c.m.Allocations.VIPs = a
	}
	c.m.RetryAt = given.RetryAt
}

// groupMembers are the members of a Group, nil if there is none of the name.
func (c *compiler) groupMembers(key service.Origin) *policy.Set {
	for i := range c.m.Groups {
		if g := &c.m.Groups[i]; g.Origin.Namespace == key.Namespace && g.Origin.Name == key.Name {
			return c.m.Firewall.Sets[g.Set]
		}
	}
	return nil
}

// servedOn returns the port as services see it: the pointer that it was, if nothing has changed.
func (p *portPlan) servedOn(port *Port) *services.Endpoint {
	e := p.endpointOn(port)
	if p.served != nil && p.served.Endpoint == e {
		return p.served
	}
	p.served = &services.Endpoint{Endpoint: e, Ready: true}
	if pod, is := p.object.Value.(*corev1.Pod); is {
		p.served.Terminating = pod.DeletionTimestamp != nil
		for i := range pod.Status.Conditions {
			if x := &pod.Status.Conditions[i]; x.Type == corev1.PodReady && x.Status == corev1.ConditionFalse {
				p.served.Ready = false
			}
		}
	}
	return p.served
}
