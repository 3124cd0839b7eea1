package pcap

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Hexadecimal, spaced for the eye.
func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

const (
	v4 = "4500 0014 0000 0000 4011 0000 0a000001 0a000002"
	v6 = "60000000 0000 3b40 fd000000000000000000000000000001 fd000000000000000000000000000002"

	// 10.0.0.1 and fd00::1 to the gateway.
	made4 = "025056564452 0a580a000001 0800"
	made6 = "025056564452 0a5800000001 86dd"
)

func TestToEthernet(t *testing.T) {
	tests := []struct {
		why  string
		link LinkType
		in   string
		want string // "" is refused
	}{
		{"Ethernet stays as it is", LinkEthernet, "ffffffffffff 020000000001 0806 00", "ffffffffffff 020000000001 0806 00"},
		{"Ethernet may be too short for its header: the switch counts it", LinkEthernet, "ff", "ff"},
		{"raw IPv4 by its version", LinkRaw, v4, made4 + v4},
		{"raw IPv6 by its version", LinkRaw, v6, made6 + v6},
		{"raw as BSD numbers it", LinkRawBSD, v4, made4 + v4},
		{"raw as OpenBSD numbers it", LinkRawOBSD, v4, made4 + v4},
		{"raw of no IP version", LinkRaw, "55", ""},
		{"raw of nothing", LinkRaw, "", ""},
		{"IPv4 by the link type, whatever the packet says", LinkIPv4, v6, "025056564452 0a5800000000 0800" + v6},
		{"IPv4 too short for addresses", LinkIPv4, "45", "025056564452 0a5800000000 0800 45"},
		{"IPv6 by the link type", LinkIPv6, v6, made6 + v6},
		{"loopback of a little-endian host", LinkNull, "02000000" + v4, made4 + v4},
		{"loopback of a big-endian host", LinkNull, "00000002" + v4, made4 + v4},
		{"IPv6 on NetBSD and OpenBSD", LinkNull, "18000000" + v6, made6 + v6},
		{"IPv6 on FreeBSD", LinkNull, "1c000000" + v6, made6 + v6},
		{"IPv6 on Darwin", LinkNull, "1e000000" + v6, made6 + v6},
		{"OpenBSD's loopback is in network byte order", LinkLoop, "00000018" + v6, made6 + v6},
		{"a family that is not IP", LinkNull, "07000000" + v4, ""},
		{"loopback cut short", LinkNull, "020000", ""},
		{"cooked, with the sender's address", LinkSLL, "0000 0001 0006 0200000000010000 0800" + v4, "025056564452 020000000001 0800" + v4},
		{"cooked on a loopback interface, whose address is zero", LinkSLL, "0000 0304 0006 0000000000000000 0800" + v4, made4 + v4},
		{"cooked on an interface without addresses", LinkSLL, "0004 0200 0000 0000000000000000 86dd" + v6, made6 + v6},
		{"cooked broadcast", LinkSLL, "0001 0001 0006 0200000000010000 0806 00", "ffffffffffff 020000000001 0806 00"},
		{"cooked LLC becomes 802.3 with a length", LinkSLL, "0002 0001 0006 0200000000010000 0004 424203", "025056564452 020000000001 0003 424203"},
		{"cooked netlink is no frame", LinkSLL, "0004 0338 0000 0000000000000000 0000 00", ""},
		{"cooked CAN is no Ethernet", LinkSLL, "0000 0118 0000 0000000000000000 000c 00", ""},
		{"cooked, cut short", LinkSLL, "0000 0001 0006 0200000000010000 08", ""},
		{"cooked version 2", LinkSLL2, "0800 0000 00000007 0001 00 06 0200000000010000" + v4, "025056564452 020000000001 0800" + v4},
		{"cooked version 2, broadcast", LinkSLL2, "0806 0000 00000007 0001 01 06 0200000000010000 00", "ffffffffffff 020000000001 0806 00"},
		{"cooked version 2, cut short", LinkSLL2, "0806 0000 00000007 0001 01 06 02000000000100", ""},
		{"IPv4 broadcast", LinkRaw, "45000014000000004011000000000000ffffffff", "ffffffffffff 0a5800000000 0800 45000014000000004011000000000000ffffffff"},
		{"IPv4 multicast has 23 bits of the group", LinkRaw, "450000140000000040110000 0a000001 efffffff", "01005e7fffff 0a580a000001 0800 450000140000000040110000 0a000001 efffffff"},
		{
			"IPv6 multicast has 32 bits of the group", LinkRaw,
			"60000000 0000 3b40 fe800000000000000000000000000001 ff0200000000000000000001ff000002",
			"3333ff000002 0a5800000001 86dd 60000000 0000 3b40 fe800000000000000000000000000001 ff0200000000000000000001ff000002",
		},
		{"a link type that is not carried", 105, "00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			b := append(make([]byte, etherLen), unhex(t, tt.in)...)
			start, carried := tt.link.toEthernet(b)
			require.Equal(t, tt.want != "", carried)
			if carried {
				require.Equal(t, hex.EncodeToString(unhex(t, tt.want)), hex.EncodeToString(b[start:]))
			}
		})
	}
}

// The original length counts the header that was made, not the one it replaces.
func TestOrigLenFollowsTheHeader(t *testing.T) {
	packet := unhex(t, "0000 0001 0006 0200000000010000 0800"+v4)
	frames, _, err := open(pcapFile(le, magicMicro, uint32(LinkSLL), record{1, 0, uint32(len(packet)), 116, packet}))
	require.NoError(t, err)
	require.Equal(t, 114, frames[0].OrigLen)
	require.Len(t, frames[0].Data, 34)
}

func TestCarriedAgreesWithToEthernet(t *testing.T) {
	for l := range LinkType(1000) {
		c := false
		for _, in := range []string{v4, "02000000" + v4, "0000 0001 0006 0200000000010000 0800" + v4, "0800 0000 00000007 0001 00 06 0200000000010000" + v4} {
			_, ok := l.toEthernet(append(make([]byte, etherLen), unhex(t, in)...))
			c = c || ok
		}
		require.Equal(t, l.Carried(), c, "link type %s", l)
	}
}
