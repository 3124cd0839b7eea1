package control

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/api"
)

func (c *compiler) compileRouters() {
	c.connect()
	c.m.Routers = make([]Router, len(c.routers))
	for name, i := range c.routerAt {
		r := &c.m.Routers[i]
		r.Name, r.Connected = name, c.connected[i]
		if o := c.routers[name]; o != nil {
			spec := &o.Value.(*api.Router).Spec
			for j := range spec.Uplinks {
				r.Uplinks = append(r.Uplinks, c.compileUplink(o, j, &spec.Uplinks[j]))
				if p := c.ports[spec.Uplinks[j].Port]; p != nil {
					p.uplinkAt = [2]int{i, j}
				}
			}
			c.compileRoutes(o, r, spec)
		}
		c.uplinkInside(r, i)
	}
	if slices.EqualFunc(c.m.Routers, c.routerModel, Router.equal) {
		c.m.Routers = c.routerModel
	} else {
		c.routerModel, c.routersHash = c.m.Routers, 0
	}
}

// connect collects the networks of routers' segments.
func (c *compiler) connect() {
	if c.connectedRun == c.segmentsRun {
		return
	}
	c.connected, c.connectedRun = map[int][]Connected{}, c.segmentsRun
	for _, s := range c.slots {
		for _, subnet := range s.subnets {
			c.connected[s.resolved.Router] = append(c.connected[s.resolved.Router], Connected{subnet.Prefix, subnet.Gateway, s.index})
		}
	}
	for _, list := range c.connected {
		slices.SortFunc(list, func(a, b Connected) int { return a.Prefix.Compare(b.Prefix) })
	}
}

func (r Router) equal(o Router) bool {
	return r.Name == o.Name && slices.Equal(r.Connected, o.Connected) && slices.EqualFunc(r.Uplinks, o.Uplinks, Uplink.equal) &&
		slices.Equal(r.Routes, o.Routes)
}

func (u Uplink) equal(o Uplink) bool {
	return u.Port == o.Port && u.Zone == o.Zone && u.Scope == o.Scope && u.MAC == o.MAC && u.Inside == o.Inside && slices.Equal(u.Addresses, o.Addresses) &&
		slices.Equal(u.Gateways, o.Gateways)
}

// portIndex returns the index of a port in the model, -1 if there is none.
func (c *compiler) portIndex(name string) int {
	at, found := slices.BinarySearchFunc(c.order, name, func(p *portPlan, name string) int { return cmp.Compare(p.name, name) })
	if !found {
		return -1 // reported by collectRouters
	}
	return at
}

func (c *compiler) compileUplink(o *Object, index int, u *api.Uplink) Uplink {
	path := fmt.Sprintf("spec.uplinks[%d]", index)
	up := Uplink{Port: c.portIndex(u.Port), Zone: c.m.Allocations.Zones[uplinkZone(u.Port)], Scope: c.scopes[o.Name]}
	for i, a := range u.Addresses {
		here := fmt.Sprintf("%s.addresses[%d]", path, i)
		switch addr := a.Addr(); {
		case slices.ContainsFunc(up.Addresses, func(b netip.Prefix) bool { return b.Addr() == addr }):
			c.fault(o, here, addr.String()+" is there twice", "")
		case addr.IsMulticast() || addr.IsUnspecified() || addr.IsLoopback() || a.Bits() == 0:
			c.fault(o, here, a.String()+" can't be a router's address", "")
		case addr.Is4() && a.Bits() < 31 && !hostOf(a):
			c.fault(o, here, addr.String()+" is the network's or the broadcast address of "+a.Masked().String(),
				"write the router's own address, with the length of the network's prefix")
		default:
			up.Addresses = append(up.Addresses, a)
		}
	}
	if up.Port >= 0 {
		up.MAC = macOf(c.order[up.Port].given)
		if up.MAC.IsZero() {
			var own []boundAddress
			for _, a := range up.Addresses {
				own = append(own, boundAddress{ip: a.Addr()})
			}
			up.MAC = macOf(own)
		}
	}
	add := func(gateway netip.Addr, path string) {
		on := func(p netip.Prefix) bool { return p.Contains(gateway) }
		own := func(p netip.Prefix) bool { return p.Addr() == gateway }
		family := func(g netip.Addr) bool { return g.BitLen() == gateway.BitLen() }
		switch {
		case slices.ContainsFunc(up.Addresses, own):
			c.fault(o, path, gateway.String()+" is the router's own address", "give the address of the next router")
		case !slices.ContainsFunc(up.Addresses, on) && !(gateway.Is6() && gateway.IsLinkLocalUnicast()):
			c.fault(o, path, gateway.String()+" is on no network of the uplink's addresses", "")
		case slices.ContainsFunc(up.Gateways, family):
			c.fault(o, path, "the uplink has two default gateways of one family", "give one for IPv4 and one for IPv6")
		default:
			up.Gateways = append(up.Gateways, gateway)
		}
	}
	if u.Gateway.IsValid() {
		add(u.Gateway, path+".gateway")
	}
	for i, g := range u.Gateways {
		add(g, fmt.Sprintf("%s.gateways[%d]", path, i))
	}
	return up
}

// hostOf reports whether p's address is one that a host may have.
func hostOf(p netip.Prefix) bool {
	return p.Addr() != p.Masked().Addr() && p.Contains(p.Addr().Next())
}

func (c *compiler) compileRoutes(o *Object, r *Router, spec *api.RouterSpec) {
	type identity struct {
		prefix netip.Prefix
		via    netip.Addr
	}
	first := map[identity]string{}
	for i, route := range spec.Routes {
		path := fmt.Sprintf("spec.routes[%d]", i)
		id := identity{route.Prefix, route.Via}
		if other, found := first[id]; found {
			c.fault(o, path, "the route to "+route.Prefix.String()+" is there twice", "also in "+other)
			continue
		}
		first[id] = path
		resolved := Route{Prefix: route.Prefix, Via: route.Via, Blackhole: route.Blackhole, Segment: -1, Uplink: -1}
		switch {
		case route.Via.IsValid() == route.Blackhole:
			c.fault(o, path, "a route has either via or blackhole: true", "")
		case route.Via.IsValid() && route.Via.BitLen() != route.Prefix.Addr().BitLen():
			c.fault(o, path+".via", route.Via.String()+" is not of the family of "+route.Prefix.String(), "")
		case route.Via.IsValid() && !c.nextHop(o, path+".via", r, &resolved):
		default:
			r.Routes = append(r.Routes, resolved)
		}
	}
	for i := range r.Uplinks {
		for _, g := range r.Uplinks[i].Gateways {
			all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if g.Is6() {
				all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			r.Routes = append(r.Routes, Route{Prefix: all, Via: g, Segment: -1, Uplink: i})
		}
	}
	slices.SortStableFunc(r.Routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
}

// nextHop finds the connected network that a route's via is on.
func (c *compiler) nextHop(o *Object, path string, r *Router, route *Route) bool {
	via := route.Via
	for i, u := range r.Uplinks {
		for _, a := range u.Addresses {
			if a.Addr() == via {
				c.fault(o, path, via.String()+" is the router's own address", "")
				return false
			}
			if a.Contains(via) {
				route.Uplink = i
				return true
			}
		}
	}
	for _, net := range r.Connected {
		if net.Gateway == via {
			c.fault(o, path, via.String()+" is the router's own address", "in segment "+c.slots[net.Segment].name)
			return false
		}
		if net.Prefix.Contains(via) {
			route.Segment = net.Segment
			return true
		}
	}
	if via.Is6() && via.IsLinkLocalUnicast() && len(r.Uplinks) == 1 {
		route.Uplink = 0 // a link-local address says nothing about the link; here there is one
		return true
	}
	c.fault(o, path, via.String()+" is on no network of router "+r.Name, "it must be in a subnet of its segments or an uplink's network")
	return false
}
