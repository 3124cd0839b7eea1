package vnet

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

func parse(t testing.TB, text string) []byte {
	t.Helper()
	f, err := frametext.Parse(text)
	require.NoError(t, err, text)
	return f
}

func TestCutTunnel(t *testing.T) {
	const (
		inner4 = "tcp 10.1.0.1:9 > 10.1.0.2:80 A len 5000 partial"
		inner6 = "tcp [fd01::1]:9 > [fd01::2]:80 A len 5000 partial"
		innerU = "udp 10.1.0.1:9 > 10.1.0.2:53 len 5000 partial"
		vxlan  = "0800000000002a00"
		geneve = "0240655800002a00" + "0102030400000000" // an option
	)
	for _, row := range []struct {
		why    string
		outer  string // of frametext, with %s for the payload
		header string // between the outer and the inner headers
		inner  string
		link   bool // the inner packet has an Ethernet header
		gso    uint8
	}{
		{"VXLAN over IPv4, which sums nothing outside", "udp 10.0.0.1:9 > 10.0.0.2:4789 nocsum df hex %s", vxlan, inner4, true, packet.GSOTCPv4},
		{"with a sum of the whole", "udp 10.0.0.1:9 > 10.0.0.2:4789 hex %s", vxlan, inner4, true, packet.GSOTCPv4},
		{"over IPv6, which must sum", "udp [fd00::1]:9 > [fd00::2]:4789 hex %s", vxlan, inner4, true, packet.GSOTCPv4},
		{"IPv6 in it", "udp 10.0.0.1:9 > 10.0.0.2:4789 nocsum hex %s", vxlan, inner6, true, packet.GSOTCPv6},
		{"UDP in it", "udp 10.0.0.1:9 > 10.0.0.2:4789 nocsum hex %s", vxlan, innerU, true, packet.GSOUDP},
		{"Geneve with an option", "udp 10.0.0.1:9 > 10.0.0.2:6081 hex %s", geneve, inner4, true, packet.GSOTCPv4},
		{"GRE", "ip 10.0.0.1 > 10.0.0.2 proto 47 hex %s", "00000800", inner4, false, packet.GSOTCPv4},
		{"IP in IP", "ip 10.0.0.1 > 10.0.0.2 proto 4 hex %s", "", inner4, false, packet.GSOTCPv4},
		{"IPv6 in IPv4 (6in4)", "ip 10.0.0.1 > 10.0.0.2 proto 41 hex %s", "", inner6, false, packet.GSOTCPv6},
		{"an outer frame that is padded", "udp 10.0.0.1:9 > 10.0.0.2:4789 nocsum pad 5 hex %s", vxlan, inner4, true, packet.GSOTCPv4},
		{"inner IP options", "udp 10.0.0.1:9 > 10.0.0.2:4789 nocsum hex %s", vxlan, inner4 + " options 8", true, packet.GSOTCPv4},
		{"VXLAN on a trunk", "udp 10.0.0.1:9 > 10.0.0.2:4789 nocsum vlan 7 hex %s", vxlan, inner4, true, packet.GSOTCPv4},
	} {
		t.Run(row.why, func(t *testing.T) {
			a := newArena(t, packet.ArenaConfig{Buffers: 128, Supers: 16, Debug: true})
			c := a.NewCache()
			k := NewKit(c)
			inner := parse(t, row.inner)
			var in packet.Info
			require.Equal(t, packet.None, packet.Parse(inner, &in))
			payload := inner
			if !row.link {
				payload = inner[packet.EthernetSize:]
			}
			f := parse(t, fmt.Sprintf(row.outer, row.header+hex.EncodeToString(payload)))
			var out packet.Info
			require.Equal(t, packet.None, packet.Parse(f, &out))
			around := int(out.L3) + int(out.IPLen) - len(payload) // bytes before the payload

			put := func(frame []byte, start int) packet.Index {
				b := c.AllocFor(len(frame))
				m := a.Meta(b)
				m.Len = uint32(copy(a.Room(b), frame))
				h := header(needsCsum, row.gso, 0, 1300, uint16(start), uint16(map[uint8]int{packet.ProtoTCP: 16, packet.ProtoUDP: 6}[in.Proto]))
				require.Equal(t, len(frame) == len(inner), h.Decode(m, a.Frame(b)), "refused, but for the inner frame alone")
				return b
			}
			var want, got [64]packet.Index
			alone := put(inner, int(in.L4))
			count, r := packet.Segment(c, alone, want[:])
			require.Equal(t, packet.None, r)
			require.Equal(t, 4, count)

			b := put(f, around+len(payload)-(len(inner)-int(in.L4)))
			require.Zero(t, k.CutTunnel(b, got[:3]), "too little room")
			c.Free(b)
			b = put(f, around+len(payload)-(len(inner)-int(in.L4)))
			require.Equal(t, count, k.CutTunnel(b, got[:]))
			for i, s := range got[:count] {
				a.Check(s)
				frame := a.Frame(s)
				var o packet.Info
				require.Equal(t, packet.None, packet.Parse(frame, &o))
				require.False(t, o.Has(packet.BadIPChecksum))
				require.EqualValues(t, len(frame), int(o.L3)+int(o.IPLen))
				require.Equal(t, out.Key, o.Key)
				require.True(t, packet.VerifyTransport(frame, int(o.L3), int(o.L4), int(o.IPLen), o.Proto))
				if out.Proto == packet.ProtoUDP {
					require.Equal(t, packet.UDP(f[out.L4:]).Checksum() == 0, packet.UDP(frame[o.L4:]).Checksum() == 0)
				}
				if o.Has(packet.IsIPv4) {
					require.Equal(t, packet.IPv4(f[out.L3:]).ID()+uint16(i), packet.IPv4(frame[o.L3:]).ID())
				}
				alone := a.Frame(want[i])
				require.Equal(t, alone[len(inner)-len(payload):], frame[around:], "segment %d", i)
				require.False(t, a.Meta(s).CsumPartial)
			}
			c.FreeN(want[:count])
			c.FreeN(got[:count])
		})
	}
}

// TestCutTunnelRefuses what it does not understand; nothing is lost.
func TestCutTunnelRefuses(t *testing.T) {
	inner := hex.EncodeToString(parse(t, tcp4))
	for _, row := range []struct {
		why, frame string
		header     Header
	}{
		{"no super-frame", "udp 10.0.0.1:9 > 10.0.0.2:4789 hex 0800000000002a00" + inner, header(needsCsum, 0, 0, 0, 84, 16)},
		{"no checksum's place, so nobody knows where the inner packet is", "udp 10.0.0.1:9 > 10.0.0.2:4789 hex 0800000000002a00" + inner, header(0, packet.GSOTCPv4, 0, 1300, 0, 0)},
		{"a place beyond the frame", "udp 10.0.0.1:9 > 10.0.0.2:4789 hex 0800000000002a00" + inner, header(needsCsum, packet.GSOTCPv4, 0, 1300, 60000, 16)},
		{"a place where no packet is", "udp 10.0.0.1:9 > 10.0.0.2:4789 hex 0800000000002a00" + inner, header(needsCsum, packet.GSOTCPv4, 0, 1300, 85, 16)},
		{"not of the type", "udp 10.0.0.1:9 > 10.0.0.2:4789 hex 0800000000002a00" + inner, header(needsCsum, packet.GSOTCPv6, 0, 1300, 84, 16)},
		{"GRE with a checksum", "ip 10.0.0.1 > 10.0.0.2 proto 47 hex 8000655800000000" + inner, header(needsCsum, packet.GSOTCPv4, 0, 1300, 76, 16)},
		{"a fragment of a tunnel's packet", "udp 10.0.0.1:9 > 10.0.0.2:4789 mf hex 0800000000002a00" + inner, header(needsCsum, packet.GSOTCPv4, 0, 1300, 84, 16)},
		{"no tunnel: a lie about the type", udp4, header(needsCsum, packet.GSOTCPv4, 0, 1300, 34, 16)},
	} {
		t.Run(row.why, func(t *testing.T) {
			a := newArena(t, packet.ArenaConfig{Buffers: 128, Supers: 16, Debug: true})
			c := a.NewCache()
			f := parse(t, row.frame)
			b := c.AllocFor(len(f))
			a.Meta(b).Len = uint32(copy(a.Room(b), f))
			row.header.Decode(a.Meta(b), a.Frame(b))
			var out [64]packet.Index
			require.Zero(t, NewKit(c).CutTunnel(b, out[:]))
			c.Free(b)
		})
	}
}
