package control

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

const dualStack = `
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: s}
spec:
  subnets: [{cidr: 10.0.0.0/24}, {cidr: "fd00::/64"}, {cidr: 10.0.1.0/24, gateway: 10.0.1.254}]
  dhcp: {enabled: true, dnsNameservers: [192.0.2.53, "2001:db8::53"], domainName: example.org, ntpServers: [192.0.2.123, "2001:db8::123"], routes: [{prefix: 192.168.0.0/16, via: 10.0.0.9}]}
  routerAdvertisement: {mode: SLAAC, intervalSeconds: 60}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a}
spec: {segment: s, addresses: [{ip: 10.0.0.2}, {ip: "fd00::858:aff:fe00:3", mac: 02:00:00:00:00:01}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: b}
spec: {segment: s, addresses: [{ip: 10.0.0.3}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: c}
spec: {segment: s, guard: false, addresses: [{ip: 10.0.0.4}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: pod, namespace: n, annotations: {sluice.dev/segment: s}}, status: {podIP: 10.0.0.5}}
`

func TestDHCPOfASegment(t *testing.T) {
	ip := netip.MustParseAddr
	m := compile(t, Input{Objects: objects(t, dualStack)})
	s := segment(t, m, "s")
	require.Equal(t, &DHCP{
		Subnets: []DHCPSubnet{
			{netip.MustParsePrefix("10.0.0.0/24"), ip("10.0.0.1"), ip("10.0.0.1")},
			{netip.MustParsePrefix("10.0.1.0/24"), ip("10.0.1.254"), ip("10.0.1.254")},
		},
		Lease: 24 * time.Hour, DNSNameservers: []netip.Addr{ip("192.0.2.53")}, DomainName: "example.org",
		NTPServers: []netip.Addr{ip("192.0.2.123")},
		Routes:     []DHCPRoute{{netip.MustParsePrefix("192.168.0.0/16"), ip("10.0.0.9")}},
	}, s.DHCP, "IPv4 clients are told of IPv4")
	require.Equal(t, &RouterAdvertisement{
		Mode: api.RASLAAC, Interval: time.Minute, Lifetime: 3 * time.Minute,
		PreferredLifetime: 7 * 24 * time.Hour, ValidLifetime: 30 * 24 * time.Hour,
		DNSNameservers: []netip.Addr{ip("2001:db8::53")}, SearchDomains: []string{"example.org"},
		NTPServers: []netip.Addr{ip("2001:db8::123")}, Lease: 24 * time.Hour,
	}, s.RouterAdvertisement, "IPv6 hosts are told the rest of spec.dhcp")
	require.Equal(t, []string{"10.0.0.2 02:00:00:00:00:01", "fd00::858:aff:fe00:3 02:00:00:00:00:01", "fd00::ff:fe00:1 02:00:00:00:00:01"},
		addresses(port(t, m, "a")), "what a guarded host makes of its MAC is bound")
	require.Equal(t, []string{"10.0.0.3 0a:58:0a:00:00:03"}, addresses(port(t, m, "b")), "unless another has it already")
	require.Equal(t, []string{"10.0.0.4 0a:58:0a:00:00:04"}, addresses(port(t, m, "c")), "without a guard there is no need")
	require.Equal(t, []string{"10.0.0.5 0a:58:0a:00:00:05", "fd00::858:aff:fe00:5 0a:58:0a:00:00:05"}, addresses(port(t, m, "n/pod")))
	require.Equal(t, []netip.Addr{ip("10.0.0.5")}, m.Allocations.Addresses["n/pod"], "a host's own making is not allocated")
}

func TestDHCPDefaults(t *testing.T) {
	ip := netip.MustParseAddr
	seg := func(spec string) Segment {
		const pool = `
---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: p}, spec: {usage: segments, cidr: 10.9.0.0/16, dnsNameservers: [10.9.0.53, "fd09::53"], dnsSuffix: pool.example.org}}
---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: v}, spec: {usage: vips, cidr: 10.8.0.0/16, dnsNameservers: [10.8.0.53]}}`
		m := compile(t, Input{Objects: objects(t, "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: s}, spec: "+spec+"}"+pool)})
		return segment(t, m, "s")
	}
	s := seg("{subnets: [{cidr: 10.9.1.0/24}]}")
	require.Nil(t, s.DHCP, "DHCP has to be asked for")
	require.Nil(t, s.RouterAdvertisement, "and so have router advertisements")

	s = seg("{subnets: [{cidr: 10.9.1.0/24}], dhcp: {enabled: true}}")
	require.Equal(t, []netip.Addr{ip("10.9.0.53")}, s.DHCP.DNSNameservers, "DNS comes from the pool that the subnet lies in")
	require.Equal(t, "pool.example.org", s.DHCP.DomainName)

	s = seg("{subnets: [{cidr: 10.9.1.0/24}], dhcp: {enabled: true, dnsNameservers: [], domainName: own.example.org}}")
	require.Empty(t, s.DHCP.DNSNameservers, "unless the segment has its own, be it none")
	require.Equal(t, "own.example.org", s.DHCP.DomainName)

	s = seg("{subnets: [{cidr: 10.8.1.0/24}], dhcp: {enabled: true}}")
	require.Empty(t, s.DHCP.DNSNameservers, "a pool of VIPs is not where workloads are")

	s = seg("{router: none, subnets: [{cidr: 10.9.1.0/24}, {cidr: 10.9.2.0/24, gateway: 10.9.2.1}, {cidr: 'fd00::/64'}], dhcp: {enabled: true}, routerAdvertisement: {mode: STATELESS_DHCP, searchDomains: [x.org], dnsNameservers: ['fd00::5']}}")
	require.Equal(t, []DHCPSubnet{
		{netip.MustParsePrefix("10.9.1.0/24"), ip("10.9.1.1"), netip.Addr{}},
		{netip.MustParsePrefix("10.9.2.0/24"), ip("10.9.2.1"), ip("10.9.2.1")},
	}, s.DHCP.Subnets, "without a router, the gateway is one only if somebody has written it")
	require.Zero(t, s.RouterAdvertisement.Lifetime, "and there is no default router for IPv6")
	require.Equal(t, []string{"x.org"}, s.RouterAdvertisement.SearchDomains)
	require.Equal(t, []netip.Addr{ip("fd00::5")}, s.RouterAdvertisement.DNSNameservers)

	s = seg("{subnets: [{cidr: 'fd00::/80'}], routerAdvertisement: {mode: STATEFUL_DHCP, intervalSeconds: 1800, lifetimeSeconds: 0}}")
	require.Zero(t, s.RouterAdvertisement.Lifetime, "0 is a lifetime that is given")
	s = seg("{subnets: [{cidr: 'fd00::/80'}], routerAdvertisement: {mode: STATEFUL_DHCP, intervalSeconds: 1800}}")
	require.Equal(t, 5400*time.Second, s.RouterAdvertisement.Lifetime)
}
