package export

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

func unix(t testing.TB, s string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at.UnixNano()
}

func firewallLines(t testing.TB) []struct {
	why, want string
	line      FirewallLine
} {
	at := unix(t, "2018-07-03T19:44:09.749Z")
	src, dst := netip.MustParseAddrPort("192.168.4.3:49627"), netip.MustParseAddrPort("192.168.4.4:49153")
	src6, dst6 := netip.MustParseAddrPort("[fe80::1]:546"), netip.MustParseAddrPort("[ff02::1:2]:547")
	const synECN = packet.TCPSyn | packet.TCPEce | packet.TCPCwr
	return []struct {
		why, want string
		line      FirewallLine
	}{
		{
			"NSX's example", "2018-07-03T19:44:09.749Z b6507827 INET match PASS mainrs/1024 IN 52 TCP 192.168.4.3/49627->192.168.4.4/49153 SEW",
			FirewallLine{
				Time: at, Filter: "b6507827", Reason: "match", Action: "PASS", Set: "mainrs", Rule: 1024, Length: 52,
				Src: src, Dst: dst, Protocol: packet.ProtoTCP, Flags: synECN,
			},
		},
		{
			"the tag of the rule comes last", "2018-07-03T19:44:09.749Z b6507827 INET match DROP mainrs/1024 OUT 52 TCP 192.168.4.3/49627->192.168.4.4/49153 S audit",
			FirewallLine{
				Time: at, Filter: "b6507827", Reason: "match", Action: "DROP", Set: "mainrs", Rule: 1024, Out: true, Length: 52,
				Src: src, Dst: dst, Protocol: packet.ProtoTCP, Flags: packet.TCPSyn, Tag: "audit",
			},
		},
		{
			"a protocol without a name has its number, and no ports", "2018-07-03T19:44:09.749Z 028cd586 INET match DROP mainrs/1027 IN 36 PROTO 2 192.168.4.3->224.0.0.1",
			FirewallLine{
				Time: at, Filter: "028cd586", Reason: "match", Action: "DROP", Set: "mainrs", Rule: 1027, Length: 36,
				Src: netip.AddrPortFrom(src.Addr(), 0), Dst: netip.MustParseAddrPort("224.0.0.1:0"), Protocol: packet.ProtoIGMP,
			},
		},
		{
			"SCTP has no name in NSX but ports", "2018-07-03T19:44:09.749Z 028cd586 INET match REJECT mainrs/1027 IN 36 PROTO 132 192.168.4.3/49627->192.168.4.4/49153",
			FirewallLine{
				Time: at, Filter: "028cd586", Reason: "match", Action: "REJECT", Set: "mainrs", Rule: 1027, Length: 36,
				Src: src, Dst: dst, Protocol: packet.ProtoSCTP,
			},
		},
		{
			"IPv6", "2018-07-03T19:44:09.749Z 028cd586 INET6 match DROP mainrs/1027 OUT 143 UDP fe80::1/546->ff02::1:2/547",
			FirewallLine{
				Time: at, Filter: "028cd586", Reason: "match", Action: "DROP", Set: "mainrs", Rule: 1027, Out: true, Length: 143,
				Src: src6, Dst: dst6, Protocol: packet.ProtoUDP,
			},
		},
		{
			"ICMP of IPv6 is ICMP", "2018-07-03T19:44:09.749Z 028cd586 INET6 match PASS mainrs/1027 OUT 64 ICMP fe80::1->ff02::1:2",
			FirewallLine{
				Time: at, Filter: "028cd586", Reason: "match", Action: "PASS", Set: "mainrs", Rule: 1027, Out: true, Length: 64,
				Src: netip.AddrPortFrom(src6.Addr(), 0), Dst: netip.AddrPortFrom(dst6.Addr(), 0), Protocol: packet.ProtoICMPv6,
			},
		},
		{
			"the end of a session", "2018-07-03T19:44:09.749Z b6507827 INET TERM PASS mainrs/1024 OUT 0 TCP RST 192.168.4.3/49627->192.168.4.4/49153 22/14 7684/1070 audit",
			FirewallLine{
				Time: at, Filter: "b6507827", Reason: "TERM", Action: "PASS", Set: "mainrs", Rule: 1024, Out: true,
				Src: src, Dst: dst, Protocol: packet.ProtoTCP, End: "RST", Packets: [2]uint64{22, 14}, Bytes: [2]uint64{7684, 1070}, Tag: "audit",
			},
		},
		{
			"packets that were not written one by one", "2018-07-03T19:44:09.749Z b6507827 INET match DROP mainrs/1024 IN 4160 MORE 80 TCP 192.168.4.3/49627->192.168.4.4/49153 S",
			FirewallLine{
				Time: at, Filter: "b6507827", Reason: "match", Action: "DROP", Set: "mainrs", Rule: 1024, Length: 4160, More: 80,
				Src: src, Dst: dst, Protocol: packet.ProtoTCP, Flags: packet.TCPSyn,
			},
		},
		{
			"a segment without flags", "2018-07-03T19:44:09.749Z b6507827 INET state-mismatch DROP mainrs/1024 IN 40 TCP 192.168.4.3/49627->192.168.4.4/49153 -",
			FirewallLine{
				Time: at, Filter: "b6507827", Reason: "state-mismatch", Action: "DROP", Set: "mainrs", Rule: 1024, Length: 40,
				Src: src, Dst: dst, Protocol: packet.ProtoTCP,
			},
		},
		{
			"a frame that is not IP", "2018-07-03T19:44:09.749Z b6507827 ETHER match DROP default/web/1024 IN 60 PROTO 0x88cc 0a:58:0a:00:00:01->01:80:c2:00:00:0e lldp",
			FirewallLine{
				Time: at, Filter: "b6507827", Reason: "match", Action: "DROP", Set: "default/web", Rule: 1024, Length: 60, EtherType: 0x88cc,
				SrcMAC: packet.MAC{0x0a, 0x58, 0x0a, 0, 0, 1}, DstMAC: packet.MAC{1, 0x80, 0xc2, 0, 0, 0x0e}, Tag: "lldp",
			},
		},
		{"lines that could not be written", "2018-07-03T19:44:09.749Z 00000000 LOST 17", FirewallLine{Time: at, Lost: 17}},
	}
}

func TestFirewallLine(t *testing.T) {
	for _, row := range firewallLines(t) {
		require.Equal(t, row.want+"\n", string(row.line.Append(nil)), row.why)
		read, err := ParseFirewallLine(row.want)
		require.NoError(t, err, row.why)
		require.Equal(t, row.line, read, row.why)
	}
}

func TestFirewallLineIsOneLineOfWords(t *testing.T) {
	line := firewallLines(t)[1].line
	line.Set, line.Tag = "my section\n2", "a b\tc"
	require.Equal(t, "2018-07-03T19:44:09.749Z b6507827 INET match DROP my_section_2/1024 OUT 52 TCP 192.168.4.3/49627->192.168.4.4/49153 S a_b_c\n",
		string(line.Append(nil)), "whatever users name their sections, nobody can forge a line")
	line.Set = ""
	require.Contains(t, string(line.Append(nil)), " -/1024 ")
}

func TestParseFirewallLineErrors(t *testing.T) {
	good := firewallLines(t)[0].want
	for _, row := range []struct{ why, old, new, want string }{
		{"nothing at all", good, "", `ends before the time`},
		{"a time of another shape", "2018-07-03T19:44:09.749Z", "Jul-3", `time: "Jul-3"`},
		{"an unknown family", "INET", "IPX", `address family: "IPX"`},
		{"a rule without a number", "mainrs/1024", "mainrs", `rule: "mainrs"`},
		{"a rule with a bad number", "mainrs/1024", "mainrs/x", `rule: "x"`},
		{"no direction", " IN ", " UP ", `direction: "UP"`},
		{"no length", " 52 ", " long ", `length: "long"`},
		{"an unknown protocol", " TCP ", " QUIC ", `protocol: "QUIC"`},
		{"addresses of another family", "INET", "INET6", `addresses of family INET6`},
		{"TCP without a port", "192.168.4.3/49627", "192.168.4.3", `address: "192.168.4.3"`},
		{"letters that are no flags", "SEW", "SYN", `flags: "SYN"`},
		{"an end of no kind", "match", "TERM", `end: "192.168`},
		{"too much", "SEW", "SEW a b", `behind the end: "b"`},
	} {
		_, err := ParseFirewallLine(strings.Replace(good, row.old, row.new, 1))
		require.Error(t, err, row.why)
		require.Regexp(t, row.want, err.Error(), row.why)
	}
}

func TestFilterHash(t *testing.T) {
	require.Equal(t, FilterHash("default/web-1"), FilterHash("default/web-1"))
	require.NotEqual(t, FilterHash("default/web-1"), FilterHash("default/web-2"))
	for i := range 2000 {
		require.Regexp(t, "^[0-9a-f]{8}$", FilterHash("port-"+time.Duration(i).String()))
	}
	require.Equal(t, "811c9dc5", FilterHash(""), "FNV-1a's offset basis: the hash is the same for ever")
}

func TestFirewallReason(t *testing.T) {
	for _, row := range []struct {
		why            string
		in             packet.Reason
		reason, action string
	}{
		{"what passes has matched", packet.None, "match", "PASS"},
		{"so has what a rule drops", packet.PolicyDenied, "match", "DROP"},
		{"or rejects", packet.PolicyRejected, "match", "REJECT"},
		{"no legal packet of its session", packet.SessionInvalid, "state-mismatch", "DROP"},
		{"no room for a session", packet.SessionTableFull, "memory", "DROP"},
		{"too many sessions for a rule", packet.RuleLimit, "state-limit", "DROP"},
		{"flood protection", packet.FloodLimit, "state-limit", "DROP"},
		{"a false address", packet.SpoofGuard, "SpoofGuard", "DROP"},
		{"a part of a datagram", packet.FragmentOverlap, "fragment", "DROP"},
		{"what NSX has no word for keeps its name", packet.NoRoute, "FIB_LOOKUP_FAILED", "DROP"},
	} {
		reason, action := FirewallReason(row.in)
		require.Equal(t, []string{row.reason, row.action}, []string{reason, action}, row.why)
	}
	for r := range packet.NumReasons {
		reason, _ := FirewallReason(r)
		require.NotContains(t, reason, " ", "a reason is one word")
		require.NotEmpty(t, reason)
	}
}

func TestFirewallEnd(t *testing.T) {
	for reason, want := range map[flowtable.EndReason]string{
		flowtable.EndFIN: "FIN", flowtable.EndRST: "RST", flowtable.EndPolicy: "RST",
		flowtable.EndTimeout: "TIMEOUT", flowtable.EndEvicted: "TIMEOUT", flowtable.EndShutdown: "TIMEOUT",
	} {
		require.Equal(t, want, FirewallEnd(reason), reason.String())
	}
}

// FuzzFirewallLine: whatever is read without an error is written as something that reads the same.
func FuzzFirewallLine(f *testing.F) {
	for _, row := range firewallLines(f) {
		f.Add(row.want)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, err := ParseFirewallLine(s)
		if err != nil {
			return
		}
		text := string(line.Append(nil))
		require.Equal(t, 1, strings.Count(text, "\n"))
		again, err := ParseFirewallLine(text)
		require.NoError(t, err, text)
		require.Equal(t, text, string(again.Append(nil)))
	})
}
