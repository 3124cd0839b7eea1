package shield_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/afpacket"
	"github.com/sluice-net/sluice/port/afxdp"
	"github.com/sluice-net/sluice/port/tap"
)

// patience is how long a test waits for what must come before it fails. No test
// passes because time has passed.
const patience = 20 * time.Second

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about in %v that %s", patience, what)
		}
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("programs on devices, and namespaces, need root")
	}
}

// port is what drivers have in common.
type port interface {
	dataplane.Port
	io.Closer
	Mode() string
	Err() error
}

// drivers open the device p0 of a namespace.
var drivers = map[string]func(netNS string, a *packet.Arena) (port, error){
	"afpacket": func(netNS string, a *packet.Arena) (port, error) {
		return afpacket.Open(afpacket.Config{Name: "p0", NetNS: netNS, Offload: true, Exclusive: true, Arena: a})
	},
	"afpacket, 3 queues": func(netNS string, a *packet.Arena) (port, error) {
		return afpacket.Open(afpacket.Config{Name: "p0", NetNS: netNS, Queues: 3, Offload: true, Exclusive: true, Arena: a})
	},
	"afpacket, shared": func(netNS string, a *packet.Arena) (port, error) {
		return afpacket.Open(afpacket.Config{Name: "p0", NetNS: netNS, Offload: true, Arena: a})
	},
	"afxdp": func(netNS string, a *packet.Arena) (port, error) {
		return afxdp.Open(afxdp.Config{Name: "p0", NetNS: netNS, Offload: true, Arena: a})
	},
	"tap": func(netNS string, a *packet.Arena) (port, error) {
		return tap.Open(tap.Config{Name: "p0", NetNS: netNS, Up: true, Offload: true, Arena: a})
	},
	"tap, persistent": func(netNS string, a *packet.Arena) (port, error) {
		return tap.Open(tap.Config{Name: "p0", NetNS: netNS, Up: true, Offload: true, Persistent: true, Arena: a})
	},
}

// newArena makes an arena that must have all buffers back when the test ends.
func newArena(t testing.TB) *packet.Arena {
	t.Helper()
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 256})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "buffers that did not come back")
		require.NoError(t, a.Close())
	})
	return a
}

// open opens p0 of a namespace; it is closed with the test.
func open(t testing.TB, driver, netNS string) (port, *packet.Arena) {
	t.Helper()
	a := newArena(t)
	p, err := drivers[driver](netNS, a)
	if errors.Is(err, afxdp.ErrNoXDP) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, a
}

// send sends a frame by queue q.
func send(t testing.TB, p port, a *packet.Arena, q int, frame []byte) {
	t.Helper()
	c := a.NewCache()
	defer c.Flush()
	b := c.Alloc()
	require.NotZero(t, b)
	a.Meta(b).Len = uint32(len(frame))
	copy(a.Frame(b), frame)
	eventually(t, "the port takes a frame", func() bool { return p.Tx(q, c, []packet.Index{b}) == 1 })
}

// ear is a packet socket that hears all that comes to a device.
type ear struct {
	t     testing.TB
	fd    int
	index int
}

const everything = uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8)

func listen(t testing.TB, ns *netnstest.NS, device string) *ear {
	t.Helper()
	info, err := netdev.Link(ns.Name, device)
	require.NoError(t, err)
	e := &ear{t: t, index: info.Index}
	require.NoError(t, ns.Do(func() (err error) {
		if e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(everything)); err != nil {
			return err
		}
		wait := unix.NsecToTimeval(int64(patience))
		return errors.Join(
			unix.Bind(e.fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: info.Index}),
			unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
			unix.SetsockoptInt(e.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		)
	}))
	t.Cleanup(func() { unix.Close(e.fd) })
	return e
}

// until returns what came before the frame.
func (e *ear) until(last []byte) (before []string) {
	e.t.Helper()
	for buf := make([]byte, 65536); ; {
		n, _, err := unix.Recvfrom(e.fd, buf, 0)
		require.NoError(e.t, err, "after %q", before)
		if string(buf[:n]) == string(last) {
			return before
		}
		before = append(before, frametext.Format(buf[:n]))
	}
}

func (e *ear) send(frame []byte) {
	e.t.Helper()
	err := unix.Sendto(e.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: e.index})
	if err == unix.ENETDOWN { // it was, as a socket says once
		err = unix.Sendto(e.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: e.index})
	}
	if err != unix.ENOBUFS { // dropped at egress
		require.NoError(e.t, err)
	}
}

func frame(t testing.TB, text string) []byte {
	t.Helper()
	f, err := frametext.Parse(text)
	require.NoError(t, err)
	return f
}

// TestHostIsSilent brings a device up by opening it, has the host's stack speak
// up, and listens in the pod. After what the host has said comes a frame of the port:
// whatever stands before it was not kept off.
func TestHostIsSilent(t *testing.T) {
	needRoot(t)
	if _, err := netdev.Sysctl("", "net/ipv6/conf/all/disable_ipv6"); err != nil {
		t.Skipf("this test needs IPv6: %v", err)
	}
	for _, row := range []struct {
		why, driver string
		queues      int
		silent      bool
	}{
		{"without a shield everybody is heard, so that the test hears", "afpacket, shared", 1, false},
		{"a packet socket's device", "afpacket", 1, true},
		{"each of its sockets may send", "afpacket, 3 queues", 3, true},
		{"an AF_XDP socket's device", "afxdp", 1, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			near, far := netnstest.New(t), netnstest.New(t)
			netnstest.Veth(t, far, "eth0", near, "p0", netnstest.VethOptions{Down: true, IPv6: true})
			require.NoError(t, netdev.DisableIPv6(far.Name, "eth0"))
			far.Up("eth0")
			near.Addr("p0", "10.9.0.1/24")
			// Without these, what follows takes seconds.
			near.Sysctl("net/ipv6/conf/p0/router_solicitation_delay", "0")
			near.Sysctl("net/ipv6/conf/p0/router_solicitations", "1")
			near.Sysctl("net/ipv4/neigh/p0/retrans_time_ms", "50")

			pod := listen(t, far, "eth0")
			stranger := listen(t, near, "p0")
			p, a := open(t, row.driver, near.Name)
			if row.silent && !strings.Contains(p.Mode(), "tcx") {
				t.Skip("this test needs tcx (Linux 6.6)")
			}
			marker := frame(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
			for _, link := range []string{"up", "up again"} {
				eventually(t, "the link is "+link, func() bool { return p.Caps().Up })
				// The address is the host's own once nobody has objected: it has asked.
				eventually(t, "IPv6 has its address", func() bool {
					addresses := near.Run("ip", "-6", "address", "show", "dev", "p0")
					return strings.Contains(addresses, "fe80::") && !strings.Contains(addresses, "tentative")
				})
				_, _, err := near.Try("ping", "-c1", "-W1", "10.9.0.2")
				require.Error(t, err, "it asks by ARP, for an address that nobody has")
				stranger.send(frame(t, "arp 10.9.0.1 who-has 10.9.0.3"))
				for q := range row.queues {
					send(t, p, a, q, marker)
				}
				heard := strings.Join(pod.until(marker), "\n")
				t.Log(heard)
				if row.silent {
					require.Empty(t, heard)
				} else {
					require.Contains(t, heard, "who-has 10.9.0.2")
					require.Contains(t, heard, "who-has 10.9.0.3")
					require.Contains(t, heard, "fe80::")
				}
				for range row.queues - 1 {
					require.Empty(t, pod.until(marker), "from the other queues")
				}
				near.Down("p0")
				eventually(t, "the link is down", func() bool { return !p.Caps().Up })
				near.Up("p0")
			}
			require.NoError(t, p.Close())
			stranger.send(marker)
			pod.until(marker) // the device is everybody's again
		})
	}
}
