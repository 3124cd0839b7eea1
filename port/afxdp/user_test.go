package afxdp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// tester is a packet socket on a pod's device: what it sends the port receives, and
// the other way round.
type tester struct {
	t     testing.TB
	fd    int
	index int
}

func (w wired) tester(t testing.TB) *tester {
	t.Helper()
	info, err := netdev.Link(w.pod.Name, "eth0")
	require.NoError(t, err)
	r := &tester{t: t, index: info.Index}
	const all = uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8)
	require.NoError(t, w.pod.Do(func() (err error) {
		if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		wait := unix.NsecToTimeval(int64(patience))
		return errors.Join(
			unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: info.Index}),
			unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
			unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		)
	}))
	t.Cleanup(func() { unix.Close(r.fd) })
	return r
}

func (r *tester) try(frame []byte) error {
	return unix.Sendto(r.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: r.index})
}

func (r *tester) send(frames ...[]byte) {
	r.t.Helper()
	for _, f := range frames {
		require.NoError(r.t, r.try(f), "%d bytes", len(f))
	}
}

// receive returns the next frame that came from the port.
func (r *tester) receive() []byte {
	r.t.Helper()
	for {
		buf := make([]byte, 65536)
		n, from, err := unix.Recvfrom(r.fd, buf, 0)
		require.NoError(r.t, err)
		if l, ok := from.(*unix.SockaddrLinklayer); !ok || l.Pkttype != unix.PACKET_OUTGOING {
			return buf[:n]
		}
	}
}

// user is the port's user: a worker's cache.
type user struct {
	t testing.TB
	p *Port
	a *packet.Arena
	c *packet.Cache
}

// use makes a user; its cache is flushed when the test ends, before the arena closes.
func use(t testing.TB, p *Port) *user {
	t.Helper()
	u := &user{t: t, p: p, a: p.arena, c: p.arena.NewCache()}
	t.Cleanup(u.c.Flush)
	return u
}

// buffer returns a buffer with a frame in it.
func (u *user) buffer(frame []byte) packet.Index {
	u.t.Helper()
	b := u.c.AllocFor(len(frame))
	require.NotZero(u.t, b)
	u.a.Meta(b).Len = uint32(len(frame))
	copy(u.a.Frame(b), frame)
	return b
}

// send sends frames, however many calls of Tx it takes.
func (u *user) send(frames ...[]byte) {
	u.t.Helper()
	for _, f := range frames {
		b := []packet.Index{u.buffer(f)}
		eventually(u.t, "the port takes a frame", func() bool { return u.p.Tx(0, u.c, b) == 1 })
	}
}

// receive returns the next n frames of queue 0.
func (u *user) receive(n int) (frames [][]byte, metas []packet.Meta) {
	u.t.Helper()
	var bufs [64]packet.Index
	eventually(u.t, "frames arrive", func() bool {
		got := u.p.Rx(0, u.c, bufs[:min(n-len(frames), len(bufs))])
		for _, b := range bufs[:got] {
			frames = append(frames, bytes.Clone(u.a.Frame(b)))
			metas = append(metas, *u.a.Meta(b))
		}
		u.c.FreeN(bufs[:got])
		return len(frames) == n
	})
	return frames, metas
}

// frame reads a line of text.
func frame(t testing.TB, text string) []byte {
	t.Helper()
	f, err := frametext.Parse(text)
	require.NoError(t, err, text)
	return f
}

// pattern is a frame of size bytes that says its number; a kernel ignores its type.
func pattern(size, number int) []byte {
	f := bytes.Repeat([]byte{byte(number), byte(number >> 8), 0x5a}, size/3+1)[:size]
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	return f
}

// newPort makes a pod, its veth pair, and the port at the other end.
func newPort(t testing.TB, o netnstest.VethOptions, cfg Config) (wired, *Port) {
	t.Helper()
	needXDP(t)
	if cfg.Arena == nil {
		cfg.Arena = newArena(t, packet.ArenaConfig{Buffers: 1024, Supers: 16, Debug: true})
	}
	w := wire(t, netnstest.New(t), "p1", o)
	return w, w.open(t, cfg)
}
