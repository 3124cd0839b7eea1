package afpacket

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/internal/vnet"
)

// superOf makes a super-frame of a frame in text, for which it must have a
// partial checksum: its metadata.
func superOf(t testing.TB, u *user, f []byte, gso uint8, size int) packet.Index {
	t.Helper()
	var in packet.Info
	require.Equal(t, packet.None, packet.Parse(f, &in))
	return u.buffer(f, func(m *packet.Meta) {
		m.CsumPartial, m.CsumStart, m.CsumOffset, m.HdrLen = true, in.L4, 16, in.L4+20
		m.GSOType, m.GSOSize = gso, uint16(size)
		if gso == packet.GSOUDP {
			m.CsumOffset, m.HdrLen = 6, in.L4+8
		}
	})
}

// TestSuperFramesPass sends super-frames from port to port and looks at what
// the other end's kernel makes of them.
func TestSuperFramesPass(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	peer := u.open(Config{Name: "eth0", NetNS: far.Name, Offload: true})
	rows := []struct {
		why, frame string
		gso        uint8
		size       int
	}{
		{"TCP", "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 60000 partial", packet.GSOTCPv4, 1400},
		{"TCP with CWR", "tcp 10.0.0.1:9 > 10.0.0.2:80 AW len 60000 partial", packet.GSOTCPv4 | 0x80, 1400},
		{"TCP over IPv6", "tcp [fd00::1]:9 > [fd00::2]:80 A len 60000 partial", packet.GSOTCPv6, 1400},
		{"UDP", "udp 10.0.0.1:9 > 10.0.0.2:53 len 3600 partial", packet.GSOUDP, 1200},
		{"UDP over IPv6", "udp [fd00::1]:9 > [fd00::2]:53 len 3600 partial", packet.GSOUDP, 1200},
		{"TCP on a trunk: offsets beyond the tag", "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 60000 partial vlan 100", packet.GSOTCPv4, 1400},
		{"UDP on a trunk", "udp 10.0.0.1:9 > 10.0.0.2:53 len 3600 partial vlan 100", packet.GSOUDP, 1200},
		{"TCP over IPv6 behind two tags", "tcp [fd00::1]:9 > [fd00::2]:80 A len 60000 partial qinq 200 vlan 100", packet.GSOTCPv6, 1400},
	}
	for _, row := range rows {
		t.Run(row.why+" whole", func(t *testing.T) {
			f := frame(t, row.frame)
			b := superOf(t, u, f, row.gso, row.size)
			want := *u.c.Arena().Meta(b)
			require.Equal(t, 1, p.Tx(0, u.c, []packet.Index{b}))
			got := u.receive(peer, 1)[0]
			require.Equal(t, f, got.frame)
			want.Off = got.meta.Off
			require.Equal(t, want, got.meta)
		})
	}
	// The near end without offloads: the kernel cuts and sums, so it has
	// understood where everything is.
	const setSG, setTXCSUM, setTSO = 0x19, 0x17, 0x1f
	ethtool(t, near, "p0", setTSO, 0)
	ethtool(t, near, "p0", setSG, 0)
	ethtool(t, near, "p0", setTXCSUM, 0)
	for _, row := range rows {
		t.Run(row.why+" cut", func(t *testing.T) {
			f := frame(t, row.frame)
			var want packet.Info
			require.Equal(t, packet.None, packet.Parse(f, &want))
			require.Equal(t, 1, p.Tx(0, u.c, []packet.Index{superOf(t, u, f, row.gso, row.size)}))
			payload := 0
			size := len(f) - int(want.L4) - 20
			if row.gso == packet.GSOUDP {
				size += 12
			}
			for payload < size {
				for _, got := range u.receive(peer, 1) {
					var in packet.Info
					require.Equal(t, packet.None, packet.Parse(got.frame, &in))
					require.EqualValues(t, packet.GSONone, got.meta.GSOType)
					require.False(t, got.meta.CsumPartial)
					require.True(t, packet.VerifyTransport(got.frame, int(in.L3), int(in.L4), int(in.IPLen), in.Proto))
					require.Equal(t, want.Key, in.Key)
					require.Equal(t, want.L3, in.L3, "the tags are there")
					require.Equal(t, f[:want.L3], got.frame[:want.L3])
					part := len(got.frame) - int(in.L4) - (len(f) - int(want.L4) - size)
					require.LessOrEqual(t, part, row.size)
					payload += part
				}
			}
			require.Equal(t, size, payload)
		})
	}
	require.Zero(t, p.Counters().TxErrors)
	require.Zero(t, peer.Counters().RxRefused)
}

// TestPartialChecksumsPass is for single packets, with and without a tag.
func TestPartialChecksumsPass(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	peer := u.open(Config{Name: "eth0", NetNS: far.Name, Offload: true})
	for _, text := range []string{
		"udp 10.0.0.1:9 > 10.0.0.2:53 len 100 partial",
		"udp 10.0.0.1:9 > 10.0.0.2:53 len 1472 partial vlan 100",
		"tcp [fd00::1]:9 > [fd00::2]:80 A len 100 partial qinq 200 vlan 100",
	} {
		f := frame(t, text)
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(f, &in))
		b := u.buffer(f, func(m *packet.Meta) {
			m.CsumPartial, m.CsumStart, m.CsumOffset = true, in.L4, 6
			if in.Proto == packet.ProtoTCP {
				m.CsumOffset = 16
			}
		})
		want := *u.c.Arena().Meta(b)
		require.Equal(t, 1, p.Tx(0, u.c, []packet.Index{b}))
		got := u.receive(peer, 1)[0]
		require.Equal(t, f, got.frame)
		want.Off, want.HdrLen = got.meta.Off, got.meta.HdrLen // of no meaning here
		require.Equal(t, want, got.meta)
	}
}

// TestUDPSegmentation lets a program send by UDP_SEGMENT (udp(7)).
func TestUDPSegmentation(t *testing.T) {
	for _, row := range []struct{ why, network, from, to string }{
		{"IPv4", "udp4", "10.9.0.1:0", "10.9.0.2:53"},
		{"IPv6", "udp6", "[fd09::1]:0", "[fd09::2]:53"},
	} {
		t.Run(row.why, func(t *testing.T) {
			h := host(t)
			ends := pods(t, h, netnstest.VethOptions{})
			u := newUser(t, debugging)
			var ports [2]*Port
			for i := range ports {
				ports[i] = u.open(Config{Name: ends[i].device, NetNS: h.Name, Offload: true, Exclusive: true})
			}
			supers := 0
			stop := u.forward(ports[0], ports[1], func(m *packet.Meta, f []byte) {
				if m.GSOType == packet.GSOUDP {
					supers++
				}
			})
			open := func(i int, address string) *net.UDPConn {
				var c *net.UDPConn
				require.NoError(t, ends[i].Do(func() error {
					a, err := net.ResolveUDPAddr(row.network, address)
					if err == nil {
						c, err = net.ListenUDP(row.network, a)
					}
					return err
				}))
				require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
				t.Cleanup(func() { c.Close() })
				return c
			}
			from, to := open(0, row.from), open(1, row.to)
			const size, count = 1000, 20
			raw, err := from.SyscallConn()
			require.NoError(t, err)
			var set error
			require.NoError(t, raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) }))
			require.NoError(t, set)
			message := make([]byte, size*count-1)
			for i := range message {
				message[i] = byte(i / size)
			}
			_, err = from.WriteTo(message, to.LocalAddr())
			require.NoError(t, err)
			for i := range count {
				var b [2 * size]byte
				n, err := to.Read(b[:])
				require.NoError(t, err)
				require.Equal(t, message[i*size:min((i+1)*size, len(message))], b[:n], "datagram %d", i)
			}
			stop()
			require.Positive(t, supers)
		})
	}
}

// TestFramesThatCannotBeSent stand between good ones, which must pass in order.
func TestFramesThatCannotBeSent(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	w := newWire(t, far, "eth0")
	good := [][]byte{
		frame(t, "udp 10.0.0.1:1 > 10.0.0.2:53"), frame(t, "udp 10.0.0.1:2 > 10.0.0.2:53"), frame(t, "udp 10.0.0.1:3 > 10.0.0.2:53"),
	}
	long := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 1600")
	bufs := []packet.Index{
		u.buffer(long, nil),
		u.buffer(good[0], nil),
		u.buffer(good[1], func(m *packet.Meta) { m.CsumPartial, m.CsumStart, m.CsumOffset = true, 4000, 2 }),
		u.buffer(long, nil),
		u.buffer(good[1], nil),
		u.buffer(good[0][:10], nil),
		u.buffer(good[2], nil),
		u.buffer(long, nil),
	}
	require.Equal(t, len(bufs), p.Tx(0, u.c, bufs))
	for _, f := range good {
		require.Equal(t, f, w.receive())
	}
	c := p.Counters()
	require.EqualValues(t, 3, c.Sent)
	require.EqualValues(t, 5, c.TxErrors)
	require.Zero(t, c.RxRefused)
}

// TestFramesThatTheOtherEndRefuses: a veth drops what is longer than its peer's
// MTU, and says only that it has dropped something.
func TestFramesThatTheOtherEndRefuses(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	far.MTU("eth0", 1000)
	short, long := frame(t, "udp 10.0.0.1:1 > 10.0.0.2:53"), frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 1400")
	if plain := newWire(t, near, "p0"); unix.Sendto(plain.s, long, 0, &unix.SockaddrLinklayer{Ifindex: plain.index}) == nil {
		t.Skip("this kernel's veth says nothing of what it drops")
	}
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	w := newWire(t, far, "eth0")
	for _, row := range []struct {
		why     string
		frames  string // s is a short one, l a long one
		taken   int
		refused int
	}{
		{"one does not hold up the others", "sssss" + "l" + strings.Repeat("s", 58), 64, 1},
		{"nor do several, at either end", "llssllllsslll", 13, 9},
		{"a vector of one is like a vector of many", "l", 1, 1},
		{"as many as a full queue would drop look like one, and nothing is tried behind them", "sslllllllls", 2, 0},
		{"in any place", "lllllll" + "s" + strings.Repeat("l", 56), 8, 7},
	} {
		t.Run(row.why, func(t *testing.T) {
			var frames [][]byte
			for _, kind := range row.frames {
				frames = append(frames, map[rune][]byte{'s': short, 'l': long}[kind])
			}
			before := p.Counters()
			require.Equal(t, row.taken, u.try(p, frames...))
			c := p.Counters()
			require.EqualValues(t, row.refused, c.TxErrors-before.TxErrors)
			require.EqualValues(t, row.taken-row.refused, c.Sent-before.Sent)
			for range c.Sent - before.Sent {
				require.Equal(t, short, w.receive())
			}
		})
	}
	require.NoError(t, p.Err())
}

// TestFramesThatCannotBeReceived are lost and counted; others pass.
func TestFramesThatCannotBeReceived(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{MTU: 9000})
	u := newUser(t, packet.ArenaConfig{Buffers: 256, Debug: true})
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	w := newWire(t, far, "eth0")
	short, long := frame(t, "udp 10.0.0.1:1 > 10.0.0.2:53"), frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 4000")
	w.send(short, long, short, long)
	got := u.receive(p, 2)
	require.Equal(t, short, got[0].frame)
	require.Equal(t, short, got[1].frame)
	for p.Counters().RxRefused < 2 {
		require.True(t, wait(t, patience, p))
		require.Empty(t, u.poll(p))
	}

	// A super-frame whose TCP header is longer than its packet, which the kernel
	// does not notice.
	require.NoError(t, unix.SetsockoptInt(w.s, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	header := vnet.Header{}
	header.Encode(&packet.Meta{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSOType: packet.GSOTCPv4, GSOSize: 100, HdrLen: 54})
	lie := append(header[:], frame(t, "tcp 10.0.0.1:1 > 10.0.0.2:53 A len 1000 partial")...)
	ip := packet.IPv4(lie[len(header)+packet.EthernetSize:])
	ip[packet.IPv4MinSize+12] = 0xf0
	ip.SetLength(packet.IPv4MinSize + packet.TCPMinSize)
	ip.UpdateChecksum()
	w.send(lie, append(make([]byte, len(header)), short...))
	require.Equal(t, short, u.receive(p, 1)[0].frame)
	require.EqualValues(t, 3, p.Counters().RxRefused)
}
