package vnet

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// header writes a header by its fields.
func header(flags, gso uint8, hdrLen, size, start, offset uint16) (h Header) {
	ne := binary.NativeEndian
	h[0], h[1] = flags, gso
	ne.PutUint16(h[2:], hdrLen)
	ne.PutUint16(h[4:], size)
	ne.PutUint16(h[6:], start)
	ne.PutUint16(h[8:], offset)
	return h
}

const (
	tcp4 = "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 5000 partial"
	tcp6 = "tcp [fd00::1]:9 > [fd00::2]:80 A len 5000 partial"
	udp4 = "udp 10.0.0.1:9 > 10.0.0.2:53 len 5000 partial"
	ecn  = gsoECN
)

func TestDecode(t *testing.T) {
	for _, row := range []struct {
		why    string
		header Header
		frame  string
		want   packet.Meta
		ok     bool
	}{
		{
			"nothing is said",
			Header{},
			"udp 10.0.0.1:9 > 10.0.0.2:53",
			packet.Meta{},
			true,
		},
		{
			"the device has verified the checksum", header(dataValid, 0, 0, 0, 0, 0), "udp 10.0.0.1:9 > 10.0.0.2:53",
			packet.Meta{CsumValid: true},
			true,
		},
		{
			"a checksum is left to us", header(needsCsum, 0, 0, 0, 34, 6), "udp 10.0.0.1:9 > 10.0.0.2:53 partial",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6},
			true,
		},
		{
			"an inner checksum of a tunnel is none of our business", header(needsCsum, 0, 0, 0, 60, 6), "udp 10.0.0.1:9 > 10.0.0.2:4789 len 100",
			packet.Meta{CsumPartial: true, CsumStart: 60, CsumOffset: 6},
			true,
		},
		{
			"a checksum's place in the last two bytes", header(needsCsum, 0, 0, 0, 34, 6), "udp 10.0.0.1:9 > 10.0.0.2:53",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6},
			true,
		},
		{"half beyond the frame", header(needsCsum, 0, 0, 0, 34, 7), "udp 10.0.0.1:9 > 10.0.0.2:53", packet.Meta{}, false},
		{"sums that wrap around", header(needsCsum, 0, 0, 0, 0xffff, 0xffff), "udp 10.0.0.1:9 > 10.0.0.2:53", packet.Meta{}, false},
		{"a checksum in the Ethernet header", header(needsCsum, 0, 0, 0, 0, 12), "udp 10.0.0.1:9 > 10.0.0.2:53", packet.Meta{}, false},
		{
			"a super-frame; packet sockets give as the headers' length what is linear", header(needsCsum, packet.GSOTCPv4, 1500, 1400, 34, 16), tcp4,
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1400, HdrLen: 54},
			true,
		},
		{
			"with CWR", header(needsCsum, packet.GSOTCPv4|ecn, 0, 1400, 34, 16), tcp4,
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4 | ecn, GSOSize: 1400, HdrLen: 54},
			true,
		},
		{
			"of IPv6, with TCP options", header(needsCsum, packet.GSOTCPv6, 0, 1400, 54, 16), tcp6 + " mss 1400",
			packet.Meta{CsumPartial: true, CsumStart: 54, CsumOffset: 16, GSOType: packet.GSOTCPv6, GSOSize: 1400, HdrLen: 78},
			true,
		},
		{
			"of UDP, behind a tag", header(needsCsum, packet.GSOUDP, 0, 1400, 38, 6), udp4 + " vlan 7",
			packet.Meta{CsumPartial: true, CsumStart: 38, CsumOffset: 6, GSOType: packet.GSOUDP, GSOSize: 1400, HdrLen: 46},
			true,
		},
		{
			"made by GRO: it becomes as the kernel's stack would have sent it", header(0, packet.GSOTCPv4, 0, 1400, 0, 0), "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 5000 badcsum",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1400, HdrLen: 54},
			true,
		},
		{
			"made by the NIC, which has verified it", header(dataValid, packet.GSOTCPv6, 0, 1400, 0, 0), "tcp [fd00::1]:9 > [fd00::2]:80 A len 5000",
			packet.Meta{CsumPartial: true, CsumStart: 54, CsumOffset: 16, GSOType: packet.GSOTCPv6, GSOSize: 1400, HdrLen: 74},
			true,
		},
		{
			"UDP by GRO, padded", header(dataValid, packet.GSOUDP, 0, 1400, 0, 0), "udp 10.0.0.1:9 > 10.0.0.2:53 len 5000 pad 6",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6, GSOType: packet.GSOUDP, GSOSize: 1400, HdrLen: 42},
			true,
		},
		{"segments of no size", header(needsCsum, packet.GSOTCPv4, 0, 0, 34, 16), tcp4, packet.Meta{}, false},
		{"TCP that is UDP", header(needsCsum, packet.GSOTCPv4, 0, 1400, 34, 16), udp4, packet.Meta{}, false},
		{"IPv4 that is IPv6", header(needsCsum, packet.GSOTCPv4, 0, 1400, 54, 16), tcp6, packet.Meta{}, false},
		{"IPv6 that is IPv4", header(needsCsum, packet.GSOTCPv6, 0, 1400, 34, 16), tcp4, packet.Meta{}, false},
		{"UDP that is TCP", header(needsCsum, packet.GSOUDP, 0, 1400, 34, 6), tcp4, packet.Meta{}, false},
		{"CWR in UDP", header(needsCsum, packet.GSOUDP|ecn, 0, 1400, 34, 6), udp4, packet.Meta{}, false},
		{"CWR in nothing", header(needsCsum, ecn, 0, 1400, 34, 6), udp4, packet.Meta{}, false},
		{"fragments by the device (UFO), which no kernel makes any more", header(needsCsum, 3, 0, 1400, 34, 6), udp4, packet.Meta{}, false},
		{"a checksum elsewhere: the super-frame is in a tunnel", header(needsCsum, packet.GSOTCPv4, 0, 1400, 84, 16), tcp4, packet.Meta{}, false},
		{"a checksum that is not TCP's", header(needsCsum, packet.GSOTCPv4, 0, 1400, 34, 18), tcp4, packet.Meta{}, false},
		{"TCP in UDP: a tunnel", header(needsCsum, packet.GSOTCPv4, 0, 1400, 84, 16), "udp 10.0.0.1:9 > 10.0.0.2:4789 len 5000", packet.Meta{}, false},
		{"a fragment", header(needsCsum, packet.GSOTCPv4, 0, 1400, 34, 16), tcp4 + " mf", packet.Meta{}, false},
		{"a frame cut off in its headers", header(needsCsum, packet.GSOTCPv4, 0, 1400, 34, 16), tcp4 + " cut 52", packet.Meta{}, false},
		{"a frame cut off in its payload", header(needsCsum, packet.GSOTCPv4, 0, 1400, 34, 16), tcp4 + " cut 3000", packet.Meta{}, false},
		{"no IP at all", header(needsCsum, packet.GSOTCPv4, 0, 1400, 34, 16), "arp 10.0.0.1 who-has 10.0.0.2 pad 60", packet.Meta{}, false},
	} {
		t.Run(row.why, func(t *testing.T) {
			f, err := frametext.Parse(row.frame)
			require.NoError(t, err)
			var m packet.Meta
			require.Equal(t, row.ok, row.header.Decode(&m, f))
			if !row.ok {
				return
			}
			require.Equal(t, row.want, m)
			if m.GSOType != packet.GSONone {
				// What the field holds is what completing needs.
				require.True(t, packet.CompleteIfPartial(f[:len(f)-padding(f)], &m))
				var in packet.Info
				require.Equal(t, packet.None, packet.Parse(f, &in))
				require.True(t, packet.VerifyTransport(f, int(in.L3), int(in.L4), int(in.IPLen), in.Proto))
			}
		})
	}
}

// padding is what follows the IP packet in a frame.
func padding(f []byte) int {
	var in packet.Info
	packet.Parse(f, &in)
	return len(f) - int(in.L3) - int(in.IPLen)
}

// FuzzDecode: what Decode accepts is within the frame, and is what Decode makes
// of its own Encode; a super-frame that it accepts can be cut, or is refused for a reason
// and not lost. What it refuses and CutTunnel cuts becomes frames with proper headers.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{tcp4, tcp6, udp4, tcp4 + " vlan 5", "tcp [fd00::1]:9 > [fd00::2]:80 A len 500 hbh 8", "arp 10.0.0.1 who-has 10.0.0.2"} {
		frame, err := frametext.Parse(text)
		require.NoError(f, err)
		for _, gso := range []uint8{0, packet.GSOTCPv4, packet.GSOTCPv6, packet.GSOUDP, packet.GSOTCPv4 | ecn} {
			for _, flags := range []uint8{0, needsCsum, dataValid} {
				h := header(flags, gso, 54, 1000, 34, 16)
				f.Add(h[:], frame)
			}
		}
	}
	for _, text := range []string{
		"udp 10.0.0.1:9 > 10.0.0.2:4789 hex 0800000000002a00" + hex.EncodeToString(parse(f, tcp4)),
		"udp [fd00::1]:9 > [fd00::2]:4789 hex 0800000000002a00" + hex.EncodeToString(parse(f, tcp4)),
	} {
		frame := parse(f, text)
		h := header(needsCsum, packet.GSOTCPv4, 0, 1300, uint16(len(frame)-5020), 16)
		f.Add(h[:], frame)
	}
	a := newArena(f, packet.ArenaConfig{Buffers: 512, Supers: 8})
	f.Fuzz(func(t *testing.T, head, frame []byte) {
		if len(head) != Size || len(frame) > 65536 {
			return
		}
		c := a.NewCache()
		k := NewKit(c)
		defer func() {
			c.Flush()
			require.Zero(t, a.InUse(), "a buffer is lost")
		}()
		b := c.AllocFor(len(frame))
		m := a.Meta(b)
		m.Len = uint32(len(frame))
		copy(a.Frame(b), frame)
		h := Header(head)
		var out [256]packet.Index
		if !h.Decode(m, a.Frame(b)) {
			count := k.CutTunnel(b, out[:])
			if count == 0 {
				c.Free(b)
			}
			for _, s := range out[:count] {
				// As good as what came: the headers around it tell where it ends.
				var in packet.Info
				require.Equal(t, packet.None, packet.Parse(a.Frame(s), &in))
				require.EqualValues(t, a.Meta(s).Len, uint32(in.L3)+in.IPLen)
			}
			c.FreeN(out[:count])
			return
		}
		if m.CsumPartial {
			require.LessOrEqual(t, int(m.CsumStart)+int(m.CsumOffset)+2, len(frame))
			require.False(t, m.CsumValid)
		}
		if m.GSOType != packet.GSONone {
			require.True(t, m.CsumPartial)
			require.NotZero(t, m.GSOSize)
			require.LessOrEqual(t, int(m.HdrLen), len(frame))
			require.Greater(t, m.HdrLen, m.CsumStart)
		}
		var again Header
		again.Encode(m)
		n := packet.Meta{Off: m.Off, Len: m.Len}
		require.True(t, again.Decode(&n, a.Frame(b)))
		n.CsumValid = m.CsumValid // the only thing that is of no interest to a device
		require.Equal(t, *m, n)
		if m.GSOType == packet.GSONone {
			require.True(t, packet.CompleteIfPartial(a.Frame(b), m))
			c.Free(b)
			return
		}
		count, r := packet.Segment(c, b, out[:])
		if r != packet.None {
			c.Free(b)
			return
		}
		c.FreeN(out[:count])
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, row := range []struct {
		name  string
		h     Header
		frame string
	}{
		{"frame", Header{}, "udp 10.0.0.1:9 > 10.0.0.2:53"},
		{"partial", header(needsCsum, 0, 0, 0, 34, 6), "udp 10.0.0.1:9 > 10.0.0.2:53"},
		{"super", header(needsCsum, packet.GSOTCPv4, 1500, 1400, 34, 16), tcp4},
	} {
		b.Run(row.name, func(b *testing.B) {
			f, err := frametext.Parse(row.frame)
			require.NoError(b, err)
			var m packet.Meta
			for b.Loop() {
				m = packet.Meta{}
				row.h.Decode(&m, f)
			}
		})
	}
}
