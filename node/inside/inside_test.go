package inside

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/tap"
)

const firstScope, secondScope = 1<<24 + 1, 1<<24 + 2

// open makes a network with the devices of two routers, which nobody polls.
func open(t *testing.T) (*Network, *packet.Arena) {
	t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 64})
	require.NoError(t, err)
	n := New()
	t.Cleanup(func() { n.Close(); require.NoError(t, arena.Close()) })
	for _, scope := range []uint32{firstScope, secondScope} {
		device := openDevice(t, n, arena, scope)
		t.Cleanup(func() { require.NoError(t, device.Close()) })
	}
	return n, arena
}

func openDevice(t *testing.T, n *Network, a *packet.Arena, scope uint32) *tap.Port {
	t.Helper()
	p, err := n.Open(a, &control.Port{Name: "inside", MTU: 1400, Device: control.Device{
		Type: control.DeviceInside, Name: control.InsideDevice(scope), Queues: 1, Offload: true,
	}})
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, os.ErrNotExist) {
		t.Skipf("this test needs network namespaces and TAPs: %v", err)
	}
	require.NoError(t, err)
	return p
}

func TestEachRouterHasItsDevice(t *testing.T) {
	before, err := netdev.NamespaceID("")
	require.NoError(t, err)
	n, _ := open(t)
	require.NoError(t, n.Do(func() error {
		for _, scope := range []uint32{firstScope, secondScope} {
			link, err := netlink.LinkByName(control.InsideDevice(scope))
			if err != nil {
				return err
			}
			require.Equal(t, 1400, link.Attrs().MTU)
			require.Equal(t, control.InsideHostMAC(), packet.MAC(link.Attrs().HardwareAddr))
			addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			require.Len(t, addresses, 1)
			require.Equal(t, control.InsideHost()[0].String(), addresses[0].IPNet.String())
			neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			require.Len(t, neighbours, 1)
			require.Equal(t, netlink.NUD_PERMANENT, neighbours[0].State)
		}
		inside, err := netdev.NamespaceID("")
		require.NotEqual(t, before, inside)
		return err
	}))
	after, err := netdev.NamespaceID("")
	require.NoError(t, err)
	require.Equal(t, before, after)
	link, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	own, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)
	require.Equal(t, own, link, "the process is where it was")
	_, err = netdev.Link("", control.InsideDevice(firstScope))
	require.ErrorIs(t, err, netdev.ErrNoDevice, "nothing of it is to be seen outside")
}

func TestDialsGoByTheirRouter(t *testing.T) {
	n, _ := open(t)
	to := netip.MustParseAddrPort("10.1.2.3:80")
	for _, row := range []struct {
		why, network string
		to           netip.AddrPort
		scope        uint32
		want         string
	}{
		{"nobody answers", "tcp", to, firstScope, "deadline"},
		{"nor by IPv6", "tcp", netip.MustParseAddrPort("[2001:db8::1]:80"), secondScope, "deadline"},
		{"a router that has no device", "tcp", to, 1<<24 + 9, "the node's own port of this router (device inside9) is not open"},
		{"likewise for pings", "icmp", to, 1<<24 + 9, "the node's own port of this router (device inside9) is not open"},
		{"UDP asks nobody", "udp", to, firstScope, ""},
		{"a ping's connection is none", "icmp", to, secondScope, ""},
		{"another network", "sctp", to, firstScope, `network "sctp": want tcp, udp or icmp`},
	} {
		t.Run(row.why, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			c, err := n.Dial(ctx, row.scope, row.network, row.to)
			switch row.want {
			case "":
				require.NoError(t, err)
				require.NoError(t, c.Close())
			case "deadline":
				require.ErrorIs(t, err, context.DeadlineExceeded)
			default:
				require.ErrorContains(t, err, row.want)
			}
		})
	}
}

func TestDialIsAConnectionOfNet(t *testing.T) {
	n, _ := open(t)
	l, err := n.Listen(firstScope, 8080)
	require.NoError(t, err)
	defer l.Close()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var own net.Listener
	require.NoError(t, n.Do(func() (err error) { own, err = net.Listen("tcp", "192.0.0.2:9090"); return err }))
	defer own.Close()
	go func() {
		if c, err := own.Accept(); err == nil {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	c, err := n.Dial(ctx, firstScope, "tcp", netip.MustParseAddrPort("192.0.0.2:9090"))
	require.NoError(t, err)
	defer c.Close()
	require.IsType(t, &net.TCPConn{}, c)
	b := make([]byte, 10)
	k, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b[:k]))
	_, err = n.Dial(ctx, firstScope, "tcp", netip.MustParseAddrPort("192.0.0.2:9091"))
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}

func TestListenersEndWithTheirDevice(t *testing.T) {
	n := New()
	defer n.Close()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 64})
	require.NoError(t, err)
	defer arena.Close()
	device := openDevice(t, n, arena, firstScope)
	l, err := n.Listen(firstScope, 8080)
	require.NoError(t, err)
	ended := make(chan error)
	go func() { _, err := l.Accept(); ended <- err }()
	require.NoError(t, device.Close())
	device = openDevice(t, n, arena, firstScope)
	defer device.Close()
	require.ErrorIs(t, <-ended, net.ErrClosed, "it could not hear any more")
	l, err = n.Listen(firstScope, 8080)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestClosed(t *testing.T) {
	n := New()
	n.Close()
	n.Close()
	require.ErrorIs(t, n.Do(func() error { return nil }), ErrClosed)
	_, err := n.Dial(t.Context(), firstScope, "tcp", netip.MustParseAddrPort("10.0.0.1:1"))
	require.ErrorIs(t, err, ErrClosed)
	_, err = n.Listen(firstScope, 1)
	require.ErrorIs(t, err, ErrClosed)
}
