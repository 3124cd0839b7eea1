package tap

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

func TestStreamsTravelInSuperFrames(t *testing.T) {
	const size = 4 << 20
	for _, row := range []struct {
		why     string
		cfg     Config
		address string // where b listens
		gso     byte   // of most frames
		longest int    // bytes that the longest frame has at least
	}{
		{"IPv4", Config{Offload: true}, "10.9.0.2:80", packet.GSOTCPv4, 30_000},
		{"IPv6", Config{Offload: true}, "[fd09::2]:80", packet.GSOTCPv6, 30_000},
		{"a larger MTU makes larger segments", Config{Offload: true, MTU: 9000}, "10.9.0.2:80", packet.GSOTCPv4, 30_000},
		{"the largest MTU leaves nothing to segment", Config{Offload: true, MTU: maxMTU}, "10.9.0.2:80", packet.GSONone, 30_000},
		{"several queues", Config{Offload: true, Queues: 2}, "10.9.0.2:80", packet.GSOTCPv4, 30_000},
		{"without offloads frames are plain", Config{}, "10.9.0.2:80", packet.GSONone, 1514},
		{"and may be jumbos", Config{MTU: 9000}, "[fd09::2]:80", packet.GSONone, 9014},
	} {
		t.Run(row.why, func(t *testing.T) {
			l := newLink(t, row.cfg)
			l.stream(row.address, size)
			from := &l.seen[0]
			require.GreaterOrEqual(t, from.longest.Load(), uint64(row.longest))
			frames := from.frames.Load()
			require.NotZero(t, from.supers[row.gso].Load())
			if row.cfg.Offload {
				require.Less(t, frames, uint64(size/8000), "most bytes came in long frames")
			} else {
				require.Equal(t, frames, from.supers[packet.GSONone].Load())
				require.Zero(t, from.partial.Load())
			}
			counters := l.ports[0].Counters()
			require.Zero(t, counters.RxRefused+counters.TxErrors+counters.RxLost, "%+v", counters)
		})
	}
}

// TestDatagramsTravelInSuperFrames sends UDP with UDP_SEGMENT (udp(7)).
func TestDatagramsTravelInSuperFrames(t *testing.T) {
	const segment, segments = 1000, 20
	for _, address := range []string{"10.9.0.2:53", "[fd09::2]:53"} {
		t.Run(address, func(t *testing.T) {
			l := newLink(t, Config{Offload: true})
			if l.ports[0].Mode() != "vnet_hdr: csum, TSO, USO; 1 queue" {
				t.Skipf("this kernel has no USO: %s", l.ports[0].Mode())
			}
			var to net.PacketConn
			l.ends[1].do(func() (err error) { to, err = net.ListenPacket("udp", address); return err })
			defer to.Close()
			var from net.Conn
			l.ends[0].do(func() (err error) { from, err = net.Dial("udp", address); return err })
			defer from.Close()
			raw, err := from.(*net.UDPConn).SyscallConn()
			require.NoError(t, err)
			var sockErr error
			require.NoError(t, raw.Control(func(fd uintptr) {
				sockErr = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, segment)
			}))
			require.NoError(t, sockErr)
			message := pattern(segment*segments, 1)
			_, err = from.Write(message)
			require.NoError(t, err)
			require.NoError(t, to.SetReadDeadline(time.Now().Add(patience)))
			buf := make([]byte, 65536)
			for i := range segments {
				n, _, err := to.ReadFrom(buf)
				require.NoError(t, err)
				require.Equal(t, message[i*segment:(i+1)*segment], buf[:n])
			}
			require.EqualValues(t, 1, l.seen[0].supers[packet.GSOUDP].Load())
		})
	}
}

// super is a super-frame of text, with the header that goes before it: payload
// bytes in segments of 1400.
func super(t testing.TB, text string, meta packet.Meta) (header vnet.Header, f []byte) {
	t.Helper()
	header.Encode(&meta)
	return header, frame(t, text)
}

// withHeaders makes a wire give a virtio header before each frame.
func (w *wire) withHeaders() *wire {
	w.t.Helper()
	require.NoError(w.t, unix.SetsockoptInt(w.s, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	return w
}

// receiveMeta receives one frame, as it is, with its metadata.
func (u *user) receiveMeta() (packet.Meta, []byte) {
	u.t.Helper()
	for {
		var bufs [1]packet.Index
		if u.p.Rx(0, u.c, bufs[:]) == 1 {
			m, f := *u.c.Arena().Meta(bufs[0]), bytes.Clone(u.c.Arena().Frame(bufs[0]))
			u.c.Free(bufs[0])
			m.Off = 0
			return m, f
		}
		require.True(u.t, u.wait(), "no frame came")
	}
}

// resend sends a frame with metadata from a buffer that has so many bytes before it.
func (u *user) resend(meta packet.Meta, f []byte, headroom int) {
	u.t.Helper()
	a, b := u.c.Arena(), u.c.AllocFor(len(f))
	require.NotZero(u.t, b)
	m := a.Meta(b)
	*m = meta
	m.Off = a.BufferOffset(b) + uint32(headroom)
	copy(a.Frame(b), f)
	require.Equal(u.t, 1, u.p.Tx(0, u.c, []packet.Index{b}))
}

func TestMetadataPasses(t *testing.T) {
	b := newTestbed(t, Config{Offload: true}, packet.ArenaConfig{Buffers: 64, Supers: 8, Debug: true})
	other := newTestbed(t, Config{Offload: true}, packet.ArenaConfig{Buffers: 64, Supers: 8, Debug: true})
	b.wire.withHeaders()
	other.wire.withHeaders()
	for _, row := range []struct {
		why, text string
		meta      packet.Meta // without Off and Len
	}{
		{"an ordinary frame", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12", packet.Meta{}},
		{
			"a partial checksum", "udp 10.0.0.1:9 > 10.0.0.2:53 len 12 partial",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6},
		},
		{
			"TCP over IPv4", "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 20000 partial",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1400, HdrLen: 54},
		},
		{
			"TCP over IPv6, with options", "tcp [fd00::1]:9 > [fd00::2]:80 A ts 1 2 len 20000 partial",
			packet.Meta{CsumPartial: true, CsumStart: 54, CsumOffset: 16, GSOType: packet.GSOTCPv6, GSOSize: 1400, HdrLen: 86},
		},
		{
			"UDP", "udp 10.0.0.1:9 > 10.0.0.2:53 len 20000 partial",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6, GSOType: packet.GSOUDP, GSOSize: 1400, HdrLen: 42},
		},
		{
			"a super-frame that an ordinary buffer takes", "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 1600 partial",
			packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1400, HdrLen: 54},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			header, f := super(t, row.text, row.meta)
			b.wire.send(append(header[:], f...))
			got, data := b.receiveMeta()
			want := row.meta
			want.Len = uint32(len(f))
			require.Equal(t, want, got)
			require.Equal(t, f, data)

			// Once with a header that finds room before the frame, once without.
			for _, headroom := range []int{packet.Headroom, vnet.Size - 1} {
				other.resend(got, data, headroom)
				arrived := other.wire.receive()
				require.Equal(t, f, arrived[vnet.Size:])
				var meta packet.Meta
				require.True(t, (*vnet.Header)(arrived).Decode(&meta, arrived[vnet.Size:]))
				require.Equal(t, row.meta, meta)
			}
		})
	}
	require.Zero(t, b.p.Counters().RxRefused+other.p.Counters().TxErrors)
}

// TestTagsStayInFrames sends by a packet socket what a VLAN device would, which
// not every kernel has.
func TestTagsStayInFrames(t *testing.T) {
	b := newTestbed(t, Config{Offload: true}, packet.ArenaConfig{Buffers: 64, Supers: 8, Debug: true})
	b.wire.withHeaders()
	meta := packet.Meta{CsumPartial: true, CsumStart: 38, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1400, HdrLen: 58}
	header, f := super(t, "tcp 10.0.0.1:9 > 10.0.0.2:80 A vlan 5.3 len 20000 partial", meta)
	b.wire.send(append(header[:], f...))
	got, data := b.receiveMeta()
	meta.Len = uint32(len(f))
	require.Equal(t, meta, got)
	require.Equal(t, f, data)
	require.Equal(t, 1, b.try(data))
	require.EqualValues(t, 1, b.p.Counters().Sent)
}

func TestContradictingFrames(t *testing.T) {
	b := newTestbed(t, Config{Offload: true}, packet.ArenaConfig{Buffers: 64, Supers: 8, Debug: true})
	c, a := b.c, b.c.Arena()
	good := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 12")
	for _, row := range []struct {
		why  string
		meta packet.Meta
	}{
		{"the checksum would lie outside the frame", packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 60000}},
		{"segments of no size", packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6, GSOType: packet.GSOUDP, HdrLen: 42}},
		{"a type that there is not", packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 6, GSOType: 77, GSOSize: 8, HdrLen: 42}},
	} {
		t.Run(row.why, func(t *testing.T) {
			before := b.p.Counters()
			bufs := []packet.Index{c.Alloc(), c.Alloc()}
			for i, k := range bufs {
				m := a.Meta(k)
				off := m.Off
				if i == 0 {
					*m = row.meta
				}
				m.Off, m.Len = off, uint32(len(good))
				copy(a.Frame(k), good)
			}
			require.Equal(t, 2, b.p.Tx(0, c, bufs), "the next frame is not held up")
			require.Equal(t, good, b.wire.receive())
			after := b.p.Counters()
			require.Equal(t, before.TxErrors+1, after.TxErrors)
			require.Equal(t, before.Sent+1, after.Sent)
		})
	}
}

func TestSuperFrameWaitsForItsBuffer(t *testing.T) {
	b := newTestbed(t, Config{Offload: true}, packet.ArenaConfig{Buffers: 64, Supers: 1})
	b.wire.withHeaders()
	taken := b.c.AllocSuper()
	meta := packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 1400, HdrLen: 54}
	header, f := super(t, "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 20000 partial", meta)
	b.wire.send(append(header[:], f...), append(make([]byte, vnet.Size), pattern(60, 1)...))
	for range 3 {
		require.Empty(t, b.poll(), "frames would change places")
	}
	b.c.Free(taken)
	got, data := b.receiveMeta()
	meta.Len = uint32(len(f))
	require.Equal(t, meta, got)
	require.Equal(t, f, data)
	require.Equal(t, [][]byte{pattern(60, 1)}, b.receive(1))
	require.Equal(t, Counters{Received: 2}, b.p.Counters())
}

func TestLostFramesAreCounted(t *testing.T) {
	b := newTestbed(t, Config{Offload: true}, packet.ArenaConfig{Buffers: 64})
	const sent = 2000 // the queue has 500 places
	refused := 0
	for i := range sent {
		if b.wire.trySend(pattern(60, i)) != nil {
			refused++ // kernels to come may stop the sender instead
		}
	}
	received := 0
	for n := -1; n != 0; received += n {
		n = len(b.poll())
	}
	lost := b.p.Counters().RxLost
	require.NotZero(t, int(lost)+refused)
	require.Equal(t, sent, received+int(lost)+refused)
	again := b.ns
	require.NoError(t, b.p.Close())
	require.Equal(t, lost, b.p.Counters().RxLost, "the count stays")
	require.Zero(t, again.open(Config{Name: "t0"}).Counters().RxLost, "a port counts from its beginning")
}
