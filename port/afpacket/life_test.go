package afpacket

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// until calls f until it is true.
func until(t testing.TB, f func() bool, format string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: "+format, args...)
		}
	}
}

func TestLinkGoesDownAndUp(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Queues: 2, Offload: true, Exclusive: true})
	w := newWire(t, far, "eth0")
	f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
	until(t, func() bool { return p.Caps().Up }, "up")
	for round := range 3 {
		w.send(f)
		require.Equal(t, f, u.receive(p, 1)[0].frame)

		near.Down("p0")
		require.False(t, p.Caps().Up)
		require.Zero(t, u.try(p, f), "nothing is taken while it is down")
		require.NoError(t, p.Err())
		if round == 1 {
			require.Empty(t, u.poll(p)) // in other rounds the error waits in the sockets until it is up
		}
		near.Up("p0")
		until(t, func() bool { return p.Caps().Up }, "up again")

		require.Equal(t, 1, u.try(p, f), "the first frame passes")
		require.NoError(t, p.Err())
	}
	// The other end down is no carrier.
	far.Down("eth0")
	until(t, func() bool { return !p.Caps().Up }, "no carrier")
	require.NoError(t, p.Err())
	near.MTU("p0", 1400)
	require.Equal(t, 1400, p.Caps().MTU, "as it is now")
	require.Zero(t, p.Counters().TxErrors)
}

func TestDeviceGoesAway(t *testing.T) {
	for _, row := range []struct {
		why    string
		away   func(near, far *netnstest.NS) error
		notice func(u *user, p *Port)
	}{
		{
			"removed, as a receiver sees it", remove,
			func(u *user, p *Port) {
				until(u.t, func() bool { return wait(u.t, patience, p) && len(u.poll(p)) == 0 && p.Err() != nil }, "an end")
			},
		},
		{
			"removed, as a sender sees it", remove,
			func(u *user, p *Port) { require.Zero(u.t, u.try(p, frame(u.t, "udp 10.0.0.1:9 > 10.0.0.2:53"))) },
		},
		{
			"removed, as somebody sees it who asks", remove,
			func(u *user, p *Port) { require.False(u.t, p.Caps().Up) },
		},
		{
			"moved to another namespace", func(near, far *netnstest.NS) error { return netdev.Move(near.Name, "p0", far.Name) },
			func(u *user, p *Port) { require.Empty(u.t, u.poll(p)) },
		},
		{
			"renamed is not away",
			func(near, far *netnstest.NS) error {
				return errors.Join(
					netdev.SetUp(near.Name, "p0", false), netdev.Rename(near.Name, "p0", "other"), netdev.SetUp(near.Name, "other", true))
			},
			nil,
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			near, far := pair(t, netnstest.VethOptions{})
			u := newUser(t, debugging)
			p := u.open(Config{Name: "p0", NetNS: near.Name, Queues: 2, Offload: true, Exclusive: true})
			require.GreaterOrEqual(t, p.FD(1), 0)
			require.Equal(t, -1, p.FD(2))
			require.NoError(t, row.away(near, far))
			if row.notice == nil {
				until(t, func() bool { return p.Caps().Up }, "up under another name")
				require.NoError(t, p.Err())
				return
			}
			row.notice(u, p)
			require.ErrorIs(t, p.Err(), unix.ENODEV)
			require.ErrorContains(t, p.Err(), "p0")
			require.Equal(t, -1, p.FD(0))
			require.False(t, p.Caps().Up)
			require.Equal(t, 2, p.Caps().Queues)
			require.Empty(t, u.poll(p))
			require.Zero(t, u.try(p, frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53")))
			p.Counters()
			require.NoError(t, p.Close())

			// Another of the same name is another device.
			if _, err := netdev.Link(near.Name, "p0"); err == nil {
				return
			}
			if _, err := netdev.Link(far.Name, "eth0"); err == nil {
				require.NoError(t, netdev.Delete(far.Name, "eth0"))
			}
			netnstest.Veth(t, far, "eth0", near, "p0", netnstest.VethOptions{})
			again := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
			f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
			newWire(t, far, "eth0").send(f)
			require.Equal(t, f, u.receive(again, 1)[0].frame)
			require.Error(t, p.Err(), "the old port stays what it was")
		})
	}
}

func remove(near, _ *netnstest.NS) error { return netdev.Delete(near.Name, "p0") }

// TestQueues sends many flows: each stays on its queue, no frame comes twice, and
// both queues have some.
func TestQueues(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Queues: 2, Offload: true, Exclusive: true})
	require.Equal(t, 2, p.Caps().Queues)
	w := newWire(t, far, "eth0")
	const flows, rounds = 64, 4
	for range rounds {
		for i := range flows {
			w.send(frame(t, fmt.Sprintf("udp 10.0.0.1:%d > 10.0.0.2:53", 1000+i)))
		}
	}
	w.send(frame(t, "udp 10.0.0.3:1 > 10.0.0.2:53"), frame(t, "udp 10.0.0.3:2 > 10.0.0.2:53"))
	queueOf, times := map[packet.Key]int{}, map[packet.Key]int{}
	count := 0
	for _, r := range u.receive(p, flows*rounds+2) {
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(r.frame, &in))
		if q, seen := queueOf[in.Key]; seen {
			require.Equal(t, q, r.queue, "%v", in.Key)
		}
		queueOf[in.Key] = r.queue
		times[in.Key]++
		count++
	}
	require.Equal(t, flows*rounds+2, count)
	used := map[int]int{}
	for k, q := range queueOf {
		used[q]++
		require.LessOrEqual(t, times[k], rounds)
	}
	require.Len(t, used, 2, "%v", used)
	// A queue number beyond the device's sends too, by several workers at once.
	require.Equal(t, 1, p.Tx(17, u.c, []packet.Index{u.buffer(frame(t, "udp 10.0.0.2:53 > 10.0.0.1:9"), nil)}))
	w.receive()
}

// TestNoBuffers: frames for which there is no buffer stay in the socket; beyond
// its size the kernel drops and says so.
func TestNoBuffers(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, packet.ArenaConfig{Buffers: 8, Supers: 8, Debug: true})
	p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: true})
	w := newWire(t, far, "eth0")
	f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53 len 1000")
	const some = 20
	for range some {
		w.send(f)
	}
	require.Len(t, u.receive(p, some), some)

	var held []packet.Index
	for b := u.c.Alloc(); b != 0; b = u.c.Alloc() {
		held = append(held, b)
	}
	u.kits.Release(u.c)
	for b := u.c.Alloc(); b != 0; b = u.c.Alloc() {
		held = append(held, b)
	}
	w.send(f)
	require.True(t, wait(t, patience, p))
	require.Empty(t, u.poll(p))
	u.c.FreeN(held)
	require.Len(t, u.receive(p, 1), 1)

	const flood = 20000
	for range flood {
		w.send(f)
	}
	until(t, func() bool { u.poll(p); c := p.Counters(); return c.Received+c.RxLost >= some+1+flood }, "all accounted for: %+v", p.Counters())
	c := p.Counters()
	require.EqualValues(t, some+1+flood, c.Received+c.RxLost)
	require.Positive(t, c.RxLost)
	require.NoError(t, p.Close())
	require.Equal(t, c, p.Counters(), "as it was")
}

func TestOpenRefuses(t *testing.T) {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 64})
	require.NoError(t, err)
	defer a.Close()
	for _, row := range []struct {
		why  string
		cfg  Config
		want []string
	}{
		{"nothing is given", Config{Queues: -1, MTU: -1}, []string{"no interface is named", "-1 queues: want 1 to 256", "MTU -1: want 0 to 65535", "no arena"}},
		{"a name too long for the kernel", Config{Name: "veth-of-the-first-pod", Arena: a}, []string{"21 bytes: want at most 15"}},
		{"more queues than a group can have", Config{Name: "p0", Queues: 257, Arena: a}, []string{"257 queues: want 1 to 256"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := Open(row.cfg)
			for _, want := range row.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	near, _ := pair(t, netnstest.VethOptions{})
	for _, row := range []struct {
		why  string
		cfg  Config
		want []string
		is   error
	}{
		{"no such device: what there is helps to find the typing error", Config{Name: "p00", NetNS: near.Name}, []string{"p00", "p0"}, netdev.ErrNoDevice},
		{"a device without Ethernet frames", Config{Name: "lo", NetNS: near.Name}, []string{"no Ethernet device", "choose"}, nil},
		{"no such namespace", Config{Name: "p0", NetNS: "sl-nowhere"}, []string{"sl-nowhere", "ip netns"}, netdev.ErrNoNamespace},
		{"packets that the device can't carry", Config{Name: "p0", NetNS: near.Name, MTU: 9000}, []string{"1500", "ip -n " + near.Name + " link set p0 mtu 9000"}, nil},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.cfg.Arena = a
			_, err := Open(row.cfg)
			for _, want := range row.want {
				require.ErrorContains(t, err, want)
			}
			if row.is != nil {
				require.ErrorIs(t, err, row.is)
			}
			t.Log(err)
		})
	}
	t.Run("no rights", func(t *testing.T) {
		// A thread without capabilities; it ends with its goroutine.
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			err := near.Do(func() error {
				header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
				var none [2]unix.CapUserData
				if err := unix.Capset(&header, &none[0]); err != nil {
					return fmt.Errorf("can't drop rights: %w", err)
				}
				_, err := Open(Config{Name: "p0", Arena: a})
				return err
			})
			done <- err
		}()
		err := <-done
		require.ErrorIs(t, err, unix.EPERM)
		require.ErrorContains(t, err, "CAP_NET_RAW")
		t.Log(err)
	})
}

// TestHostIsKeptOff asks for the host's address by ARP from the pod.
func TestHostIsKeptOff(t *testing.T) {
	for _, row := range []struct {
		why       string
		exclusive bool
		answers   bool
		mode      string
	}{
		{"the host answers on a shared device", false, true, "packet socket, vnet_hdr, 1 queue, shared with the host"},
		{"it sees nothing on an exclusive one", true, false, "packet socket, vnet_hdr, 1 queue, host kept off by "},
	} {
		t.Run(row.why, func(t *testing.T) {
			near, far := pair(t, netnstest.VethOptions{IPv6: true})
			near.Addr("lo", "192.0.2.7/32")
			u := newUser(t, debugging)
			p := u.open(Config{Name: "p0", NetNS: near.Name, Offload: true, Exclusive: row.exclusive})
			require.Contains(t, p.Mode(), row.mode)
			w := newWire(t, far, "eth0")
			w.send(frame(t, "arp 10.9.0.1 who-has 192.0.2.7"))
			// A second one is answered by whoever has the port: this, by now, is
			// all that could come before it.
			until(t, func() bool {
				for _, r := range u.poll(p) {
					if strings.Contains(text(r.frame), "who-has 192.0.2.7") {
						return true
					}
				}
				return false
			}, "the port sees the request")
			mark := frame(t, "arp 10.9.0.99 is-at 02:00:00:00:00:63")
			require.Equal(t, 1, u.try(p, mark))
			answered := false
			for {
				f := w.receive()
				if text(f) == text(mark) {
					break
				}
				answered = answered || strings.HasPrefix(text(f), "arp 192.0.2.7 is-at")
			}
			require.Equal(t, row.answers, answered)

			require.NoError(t, p.Close())
			// The host is there again.
			w.send(frame(t, "arp 10.9.0.1 who-has 192.0.2.7"))
			for !strings.HasPrefix(text(w.receive()), "arp 192.0.2.7 is-at") {
			}
		})
	}
}

// TestWithoutOffload: what is received may still be a super-frame, and the
// engine is told not to send any.
func TestWithoutOffload(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	p := u.open(Config{Name: "p0", NetNS: near.Name, Exclusive: true})
	caps := p.Caps()
	require.False(t, caps.CsumPartial || caps.GSO)
	require.Equal(t, 1500, caps.MTU)
	require.Contains(t, p.Mode(), "vnet_hdr for receiving only")
	peer := u.open(Config{Name: "eth0", NetNS: far.Name, Offload: true})
	caps = peer.Caps()
	require.True(t, caps.CsumPartial && caps.GSO)
	f := frame(t, tcpSuper)
	require.Equal(t, 1, peer.Tx(0, u.c, []packet.Index{superOf(t, u, f, packet.GSOTCPv4, 1400)}))
	got := u.receive(p, 1)[0]
	require.Equal(t, f, got.frame)
	require.EqualValues(t, packet.GSOTCPv4, got.meta.GSOType)
}

const tcpSuper = "tcp 10.0.0.1:9 > 10.0.0.2:80 A len 60000 partial"

// TestOwnNamespace opens a device where the process is, which is where a lab's
// or a container's daemon has it.
func TestOwnNamespace(t *testing.T) {
	near, far := pair(t, netnstest.VethOptions{})
	u := newUser(t, debugging)
	var p *Port
	require.NoError(t, near.Do(func() (err error) {
		p, err = Open(Config{Name: "p0", Offload: true, Arena: u.c.Arena(), Kits: &u.kits})
		return err
	}))
	defer p.Close()
	f := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
	newWire(t, far, "eth0").send(f)
	require.Equal(t, f, u.receive(p, 1)[0].frame)
	_, err := net.InterfaceByName("p0")
	require.Error(t, err, "the test's own namespace is another")
}
