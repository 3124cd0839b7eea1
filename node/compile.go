package node

import (
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/route"
)

// What a model says, in the words of the data plane and the features. All is
// resolved and checked by then: this is translation only.

// timers are sessions' timers in seconds.
func timers(t *control.Timers) flowtable.Timers {
	seconds := func(d time.Duration) int64 { return int64(d / time.Second) }
	return flowtable.Timers{
		TCPFirstPacket: seconds(t.TCPFirstPacket), TCPOpening: seconds(t.TCPOpening),
		TCPEstablished: seconds(t.TCPEstablished), TCPClosing: seconds(t.TCPClosing),
		TCPFinWait: seconds(t.TCPFinWait), TCPClosed: seconds(t.TCPClosed),
		UDPFirstPacket: seconds(t.UDPFirstPacket), UDPSingle: seconds(t.UDPSingle), UDPMultiple: seconds(t.UDPMultiple),
		ICMPFirstPacket: seconds(t.ICMPFirstPacket), ICMPErrorReply: seconds(t.ICMPErrorReply),
	}
}

// sessionZone is one for all uplinks of a router: what leaves by one may be
// answered by another. Behind that to the node itself is nobody else.
func sessionZone(m *control.Model, p *control.Port) packet.Zone {
	if p.Uplink < 0 {
		return 0
	}
	uplinks := m.Routers[p.Router].Uplinks
	if own := &uplinks[p.Uplink]; own.Inside {
		return packet.Zone(own.Zone)
	}
	return packet.Zone(uplinks[0].Zone)
}

func attachment(m *control.Model, p *control.Port) dataplane.Attachment {
	a := dataplane.Attachment{OuterType: p.OuterEtherType}
	if p.Uplink >= 0 {
		a.Untagged = packet.Zone(m.Routers[p.Router].Uplinks[p.Uplink].Zone)
		return a
	}
	for _, t := range p.Attachments {
		zone := packet.Zone(m.Segments[t.Segment].Zone)
		switch {
		case t.Inner != 0:
			if a.Stacked == nil {
				a.Stacked = map[[2]uint16]packet.Zone{}
			}
			a.Stacked[[2]uint16{t.Outer, t.Inner}] = zone
		case t.Outer != 0:
			if a.Tagged == nil {
				a.Tagged = new([4096]packet.Zone)
			}
			a.Tagged[t.Outer] = zone
		default:
			a.Untagged = zone
		}
	}
	return a
}

// routeConfig is what layers 2 and 3 need.
func routeConfig(m *control.Model, opened []*openPort) *route.Config {
	c := &route.Config{
		GatewayMAC: packet.MAC(m.Node.GatewayMAC),
		Segments:   make([]route.Segment, 0, len(m.Segments)), Ports: make([]*route.Port, len(opened)),
		Links: make([]route.Link, len(opened)),
	}
	for i := range m.Segments {
		c.Segments = append(c.Segments, routeSegment(&m.Segments[i]))
	}
	for i, p := range opened {
		c.Ports[i] = p.parts.route
		c.Links[i] = route.Link{Up: p.caps.Up, Device: p.device}
	}
	proxied := proxiedByScope(m)
	for i := range m.Routers {
		r := routeRouter(m, &m.Routers[i], opened)
		r.Proxied = proxied[scopeOf(m, &m.Routers[i])]
		c.Routers = append(c.Routers, r)
	}
	return c
}

// proxiedByScope returns what the routers of each address space answer for, without having it.
func proxiedByScope(m *control.Model) map[uint32][]route.Proxied {
	if m.Services == nil {
		return nil
	}
	all := map[uint32][]route.Proxied{}
	for rest := m.Services.Addresses; len(rest) > 0; {
		n := 1 // of this scope, as they are sorted
		for n < len(rest) && rest[n].Scope == rest[0].Scope {
			n++
		}
		list := make([]route.Proxied, n)
		for i, a := range rest[:n] {
			list[i] = route.Proxied{Prefix: a.Prefix, Announce: a.Announced}
		}
		all[rest[0].Scope], rest = list, rest[n:]
	}
	return all
}

// scopeOf returns the address space of a router: that of all its uplinks and segments. 0: it has none.
func scopeOf(m *control.Model, r *control.Router) uint32 {
	switch {
	case len(r.Uplinks) > 0:
		return r.Uplinks[0].Scope
	case len(r.Connected) > 0:
		return m.Segments[r.Connected[0].Segment].Scope
	}
	return 0
}

func routeSegment(s *control.Segment) route.Segment {
	out := route.Segment{
		Name: s.Name, Zone: packet.Zone(s.Zone), MTU: s.MTU, Router: s.Router, Learning: learning(&s.MACLearning),
		FloodUnknown: s.UnknownUnicastFlooding, Suppress: s.NeighborSuppression, Proxied: serverAddresses(s),
	}
	for _, n := range s.Subnets {
		out.Subnets = append(out.Subnets, route.Subnet{Prefix: n.Prefix, Gateway: n.Gateway})
	}
	return out
}

func learning(l *control.MACLearning) route.Learning {
	return route.Learning{
		Enabled: l.Enabled, Limit: l.Limit, Drop: l.DropOver, AgingNs: int64(l.Aging),
		MoveLimit: l.MoveLimit, MoveWindowNs: int64(l.MoveWindow),
	}
}

func security(s *control.Security) route.Security {
	out := route.Security{
		ForwardReserved: !s.BPDUFilter,
		BlockDHCPServer: s.DHCPServerBlock, BlockDHCPClient: s.DHCPClientBlock,
		BlockDHCPServer6: s.DHCPServerBlockV6, BlockDHCPClient6: s.DHCPClientBlockV6,
		BlockRouterAdvertisements: s.RAGuard, BlockNonIP: s.NonIPTrafficBlock,
	}
	for _, mac := range s.BPDUFilterAllow {
		out.AllowReserved = append(out.AllowReserved, packet.MAC(mac))
	}
	return out
}

// routePort is a port in layers 2 and 3; mtu is what holds for it.
func routePort(m *control.Model, p *control.Port, mtu int, unknown *dataplane.Limiter) *route.Port {
	out := &route.Port{
		Number: p.Number, Name: p.Name, Guard: p.Guard, MTU: mtu, RxUnknown: unknown,
	}
	if p.Uplink >= 0 {
		zone := packet.Zone(m.Routers[p.Router].Uplinks[p.Uplink].Zone)
		out.Zones = []route.Attachment{{Zone: zone, Security: security(&p.Security)}}
	}
	for i := range p.Memberships {
		of := &p.Memberships[i]
		own := learning(&of.MACLearning)
		out.Zones = append(out.Zones, route.Attachment{
			Zone: packet.Zone(m.Segments[of.Segment].Zone), Tags: tagsToward(p, of.Segment),
			Learning: &own, FloodUnknown: &of.UnknownUnicastFlooding, Security: security(&of.Security),
		})
	}
	for _, a := range p.Addresses {
		out.Addresses = append(out.Addresses, route.Address{MAC: packet.MAC(a.MAC), IP: a.IP})
	}
	return out
}

func routeRouter(m *control.Model, r *control.Router, opened []*openPort) route.Router {
	out := route.Router{Name: r.Name}
	for _, u := range r.Uplinks {
		p := m.Ports[u.Port]
		out.Uplinks = append(out.Uplinks, route.Uplink{
			Port: p.Number, Zone: packet.Zone(u.Zone), MAC: packet.MAC(u.MAC), Addresses: u.Addresses, MTU: opened[u.Port].mtu(),
		})
	}
	// The uplinks' gateways are among the routes.
	for _, s := range r.Routes {
		x := route.Static{Prefix: s.Prefix, Via: s.Via, Blackhole: s.Blackhole}
		switch {
		case s.Segment >= 0:
			x.Zone = packet.Zone(m.Segments[s.Segment].Zone)
		case s.Uplink >= 0:
			x.Zone = packet.Zone(r.Uplinks[s.Uplink].Zone)
		}
		out.Routes = append(out.Routes, x)
	}
	return out
}

// sameDevice reports whether a port can keep its open device.
func sameDevice(a, b *control.Port) bool { return a.Device == b.Device }
