package packet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var flagNames = []string{
	"ipv4", "ipv6", "ports", "fragment", "later", "icmp-error", "bad-checksum", "options",
	"multicast", "broadcast", "vlan",
}

// describe renders what Parse said, leaving out what is 0.
func describe(r Reason, in *Info) string {
	words := []string{r.String()}
	for i, name := range flagNames {
		if in.Has(1 << i) {
			words = append(words, name)
		}
	}
	for _, f := range []struct {
		name  string
		value uint64
	}{
		{"type=%#x", uint64(in.EtherType)},
		{"l3=%d", uint64(in.L3)},
		{"l4=%d", uint64(in.L4)},
		{"len=%d", uint64(in.IPLen)},
		{"proto=%d", uint64(in.Proto)},
		{"tos=%#x", uint64(in.TOS)},
		{"ttl=%d", uint64(in.TTL)},
		{"tcp=%#x", uint64(in.TCPFlags)},
		{"id=%#x", uint64(in.FragID)},
		{"off=%d", uint64(in.FragOff)},
	} {
		if f.value != 0 {
			words = append(words, fmt.Sprintf(f.name, f.value))
		}
	}
	if in.Key != (Key{}) {
		words = append(words, "|", in.Key.String())
	}
	return strings.Join(words, " ")
}

const (
	keyUDP4 = "| proto 17 zone 0 192.168.0.1:8080 > 192.168.0.2:53"
	keyUDP6 = "| proto 17 zone 0 [2001:db8::1]:8080 > [2001:db8::2]:53"
	keyTCP4 = "| proto 6 zone 0 192.168.0.1:1000 > 192.168.0.2:80"
	no4     = "| proto %d zone 0 192.168.0.1:0 > 192.168.0.2:0"
	no6     = "| proto %d zone 0 [2001:db8::1]:0 > [2001:db8::2]:0"
)

type parseRow struct {
	why   string
	frame []byte
	want  string
}

func runParseRows(t *testing.T, rows []parseRow) {
	t.Helper()
	for _, row := range rows {
		in := Info{L3: 1, L4: 2, FragID: 3, Flags: 0xffff, TCPFlags: 4} // Parse writes every field
		r := Parse(row.frame, &in)
		require.Equal(t, row.want, describe(r, &in), "%s\n% x", row.why, row.frame[:min(len(row.frame), 120)])
	}
}

func TestParseLink(t *testing.T) {
	group := eth(EtherTypeARP)
	Ethernet(group).SetSrc(MAC{1})
	zero := eth(EtherTypeARP)
	Ethernet(zero).SetSrc(MAC{})
	multicast := eth(EtherTypeLLDP, []byte{0})
	Ethernet(multicast).SetDst(MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e})
	payload := udp(8080, 53)
	runParseRows(t, []parseRow{
		{"nothing at all", nil, "FRAME_TOO_SHORT"},
		{"one byte less than a header", eth(EtherTypeIPv4)[:13], "FRAME_TOO_SHORT l3=13"},
		{"a source may not be a group", group, "INVALID_SOURCE_MAC type=0x806 l3=14"},
		{"a source may not be zero", zero, "INVALID_SOURCE_MAC type=0x806 l3=14"},
		{"ARP is forwarded as it is", unhex(t, arpHex), "NONE multicast broadcast type=0x806 l3=14"},
		{"a group address that is not broadcast", multicast, "NONE multicast type=0x88cc l3=14"},
		{"an unknown EtherType is forwarded", eth(0x88b5, []byte{1, 2}), "NONE type=0x88b5 l3=14"},
		{"802.3 with LLC: EtherType is the length", eth(3, []byte{0x42, 0x42, 3}), "NONE type=0x3 l3=14"},
		{
			"a customer tag", eth(EtherTypeVLAN, tag(100, EtherTypeIPv4), ip4(IPv4Fields{Proto: ProtoUDP}, payload)),
			"NONE ipv4 ports vlan type=0x800 l3=18 l4=38 len=28 proto=17 ttl=64 " + keyUDP4,
		},
		{
			"a service and a customer tag",
			eth(EtherTypeQinQ, tag(5, EtherTypeVLAN), tag(100, EtherTypeIPv6), ip6(IPv6Fields{NextHeader: ProtoUDP}, payload)),
			"NONE ipv6 ports vlan type=0x86dd l3=22 l4=62 len=48 proto=17 ttl=64 " + keyUDP6,
		},
		{
			"a third tag hides what it carries",
			eth(EtherTypeQinQ1, tag(5, EtherTypeVLAN), tag(6, EtherTypeVLAN), tag(7, EtherTypeIPv4)),
			"NONE vlan type=0x8100 l3=22",
		},
		{"a tag cut off", eth(EtherTypeVLAN, []byte{0, 1, 8}), "TRUNCATED_HEADER type=0x8100 l3=14"},
	})
}

func TestParseIPv4(t *testing.T) {
	u := udp(8080, 53)
	rewrite := func(at int, v byte) []byte {
		b := eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoUDP}, u))
		b[14+at] = v
		return b
	}
	big := make([]byte, 70000)
	copy(big, eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoTCP}, tcp(TCPAck))))
	IPv4(big[14:]).SetLength(0)
	IPv4(big[14:]).UpdateChecksum()
	bigUDP := make([]byte, 70000)
	copy(bigUDP, eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoUDP}, u)))
	IPv4(bigUDP[14:]).SetLength(0)
	IPv4(bigUDP[14:]).UpdateChecksum()
	UDP(bigUDP[34:]).SetLength(0)
	runParseRows(t, []parseRow{
		{"the fast path", unhex(t, udp4Hex), "NONE ipv4 ports type=0x800 l3=14 l4=34 len=46 proto=17 ttl=64 " + keyUDP4},
		{
			"padding to 60 bytes", append(eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoUDP}, u)), make([]byte, 18)...),
			"NONE ipv4 ports type=0x800 l3=14 l4=34 len=28 proto=17 ttl=64 " + keyUDP4,
		},
		{
			"options", unhex(t, udp4OptionsHex),
			"NONE ipv4 ports options type=0x800 l3=14 l4=38 len=32 proto=17 ttl=64 " + keyUDP4,
		},
		{
			"TOS and don't fragment", eth(EtherTypeIPv4, ip4(IPv4Fields{TOS: 0xb8, DontFragment: true, Proto: ProtoUDP}, u)),
			"NONE ipv4 ports type=0x800 l3=14 l4=34 len=28 proto=17 tos=0xb8 ttl=64 " + keyUDP4,
		},
		{
			"a wrong checksum is a flag, for a bridge does not care", rewrite(8, 63),
			"NONE ipv4 ports bad-checksum type=0x800 l3=14 l4=34 len=28 proto=17 ttl=63 " + keyUDP4,
		},
		{
			"a wrong checksum with options", func() []byte {
				b := eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: ProtoUDP, Options: []byte{148, 4, 0, 0}}, u))
				b[14+22] ^= 1
				return b
			}(),
			"NONE ipv4 ports bad-checksum options type=0x800 l3=14 l4=38 len=32 proto=17 ttl=64 " + keyUDP4,
		},
		{"version 6 under IPv4's EtherType", rewrite(0, 0x65), "INVALID_HEADER type=0x800 l3=14"},
		{"header length 16", rewrite(0, 0x44), "INVALID_HEADER type=0x800 l3=14"},
		{
			"header longer than the frame", rewrite(0, 0x4f),
			"TRUNCATED_HEADER ipv4 options type=0x800 l3=14 l4=74 len=28 proto=17 ttl=64 " + fmt.Sprintf(no4, 17),
		},
		{
			"total length less than the header", rewrite(3, 19),
			"INVALID_HEADER ipv4 bad-checksum type=0x800 l3=14 l4=34 len=19 proto=17 ttl=64 " + fmt.Sprintf(no4, 17),
		},
		{
			"total length more than the frame", rewrite(3, 29),
			"TRUNCATED_HEADER ipv4 bad-checksum type=0x800 l3=14 l4=34 len=29 proto=17 ttl=64 " + fmt.Sprintf(no4, 17),
		},
		{
			"total length 0 in an ordinary frame", rewrite(3, 0),
			"INVALID_HEADER ipv4 bad-checksum type=0x800 l3=14 l4=34 proto=17 ttl=64 " + fmt.Sprintf(no4, 17),
		},
		{"total length 0 in a BIG TCP frame", big, "NONE ipv4 ports type=0x800 l3=14 l4=34 len=69986 proto=6 ttl=64 tcp=0x10 " + keyTCP4},
		{
			"total length 0 in a VXLAN packet around a BIG TCP frame", bigUDP,
			"NONE ipv4 ports type=0x800 l3=14 l4=34 len=69986 proto=17 ttl=64 " + keyUDP4,
		},
		{"header cut off", eth(EtherTypeIPv4, ip4(IPv4Fields{}))[:33], "TRUNCATED_HEADER type=0x800 l3=14"},
		{
			"an unknown protocol has no ports", eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: 253})),
			"NONE ipv4 type=0x800 l3=14 l4=34 len=20 proto=253 ttl=64 " + fmt.Sprintf(no4, 253),
		},
	})
}

func TestParseIPv6(t *testing.T) {
	u := udp(8080, 53)
	pkt := func(next uint8, parts ...[]byte) []byte {
		return eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: next}, parts...))
	}
	edit := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	eight := [][]byte{ext(ProtoDestOpts)}
	for range MaxExtensions - 2 {
		eight = append(eight, ext(ProtoDestOpts))
	}
	mapped := ip6(IPv6Fields{NextHeader: ProtoUDP, Src: a4, Dst: b4}, u)
	jumbogram := pkt(ProtoHopByHop, jumbo(ProtoTCP, 70008), tcp(TCPAck), make([]byte, 70000-20))
	IPv6(jumbogram[14:]).SetPayloadLen(0)
	jumboUDP := pkt(ProtoHopByHop, jumbo(ProtoUDP, 70008), u, make([]byte, 70000-8))
	IPv6(jumboUDP[14:]).SetPayloadLen(0)
	UDP(jumboUDP[62:]).SetLength(0)
	smallJumbo := pkt(ProtoHopByHop, jumbo(ProtoUDP, 16), u)
	IPv6(smallJumbo[14:]).SetPayloadLen(0)
	bigTCP := pkt(ProtoTCP, tcp(TCPAck), make([]byte, 70000))
	IPv6(bigTCP[14:]).SetPayloadLen(0)
	runParseRows(t, []parseRow{
		{"the fast path", unhex(t, udp6Hex), "NONE ipv6 ports type=0x86dd l3=14 l4=54 len=66 proto=17 ttl=64 " + keyUDP6},
		{"header cut off", pkt(ProtoUDP)[:53], "TRUNCATED_HEADER type=0x86dd l3=14"},
		{"version 4 under IPv6's EtherType", edit(pkt(ProtoUDP, u), 14, 0x45), "INVALID_HEADER type=0x86dd l3=14"},
		{
			"payload length more than the frame", edit(pkt(ProtoUDP, u), 19, 9),
			"TRUNCATED_HEADER ipv6 type=0x86dd l3=14 l4=54 len=49 proto=17 ttl=64 " + fmt.Sprintf(no6, 17),
		},
		{
			"a mapped source would have an IPv4 session's key", eth(EtherTypeIPv6, mapped),
			"INVALID_SOURCE_IP ipv6 type=0x86dd l3=14 l4=54 proto=17 ttl=64 " + fmt.Sprintf(no4, 17),
		},
		{
			"all kinds of extension headers, in the order of RFC 8200",
			pkt(ProtoHopByHop, ext(ProtoDestOpts), ext(ProtoRouting), ext(ProtoAH), []byte{ProtoMobility, 2, 14: 0, 15: 0},
				ext(ProtoHIP), ext(ProtoShim6), ext(ProtoUDP), u),
			"NONE ipv6 ports options type=0x86dd l3=14 l4=118 len=112 proto=17 ttl=64 " + keyUDP6,
		},
		{
			"as many extension headers as are allowed", pkt(ProtoDestOpts, append(eight, ext(ProtoUDP), u)...),
			"NONE ipv6 ports options type=0x86dd l3=14 l4=118 len=112 proto=17 ttl=64 " + keyUDP6,
		},
		{
			"one extension header too many", pkt(ProtoDestOpts, append(eight, ext(ProtoDestOpts), ext(ProtoUDP), u)...),
			"INVALID_IPV6_EXTENSION_HEADER ipv6 options type=0x86dd l3=14 l4=118 len=120 proto=60 ttl=64 " + fmt.Sprintf(no6, 60),
		},
		{
			"hop-by-hop comes first or not at all", pkt(ProtoDestOpts, ext(ProtoHopByHop), ext(ProtoUDP), u),
			"INVALID_IPV6_EXTENSION_HEADER ipv6 options type=0x86dd l3=14 l4=62 len=64 ttl=64 " + fmt.Sprintf(no6, 0),
		},
		{
			"an extension header longer than the packet", pkt(ProtoDestOpts, []byte{ProtoUDP, 1, 1, 4, 0, 0, 0, 0}),
			"INVALID_IPV6_EXTENSION_HEADER ipv6 options type=0x86dd l3=14 l4=54 len=48 proto=60 ttl=64 " + fmt.Sprintf(no6, 60),
		},
		{
			"an authentication header of 8 bytes holds no sequence number", pkt(ProtoAH, []byte{ProtoUDP, 0, 0, 0, 0, 0, 0, 0}, u),
			"INVALID_IPV6_EXTENSION_HEADER ipv6 options type=0x86dd l3=14 l4=54 len=56 proto=51 ttl=64 " + fmt.Sprintf(no6, 51),
		},
		{
			"ESP hides what follows", pkt(ProtoESP, u),
			"NONE ipv6 type=0x86dd l3=14 l4=54 len=48 proto=50 ttl=64 " + fmt.Sprintf(no6, 50),
		},
		{
			"no next header", pkt(ProtoDestOpts, ext(ProtoNoNext), u),
			"NONE ipv6 options type=0x86dd l3=14 l4=62 len=56 proto=59 ttl=64 " + fmt.Sprintf(no6, 59),
		},
		{
			"a jumbogram", jumbogram,
			"NONE ipv6 ports options type=0x86dd l3=14 l4=62 len=70048 proto=6 ttl=64 tcp=0x10 | proto 6 zone 0 [2001:db8::1]:1000 > [2001:db8::2]:80",
		},
		{
			"a jumbogram's UDP length is 0", jumboUDP,
			"NONE ipv6 ports options type=0x86dd l3=14 l4=62 len=70048 proto=17 ttl=64 " + keyUDP6,
		},
		{
			"a jumbogram longer than the frame", jumbogram[:70000],
			"TRUNCATED_HEADER ipv6 type=0x86dd l3=14 l4=54 len=70048 ttl=64 " + fmt.Sprintf(no6, 0),
		},
		{
			"a jumbo payload that the ordinary field could hold", smallJumbo,
			"INVALID_HEADER ipv6 type=0x86dd l3=14 l4=54 ttl=64 " + fmt.Sprintf(no6, 0),
		},
		{
			"BIG TCP without the option, as newer kernels send it", bigTCP,
			"NONE ipv6 ports type=0x86dd l3=14 l4=54 len=70060 proto=6 ttl=64 tcp=0x10 | proto 6 zone 0 [2001:db8::1]:1000 > [2001:db8::2]:80",
		},
		{
			"payload length 0 and bytes behind it: an empty packet, so no UDP header", edit(pkt(ProtoUDP, u), 19, 0),
			"TRUNCATED_HEADER ipv6 type=0x86dd l3=14 l4=54 len=40 proto=17 ttl=64 " + fmt.Sprintf(no6, 17),
		},
	})
}

func TestParseTransport(t *testing.T) {
	pkt := func(proto uint8, p ...[]byte) []byte { return eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: proto}, p...)) }
	edit := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	head := func(n int, proto uint8) string {
		return fmt.Sprintf("ipv4 type=0x800 l3=14 l4=34 len=%d proto=%d ttl=64 ", n, proto) + fmt.Sprintf(no4, proto)
	}
	runParseRows(t, []parseRow{
		{
			"TCP flags, urgent to reset", pkt(ProtoTCP, tcp(0xff)),
			"NONE ipv4 ports type=0x800 l3=14 l4=34 len=40 proto=6 ttl=64 tcp=0xff " + keyTCP4,
		},
		{"TCP header cut off", pkt(ProtoTCP, tcp(TCPAck)[:19]), "TRUNCATED_HEADER " + head(39, 6)},
		{"TCP data offset of 16 bytes", edit(pkt(ProtoTCP, tcp(TCPAck)), 46, 0x40), "INVALID_HEADER " + head(40, 6)},
		{"TCP data offset past the packet", edit(pkt(ProtoTCP, tcp(TCPAck)), 46, 0x60), "TRUNCATED_HEADER " + head(40, 6)},
		{"UDP header cut off", pkt(ProtoUDP, udp(1, 2)[:7]), "TRUNCATED_HEADER " + head(27, 17)},
		{"UDP length less than its header", edit(pkt(ProtoUDP, udp(1, 2)), 39, 7), "INVALID_HEADER " + head(28, 17)},
		{"UDP length 0 is for jumbograms", edit(pkt(ProtoUDP, udp(1, 2)), 39, 0), "INVALID_HEADER " + head(28, 17)},
		{"UDP length past the packet", edit(pkt(ProtoUDP, udp(1, 2)), 39, 9), "INVALID_HEADER " + head(28, 17)},
		{
			"UDP length short of the packet", pkt(ProtoUDP, udp(8080, 53), []byte{1, 2, 3}),
			"NONE ipv4 ports type=0x800 l3=14 l4=34 len=31 proto=17 ttl=64 " + keyUDP4,
		},
		{
			"SCTP", pkt(ProtoSCTP, sctp(SCTPInit, 0, 0, 4)),
			"NONE ipv4 ports type=0x800 l3=14 l4=34 len=36 proto=132 ttl=64 | proto 132 zone 0 192.168.0.1:1000 > 192.168.0.2:3868",
		},
		{"SCTP header cut off", pkt(ProtoSCTP, sctp()[:11]), "TRUNCATED_HEADER " + head(31, 132)},
		{"ICMP header cut off", pkt(ProtoICMP, icmp(8, 0, 1)[:7]), "TRUNCATED_HEADER " + head(27, 1)},
		{"ICMPv6 in IPv4 is a protocol like any unknown one", pkt(ProtoICMPv6, icmp(128, 0, 1)), "NONE " + head(28, 58)},
		{"IGMP", pkt(ProtoIGMP, make([]byte, 8)), "NONE " + head(28, 2)},
	})
}

func TestParseFragments(t *testing.T) {
	f4 := func(proto uint8, off uint16, more bool, p []byte) []byte {
		return eth(EtherTypeIPv4, ip4(IPv4Fields{Proto: proto, ID: 0xabcd, FragmentOffset: off, MoreFragments: more}, p))
	}
	f6 := func(next uint8, off uint16, more bool, p ...[]byte) []byte {
		h := frag6(IPv6FragmentFields{Next: next, More: more, Offset: off, ID: 0xabcd1234})
		return eth(EtherTypeIPv6, ip6(IPv6Fields{NextHeader: ProtoFragment}, h, join(p...)))
	}
	long := join(udp(8080, 53), make([]byte, 8))
	UDP(long).SetLength(2000)
	tail4 := func(n int, proto uint8, off string) string {
		return fmt.Sprintf("type=0x800 l3=14 l4=34 len=%d proto=%d ttl=64 id=0xabcd%s ", n, proto, off) + fmt.Sprintf(no4, proto)
	}
	tail6 := func(l4, n int, proto uint8, off string) string {
		return fmt.Sprintf("type=0x86dd l3=14 l4=%d len=%d proto=%d ttl=64 id=0xabcd1234%s ", l4, n, proto, off) + fmt.Sprintf(no6, proto)
	}
	data := make([]byte, 16)
	runParseRows(t, []parseRow{
		{
			"the first of UDP has ports; its length is the datagram's", f4(ProtoUDP, 0, true, long),
			"NONE ipv4 ports fragment type=0x800 l3=14 l4=34 len=36 proto=17 ttl=64 id=0xabcd " + keyUDP4,
		},
		{"a later one has none", f4(ProtoUDP, 1480, true, data), "NONE ipv4 fragment later " + tail4(36, 17, " off=1480")},
		{"the last one too", f4(ProtoUDP, 1480, false, data), "NONE ipv4 fragment later " + tail4(36, 17, " off=1480")},
		{
			"a first of TCP whose options come later", f4(ProtoTCP, 0, true, tcp(TCPSyn, 2, 4, 5, 0xb4, 1, 3, 3, 7)[:24]),
			"NONE ipv4 ports fragment type=0x800 l3=14 l4=34 len=44 proto=6 ttl=64 tcp=0x2 id=0xabcd " + keyTCP4,
		},
		{"a first of TCP with ports only (RFC 1858)", f4(ProtoTCP, 0, true, tcp(TCPSyn)[:8]), "FRAGMENT_TINY ipv4 fragment " + tail4(28, 6, "")},
		{"a first of TCP without its checksum", f4(ProtoTCP, 0, true, tcp(TCPSyn)[:16]), "FRAGMENT_TINY ipv4 fragment " + tail4(36, 6, "")},
		{"TCP flags overwritten at offset 8 (RFC 1858)", f4(ProtoTCP, 8, true, data), "FRAGMENT_TINY ipv4 fragment later " + tail4(36, 6, " off=8")},
		{"TCP checksum overwritten at offset 16", f4(ProtoTCP, 16, true, data), "FRAGMENT_TINY ipv4 fragment later " + tail4(36, 6, " off=16")},
		{"TCP options at offset 24", f4(ProtoTCP, 24, true, data), "NONE ipv4 fragment later " + tail4(36, 6, " off=24")},
		{"a first of UDP without its length", f4(ProtoUDP, 0, true, udp(1, 2)[:4]), "FRAGMENT_TINY ipv4 fragment " + tail4(24, 17, "")},
		{"UDP payload at offset 8", f4(ProtoUDP, 8, true, data), "NONE ipv4 fragment later " + tail4(36, 17, " off=8")},
		{"a first of SCTP with half a header", f4(ProtoSCTP, 0, true, sctp()[:8]), "FRAGMENT_TINY ipv4 fragment " + tail4(28, 132, "")},
		{"a first of ICMP with half a header", f4(ProtoICMP, 0, true, icmp(8, 0, 1)[:4]), "FRAGMENT_TINY ipv4 fragment " + tail4(24, 1, "")},
		{"an unknown protocol may be cut anywhere", f4(253, 0, true, data[:8]), "NONE ipv4 fragment " + tail4(28, 253, "")},
		{"more than an IP packet can be", f4(ProtoUDP, 65528, false, data), "INVALID_HEADER ipv4 fragment later " + tail4(36, 17, " off=65528")},
		{
			"IPv6, the first", f6(ProtoUDP, 0, true, long),
			"NONE ipv6 ports fragment options type=0x86dd l3=14 l4=62 len=64 proto=17 ttl=64 id=0xabcd1234 " + keyUDP6,
		},
		{"IPv6, a later one", f6(ProtoUDP, 1448, false, data), "NONE ipv6 fragment later options " + tail6(62, 64, 17, " off=1448")},
		{
			"IPv6, a fragment that is the whole packet (RFC 6946)", f6(ProtoUDP, 0, false, udp(8080, 53)),
			"NONE ipv6 ports options type=0x86dd l3=14 l4=62 len=56 proto=17 ttl=64 " + keyUDP6,
		},
		{"IPv6, TCP flags overwritten", f6(ProtoTCP, 8, false, data), "FRAGMENT_TINY ipv6 fragment later options " + tail6(62, 64, 6, " off=8")},
		{
			"IPv6, the chain of headers ends in a later fragment (RFC 7112)", f6(ProtoDestOpts, 0, true, []byte{ProtoUDP, 3, 1, 4, 0, 0, 0, 0}),
			"FRAGMENT_TINY ipv6 fragment options " + tail6(62, 56, 60, ""),
		},
		{
			"IPv6, a header in a later fragment is not looked for", f6(ProtoDestOpts, 800, true, data),
			"NONE ipv6 fragment later options " + tail6(62, 64, 60, " off=800"),
		},
		{"IPv6, more than a packet can be", f6(ProtoUDP, 65528, false, data), "INVALID_HEADER ipv6 fragment later options " + tail6(62, 64, 17, " off=65528")},
		{
			"IPv6, a fragment of a fragment",
			f6(ProtoFragment, 0, true, frag6(IPv6FragmentFields{Next: ProtoUDP, More: true}), long),
			"INVALID_IPV6_EXTENSION_HEADER ipv6 options type=0x86dd l3=14 l4=54 len=72 proto=44 ttl=64 " + fmt.Sprintf(no6, 44),
		},
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, f := range benchFrames {
		frame := unhex(t, f.hex)
		var in Info
		require.Zero(t, testing.AllocsPerRun(100, func() {
			Parse(frame, &in)
			QuotedPacket(frame, &in)
		}), f.name)
	}
}
