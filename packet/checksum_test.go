package packet

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// naiveSum is RFC 1071 to the letter: 16-bit words, carries added back at once.
func naiveSum(b []byte, sum uint16) uint16 {
	s := uint32(sum)
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumEqualsNaiveSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 300)
	for size := range len(buf) {
		for _, kind := range []string{"random", "zeros", "ones"} {
			for i := range buf {
				switch kind {
				case "random":
					buf[i] = byte(rng.Uint32())
				case "zeros":
					buf[i] = 0
				case "ones":
					buf[i] = 0xff
				}
			}
			for _, start := range []int{0, 1, 7} {
				b := buf[min(start, size):size]
				for _, initial := range []uint16{0, 1, 0xffff, 0x1234} {
					require.Equal(t, naiveSum(b, initial), Fold(Sum(b, uint32(initial))), "%s[%d:%d] + %#x", kind, start, size, initial)
				}
			}
		}
	}
}

func TestSumTakesAnyInitialSum(t *testing.T) {
	require.EqualValues(t, 0xffff, Fold(Sum([]byte{0xff, 0xff}, 0xffffffff)))
	require.EqualValues(t, 1, Fold(Sum([]byte{0, 1}, 0)))
	require.EqualValues(t, naiveSum([]byte{1, 2, 3}, naiveSum([]byte{4, 5}, 0)), Fold(Sum([]byte{1, 2, 3}, Sum([]byte{4, 5}, 0))))
}

func TestIncrementalUpdateOfRFC1624(t *testing.T) {
	var v struct {
		M     string `json:"m"`
		MNew  string `json:"m_new"`
		Old   string `json:"old_checksum"`
		New   string `json:"new_checksum"`
		Wrong string `json:"wrong_answer_of_rfc1141_eqn2"`
	}
	standards(t, "rfc1624", &v)
	old, m, mNew := uint16(hexNumber(t, v.Old)), uint16(hexNumber(t, v.M)), uint16(hexNumber(t, v.MNew))
	require.EqualValues(t, hexNumber(t, v.New), Update16(old, m, mNew), "section 4's example; RFC 1141 says %s", v.Wrong)
}

func TestUpdateOfNothingIsNothing(t *testing.T) {
	for _, hc := range []uint16{0, 0xffff, 1} {
		require.Equal(t, hc, Update16(hc, 0x5555, 0x5555), "erratum 4782")
		require.Equal(t, hc, Update32(hc, 0x55551234, 0x55551234))
		require.Equal(t, hc, UpdateAddr(hc, addr("2001:db8::1"), addr("2001:db8::1")))
	}
}

func TestUDPZeroChecksum(t *testing.T) {
	// 0x0001 + 0xfffe: the word changes so that the sum becomes ffff.
	d := Delta16(0x0001, 0x0002)
	require.EqualValues(t, 0, d.Apply(0x0001))
	require.EqualValues(t, 0xffff, d.ApplyUDP(0x0001), "a computed 0 is sent as ffff")
	require.EqualValues(t, 0, d.ApplyUDP(0), "no checksum stays no checksum")
}

func TestPseudoSum(t *testing.T) {
	for _, tt := range []struct {
		why      string
		src, dst string
		proto    uint8
		length   uint32
		header   []byte // the pseudo-header spelled out
	}{
		{"RFC 9293 section 3.1", "10.0.0.1", "192.168.255.254", ProtoTCP, 20, []byte{10, 0, 0, 1, 192, 168, 255, 254, 0, 6, 0, 20}},
		{"a length with both bytes", "0.0.0.0", "255.255.255.255", ProtoUDP, 0xfffe, []byte{0, 0, 0, 0, 255, 255, 255, 255, 0, 17, 0xff, 0xfe}},
		{
			"RFC 8200 section 8.1, with a jumbo length", "2001:db8::1", "fe80::2", ProtoICMPv6, 0x12345,
			[]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x23, 0x45, 0, 0, 0, 58},
		},
	} {
		require.Equal(t, naiveSum(tt.header, 0), PartialChecksum(addr(tt.src), addr(tt.dst), tt.proto, tt.length), tt.why)
	}
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("0123456789abcdefABCDEFGH01234567"), []byte("................"), uint8(3))
	f.Add(make([]byte, 32), make([]byte, 16), uint8(0))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), []byte("\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, data, repl []byte, at uint8) {
		// The property: an update equals the checksum computed anew. RFC 1624
		// assumes data that is not all zeros, which headers never are.
		if len(data) < 18 || len(repl) < 16 {
			return
		}
		data = append([]byte{0x45, 1}, data...)
		size := []int{2, 4, 16}[at%3]
		off := 2 + int(at/3)%((len(data)-2-size)/2+1)*2
		before := Checksum(data)
		sumBefore := Fold(Sum(data, 0))

		var d Delta
		field := data[off : off+size]
		switch size {
		case 2:
			d = Delta16(binary.BigEndian.Uint16(field), binary.BigEndian.Uint16(repl))
		case 4:
			d = Delta32(binary.BigEndian.Uint32(field), binary.BigEndian.Uint32(repl))
		case 16:
			d = DeltaAddr(AddrFrom16((*[16]byte)(field)), AddrFrom16((*[16]byte)(repl)))
		}
		copy(field, repl)
		require.Equal(t, Checksum(data), d.Apply(before))
		require.Equal(t, Fold(Sum(data, 0)), d.ApplyPartial(sumBefore))
		if want := Checksum(data); before != 0 && want != 0 {
			require.Equal(t, want, d.ApplyUDP(before))
		}
		require.Equal(t, naiveSum(data, 0), Fold(Sum(data, 0)))
	})
}

func TestDeltasAddUp(t *testing.T) {
	data := []byte{0x45, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0, 80}
	before := Checksum(data)
	d := DeltaAddr(addr("10.0.0.1"), addr("192.0.2.7")) + DeltaAddr(addr("10.0.0.2"), addr("198.51.100.9")) +
		Delta32(0x1f900050, 0xc0000051)
	after := []byte{0x45, 0, 192, 0, 2, 7, 198, 51, 100, 9, 0xc0, 0, 0, 81}
	require.Equal(t, Checksum(after), d.Apply(before), "a whole NAT tuple in one update")
}

// transportPacket is an IP packet of either version with a transport header
// and n bytes of payload, no checksum filled in.
func transportPacket(v6 bool, proto uint8, n int) (p []byte, l4 int) {
	l4 = 20
	if v6 {
		l4 = 40
	}
	header := int(transportSumOf(proto).header)
	p = make([]byte, l4+header+n)
	if v6 {
		p[0], p[6], p[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(p[4:], uint16(header+n))
		copy(p[8:], "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02")
	} else {
		p[0], p[8], p[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		copy(p[12:], "\x0a\x00\x00\x01\x0a\x00\x00\x02")
		binary.BigEndian.PutUint16(p[10:], Checksum(p[:20]))
	}
	if proto == ProtoTCP {
		p[l4+12] = 0x50
	}
	for i := range n {
		p[l4+header+i] = byte(i*7 + 1)
	}
	return p, l4
}

func TestTransportChecksums(t *testing.T) {
	for _, proto := range []uint8{ProtoTCP, ProtoUDP, ProtoICMP, ProtoICMPv6, ProtoSCTP} {
		for _, v6 := range []bool{false, true} {
			for _, n := range []int{0, 1, 5, 1400} {
				p, l4 := transportPacket(v6, proto, n)
				frame := append(make([]byte, 14, 14+len(p)+3), p...)
				frame = append(frame, 0xee, 0xee, 0xee) // padding is not summed
				require.True(t, SetTransport(frame, 14, 14+l4, len(p), proto))
				require.True(t, VerifyTransport(frame, 14, 14+l4, len(p), proto), "proto %d v6 %v n %d", proto, v6, n)
				if proto == ProtoTCP || proto == ProtoUDP || proto == ProtoICMPv6 {
					src, dst, _ := addrsAt(p)
					require.EqualValues(t, 0xffff, naiveSum(frame[14+l4:14+len(p)], PartialChecksum(src, dst, proto, uint32(len(p)-l4))))
				}
				frame[14+l4+1] ^= 4
				require.False(t, VerifyTransport(frame, 14, 14+l4, len(p), proto), "one bit is wrong")
				for _, bad := range [][3]int{{14, 14 + l4, len(p) + 4}, {14, 14 + l4, -1}, {-1, 14 + l4, len(p)}, {14, 15, len(p)}, {14, 14 + len(p), len(p)}, {14, 1 << 40, len(p)}} {
					require.False(t, VerifyTransport(frame, bad[0], bad[1], bad[2], proto), "%v", bad)
					require.False(t, SetTransport(frame, bad[0], bad[1], bad[2], proto), "%v", bad)
				}
			}
		}
	}
}

func TestVerifyTransportWithoutChecksum(t *testing.T) {
	for _, tt := range []struct {
		why   string
		v6    bool
		proto uint8
		want  bool
	}{
		{"RFC 768: 0 is no checksum", false, ProtoUDP, true},
		{"RFC 8200 section 8.1: over IPv6 there must be one", true, ProtoUDP, false},
		{"a protocol without a checksum has nothing to verify", false, ProtoGRE, true},
		{"TCP has no such exception", false, ProtoTCP, false},
	} {
		p, l4 := transportPacket(tt.v6, tt.proto, 10)
		require.Equal(t, tt.want, VerifyTransport(p, 0, l4, len(p), tt.proto), tt.why)
	}
}

func TestCompleteChecksum(t *testing.T) {
	for _, proto := range []uint8{ProtoTCP, ProtoUDP} {
		for _, v6 := range []bool{false, true} {
			p, l4 := transportPacket(v6, proto, 99)
			ts := transportSumOf(proto)
			src, dst, _ := addrsAt(p)
			binary.BigEndian.PutUint16(p[l4+int(ts.field):], PartialChecksum(src, dst, proto, uint32(len(p)-l4)))
			m := Meta{CsumPartial: true, CsumStart: uint16(l4), CsumOffset: uint16(ts.field)}

			// A NAT on the way changes the address, and the partial sum with it.
			repl := addr("192.0.2.99")
			if v6 {
				repl = addr("2001:db8:99::99")
				b := repl.As16()
				copy(p[8:24], b[:])
			} else {
				b := repl.As4()
				copy(p[12:16], b[:])
			}
			hc := p[l4+int(ts.field):]
			binary.BigEndian.PutUint16(hc, DeltaAddr(src, repl).ApplyPartial(binary.BigEndian.Uint16(hc)))

			require.True(t, CompleteIfPartial(p, &m))
			require.False(t, m.CsumPartial)
			require.True(t, VerifyTransport(p, 0, l4, len(p), proto))
			sum := binary.BigEndian.Uint16(hc)
			require.True(t, CompleteIfPartial(p, &m))
			require.Equal(t, sum, binary.BigEndian.Uint16(hc), "what is complete stays")
		}
	}
}

func TestCompleteChecksumNeverStoresZero(t *testing.T) {
	p := []byte{0xff, 0xff, 0, 0}
	require.True(t, CompleteChecksum(p, 0, 2))
	require.Equal(t, []byte{0xff, 0xff, 0xff, 0xff}, p)
}

func TestCompleteChecksumBounds(t *testing.T) {
	for _, at := range [][2]int{{-1, 0}, {0, -1}, {0, 9}, {9, 0}, {10, 0}, {11, 0}, {4, 5}, {1 << 62, 1 << 62}} {
		p := make([]byte, 10)
		require.False(t, CompleteChecksum(p, at[0], at[1]), "%v", at)
		require.Equal(t, make([]byte, 10), p)
	}
	require.True(t, CompleteChecksum(make([]byte, 10), 8, 0))
	m := Meta{CsumPartial: true, CsumStart: 65535, CsumOffset: 65535}
	require.False(t, CompleteIfPartial(make([]byte, 10), &m))
}

func BenchmarkSum(b *testing.B) {
	for _, bm := range []struct {
		name string
		size int
	}{{"20", 20}, {"64", 64}, {"1460", 1460}} {
		buf := make([]byte, bm.size)
		b.Run(bm.name, func(b *testing.B) {
			b.SetBytes(int64(bm.size))
			var sink uint32
			for b.Loop() {
				sink += Sum(buf, 0)
			}
			_ = sink
		})
	}
}

func BenchmarkDeltaNAT(b *testing.B) {
	src, dst := addr("10.0.0.1"), addr("192.0.2.1")
	var hc uint16
	for b.Loop() {
		hc = (DeltaAddr(src, dst) + Delta16(1000, 2000)).ApplyUDP(hc | 1)
	}
}
