package route

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// optionsFrame is a long packet with a router alert, which goes into all
// fragments, and a timestamp option, which does not.
func optionsFrame(t *testing.T) []byte {
	t.Helper()
	frame := frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 options 12 len 1400"+fromWeb)
	ip, ok := packet.AsIPv4(frame[packet.EthernetSize:])
	require.True(t, ok)
	copy(ip[packet.IPv4MinSize:], []byte{packet.IPv4OptionTimestamp, 5, 5, 0, 0, packet.OptionNop, packet.IPv4OptionRouterAlert, 4, 0, 0, 0, 0})
	ip.UpdateChecksum()
	return frame
}

func offsetOf(f mem.Frame) int {
	return int(packet.IPv4(f.Data[packet.EthernetSize:]).FragmentOffset())
}

func TestFragmentation(t *testing.T) {
	long := "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 len 1472"
	for _, row := range []struct {
		why    string
		mtu    int
		frames [][]byte
		sizes  []int // of the IP packets that are sent
		more   bool  // the datagram's end is not among them
	}{
		{"a packet that fits is left alone", 1500, [][]byte{frameOf(t, long+fromWeb)}, []int{1500}, false},
		{"one that does not becomes two", 1400, [][]byte{frameOf(t, long+fromWeb)}, []int{1396, 124}, false},
		{"only whole units of 8 bytes are cut off: 1 byte too many costs 8", 1499, [][]byte{frameOf(t, long+fromWeb)}, []int{1492, 28}, false},
		{"the last takes all that fits", 772, [][]byte{frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 len 1496"+fromWeb)}, []int{772, 772}, false},
		{
			"on the narrowest link there is (RFC 791)", 68,
			[][]byte{frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 len 183"+fromWeb)},
			[]int{68, 68, 68, 67},
			false,
		},
		{
			"bytes behind the packet are not part of it", 1400,
			[][]byte{frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 len 1400 pad 9"+fromWeb)},
			[]int{1396, 52},
			false,
		},
		{
			"a first fragment becomes two with more to come", 1400,
			[][]byte{frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 mf len 1472"+fromWeb)},
			[]int{1396, 124},
			true,
		},
		{
			"a later fragment's offsets count from its own", 1000,
			[][]byte{
				frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 id 7 mf len 1472"+fromWeb),
				frameOf(t, "ip 10.0.1.10 > 10.0.2.10 proto 17 id 7 off 1480 len 1001"+fromWeb),
			},
			[]int{996, 524, 996, 45},
			false,
		},
		{"options are repeated if their type says so (RFC 791 section 3.1)", 700, [][]byte{optionsFrame(t)}, []int{696, 696, 96}, false},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := routedNetwork()
			c.Segments[1].MTU = row.mtu
			n := newTestbed(t, c)
			n.ports[1].Inject(row.frames...)
			n.step()
			var want []byte
			for _, f := range row.frames {
				want = append(want, packet.IPv4(f[packet.EthernetSize:]).Payload()...)
			}
			got := make([]byte, len(want))
			var sizes []int
			end, ended := 0, false
			sent := n.ports[3].Sent()
			// Of several packets the last fragments may be overtaken.
			slices.SortStableFunc(sent, func(a, b mem.Frame) int { return offsetOf(a) - offsetOf(b) })
			for _, f := range sent {
				require.Equal(t, gatewayMAC, packet.Ethernet(f.Data).Src())
				ip, ok := packet.AsIPv4(f.Data[packet.EthernetSize:])
				require.True(t, ok)
				require.True(t, ip.ChecksumValid())
				require.Equal(t, len(ip), int(ip.Length()), "there is nothing behind a fragment")
				require.Equal(t, uint8(63), ip.TTL())
				require.Equal(t, uint16(7), ip.ID())
				offset := int(ip.FragmentOffset())
				require.Equal(t, end, offset, "without gaps")
				end = offset + copy(got[offset:], ip.Payload())
				sizes = append(sizes, len(ip))
				ended = !ip.MoreFragments()
			}
			require.Equal(t, row.sizes, sizes)
			require.Equal(t, want, got)
			require.Equal(t, row.more, !ended)
			require.Empty(t, n.drops()[packet.FragmentationNeeded])
		})
	}
}

func TestFragmentOptions(t *testing.T) {
	c := routedNetwork()
	c.Segments[1].MTU = 700
	n := newTestbed(t, c)
	n.ports[1].Inject(optionsFrame(t))
	n.step()
	var kinds [][]uint8
	for _, f := range n.ports[3].Sent() {
		ip, ok := packet.AsIPv4(f.Data[packet.EthernetSize:])
		require.True(t, ok)
		list := []uint8{}
		it := ip.Options()
		for o, ok := it.Next(); ok; o, ok = it.Next() {
			list = append(list, o.Kind)
		}
		require.False(t, it.Malformed())
		kinds = append(kinds, list)
	}
	alert, timestamp := uint8(packet.IPv4OptionRouterAlert), uint8(packet.IPv4OptionTimestamp)
	require.Equal(t, [][]uint8{{timestamp, alert}, {alert}, {alert}}, kinds)
}

func TestFragmentTags(t *testing.T) {
	c := routedNetwork()
	c.Ports[2].Zones[0].Tags = dataplane.Tags{Outer: 22}
	n := newTestbed(t, c)
	n.ports[1].Inject(frameOf(t, "udp 10.0.1.10:1 > 10.0.2.10:2 len 1472"+fromWeb))
	n.step()
	sent := n.ports[3].Sent()
	require.Len(t, sent, 2)
	for _, f := range sent {
		require.Equal(t, uint16(packet.EtherTypeVLAN), packet.Ethernet(f.Data).Type())
		require.Equal(t, uint16(22), packet.VLAN(f.Data[packet.EthernetSize:]).ID())
	}
}

// TestFragmentChecksum: what a device was to complete is complete before it is cut.
func TestFragmentChecksum(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	line := "udp 10.0.1.10:1 > 10.0.2.10:2 len 1472"
	n.ports[1].InjectFrame(mem.Frame{
		Data: frameOf(t, line+" partial"+fromWeb),
		Meta: packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6},
	})
	n.step()
	var got []byte
	for _, f := range n.ports[3].Sent() {
		require.False(t, f.Meta.CsumPartial)
		got = append(got, packet.IPv4(f.Data[packet.EthernetSize:]).Payload()...)
	}
	require.Equal(t, packet.IPv4(frameOf(t, line)[packet.EthernetSize:]).Payload(), got)
}

func TestPacketTooBig(t *testing.T) {
	newTestbed(t, routedNetwork()).run([]step{
		{
			why:  "what must not be cut is refused with the MTU that it has to keep to (RFC 1191)",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 df len 1373" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 frag-needed mtu 1400 tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.10:2 df len 1373 cut 548 }" + toWeb},
			drop: packet.FragmentationNeeded,
		},
		{
			why:  "one byte less passes",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 df len 1372" + fromWeb,
			want: []string{"3 udp 10.0.1.10:1 > 10.0.2.10:2 df len 1372 ttl 63" + toApp},
		},
		{
			why:  "now that the flow is known it still does not",
			in:   "1 udp 10.0.1.10:1 > 10.0.2.10:2 df len 1373" + fromWeb,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 frag-needed mtu 1400 tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.10:2 df len 1373 cut 548 }" + toWeb},
			drop: packet.FragmentationNeeded,
		},
		{
			why:  "routers never cut IPv6 (RFC 8200 section 5)",
			in:   "1 udp [fd00:1::a]:1 > [fd00:2::a]:2 len 1353" + fromWeb,
			want: []string{"1 icmp6 fd00:1::1 > fd00:1::a too-big mtu 1400 quote { udp [fd00:1::a]:1 > [fd00:2::a]:2 len 1353 cut 1232 }" + toWeb},
			drop: packet.FragmentationNeeded,
		},
	})
}

func TestSuperFrames(t *testing.T) {
	super := func(flags string, size uint16) mem.Frame {
		return mem.Frame{
			Data: frameOf(t, "tcp 10.0.1.10:1 > 10.0.2.10:80 S len 9000"+flags+fromWeb),
			Meta: packet.Meta{GSOType: packet.GSOTCPv4, GSOSize: size, HdrLen: 54, CsumPartial: true, CsumStart: 34, CsumOffset: 16},
		}
	}
	for _, row := range []struct {
		why    string
		frame  mem.Frame
		passes bool
	}{
		{"a super-frame whose segments fit passes whole", super(" df", 1360), true},
		{"one whose segments do not is refused", super(" df", 1361), false},
		{"also if it could be cut: its sender makes segments, and is to make them smaller", super("", 1361), false},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := newTestbed(t, routedNetwork())
			n.ports[1].InjectFrame(row.frame)
			n.step()
			if row.passes {
				sent := n.ports[3].Sent()
				require.Len(t, sent, 1)
				require.Len(t, sent[0].Data, len(row.frame.Data))
				require.Equal(t, row.frame.Meta.GSOSize, sent[0].Meta.GSOSize)
				return
			}
			require.Empty(t, n.ports[3].Sent())
			require.Equal(t, uint64(1), n.drops()[packet.FragmentationNeeded])
			answers := n.ports[1].Sent()
			require.Len(t, answers, 1)
			m, ok := packet.AsICMP(packet.IPv4(answers[0].Data[packet.EthernetSize:]).Payload())
			require.True(t, ok)
			require.Equal(t, uint16(1400), m.NextHopMTU())
		})
	}
}
