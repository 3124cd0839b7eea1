package control

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// The node has a port of its own at each router by which it has to reach somebody itself: its monitors probe members
// from there, and what asks at a healthCheckNodePort is answered there. To the router it is an uplink, behind which
// is nothing but the node.

// DeviceInside is the device of such a port. No user can give it.
const DeviceInside api.DeviceType = "inside"

// insideName is the name of the port at the router "default"; at others, "inside:ROUTER".
const insideName = "inside"

func insidePort(router string) string {
	if router == api.DefaultRouter {
		return insideName
	}
	return insideName + ":" + router
}

// InsideDevice is the interface of the port at the router of an address space.
func InsideDevice(scope uint32) string { return fmt.Sprint(insideName, scope%routerScope) }

// InsideRouter is what each router is called at the node's own port, and InsideHost the node, IPv4 and IPv6: what RFC 7335
// has set aside for a host's own links, and a unique local network of RFC 4193 with the name of the program.
func InsideRouter() [2]netip.Prefix {
	return [2]netip.Prefix{netip.MustParsePrefix("192.0.0.1/29"), netip.MustParsePrefix("fd73:6c75:6963:65::1/126")}
}

// InsideHost see InsideRouter.
func InsideHost() [2]netip.Prefix {
	return [2]netip.Prefix{netip.MustParsePrefix("192.0.0.2/29"), netip.MustParsePrefix("fd73:6c75:6963:65::2/126")}
}

// InsideRouterMAC is the router's MAC address there, and InsideHostMAC the node's.
func InsideRouterMAC() packet.MAC { return packet.HostMAC(packet.AddrFrom(InsideRouter()[0].Addr())) }

// InsideHostMAC see InsideRouterMAC.
func InsideHostMAC() packet.MAC { return packet.HostMAC(packet.AddrFrom(InsideHost()[0].Addr())) }

// Inside is a port of the node's own.
type Inside struct {
	Router int    `json:"router"` // index in Routers
	Uplink int    `json:"uplink"` // index in its Uplinks
	Port   int    `json:"port"`   // index in Ports
	Scope  uint32 `json:"scope"`  // the router's address space
}

// insides are what a Compiler keeps of such ports.
type insides struct {
	routers []string             // by name, sorted, that need one by what the last model says
	plans   map[string]*portPlan // by router: those that are in portOrder
	objects map[string]*Object   // stand for routers that are not written

	health healthServers
}

// Compile makes a model as compile does, and once more if that shows that other routers than before need a port of the
// node's own. What services say does not depend on these, so that is enough.
func (k *Compiler) Compile(in Input) (*Model, Faults) {
	m, faults := k.compile(in)
	if m == nil && len(k.inside.routers) > 0 {
		// What is at fault, and what hints say, is not to depend on what was there before.
		k.inside.routers = nil
		m, faults = k.compile(in)
	}
	if m == nil {
		return nil, faults
	}
	if need := m.needInside(); !slices.Equal(need, k.inside.routers) {
		k.inside.routers = need
		if m, faults = k.compile(in); m == nil {
			return nil, faults
		}
	}
	if faults := k.insideOverlaps(m); len(faults) > 0 {
		return nil, faults.sorted()
	}
	return m, nil
}

// needInside returns the routers by which the node has to reach somebody itself, sorted.
func (m *Model) needInside() (names []string) {
	scopes := map[uint32]bool{}
	for p, scope := range PoolsInUse(m.Services) {
		if len(p.Monitors) > 0 {
			scopes[scope] = true
		}
	}
	for i := range m.HealthPorts {
		scopes[m.HealthPorts[i].Scope] = true
	}
	if len(scopes) == 0 {
		return nil
	}
	for name, number := range m.Allocations.Routers {
		if scopes[routerScope+number] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// PoolsInUse yields the pools of servers, each with the address spaces of the frontends that it is behind; some several times. c may be nil.
func PoolsInUse(c *service.Config) iter.Seq2[*service.Pool, uint32] {
	return func(yield func(*service.Pool, uint32) bool) {
		if c == nil {
			return
		}
		for _, s := range c.Servers {
			for i := range s.Frontends {
				f := &s.Frontends[i]
				for _, p := range [...]*service.Pool{f.Inside, f.Outside, f.Sorry} {
					if p != nil && !yield(p, f.Scope) {
						return
					}
				}
			}
		}
	}
}

// forgetInside takes back the ports of routers of some names.
func (c *compiler) forgetInside(unneeded func(router string) bool) {
	k := &c.inside
	var removed []*portPlan
	for router, p := range k.plans {
		if unneeded(router) {
			removed = append(removed, p)
			delete(k.plans, router)
			if c.ports[p.name] == p {
				delete(c.ports, p.name)
			}
		}
	}
	if len(removed) > 0 {
		c.portOrder = amend(c.portOrder, removed, nil, comparePlans)
	}
}

// planInside makes the ports of routers that need one, as if they were written.
func (c *compiler) planInside() {
	k := &c.inside
	if len(k.routers) == 0 && len(k.plans) == 0 {
		return
	}
	c.forgetInside(func(router string) bool { _, is := c.routers[router]; return !is })
	var added []*portPlan
	for _, router := range k.routers {
		_, is := c.routers[router]
		if name := insidePort(router); is && k.plans[router] == nil && c.ports[name] == nil {
			p := &portPlan{
				name: name, spec: c.defaultPort,
				object: &Object{APIVersion: api.APIVersion, Kind: "Port", Name: name, Value: &api.Port{ObjectMeta: api.ObjectMeta{Name: name}}},
			}
			k.plans[router], c.ports[name] = p, p
			added = append(added, p)
		}
	}
	if len(added) > 0 {
		c.portOrder = amend(c.portOrder, nil, added, comparePlans)
	}
	for router, p := range k.plans {
		of := c.routers[router]
		if of == nil {
			if of = k.objects[router]; of == nil {
				of = &Object{APIVersion: api.APIVersion, Kind: "Router", Name: router, Value: &api.Router{ObjectMeta: api.ObjectMeta{Name: router}}}
				k.objects[router] = of
			}
		}
		p.uplinkOf, c.uplinks[p.name] = of, of
		c.uplinked = append(c.uplinked, p)
	}
}

// refuseInside reports a port that has the name of the node's own.
func (p *portPlan) refuseInside() {
	if p.name == insideName {
		p.fault("metadata.name", "inside is what the node's own port is called, by which it probes members of pools", "choose another name")
	}
}

// uplinkInside gives a router its uplink to the node's own port, behind all others.
func (c *compiler) uplinkInside(r *Router, at int) {
	p := c.inside.plans[r.Name]
	if p == nil {
		return
	}
	scope, addresses := c.scopes[r.Name], InsideRouter()
	p.uplinkAt = [2]int{at, len(r.Uplinks)}
	if device := (Device{Type: DeviceInside, Name: InsideDevice(scope), Queues: 1, Offload: true}); p.device != device {
		p.device, p.stale = device, true
	}
	r.Uplinks = append(r.Uplinks, Uplink{
		Port: c.portIndex(p.name), Zone: c.m.Allocations.Zones[uplinkZone(p.name)], Scope: scope,
		MAC: api.MAC(InsideRouterMAC()), Addresses: addresses[:], Inside: true,
	})
}

// listInside lists the node's own ports.
func (c *compiler) listInside() {
	for i := range c.m.Routers {
		for j := range c.m.Routers[i].Uplinks {
			if u := &c.m.Routers[i].Uplinks[j]; u.Inside {
				c.m.Inside = append(c.m.Inside, Inside{Router: i, Uplink: j, Port: u.Port, Scope: u.Scope})
			}
		}
	}
}

// insideOverlaps reports networks that have the addresses of the node's own ports, at routers that have one.
func (k *Compiler) insideOverlaps(m *Model) (faults Faults) {
	for _, in := range m.Inside {
		r := &m.Routers[in.Router]
		for _, own := range InsideRouter() {
			refuse := func(o *Object, p netip.Prefix) {
				if o == nil || !p.Overlaps(own) {
					return
				}
				faults = append(faults, o.at("", fmt.Sprintf("%s overlaps %s, by which the node itself reaches members of pools for monitors, and is asked at healthCheckNodePorts", p.Masked(), own.Masked()),
					"choose another network, or do without these at router "+r.Name))
			}
			for _, net := range r.Connected {
				refuse(k.slots[net.Segment].object, net.Prefix)
			}
			for i := range r.Uplinks {
				for _, a := range r.Uplinks[i].Addresses {
					if !r.Uplinks[i].Inside {
						refuse(k.order(r.Uplinks[i].Port), a)
					}
				}
			}
		}
	}
	return faults
}

// order returns the object of a port by its index in the last model.
func (k *Compiler) order(port int) *Object {
	if port < 0 || port >= len(k.portOrder) {
		return nil
	}
	return k.portOrder[port].object
}

// HealthPort is a port of the node at which it tells whether it has endpoints of a Service itself
// (spec.healthCheckNodePort). It is asked by way of a virtual server with the node as its member.
type HealthPort struct {
	Scope     uint32 `json:"scope"`
	Port      uint16 `json:"port"`
	Namespace string `json:"namespace"` // of the Service
	Name      string `json:"name"`
	Local     int    `json:"local"` // endpoints on this node that are ready
}

// healthServers are the virtual servers of HealthPorts, kept while they say the same.
type healthServers struct {
	of     *service.Config // that merged was made of; nil: there is none
	parts  map[HealthPort]*healthServer
	merged *service.Config
}

type healthServer struct {
	at     []netip.Addr // the router's on its uplinks
	server *service.Server
	pools  []*service.Pool
}

// makeHealthPorts adds the virtual servers of health checks to those that are written.
func (c *compiler) makeHealthPorts() {
	k := &c.inside.health
	var list []*healthServer
	parts := map[HealthPort]*healthServer{}
	same := k.of != nil && k.of == c.m.Services
	for _, st := range c.m.ServiceStatuses {
		if st.HealthPort == 0 || c.m.Services == nil {
			continue
		}
		scope, found := c.m.scopeOf(st.Origin)
		if !found {
			continue
		}
		h := HealthPort{Scope: scope, Port: st.HealthPort, Namespace: st.Origin.Namespace, Name: st.Origin.Name}
		at := c.m.edge(scope)
		x := k.parts[h]
		if x == nil || !slices.Equal(x.at, at) {
			x, same = newHealthServer(h, st.Origin, at), false
		}
		parts[h] = x
		list = append(list, x)
		h.Local = st.LocalReady
		c.m.HealthPorts = append(c.m.HealthPorts, h)
	}
	same = same && len(parts) == len(k.parts)
	k.parts = parts
	if len(list) == 0 {
		k.of, k.merged = nil, nil
		return
	}
	if !same {
		merged := *c.m.Services
		merged.Servers, merged.Pools = slices.Clone(merged.Servers), slices.Clone(merged.Pools)
		for _, x := range list {
			merged.Servers, merged.Pools = append(merged.Servers, x.server), append(merged.Pools, x.pools...)
		}
		slices.SortStableFunc(merged.Servers, func(a, b *service.Server) int { return strings.Compare(a.Name, b.Name) })
		slices.SortStableFunc(merged.Pools, func(a, b *service.Pool) int { return strings.Compare(a.Name, b.Name) })
		k.of, k.merged = c.m.Services, &merged
	}
	c.m.Services = k.merged
}

// healthDigest sums up the virtual servers of health checks; what they answer, packets don't tell.
func (c *compiler) healthDigest() uint64 {
	if len(c.m.HealthPorts) == 0 {
		return 0
	}
	list := slices.Clone(c.m.HealthPorts)
	for i := range list {
		list[i].Local = 0
	}
	return hashOf(list)
}

// scopeOf returns the address space of a Service's virtual servers.
func (m *Model) scopeOf(o service.Origin) (scope uint32, found bool) {
	for _, s := range m.Services.Servers {
		if s.Origin == o && len(s.Frontends) > 0 {
			return s.Frontends[0].Scope, true
		}
	}
	return 0, false
}

// edge returns the addresses of a router on its uplinks, but for that to the node itself.
func (m *Model) edge(scope uint32) (list []netip.Addr) {
	for i := range m.Routers {
		for j := range m.Routers[i].Uplinks {
			if u := &m.Routers[i].Uplinks[j]; u.Scope == scope && !u.Inside {
				for _, a := range u.Addresses {
					list = append(list, a.Addr())
				}
			}
		}
	}
	return list
}

// newHealthServer makes a virtual server at a router's addresses with the node as its member.
func newHealthServer(h HealthPort, of service.Origin, at []netip.Addr) *healthServer {
	name := fmt.Sprintf("%s/%s (health check)", h.Namespace, h.Name)
	first := service.MaxGiven + 2*uint32(h.Port)
	x := &healthServer{at: at, server: &service.Server{ID: first, Origin: of, Name: name, Source: service.SourceKept}}
	for i, host := range InsideHost() {
		id := first + uint32(i)
		p := &service.Pool{
			ID: id, Origin: of, Name: name, MinActive: 1,
			Members: []*service.Member{{ID: id, Name: "this node", Address: packet.AddrFrom(host.Addr()), Port: h.Port, Weight: 1, Local: true}},
		}
		for _, a := range at {
			if a.Is4() == host.Addr().Is4() {
				x.server.Frontends = append(x.server.Frontends, service.Frontend{
					Kind: service.NodePort, Scope: h.Scope, Address: packet.AddrFrom(a), Protocol: packet.ProtoTCP,
					First: h.Port, Last: h.Port, Inside: p, Outside: p, KeepSource: true,
				})
				if !slices.Contains(x.pools, p) {
					x.pools = append(x.pools, p)
				}
			}
		}
	}
	return x
}

// comparePlans orders ports by name; of equal names, Ports come before Pods.
func comparePlans(a, b *portPlan) int {
	return cmp.Or(cmp.Compare(a.name, b.name), -compareObjects(a.object, b.object))
}
