package afxdp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

func TestMarkPartial(t *testing.T) {
	rows := []struct {
		why   string
		frame string
		l4    int // where the transport header is; 0: the frame is never marked
		field int
	}{
		{"UDP over IPv4", "udp 10.0.0.1:9 > 10.0.0.2:53 len 77", 34, 6},
		{"TCP over IPv4", "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 1000", 34, 16},
		{"a TCP segment without payload", "tcp 10.0.0.1:9 > 10.0.0.2:80 S mss 1460", 34, 16},
		{"UDP over IPv6", "udp [fd00::1]:9 > [fd00::2]:53 len 3", 54, 6},
		{"TCP over IPv6", "tcp [fd00::1]:9 > [fd00::2]:80 A len 3", 54, 16},
		{"behind IPv4 options", "udp 10.0.0.1:9 > 10.0.0.2:53 len 77 options 8", 42, 6},
		{"behind IPv6 extension headers", "udp [fd00::1]:9 > [fd00::2]:53 len 9 hbh 8 options 8", 70, 6},
		{"behind a tag", "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 9 vlan 7", 38, 16},
		{"behind two", "udp [fd00::1]:9 > [fd00::2]:53 len 9 qinq 8 vlan 7", 62, 6},
		{"the length of Ethernet's padding is not the packet's", "udp 10.0.0.1:9 > 10.0.0.2:53 len 1 pad 17", 34, 6},
		{"behind three tags it is not looked for", "udp 10.0.0.1:9 > 10.0.0.2:53 len 9 vlan 9 vlan 8 vlan 7", 0, 0},
		{"ICMP is always finished", "icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 3", 0, 0},
		{"ARP has none", "arp 10.0.0.1 who-has 10.0.0.2", 0, 0},
		{"a fragment is always finished", "udp 10.0.0.1:9 > 10.0.0.2:53 len 80 mf", 0, 0},
		{"over IPv6 too", "udp [fd00::1]:9 > [fd00::2]:53 len 80 mf", 0, 0},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			whole := frame(t, row.frame)
			var m packet.Meta
			markPartial(whole, &m)
			require.Equal(t, packet.Meta{}, m, "a complete checksum is left alone")
			for cut := range whole { // never reads beyond the end
				markPartial(whole[:cut:cut], &packet.Meta{})
			}
			if row.l4 == 0 {
				return
			}
			partial := append([]byte(nil), whole...)
			setPartial(partial, row.l4, row.field)
			markPartial(partial, &m)
			require.Equal(t, packet.Meta{CsumPartial: true, CsumStart: uint16(row.l4), CsumOffset: uint16(row.field)}, m)
			require.True(t, packet.CompleteIfPartial(partial, &m))
			require.Equal(t, whole, partial)
		})
	}
}

// setPartial undoes a checksum: summed with it a packet gives 0 (RFC 1071), so that
// what is left of it without the transport segment's own sum is the pseudo-header's.
func setPartial(frame []byte, l4, field int) {
	end := len(frame)
	if i := l4 - 20; frame[12] == 8 && i == 14 {
		end = 14 + int(frame[16])<<8 + int(frame[17])
	}
	at := frame[l4+field:]
	had := uint16(at[0])<<8 | uint16(at[1])
	at[0], at[1] = 0, 0
	sum := packet.Fold(packet.Sum(frame[l4:end], uint32(had)))
	at[0], at[1] = byte(^sum>>8), byte(^sum)
}

// TestMarkPartialByChance looks for a complete checksum that looks partial: it is
// marked, and completing it gives it back.
func TestMarkPartialByChance(t *testing.T) {
	f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 40")
	const l3, l4, payload = 14, 34, 42
	for n := range 1 << 16 {
		f[payload], f[payload+1] = byte(n>>8), byte(n)
		require.True(t, packet.SetTransport(f, l3, l4, len(f)-l3, packet.ProtoUDP))
		var m packet.Meta
		if markPartial(f, &m); m.CsumPartial {
			whole := append([]byte(nil), f...)
			require.True(t, packet.CompleteIfPartial(f, &m))
			require.Equal(t, whole, f)
			return
		}
	}
	t.Fatal("one in 65536 has to look so")
}

func TestSCTPChecksumIsMade(t *testing.T) {
	whole := frame(t, "sctp 10.0.0.1:9 > 10.0.0.2:53 init")
	left := append([]byte(nil), whole...)
	clear(left[42:46])
	var m packet.Meta
	markPartial(left, &m)
	require.Equal(t, whole, left)
	require.Equal(t, packet.Meta{}, m)
}

// FuzzMarkPartial: it never panics, what is marked can be completed within the frame,
// and a frame whose checksum was right comes out as it was, also if it is marked.
func FuzzMarkPartial(f *testing.F) {
	for _, text := range []string{
		"udp 10.0.0.1:9 > 10.0.0.2:53 len 77", "tcp [fd00::1]:9 > [fd00::2]:80 A len 3 vlan 5",
		"udp [fd00::1]:9 > [fd00::2]:53 len 9 hbh 8", "sctp 10.0.0.1:9 > 10.0.0.2:53 init",
	} {
		f.Add(frame(f, text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m packet.Meta
		before := append([]byte(nil), data...)
		markPartial(data, &m)
		if !m.CsumPartial {
			return
		}
		require.Equal(t, before, data)
		require.LessOrEqual(t, int(m.CsumStart)+int(m.CsumOffset)+2, len(data))
		require.True(t, packet.CompleteIfPartial(data, &m))
	})
}

func BenchmarkMarkPartial(b *testing.B) {
	for _, text := range []string{"tcp 10.0.0.1:9 > 10.0.0.2:80 A len 100", "tcp [fd00::1]:9 > [fd00::2]:80 A len 100", "arp 10.0.0.1 who-has 10.0.0.2"} {
		f := frame(b, text)
		b.Run(text[:3]+text[4:10], func(b *testing.B) {
			var m packet.Meta
			for range b.N {
				markPartial(f, &m)
			}
		})
	}
}
