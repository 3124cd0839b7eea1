package node

import (
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/packet"
)

// servicesConfig is what services and NAT need of a model.
func servicesConfig(m *control.Model) *lb.Config {
	c := &lb.Config{Services: m.Services, Zones: make([]lb.Zone, 0, len(m.Segments))}
	for i := range m.Segments {
		s := &m.Segments[i]
		z := lb.Zone{Zone: packet.Zone(s.Zone), Scope: s.Scope}
		if s.Router >= 0 {
			z.MAC = packet.MAC(m.Node.GatewayMAC)
			for _, n := range s.Subnets {
				z.AddOwn(packet.AddrFrom(n.Gateway))
			}
		}
		c.Zones = append(c.Zones, z)
	}
	for i := range m.Routers {
		for j := range m.Routers[i].Uplinks {
			u := &m.Routers[i].Uplinks[j]
			z := lb.Zone{Zone: packet.Zone(u.Zone), Scope: u.Scope, MAC: packet.MAC(u.MAC), Uplink: true, Inside: u.Inside}
			for _, a := range u.Addresses {
				z.AddOwn(packet.AddrFrom(a.Addr()))
			}
			c.Zones = append(c.Zones, z)
		}
	}
	return c
}
