package route

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

func TestRoutes(t *testing.T) {
	c := routedNetwork()
	c.Segments[0].Proxied = []netip.Prefix{netip.MustParsePrefix("10.0.1.128/28")}
	second := c.Routers[0].Uplinks[0]
	second.Port, second.Zone, second.Gateway = 8, 4, netip.MustParseAddr("198.51.100.254")
	second.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/31")}
	c.Routers[0].Uplinks = append(c.Routers[0].Uplinks, second)
	n := newTestbed(t, c)
	const (
		web, app, up  = "segment web", "segment app", "router default: uplink 0"
		second0, none = "router default: uplink 1", ""
	)
	require.Equal(t, []Route{
		{"0.0.0.0/0", "192.0.2.254", up, "via"}, // the first uplink's
		{"10.0.1.0/24", none, web, "connected"},
		{"10.0.1.0/32", none, none, "broadcast"},
		{"10.0.1.1/32", none, none, "local"},
		{"10.0.1.128/28", none, none, "proxied"},
		{"10.0.1.255/32", none, none, "broadcast"},
		{"10.0.2.0/24", none, app, "connected"},
		{"10.0.2.0/32", none, none, "broadcast"},
		{"10.0.2.1/32", none, none, "local"},
		{"10.0.2.255/32", none, none, "broadcast"},
		{"10.9.0.0/16", "10.0.2.10", app, "via"},
		{"10.9.9.0/24", none, none, "blackhole"},
		{"192.0.2.0/24", none, up, "connected"},
		{"192.0.2.0/32", none, none, "broadcast"},
		{"192.0.2.1/32", none, none, "local"},
		{"192.0.2.255/32", none, none, "broadcast"},
		{"198.51.100.0/31", none, second0, "connected"}, // no broadcast address: RFC 3021
		{"198.51.100.1/32", none, none, "local"},
		{"::/0", "2001:db8::fe", up, "via"},
		{"2001:db8::/64", none, up, "connected"},
		{"2001:db8::1/128", none, none, "local"},
		{"fd00:1::/64", none, web, "connected"},
		{"fd00:1::1/128", none, none, "local"},
		{"fd00:2::/64", none, app, "connected"},
		{"fd00:2::1/128", none, none, "local"},
	}, n.fwd.Routes(0))
}

func TestCompileRouterFaults(t *testing.T) {
	prefix, ip := netip.MustParsePrefix, netip.MustParseAddr
	route := func(s Static) func(c *Config) {
		return func(c *Config) { c.Routers[0].Routes = []Static{s} }
	}
	subnet := func(s Subnet) func(c *Config) {
		return func(c *Config) { c.Segments[0].Subnets = append(c.Segments[0].Subnets, s) }
	}
	for _, row := range []struct {
		why    string
		change func(c *Config)
		want   string
	}{
		{"a route needs a way", route(Static{Prefix: prefix("10.8.0.0/16")}), "router default: route 10.8.0.0/16: has no next hop"},
		{"a next hop must be near", route(Static{Prefix: prefix("10.8.0.0/16"), Via: ip("10.7.0.1")}), "next hop 10.7.0.1 is on none of the router's networks"},
		{"and somebody else", route(Static{Prefix: prefix("10.8.0.0/16"), Via: ip("10.0.1.1")}), "next hop 10.0.1.1 is the router itself"},
		{"also by its link-local address", route(Static{Prefix: prefix("2001:db8::/32"), Via: packet.LinkLocal(gatewayMAC).Netip(), Zone: 1}), "is the router itself"},
		{"which does not say where it is", route(Static{Prefix: prefix("2001:db8::/32"), Via: ip("fe80::1")}), "next hop fe80::1 is on none of the router's networks"},
		{"and speak the same language", route(Static{Prefix: prefix("10.8.0.0/16"), Via: ip("fd00:1::5")}), "next hop fd00:1::5 is of the other IP version"},
		{"a route is to a network", route(Static{Via: ip("10.0.1.5")}), "is not a network"},
		{"a network is on one segment", subnet(Subnet{prefix("10.0.2.0/24"), ip("10.0.2.2")}), "router default: network 10.0.2.0/24 is that of segment web and of segment app"},
		{"an address is in one segment", subnet(Subnet{prefix("10.0.2.0/25"), ip("10.0.2.1")}), "router default: 10.0.2.1 is the router's address in another segment too: segment app"},
		{"a gateway speaks its network's IP version", subnet(Subnet{prefix("10.0.3.0/24"), ip("fd00::1")}), "segment web: fd00::1 cannot be the router's address in 10.0.3.0/24"},
		{"and is a host", subnet(Subnet{prefix("224.0.0.0/24"), ip("224.0.0.1")}), "segment web: 224.0.0.1 cannot be the router's address in 224.0.0.0/24"},
		{"a subnet is a network", subnet(Subnet{Gateway: ip("10.0.3.1")}), "segment web: invalid Prefix is not a network"},
	} {
		t.Run(row.why, func(t *testing.T) {
			hops := dataplane.NewHopTable(64)
			state, err := NewState(StateConfig{Hops: hops, Ports: testbedPorts, MACs: 16, Neighbors: 16})
			require.NoError(t, err)
			defer func() { require.NoError(t, state.Close()) }()
			c := routedNetwork()
			row.change(&c)
			_, err = Compile(&c, state)
			require.ErrorContains(t, err, row.want)
			used, _ := hops.Used()
			require.Zero(t, used, "what was begun is given back")
		})
	}
}

// TestCompileKeepsRoutedHops: flows need not be asked about hops that stay what
// they are, and those that nothing refers to are given back.
func TestCompileKeepsRoutedHops(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	before := []map[packet.Addr]hopRef{n.fwd.segmentOf(1).gates, n.fwd.segmentOf(2).gates}
	used, _ := n.engine.Hops().Used()
	n.apply(routedNetwork())
	require.Equal(t, before, []map[packet.Addr]hopRef{n.fwd.segmentOf(1).gates, n.fwd.segmentOf(2).gates})
	c := routedNetwork()
	c.Ports[2].MTU = 1300
	n.apply(c)
	ip := packet.AddrFrom(netip.MustParseAddr("10.0.2.10"))
	require.NotEqual(t, before[1][ip], n.fwd.segmentOf(2).gates[ip])
	again, _ := n.engine.Hops().Used()
	require.Equal(t, used, again)
}

// TestUnnumbered: a segment without an IPv4 address speaks with another of the router's.
func TestUnnumbered(t *testing.T) {
	c := routedNetwork()
	c.Segments[0].Subnets = c.Segments[0].Subnets[1:]
	newTestbed(t, c).run([]step{
		{
			why:  "IPv4 takes the router's first address",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1" + fromWeb,
			want: []string{"1 icmp 10.0.2.1 > 10.0.1.10 ttl-exceeded tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1 }" + toWeb},
			drop: packet.TTLExceeded,
		},
	})
	c.Segments[0].Subnets = nil
	newTestbed(t, c).run([]step{
		{
			why:  "IPv6 its link-local one",
			in:   "1 udp [fd00:1::a]:1 > [fd00:2::a]:2 ttl 1" + fromWeb,
			want: []string{"1 icmp6 fe80::50:56ff:fe56:4452 > fd00:1::a ttl-exceeded quote { udp [fd00:1::a]:1 > [fd00:2::a]:2 ttl 1 }" + toWeb},
			drop: packet.TTLExceeded,
		},
	})
}
