package route

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

func TestRouting(t *testing.T) {
	newTestbed(t, routedNetwork()).run([]step{
		{
			why:  "between segments both MAC addresses are replaced and a hop is counted",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2" + fromWeb,
			want: []string{"3 udp 10.0.1.10:1 > 10.0.2.10:2 ttl 63" + toApp},
		},
		{
			why:  "the answer finds the session from the other segment",
			in:   "3 udp 10.0.2.10:2 > 10.0.1.10:1" + fromApp,
			want: []string{"1 udp 10.0.2.10:2 > 10.0.1.10:1 ttl 63" + toWeb},
		},
		{
			why:  "the second packet goes by the flow entry the same way",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 len 20" + fromWeb,
			want: []string{"3 udp 10.0.1.10:1 > 10.0.2.10:2 len 20 ttl 63" + toApp},
		},
		{
			why:  "IPv6 alike",
			in:   "1 tcp [fd00:1::a]:1 > [fd00:2::a]:80 S" + fromWeb,
			want: []string{"3 tcp [fd00:1::a]:1 > [fd00:2::a]:80 S ttl 63" + toApp},
		},
		{
			why:  "a static route leads to its next hop",
			in:   "1 udp 10.0.1.10:1 > 10.9.1.1:2" + fromWeb,
			want: []string{"3 udp 10.0.1.10:1 > 10.9.1.1:2 ttl 63" + toApp},
		},
		{
			why:  "the longer prefix wins; a black hole says nothing",
			in:   "1 udp 10.0.1.10:1 > 10.9.9.1:2" + fromWeb,
			drop: packet.NoRoute,
		},
		{
			why:  "a host may send to the router for its neighbour; it does not have to leave the segment",
			in:   "1 udp 10.0.1.10:1 > 10.0.1.11:2" + fromWeb,
			want: []string{"2 udp 10.0.1.10:1 > 10.0.1.11:2 ttl 63 eth " + gwMAC + " > 0a:58:0a:00:01:0b"},
		},
		{
			why:  "but not for itself: that is a loop",
			in:   "3 udp 10.0.2.77:1 > 10.9.1.1:2" + fromApp,
			drop: packet.SplitHorizon,
		},
		{
			why:  "TTL 2 is enough for one router",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 ttl 2" + fromWeb,
			want: []string{"3 udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1" + toApp},
		},
		{
			why:  "TTL 1 is not, even in a flow that is known; the sender is told by the address that it has sent to",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 ttl-exceeded tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1 }" + toWeb},
			drop: packet.TTLExceeded,
		},
		{
			why:  "the hop limit alike",
			in:   "1 udp [fd00:1::a]:1 > [fd00:2::a]:2 ttl 1" + fromWeb,
			want: []string{"1 icmp6 fd00:1::1 > fd00:1::a ttl-exceeded quote { udp [fd00:1::a]:1 > [fd00:2::a]:2 ttl 1 }" + toWeb},
			drop: packet.TTLExceeded,
		},
		{
			why:  "a router drops what has a wrong header checksum (RFC 1812 section 5.2.2)",
			in:   "1 udp 10.0.1.10:7 > 10.0.2.10:2 badipcsum" + fromWeb,
			drop: packet.InvalidIPChecksum,
		},
		{
			why:  "ICMP errors are routed by their own destination",
			in:   "3 icmp 10.0.2.10 > 10.0.1.10 unreachable port quote { udp 10.0.1.10:1 > 10.0.2.10:2 }" + fromApp,
			want: []string{"1 icmp 10.0.2.10 > 10.0.1.10 unreachable port quote { udp 10.0.1.10:1 > 10.0.2.10:2 } ttl 63" + toWeb},
		},
		{
			why:  "what is no IP and sent to the router ends there",
			in:   "1 ether type 0x88b5 len 46" + fromWeb,
			drop: packet.NoService,
		},
	})
}

func TestRoutingRefusals(t *testing.T) {
	for _, row := range []step{
		{
			why:  "no host has a multicast address",
			in:   "1 udp 224.0.0.5:1 > 10.0.2.10:2" + fromWeb,
			drop: packet.InvalidSourceIP,
		},
		{
			why:  "nor the unspecified one",
			in:   "1 udp [::]:1 > [fd00:2::a]:2" + fromWeb,
			drop: packet.InvalidSourceIP,
		},
		{
			why:  "nor on a wire that of the loopback",
			in:   "1 udp 127.0.0.1:1 > 10.0.2.10:2" + fromWeb,
			drop: packet.InvalidSourceIP,
		},
		{
			why:  "groups are not routed",
			in:   "1 udp 10.0.1.10:1 > 239.1.1.1:2" + fromWeb,
			drop: packet.NotForwardable,
		},
		{
			why:  "link-local destinations stay on the link (RFC 3927 section 7)",
			in:   "1 udp 10.0.1.10:1 > 169.254.169.254:80" + fromWeb,
			drop: packet.NotForwardable,
		},
		{
			why:  "so do link-local sources; over IPv6 they are told (RFC 4443 section 3.1, code 2)",
			in:   "1 udp [fe80::858:aff:fe00:10a]:1 > [fd00:2::a]:2" + fromWeb,
			want: []string{"1 icmp6 fd00:1::1 > fe80::858:aff:fe00:10a unreachable scope quote { udp [fe80::858:aff:fe00:10a]:1 > [fd00:2::a]:2 }" + toWeb},
			drop: packet.NotForwardable,
		},
		{
			why:  "directed broadcasts are not routed (RFC 2644)",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.255:2" + fromWeb,
			drop: packet.NotForwardable,
		},
		{
			why:  "nobody listens on the router's ports",
			in:   "1 udp 10.0.1.10:1 > 10.0.1.1:53" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable port tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.1.1:53 }" + toWeb},
			drop: packet.NoService,
		},
		{
			why:  "also not at its addresses in other segments",
			in:   "1 tcp 10.0.1.10:1 > 192.0.2.1:22 S" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable port tos 0xc0 df quote { tcp 10.0.1.10:1 > 192.0.2.1:22 S }" + toWeb},
			drop: packet.NoService,
		},
		{
			why:  "protocols that the router does not know are said so (RFC 1122 section 3.2.2.1)",
			in:   "1 ip 10.0.1.10 > 10.0.1.1 proto 47 len 8" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable proto tos 0xc0 df quote { ip 10.0.1.10 > 10.0.1.1 proto 47 len 8 }" + toWeb},
			drop: packet.NoService,
		},
		{
			why:  "over IPv6 with a pointer to the place, here behind an extension header (RFC 4443 section 3.4)",
			in:   "1 ip fd00:1::a > fd00:1::1 proto 47 options 8 len 8" + fromWeb,
			want: []string{"1 icmp6 fd00:1::1 > fd00:1::a type 4 code 1 rest 40 quote { ip fd00:1::a > fd00:1::1 proto 47 options 8 len 8 }" + toWeb},
			drop: packet.NoService,
		},
		{
			why:  "queries other than echo are not answered",
			in:   "1 icmp 10.0.1.10 > 10.0.1.1 type 13 code 0" + fromWeb,
			drop: packet.NoService,
		},
		{
			why:  "an ICMP error is not answered with another (RFC 1122 section 3.2.2)",
			in:   "1 icmp 10.0.1.10 > 10.0.2.10 unreachable port ttl 1 quote { udp 10.0.2.10:1 > 10.0.1.10:2 }" + fromWeb,
			drop: packet.TTLExceeded,
		},
		{
			why:  "nor a group's member",
			in:   "1 udp 10.0.1.255:1 > 10.0.2.10:2 ttl 1" + fromWeb,
			drop: packet.TTLExceeded,
		},
	} {
		t.Run(row.why, func(t *testing.T) { newTestbed(t, routedNetwork()).run([]step{row}) })
	}
}

func TestNoRoute(t *testing.T) {
	c := routedNetwork()
	c.Routers[0].Uplinks[0].Gateway = netip.Addr{}
	c.Routers[0].Routes = nil
	newTestbed(t, c).run([]step{
		{
			why:  "without a default route the net is unreachable",
			in:   "1 udp 10.0.1.10:1 > 198.51.100.1:2" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable net tos 0xc0 df quote { udp 10.0.1.10:1 > 198.51.100.1:2 }" + toWeb},
			drop: packet.NoRoute,
		},
		{
			why:  "over IPv6 there is no route to the destination",
			in:   "1 udp [fd00:1::a]:1 > [2001:db8:1::1]:2" + fromWeb,
			want: []string{"1 icmp6 fd00:1::1 > fd00:1::a unreachable net quote { udp [fd00:1::a]:1 > [2001:db8:1::1]:2 }" + toWeb},
			drop: packet.NoRoute,
		},
		{
			why:  "a long packet is quoted up to 576 bytes (RFC 1812 section 4.3.2.3)",
			in:   "1 udp 10.0.1.10:1 > 198.51.100.1:2 len 1000" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable net tos 0xc0 df quote { udp 10.0.1.10:1 > 198.51.100.1:2 len 1000 cut 548 }" + toWeb},
			drop: packet.NoRoute,
		},
		{
			why:  "and over IPv6 up to 1280, what a padded frame has behind it left out (RFC 4443 section 2.4 c)",
			in:   "1 udp [fd00:1::a]:1 > [2001:db8:1::1]:2 len 1300 pad 5" + fromWeb,
			want: []string{"1 icmp6 fd00:1::1 > fd00:1::a unreachable net quote { udp [fd00:1::a]:1 > [2001:db8:1::1]:2 len 1300 cut 1232 }" + toWeb},
			drop: packet.NoRoute,
		},
	})
}

func TestEcho(t *testing.T) {
	newTestbed(t, routedNetwork()).run([]step{
		{
			why:  "the gateway answers pings",
			in:   `1 icmp 10.0.1.10 > 10.0.1.1 echo id 7 seq 1 data "abc" tos 0x10` + fromWeb,
			want: []string{`1 icmp 10.0.1.1 > 10.0.1.10 reply id 7 seq 1 data "abc" tos 0x10 df` + toWeb},
		},
		{
			why:  "at all its addresses, whatever their segment",
			in:   "1 icmp 10.0.1.10 > 10.0.2.1 echo id 7 seq 2" + fromWeb,
			want: []string{"1 icmp 10.0.2.1 > 10.0.1.10 reply id 7 seq 2 df" + toWeb},
		},
		{
			why:  "over IPv6 too",
			in:   "3 icmp6 fd00:2::a > fd00:2::1 echo id 7 seq 1 len 3" + fromApp,
			want: []string{"3 icmp6 fd00:2::1 > fd00:2::a reply id 7 seq 1 len 3" + toApp},
		},
		{
			why:  "and at the link-local address that its MAC makes",
			in:   "3 icmp6 fd00:2::a > fe80::50:56ff:fe56:4452 echo id 7 seq 2" + fromApp,
			want: []string{"3 icmp6 fe80::50:56ff:fe56:4452 > fd00:2::a reply id 7 seq 2" + toApp},
		},
		{
			why:  "a router beyond the uplink gets the answer where it is, with the uplink's tag",
			in:   "9 icmp 198.51.100.1 > 192.0.2.1 echo id 1 seq 1 vlan 300 eth 02:00:00:00:00:fe > " + upMAC,
			want: []string{"9 icmp 192.0.2.1 > 198.51.100.1 reply id 1 seq 1 df vlan 300 eth " + upMAC + " > 02:00:00:00:00:fe"},
		},
		{
			why:  "an echo to a host is routed",
			in:   "1 icmp 10.0.1.10 > 10.0.2.10 echo id 7 seq 1" + fromWeb,
			want: []string{"3 icmp 10.0.1.10 > 10.0.2.10 echo id 7 seq 1 ttl 63" + toApp},
		},
		{
			why:  "a damaged request is not answered",
			in:   "1 icmp 10.0.1.10 > 10.0.1.1 echo id 7 seq 1 badcsum" + fromWeb,
			drop: packet.InvalidHeader,
		},
		{
			why:  "nor one with a wrong header checksum",
			in:   "1 icmp 10.0.1.10 > 10.0.1.1 echo id 7 seq 1 badipcsum" + fromWeb,
			drop: packet.InvalidIPChecksum,
		},
		{
			why:  "nor one from no host",
			in:   "1 icmp 127.0.0.1 > 10.0.1.1 echo id 7 seq 1" + fromWeb,
			drop: packet.InvalidSourceIP,
		},
	})
}

func TestICMPLimits(t *testing.T) {
	n := newTestbed(t, routedNetwork(), func(c *StateConfig) { c.ICMPErrorsPerSecond, c.EchoesPerSecond = 4, 8 })
	expired := step{
		why:  "one error for a port within its quarter of four",
		in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1" + fromWeb,
		want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 ttl-exceeded tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1 }" + toWeb},
		drop: packet.TTLExceeded,
	}
	silent := expired
	silent.why, silent.want = "the second one within a second is not sent; the packet is dropped all the same", nil
	later := expired
	later.why, later.after = "a second later there is a token again", 1e9
	n.run([]step{
		expired, silent,
		{
			why:  "another port has its own share",
			in:   "3 udp 10.0.2.10:1 > 10.0.1.10:2 ttl 1" + fromApp,
			want: []string{"3 icmp 10.0.2.1 > 10.0.2.10 ttl-exceeded tos 0xc0 df quote { udp 10.0.2.10:1 > 10.0.1.10:2 ttl 1 }" + toApp},
			drop: packet.TTLExceeded,
		},
		later,
	})
	ping := step{
		why: "echoes have a limit of their own", in: "1 icmp 10.0.1.10 > 10.0.1.1 echo id 7 seq 1" + fromWeb,
		want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 reply id 7 seq 1 df" + toWeb},
	}
	n.run([]step{ping, ping, {why: "beyond it they are dropped", in: ping.in, drop: packet.RateLimited}})
	require.Equal(t, ICMPStats{Errors: 3, ErrorsLimited: 1, Echoes: 2, EchoesLimited: 1}, n.state.ICMPStats())
}

func TestProxiedAddresses(t *testing.T) {
	c := routedNetwork()
	c.Segments[0].Proxied = []netip.Prefix{netip.MustParsePrefix("10.0.1.100/32")}
	newTestbed(t, c).run([]step{
		{
			why:  "the router answers ARP for a virtual server",
			in:   "1 arp 10.0.1.10 who-has 10.0.1.100",
			want: []string{"1 arp 10.0.1.100 is-at " + gwMAC + " to 10.0.1.10" + toWeb},
		},
		{
			why:  "what no service has translated is not looked for on the segment, from which the router would answer itself",
			in:   "3 udp 10.0.2.10:1 > 10.0.1.100:9" + fromApp,
			want: []string{"3 icmp 10.0.2.1 > 10.0.2.10 unreachable port tos 0xc0 df quote { udp 10.0.2.10:1 > 10.0.1.100:9 }" + toApp},
			drop: packet.NoService,
		},
		{
			why:  "the router answers its pings if no service does",
			in:   "3 icmp 10.0.2.10 > 10.0.1.100 echo id 1 seq 1" + fromApp,
			want: []string{"3 icmp 10.0.1.100 > 10.0.2.10 reply id 1 seq 1 df" + toApp},
		},
	})
}
