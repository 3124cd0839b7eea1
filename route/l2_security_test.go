package route

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// filtered is a segment whose port 1 has filters; 2 and 3 have none.
func filtered(s Security) Config {
	c := learningSegment()
	c.Ports[0].Zones[0].Security = s
	return c
}

var (
	reservedPass = Security{ForwardReserved: true}
	serverBlock  = Security{BlockDHCPServer: true}
	clientBlock  = Security{BlockDHCPClient: true}
	serverBlock6 = Security{BlockDHCPServer6: true}
	clientBlock6 = Security{BlockDHCPClient6: true}
	raGuard      = Security{BlockRouterAdvertisements: true}
	nonIPBlock   = Security{BlockNonIP: true}
)

func allow(s Security, to ...packet.MAC) Security {
	s.AllowReserved = to
	return s
}

// group returns 01:80:c2:00:00:N.
func group(n byte) packet.MAC { return packet.MAC{0x01, 0x80, 0xc2, 0, 0, n} }

func TestSecurity(t *testing.T) {
	const (
		from = " eth 0a:58:0a:00:00:01 > "
		ra   = "icmp6 fe80::1 > ff02::1 type 134 code 0 len 24"
		echo = "icmp6 fe80::1 > ff02::1 echo"
		snap = "ether type 60 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:09 hex "
	)
	pvst := packet.MAC{0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd}
	for _, row := range []struct {
		why      string
		security Security
		in       string // by port 1
		drop     packet.Reason
	}{
		{"without a word, control frames stay on their link", Security{}, "ether type 0x88cc" + from + "01:80:c2:00:00:0e", packet.ReservedMulticast},
		{"the block ends at 0f", Security{}, "ether type 0x88cc" + from + "01:80:c2:00:00:10", packet.None},
		{"also IP to such an address", Security{}, "udp 10.0.0.1:1 > 224.0.0.9:2" + from + "01:80:c2:00:00:00", packet.ReservedMulticast},
		{"filter off: LLDP", reservedPass, "ether type 0x88cc" + from + "01:80:c2:00:00:0e", packet.None},
		{"filter off: spanning tree, in an LLC header", reservedPass, "ether type 38 hex 424203" + from + "01:80:c2:00:00:00", packet.None},
		{"filter off: the last of the block", reservedPass, "ether type 0x88b5" + from + "01:80:c2:00:00:0f", packet.None},
		{"filter off: PAUSE stays all the same", reservedPass, "ether type 0x8808 hex 0001ffff" + from + "01:80:c2:00:00:01", packet.ReservedMulticast},
		{"filter off: it is MAC control that stays, not the address", reservedPass, "ether type 0x88b5" + from + "01:80:c2:00:00:01", packet.None},
		{"an address that is allowed", allow(Security{}, group(2), group(0xe)), "ether type 0x88cc" + from + "01:80:c2:00:00:0e", packet.None},
		{"the others are not", allow(Security{}, group(2), group(0xe)), "ether type 0x88cc" + from + "01:80:c2:00:00:00", packet.ReservedMulticast},
		{"who allows the address of PAUSE means it", allow(reservedPass, group(1)), "ether type 0x8808" + from + "01:80:c2:00:00:01", packet.None},

		{"a server's offer", serverBlock, "udp 10.0.0.1:67 > 255.255.255.255:68 len 300", packet.DHCPServerBlocked},
		{"a server's answer to one client", serverBlock, "udp 10.0.0.1:67 > 10.0.0.2:68 len 300", packet.DHCPServerBlocked},
		{"clients don't look at the source port", serverBlock, "udp 10.0.0.1:9999 > 10.0.0.2:68 len 300", packet.DHCPServerBlocked},
		{"behind IP options", serverBlock, "udp 10.0.0.1:67 > 10.0.0.2:68 len 300 options 8", packet.DHCPServerBlocked},
		{"a first fragment", serverBlock, "udp 10.0.0.1:67 > 10.0.0.2:68 len 16 mf id 7", packet.DHCPServerBlocked},
		{"a server's words with a relay agent", serverBlock, "udp 10.0.0.1:67 > 10.0.0.2:67 len 300", packet.None},
		{"a client's request", serverBlock, "udp 0.0.0.0:68 > 255.255.255.255:67 len 300", packet.None},
		{"TCP to the same port", serverBlock, "tcp 10.0.0.1:67 > 10.0.0.2:68 S", packet.None},
		{"the other version's ports", serverBlock, "udp 10.0.0.1:547 > 10.0.0.2:546", packet.None},
		{"the port, but of IPv6", serverBlock, "udp [fd00::1]:67 > [fd00::2]:68", packet.None},
		{
			"an ICMP error about such a packet is not one", serverBlock,
			"icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:68 > 10.0.0.1:67 len 12 }", packet.None,
		},

		{"a client's request", clientBlock, "udp 0.0.0.0:68 > 255.255.255.255:67 len 300", packet.DHCPClientBlocked},
		{"a client's renewal", clientBlock, "udp 10.0.0.1:68 > 10.0.0.2:67 len 300", packet.DHCPClientBlocked},
		{"servers don't look at the source port", clientBlock, "udp 10.0.0.1:1234 > 10.0.0.2:67 len 300", packet.DHCPClientBlocked},
		{"a server's offer", clientBlock, "udp 10.0.0.1:67 > 255.255.255.255:68 len 300", packet.None},
		{"a port nearby", clientBlock, "udp 10.0.0.1:68 > 10.0.0.2:69", packet.None},

		{"a server's answer", serverBlock6, "udp [fd00::1]:547 > [fd00::2]:546 len 100", packet.DHCPServerBlocked},
		{"from any port", serverBlock6, "udp [fe80::1]:9 > [fe80::2]:546 len 100", packet.DHCPServerBlocked},
		{"behind extension headers", serverBlock6, "udp [fe80::1]:547 > [fe80::2]:546 len 100 hbh 8 options 8 frag", packet.DHCPServerBlocked},
		{"a client's solicitation", serverBlock6, "udp [fe80::1]:546 > [ff02::1:2]:547 len 100", packet.None},
		{"the port, but of IPv4", serverBlock6, "udp 10.0.0.1:547 > 10.0.0.2:546", packet.None},

		{"a client's solicitation", clientBlock6, "udp [fe80::1]:546 > [ff02::1:2]:547 len 100", packet.DHCPClientBlocked},
		{"a server's answer", clientBlock6, "udp [fe80::1]:547 > [fe80::2]:546 len 100", packet.None},
		{"DHCP for IPv4", clientBlock6, "udp 0.0.0.0:68 > 255.255.255.255:67 len 300", packet.None},

		{"an advertisement", raGuard, ra, packet.RAGuard},
		{"to one host", raGuard, "icmp6 fe80::1 > fe80::2 type 134 code 0 len 24", packet.RAGuard},
		{"one that no host would take: it was routed", raGuard, ra + " ttl 64", packet.RAGuard},
		{"one with a wrong checksum", raGuard, ra + " badcsum", packet.RAGuard},
		{"behind a hop-by-hop header", raGuard, ra + " hbh 8", packet.RAGuard},
		{"behind hop-by-hop and destination options", raGuard, ra + " hbh 8 options 16", packet.RAGuard},
		{"behind a fragment header though it is whole (RFC 6946)", raGuard, ra + " frag", packet.RAGuard},
		{"behind all of them", raGuard, ra + " hbh 64 options 64 frag", packet.RAGuard},
		{"as a first fragment", raGuard, ra + " mf ipid 7", packet.RAGuard},
		{"as a first fragment that ends before the header (RFC 7112)", raGuard, "ip fe80::1 > ff02::1 proto 58 hex 86000000 mf", packet.FragmentTiny},
		{"sent to the address of control frames", raGuard, ra + from + "01:80:c2:00:00:00", packet.ReservedMulticast},
		{"sent there where they pass", Security{ForwardReserved: true, BlockRouterAdvertisements: true}, ra + from + "01:80:c2:00:00:00", packet.RAGuard},
		{"what may become an extension header (RFC 7113)", raGuard, "ip fe80::1 > ff02::1 proto 253 len 40", packet.RAGuard},
		{"the last protocol that is none", raGuard, "ip fe80::1 > ff02::1 proto 147 len 40", packet.None},
		{"ESP", raGuard, "ip fe80::1 > ff02::1 proto 50 len 40", packet.None},
		{"a solicitation", raGuard, "icmp6 fe80::1 > ff02::2 rs", packet.None},
		{"an echo request", raGuard, echo, packet.None},
		{"type 134 of ICMP for IPv4 means nothing", raGuard, "icmp 10.0.0.1 > 10.0.0.2 type 134 code 0", packet.None},
		{"an unassigned protocol of IPv4 hides nothing", raGuard, "ip 10.0.0.1 > 10.0.0.2 proto 253 len 40", packet.None},
		{"without the guard they pass", Security{}, ra, packet.None},

		{"neither IP nor ARP", nonIPBlock, "ether type 0x88b5" + from + "0a:58:0a:00:00:09", packet.NonIPBlocked},
		{"broadcast too", nonIPBlock, "ether type 0x8035" + from + "ff:ff:ff:ff:ff:ff", packet.NonIPBlocked},
		{"an LLC frame", nonIPBlock, "ether type 60 hex e0e003" + from + "0a:58:0a:00:00:09", packet.NonIPBlocked},
		{"IPv6 in an LLC header", nonIPBlock, snap + "aaaa0300000086dd60", packet.NonIPBlocked},
		{"IPv4", nonIPBlock, "udp 10.0.0.1:1 > 10.0.0.2:2", packet.None},
		{"IPv6", nonIPBlock, "udp [fd00::1]:1 > [fd00::2]:2", packet.None},
		{"an unassigned protocol is IP", nonIPBlock, "ip 10.0.0.1 > 10.0.0.2 proto 253 len 40", packet.None},
		{"ARP", nonIPBlock, "arp 10.0.0.1 who-has 10.0.0.9", packet.None},
		{"control frames are the other filter's", nonIPBlock, "ether type 0x88cc" + from + "01:80:c2:00:00:0e", packet.ReservedMulticast},
		{"which may let them pass", allow(nonIPBlock, group(0xe)), "ether type 0x88cc" + from + "01:80:c2:00:00:0e", packet.None},
		{"as a whole", Security{ForwardReserved: true, BlockNonIP: true}, "ether type 38 hex 424203" + from + "01:80:c2:00:00:00", packet.None},
		{"control frames of a vendor", allow(nonIPBlock, pvst), "ether type 60 hex aaaa0300000c010b" + from + "01:00:0c:cc:cc:cd", packet.None},
		{"which nobody has named", nonIPBlock, "ether type 60 hex aaaa0300000c010b" + from + "01:00:0c:cc:cc:cd", packet.NonIPBlocked},

		{"an advertisement in an LLC header", raGuard, snap + "aaaa0300000086dd60", packet.NonIPBlocked},
		{"with the bit for responses set", raGuard, snap + "aaab0300000086dd60", packet.NonIPBlocked},
		{"with a length that no frame has", raGuard, "ether type 0x5ff hex aaaa0300000086dd60" + from + "0a:58:0a:00:00:09", packet.NonIPBlocked},
		{"behind a tag in an LLC header", raGuard, snap + "aaaa030000008100000086dd60", packet.NonIPBlocked},
		{"an offer in an LLC header", serverBlock, snap + "aaaa03000000080045", packet.NonIPBlocked},
		{"sent to an address where control frames pass", allow(raGuard, group(0)), "ether type 60 hex aaaa0300000086dd60" + from + "01:80:c2:00:00:00", packet.NonIPBlocked},
		{"AppleTalk in an LLC header", raGuard, snap + "aaaa0308000780f3", packet.None},
		{"an LLC header that ends early", raGuard, snap + "aaaa030000 cut 19", packet.None},
		{"what filters on IP can't mean", raGuard, "ether type 0x88b5" + from + "0a:58:0a:00:00:09", packet.None},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := newTestbed(t, filtered(row.security))
			_, frame := portAndFrame(t, "1 "+row.in)
			n.ports[1].Inject(frame)
			n.step()
			for r, count := range n.drops() {
				want := uint64(0)
				if row.drop != packet.None && packet.Reason(r) == row.drop {
					want = 1
				}
				require.Equal(t, want, count, "drops for %v", packet.Reason(r))
			}
			if row.drop == packet.None {
				require.Len(t, n.sent(), 2, "it is flooded to ports 2 and 3")
				return
			}
			require.Empty(t, n.sent())
			require.Empty(t, n.state.MACs(), "what is refused teaches nothing")
			if row.drop.Component() == packet.RAGuard.Component() && !isReserved(packet.Ethernet(frame).Dst()) {
				n.ports[2].Inject(frame)
				n.step()
				require.Len(t, n.sent(), 2, "a port without the filter may send it, also to the port that has it")
			}
		})
	}
}

func TestSecurityAndFragments(t *testing.T) {
	both := serverBlock
	both.BlockRouterAdvertisements = true
	newTestbed(t, filtered(both)).run([]step{
		{why: "the first fragment of an offer is refused", in: "1 udp 10.0.0.1:67 > 10.0.0.2:68 len 16 mf id 7", drop: packet.DHCPServerBlocked},
		{why: "so are the others, which have its ports", in: "1 ip 10.0.0.1 > 10.0.0.2 proto 17 off 24 id 7 len 8", drop: packet.DHCPServerBlocked},
		{why: "one that comes before the first waits", in: "1 ip 10.0.0.1 > 10.0.0.2 proto 17 off 24 id 8 len 8"},
		{
			why: "another datagram's fragments pass", in: "1 udp 10.0.0.1:67 > 10.0.0.2:69 len 16 mf id 9",
			want: []string{"2 udp 10.0.0.1:67 > 10.0.0.2:69 len 16 mf id 9", "3 udp 10.0.0.1:67 > 10.0.0.2:69 len 16 mf id 9"},
		},
		{
			why: "all of them", in: "1 ip 10.0.0.1 > 10.0.0.2 proto 17 off 24 id 9 len 8",
			want: []string{"2 ip 10.0.0.1 > 10.0.0.2 proto 17 off 24 id 9 len 8", "3 ip 10.0.0.1 > 10.0.0.2 proto 17 off 24 id 9 len 8"},
		},
		{why: "the first fragment of an advertisement is refused", in: "1 icmp6 fe80::1 > ff02::1 type 134 code 0 len 24 mf ipid 7", drop: packet.RAGuard},
		{
			why: "its rest passes, and nobody can do anything with it", in: "1 ip fe80::1 > ff02::1 proto 58 off 32 id 7 len 8",
			want: []string{"2 ip fe80::1 > ff02::1 proto 58 off 32 id 7 len 8", "3 ip fe80::1 > ff02::1 proto 58 off 32 id 7 len 8"},
		},
		{
			why: "an echo request that is a first fragment passes", in: "1 icmp6 fe80::1 > ff02::1 echo len 24 mf ipid 8",
			want: []string{"2 icmp6 fe80::1 > ff02::1 echo len 24 mf ipid 8", "3 icmp6 fe80::1 > ff02::1 echo len 24 mf ipid 8"},
		},
		{
			why: "an advertisement that claims to be its beginning does not", drop: packet.FragmentOverlap,
			in: "1 icmp6 fe80::1 > ff02::1 type 134 code 0 len 24 mf ipid 8",
		},
		{
			why: "nor a fragment that would write over the type (RFC 5722)", drop: packet.FragmentOverlap,
			in: "1 ip fe80::1 > ff02::1 proto 58 off 8 id 8 len 8 mf",
		},
		{why: "what waits for a first fragment in vain", after: 2e9, drop: packet.FragmentNoFirst},
	})
}

// A permit does not outlive the revision in which it was given.
func TestSecurityHoldsForLiveFlows(t *testing.T) {
	const request, answer = "udp 10.0.0.2:68 > 10.0.0.1:67 len 300", "udp 10.0.0.1:67 > 10.0.0.2:68 len 300"
	n := newTestbed(t, filtered(Security{}))
	n.run([]step{
		{why: "a client asks", in: "2 " + request, want: []string{"1 " + request, "3 " + request}},
		{why: "a server answers: the session is established", in: "1 " + answer, want: []string{"2 " + answer}},
		{why: "and goes on", in: "1 " + answer, want: []string{"2 " + answer}},
	})
	n.apply(filtered(serverBlock))
	n.run([]step{
		{why: "now no server may be there: its session does not help", in: "1 " + answer, drop: packet.DHCPServerBlocked},
		{why: "each frame of it is refused", in: "1 " + answer, drop: packet.DHCPServerBlocked},
		{why: "the client may still ask", in: "2 " + request, want: []string{"1 " + request}},
		{why: "which opens no way back", in: "1 " + answer, drop: packet.DHCPServerBlocked},
		{why: "elsewhere a server may be", in: "3 udp 10.0.0.3:67 > 10.0.0.2:68", want: []string{"2 udp 10.0.0.3:67 > 10.0.0.2:68"}},
	})
	n.apply(filtered(Security{}))
	n.run([]step{{why: "the filter is off again", in: "1 " + answer, want: []string{"2 " + answer}}})
}

// A port in several segments has the filters of each.
func TestSecurityOfEachSegment(t *testing.T) {
	c := learningSegment()
	c.Segments = append(c.Segments, c.Segments[0])
	c.Segments[1].Name, c.Segments[1].Zone = "app", 2
	c.Ports = []*Port{
		{Number: 1, Name: "trunk", Zones: []Attachment{
			{Zone: 1, Security: raGuard}, {Zone: 2, Tags: dataplane.Tags{Outer: 20}, Security: nonIPBlock},
		}},
		{Number: 2, Name: "web", Zones: []Attachment{{Zone: 1}}},
		{Number: 3, Name: "app", Zones: []Attachment{{Zone: 2}}},
	}
	const ra, other = "icmp6 fe80::1 > ff02::1 type 134 code 0 len 24", "ether type 0x88b5 eth 02:00:00:00:00:01 > 02:00:00:00:00:02"
	newTestbed(t, c).run([]step{
		{why: "the first segment has the RA guard", in: "1 " + ra, drop: packet.RAGuard},
		{why: "and no filter for what is no IP", in: "1 " + other, want: []string{"2 " + other}},
		{why: "the second has no RA guard", in: "1 " + ra + " vlan 20", want: []string{"3 " + ra}},
		{why: "but that filter", in: "1 " + other + " vlan 20", drop: packet.NonIPBlocked},
	})
}

// An uplink has filters like any port.
func TestSecurityOfUplink(t *testing.T) {
	c := boundSegment()
	c.Ports = append(c.Ports, &Port{Number: 5, Name: "uplink", Zones: []Attachment{{Zone: 9, Security: serverBlock}}})
	c.Routers[0].Uplinks = []Uplink{{
		Port: 5, Zone: 9, MAC: packet.MAC{2, 0, 0, 0, 0, 9}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
	}}
	newTestbed(t, c).run([]step{
		{why: "an offer from outside", in: "5 udp 192.0.2.9:67 > 10.0.0.2:68 eth 02:00:00:00:00:08 > 02:00:00:00:00:09", drop: packet.DHCPServerBlocked},
		{why: "the neighbour's spanning tree", in: "5 ether type 38 hex 424203 eth 02:00:00:00:00:08 > 01:80:c2:00:00:00", drop: packet.ReservedMulticast},
	})
}

// A port's own setting for unknown unicast holds against the segment's, both ways.
func TestFloodUnknownOfPort(t *testing.T) {
	on, off := true, false
	const unknown, broadcast = "udp 10.0.0.1:1 > 10.0.0.9:2", "arp 10.0.0.1 who-has 10.0.0.9"
	for _, row := range []struct {
		why     string
		segment bool
		ports   [3]*bool
		want    []string
		drop    packet.Reason
	}{
		{"all as the segment: on", true, [3]*bool{}, []string{"2 " + unknown, "3 " + unknown}, packet.None},
		{"all as the segment: off", false, [3]*bool{}, nil, packet.NoDestination},
		{"one that wants none gets none", true, [3]*bool{nil, &off, nil}, []string{"3 " + unknown}, packet.None},
		{"nor may it send any", true, [3]*bool{&off, nil, nil}, nil, packet.NoDestination},
		{"those that want them in a segment without have them among each other", false, [3]*bool{&on, nil, &on}, []string{"3 " + unknown}, packet.None},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := learningSegment()
			c.Segments[0].FloodUnknown = row.segment
			for i, flood := range row.ports {
				c.Ports[i].Zones[0].FloodUnknown = flood
			}
			newTestbed(t, c).run([]step{
				{why: row.why, in: "1 " + unknown, want: row.want, drop: row.drop},
				{why: "broadcast is another matter", in: "1 " + broadcast, want: []string{"2 " + broadcast, "3 " + broadcast}},
			})
		})
	}
}
