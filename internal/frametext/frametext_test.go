package frametext

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// lines are written as Format writes them: Format(Parse(line)) == line.
var lines = []string{
	"udp 10.0.0.1:9 > 10.0.0.2:53",
	"udp 10.0.0.1:9 > 10.0.0.2:53 len 12",
	`udp 10.0.0.1:9 > 10.0.0.2:53 data "GET / HTTP/1.1\r\n"`,
	`udp 10.0.0.1:9 > 10.0.0.2:53 data "GET /" len 100`,
	"udp 10.0.0.1:9 > 10.0.0.2:53 hex 00ff80",
	"udp 10.0.0.1:9 > 10.0.0.2:53 badcsum len 1",
	"udp 10.0.0.1:9 > 10.0.0.2:53 nocsum len 1",
	"udp 10.0.0.1:9 > 10.0.0.2:53 partial len 1",
	"udp 10.0.0.1:9 > 10.0.0.2:53 csum 0x1234",
	"udp 10.0.0.1:9 > 10.0.0.2:53 badipcsum",
	"udp 10.0.0.1:9 > 10.0.0.2:53 ipcsum 0x0",
	"udp 10.0.0.1:9 > 10.0.0.2:53 pad 3 len 4 trailer 01020300",
	"udp 10.0.0.1:9 > 10.0.0.2:53 ttl 1 tos 0xb8 id 7 df",
	"udp 10.0.0.1:9 > 10.0.0.2:53 id 7 mf len 1472",
	"ip 10.0.0.1 > 10.0.0.2 proto 17 id 7 off 1480 len 20",
	"udp 10.0.0.1:9 > 10.0.0.2:53 options 8 pad 10",
	"udp 10.0.0.1:9 > 10.0.0.2:53 eth 02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 100",
	"udp 10.0.0.1:9 > 10.0.0.2:53 vlan 100.5",
	"udp 10.0.0.1:9 > 10.0.0.2:53 qinq 200 vlan 100.7 len 3",
	"udp 10.0.0.1:68 > 255.255.255.255:67",
	"udp 10.0.0.1:5353 > 224.0.0.251:5353 ttl 255",
	"udp 10.0.0.1:9 > 10.0.0.2:53 cut 40 len 30",
	"udp [2001:db8::1]:9 > [2001:db8::2]:53 len 12",
	"udp [2001:db8::1]:9 > [ff02::fb]:53 flow 0xabcde len 12",
	"udp [2001:db8::1]:9 > [2001:db8::2]:53 nocsum",
	"udp [2001:db8::1]:9 > [2001:db8::2]:53 id 70000 mf len 16",
	"udp [2001:db8::1]:9 > [2001:db8::2]:53 id 70000 frag len 16",
	"udp [2001:db8::1]:9 > [2001:db8::2]:53 options 16 hbh 8 len 16",
	"udp [2001:db8::1]:9 > [2001:db8::2]:53 options 304",
	"ip 2001:db8::1 > 2001:db8::2 proto 17 id 70000 off 16 len 16",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 SA seq 5 ack 7 win 100 mss 1460 wscale 7",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 5 sackok mss 1460 ts 100 0 wscale 7",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 A ts 100 200 len 1448",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 none",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 FSRPAUEW urg 3",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 A opts 0101050a0000000100000002",
	"tcp [2001:db8::1]:1000 > [2001:db8::2]:80 SEW sackok mss 1440",
	"tcp 10.0.0.1:1000 > 10.0.0.2:80 PA partial len 100",
	"icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1 len 56",
	"icmp 10.0.0.1 > 10.0.0.2 reply ipid 9 id 7 seq 1",
	"icmp 10.0.0.1 > 10.0.0.2 ttl-exceeded quote { udp 10.0.0.2:9 > 10.0.0.3:53 ttl 1 len 12 }",
	"icmp 10.0.0.1 > 10.0.0.2 frag-needed mtu 1400 quote { tcp 10.0.0.2:1 > 10.0.0.3:2 none seq 5 cut 28 len 1460 }",
	"ip 10.0.0.1 > 10.0.0.2 proto 4 df quote { tcp 192.0.2.1:9 > 192.0.2.2:53 S ttl 63 seq 5 }",
	"ip 10.0.0.1 > 10.0.0.2 proto 41 quote { udp [2001:db8::1]:9 > [2001:db8::2]:53 len 12 }",
	"ip 2001:db8::1 > 2001:db8::2 proto 41 flow 0x4d quote { udp [2001:db8::3]:9 > [2001:db8::4]:53 len 12 }",
	"icmp 10.0.0.1 > 10.0.0.2 unreachable net quote { ip 10.0.0.2 > 10.0.0.3 proto 47 len 8 }",
	"icmp 10.0.0.1 > 10.0.0.2 unreachable host",
	"icmp 10.0.0.1 > 10.0.0.2 unreachable proto",
	"icmp 10.0.0.1 > 10.0.0.2 unreachable port hex 4500",
	`icmp 10.0.0.1 > 10.0.0.2 unreachable admin quote { udp 10.0.0.2:9 > 10.0.0.3:53 cut 40 data "GET / HTTP/1" len 1000 }`,
	"icmp 10.0.0.1 > 10.0.0.2 type 5 code 1 rest 0xa000001",
	"icmp 10.0.0.1 > 10.0.0.2 type 13 code 0 len 12",
	"icmp 10.0.0.1 > 10.0.0.2 reassembly-exceeded badcsum",
	"icmp6 2001:db8::1 > 2001:db8::2 echo id 7 seq 1 len 8",
	"icmp6 2001:db8::1 > 2001:db8::2 reply id 7 seq 1",
	"icmp6 2001:db8::1 > 2001:db8::2 too-big mtu 70000 quote { udp [2001:db8::2]:9 > [2001:db8::3]:53 cut 48 len 2000 }",
	"icmp6 2001:db8::1 > 2001:db8::2 ttl-exceeded quote { icmp6 2001:db8::2 > 2001:db8::9 echo ttl 1 id 1 }",
	"icmp6 2001:db8::1 > 2001:db8::2 unreachable port",
	"icmp6 2001:db8::1 > 2001:db8::2 unreachable net",
	"icmp6 2001:db8::1 > 2001:db8::2 unreachable admin",
	"icmp6 2001:db8::1 > 2001:db8::2 unreachable host",
	"icmp6 2001:db8::1 > ff02::1:ff00:2 ns target fe80::2 lladdr 02:00:00:00:00:01",
	"icmp6 :: > ff02::1:ff00:2 ns target fe80::2",
	"icmp6 fe80::2 > fe80::1 na target fe80::2 solicited override lladdr 02:00:00:00:00:02",
	"icmp6 fe80::2 > ff02::1 na target fe80::2 ttl 64 router",
	"icmp6 fe80::2 > ff02::2 rs lladdr 02:00:00:00:00:02",
	"icmp6 fe80::2 > ff02::1 type 134 code 0 ttl 255 len 8",
	"arp 10.0.0.1 who-has 10.0.0.2",
	"arp 10.0.0.1 who-has 10.0.0.1",
	"arp 0.0.0.0 who-has 10.0.0.2 pad 18 sha 02:00:00:00:00:01",
	"arp 10.0.0.1 who-has 10.0.0.2 sha 02:00:00:00:00:09 tha 02:00:00:00:00:08",
	"arp 10.0.0.1 who-has 10.0.0.2 eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff sha 02:00:00:00:00:09",
	"arp 10.0.0.2 is-at 02:00:00:00:00:02",
	"arp 10.0.0.2 is-at 02:00:00:00:00:02 to 10.0.0.1",
	"arp 10.0.0.2 is-at 02:00:00:00:00:02 to 10.0.0.1 eth 02:00:00:00:00:07 > 02:00:00:00:00:01 vlan 5 tha 02:00:00:00:00:08",
	"sctp 10.0.0.1:1 > 10.0.0.2:2 init itag 99",
	"sctp 10.0.0.1:1 > 10.0.0.2:2 init-ack tag 99 itag 100 badcsum",
	"sctp 10.0.0.1:1 > 10.0.0.2:2 data tag 99 flags 3 tsn 5 len 7",
	"sctp [2001:db8::1]:1 > [2001:db8::2]:2 cookie-echo tag 99 len 20",
	"sctp 10.0.0.1:1 > 10.0.0.2:2 shutdown-complete tag 99",
	"sctp 10.0.0.1:1 > 10.0.0.2:2 chunk 200 csum 0x1020304",
	"ip 10.0.0.1 > 10.0.0.2 proto 89 len 20",
	"ip 2001:db8::1 > 2001:db8::2 proto 59",
	"ip 10.0.0.1 > 10.0.0.2 proto 6 hex 01",
	"ether type 0x88cc len 46",
	"ether type 0x0026 eth 02:00:00:00:00:01 > 01:80:c2:00:00:00 hex 424203",
	"ether type 0x0806 vlan 5 hex 0001",
	"raw",
	"raw 00",
	"raw 0a580a0000020a580a000001",
}

func TestLinesAreFixpoints(t *testing.T) {
	for _, line := range lines {
		frame, err := Parse(line)
		require.NoError(t, err, line)
		require.Equal(t, line, Format(frame), "%x", frame)
	}
}

func TestLinesThatSayTheSame(t *testing.T) {
	for _, tt := range []struct{ why, line, same string }{
		{"attributes come in any order", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12 ttl 3 vlan 7 df", "udp 10.0.0.1:9 > 10.0.0.2:53 df vlan 7 ttl 3 len 12"},
		{"also the part and the whole of a payload", `udp 10.0.0.1:9 > 10.0.0.2:53 len 9 data "GET"`, `udp 10.0.0.1:9 > 10.0.0.2:53 data "GETdefghi"`},
		{"blanks and number bases do not matter", "\tudp  10.0.0.1:9 >\t10.0.0.2:53 ttl 0x10 ", "udp 10.0.0.1:9 > 10.0.0.2:53 ttl 16"},
		{"defaults may be written", "udp 10.0.0.1:9 > 10.0.0.2:53 ttl 64 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02", "udp 10.0.0.1:9 > 10.0.0.2:53"},
		{"an ARP reply to the one who has the address is gratuitous", "arp 10.0.0.1 is-at 02:00:00:00:00:02 to 10.0.0.1", "arp 10.0.0.1 is-at 02:00:00:00:00:02"},
		{"the sender in an ARP request is the frame's", "arp 10.0.0.1 who-has 10.0.0.2 eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff", "arp 10.0.0.1 who-has 10.0.0.2 sha 02:00:00:00:00:01"},
		{"ICMP by number", "icmp 10.0.0.1 > 10.0.0.2 type 3 code 4 mtu 1400", "icmp 10.0.0.1 > 10.0.0.2 frag-needed mtu 1400"},
		{"IP's identification has a name that is free everywhere", "udp 10.0.0.1:9 > 10.0.0.2:53 ipid 7", "udp 10.0.0.1:9 > 10.0.0.2:53 id 7"},
		{"raw digits may be grouped", "raw 0001 02", "raw 000102"},
		{"braces need no blanks", "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote{udp 10.0.0.2:1 > 10.0.0.1:2}", "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:1 > 10.0.0.1:2 }"},
	} {
		got, err := Parse(tt.line)
		require.NoError(t, err, tt.why)
		want, err := Parse(tt.same)
		require.NoError(t, err, tt.why)
		require.Equal(t, want, got, tt.why)
	}
}

func TestFramesToTheByte(t *testing.T) {
	for _, tt := range []struct{ why, line, want string }{
		{
			"MAC addresses come from the IP addresses, checksums are right", "udp 10.0.0.1:9 > 10.0.0.2:53 len 2",
			"0a580a000002 0a580a000001 0800 4500001e 00000000 401166cd 0a000001 0a000002 00090035 000a8a37 6162",
		},
		{
			"RFC 826 request", "arp 10.0.0.1 who-has 10.0.0.2",
			"ffffffffffff 0a580a000001 0806 0001 0800 06 04 0001 0a580a000001 0a000001 000000000000 0a000002",
		},
		{
			"RFC 826 reply goes to whoever asked", "arp 10.0.0.2 is-at 02:00:00:00:00:02 to 10.0.0.1",
			"0a580a000001 020000000002 0806 0001 0800 06 04 0002 020000000002 0a000002 0a580a000001 0a000001",
		},
		{
			"tags nest as written", "ether type 0x88cc qinq 200 vlan 100.3 hex 99",
			"ffffffffffff 020000000001 88a8 00c8 8100 6064 88cc 99",
		},
		{
			"RFC 1112 section 6.4: 23 bits of the group", "ip 10.0.0.1 > 239.129.2.3 proto 2",
			"01005e010203 0a580a000001 0800 45000014 00000000 4002 7f63 0a000001 ef810203",
		},
		{
			"RFC 2464 section 7", "ip fe80::1 > ff02::1:ff00:2 proto 59",
			"3333ff000002 0a5800000001 86dd 60000000 0000 3b 40 fe800000000000000000000000000001 ff0200000000000000000001ff000002",
		},
	} {
		got, err := Parse(tt.line)
		require.NoError(t, err, tt.why)
		require.Equal(t, strings.ReplaceAll(tt.want, " ", ""), hex.EncodeToString(got), tt.why)
	}
}

func TestChecksumsAreRightByDefault(t *testing.T) {
	for _, tt := range []struct {
		line  string
		right bool
	}{
		{"udp 10.0.0.1:9 > 10.0.0.2:53 len 5", true},
		{"udp 10.0.0.1:9 > 10.0.0.2:53 len 5 badcsum", false},
		{"tcp [2001:db8::1]:9 > [2001:db8::2]:53 PA len 5", true},
		{"tcp [2001:db8::1]:9 > [2001:db8::2]:53 PA len 5 partial", false},
		{"icmp6 2001:db8::1 > 2001:db8::2 echo len 3", true},
		{"sctp 10.0.0.1:9 > 10.0.0.2:53 data len 3", true},
		{"sctp 10.0.0.1:9 > 10.0.0.2:53 data len 3 badcsum", false},
	} {
		f, err := Parse(tt.line)
		require.NoError(t, err)
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(f, &in), tt.line)
		require.False(t, in.Has(packet.BadIPChecksum))
		require.Equal(t, tt.right, packet.VerifyTransport(f, int(in.L3), int(in.L4), int(in.IPLen), in.Proto), tt.line)
	}
	f, err := Parse("udp 10.0.0.1:9 > 10.0.0.2:53 badipcsum")
	require.NoError(t, err)
	require.NotZero(t, packet.Checksum(f[14:34]))
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		line   string
		column int
		want   string
	}{
		{"", 1, "one of udp"},
		{"foo", 1, "one of udp"},
		{"udp", 4, "ADDRESS:PORT"},
		{"udp 10.0.0.1 > 10.0.0.2:1", 5, "ADDRESS:PORT"},
		{"udp 10.0.0.1:1 10.0.0.2:1", 16, `">"`},
		{"udp 10.0.0.1:1 > [::1]:1", 18, "same version"},
		{"udp 10.0.0.1:70000 > 10.0.0.2:1", 5, "ADDRESS:PORT"},
		{"udp [fe80::1%eth0]:1 > [fe80::2]:1", 5, "ADDRESS:PORT"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 seq 5", 29, "an attribute of udp"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 ttl 256", 33, "from 0 to 255"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 ttl", 32, "from 0 to 255, but the line ends"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 ttl 1_0", 33, "from 0 to 255"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 ttl 1 ttl 1", 35, "once"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 data \"a\" hex 00", 38, "once"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 data \"abc\" len 2", 1, "at least the payload"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 data \"abc", 34, `ends with "`},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 data abc", 34, "double quotes"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 hex abc", 33, "hexadecimal"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 len 65535", 1, "65535 bytes"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 off 8", 1, "later fragment"},
		{"ip 10.0.0.1 > 10.0.0.2 proto 17 off 9", 1, "multiple of 8"},
		{"ip 10.0.0.1 > 10.0.0.2 proto 17 options 5", 1, "whole words"},
		{"ip 10.0.0.1 > 10.0.0.2 proto 17 options 44", 1, "40 bytes"},
		{"ip ::1 > ::2 proto 17 options 12", 1, "whole words"},
		{"ip ::1 > ::2 proto 17 df", 23, "an attribute of ip"},
		{"ip ::1 > ::2 proto 17 id 4", 1, "fragments only"},
		{"ip 10.0.0.1 > 10.0.0.2 proto 17 id 65536", 1, "16 bits"},
		{"ip 10.0.0.1 > 10.0.0.2", 23, `"proto"`},
		{"tcp 10.0.0.1:1 > 10.0.0.2:1 seq 5", 29, "TCP flags"},
		{"tcp 10.0.0.1:1 > 10.0.0.2:1 SS", 29, "TCP flags"},
		{"tcp 10.0.0.1:1 > 10.0.0.2:1 S opts 010101", 36, "words of 4"},
		{"tcp 10.0.0.1:1 > 10.0.0.2:1 S opts 01010101 mss 5", 1, "either opts"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 vlan 4096", 34, "VLAN number"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 vlan 1.8", 34, "VLAN number"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 eth 02:00 > 02:00:00:00:00:01", 33, "a MAC address"},
		{"icmp 10.0.0.1 > 10.0.0.2 hello", 26, "an ICMP message"},
		{"icmp 10.0.0.1 > 10.0.0.2 unreachable", 37, "what is unreachable"},
		{"icmp ::1 > ::2 echo", 6, "IPv4 address for icmp"},
		{"icmp6 10.0.0.1 > 10.0.0.2 echo", 7, "IPv6 address for icmp6"},
		{"icmp6 ::1 > ::2 ns target 10.0.0.1", 27, "an IPv6 address"},
		{"icmp 10.0.0.1 > 10.0.0.2 echo quote { udp 1.1.1.1:1 > 1.1.1.1:1 }", 31, "an attribute of icmp"},
		{"icmp 10.0.0.1 > 10.0.0.2 unreachable net quote udp", 48, `"{"`},
		{"icmp 10.0.0.1 > 10.0.0.2 unreachable net quote {udp 1.1.1.1:1 > 1.1.1.1:1", 74, `"}", but the line ends`},
		{"icmp 10.0.0.1 > 10.0.0.2 unreachable net quote {udp 1.1.1.1:1 > 1.1.1.1:1 vlan 5}", 75, "an attribute of udp"},
		{"icmp 10.0.0.1 > 10.0.0.2 unreachable net quote { arp 1.1.1.1 who-has 1.1.1.2 }", 50, "an IP packet"},
		{"udp 10.0.0.1:1 > 10.0.0.2:1 }", 29, "an attribute of udp"},
		{"arp 10.0.0.1 has 10.0.0.2", 14, "who-has or is-at"},
		{"arp ::1 who-has 10.0.0.2", 5, "an IPv4 address"},
		{"arp 10.0.0.1 who-has 10.0.0.2 len 5", 31, "an attribute of arp"},
		{"sctp 10.0.0.1:1 > 10.0.0.2:1 hello", 30, "an SCTP chunk"},
		{"raw 0", 5, "hexadecimal"},
		{"raw 00 zz", 8, "hexadecimal"},
	} {
		_, err := Parse(tt.line)
		var e *Error
		require.True(t, errors.As(err, &e), tt.line)
		require.Equal(t, tt.column, e.Column, "%s: %v", tt.line, err)
		require.ErrorContains(t, err, tt.want, tt.line)
	}
}

func TestQuotesNestToALimit(t *testing.T) {
	line := "udp 10.0.0.1:9 > 10.0.0.2:53 len 4"
	for depth := range 7 {
		f, err := Parse(line)
		require.Equal(t, depth <= maxQuotes, err == nil, "depth %d: %v", depth, err)
		if err == nil {
			require.Equal(t, line, Format(f))
		}
		line = "icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { " + line + " }"
	}
}

// TestFormatOfDamagedFrames cuts frames short and flips bits in their headers.
func TestFormatOfDamagedFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, line := range lines {
		whole, err := Parse(line)
		require.NoError(t, err)
		for cut := 0; cut <= len(whole); cut += 1 + cut/80*40 {
			requireRoundTrip(t, whole[:cut])
		}
		for range 20 {
			f := append([]byte(nil), whole...)
			if len(f) == 0 {
				break
			}
			for range 1 + rng.IntN(3) {
				f[rng.IntN(min(len(f), 80))] ^= 1 << rng.IntN(8)
			}
			requireRoundTrip(t, f)
		}
	}
}

func requireRoundTrip(t *testing.T, frame []byte) {
	t.Helper()
	line := Format(frame)
	again, err := Parse(line)
	require.NoError(t, err, line)
	require.Equal(t, hex.EncodeToString(frame), hex.EncodeToString(again), line)
	require.Equal(t, line, Format(again))
}

// FuzzFormat states: Format never panics and loses nothing.
func FuzzFormat(f *testing.F) {
	for _, line := range lines {
		frame, err := Parse(line)
		require.NoError(f, err)
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		requireRoundTrip(t, frame[:min(len(frame), 4000)])
	})
}

// FuzzParse states: Parse never panics, its errors name a column within the
// line, and what it makes can be written and read again.
func FuzzParse(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		frame, err := Parse(line)
		if err != nil {
			var e *Error
			require.True(t, errors.As(err, &e))
			require.Positive(t, e.Column)
			require.LessOrEqual(t, e.Column, len(line)+1)
			return
		}
		requireRoundTrip(t, frame)
	})
}
