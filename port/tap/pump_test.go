package tap

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// link is two kernels with a TAP each, and a pump between the two: the least
// switch there is.
//
//	namespace a ── t0 ── port ══ pump ══ port ── t0 ── namespace b
//	10.9.0.1, fd09::1                                  10.9.0.2, fd09::2
type link struct {
	t     testing.TB
	ends  [2]*namespace
	ports [2]*Port
	seen  [2]seen // of what ports[i] has received; after stop, or while asked for by atomics only
	halt  atomic.Bool
	done  chan struct{}
}

// seen says of which kinds received frames were.
type seen struct {
	frames, partial atomic.Uint64
	supers          [256]atomic.Uint64 // by GSO type
	longest         atomic.Uint64      // bytes
}

// newLink starts the pump; cfg is for both ends.
func newLink(t testing.TB, cfg Config) *link {
	t.Helper()
	l := &link{t: t, done: make(chan struct{})}
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 2048, Supers: 128, Prefault: true})
	require.NoError(t, err)
	cfg.Name, cfg.Up = "t0", true
	for i := range l.ends {
		l.ends[i] = newNamespace(t)
		l.ports[i] = l.ends[i].open(cfg)
		l.ends[i].addresses("t0", i+1)
	}
	go l.pump(arena.NewCache())
	t.Cleanup(func() {
		l.halt.Store(true)
		<-l.done
		require.Zero(t, arena.InUse(), "a buffer is lost")
		require.NoError(t, arena.Close())
	})
	return l
}

// addresses gives an interface host number n of 10.9.0.0/24 and fd09::/64.
func (ns *namespace) addresses(name string, n int) {
	ns.t.Helper()
	ns.do(func() error {
		dev, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, prefix := range []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(n)}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 9, 15: byte(n)}), 64),
		} {
			address, err := netlink.ParseAddr(prefix.String())
			if err != nil {
				return err
			}
			if prefix.Addr().Is6() {
				address.Flags = unix.IFA_F_NODAD // else it can't be used for a second
			}
			if err := netlink.AddrAdd(dev, address); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *link) pump(c *packet.Cache) {
	defer close(l.done)
	var bufs [64]packet.Index
	var fds []unix.PollFd
	for _, p := range l.ports {
		for q := range p.queues {
			fds = append(fds, unix.PollFd{Fd: int32(p.FD(q)), Events: unix.POLLIN})
		}
	}
	for !l.halt.Load() {
		moved := 0
		for i, p := range l.ports {
			for q := range p.queues {
				n := p.Rx(q, c, bufs[:])
				l.seen[i].note(c.Arena(), bufs[:n])
				c.FreeN(bufs[l.ports[1-i].Tx(q, c, bufs[:n]):n])
				moved += n
			}
		}
		if moved == 0 {
			_, _ = unix.Poll(fds, 100)
		}
	}
	c.Flush()
}

func (s *seen) note(a *packet.Arena, bufs []packet.Index) {
	for _, b := range bufs {
		m := a.Meta(b)
		if m.CsumPartial {
			s.partial.Add(1)
		}
		s.supers[m.GSOType].Add(1)
		s.longest.Store(max(s.longest.Load(), uint64(m.Len)))
	}
	s.frames.Add(uint64(len(bufs)))
}

// stream sends size bytes by TCP from end a to end b, which listens on address.
func (l *link) stream(address string, size int) {
	l.t.Helper()
	var listener net.Listener
	l.ends[1].do(func() (err error) { listener, err = net.Listen("tcp", address); return err })
	defer listener.Close()
	type result struct {
		data []byte
		err  error
	}
	received := make(chan result, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			received <- result{nil, err}
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		data, err := io.ReadAll(conn)
		received <- result{data, err}
	}()
	var conn net.Conn
	l.ends[0].do(func() (err error) {
		conn, err = net.DialTimeout("tcp", listener.Addr().String(), patience)
		return err
	})
	message := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	require.NoError(l.t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := conn.Write(message)
	require.NoError(l.t, err)
	require.NoError(l.t, conn.Close())
	got := <-received
	require.NoError(l.t, got.err)
	require.True(l.t, bytes.Equal(message, got.data), "%d of %d bytes have come, or others", len(got.data), len(message))
}
