package route

import (
	"net/netip"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// The network of the layer-3 tests. Bound hosts have the MAC address that
// frametext gives their IPv4 address.
//
//	segment web, zone 1, MTU 1500                    segment app, zone 2, MTU 1400
//	10.0.1.0/24, fd00:1::/64                         10.0.2.0/24, fd00:2::/64
//	  port 1  10.0.1.10, fd00:1::a, bound              port 3  10.0.2.10, fd00:2::a, bound
//	  port 2  10.0.1.11, bound                         port 4  nothing bound; learns
//	              .1, ::1 ─────────── router ─────────── .1, ::1
//	                                    │ 192.0.2.1, 2001:db8::1
//	                 uplink, zone 3     │ port 9, VLAN 300
//	                 192.0.2.0/24, 2001:db8::/64; default by 192.0.2.254 and 2001:db8::fe
const (
	gwMAC  = "02:50:56:56:44:52"
	upMAC  = "02:00:00:00:00:99"
	webMAC = "0a:58:0a:00:01:0a" // of port 1
	appMAC = "0a:58:0a:00:02:0a" // of port 3

	fromWeb = " eth " + webMAC + " > " + gwMAC // port 1 to the router
	toWeb   = " eth " + gwMAC + " > " + webMAC
	fromApp = " eth " + appMAC + " > " + gwMAC
	toApp   = " eth " + gwMAC + " > " + appMAC
)

func parseMAC(s string) (m packet.MAC) {
	for i := range m {
		for _, c := range s[3*i : 3*i+2] {
			m[i] = m[i]<<4 | byte(c&15+c>>6*9)
		}
	}
	return m
}

func routedNetwork() Config {
	prefix, ip := netip.MustParsePrefix, netip.MustParseAddr
	subnet := func(p, gateway string) Subnet { return Subnet{prefix(p), ip(gateway)} }
	learning := Learning{Enabled: true, AgingNs: int64(300 * time.Second)}
	both := func(mac, v4, v6 string) []Address {
		return []Address{{parseMAC(mac), ip(v4)}, {parseMAC(mac), ip(v6)}}
	}
	return Config{
		GatewayMAC: gatewayMAC,
		Segments: []Segment{
			{Name: "web", Zone: 1, MTU: 1500, Router: 0, Learning: learning, Subnets: []Subnet{subnet("10.0.1.0/24", "10.0.1.1"), subnet("fd00:1::/64", "fd00:1::1")}},
			{Name: "app", Zone: 2, MTU: 1400, Router: 0, Learning: learning, Subnets: []Subnet{subnet("10.0.2.0/24", "10.0.2.1"), subnet("fd00:2::/64", "fd00:2::1")}},
		},
		Ports: []*Port{
			{Number: 1, Name: "web-1", Zones: []Attachment{{Zone: 1}}, Addresses: both(webMAC, "10.0.1.10", "fd00:1::a")},
			{Number: 2, Name: "web-2", Zones: []Attachment{{Zone: 1}}, Addresses: []Address{{parseMAC("0a:58:0a:00:01:0b"), ip("10.0.1.11")}}},
			{Number: 3, Name: "app-1", Zones: []Attachment{{Zone: 2}}, Addresses: both(appMAC, "10.0.2.10", "fd00:2::a")},
			{Number: 4, Name: "app-2", Zones: []Attachment{{Zone: 2}}},
			{Number: 9, Name: "uplink", Zones: []Attachment{{Zone: 3, Tags: dataplane.Tags{Outer: 300}}}},
		},
		Routers: []Router{{
			Name: "default",
			Uplinks: []Uplink{{
				Port: 9, Zone: 3, MAC: parseMAC(upMAC), MTU: 1500,
				Addresses: []netip.Prefix{prefix("192.0.2.1/24"), prefix("2001:db8::1/64")}, Gateway: ip("192.0.2.254"),
			}},
			Routes: []Static{
				{Prefix: prefix("::/0"), Via: ip("2001:db8::fe")},
				{Prefix: prefix("10.9.0.0/16"), Via: ip("10.0.2.10")},
				{Prefix: prefix("10.9.9.0/24"), Blackhole: true},
			},
		}},
	}
}
