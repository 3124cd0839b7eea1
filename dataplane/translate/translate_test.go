package translate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// step is a frame that comes in by a port and what leaves by the other; "" is nothing.
type step struct {
	port    int
	in, out string
}

// rows are conversations whose first frame says by its two forms what the session's tuples are.
var rows = []struct {
	why   string
	steps []step
}{
	{"TCP to a virtual server reaches a member at another port, and its answers come from the virtual server", []step{
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1", "tcp 10.0.0.1:1000 > 10.1.0.5:8080 S seq 1"},
		{outside, "tcp 10.1.0.5:8080 > 10.0.0.1:1000 SA seq 9 ack 2", "tcp 10.96.0.1:80 > 10.0.0.1:1000 SA seq 9 ack 2"},
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 A seq 2 ack 10 len 100", "tcp 10.0.0.1:1000 > 10.1.0.5:8080 A seq 2 ack 10 len 100"},
	}},
	{"both ends may be translated: a hairpin", []step{
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1", "tcp 10.0.0.254:30000 > 10.0.0.1:8080 S seq 1"},
		{outside, "tcp 10.0.0.1:8080 > 10.0.0.254:30000 SA seq 9 ack 2", "tcp 10.96.0.1:80 > 10.0.0.1:1000 SA seq 9 ack 2"},
	}},
	{"an odd length and padding change nothing", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 7 pad 11", "udp 10.0.0.1:9 > 10.1.0.5:53 len 7 pad 11"},
	}},
	{"UDP's checksum 0 says that there is none", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 4 nocsum", "udp 10.0.0.1:9 > 10.1.0.5:5353 len 4 nocsum"},
	}},
	{"over IPv6 the addresses are in the pseudo-header only", []step{
		{inside, "udp [fd00::1]:9 > [fd00:96::1]:53 len 4", "udp [fd00::1]:9 > [fd00:1::5]:5353 len 4"},
		{outside, "udp [fd00:1::5]:5353 > [fd00::1]:9 len 40", "udp [fd00:96::1]:53 > [fd00::1]:9 len 40"},
	}},
	{"IPv4 options stand between header and ports", []step{
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1 options 8", "tcp 10.0.0.1:1000 > 10.1.0.5:8080 S seq 1 options 8"},
	}},
	{"IPv6 extension headers do too", []step{
		{inside, "tcp [fd00::1]:9 > [fd00:96::1]:80 S seq 1 hbh 8 options 16", "tcp [fd00::1]:9 > [fd00:1::5]:8080 S seq 1 hbh 8 options 16"},
	}},
	{"SCTP's CRC32c covers the ports", []step{
		{inside, "sctp 10.0.0.1:1000 > 10.96.0.1:80 init itag 5", "sctp 10.0.0.1:1000 > 10.1.0.5:8080 init itag 5"},
		{outside, "sctp 10.1.0.5:8080 > 10.0.0.1:1000 init-ack tag 5 itag 7 len 3000", "sctp 10.96.0.1:80 > 10.0.0.1:1000 init-ack tag 5 itag 7 len 3000"},
	}},
	{"an echo's identifier is the client's port: the source's of a request, the destination's of a reply", []step{
		{inside, "icmp 10.0.0.1 > 192.0.2.1 echo id 7 seq 1 len 20", "icmp 198.51.100.1 > 192.0.2.1 echo id 40000 seq 1 len 20"},
		{outside, "icmp 192.0.2.1 > 198.51.100.1 reply id 40000 seq 1 len 20", "icmp 192.0.2.1 > 10.0.0.1 reply id 7 seq 1 len 20"},
	}},
	{"ICMPv6 has a pseudo-header", []step{
		{inside, "icmp6 fd00::1 > 2001:db8::1 echo id 7 seq 1 len 21", "icmp6 2001:db8::9 > 2001:db8::1 echo id 40000 seq 1 len 21"},
		{outside, "icmp6 2001:db8::1 > 2001:db8::9 reply id 40000 seq 1 len 21", "icmp6 2001:db8::1 > fd00::1 reply id 7 seq 1 len 21"},
	}},
	{"what has no ports has addresses", []step{
		{inside, "ip 10.0.0.1 > 192.0.2.1 proto 47 len 40", "ip 198.51.100.1 > 192.0.2.1 proto 47 len 40"},
	}},
	{"a partial checksum is the pseudo-header's, in which are no ports", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 4 partial", "udp 10.0.0.1:9 > 10.1.0.5:5353 len 4 partial"},
		{outside, "udp 10.1.0.5:5353 > 10.0.0.1:9 len 4 partial", "udp 10.96.0.1:53 > 10.0.0.1:9 len 4 partial"},
	}},
	{"that of a super-frame too", []step{
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1", "tcp 10.0.0.1:1000 > 10.1.0.5:8080 S seq 1"},
		{outside, "tcp 10.1.0.5:8080 > 10.0.0.1:1000 SA seq 9 ack 2", "tcp 10.96.0.1:80 > 10.0.0.1:1000 SA seq 9 ack 2"},
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 A seq 2 ack 10 len 30000 partial", "tcp 10.0.0.1:1000 > 10.1.0.5:8080 A seq 2 ack 10 len 30000 partial"},
	}},
	{"the first fragment has the ports and the checksum, later ones have addresses", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 64 id 5 mf csum 0x1000", "udp 10.0.0.1:9 > 10.1.0.5:53 len 64 id 5 mf csum 0x105b"},
		{inside, "ip 10.0.0.1 > 10.96.0.1 proto 17 len 64 id 5 off 72", "ip 10.0.0.1 > 10.1.0.5 proto 17 len 64 id 5 off 72"},
	}},
	{"so have those of IPv6", []step{
		{inside, "udp [fd00::1]:9 > [fd00:96::1]:53 len 64 id 5 mf csum 0x1000", "udp [fd00::1]:9 > [fd00:1::5]:53 len 64 id 5 mf csum 0x1091"},
		{inside, "ip fd00::1 > fd00:96::1 proto 17 len 64 id 5 off 72", "ip fd00::1 > fd00:1::5 proto 17 len 64 id 5 off 72"},
	}},
	{"nobody knows the end of a fragmented SCTP packet, which its CRC covers", []step{
		{inside, "sctp 10.0.0.1:1000 > 10.96.0.1:80 init itag 5 id 5 mf len 64", ""},
	}},
	{"unless its ports stay", []step{
		{inside, "sctp 10.0.0.1:1000 > 10.96.0.1:80 init itag 5 id 5 mf len 64", "sctp 10.0.0.1:1000 > 10.1.0.5:80 init itag 5 id 5 mf len 64"},
	}},
	{"an error by the member comes from the virtual server, one by a router from the router; both quote what the client sent", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 40", "udp 10.0.0.1:9 > 10.1.0.5:5353 len 40"},
		{
			outside, "icmp 10.1.0.5 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:9 > 10.1.0.5:5353 len 40 ttl 60 }",
			"icmp 10.96.0.1 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:9 > 10.96.0.1:53 len 40 ttl 60 }",
		},
		{
			outside, "icmp 172.16.0.1 > 10.0.0.1 ttl-exceeded quote { udp 10.0.0.1:9 > 10.1.0.5:5353 len 40 cut 28 }",
			"icmp 172.16.0.1 > 10.0.0.1 ttl-exceeded quote { udp 10.0.0.1:9 > 10.96.0.1:53 len 40 cut 28 }",
		},
	}},
	{"an error about an answer goes to the member, which knows the translated client", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 40", "udp 10.0.0.254:30000 > 10.1.0.5:5353 len 40"},
		{
			inside, "icmp 10.0.0.1 > 10.96.0.1 unreachable port quote { udp 10.96.0.1:53 > 10.0.0.1:9 len 40 }",
			"icmp 10.0.0.254 > 10.1.0.5 unreachable port quote { udp 10.1.0.5:5353 > 10.0.0.254:30000 len 40 }",
		},
		{
			inside, "icmp 10.9.9.9 > 10.96.0.1 unreachable host quote { udp 10.96.0.1:53 > 10.0.0.1:9 len 40 }",
			"icmp 10.9.9.9 > 10.1.0.5 unreachable host quote { udp 10.1.0.5:5353 > 10.0.0.254:30000 len 40 }",
		},
	}},
	{"a quoted TCP header that ends before its checksum has none to update", []step{
		{inside, "tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1", "tcp 10.0.0.1:1000 > 10.1.0.5:8080 S seq 1"},
		{
			outside, "icmp 172.16.0.1 > 10.0.0.1 frag-needed mtu 1400 quote { tcp 10.0.0.1:1000 > 10.1.0.5:8080 S seq 1 cut 28 }",
			"icmp 172.16.0.1 > 10.0.0.1 frag-needed mtu 1400 quote { tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1 cut 28 }",
		},
		{
			outside, "icmp 172.16.0.1 > 10.0.0.1 frag-needed mtu 1400 quote { tcp 10.0.0.1:1000 > 10.1.0.5:8080 S seq 1 cut 36 }",
			"icmp 172.16.0.1 > 10.0.0.1 frag-needed mtu 1400 quote { tcp 10.0.0.1:1000 > 10.96.0.1:80 S seq 1 cut 36 }",
		},
	}},
	{"errors of ICMPv6 likewise, with extension headers in the quote", []step{
		{inside, "udp [fd00::1]:9 > [fd00:96::1]:53 len 40 options 8", "udp [fd00::1]:9 > [fd00:1::5]:5353 len 40 options 8"},
		{
			outside, "icmp6 fd00:1::5 > fd00::1 unreachable port quote { udp [fd00::1]:9 > [fd00:1::5]:5353 len 40 options 8 }",
			"icmp6 fd00:96::1 > fd00::1 unreachable port quote { udp [fd00::1]:9 > [fd00:96::1]:53 len 40 options 8 }",
		},
		{
			outside, "icmp6 fd00:ffff::1 > fd00::1 too-big mtu 1280 quote { udp [fd00::1]:9 > [fd00:1::5]:5353 len 40 options 8 }",
			"icmp6 fd00:ffff::1 > fd00::1 too-big mtu 1280 quote { udp [fd00::1]:9 > [fd00:96::1]:53 len 40 options 8 }",
		},
	}},
	{"an error about an echo request has the identifier in its quote", []step{
		{inside, "icmp 10.0.0.1 > 192.0.2.1 echo id 7 seq 1 len 20", "icmp 198.51.100.1 > 192.0.2.1 echo id 40000 seq 1 len 20"},
		{
			outside, "icmp 192.0.2.254 > 198.51.100.1 unreachable host quote { icmp 198.51.100.1 > 192.0.2.1 echo id 40000 seq 1 len 20 }",
			"icmp 192.0.2.254 > 10.0.0.1 unreachable host quote { icmp 10.0.0.1 > 192.0.2.1 echo id 7 seq 1 len 20 }",
		},
	}},
	{"a quoted first fragment is quoted as one", []step{
		{inside, "udp 10.0.0.1:9 > 10.96.0.1:53 len 64 id 5 mf", "udp 10.0.0.1:9 > 10.1.0.5:53 len 64 id 5 mf"},
		{
			outside, "icmp 10.1.0.5 > 10.0.0.1 reassembly-exceeded quote { udp 10.0.0.1:9 > 10.1.0.5:53 len 64 id 5 mf }",
			"icmp 10.96.0.1 > 10.0.0.1 reassembly-exceeded quote { udp 10.0.0.1:9 > 10.96.0.1:53 len 64 id 5 mf }",
		},
	}},
}

func TestTranslation(t *testing.T) {
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			n := newMemTestbed(t)
			if first := row.steps[0]; first.out != "" {
				n.becomes[keyOf(t, first.in)] = keyOf(t, first.out)
			} else {
				n.becomes[keyOf(t, first.in)] = keyOf(t, "sctp 10.0.0.1:1000 > 10.1.0.5:8080 init")
			}
			for _, s := range row.steps {
				same(t, s.out, n.pass(s.port, s.in), s.in)
				if s.out == "" {
					require.EqualValues(t, 1, n.engine.PortCounters(uint16(s.port)).Drops[packet.SessionInvalid])
				}
			}
		})
	}
}

func TestRepeatedTranslation(t *testing.T) {
	// A stage that panics begins again in the middle of a vector.
	for _, row := range rows {
		for _, s := range row.steps {
			if s.out == "" {
				continue
			}
			was := frameOf(t, s.out)
			in, _ := parse(t, was)
			reply := in.Key.Reverse()
			frame := append([]byte(nil), was...)
			translate(frame, in, metaOf(s.out), &reply)
			require.Equal(t, was, frame, row.why)
		}
	}
}
