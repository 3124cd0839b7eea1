package reply

import (
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// rejections are frames that come in by a port, and what goes back there; empty is nothing.
var rejections = []struct {
	why  string
	port int
	in   string
	want string
}{
	// RFC 9293 section 3.10.7.1, and 3.5.2: what a closed port says.
	{
		"a SYN is answered with RST and ACK of its number and one", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 mss 1460",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 101 win 0 df",
	},
	{
		"data with it count too (RFC 7413)", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 len 5",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 106 win 0 df",
	},
	{
		"numbers wrap", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 0xffffffff",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 0 win 0 df",
	},
	{
		"a segment with ACK is answered with the number that its sender expects", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq 100 ack 7000 len 10",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 R seq 7000 win 0 df",
	},
	{
		"and so is a SYN/ACK", plain,
		"tcp 10.0.0.1:80 > 10.0.0.2:1000 SA seq 100 ack 7000",
		"tcp 10.0.0.2:1000 > 10.0.0.1:80 R seq 7000 win 0 df",
	},
	{
		"a FIN without ACK counts for one", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 F seq 100 len 4",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 105 win 0 df",
	},
	{
		"a segment without any flag is answered as well", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 none seq 100",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 100 win 0 df",
	},
	{"a RST never", plain, "tcp 10.0.0.1:1000 > 10.0.0.2:80 R seq 100", ""},
	{"nor one with ACK", plain, "tcp 10.0.0.1:1000 > 10.0.0.2:80 RA seq 100 ack 5", ""},
	{
		"in IPv6 it is the same", plain,
		"tcp [fd00::1]:1000 > [fd00::2]:80 S seq 100",
		"tcp [fd00::2]:80 > [fd00::1]:1000 RA ack 101 win 0",
	},
	{
		"headers between do not count as data", plain,
		"tcp [fd00::1]:1000 > [fd00::2]:80 S seq 100 hbh 8 options 16 len 3",
		"tcp [fd00::2]:80 > [fd00::1]:1000 RA ack 104 win 0",
	},
	{
		"nor do options, nor what pads the frame", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 options 8 sackok mss 1460 pad 20",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 101 win 0 df",
	},
	{
		"a checksum that a device was to complete is as good as a right one", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 partial",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 101 win 0 df",
	},
	{"what arrived damaged would not have been answered by its receiver either", plain, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 badcsum", ""},
	{"nor would a damaged header", plain, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 badipcsum", ""},
	{
		"of a first fragment there is no checksum to be had", plain,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 id 9 mf len 4 badcsum",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 105 win 0 df",
	},

	// All other protocols.
	{
		"UDP is administratively prohibited", plain,
		"udp 10.0.0.1:9 > 10.0.0.2:53 len 12",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable admin tos 0xc0 df quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 12 }",
	},
	{
		"the quote ends where every host's buffer may (RFC 1812 section 4.3.2.3)", plain,
		"udp 10.0.0.1:9 > 10.0.0.2:53 len 1000",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable admin tos 0xc0 df quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 1000 cut 548 }",
	},
	{
		"ICMPv6 quotes up to the minimum MTU (RFC 4443 section 2.4 c)", plain,
		"udp [fd00::1]:9 > [fd00::2]:53 len 1400",
		"icmp6 fd00::2 > fd00::1 unreachable admin quote { udp [fd00::1]:9 > [fd00::2]:53 len 1400 cut 1232 }",
	},
	{
		"a link-local sender of IPv6 is one like any other", plain,
		"udp [fe80::1]:9 > [fd00::2]:53",
		"icmp6 fd00::2 > fe80::1 unreachable admin quote { udp [fe80::1]:9 > [fd00::2]:53 }",
	},
	{
		"SCTP is told by ICMP too", plain,
		"sctp 10.0.0.1:1 > 10.0.0.2:2 init itag 99",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable admin tos 0xc0 df quote { sctp 10.0.0.1:1 > 10.0.0.2:2 init itag 99 }",
	},
	{
		"and a protocol without ports", plain,
		"ip 10.0.0.1 > 10.0.0.2 proto 47 len 8",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable admin tos 0xc0 df quote { ip 10.0.0.1 > 10.0.0.2 proto 47 len 8 }",
	},
	{
		"a ping is not an error", plain,
		"icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable admin tos 0xc0 df quote { icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1 }",
	},
	{"UDP over IPv6 without a checksum would not have arrived (RFC 8200 section 8.1)", plain, "udp [fd00::1]:9 > [fd00::2]:53 nocsum", ""},
	{"an ICMP error is never answered", plain, "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:9 > 10.0.0.1:53 }", ""},
	{"nor one that quotes nothing", plain, "icmp 10.0.0.1 > 10.0.0.2 ttl-exceeded", ""},
	{"nor one of IPv6", plain, "icmp6 fd00::1 > fd00::2 too-big mtu 1300", ""},
	{"nor one of a type that is yet to be invented (RFC 4443 section 2.1)", plain, "icmp6 fd00::1 > fd00::2 type 100 code 0", ""},
	{"nor an ICMP message that nobody knows", plain, "icmp 10.0.0.1 > 10.0.0.2 type 44 code 0", ""},
	{"nor a redirect of IPv6 (RFC 4443 section 2.4 e)", plain, "icmp6 fd00::1 > fd00::2 type 137 code 0 len 40", ""},
	{"IGMP is for nobody to answer", plain, "ip 10.0.0.1 > 10.0.0.2 proto 2 len 8", ""},
	{"a group is not answered for", plain, "udp 10.0.0.1:5353 > 224.0.0.251:5353", ""},
	{"nor is broadcast", plain, "udp 10.0.0.1:68 > 255.255.255.255:67", ""},
	{"nor what was sent to all as a frame", plain, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff", ""},
	{"nobody is who sends from no address", plain, "udp 0.0.0.0:68 > 10.0.0.2:67", ""},
	{"nor from loopback", plain, "tcp 127.0.0.1:1000 > 10.0.0.2:80 S", ""},
	{"nor from a group", plain, "udp 224.0.0.1:9 > 10.0.0.2:53 eth 02:00:00:00:00:01 > 02:00:00:00:00:02", ""},
	{"nor from no IPv6 address", plain, "udp [::]:9 > [fd00::2]:53", ""},
	{"ARP has no errors", plain, "arp 10.0.0.1 who-has 10.0.0.2", ""},

	// Where it goes.
	{
		"the answer comes from whom the frame was for, a router for instance", plain,
		"udp 10.0.0.1:9 > 192.0.2.1:53 eth 02:00:00:00:00:01 > 02:50:56:56:44:52",
		"icmp 192.0.2.1 > 10.0.0.1 unreachable admin tos 0xc0 df quote { udp 10.0.0.1:9 > 192.0.2.1:53 } eth 02:50:56:56:44:52 > 02:00:00:00:00:01",
	},
	{
		"in the VLAN in which it came", trunk,
		"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 vlan 10",
		"tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 101 win 0 df vlan 10",
	},
	{
		"and behind both tags", trunk,
		"udp 10.0.0.1:9 > 10.0.0.2:53 qinq 20 vlan 30",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable admin tos 0xc0 df quote { udp 10.0.0.1:9 > 10.0.0.2:53 } qinq 20 vlan 30",
	},
	{
		"an uplink has one zone of its own and one for its sessions", uplink,
		"tcp 192.0.2.9:1000 > 10.0.0.2:80 S seq 100",
		"tcp 10.0.0.2:80 > 192.0.2.9:1000 RA ack 101 win 0 df",
	},
}

func TestReject(t *testing.T) {
	n, r := rejecting(t, 0, nil)
	var want RejectStats
	for _, row := range rejections {
		partial := strings.Contains(row.in, "partial")
		frame := frameOf(t, row.in)
		meta := packet.Meta{CsumPartial: partial, CsumStart: packet.EthernetSize + packet.IPv4MinSize, CsumOffset: 16}
		require.True(t, n.mem[row.port].InjectFrame(mem.Frame{Data: frame, Meta: meta}))
		n.step()
		require.Equal(t, canonical(t, row.want), n.sent(row.port), row.why)
		switch {
		case row.want == "":
			want.Silent++
		case strings.HasPrefix(row.want, "tcp"):
			want.Resets++
		default:
			want.Errors++
		}
	}
	require.Equal(t, want, r.Stats())
	for _, p := range []int{plain, trunk, other, uplink} {
		require.Empty(t, n.sent(p), "nobody but the sender is told")
	}
	ledger := n.engine.Ledger()
	require.Equal(t, want.Resets+want.Errors, ledger.Generated)
	require.Equal(t, uint64(len(rejections)), ledger.Dropped, "every frame is dropped, whether its sender is told or not")
}

func TestRejectSuperFrame(t *testing.T) {
	n, _ := rejecting(t, 0, nil)
	frame := frameOf(t, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 partial len 9000")
	n.mem[plain].InjectFrame(mem.Frame{Data: frame, Meta: packet.Meta{
		GSOType: packet.GSOTCPv4, GSOSize: 1448, HdrLen: 54,
		CsumPartial: true, CsumStart: packet.EthernetSize + packet.IPv4MinSize, CsumOffset: 16,
	}})
	n.step()
	require.Equal(t, canonical(t, "tcp 10.0.0.2:80 > 10.0.0.1:1000 RA ack 9101 win 0 df"), n.sent(plain),
		"one reset for all its segments, with the number behind the last")
}

func TestRejectLimit(t *testing.T) {
	n, r := rejecting(t, 8, nil)
	syn := "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100"
	for range 5 {
		n.inject(plain, syn)
	}
	require.Len(t, n.sent(plain), 2, "a port has a quarter of the allowance")
	n.inject(other, "udp 10.0.0.3:9 > 10.0.0.2:53")
	require.Len(t, n.sent(other), 1, "another port has its own")
	n.now += 1e9
	n.inject(plain, syn)
	require.Len(t, n.sent(plain), 1, "and it comes back with time")
	require.Equal(t, RejectStats{Resets: 3, Errors: 1, Limited: 3}, r.Stats())
	require.Equal(t, uint64(7), n.engine.Ledger().Dropped)
}

// TestRejectDecoded has another decoder judge the answers.
func TestRejectDecoded(t *testing.T) {
	n, _ := rejecting(t, 0, nil)
	for _, row := range rejections {
		n.inject(row.port, row.in)
		for _, f := range n.mem[row.port].Sent() {
			p := gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.Default)
			require.Nil(t, p.ErrorLayer(), row.why)
			if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
				require.True(t, tcp.RST, row.why)
				require.Equal(t, uint8(5), tcp.DataOffset)
				require.Zero(t, tcp.Window)
				require.Empty(t, tcp.Payload)
				require.False(t, tcp.SYN || tcp.FIN || tcp.PSH || tcp.URG, row.why)
			}
			requireChecksums(t, p, row.why)
		}
	}
}

// requireChecksums computes the checksums of a packet anew, by the other decoder.
func requireChecksums(t *testing.T, p gopacket.Packet, why string) {
	t.Helper()
	var list []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.TCP:
			require.NoError(t, l.SetNetworkLayerForChecksum(p.NetworkLayer()))
		case *layers.ICMPv6:
			require.NoError(t, l.SetNetworkLayerForChecksum(p.NetworkLayer()))
		}
		if s, ok := l.(gopacket.SerializableLayer); ok {
			list = append(list, s)
		} else {
			list = append(list, gopacket.Payload(l.LayerContents()))
		}
	}
	b := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{ComputeChecksums: true}, list...), why)
	require.Equal(t, p.Data(), b.Bytes()[:len(p.Data())], why) // what it pads is not ours
}
