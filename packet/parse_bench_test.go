package packet

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unhex reads hex digits, ignoring white space.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(tb, err)
	return b
}

var benchFrames = []struct{ name, hex string }{
	{"udp4", udp4Hex},
	{"tcp4", tcp4Hex},
	{"udp6", udp6Hex},
	{"tcp6", tcp6Hex},
	{"vlan-udp4", vlanUDP4Hex},
	{"udp4-options", udp4OptionsHex},
	{"udp4-later-fragment", udp4FragmentHex},
	{"icmp4-echo", echo4Hex},
	{"icmp4-error", error4Hex},
	{"udp6-hop-by-hop", hopUDP6Hex},
	{"arp", arpHex},
}

const (
	ethIPv4 = `0a58c0a80002 0a58c0a80001 0800`
	ethIPv6 = `0a58c0a80002 0a58c0a80001 86dd`

	// 64 bytes without FCS: 46 of IP, 18 of UDP payload.
	udp4Hex = ethIPv4 + `4500002e 12344000 4011a737 c0a80001 c0a80002  1f900035 001a0000` + zero18
	tcp4Hex = ethIPv4 + `45000028 12344000 4006a748 c0a80001 c0a80002  1f900050 00000001 00000002 50180200 00000000 000000000000`
	zero18  = `000000000000000000000000000000000000`

	ip6Addrs = `20010db8000000000000000000000001 20010db8000000000000000000000002`
	udp6Hex  = ethIPv6 + `60000000 001a1140` + ip6Addrs + `1f900035 001a0000` + zero18
	tcp6Hex  = ethIPv6 + `60000000 00140640` + ip6Addrs + `1f900050 00000001 00000002 50180200 00000000`

	vlanUDP4Hex = `0a58c0a80002 0a58c0a80001 8100 2064 0800` +
		`4500002e 12344000 4011a737 c0a80001 c0a80002  1f900035 001a0000` + zero18
	udp4OptionsHex = ethIPv4 + `46000020 12344000 40111241 c0a80001 c0a80002 94040000 1f900035 00080000`
	// 16 bytes at offset 1480, the last of its datagram.
	udp4FragmentHex = ethIPv4 + `45000024 123400b9 4011e688 c0a80001 c0a80002 00000000000000000000000000000000`

	echo4Hex = ethIPv4 + `4500001c 12344000 4001a759 c0a80001 c0a80002 08000000 abcd0001`
	// Port unreachable from 192.168.0.2 for the datagram of udp4Hex.
	error4Hex = ethIPv4 + `45000038 12344000 4001a73d c0a80002 c0a80001 03030000 00000000` +
		`4500002e 12344000 4011a737 c0a80001 c0a80002 1f900035 001a0000`
	hopUDP6Hex = ethIPv6 + `60000000 00100040` + ip6Addrs + `1100050200000000 1f900035 00080000`

	arpHex = `ffffffffffff 0a58c0a80001 0806 0001 0800 06 04 0001 0a58c0a80001 c0a80001 000000000000 c0a80002`
)

func BenchmarkParse(b *testing.B) {
	for _, f := range benchFrames {
		b.Run(f.name, func(b *testing.B) {
			frame := unhex(b, f.hex)
			var in Info
			require.Equal(b, None, Parse(frame, &in))
			require.False(b, in.Has(BadIPChecksum), "the frame's IP checksum")
			b.ReportAllocs()
			for b.Loop() {
				Parse(frame, &in)
			}
		})
	}
}
