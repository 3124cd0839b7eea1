package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/packet"
)

// resolveDHCP fills in what DHCP and router advertisements say on a segment.
func (c *compiler) resolveDHCP(s *segmentPlan, seg *Segment) {
	spec := s.spec.DHCP // as defaults go on, not what is written
	c.poolDNS(s, &spec)
	c.checkDHCP(s, &spec)
	if spec.Enabled {
		seg.DHCP = c.resolveDHCP4(s, &spec)
	}
	if s.spec.RouterAdvertisement.Mode != api.RANone {
		seg.RouterAdvertisement = c.resolveRA(s, seg, &spec)
	}
}

// poolDNS takes the nameservers and the domain of the pool that a subnet lies
// in where the segment names none.
func (c *compiler) poolDNS(s *segmentPlan, spec *api.SegmentDHCP) {
	for _, subnet := range s.subnets {
		for _, p := range c.pools {
			if p.object == nil || p.usage != api.UsageSegments || !p.cidr.IsValid() || !p.cidr.Contains(subnet.Prefix.Addr()) {
				continue
			}
			pool := &p.object.Value.(*api.IPPool).Spec
			if s.spec.DHCP.DNSNameservers == nil {
				for _, a := range pool.DNSNameservers {
					if !slices.Contains(spec.DNSNameservers, a) && isHost(a) {
						spec.DNSNameservers = append(spec.DNSNameservers, a)
					}
				}
			}
			if spec.DomainName == "" && domainFault(pool.DNSSuffix) == "" {
				spec.DomainName = pool.DNSSuffix
			}
		}
	}
}

// checkDHCP checks the values of spec.dhcp, each by itself.
func (c *compiler) checkDHCP(s *segmentPlan, spec *api.SegmentDHCP) {
	const path = "spec.dhcp."
	c.checkHosts(s, path+"dnsNameservers", s.spec.DHCP.DNSNameservers)
	c.checkHosts(s, path+"ntpServers", spec.NTPServers)
	if spec.DomainName != "" {
		if wrong := domainFault(spec.DomainName); wrong != "" {
			c.fault(s.object, path+"domainName", wrong, "a name is like example.org")
		}
	}
	c.checkDomains(s, path+"searchDomains", spec.SearchDomains)
	seen := map[netip.Prefix]bool{}
	for i, r := range spec.Routes {
		here := fmt.Sprintf("%sroutes[%d]", path, i)
		switch {
		case !r.Prefix.Addr().Is4():
			c.fault(s.object, here+".prefix", r.Prefix.String()+" is not IPv4", "DHCPv4 alone has routes")
		case seen[r.Prefix]:
			c.fault(s.object, here+".prefix", r.Prefix.String()+" is there twice", "")
		case !slices.ContainsFunc(s.subnets, func(n Subnet) bool { return n.Prefix.Contains(r.Via) }) || !r.Via.Is4():
			c.fault(s.object, here+".via", r.Via.String()+" is in no IPv4 subnet of the segment", "a host can only send to a router on its own subnet")
		}
		seen[r.Prefix] = true
	}
	if a := spec.NextServer; a.IsValid() && (!a.Is4() || !isHost(a)) {
		c.fault(s.object, path+"nextServer", a.String()+" is no host's IPv4 address", "")
	}
	const longest = 127 // the field has 128 bytes and ends with a zero
	if n := len(spec.BootFileName); n > longest {
		c.fault(s.object, path+"bootFileName", fmt.Sprintf("has %d bytes", n), fmt.Sprintf("at most %d are allowed", longest))
	} else if strings.ContainsFunc(spec.BootFileName, func(r rune) bool { return r <= ' ' || r > '~' }) {
		c.fault(s.object, path+"bootFileName", fmt.Sprintf("%q is not printable ASCII without blanks", clip(spec.BootFileName)), "")
	}
}

// resolveDHCP4 makes what DHCPv4 clients are told.
func (c *compiler) resolveDHCP4(s *segmentPlan, spec *api.SegmentDHCP) *DHCP {
	d := &DHCP{
		Lease:          time.Duration(spec.LeaseSeconds) * second,
		DNSNameservers: ofFamily(spec.DNSNameservers, 32), NTPServers: ofFamily(spec.NTPServers, 32),
		DomainName: spec.DomainName, SearchDomains: spec.SearchDomains,
		NextServer: spec.NextServer, BootFileName: spec.BootFileName,
	}
	for _, r := range spec.Routes {
		d.Routes = append(d.Routes, DHCPRoute(r))
	}
	for i, subnet := range s.subnets {
		if !subnet.Prefix.Addr().Is4() {
			continue
		}
		n := DHCPSubnet{Prefix: subnet.Prefix, Server: subnet.Gateway}
		written := i < len(s.spec.Subnets) && s.spec.Subnets[i].Gateway.IsValid()
		if s.spec.Router != api.RouterNone || written {
			n.Router = subnet.Gateway
		}
		d.Subnets = append(d.Subnets, n)
	}
	if len(d.Subnets) == 0 {
		c.fault(s.object, "spec.dhcp.enabled", "the segment has no IPv4 subnet to hand addresses out of",
			"add one to spec.subnets; IPv6 has spec.routerAdvertisement")
	}
	if s.spec.RouterAdvertisement.Mode == api.RANone {
		c.checkTold(s, "dnsNameservers", s.spec.DHCP.DNSNameservers)
		c.checkTold(s, "ntpServers", spec.NTPServers)
	}
	return d
}

// checkTold refuses IPv6 addresses that nobody would be told of.
func (c *compiler) checkTold(s *segmentPlan, field string, list []netip.Addr) {
	for i, a := range list {
		if a.Is6() && isHost(a) {
			c.fault(s.object, fmt.Sprintf("spec.dhcp.%s[%d]", field, i), a.String()+" is told to nobody: DHCPv4 has no IPv6 addresses",
				"set spec.routerAdvertisement.mode, or remove it")
		}
	}
}

// maxAdvertised is how many prefixes an advertisement has room for beside the
// longest lists of nameservers and domains, in the 1280 bytes of any link.
const maxAdvertised = 24

// resolveRA makes what router advertisements and DHCPv6 tell.
func (c *compiler) resolveRA(s *segmentPlan, seg *Segment, dhcp *api.SegmentDHCP) *RouterAdvertisement {
	const path = "spec.routerAdvertisement."
	spec := &s.spec.RouterAdvertisement
	a := &RouterAdvertisement{
		Mode: spec.Mode, Interval: time.Duration(spec.IntervalSeconds) * second,
		PreferredLifetime: time.Duration(spec.PreferredLifetimeSeconds) * second,
		ValidLifetime:     time.Duration(spec.ValidLifetimeSeconds) * second,
		DNSNameservers:    spec.DNSNameservers, SearchDomains: spec.SearchDomains,
		NTPServers: ofFamily(dhcp.NTPServers, 128), Lease: time.Duration(dhcp.LeaseSeconds) * second,
	}
	if spec.DNSNameservers == nil {
		a.DNSNameservers = ofFamily(dhcp.DNSNameservers, 128)
	}
	if spec.SearchDomains == nil {
		a.SearchDomains = dhcp.SearchDomains
		if a.SearchDomains == nil && dhcp.DomainName != "" {
			a.SearchDomains = []string{dhcp.DomainName}
		}
	}
	c.checkPrefixes(s, a)
	const longestLifetime = 9000
	switch {
	case spec.LifetimeSeconds == nil && seg.Router < 0:
	case spec.LifetimeSeconds == nil:
		a.Lifetime = min(3*a.Interval, longestLifetime*second)
	default:
		a.Lifetime = time.Duration(*spec.LifetimeSeconds) * second
		if s.spec.Router == api.RouterNone && a.Lifetime != 0 {
			c.fault(s.object, path+"lifetimeSeconds", fmt.Sprintf("%d makes hosts use a router that the segment does not have", *spec.LifetimeSeconds),
				"leave it out, or attach the segment to a router")
		} else if a.Lifetime != 0 && a.Lifetime < a.Interval {
			c.fault(s.object, path+"lifetimeSeconds", fmt.Sprintf("%d is over before the next advertisement", *spec.LifetimeSeconds),
				fmt.Sprintf("at least intervalSeconds, %d, or 0", spec.IntervalSeconds))
		}
	}
	if a.PreferredLifetime > a.ValidLifetime {
		c.fault(s.object, path+"preferredLifetimeSeconds", fmt.Sprintf("%d is longer than validLifetimeSeconds, %d", spec.PreferredLifetimeSeconds, spec.ValidLifetimeSeconds), "")
	}
	c.checkHosts(s, path+"dnsNameservers", spec.DNSNameservers)
	for i, ip := range spec.DNSNameservers {
		if ip.Is4() {
			c.fault(s.object, fmt.Sprintf("%sdnsNameservers[%d]", path, i), ip.String()+" is not IPv6", "IPv4 nameservers belong to spec.dhcp")
		}
	}
	c.checkDomains(s, path+"searchDomains", spec.SearchDomains)
	return a
}

// checkPrefixes holds the subnets against what the mode needs.
func (c *compiler) checkPrefixes(s *segmentPlan, a *RouterAdvertisement) {
	n := 0
	for i, subnet := range s.subnets {
		if subnet.Prefix.Addr().Is4() {
			continue
		}
		n++
		if a.Autoconfigured() && subnet.Prefix.Bits() != 64 {
			c.fault(s.object, fmt.Sprintf("spec.subnets[%d].cidr", i), fmt.Sprintf("%s is no /64, from which hosts could make addresses", subnet.Prefix),
				"RFC 4862 section 5.5.3; or set spec.routerAdvertisement.mode to "+string(api.RAStatefulDHCP))
		}
	}
	switch {
	case n == 0:
		c.fault(s.object, "spec.routerAdvertisement.mode", string(a.Mode)+" needs an IPv6 subnet to advertise", "add one to spec.subnets")
	case n > maxAdvertised:
		c.fault(s.object, "spec.subnets", fmt.Sprintf("%d IPv6 subnets do not fit into an advertisement", n), fmt.Sprintf("at most %d do", maxAdvertised))
	}
}

// checkHosts checks addresses of servers.
func (c *compiler) checkHosts(s *segmentPlan, path string, list []netip.Addr) {
	for i, a := range list {
		if !isHost(a) {
			c.fault(s.object, fmt.Sprintf("%s[%d]", path, i), a.String()+" is no host's address", "")
		} else if slices.Contains(list[:i], a) {
			c.fault(s.object, fmt.Sprintf("%s[%d]", path, i), a.String()+" is there twice", "")
		}
	}
}

// isHost reports whether a server may have the address.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// maxDomains is what a DHCPv4 option holds.
const maxDomains = 255

func (c *compiler) checkDomains(s *segmentPlan, path string, list []string) {
	size := 0
	for i, name := range list {
		if wrong := domainFault(name); wrong != "" {
			c.fault(s.object, fmt.Sprintf("%s[%d]", path, i), wrong, "a name is like example.org")
		}
		size += len(name) + 2
	}
	if size > maxDomains {
		c.fault(s.object, path, fmt.Sprintf("has %d bytes in all", size), fmt.Sprintf("at most %d fit, two more than each name's length", maxDomains))
	}
}

// domainFault says what is wrong with a domain name (RFC 1123 section 2.1;
// underscores are in use), nothing if it is right.
func domainFault(name string) string {
	const longest, longestLabel = 253, 63
	if name == "" || len(name) > longest {
		return fmt.Sprintf("a domain name has 1 to %d bytes, not %d", longest, len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > longestLabel || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInLabel) {
			return fmt.Sprintf("%q is no domain name", clip(name))
		}
	}
	return ""
}

func notInLabel(r rune) bool {
	return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
}

// ofFamily returns the addresses of bitLen bits.
func ofFamily(list []netip.Addr, bitLen int) (of []netip.Addr) {
	for _, a := range list {
		if a.BitLen() == bitLen {
			of = append(of, a)
		}
	}
	return of
}

// bindAutoconfigured binds to guarded ports the addresses that hosts make of
// their MACs where they are told to, so that the guard lets them pass. One that
// is another port's stays that port's.
func (c *compiler) bindAutoconfigured() {
	for _, s := range c.segmentOrder {
		if !s.resolved.RouterAdvertisement.Autoconfigured() {
			s.book.autoOf = nil
		} else if s.book.renewed || s.book.autoOf != s.resolved {
			s.book.autoOf = s.resolved
			s.autoconfigure()
		}
	}
}

func (s *segmentPlan) autoconfigure() {
	taken := map[netip.Addr]bool{}
	for _, p := range s.members {
		var auto []Address
		seen := map[api.MAC]bool{}
		for _, a := range p.bound() {
			if seen[a.mac] || !p.guarded() {
				continue
			}
			seen[a.mac] = true
			for _, subnet := range s.subnets {
				if subnet.Prefix.Addr().Is4() || subnet.Prefix.Bits() != 64 {
					continue
				}
				ip := packet.EUI64(packet.AddrFrom(subnet.Prefix.Addr()), packet.MAC(a.mac)).Netip()
				if s.book.byIP[ip] == nil && !taken[ip] && ip != subnet.Gateway {
					taken[ip] = true
					auto = append(auto, Address{ip, a.mac})
				}
			}
		}
		if !slices.Equal(auto, p.auto) {
			p.auto, p.stale = auto, true
		}
	}
}
