package services

import (
	"bytes"
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// The index of a family in arrays.
const (
	v4 = iota
	v6
	nFamilies
)

func family(is6 bool) int {
	if is6 {
		return v6
	}
	return v4
}

// familyOf is the index of an address's family.
func familyOf(a packet.Addr) int { return family(!a.Is4()) }

// compareAddresses orders addresses as numbers, v4 before v6.
func compareAddresses(a, b packet.Addr) int {
	x, y := a.As16(), b.As16()
	return bytes.Compare(x[:], y[:])
}

// memberKey is what tells the members of an object.
type memberKey struct {
	address packet.Addr
	port    uint16
}

// isLocal reports whether an address is this node's.
func (r *Resolver) isLocal(scope uint32, a packet.Addr, node string) bool {
	if node != "" && node == r.settings.NodeName {
		return true
	}
	_, bound := r.population.bound[boundKey{scope, a}]
	return bound
}

// candidatesOf are who may be behind a port of a Service, sorted by address and port, each once.
func (r *Resolver) candidatesOf(n *node, e *endpointMembers) (list []candidate) {
	objects, written := r.behind(n.key)
	for _, o := range objects {
		for i := range o.says.slices {
			s := &o.says.slices[i]
			port, found := s.port(e.port, e.protocol)
			if !found || port == 0 {
				continue
			}
			list = slices.Grow(list, len(s.endpoints))
			for j := range s.endpoints {
				x := &s.endpoints[j]
				list = append(list, candidate{*x, port, r.isLocal(n.scope, x.address, x.node)})
			}
		}
	}
	if !written {
		r.population.selected(n.key.Namespace, e.selector, func(x *Endpoint) {
			port := e.target
			if e.targetName != "" {
				i := slices.IndexFunc(x.NamedPorts, func(p ruleset.NamedPort) bool { return p.Name == e.targetName && p.Protocol == e.protocol })
				if i < 0 {
					return // this pod does not offer it
				}
				port = x.NamedPorts[i].Port
			}
			// As the EndpointSlice controller has it (staging/src/k8s.io/endpointslice/utils.go, podToEndpoint).
			c := candidate{port: port, local: true, endpoint: endpoint{
				name: x.Short, node: r.settings.NodeName, zone: r.settings.Zone,
				serving: x.Ready, terminating: x.Terminating, ready: e.notReady || x.Ready && !x.Terminating,
			}}
			for _, a := range firstOfEach(x.Addresses) {
				c.address = a
				list = append(list, c)
			}
		})
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(compareAddresses(a.address, b.address), cmp.Compare(a.port, b.port), -cmp.Compare(a.rank(), b.rank()))
	})
	return slices.CompactFunc(list, func(a, b candidate) bool { return a.address == b.address && a.port == b.port })
}

// firstOfEach are the first address of each family: a pod's status.podIPs has no more. Addresses of the link are none.
func firstOfEach(all []packet.Addr) (list []packet.Addr) {
	var has [nFamilies]bool
	for _, a := range all {
		if f := familyOf(a); !has[f] && !a.Netip().IsLinkLocalUnicast() {
			has[f] = true
			list = append(list, a)
		}
	}
	return list
}

// member is what a candidate is as a member.
func (c *candidate) member() service.Member {
	m := service.Member{Name: c.name, Address: c.address, Port: c.port, Weight: 1, Local: c.local}
	switch {
	case c.ready:
	case c.terminating:
		m.Admin, m.Why, m.NotReady = service.Draining, "terminating", !c.serving
	default:
		m.Admin, m.Why, m.NotReady = service.Draining, "not ready", true
	}
	return m
}

// serving are the members behind a port of a Service: all of a family, or those on this node.
func serving(list []candidate, key poolKey, prefers distribution, s *Settings) (members []service.Member) {
	var of []candidate
	for i := range list {
		if c := &list[i]; familyOf(c.address) == family(key.is6) && (c.local || !key.local) {
			of = append(of, *c)
		}
	}
	if !key.local {
		of = closest(of, prefers, s)
	}
	for i := range of {
		members = append(members, of[i].member())
	}
	return members
}

// writtenMembers are those of a Pool, of one family: as listed, and then those of groups that are not listed.
func (r *Resolver) writtenMembers(n *node, d *poolDraft, key poolKey) (members []service.Member) {
	seen := map[memberKey]bool{}
	add := func(m service.Member) {
		if m.Weight == 0 {
			m.Weight = 1
		}
		if m.Port == 0 {
			m.Port = key.port
		}
		if k := (memberKey{m.Address, m.Port}); !seen[k] && familyOf(m.Address) == family(key.is6) {
			seen[k] = true
			number, bound := r.population.bound[boundKey{n.scope, m.Address}]
			m.Local = bound
			if bound && m.Name == "" {
				m.Name = r.population.now[number].Name
			}
			members = append(members, m)
		}
	}
	for i := range d.members {
		add(d.members[i].Member)
	}
	if d.group != nil {
		for _, m := range r.groupMembers(n, d.group, key.is6) {
			add(m)
		}
	}
	slices.SortFunc(members, func(a, b service.Member) int {
		return cmp.Or(compareAddresses(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return members
}

// largestGroupNetwork is how many bits a network of a Group may leave open for its addresses to be members: 256 of them.
const largestGroupNetwork = 8

// groupMembers are the members that a Group or selectors select, the lowest addresses first.
func (r *Resolver) groupMembers(n *node, g *groupMembers, is6 bool) (members []service.Member) {
	if !g.families[family(is6)] {
		return nil
	}
	port := func(e *Endpoint) (uint16, bool) {
		if g.portName == "" {
			return g.port, true
		}
		i := slices.IndexFunc(e.NamedPorts, func(p ruleset.NamedPort) bool { return p.Name == g.portName })
		if i < 0 {
			return 0, false
		}
		return e.NamedPorts[i].Port, true
	}
	add := func(a packet.Addr, port uint16) {
		if familyOf(a) == family(is6) {
			members = append(members, service.Member{Address: a, Port: port})
		}
	}
	addEndpoint := func(e *Endpoint) {
		if e == nil || e.Scope != n.scope || e.Terminating || !e.Ready {
			return
		}
		if p, offers := port(e); offers {
			for _, a := range e.Addresses {
				if !a.Netip().IsLinkLocalUnicast() {
					add(a, p)
				}
			}
		}
	}
	if g.group.name != "" {
		set := &policy.Set{}
		if found := r.find(g.group, n.key.Namespace); found != nil && r.groups[found.key] != nil {
			set = r.groups[found.key]
		}
		for _, number := range set.Ports {
			addEndpoint(at(r.population.now, int(number)))
		}
		for _, p := range set.Prefixes {
			if g.portName == "" && int(p.Bits) >= 128-largestGroupNetwork {
				each(p, func(a packet.Addr) { add(a, g.port) })
			}
		}
	} else {
		for _, e := range r.population.now {
			if e != nil && g.selects(e) {
				addEndpoint(e)
			}
		}
	}
	slices.SortFunc(members, func(a, b service.Member) int { return compareAddresses(a.Address, b.Address) })
	members = slices.CompactFunc(members, func(a, b service.Member) bool { return a.Address == b.Address })
	if g.most > 0 && len(members) > g.most {
		members = members[:g.most]
	}
	for i := range g.custom {
		c := g.custom[i].Member
		at, found := slices.BinarySearchFunc(members, c.Address, func(m service.Member, a packet.Addr) int { return compareAddresses(m.Address, a) })
		if found {
			if c.Port == 0 {
				c.Port = members[at].Port
			}
			members[at] = c
		}
	}
	return members
}

// selects reports whether an endpoint is one that the selectors select.
func (g *groupMembers) selects(e *Endpoint) bool {
	switch {
	case e.Namespace == nil && (g.namespace != "" || g.ofNamespace != nil || len(e.Labels) == 0),
		g.namespace != "" && e.Namespace.Name != g.namespace,
		g.ofNamespace != nil && !g.ofNamespace.Matches(labels.Set(e.Namespace.Labels)),
		g.of != nil && !g.of.Matches(labels.Set(e.Labels)):
		return false
	}
	return true
}

// each visits the addresses of a network.
func each(p policy.Prefix, visit func(packet.Addr)) {
	b := p.Addr.As16()
	for i := range 1 << (128 - p.Bits) {
		c := b
		c[15] |= byte(i)
		visit(packet.AddrFrom16(&c))
	}
}
