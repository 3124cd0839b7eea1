package route

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// boundSegment is a segment, zone 1, with bound ports: 1 and 2 are guarded and
// have 10.0.0.N and fd00::N, 3 is not guarded and has 10.0.0.3 and fd00::3, 4 has no
// addresses. It is routed: the gateway is 10.0.0.254 and fd00::254.
func boundSegment() Config {
	c := learningSegment()
	s := &c.Segments[0]
	s.Router, s.Suppress = 0, true
	s.Subnets = []Subnet{
		{Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.254")},
		{Prefix: netip.MustParsePrefix("fd00::/64"), Gateway: netip.MustParseAddr("fd00::254")},
	}
	c.Routers = []Router{{Name: "default"}}
	for i := range c.Ports {
		p := c.Ports[i]
		mac := hostMAC(byte(i + 1))
		p.Guard = i < 2
		p.Addresses = []Address{
			{MAC: mac, IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})},
			{MAC: mac, IP: netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i + 1)})},
		}
	}
	c.Ports = append(c.Ports, &Port{Number: 4, Name: "d", Zones: []Attachment{{Zone: 1}}})
	return c
}

// hostMAC is what frametext takes for 10.0.0.N.
func hostMAC(n byte) packet.MAC { return packet.MAC{0x0a, 0x58, 10, 0, 0, n} }

func TestGuard(t *testing.T) {
	const (
		eth1      = " eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02"
		toAll     = " eth 0a:58:0a:00:00:01 > ff:ff:ff:ff:ff:ff"
		linkLocal = "fe80::858:aff:fe00:1"
	)
	for _, row := range []struct {
		why  string
		in   string // by port 1
		drop packet.Reason
	}{
		{"its own addresses", "udp 10.0.0.1:1 > 10.0.0.2:2" + eth1, packet.None},
		{"and version 6", "udp [fd00::1]:1 > [fd00::2]:2" + eth1, packet.None},
		{"another MAC", "udp 10.0.0.1:1 > 10.0.0.2:2 eth 0a:58:0a:00:00:09 > 0a:58:0a:00:00:02", packet.SpoofGuard},
		{"another's MAC", "udp 10.0.0.2:1 > 10.0.0.1:2", packet.SpoofGuard},
		{"the router's MAC", "udp 10.0.0.1:1 > 10.0.0.2:2 eth 02:50:56:56:44:52 > 0a:58:0a:00:00:02", packet.SpoofGuard},
		{"another's address", "udp 10.0.0.2:1 > 10.0.0.2:2" + eth1, packet.SpoofGuard},
		{"another's address, version 6", "udp [fd00::2]:1 > [fd00::2]:2" + eth1, packet.SpoofGuard},
		{"an address outside", "tcp 192.0.2.1:1 > 10.0.0.2:2 S" + eth1, packet.SpoofGuard},
		{
			"an ICMP error is from who sends it, not from whom it quotes",
			"icmp 10.0.0.9 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:9 > 10.0.0.1:53 len 12 }" + eth1, packet.SpoofGuard,
		},
		{
			"an ICMP error from its own address",
			"icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:9 > 10.0.0.1:53 len 12 }" + eth1, packet.None,
		},
		{"no address, not asking for one", "udp 0.0.0.0:1 > 10.0.0.2:2" + eth1, packet.SpoofGuard},
		{"no address, asking for one by DHCP", "udp 0.0.0.0:68 > 255.255.255.255:67 len 300" + toAll, packet.None},
		{"a DHCP server without address", "udp 0.0.0.0:67 > 255.255.255.255:68 len 300" + toAll, packet.SpoofGuard},

		{"an ARP request", "arp 10.0.0.1 who-has 10.0.0.9" + toAll, packet.None},
		{"in another's name", "arp 10.0.0.2 who-has 10.0.0.9" + toAll, packet.SpoofGuard},
		{"with another's hardware address", "arp 10.0.0.1 who-has 10.0.0.9 sha 0a:58:0a:00:00:02" + toAll, packet.SpoofGuard},
		{"a probe has no sender address (RFC 5227)", "arp 0.0.0.0 who-has 10.0.0.9" + toAll, packet.None},
		{"an answer always has one", "arp 0.0.0.0 is-at 0a:58:0a:00:00:01 to 10.0.0.2" + eth1, packet.SpoofGuard},
		{"gratuitous ARP", "arp 10.0.0.1 is-at 0a:58:0a:00:00:01" + toAll, packet.None},
		{"gratuitous ARP for the gateway", "arp 10.0.0.254 is-at 0a:58:0a:00:00:01" + toAll, packet.SpoofGuard},
		{"ARP too short to be read", "arp 10.0.0.1 who-has 10.0.0.9 cut 40" + toAll, packet.SpoofGuard},

		{"the link-local address made of its MAC", "udp [" + linkLocal + "]:1 > [fd00::2]:2" + eth1, packet.None},
		{"another link-local address", "udp [fe80::1]:1 > [fd00::2]:2" + eth1, packet.SpoofGuard},
		{"no address, version 6", "udp [::]:1 > [fd00::2]:2" + eth1, packet.SpoofGuard},
		{"duplicate address detection (RFC 4862)", "icmp6 :: > ff02::1:ff00:9 ns target fd00::9 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:09", packet.None},
		{"a solicitation", "icmp6 fd00::1 > ff02::1:ff00:9 ns target fd00::9 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:09", packet.None},
		{"in another's name", "icmp6 fd00::2 > ff02::1:ff00:9 ns target fd00::9 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:09", packet.SpoofGuard},
		{"that states another's link-layer address", "icmp6 fd00::1 > ff02::1:ff00:9 ns target fd00::9 lladdr 0a:58:0a:00:00:02 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:09", packet.SpoofGuard},
		{"an advertisement of its own", "icmp6 fd00::1 > fd00::2 na target fd00::1 lladdr 0a:58:0a:00:00:01 solicited" + eth1, packet.None},
		{"an advertisement of another's", "icmp6 fd00::1 > fd00::2 na target fd00::2 lladdr 0a:58:0a:00:00:01 override" + eth1, packet.SpoofGuard},
		{"an advertisement from nobody", "icmp6 :: > ff02::1 na target fd00::1 lladdr 0a:58:0a:00:00:01 override eth 0a:58:0a:00:00:01 > 33:33:00:00:00:01", packet.SpoofGuard},
		{"a router solicitation from nobody (RFC 4861 section 6.3.7)", "icmp6 :: > ff02::2 rs eth 0a:58:0a:00:00:01 > 33:33:00:00:00:02", packet.None},
		{"that states another's link-layer address", "icmp6 fd00::1 > ff02::2 rs lladdr 0a:58:0a:00:00:02 eth 0a:58:0a:00:00:01 > 33:33:00:00:00:02", packet.SpoofGuard},
		{"a listener report from nobody (RFC 3590)", "icmp6 :: > ff02::16 type 143 code 0 hbh 8 len 20 eth 0a:58:0a:00:00:01 > 33:33:00:00:00:16", packet.None},
		{"an echo request from nobody", "icmp6 :: > fd00::2 echo" + eth1, packet.SpoofGuard},

		{"no IP: only the MAC counts", "ether type 0x88b5 len 46" + eth1, packet.None},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := newTestbed(t, boundSegment())
			_, frame := portAndFrame(t, "1 "+row.in)
			n.ports[1].Inject(frame)
			n.step()
			drops := n.drops()
			for r, count := range drops {
				want := uint64(0)
				if row.drop != packet.None && packet.Reason(r) == row.drop {
					want = 1
				}
				require.Equal(t, want, count, "drops for %v", packet.Reason(r))
			}
			if row.drop == packet.None {
				require.NotEmpty(t, n.sent(), "it is forwarded")
			} else {
				require.Empty(t, n.sent())
			}
		})
	}
}

func TestGuardOfMACAlone(t *testing.T) {
	c := boundSegment()
	c.Ports[0].Addresses = []Address{{MAC: hostMAC(1)}}
	newTestbed(t, c).run([]step{
		{
			why: "a MAC that is bound without an address may use any",
			in:  "1 udp 192.0.2.1:1 > 10.0.0.2:2 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02",
			want: []string{
				"2 udp 192.0.2.1:1 > 10.0.0.2:2 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02",
			},
		},
		{why: "but no other MAC", in: "1 udp 10.0.0.9:1 > 10.0.0.2:2", drop: packet.SpoofGuard},
	})
}

func TestConflicts(t *testing.T) {
	newTestbed(t, boundSegment()).run([]step{
		{
			why: "an unguarded port may use addresses that are nobody's", in: "3 udp 10.0.0.9:1 > 10.0.0.2:2",
			want: []string{"2 udp 10.0.0.9:1 > 10.0.0.2:2"},
		},
		{why: "not a MAC that is bound elsewhere", in: "3 udp 10.0.0.1:1 > 10.0.0.2:2", drop: packet.MACConflict},
		{
			why: "nor the router's", in: "3 udp 10.0.0.3:1 > 10.0.0.2:2 eth 02:50:56:56:44:52 > 0a:58:0a:00:00:02",
			drop: packet.MACConflict,
		},
		{why: "nor claim the gateway's address", in: "3 arp 10.0.0.254 is-at 0a:58:0a:00:00:03", drop: packet.MACConflict},
		{
			why: "nor another's", drop: packet.MACConflict,
			in: "3 arp 10.0.0.1 who-has 10.0.0.2 eth 0a:58:0a:00:00:03 > ff:ff:ff:ff:ff:ff sha 0a:58:0a:00:00:03",
		},
		{
			why: "nor by neighbour discovery", drop: packet.MACConflict,
			in: "3 icmp6 fd00::3 > ff02::1 na target fd00::1 lladdr 0a:58:0a:00:00:03 override eth 0a:58:0a:00:00:03 > 33:33:00:00:00:01",
		},
	})
}
