package node

import (
	"net/netip"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dhcp"
	"github.com/sluice-net/sluice/packet"
)

// DHCP returns the counts of what workloads have asked and been told.
func (n *Node) DHCP() dhcp.Stats { return n.dhcp.Stats() }

// dhcpConfig is what DHCP and router advertisements need of a model.
func dhcpConfig(m *control.Model, opened []*openPort) *dhcp.Config {
	c := &dhcp.Config{
		GatewayMAC: packet.MAC(m.Node.GatewayMAC),
		Segments:   make([]dhcp.Segment, 0, len(m.Segments)), Ports: make([]*dhcp.Port, 0, len(opened)),
	}
	for i := range m.Segments {
		c.Segments = append(c.Segments, dhcpSegment(&m.Segments[i]))
	}
	for _, p := range opened {
		if p.parts.dhcp != nil {
			c.Ports = append(c.Ports, p.parts.dhcp)
		}
	}
	return c
}

func dhcpSegment(s *control.Segment) dhcp.Segment {
	out := dhcp.Segment{Name: s.Name, Zone: packet.Zone(s.Zone), MTU: s.MTU}
	if d := s.DHCP; d != nil {
		out.DHCP = &dhcp.DHCP{
			Lease: d.Lease, DNS: d.DNSNameservers, NTP: d.NTPServers, Domain: d.DomainName, Search: d.SearchDomains,
			NextServer: d.NextServer, BootFile: d.BootFileName,
		}
		for _, n := range d.Subnets {
			out.DHCP.Subnets = append(out.DHCP.Subnets, dhcp.Subnet(n))
		}
		for _, r := range d.Routes {
			out.DHCP.Routes = append(out.DHCP.Routes, dhcp.Route(r))
		}
	}
	if a := s.RouterAdvertisement; a != nil {
		out.Advertisement = &dhcp.Advertisement{
			Autonomous: a.Autoconfigured(),
			Stateless:  a.Mode == api.RAStatelessDHCP, Stateful: a.Mode == api.RAStatefulDHCP,
			Interval: a.Interval, Lifetime: a.Lifetime, Preferred: a.PreferredLifetime, Valid: a.ValidLifetime,
			Lease: a.Lease, DNS: a.DNSNameservers, NTP: a.NTPServers, Search: a.SearchDomains,
		}
		for _, n := range s.Subnets {
			if n.Prefix.Addr().Is6() {
				out.Advertisement.Prefixes = append(out.Advertisement.Prefixes, n.Prefix)
			}
		}
	}
	return out
}

func dhcpPort(m *control.Model, p *control.Port) *dhcp.Port {
	out := &dhcp.Port{Number: p.Number, Host: p.Name[strings.LastIndexByte(p.Name, '/')+1:], MTU: p.MTU}
	for i := range p.Memberships {
		at := p.Memberships[i].Segment
		out.Zones = append(out.Zones, dhcp.Attachment{Zone: packet.Zone(m.Segments[at].Zone), Tags: tagsToward(p, at)})
	}
	if p.Segment >= 0 {
		out.Zone = packet.Zone(m.Segments[p.Segment].Zone)
	}
	for _, a := range p.Addresses {
		out.Addresses = append(out.Addresses, dhcp.Address{MAC: packet.MAC(a.MAC), IP: a.IP})
	}
	return out
}

// tagsToward are what frames toward a segment leave a port with: the tags of its first
// attachment.
func tagsToward(p *control.Port, segment int) dataplane.Tags {
	for _, a := range p.Attachments {
		if a.Segment == segment {
			return dataplane.Tags{Outer: a.Outer, Inner: a.Inner}
		}
	}
	return dataplane.Tags{}
}

// serverAddresses are those of a segment's DHCP server that nobody else has:
// without a router, and without a gateway that somebody has written, whoever
// renews an address finds the server by them.
func serverAddresses(s *control.Segment) (list []netip.Prefix) {
	if s.DHCP == nil || s.Router >= 0 {
		return nil
	}
	for _, n := range s.DHCP.Subnets {
		if !n.Router.IsValid() {
			list = append(list, netip.PrefixFrom(n.Server, n.Server.BitLen()))
		}
	}
	return list
}
