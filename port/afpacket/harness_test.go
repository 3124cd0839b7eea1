package afpacket

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// patience is how long a test waits for what must come before it fails. No
// test passes because time has passed.
const patience = 20 * time.Second

// host makes the namespace that the ports are in, or skips the test.
func host(t testing.TB) *netnstest.NS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("packet sockets and namespaces need root")
	}
	return netnstest.New(t)
}

// user is a port's user: an arena and a worker's cache.
type user struct {
	t    testing.TB
	c    *packet.Cache
	kits Kits

	vector int // frames that forward asks for at once; 0 is 64
}

func newUser(t testing.TB, cfg packet.ArenaConfig) *user {
	t.Helper()
	a, err := packet.NewArena(cfg)
	require.NoError(t, err)
	u := &user{t: t, c: a.NewCache()}
	t.Cleanup(func() {
		u.kits.Close()
		u.c.Flush()
		require.Zero(t, a.InUse(), "a buffer is lost: %v", a.Leaks())
		require.NoError(t, a.Close())
	})
	return u
}

// debugging is an arena that catches what it can.
var debugging = packet.ArenaConfig{Buffers: 1024, Supers: 256, Debug: true}

// open makes a port, which is closed with the test.
func (u *user) open(cfg Config) *Port {
	u.t.Helper()
	cfg.Arena, cfg.Kits = u.c.Arena(), &u.kits
	p, err := Open(cfg)
	require.NoError(u.t, err)
	u.t.Cleanup(func() { require.NoError(u.t, p.Close()) })
	return p
}

// buffer is a frame in a buffer; edit may be nil.
func (u *user) buffer(frame []byte, edit func(*packet.Meta)) packet.Index {
	u.t.Helper()
	b := u.c.AllocFor(len(frame))
	require.NotZero(u.t, b)
	m := u.c.Arena().Meta(b)
	m.Len = uint32(len(frame))
	copy(u.c.Arena().Frame(b), frame)
	if edit != nil {
		edit(m)
	}
	return b
}

// try sends frames and returns how many were taken.
func (u *user) try(p *Port, frames ...[]byte) int {
	u.t.Helper()
	var bufs []packet.Index
	for _, f := range frames {
		bufs = append(bufs, u.buffer(f, nil))
	}
	n := p.Tx(0, u.c, bufs)
	u.c.FreeN(bufs[n:])
	return n
}

// received is a frame and its description.
type received struct {
	frame []byte
	meta  packet.Meta
	queue int
}

// poll receives once from every queue and returns copies.
func (u *user) poll(p *Port) (all []received) {
	for q := range p.queues {
		var bufs [64]packet.Index
		n := p.Rx(q, u.c, bufs[:])
		for _, b := range bufs[:n] {
			u.c.Arena().Check(b)
			all = append(all, received{append([]byte(nil), u.c.Arena().Frame(b)...), *u.c.Arena().Meta(b), q})
		}
		u.c.FreeN(bufs[:n])
	}
	return all
}

// wait sleeps until a port has frames or errors, as a worker does, and reports
// false if none come.
func wait(t testing.TB, longest time.Duration, ports ...*Port) bool {
	t.Helper()
	var fds []unix.PollFd
	for _, p := range ports {
		for q := range p.queues {
			fds = append(fds, unix.PollFd{Fd: int32(p.FD(q)), Events: unix.POLLIN})
		}
	}
	limit := unix.NsecToTimespec(int64(longest))
	n, err := unix.Ppoll(fds, &limit, nil)
	if err == unix.EINTR {
		return true
	}
	require.NoError(t, err)
	return n > 0
}

// receive receives n frames, or more.
func (u *user) receive(p *Port, n int) (all []received) {
	u.t.Helper()
	for all = u.poll(p); len(all) < n; all = append(all, u.poll(p)...) {
		require.True(u.t, wait(u.t, patience, p), "%d of %d frames came: %+v", len(all), n, p.Counters())
	}
	return all
}

// frame reads a line of text.
func frame(t testing.TB, text string) []byte {
	t.Helper()
	f, err := frametext.Parse(text)
	require.NoError(t, err, text)
	return f
}

// forward is a wire between two ports until the test ends, or stop is called. see
// is shown what passes and may be nil.
func (u *user) forward(a, b *Port, see func(*packet.Meta, []byte)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		bufs := make([]packet.Index, 64)
		if u.vector != 0 {
			bufs = bufs[:u.vector]
		}
		for {
			select {
			case <-done:
				return
			default:
			}
			moved := 0
			for _, way := range [2][2]*Port{{a, b}, {b, a}} {
				for q := range way[0].queues {
					n := way[0].Rx(q, u.c, bufs)
					for _, i := range bufs[:n] {
						if see != nil {
							see(u.c.Arena().Meta(i), u.c.Arena().Frame(i))
						}
					}
					u.c.FreeN(bufs[way[1].Tx(0, u.c, bufs[:n]):n])
					moved += n
				}
			}
			if moved == 0 {
				wait(u.t, 20*time.Millisecond, a, b)
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(done); <-ended })
	u.t.Cleanup(stop)
	return stop
}

// pod is a namespace at the far end of a veth.
type pod struct {
	*netnstest.NS
	device string // at the host's end
}

// pods makes two pods with addresses 10.9.0.N and fd09::N.
//
//	pod 1: eth0 ═══ p1   host   p2 ═══ eth0 :pod 2
func pods(t testing.TB, h *netnstest.NS, o netnstest.VethOptions) (all [2]pod) {
	t.Helper()
	for i := range all {
		p := pod{netnstest.New(t), fmt.Sprintf("p%d", i+1)}
		netnstest.Veth(t, p.NS, "eth0", h, p.device, o)
		p.Addr("eth0", fmt.Sprintf("10.9.0.%d/24", i+1))
		p.Addr("eth0", fmt.Sprintf("fd09::%d/64", i+1))
		all[i] = p
	}
	return all
}

// listen and dial are net's in a namespace.
func listen(t testing.TB, ns *netnstest.NS, address string) net.Listener {
	t.Helper()
	var l net.Listener
	require.NoError(t, ns.Do(func() (err error) { l, err = net.Listen("tcp", address); return err }))
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, ns *netnstest.NS, address string) net.Conn {
	t.Helper()
	var c net.Conn
	require.NoError(t, ns.Do(func() (err error) { c, err = net.DialTimeout("tcp", address, patience); return err }))
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

func text(f []byte) string { return frametext.Format(f) }
