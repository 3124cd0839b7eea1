package tap

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/packet"
)

// path is a file by which others find the namespace.
func (ns *namespace) path() (path string) {
	ns.t.Helper()
	ns.do(func() error { path = fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()); return nil })
	return path
}

func (ns *namespace) attrs(name string) (attrs netlink.LinkAttrs) {
	ns.t.Helper()
	ns.do(func() error {
		link, err := netlink.LinkByName(name)
		if err == nil {
			attrs = *link.Attrs()
		}
		return err
	})
	return attrs
}

// bothWays runs a test with offloads and without.
func bothWays(t *testing.T, test func(t *testing.T, offload bool)) {
	t.Helper()
	for _, offload := range []bool{true, false} {
		t.Run(map[bool]string{true: "with offloads", false: "plain"}[offload], func(t *testing.T) { test(t, offload) })
	}
}

func TestDeviceOfAContainer(t *testing.T) {
	bothWays(t, func(t *testing.T, offload bool) {
		ns := newNamespace(t)
		mac := packet.MAC{0x0a, 0x58, 10, 9, 0, 1}
		p, err := Open(Config{Name: "eth0", NetNS: ns.path(), MAC: mac, MTU: 1400, Up: true, Offload: offload})
		require.NoError(t, err)
		attrs := ns.attrs("eth0")
		require.Equal(t, mac.String(), attrs.HardwareAddr.String())
		require.Equal(t, 1400, attrs.MTU)
		require.NotZero(t, attrs.RawFlags&unix.IFF_UP)
		require.NotZero(t, attrs.RawFlags&unix.IFF_LOWER_UP, "it has a carrier")
		caps := p.Caps()
		require.True(t, caps.Up)
		require.Equal(t, 1400, caps.MTU)
		require.NoError(t, p.Close())
		_, err = ns.lookup("eth0")
		require.Error(t, err)
	})
}

func TestNamespaceFaults(t *testing.T) {
	newNamespace(t) // skips
	for _, row := range []struct {
		why, path string
	}{
		{"there is none of that name", "sl-tap-none"},
		{"its process has ended", "/proc/0/ns/net"},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := Open(Config{Name: "eth0", NetNS: row.path})
			require.ErrorIs(t, err, netdev.ErrNoNamespace)
			require.ErrorContains(t, err, "open tap eth0: ")
		})
	}
	_, err := Open(Config{Name: "eth0", NetNS: "/dev/null"})
	require.ErrorContains(t, err, "/dev/null")
}

// TestNamespaceWithoutName: whoever has the device open keeps its namespace, so
// that the port has to be closed for a container's to end.
func TestNamespaceWithoutName(t *testing.T) {
	newNamespace(t) // skips
	name := fmt.Sprintf("sl-tap-%d", unix.Getpid())
	require.NoError(t, netdev.AddNamespace(name))
	p, err := Open(Config{Name: "eth0", NetNS: name, Up: true, Offload: true})
	err = errors.Join(err, netdev.DeleteNamespace(name))
	require.NoError(t, err)
	require.True(t, p.Caps().Up)
	require.NoError(t, p.Err())
	require.NoError(t, p.Close())
}

func TestReattach(t *testing.T) {
	bothWays(t, func(t *testing.T, offload bool) {
		ns := newNamespace(t)
		cfg := Config{Name: "t0", Offload: offload, Persistent: true, Queues: 2, MAC: packet.MAC{2, 0, 0, 0, 0, 7}, MTU: 1400, Up: true}
		require.NoError(t, ns.open(cfg).Close())
		ns.quiet("t0")
		ns.address("t0", [4]byte{10, 9, 0, 1})
		before := ns.attrs("t0")
		require.NotZero(t, before.RawFlags&unix.IFF_UP)
		require.Zero(t, before.RawFlags&unix.IFF_LOWER_UP, "nobody is at the other end")

		cfg.Persistent, cfg.MAC, cfg.MTU, cfg.Up = false, packet.MAC{}, 0, false // all is as it should be
		p := ns.open(cfg)
		after := ns.attrs("t0")
		require.Equal(t, before.Index, after.Index)
		require.Equal(t, "02:00:00:00:00:07", after.HardwareAddr.String())
		require.Equal(t, 1400, p.Caps().MTU)
		require.True(t, p.Caps().Up)
		u := newUser(t, p, packet.ArenaConfig{Buffers: 64, Supers: 2})
		u.ask("t0", ns)
		require.NoError(t, p.Close())
		require.Equal(t, before.Index, ns.attrs("t0").Index, "what was there stays")
	})
}

// ask sends an ARP request and expects the kernel's answer.
func (u *user) ask(name string, ns *namespace) {
	u.t.Helper()
	for range 100 {
		// The carrier of a device that is up works a moment after it is told so.
		u.send("arp 10.9.0.2 who-has 10.9.0.1")
		fds := []unix.PollFd{{Fd: int32(u.p.FD(0)), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 100); n > 0 && err == nil {
			break
		}
	}
	u.expect("arp 10.9.0.1 is-at " + ns.mac(name) + " to 10.9.0.2")
}

func TestDeviceComesBack(t *testing.T) {
	bothWays(t, func(t *testing.T, offload bool) {
		ns := newNamespace(t)
		cfg := Config{Name: "t0", Offload: offload, Up: true}
		first := ns.open(cfg)
		ns.remove("t0")
		require.False(t, first.Caps().Up)
		require.ErrorContains(t, first.Err(), "the device was removed")
		second := ns.open(cfg)
		ns.quiet("t0")
		ns.address("t0", [4]byte{10, 9, 0, 1})
		newUser(t, second, packet.ArenaConfig{Buffers: 64, Supers: 2}).ask("t0", ns)
		require.Error(t, first.Err(), "the old port does not come to life again")
		require.Zero(t, first.Counters().Received)
	})
}

func TestWhatTheLastUserSetIsUndone(t *testing.T) {
	for _, row := range []struct {
		why      string
		flags    uint16
		settings []setting // by value
		pointed  []setting // by pointer
	}{
		{"a device without headers gets them", plainTAP, nil, nil},
		{"headers were longer", plainTAP | unix.IFF_VNET_HDR, nil, []setting{{unix.TUNSETVNETHDRSZ, 12}}},
		{"their byte order was chosen", plainTAP | unix.IFF_VNET_HDR, nil, []setting{{unix.TUNSETVNETLE, 1}}},
		{"the send buffer was short", plainTAP, nil, []setting{{unix.TUNSETSNDBUF, 1}}},
		{"there was no carrier", plainTAP, nil, []setting{{unix.TUNSETCARRIER, 0}}},
		{"super-frames were asked for", plainTAP | unix.IFF_VNET_HDR, []setting{{unix.TUNSETOFFLOAD, unix.TUN_F_CSUM | unix.TUN_F_TSO4}}, nil},
	} {
		t.Run(row.why, func(t *testing.T) {
			bothWays(t, func(t *testing.T, offload bool) {
				ns := newNamespace(t)
				fd := ns.make("t0", row.flags, append(row.settings, setting{unix.TUNSETPERSIST, 1}))
				for _, s := range row.pointed {
					require.NoError(t, unix.IoctlSetPointerInt(fd, s.req, s.value))
				}
				require.NoError(t, unix.Close(fd))
				p := ns.open(Config{Name: "t0", Offload: offload, Up: true})
				require.Equal(t, offload, p.Caps().GSO)
				require.Equal(t, offload, p.Caps().CsumPartial)
				ns.quiet("t0")
				ns.address("t0", [4]byte{10, 9, 0, 1})
				u := newUser(t, p, packet.ArenaConfig{Buffers: 64, Supers: 2})
				u.ask("t0", ns)
				require.True(t, p.Caps().Up, "there is room to send")
			})
		})
	}
}

func TestMode(t *testing.T) {
	newArena := func(cfg packet.ArenaConfig) *packet.Arena {
		a, err := packet.NewArena(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, a.Close()) })
		return a
	}
	ns := newNamespace(t)
	for _, row := range []struct {
		why  string
		cfg  Config
		want string
	}{
		{"plain", Config{}, "plain, no offloads; 1 queue"},
		{"plain queues", Config{Queues: 2}, "plain, no offloads; 2 queues"},
		{"all that a kernel of today has", Config{Offload: true, Queues: 2}, "vnet_hdr: csum, TSO, USO; 2 queues"},
		{
			"an arena with room for super-frames",
			Config{Offload: true, Arena: newArena(packet.ArenaConfig{Buffers: 16, Supers: 1})},
			"vnet_hdr: csum, TSO, USO; 1 queue",
		},
		{
			"an arena without",
			Config{Offload: true, Arena: newArena(packet.ArenaConfig{Buffers: 16})},
			"vnet_hdr: csum (no TSO: the arena has no buffers for super-frames); 1 queue",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			p := ns.open(row.cfg)
			if p.offers == "csum, TSO (no USO: that needs kernel 6.2)" {
				t.Skip("this kernel has no USO")
			}
			require.Equal(t, row.want, p.Mode())
			require.NoError(t, p.Close())
		})
	}
}

func TestNegotiate(t *testing.T) {
	const all = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6
	for _, row := range []struct {
		why    string
		known  int // features that the kernel has
		supers bool
		want   string
		fails  bool
	}{
		{"a kernel that knows all", all, true, "csum, TSO, USO", false},
		{"one before 6.2", all &^ (unix.TUN_F_USO4 | unix.TUN_F_USO6), true, "csum, TSO (no USO: that needs kernel 6.2)", false},
		{"one that knows checksums", unix.TUN_F_CSUM, true, "csum (no TSO: the kernel refuses it)", false},
		{"one that knows none", 0, true, "", true},
		{"no room for super-frames", all, false, "csum (no TSO: the arena has no buffers for super-frames)", false},
	} {
		t.Run(row.why, func(t *testing.T) {
			agreed, err := negotiate(row.supers, func(features int) error {
				if features&^row.known != 0 {
					return unix.EINVAL
				}
				return nil
			})
			require.Equal(t, row.want, agreed)
			require.Equal(t, row.fails, err != nil)
		})
	}
	tries := 0
	_, err := negotiate(true, func(int) error { tries++; return unix.EBADFD })
	require.ErrorIs(t, err, unix.EBADFD)
	require.Equal(t, 1, tries, "a device that is gone refuses everything")
}
