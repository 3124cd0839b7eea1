package ipip

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

func addr(text string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(text)) }

// ends are the outer addresses of a family, by the size of its header.
var ends = map[int][2]packet.Addr{
	packet.IPv4MinSize: {addr("10.0.2.1"), addr("10.0.2.20")},
	packet.IPv6Size:    {addr("fd00:2::1"), addr("fd00:2::20")},
}

func newArena(t testing.TB) *packet.Cache {
	t.Helper()
	_, measured := t.(*testing.B)
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024, Supers: 4, Debug: !measured})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse())
		require.NoError(t, a.Close())
	})
	return a.NewCache()
}

// load puts a frame into a buffer, and parses it.
func load(t testing.TB, c *packet.Cache, frame []byte) (packet.Index, *packet.Info) {
	t.Helper()
	b := c.AllocFor(len(frame))
	require.NotZero(t, b)
	c.Arena().Meta(b).Len = uint32(copy(c.Arena().Room(b), frame))
	in := new(packet.Info)
	require.Equal(t, packet.None, packet.Parse(frame, in))
	return b, in
}

func frameOf(t testing.TB, line string) []byte {
	t.Helper()
	frame, err := frametext.Parse(line)
	require.NoError(t, err, line)
	return frame
}

const eth = " eth 02:00:00:00:00:01 > 02:00:00:00:00:02"

func TestPush(t *testing.T) {
	for _, row := range []struct {
		why  string
		size int // of the outer header
		in   string
		want string
	}{
		{
			"IPv4 in IPv4 (RFC 2003)", 20, "udp 192.0.2.1:9 > 192.0.2.2:53 len 12",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df quote { udp 192.0.2.1:9 > 192.0.2.2:53 len 12 }",
		},
		{
			"IPv6 in IPv4 (RFC 4213)", 20, "udp [2001:db8::1]:9 > [2001:db8::2]:53 len 12",
			"ip 10.0.2.1 > 10.0.2.20 proto 41 df quote { udp [2001:db8::1]:9 > [2001:db8::2]:53 len 12 }",
		},
		{
			"IPv4 in IPv6 (RFC 2473)", 40, "udp 192.0.2.1:9 > 192.0.2.2:53 len 12",
			"ip fd00:2::1 > fd00:2::20 proto 4 flow 0xeb8ba quote { udp 192.0.2.1:9 > 192.0.2.2:53 len 12 }",
		},
		{
			"IPv6 in IPv6", 40, "udp [2001:db8::1]:9 > [2001:db8::2]:53 len 12",
			"ip fd00:2::1 > fd00:2::20 proto 41 flow 0xdd907 quote { udp [2001:db8::1]:9 > [2001:db8::2]:53 len 12 }",
		},
		{
			"DSCP is copied, and ECT(1) (RFC 6040)", 20, "udp 192.0.2.1:9 > 192.0.2.2:53 tos 0xb9",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df tos 0xb9 quote { udp 192.0.2.1:9 > 192.0.2.2:53 tos 0xb9 }",
		},
		{
			"and congestion experienced before (RFC 6040 section 4.1)", 40, "udp [2001:db8::1]:9 > [2001:db8::2]:53 tos 3",
			"ip fd00:2::1 > fd00:2::20 proto 41 tos 3 flow 0xdd907 quote { udp [2001:db8::1]:9 > [2001:db8::2]:53 tos 3 }",
		},
		{
			"the TTL inside is its own, though it is the last", 20, "udp 192.0.2.1:9 > 192.0.2.2:53 ttl 1",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df quote { udp 192.0.2.1:9 > 192.0.2.2:53 ttl 1 }",
		},
		{
			"a fragment is a packet like others", 20, "ip 192.0.2.1 > 192.0.2.2 proto 17 id 5 mf off 800 len 80",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df quote { ip 192.0.2.1 > 192.0.2.2 proto 17 id 5 mf off 800 len 80 }",
		},
		{
			"options and DF stay inside", 20, "tcp 192.0.2.1:9 > 192.0.2.2:80 S options 8 df",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df quote { tcp 192.0.2.1:9 > 192.0.2.2:80 S options 8 df }",
		},
		{
			"what is behind the packet is not of it", 20, "udp 192.0.2.1:9 > 192.0.2.2:53 pad 18",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df pad 18 quote { udp 192.0.2.1:9 > 192.0.2.2:53 }",
		},
		{
			"a checksum that is wrong stays wrong", 20, "udp 192.0.2.1:9 > 192.0.2.2:53 badcsum",
			"ip 10.0.2.1 > 10.0.2.20 proto 4 df quote { udp 192.0.2.1:9 > 192.0.2.2:53 badcsum }",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := newArena(t)
			b, in := load(t, c, frameOf(t, row.in+eth))
			require.Equal(t, packet.None, Push(c.Arena(), b, in, ends[row.size][0], ends[row.size][1]))
			require.Equal(t, frametext.Format(frameOf(t, row.want+eth)), frametext.Format(c.Arena().Frame(b)))
			c.Free(b)
		})
	}
}

func TestPushCompletesChecksums(t *testing.T) {
	c := newArena(t)
	b, in := load(t, c, frameOf(t, "tcp 192.0.2.1:9 > 192.0.2.2:80 A partial len 5"+eth))
	m := c.Arena().Meta(b)
	m.CsumPartial, m.CsumStart, m.CsumOffset = true, in.L4, 16
	require.Equal(t, packet.None, Push(c.Arena(), b, in, ends[20][0], ends[20][1]))
	require.False(t, m.CsumPartial)
	require.Equal(t,
		"ip 10.0.2.1 > 10.0.2.20 proto 4"+eth+" df quote { tcp 192.0.2.1:9 > 192.0.2.2:80 A len 5 }", frametext.Format(c.Arena().Frame(b)))
	c.Free(b)
}

func TestPushRefuses(t *testing.T) {
	udp := "udp 192.0.2.1:9 > 192.0.2.2:53 len 12" + eth
	for _, row := range []struct {
		why    string
		frame  string
		spoil  func(a *packet.Arena, b packet.Index, m *packet.Meta)
		reason packet.Reason
	}{
		{"what is no IP packet", "arp 10.0.0.1 who-has 10.0.0.2", nil, packet.InvalidHeader},
		{"a frame without room before it", udp, func(a *packet.Arena, b packet.Index, m *packet.Meta) {
			require.True(t, a.Prepend(b, packet.Headroom-19))
		}, packet.FrameTooLong},
		{"a packet that the length could not say any more", "udp 192.0.2.1:9 > 192.0.2.2:53 len 65488" + eth, nil, packet.FrameTooLong},
		{"a second header around a super-frame", udp, func(_ *packet.Arena, _ packet.Index, m *packet.Meta) {
			m.GSOType, m.GSOSize, m.Outer = packet.GSOUDP, 6, 20
		}, packet.FrameTooLong},
		{"a device's word that the packet contradicts", udp, func(_ *packet.Arena, _ packet.Index, m *packet.Meta) {
			m.CsumPartial, m.CsumStart, m.CsumOffset = true, 5000, 6
		}, packet.InvalidHeader},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := newArena(t)
			b, in := load(t, c, frameOf(t, row.frame))
			m := c.Arena().Meta(b)
			if row.spoil != nil {
				row.spoil(c.Arena(), b, m)
			}
			was, at := *in, m.Off
			require.Equal(t, row.reason, Push(c.Arena(), b, in, ends[20][0], ends[20][1]))
			require.Equal(t, was, *in)
			require.Equal(t, at, m.Off)
			c.Free(b)
		})
	}
	c := newArena(t)
	b, in := load(t, c, frameOf(t, "udp 192.0.2.1:9 > 192.0.2.2:53 len 65487"+eth))
	require.Equal(t, packet.None, Push(c.Arena(), b, in, ends[20][0], ends[20][1]), "the longest there is")
	c.Free(b)
}

// TestSegmentsOfWhatWasPushed: a super-frame that is put into a packet and cut gives what its segments, put into packets, are.
func TestSegmentsOfWhatWasPushed(t *testing.T) {
	for _, row := range []struct {
		why  string
		line string
		gso  uint8
	}{
		{"TCP over IPv4", "tcp 192.0.2.1:9 > 192.0.2.2:80 PA seq 7 id 5 tos 0x2e df len 5000", packet.GSOTCPv4},
		{"TCP over IPv6", "tcp [2001:db8::1]:9 > [2001:db8::2]:80 PA seq 7 len 5000", packet.GSOTCPv6},
		{"behind an extension header", "tcp [2001:db8::1]:9 > [2001:db8::2]:80 PA seq 7 hbh 8 len 5000", packet.GSOTCPv6},
		{"UDP over IPv4", "udp 192.0.2.1:9 > 192.0.2.2:80 id 5 len 5000", packet.GSOUDP},
		{"UDP over IPv6", "udp [2001:db8::1]:9 > [2001:db8::2]:80 len 5000", packet.GSOUDP},
		{"of the greatest length", "tcp 192.0.2.1:9 > 192.0.2.2:80 PA seq 7 id 5 len 65495", packet.GSOTCPv4},
		{"padding is left behind", "tcp 192.0.2.1:9 > 192.0.2.2:80 PA seq 7 id 5 len 2500 pad 5", packet.GSOTCPv4},
		{"a jumbogram's option, too (RFC 2675)", "jumbo", packet.GSOTCPv6},
	} {
		for size, outer := range ends {
			t.Run(fmt.Sprint(row.why, " in ", size), func(t *testing.T) {
				c := newArena(t)
				super := func() (packet.Index, *packet.Info) {
					frame := jumbogram(t)
					if row.line != "jumbo" {
						frame = frameOf(t, row.line+eth)
					}
					b, in := load(t, c, frame)
					m := c.Arena().Meta(b)
					m.GSOType, m.GSOSize, m.CsumPartial, m.CsumStart, m.CsumOffset = row.gso, 1200, true, in.L4, 16
					return b, in
				}
				var want, got [80]packet.Index
				b, _ := super()
				n, r := packet.Segment(c, b, want[:])
				require.Equal(t, packet.None, r)
				for _, s := range want[:n] {
					var in packet.Info
					require.Equal(t, packet.None, packet.Parse(c.Arena().Frame(s), &in))
					require.Equal(t, packet.None, Push(c.Arena(), s, &in, outer[0], outer[1]))
				}

				b, in := super()
				require.Equal(t, packet.None, Push(c.Arena(), b, in, outer[0], outer[1]))
				require.EqualValues(t, size, c.Arena().Meta(b).Outer)
				k, r := packet.Segment(c, b, got[:])
				require.Equal(t, packet.None, r)
				require.Equal(t, n, k)
				for i := range n {
					require.Equal(t, frametext.Format(c.Arena().Frame(want[i])), frametext.Format(c.Arena().Frame(got[i])))
					require.Zero(t, c.Arena().Meta(got[i]).Outer, "a segment is a frame like others")
				}
				c.FreeN(want[:n])
				c.FreeN(got[:n])
			})
		}
	}
}

// jumbogram returns a TCP packet that is longer than IPv6's length can say, as Linux makes them.
func jumbogram(t testing.TB) []byte {
	const size = 66000
	f := frameOf(t, "tcp [2001:db8::1]:9 > [2001:db8::2]:80 PA seq 7 hbh 8 len 60000"+eth)
	f = append(f, bytes.Repeat([]byte{'x'}, size-60000)...)
	ip := f[packet.EthernetSize:]
	ip[4], ip[5] = 0, 0
	n := len(ip) - packet.IPv6Size
	copy(ip[42:], []byte{0xc2, 4, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return f
}

// TestGopacketAgrees: gopacket's serialiser makes the same outer header.
func TestGopacketAgrees(t *testing.T) {
	for _, line := range []string{
		"udp 192.0.2.1:9 > 192.0.2.2:5000 tos 0x2e len 12", "tcp [2001:db8::1]:9 > [2001:db8::2]:80 S tos 0x2d",
	} {
		for size, outer := range ends {
			t.Run(fmt.Sprint(line[:3], " in ", size), func(t *testing.T) {
				c := newArena(t)
				frame := frameOf(t, line+eth)
				b, in := load(t, c, frame)
				require.Equal(t, packet.None, Push(c.Arena(), b, in, outer[0], outer[1]))
				got := c.Arena().Frame(b)

				proto := layers.IPProtocolIPv4
				if in.Has(packet.IsIPv6) {
					proto = layers.IPProtocolIPv6
				}
				var header gopacket.SerializableLayer
				if size == packet.IPv4MinSize {
					header = &layers.IPv4{
						Version: 4, TOS: in.TOS, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: proto,
						SrcIP: outer[0].Netip().AsSlice(), DstIP: outer[1].Netip().AsSlice(),
					}
				} else {
					header = &layers.IPv6{
						Version: 6, TrafficClass: in.TOS, HopLimit: 64, NextHeader: proto, FlowLabel: packet.IPv6(got[packet.EthernetSize:]).FlowLabel(),
						SrcIP: outer[0].Netip().AsSlice(), DstIP: outer[1].Netip().AsSlice(),
					}
				}
				buffer := gopacket.NewSerializeBuffer()
				require.NoError(t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
					header, gopacket.Payload(frame[packet.EthernetSize:])))
				require.Equal(t, buffer.Bytes(), got[packet.EthernetSize:])

				decoded := gopacket.NewPacket(got, layers.LayerTypeEthernet, gopacket.Default)
				require.Nil(t, decoded.ErrorLayer())
				require.Equal(t, header.LayerType(), decoded.Layers()[1].LayerType())
				require.Equal(t, proto.LayerType(), decoded.Layers()[2].LayerType())
				c.Free(b)
			})
		}
	}
}

func TestFlowLabels(t *testing.T) {
	labels := map[uint32]bool{}
	for i := range 1000 {
		var in packet.Info
		frame := frameOf(t, fmt.Sprintf("udp [2001:db8::%x]:%d > [2001:db8::2]:53", i%10, 1000+i))
		require.Equal(t, packet.None, packet.Parse(frame, &in))
		labels[flowLabel(&in)] = true
		in.Key = in.Key.WithZone(77)
		require.True(t, labels[flowLabel(&in)], "the node's own numbers do not count")
	}
	require.Greater(t, len(labels), 990)
}

// FuzzPush: what is left of a frame without the outer header is the frame that came in, and what was known of it still holds.
func FuzzPush(f *testing.F) {
	for _, line := range []string{
		"udp 192.0.2.1:9 > 192.0.2.2:53 len 12", "tcp [2001:db8::1]:9 > [2001:db8::2]:80 S hbh 8 options 8",
		"icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:9 > 10.0.0.3:53 }",
		"ip 192.0.2.1 > 192.0.2.2 proto 4 mf quote { udp 192.0.2.1:9 > 192.0.2.2:53 len 12 }", "arp 10.0.0.1 who-has 10.0.0.2",
	} {
		f.Add(frameOf(f, line), true)
		f.Add(frameOf(f, line+" pad 7"), false)
	}
	c := newArena(f)
	a := c.Arena()
	f.Fuzz(func(t *testing.T, frame []byte, v6 bool) {
		var in packet.Info
		if len(frame) > 1700 || packet.Parse(frame, &in) != packet.None {
			return
		}
		size := packet.IPv4MinSize
		if v6 {
			size = packet.IPv6Size
		}
		b, now := load(t, c, frame)
		defer c.Free(b)
		if r := Push(a, b, now, ends[size][0], ends[size][1]); r != packet.None {
			require.False(t, in.Has(packet.IsIP))
			require.Equal(t, frame, a.Frame(b))
			return
		}
		got := a.Frame(b)
		l3 := int(in.L3)
		require.Equal(t, frame[:l3-2], got[:l3-2])
		require.Equal(t, frame[l3:], got[l3+size:])
		in.L3 += uint16(size)
		in.L4 += uint16(size)
		require.Equal(t, in, *now)

		var outer packet.Info
		require.Equal(t, packet.None, packet.Parse(got, &outer))
		require.False(t, outer.Has(packet.BadIPChecksum))
		require.EqualValues(t, size, outer.L4-outer.L3)
		require.Equal(t, in.IPLen+uint32(size), outer.IPLen)
		require.Equal(t, in.TOS, outer.TOS)
	})
}

func TestPushDoesNotAllocate(t *testing.T) {
	c := newArena(t)
	frame := frameOf(t, "udp 192.0.2.1:9 > 192.0.2.2:53 len 12")
	for size, outer := range ends {
		b, in := load(t, c, frame)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			Push(c.Arena(), b, in, outer[0], outer[1])
			c.Arena().TrimFront(b, size)
			copy(c.Arena().Frame(b), frame)
			in.L3 -= uint16(size)
			in.L4 -= uint16(size)
		}))
		c.Free(b)
	}
}

func BenchmarkPush(b *testing.B) {
	c := newArena(b)
	frame := frameOf(b, "udp 192.0.2.1:9 > 192.0.2.2:53 len 12")
	for size, outer := range ends {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			i, in := load(b, c, frame)
			for b.Loop() {
				Push(c.Arena(), i, in, outer[0], outer[1])
				c.Arena().TrimFront(i, size)
				in.L3 -= uint16(size)
				in.L4 -= uint16(size)
			}
			c.Free(i)
		})
	}
}
