package packet

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// superFrame describes a super-frame to build.
type superFrame struct {
	tags    int // VLAN tags
	v6      bool
	proto   uint8
	options int // bytes of IPv4 options or of a destination options header, multiple of 8
	payload int
	padding int
	bigTCP  bool // length field 0; over IPv6 with a jumbogram header
}

const (
	testSeq   = 0xfffffff0 // wraps around within the first segments
	testID    = 0xfffe
	testFlags = TCPAck | TCPPsh | TCPFin | TCPCwr | TCPEce
)

func (s superFrame) build() []byte {
	be := binary.BigEndian
	etherType := uint16(EtherTypeIPv4)
	if s.v6 {
		etherType = EtherTypeIPv6
	}
	f := append([]byte{2, 0, 0, 0, 0, 2}, 2, 0, 0, 0, 0, 1)
	for n := range s.tags {
		f = append(f, 0x81, 0, 0, byte(100+n))
	}
	f = be.AppendUint16(f, etherType)
	p, l4 := transportPacket(s.v6, s.proto, s.payload)
	if s.proto == ProtoTCP {
		be.PutUint32(p[l4+4:], testSeq)
		p[l4+13] = testFlags
	}
	ip, rest := append([]byte(nil), p[:l4]...), p[l4:]
	if s.v6 {
		be.PutUint16(ip[4:], uint16(s.options+len(rest)))
	} else {
		be.PutUint16(ip[2:], uint16(len(p)+s.options))
		be.PutUint16(ip[4:], testID)
		ip[0] += byte(s.options / 4)
	}
	if s.options > 0 {
		ext := make([]byte, s.options)
		if s.v6 {
			ext[0], ext[1] = ip[6], byte(s.options/8-1)
			ip[6] = ProtoDestOpts
		} else {
			fill(ext, 1) // no-operation
		}
		ip = append(ip, ext...)
	}
	if s.bigTCP {
		if s.v6 {
			be.PutUint16(ip[4:], 0)
			jumbo := be.AppendUint32([]byte{ip[6], 0, 0xc2, 4}, uint32(s.options+len(rest)+8))
			ip[6] = ProtoHopByHop
			ip = append(ip[:40], append(jumbo, ip[40:]...)...)
		} else {
			be.PutUint16(ip[2:], 0)
		}
	}
	f = append(append(f, ip...), rest...)
	return append(f, make([]byte, s.padding)...)
}

func (s superFrame) gsoType() uint8 {
	switch {
	case s.proto == ProtoUDP:
		return GSOUDP
	case s.v6:
		return GSOTCPv6
	default:
		return GSOTCPv4
	}
}

// load puts frame into a super-frame buffer.
func load(t testing.TB, c *Cache, frame []byte, gsoType uint8, gsoSize int) Index {
	i := c.AllocSuper()
	require.NotZero(t, i)
	m := c.Arena().Meta(i)
	m.Len = uint32(copy(c.Arena().Room(i), frame))
	require.Len(t, frame, int(m.Len))
	m.GSOType, m.GSOSize, m.CsumPartial, m.InPort, m.Mark = gsoType, uint16(gsoSize), true, 9, 77
	return i
}

func TestSegment(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 512, Supers: 2, SuperSize: 1 << 17, Debug: true})
	c := a.NewCache()
	out := make([]Index, 512)
	for _, tt := range []struct {
		why string
		superFrame
		mss int
	}{
		{"a full IPv4 TCP super-frame", superFrame{proto: ProtoTCP, payload: 64000}, 1448},
		{"a full IPv6 TCP super-frame", superFrame{v6: true, proto: ProtoTCP, payload: 64000}, 1428},
		{"IPv4 USO", superFrame{proto: ProtoUDP, payload: 64000}, 1472},
		{"IPv6 USO", superFrame{v6: true, proto: ProtoUDP, payload: 60001}, 1200},
		{"a VLAN tag is repeated", superFrame{tags: 1, proto: ProtoTCP, payload: 5000}, 1448},
		{"two tags are repeated", superFrame{tags: 2, v6: true, proto: ProtoUDP, payload: 5000}, 1448},
		{"IPv4 options are repeated", superFrame{proto: ProtoTCP, options: 16, payload: 5000}, 1000},
		{"IPv6 extension headers are repeated", superFrame{v6: true, proto: ProtoTCP, options: 24, payload: 5000}, 1000},
		{"the payload divides evenly", superFrame{proto: ProtoTCP, payload: 3000}, 1000},
		{"one byte is left for the last segment", superFrame{proto: ProtoTCP, payload: 3001}, 1000},
		{"odd segments", superFrame{proto: ProtoUDP, payload: 301}, 1},
		{"one segment, not even full", superFrame{proto: ProtoTCP, payload: 10}, 1448},
		{"no payload is one segment", superFrame{v6: true, proto: ProtoTCP}, 1448},
		{"Ethernet padding belongs to no segment", superFrame{proto: ProtoUDP, payload: 3, padding: 15}, 2},
		{"a GSO size beyond a buffer does not matter if the payload is short", superFrame{proto: ProtoTCP, payload: 100}, 60000},
		{"BIG TCP over IPv4 has total length 0", superFrame{proto: ProtoTCP, payload: 100000, bigTCP: true}, 1448},
		{"BIG TCP over IPv6 has a jumbogram header, segments must not", superFrame{v6: true, proto: ProtoTCP, payload: 100000, bigTCP: true, tags: 1}, 1428},
	} {
		t.Run(tt.why, func(t *testing.T) {
			i := load(t, c, tt.build(), tt.gsoType(), tt.mss)
			n, r := Segment(c, i, out)
			require.Equal(t, None, r)
			require.Equal(t, max(1, (tt.payload+tt.mss-1)/tt.mss), n)
			require.Equal(t, n, a.InUse(), "the super-frame is freed")
			plain := tt.superFrame
			plain.bigTCP, plain.padding = false, 0
			checkSegments(t, a, plain, tt.mss, out[:n])
			c.FreeN(out[:n])
		})
	}
	require.Zero(t, a.InUse())
}

// checkSegments compares each segment with a packet of that size built directly.
func checkSegments(t *testing.T, a *Arena, s superFrame, mss int, segs []Index) {
	be := binary.BigEndian
	whole := s.build()
	l3 := 14 + s.tags*4
	l4 := l3 + 20 + s.options
	if s.v6 {
		l4 += 20
	}
	header := l4 + int(transportSumOf(s.proto).header)
	var payload []byte
	for k, i := range segs {
		a.Check(i)
		seg := a.Frame(i)
		require.Equal(t, Meta{Off: a.BufferOffset(i) + Headroom, Len: uint32(len(seg)), InPort: 9, Mark: 77}, *a.Meta(i))
		payload = append(payload, seg[header:]...)
		require.True(t, VerifyTransport(seg, l3, l4, len(seg)-l3, s.proto), "segment %d", k)

		want := append([]byte(nil), whole[:header]...)
		if s.v6 {
			be.PutUint16(want[l3+4:], uint16(len(seg)-l3-40))
		} else {
			be.PutUint16(want[l3+2:], uint16(len(seg)-l3))
			be.PutUint16(want[l3+4:], uint16(testID+k))
			require.EqualValues(t, 0xffff, naiveSum(seg[l3:l3+20+s.options], 0), "segment %d", k)
			copy(want[l3+10:], seg[l3+10:l3+12]) // verified
		}
		if s.proto == ProtoTCP {
			flags := byte(TCPAck | TCPEce)
			if k == 0 {
				flags |= TCPCwr
			}
			if k == len(segs)-1 {
				flags |= TCPFin | TCPPsh
			}
			want[l4+13] = flags
			be.PutUint32(want[l4+4:], uint32(testSeq+k*mss))
			copy(want[l4+16:], seg[l4+16:l4+18])
		} else {
			be.PutUint16(want[l4+4:], uint16(len(seg)-l4))
			copy(want[l4+6:], seg[l4+6:l4+8])
		}
		require.Equal(t, want, seg[:header], "segment %d", k)
	}
	require.Equal(t, string(whole[header:]), string(payload))
}

func TestUnsegmentable(t *testing.T) {
	tcp := superFrame{proto: ProtoTCP, payload: 5000}
	tcp6 := superFrame{v6: true, proto: ProtoTCP, payload: 5000}
	a := newTestArena(t, ArenaConfig{Buffers: 64, Supers: 1, Debug: true})
	c := a.NewCache()
	for _, tt := range []struct {
		why     string
		super   superFrame
		damage  func(f []byte) []byte
		gsoType uint8
		mss     int
	}{
		{"segments of 0 bytes would never end", tcp, nil, GSOTCPv4, 0},
		{"more segments than out takes", tcp, nil, GSOTCPv4, 100},
		{"no super-frame at all", tcp, nil, GSONone, 1448},
		{"Meta says IPv6, the frame IPv4", tcp, nil, GSOTCPv6, 1448},
		{"Meta says UDP, the frame TCP", tcp, nil, GSOUDP, 1448},
		{"Meta says a type that there is not", tcp, nil, 77, 1448},
		{"a fragment", tcp, func(f []byte) []byte { f[20] = 0x20; return f }, GSOTCPv4, 1448},
		{"an IPv4 header of 16 bytes", tcp, func(f []byte) []byte { f[14] = 0x44; return f }, GSOTCPv4, 1448},
		{"IP version 5", tcp, func(f []byte) []byte { f[14] = 0x55; return f }, GSOTCPv4, 1448},
		{"an EtherType that contradicts the version", tcp, func(f []byte) []byte { f[12], f[13] = 0x86, 0xdd; return f }, GSOTCPv4, 1448},
		{"a packet longer than the frame", tcp, func(f []byte) []byte { return f[:len(f)-1] }, GSOTCPv4, 1448},
		{"a packet that ends within its TCP header", tcp, func(f []byte) []byte { f[16], f[17] = 0, 39; return f }, GSOTCPv4, 1448},
		{"a TCP header of 16 bytes", tcp, func(f []byte) []byte { f[46] = 0x40; return f }, GSOTCPv4, 1448},
		{"a TCP header longer than the packet", tcp, func(f []byte) []byte { f[16], f[17], f[46] = 0, 50, 0xf0; return f }, GSOTCPv4, 1448},
		{"an IPv6 fragment", tcp6, func(f []byte) []byte { f[20] = ProtoFragment; return f }, GSOTCPv6, 1448},
		{"an extension header chain beyond the end", tcp6, func(f []byte) []byte { f[20], f[54], f[55] = ProtoDestOpts, ProtoDestOpts, 255; return f[:2000] }, GSOTCPv6, 1448},
		{"a frame of tags only", tcp, func([]byte) []byte {
			return append(make([]byte, 12), 0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0)
		}, GSOTCPv4, 1448},
		{"an empty frame", tcp, func([]byte) []byte { return nil }, GSOTCPv4, 1448},
	} {
		f := tt.super.build()
		if tt.damage != nil {
			f = tt.damage(f)
		}
		i := load(t, c, f, tt.gsoType, tt.mss)
		n, r := Segment(c, i, make([]Index, 32))
		require.Equal(t, Unsegmentable, r, tt.why)
		require.Zero(t, n, tt.why)
		require.Equal(t, 1, a.InUse(), tt.why)
		require.Equal(t, f, append([]byte(nil), a.Frame(i)...), "%s: the frame stays as it was", tt.why)
		c.Free(i)
	}
}

func TestSegmentWithoutBuffers(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 4, Supers: 1, SuperSize: 1 << 17, Debug: true})
	c := a.NewCache()
	for _, s := range []superFrame{
		{proto: ProtoTCP, payload: 5000},
		{v6: true, proto: ProtoTCP, payload: 5000, bigTCP: true},
	} {
		i := load(t, c, s.build(), s.gsoType(), 1000)
		out := make([]Index, 8)
		_, r := Segment(c, i, out)
		require.Equal(t, NoBuffer, r)
		require.Equal(t, 1, a.InUse(), "only the super-frame is left")

		// A second attempt with smaller demands finds the frame intact.
		a.Meta(i).GSOSize = 1700
		n, r := Segment(c, i, out)
		require.Equal(t, None, r)
		s.bigTCP = false
		checkSegments(t, a, s, 1700, out[:n])
		c.FreeN(out[:n])
	}
}

func TestSegmentsOfJumboFramesLieInSuperFrameBuffers(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 8, Supers: 4, Debug: true})
	c := a.NewCache()
	for _, s := range []superFrame{{proto: ProtoTCP, payload: 20000}, {v6: true, proto: ProtoUDP, payload: 20000}} {
		const mss = 8900
		i := load(t, c, s.build(), s.gsoType(), mss)
		out := make([]Index, 8)
		n, r := Segment(c, i, out)
		require.Equal(t, None, r)
		require.Equal(t, 3, n)
		checkSegments(t, a, s, mss, out[:n])
		require.Equal(t, 3, a.InUse(), "the super-frame is free again")

		small := load(t, c, s.build(), s.gsoType(), 5000)
		_, r = Segment(c, small, out[n:])
		require.Equal(t, NoBuffer, r, "four more are not there")
		c.Free(small)
		c.FreeN(out[:n])
		require.Zero(t, a.InUse())
	}
}

func TestSegmentDoesNotAllocateMemory(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 512, Supers: 2})
	c := a.NewCache()
	f := superFrame{proto: ProtoTCP, payload: 64000}.build()
	var out [64]Index
	require.Zero(t, testing.AllocsPerRun(20, func() {
		i := c.AllocSuper()
		m := a.Meta(i)
		m.Len = uint32(copy(a.Room(i), f))
		m.GSOType, m.GSOSize = GSOTCPv4, 1448
		n, _ := Segment(c, i, out[:])
		c.FreeN(out[:n])
	}))
}

// FuzzSegment states: no frame and Meta whatsoever makes Segment panic, leak
// or write outside its buffers, and what it accepts are segments that verify
// and carry the payload in order.
func FuzzSegment(f *testing.F) {
	for _, s := range []superFrame{
		{proto: ProtoTCP, payload: 300},
		{v6: true, proto: ProtoTCP, payload: 301, tags: 1},
		{proto: ProtoUDP, payload: 200, options: 8},
		{v6: true, proto: ProtoUDP, payload: 100, options: 16},
		{v6: true, proto: ProtoTCP, payload: 100, bigTCP: true},
		{proto: ProtoTCP, payload: 100, bigTCP: true},
	} {
		f.Add(s.build(), s.gsoType(), uint16(64))
		f.Add(s.build(), s.gsoType(), uint16(1))
	}
	a := newTestArena(f, ArenaConfig{Buffers: 64, Supers: 1, SuperSize: 4096, Debug: true})
	c := a.NewCache()
	out := make([]Index, 60)
	f.Fuzz(func(t *testing.T, frame []byte, gsoType uint8, gsoSize uint16) {
		frame = frame[:min(len(frame), 3000)]
		i := load(t, c, frame, gsoType, int(gsoSize))
		n, r := Segment(c, i, out)
		if r != None {
			require.Zero(t, n)
			c.Free(i)
			require.Zero(t, a.InUse())
			return
		}
		var payload []byte
		for _, o := range out[:n] {
			a.Check(o)
			seg := a.Frame(o)
			s, valid := segmentationOf(seg, gsoType&^gsoECN, 0)
			require.True(t, valid)
			require.Equal(t, len(seg), s.end)
			require.LessOrEqual(t, s.end-s.payload, int(gsoSize))
			require.True(t, VerifyTransport(seg, s.l3, s.l4, s.end-s.l3, s.proto))
			payload = append(payload, seg[s.payload:]...)
		}
		require.Contains(t, string(frame), string(payload))
		c.FreeN(out[:n])
		require.Zero(t, a.InUse())
	})
}

func BenchmarkSegment(b *testing.B) {
	a := newTestArena(b, ArenaConfig{Supers: 4, Prefault: true})
	c := a.NewCache()
	f := superFrame{proto: ProtoTCP, payload: 64000}.build()
	var out [64]Index
	n := 0
	b.SetBytes(int64(len(f)))
	for b.Loop() {
		i := c.AllocSuper()
		m := a.Meta(i)
		m.Len = uint32(copy(a.Room(i), f))
		m.GSOType, m.GSOSize = GSOTCPv4, 1448
		n, _ = Segment(c, i, out[:])
		c.FreeN(out[:n])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/segment")
}
