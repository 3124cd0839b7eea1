package route

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

func TestARP(t *testing.T) {
	const probe = "arp 0.0.0.0 who-has 10.0.0.2 eth 0a:58:0a:00:00:01 > ff:ff:ff:ff:ff:ff"
	newTestbed(t, boundSegment()).run([]step{
		{
			why: "the gateway answers for its address", in: "1 arp 10.0.0.1 who-has 10.0.0.254",
			want: []string{"1 arp 10.0.0.254 is-at 02:50:56:56:44:52 to 10.0.0.1"},
		},
		{
			why: "also when asked by unicast, as a host does that probes a neighbour it knows",
			in:  "1 arp 10.0.0.1 who-has 10.0.0.254 eth 0a:58:0a:00:00:01 > 02:50:56:56:44:52",
			want: []string{
				"1 arp 10.0.0.254 is-at 02:50:56:56:44:52 to 10.0.0.1",
			},
		},
		{
			why: "a bound address is answered here, from its owner, and not flooded", in: "1 arp 10.0.0.1 who-has 10.0.0.2",
			want: []string{"1 arp 10.0.0.2 is-at 0a:58:0a:00:00:02 to 10.0.0.1"},
		},
		{
			why: "so is a probe for an address that is taken", in: "1 " + probe,
			want: []string{"1 arp 10.0.0.2 is-at 0a:58:0a:00:00:02 to 0.0.0.0 eth 0a:58:0a:00:00:02 > 0a:58:0a:00:00:01 tha 0a:58:0a:00:00:01"},
		},
		{
			why: "a probe from the owner goes to the others, who may know better",
			in:  "1 arp 0.0.0.0 who-has 10.0.0.1 eth 0a:58:0a:00:00:01 > ff:ff:ff:ff:ff:ff sha 0a:58:0a:00:00:01",
			want: []string{
				"2 arp 0.0.0.0 who-has 10.0.0.1 eth 0a:58:0a:00:00:01 > ff:ff:ff:ff:ff:ff sha 0a:58:0a:00:00:01",
				"3 arp 0.0.0.0 who-has 10.0.0.1 eth 0a:58:0a:00:00:01 > ff:ff:ff:ff:ff:ff sha 0a:58:0a:00:00:01",
				"4 arp 0.0.0.0 who-has 10.0.0.1 eth 0a:58:0a:00:00:01 > ff:ff:ff:ff:ff:ff sha 0a:58:0a:00:00:01",
			},
		},
		{
			why: "an announcement is for all", in: "2 arp 10.0.0.2 is-at 0a:58:0a:00:00:02",
			want: []string{
				"1 arp 10.0.0.2 is-at 0a:58:0a:00:00:02", "3 arp 10.0.0.2 is-at 0a:58:0a:00:00:02", "4 arp 10.0.0.2 is-at 0a:58:0a:00:00:02",
			},
		},
		{
			why: "an unknown address is asked for", in: "1 arp 10.0.0.1 who-has 10.0.0.77",
			want: []string{
				"2 arp 10.0.0.1 who-has 10.0.0.77", "3 arp 10.0.0.1 who-has 10.0.0.77", "4 arp 10.0.0.1 who-has 10.0.0.77",
			},
		},
		{
			why: "answers go to whom they are for", in: "2 arp 10.0.0.2 is-at 0a:58:0a:00:00:02 to 10.0.0.1",
			want: []string{"1 arp 10.0.0.2 is-at 0a:58:0a:00:00:02 to 10.0.0.1"},
		},
		{
			why: "answers to the router end here",
			in:  "2 arp 10.0.0.2 is-at 0a:58:0a:00:00:02 to 10.0.0.254 eth 0a:58:0a:00:00:02 > 02:50:56:56:44:52",
		},
		{
			why: "the router is asked for an address that is not its own: it is no proxy", drop: packet.NoService,
			in: "1 arp 10.0.0.1 who-has 10.0.0.77 eth 0a:58:0a:00:00:01 > 02:50:56:56:44:52",
		},
		{
			why: "ARP that ends too soon", in: "3 arp 10.0.0.3 who-has 10.0.0.1 cut 41", drop: packet.TruncatedHeader,
		},
		{
			why: "a sender's address that is none", drop: packet.InvalidHeader,
			in: "3 arp 10.0.0.3 who-has 10.0.0.1 eth 0a:58:0a:00:00:03 > ff:ff:ff:ff:ff:ff sha ff:ff:ff:ff:ff:ff",
		},
	})
}

func TestNeighborDiscovery(t *testing.T) {
	const ask = "icmp6 fd00::1 > ff02::1:ff00:2 ns target fd00::2 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:02"
	for _, s := range []step{
		{
			why:  "the gateway answers for its address: a router, solicited, certain",
			in:   "1 icmp6 fd00::1 > ff02::1:ff00:254 ns target fd00::254 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:02:54",
			want: []string{"1 icmp6 fd00::254 > fd00::1 na target fd00::254 lladdr 02:50:56:56:44:52 router solicited override eth 02:50:56:56:44:52 > 0a:58:0a:00:00:01"},
		},
		{
			why:  "and for its link-local one",
			in:   "1 icmp6 fd00::1 > ff02::1:ff56:4452 ns target fe80::50:56ff:fe56:4452 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:56:44:52",
			want: []string{"1 icmp6 fe80::50:56ff:fe56:4452 > fd00::1 na target fe80::50:56ff:fe56:4452 lladdr 02:50:56:56:44:52 router solicited override eth 02:50:56:56:44:52 > 0a:58:0a:00:00:01"},
		},
		{
			why:  "a bound address is answered here, from its owner, which is no router",
			in:   "1 " + ask,
			want: []string{"1 icmp6 fd00::2 > fd00::1 na target fd00::2 lladdr 0a:58:0a:00:00:02 solicited override eth 0a:58:0a:00:00:02 > 0a:58:0a:00:00:01"},
		},
		{
			why:  "a unicast solicitation, which checks that a neighbour is there, has no link-layer address",
			in:   "1 icmp6 fd00::1 > fd00::2 ns target fd00::2 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02",
			want: []string{"1 icmp6 fd00::2 > fd00::1 na target fd00::2 lladdr 0a:58:0a:00:00:02 solicited override eth 0a:58:0a:00:00:02 > 0a:58:0a:00:00:01"},
		},
		{
			why:  "duplicate address detection for an address that is taken is answered to all nodes, unsolicited (RFC 4861 section 7.2.4)",
			in:   "1 icmp6 :: > ff02::1:ff00:2 ns target fd00::2 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:02",
			want: []string{"1 icmp6 fd00::2 > ff02::1 na target fd00::2 lladdr 0a:58:0a:00:00:02 override eth 0a:58:0a:00:00:02 > 33:33:00:00:00:01"},
		},
		{
			why: "from the owner it goes to the others",
			in:  "1 icmp6 :: > ff02::1:ff00:1 ns target fd00::1 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:01",
			want: []string{
				"2 icmp6 :: > ff02::1:ff00:1 ns target fd00::1 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:01",
				"3 icmp6 :: > ff02::1:ff00:1 ns target fd00::1 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:01",
				"4 icmp6 :: > ff02::1:ff00:1 ns target fd00::1 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:01",
			},
		},
		{
			why:  "an advertisement to the router ends here",
			in:   "1 icmp6 fd00::1 > fd00::254 na target fd00::1 lladdr 0a:58:0a:00:00:01 solicited eth 0a:58:0a:00:00:01 > 02:50:56:56:44:52",
			want: nil,
		},
		{
			why: "the router is asked for another's address", drop: packet.NoService,
			in: "1 icmp6 fd00::1 > fd00::77 ns target fd00::77 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 02:50:56:56:44:52",
		},
		{why: "a hop limit below 255: it has been routed", in: "1 " + ask + " ttl 254", drop: packet.InvalidHeader},
		{why: "a wrong checksum", in: "1 " + ask + " badcsum", drop: packet.InvalidHeader},
		{why: "a fragment (RFC 6980)", in: "1 " + ask + " mf", drop: packet.InvalidHeader},
		{
			why: "a target that is a group", drop: packet.InvalidHeader,
			in: "1 icmp6 fd00::1 > ff02::1:ff00:2 ns target ff02::2 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:02",
		},
		{
			why: "from nobody but with a link-layer address", drop: packet.InvalidHeader,
			in: "1 icmp6 :: > ff02::1:ff00:2 ns target fd00::2 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:02",
		},
		{
			why: "from nobody to one", drop: packet.InvalidHeader,
			in: "1 icmp6 :: > fd00::2 ns target fd00::2 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02",
		},
		{
			why: "an advertisement to all that says it was solicited", drop: packet.InvalidHeader,
			in: "1 icmp6 fd00::1 > ff02::1 na target fd00::1 lladdr 0a:58:0a:00:00:01 solicited eth 0a:58:0a:00:00:01 > 33:33:00:00:00:01",
		},
		{
			why: "a link-layer address that is a group", drop: packet.InvalidHeader,
			in: "3 icmp6 fd00::3 > fd00::2 na target fd00::3 lladdr ff:ff:ff:ff:ff:ff eth 0a:58:0a:00:00:03 > 0a:58:0a:00:00:02",
		},
	} {
		t.Run(s.why, func(t *testing.T) { newTestbed(t, boundSegment()).run([]step{s}) })
	}
}

func TestSuppressionOff(t *testing.T) {
	c := boundSegment()
	c.Segments[0].Suppress = false
	newTestbed(t, c).run([]step{
		{
			why: "known addresses are asked for like others", in: "1 arp 10.0.0.1 who-has 10.0.0.2",
			want: []string{"2 arp 10.0.0.1 who-has 10.0.0.2", "3 arp 10.0.0.1 who-has 10.0.0.2", "4 arp 10.0.0.1 who-has 10.0.0.2"},
		},
		{
			why: "but the gateway answers for itself", in: "1 arp 10.0.0.1 who-has 10.0.0.254",
			want: []string{"1 arp 10.0.0.254 is-at 02:50:56:56:44:52 to 10.0.0.1"},
		},
	})
}

func TestAnswersForProxied(t *testing.T) {
	c := boundSegment()
	c.Segments[0].Proxied = []netip.Prefix{netip.MustParsePrefix("10.0.0.128/26")}
	newTestbed(t, c).run([]step{
		{
			why: "the router answers for virtual servers", in: "1 arp 10.0.0.1 who-has 10.0.0.130",
			want: []string{"1 arp 10.0.0.130 is-at 02:50:56:56:44:52 to 10.0.0.1"},
		},
		{why: "nobody else may", in: "4 arp 10.0.0.130 is-at 0a:58:0a:00:00:82", drop: packet.MACConflict},
	})
}

func TestSharedAddress(t *testing.T) {
	c := boundSegment()
	vip := netip.MustParseAddr("10.0.0.100")
	for i := range 2 {
		c.Ports[i].Addresses = append(c.Ports[i].Addresses, Address{MAC: hostMAC(byte(i + 1)), IP: vip})
	}
	n := newTestbed(t, c)
	announced := "arp 10.0.0.100 is-at 0a:58:0a:00:00:02 eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff"
	n.run([]step{{
		why: "either of two ports that share an address may announce it", in: "2 " + announced,
		want: []string{"1 " + announced, "3 " + announced, "4 " + announced},
	}})
}

func TestAnswersCarryTags(t *testing.T) {
	c := boundSegment()
	c.Ports[0].Zones[0].Tags = dataplane.Tags{Outer: 100}
	c.Ports[1].Zones[0].Tags = dataplane.Tags{Outer: 200, Inner: 7}
	newTestbed(t, c).run([]step{
		{
			why: "an answer goes back with the tag of the question", in: "1 arp 10.0.0.1 who-has 10.0.0.254 vlan 100",
			want: []string{"1 arp 10.0.0.254 is-at 02:50:56:56:44:52 to 10.0.0.1 vlan 100"},
		},
		{
			why: "or its two tags", in: "2 arp 10.0.0.2 who-has 10.0.0.1 qinq 200 vlan 7",
			want: []string{"2 arp 10.0.0.1 is-at 0a:58:0a:00:00:01 to 10.0.0.2 qinq 200 vlan 7"},
		},
		{
			why: "between the two, tags are exchanged", in: "2 udp 10.0.0.2:1 > 10.0.0.1:2 qinq 200 vlan 7",
			want: []string{"1 udp 10.0.0.2:1 > 10.0.0.1:2 vlan 100"},
		},
		{why: "without its tag a frame is in no segment", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2", drop: packet.VLANFiltered},
		{why: "another tag is not allowed", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2 vlan 101", drop: packet.VLANFiltered},
		{why: "nor half of two", in: "2 udp 10.0.0.2:1 > 10.0.0.1:2 qinq 200", drop: packet.VLANFiltered},
	})
}

func TestIsolation(t *testing.T) {
	// Two segments, the same addresses in both; port 3 is a trunk with both and a native one.
	c := learningSegment()
	c.Segments = append(c.Segments, c.Segments[0])
	c.Segments[1].Name, c.Segments[1].Zone = "db", 2
	c.Ports[1].Zones = []Attachment{{Zone: 2}}
	c.Ports[2].Zones = []Attachment{{Zone: 1}, {Zone: 2, Tags: dataplane.Tags{Outer: 20}}}
	newTestbed(t, c).run([]step{
		{
			why: "a frame stays in its segment: the trunk's native VLAN", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2",
			want: []string{"3 udp 10.0.0.1:1 > 10.0.0.2:2"},
		},
		{
			why: "the same addresses in the other segment are others", in: "2 udp 10.0.0.1:1 > 10.0.0.2:2",
			want: []string{"3 udp 10.0.0.1:1 > 10.0.0.2:2 vlan 20"},
		},
		{
			why: "answers find their way by the tag", in: "3 udp 10.0.0.2:2 > 10.0.0.1:1 vlan 20",
			want: []string{"2 udp 10.0.0.2:2 > 10.0.0.1:1"},
		},
		{
			why: "or without one", in: "3 udp 10.0.0.2:2 > 10.0.0.1:1",
			want: []string{"1 udp 10.0.0.2:2 > 10.0.0.1:1"},
		},
		{
			why: "a priority tag names no VLAN", in: "3 udp 10.0.0.2:2 > 10.0.0.1:1 vlan 0.5",
			want: []string{"1 udp 10.0.0.2:2 > 10.0.0.1:1"},
		},
		{
			why: "an established flow on one segment says nothing about the other", in: "2 udp 10.0.0.1:1 > 10.0.0.2:2",
			want: []string{"3 udp 10.0.0.1:1 > 10.0.0.2:2 vlan 20"},
		},
	})
}

func TestLimits(t *testing.T) {
	t.Run("unknown unicast is dropped where flooding is off", func(t *testing.T) {
		c := learningSegment()
		c.Segments[0].FloodUnknown = false
		newTestbed(t, c).run([]step{
			{why: "nobody knows the address", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2", drop: packet.NoDestination},
			{why: "groups are not concerned", in: hello1by1, want: []string{hello1by2, hello1by3}},
			{why: "once learned it is known", in: "2 udp 10.0.0.2:1 > 10.0.0.1:2", want: []string{"1 udp 10.0.0.2:1 > 10.0.0.1:2"}},
		})
	})
	t.Run("a limit on unknown unicast", func(t *testing.T) {
		c := learningSegment()
		c.Ports[0].RxUnknown = dataplane.NewLimiter(1, 1)
		newTestbed(t, c).run([]step{
			{
				why: "the first passes", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2",
				want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2", "3 udp 10.0.0.1:1 > 10.0.0.2:2"},
			},
			{why: "the second is too many", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2", drop: packet.StormControl},
			{why: "broadcast has other limits", in: hello1by1, want: []string{hello1by2, hello1by3}},
			{
				why: "another second, another frame", after: time.Second, in: "1 udp 10.0.0.1:1 > 10.0.0.2:2",
				want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2", "3 udp 10.0.0.1:1 > 10.0.0.2:2"},
			},
		})
	})
	t.Run("limits on broadcast and multicast, in and out", func(t *testing.T) {
		n := newTestbed(t, learningSegment())
		n.edit = func(s *dataplane.Snapshot) {
			s.Ports[1].Storm.RxBroadcast = dataplane.NewLimiter(1, 2)
			s.Ports[1].Storm.RxMulticast = dataplane.NewLimiter(1, 1)
			s.Ports[3].Storm.TxBroadcast = dataplane.NewLimiter(1, 1)
		}
		n.apply(learningSegment())
		group := "1 udp 10.0.0.1:1 > 224.0.0.251:5353"
		n.run([]step{
			{why: "the first broadcast goes to both", in: hello1by1, want: []string{hello1by2, hello1by3}},
			{why: "port 3 takes one a second", in: hello1by1, want: []string{hello1by2}, drop: packet.StormControl},
			{why: "port 1 gives two a second", in: hello1by1, drop: packet.StormControl},
			{why: "multicast is counted by itself", in: group, want: []string{"2" + group[1:], "3" + group[1:]}},
			{why: "and limited", in: group, drop: packet.StormControl},
		})
	})
	t.Run("frames that are too long", func(t *testing.T) {
		c := learningSegment()
		c.Ports[1].MTU = 1000
		newTestbed(t, c).run([]step{
			{why: "2 is learned", in: "2 udp 10.0.0.2:1 > 255.255.255.255:2", want: []string{"1 udp 10.0.0.2:1 > 255.255.255.255:2", "3 udp 10.0.0.2:1 > 255.255.255.255:2"}},
			{why: "a packet as long as the port's MTU", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2 len 972", want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2 len 972"}},
			{why: "one byte more, on the same flow: layer 2 has nobody to tell", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2 len 973", drop: packet.FrameTooLong},
			{why: "the flow goes on", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2 len 972", want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2 len 972"}},
			{
				why: "what is no IP is measured too", in: "1 ether type 0x88b5 len 1001 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02",
				drop: packet.FrameTooLong,
			},
			{why: "a flood is held against the segment's MTU", in: "1 udp 10.0.0.1:1 > 10.0.0.99:2 len 1473", drop: packet.FrameTooLong},
		})
	})
}

func TestUplinkZone(t *testing.T) {
	c := boundSegment()
	mac := packet.MAC{0x02, 0, 0, 0, 0, 0x99}
	c.Ports = append(c.Ports, &Port{Number: 9, Name: "uplink", Zones: []Attachment{{Zone: 9}}})
	c.Routers[0].Uplinks = []Uplink{{
		Port: 9, Zone: 9, MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
	}}
	n := newTestbed(t, c)
	require.Len(t, n.fwd.Floods(), 2, "the uplink's network has a flood list")
	n.run([]step{
		{
			why: "the router answers for its address there", in: "9 arp 192.0.2.5 who-has 192.0.2.1",
			want: []string{"9 arp 192.0.2.1 is-at 02:00:00:00:00:99 to 192.0.2.5"},
		},
		{why: "not for those of segments", in: "9 arp 192.0.2.5 who-has 10.0.0.254", drop: packet.NoDestination},
		{why: "others' requests end here", in: "9 arp 192.0.2.5 who-has 192.0.2.6", drop: packet.NoDestination},
		{
			why: "its own MAC does not come from outside", drop: packet.MACConflict,
			in: "9 udp 192.0.2.5:1 > 192.0.2.1:2 eth 02:00:00:00:00:99 > ff:ff:ff:ff:ff:ff",
		},
	})
}
