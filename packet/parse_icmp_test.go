package packet

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseICMP(t *testing.T) {
	v4 := func(proto uint8, p ...[]byte) []byte { return eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: proto}, p...)) }
	v6 := func(p ...[]byte) []byte { return eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoICMPv6}, p...)) }
	head := func(n int) string {
		return fmt.Sprintf("ipv4 %%stype=0x800 l3=14 l4=34 len=%d proto=1 ttl=64 | proto ", n)
	}
	const id = 0xabcd0001
	var rows []parseRow
	for _, q := range []struct{ request, reply uint8 }{{8, 0}, {13, 14}, {15, 16}, {17, 18}, {42, 43}} {
		rows = append(rows, parseRow{
			"a query's identifier is the client's port", v4(ProtoICMP, icmp(q.request, 0, id)),
			fmt.Sprintf("NONE "+head(28), "ports ") + fmt.Sprintf("1 zone 0 192.168.0.1:43981 > 192.168.0.2:%d", int(q.request)<<8),
		}, parseRow{
			"a reply has the request's type as its source port", v4(ProtoICMP, icmp(q.reply, 0, id)),
			fmt.Sprintf("NONE "+head(28), "ports ") + fmt.Sprintf("1 zone 0 192.168.0.1:%d > 192.168.0.2:43981", int(q.request)<<8),
		})
	}
	for _, q := range []struct{ request, reply uint8 }{{128, 129}, {160, 161}} {
		rows = append(rows, parseRow{
			"an ICMPv6 query", v6(icmp(q.request, 0, id)),
			fmt.Sprintf("NONE ipv6 ports type=0x86dd l3=14 l4=54 len=48 proto=58 ttl=64 | proto 58 zone 0 [2001:db8::1]:43981 > [2001:db8::2]:%d", int(q.request)<<8),
		}, parseRow{
			"an ICMPv6 reply", v6(icmp(q.reply, 0, id)),
			fmt.Sprintf("NONE ipv6 ports type=0x86dd l3=14 l4=54 len=48 proto=58 ttl=64 | proto 58 zone 0 [2001:db8::1]:%d > [2001:db8::2]:43981", int(q.request)<<8),
		})
	}
	rows = append(rows, parseRow{
		"neighbour discovery is no query", v6(icmp(ICMPv6NeighborSolicitation, 0, 0, make([]byte, 16))),
		"NONE ipv6 type=0x86dd l3=14 l4=54 len=64 proto=58 ttl=64 " + fmt.Sprintf(no6, 58),
	}, parseRow{
		"nor is a router advertisement", v4(ProtoICMP, icmp(ICMPRouterAdvertisement, 0, id)),
		fmt.Sprintf("NONE "+head(28), "") + "1 zone 0 192.168.0.1:0 > 192.168.0.2:0",
	})
	runParseRows(t, rows)
}

// The session that an error belongs to went the other way: from b to a.
func TestParseICMPErrors(t *testing.T) {
	from := func(src, dst Addr, f IPv4Fields, p ...[]byte) []byte {
		f.Src, f.Dst = src, dst
		return ip4(f, p...)
	}
	from6 := func(next uint8, p ...[]byte) []byte {
		return ip6(IPv6Fields{NextHeader: next, Src: b6, Dst: a6}, p...)
	}
	q4 := func(proto uint8, p ...[]byte) []byte { return from(b4, a4, IPv4Fields{Proto: proto}, p...) }
	outer4 := "proto 1 zone 0 192.168.0.1:0 > 192.168.0.2:0"
	outer6 := "proto 58 zone 0 [2001:db8::1]:0 > [2001:db8::2]:0"
	other := addr("203.0.113.9")
	for _, row := range []struct {
		why    string
		v6     bool
		quote  []byte
		key    string
		quoted bool
	}{
		{"UDP", false, q4(ProtoUDP, udp(53, 8080)), "proto 17 zone 0 192.168.0.1:8080 > 192.168.0.2:53", true},
		{"TCP cut after 8 bytes", false, q4(ProtoTCP, tcp(TCPSyn)[:8]), "proto 6 zone 0 192.168.0.1:80 > 192.168.0.2:1000", true},
		{"SCTP with more than 8 bytes", false, q4(ProtoSCTP, sctp()), "proto 132 zone 0 192.168.0.1:3868 > 192.168.0.2:1000", true},
		{
			"a router on the way complains: the key has the session's addresses, not its own", false,
			from(b4, other, IPv4Fields{Proto: ProtoUDP}, udp(53, 8080)), "proto 17 zone 0 203.0.113.9:8080 > 192.168.0.2:53", true,
		},
		{"with IP options", false, from(b4, a4, IPv4Fields{Proto: ProtoUDP, Options: make([]byte, 40)}, udp(53, 8080)), "proto 17 zone 0 192.168.0.1:8080 > 192.168.0.2:53", true},
		{"an echo request", false, q4(ProtoICMP, icmp(8, 0, 7<<16)), "proto 1 zone 0 192.168.0.1:2048 > 192.168.0.2:7", true},
		{"an echo reply", false, q4(ProtoICMP, icmp(0, 0, 7<<16)), "proto 1 zone 0 192.168.0.1:7 > 192.168.0.2:2048", true},
		{"a protocol without ports, header only", false, q4(253), "proto 253 zone 0 192.168.0.1:0 > 192.168.0.2:0", true},
		{"a first fragment", false, from(b4, a4, IPv4Fields{Proto: ProtoUDP, MoreFragments: true}, udp(53, 8080)), "proto 17 zone 0 192.168.0.1:8080 > 192.168.0.2:53", true},
		{"a total length in the wrong byte order", false, from(b4, a4, IPv4Fields{Proto: ProtoUDP, Length: 0x1c00}, udp(53, 8080)), "proto 17 zone 0 192.168.0.1:8080 > 192.168.0.2:53", true},
		{"a later fragment has no ports", false, from(b4, a4, IPv4Fields{Proto: ProtoUDP, FragmentOffset: 1480}, udp(53, 8080)), outer4, false},
		{"an error about an error", false, q4(ProtoICMP, icmp(3, 3, 0)), outer4, false},
		{"UDP cut after 7 bytes", false, q4(ProtoUDP, udp(53, 8080)[:7]), outer4, false},
		{"IP header cut off", false, q4(ProtoUDP)[:19], outer4, false},
		{"IP options cut off", false, from(b4, a4, IPv4Fields{Proto: ProtoUDP, Options: make([]byte, 40)})[:59], outer4, false},
		{"an IPv6 packet in ICMP", false, from6(ProtoUDP, udp(53, 8080)), outer4, false},
		{"nothing", false, nil, outer4, false},
		{"IPv6 UDP", true, from6(ProtoUDP, udp(53, 8080)), "proto 17 zone 0 [2001:db8::1]:8080 > [2001:db8::2]:53", true},
		{"IPv6 with extension headers", true, from6(ProtoHopByHop, ext(ProtoUDP), udp(53, 8080)), "proto 17 zone 0 [2001:db8::1]:8080 > [2001:db8::2]:53", true},
		{"IPv6 echo request", true, from6(ProtoICMPv6, icmp(128, 0, 7<<16)), "proto 58 zone 0 [2001:db8::1]:32768 > [2001:db8::2]:7", true},
		{
			"an IPv6 first fragment", true, from6(ProtoFragment, frag6(IPv6FragmentFields{Next: ProtoUDP, More: true}), udp(53, 8080)),
			"proto 17 zone 0 [2001:db8::1]:8080 > [2001:db8::2]:53", true,
		},
		{
			"an IPv6 later fragment", true, from6(ProtoFragment, frag6(IPv6FragmentFields{Next: ProtoUDP, Offset: 1448}), udp(53, 8080)),
			outer6, false,
		},
		{"an IPv6 error about an error", true, from6(ProtoICMPv6, icmp(1, 4, 0)), outer6, false},
		{"IPv6 chain cut off", true, from6(ProtoHopByHop, ext(ProtoDestOpts)), outer6, false},
		{"IPv6 header cut off", true, from6(ProtoUDP)[:39], outer6, false},
		{
			"an IPv6 packet with mapped addresses must not name an IPv4 session", true,
			ip6(IPv6Fields{NextHeader: ProtoUDP, Src: b4, Dst: a4}, udp(53, 8080)), outer6, false,
		},
		{"an IPv4 packet in ICMPv6", true, q4(ProtoUDP, udp(53, 8080), make([]byte, 20)), outer6, false},
	} {
		frame, l4, proto := eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoICMP}, icmp(3, 3, 0, row.quote))), 34, ProtoICMP
		if row.v6 {
			frame, l4, proto = eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoICMPv6}, icmp(1, 4, 0, row.quote))), 54, ProtoICMPv6
		}
		var in Info
		require.Equal(t, None, Parse(frame, &in), row.why)
		require.True(t, in.Has(ICMPError), row.why)
		require.False(t, in.Has(HasPorts), row.why)
		require.EqualValues(t, proto, in.Proto, row.why)
		require.Equal(t, row.key, in.Key.String(), row.why)
		offset, ok := QuotedPacket(frame, &in)
		require.Equal(t, row.quoted, ok, row.why)
		if ok {
			require.Equal(t, l4+ICMPSize, offset, row.why)
		}
	}
	var in Info
	require.Equal(t, None, Parse(unhex(t, udp4Hex), &in))
	_, ok := QuotedPacket(unhex(t, udp4Hex), &in)
	require.False(t, ok, "a packet that is no error quotes nothing")
}

// A request's key reversed is its reply's, and an error about the request has
// the reply's key as well.
func TestKeysMeet(t *testing.T) {
	parse := func(frame []byte) Key {
		var in Info
		require.Equal(t, None, Parse(frame, &in))
		return in.Key
	}
	request := ip4(IPv4Fields{Proto: ProtoICMP}, icmp(ICMPEcho, 0, 0x12340001))
	reply := ip4(IPv4Fields{Proto: ProtoICMP, Src: b4, Dst: a4}, icmp(ICMPEchoReply, 0, 0x12340001))
	failure := ip4(IPv4Fields{Proto: ProtoICMP, Src: addr("198.51.100.1"), Dst: a4}, icmp(ICMPUnreachable, 1, 0, request))
	k := parse(eth(EtherTypeIPv4, request))
	require.Equal(t, k.Reverse(), parse(eth(EtherTypeIPv4, reply)))
	require.Equal(t, k.Reverse(), parse(eth(EtherTypeIPv4, failure)))
}
