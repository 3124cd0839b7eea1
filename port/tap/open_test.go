package tap

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

func TestConfigFaults(t *testing.T) {
	for _, row := range []struct {
		why  string
		cfg  Config
		want string
	}{
		{"the kernel would cut a longer name", Config{Name: "sixteen-bytes-xx"}, `tap: name "sixteen-bytes-xx" has 16 bytes: want at most 15`},
		{"bytes count, not letters", Config{Name: "öööööööö"}, `tap: name "öööööööö" has 16 bytes: want at most 15`},
		{"a name is a folder in /sys", Config{Name: "a/b"}, `tap: name "a/b": want it without blanks and / : %`},
		{"so are the dots", Config{Name: ".."}, `tap: name "..": want another, it would be a folder in /sys`},
		{"a colon was an alias once", Config{Name: "eth0:1"}, `tap: name "eth0:1": want it without blanks and / : %`},
		{"a percent sign is a pattern to the kernel", Config{Name: "tap%d"}, `tap: name "tap%d": want it without blanks and / : %`},
		{"the kernel takes a byte of this letter for a blank", Config{Name: "à"}, `tap: name "à": want it without blanks and / : %`},
		{"a zero byte would end the name early", Config{Name: "a\x00b"}, `tap: name "a\x00b": want it without blanks and / : %`},
		{"queues can't be fewer than none", Config{Queues: -1}, "tap: -1 queues: want 1 to 256"},
		{"the kernel has an array of them", Config{Queues: 257}, "tap: 257 queues: want 1 to 256"},
		{"a group's address belongs to no interface", Config{MAC: packet.MAC{3}}, "tap: MAC address 03:00:00:00:00:00 is a group's: want one whose first byte is even, as 02:00:00:00:00:01"},
		{"IPv4 needs 68 bytes", Config{MTU: 67}, "tap: MTU 67: want 68 to 65521"},
		{"a frame's length has 16 bits", Config{MTU: 65522}, "tap: MTU 65522: want 68 to 65521"},
		{
			"all faults are told at once",
			Config{Name: "a b", Queues: 300, MTU: -1},
			"tap: name \"a b\": want it without blanks and / : %\ntap: 300 queues: want 1 to 256\ntap: MTU -1: want 68 to 65521",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			p, err := Open(row.cfg)
			require.Nil(t, p)
			require.EqualError(t, err, row.want)
		})
	}
}

func TestConfigsWithoutFault(t *testing.T) {
	for _, row := range []struct {
		why string
		cfg Config
	}{
		{"all is default", Config{}},
		{"the longest name", Config{Name: "fifteen-bytes-x"}},
		{"the largest of all", Config{Name: "t", Queues: 256, MTU: 65521}},
		{"the smallest of all", Config{Name: "t", Queues: 1, MTU: 68}},
	} {
		t.Run(row.why, func(t *testing.T) { require.NoError(t, row.cfg.validate()) })
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, row := range []struct {
		why     string
		explain func(error) error
		errno   unix.Errno
		want    string
	}{
		{"the device file is missing", explainOpen, unix.ENOENT, "modprobe tun"},
		{"or a container was not given it", explainOpen, unix.ENOENT, "--device /dev/net/tun"},
		{"the file is there, the driver is not", explainOpen, unix.ENODEV, "modprobe tun"},
		{"the file is not for us", explainOpen, unix.EACCES, "run as root"},
		{"nor for the container", explainOpen, unix.EPERM, "--device /dev/net/tun"},
		{"no capability", explain, unix.EPERM, "CAP_NET_ADMIN"},
		{"the device is in use", explain, unix.EBUSY, "choose another name"},
		{"too many queues", explain, unix.E2BIG, "ask for fewer"},
		{"any other errno speaks for itself", explain, unix.ENOMEM, "cannot allocate memory"},
		{"on both ways", explainOpen, unix.EMFILE, "too many open files"},
	} {
		t.Run(row.why, func(t *testing.T) {
			err := row.explain(row.errno)
			require.ErrorContains(t, err, row.want)
			require.ErrorIs(t, err, row.errno)
		})
	}
}

// hold opens a device by hand, with the flags given and any settings, until
// the test ends.
func (ns *namespace) hold(name string, flags uint16, settings ...setting) {
	ns.t.Helper()
	fd := ns.make(name, flags, settings)
	ns.t.Cleanup(func() { unix.Close(fd) })
}

// leave makes a persistent device with flags and settings, and lets go of it.
func (ns *namespace) leave(name string, flags uint16, settings ...setting) {
	ns.t.Helper()
	fd := ns.make(name, flags, append(settings, setting{unix.TUNSETPERSIST, 1}))
	require.NoError(ns.t, unix.Close(fd))
}

// setting is an ioctl of a TUN descriptor.
type setting struct {
	req   uint
	value int
}

func (ns *namespace) make(name string, flags uint16, settings []setting) (fd int) {
	ns.t.Helper()
	ns.do(func() (err error) {
		if fd, err = unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ifr.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		for _, s := range settings {
			err = errors.Join(err, unix.IoctlSetInt(fd, s.req, s.value))
		}
		return err
	})
	return fd
}

const plainTAP = unix.IFF_TAP | unix.IFF_NO_PI

// dropCapability takes CAP_NET_ADMIN from the calling thread.
func dropCapability() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	return unix.Capset(&header, &sets[0])
}

func TestKernelRefusals(t *testing.T) {
	unprivileged := func(ns *namespace) { ns.do(dropCapability) }
	for _, row := range []struct {
		why     string
		prepare func(ns *namespace)
		cfg     Config
		want    string
	}{
		{
			"lo is no TAP", func(*namespace) {},
			Config{Name: "lo"},
			"open tap lo: the name belongs to an interface that is no TAP: choose another name",
		},
		{
			"a TUN device has packets, not frames", func(ns *namespace) { ns.hold("t0", unix.IFF_TUN) },
			Config{Name: "t0"},
			"open tap t0: the name belongs to a TUN device",
		},
		{
			"a bridge has the name",
			func(ns *namespace) {
				if err := ns.ioctl(unix.SIOCBRADDBR, "t0", nil); err != nil {
					ns.t.Skipf("no bridges in this kernel: %v", err)
				}
			},
			Config{Name: "t0"},
			"open tap t0: the name belongs to an interface of kind bridge: choose another name",
		},
		{
			"another program reads it", func(ns *namespace) { ns.hold("t0", plainTAP) },
			Config{Name: "t0"},
			"open tap t0: another program, or another port of this one, has it open",
		},
		{
			"another program reads a queue of several, and would get a part of the frames",
			func(ns *namespace) { ns.hold("t0", plainTAP|unix.IFF_MULTI_QUEUE) },
			Config{Name: "t0", Queues: 2},
			"open tap t0: another program, or another port of this one, has it open",
		},
		{
			"a device of one queue has one", func(ns *namespace) { ns.leave("t0", plainTAP) },
			Config{Name: "t0", Queues: 2},
			"open tap t0: it was made for one queue: ask for one, or make it anew",
		},
		{
			"no right to make one", unprivileged,
			Config{Name: "t0"},
			"open tap t0: no right to make or change network devices: run as root or give the program CAP_NET_ADMIN",
		},
		{
			"nor one of any name", unprivileged,
			Config{},
			"make a tap: no right to make or change network devices",
		},
		{
			"no right to open somebody's",
			func(ns *namespace) { ns.leave("t0", plainTAP, setting{unix.TUNSETOWNER, 12345}); unprivileged(ns) },
			Config{Name: "t0"},
			"open tap t0: no right to make or change network devices",
		},
		{
			"no right to bring it up",
			func(ns *namespace) { ns.leave("t0", plainTAP); unprivileged(ns) },
			Config{Name: "t0", Up: true},
			"open tap t0: bring it up: no right to make or change network devices",
		},
		{
			"no device file",
			func(ns *namespace) {
				ns.do(func() error {
					return errors.Join(
						unix.Unshare(unix.CLONE_NEWNS),
						unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
						unix.Mount("none", "/dev/net", "tmpfs", 0, ""),
					)
				})
			},
			Config{Name: "t0"},
			"open tap t0: /dev/net/tun is missing: load the driver (modprobe tun)",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			ns := newNamespace(t)
			row.prepare(ns)
			before := descriptors(t)
			for _, offload := range []bool{false, true, false, true} {
				row.cfg.Offload = offload
				var p *Port
				err := ns.try(func() (err error) { p, err = Open(row.cfg); return err })
				require.Nil(t, p)
				require.ErrorContains(t, err, row.want)
			}
			require.Equal(t, before, descriptors(t), "a refusal leaves a descriptor open")
		})
	}
}

// descriptors says what the process has open: devices, sockets, files and how
// many of each.
func descriptors(t testing.TB) map[string]int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	open := map[string]int{}
	for _, e := range entries {
		// One that is gone is the folder's own.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			kind, _, _ := strings.Cut(target, ":")
			open[kind]++
		}
	}
	return open
}

func TestOpenAndClose(t *testing.T) {
	for _, row := range []struct {
		why    string
		before func(*namespace) // makes the device; nil: there is none
		cfg    Config
		queues int
		stays  bool // after Close
	}{
		{"a new device goes with the port", nil, Config{Name: "t0"}, 1, false},
		{"a persistent one stays", nil, Config{Name: "t0", Persistent: true}, 1, true},
		{"a new device with queues", nil, Config{Name: "t0", Queues: 3}, 3, false},
		{"what others have made stays", func(ns *namespace) { ns.leave("t0", plainTAP) }, Config{Name: "t0"}, 1, true},
		{
			"a device that was made for several queues may be opened with one",
			func(ns *namespace) { ns.leave("t0", plainTAP|unix.IFF_MULTI_QUEUE) },
			Config{Name: "t0"},
			1, true,
		},
		{"or with more than before", func(ns *namespace) { ns.leave("t0", plainTAP|unix.IFF_MULTI_QUEUE) }, Config{Name: "t0", Queues: 4}, 4, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			ns := newNamespace(t)
			if row.before != nil {
				row.before(ns)
			}
			row.cfg.MTU, row.cfg.Up = 1400, true
			p := ns.open(row.cfg)
			require.Equal(t, "t0", p.Name())
			caps := p.Caps()
			require.Equal(t, row.queues, caps.Queues)
			require.Equal(t, 1400, caps.MTU)
			require.True(t, caps.Up)
			require.False(t, caps.GSO || caps.CsumPartial)
			for q := range row.queues {
				flags, err := unix.FcntlInt(uintptr(p.FD(q)), unix.F_GETFL, 0)
				require.NoError(t, err)
				require.NotZero(t, flags&unix.O_NONBLOCK, "a read would wait")
				flags, err = unix.FcntlInt(uintptr(p.FD(q)), unix.F_GETFD, 0)
				require.NoError(t, err)
				require.NotZero(t, flags&unix.FD_CLOEXEC, "children would hold the device")
			}
			require.Equal(t, -1, p.FD(row.queues))
			require.Equal(t, -1, p.FD(-1))

			require.NoError(t, p.Close())
			require.NoError(t, p.Close(), "closed twice")
			require.NoError(t, p.Err(), "to be closed is no fault")
			require.Equal(t, -1, p.FD(0))
			require.False(t, p.Caps().Up)
			_, err := ns.lookup("t0")
			require.Equal(t, row.stays, err == nil, "%v", err)
		})
	}
}

func TestNamesAreThoseOfTheKernel(t *testing.T) {
	ns := newNamespace(t)
	ns.leave("t0", plainTAP)
	last := "t0"
	for _, name := range []string{"a b", "a\tb", "a\nb", "a\vb", "a\fb", "a\rb", "a/b", "a:b", "à", "ä", "a\x01b", "a\x7fb", ".", "..", "...", "-a", "a,b;c"} {
		err := ns.tryRename(last, name)
		require.Equal(t, err == nil, validateName(name) == nil, "%q: %v", name, err)
		if err == nil {
			last = name
		}
	}
}

func TestKernelNamesTheDevice(t *testing.T) {
	ns := newNamespace(t)
	require.Equal(t, "tap0", ns.open(Config{}).Name())
	require.Equal(t, "tap1", ns.open(Config{Queues: 2}).Name())
}

func TestFailedOpenLeavesNothing(t *testing.T) {
	ns := newNamespace(t)
	before := descriptors(t)
	err := ns.try(func() error {
		_, err := open(Config{Name: "t0", Queues: 2, MTU: maxMTU + 1, Persistent: true})
		return err
	})
	require.ErrorContains(t, err, "set MTU 65522: invalid argument")
	require.Equal(t, before, descriptors(t))
	_, err = ns.lookup("t0")
	require.Error(t, err, "it was made persistent")
}

func TestOffloadsOfTheLastUserAreTurnedOff(t *testing.T) {
	ns := newNamespace(t)
	ns.leave("t0", plainTAP|unix.IFF_VNET_HDR, setting{unix.TUNSETOFFLOAD, unix.TUN_F_CSUM | unix.TUN_F_TSO4})
	p := ns.open(Config{Name: "t0", Up: true})
	ns.quiet("t0")
	ns.address("t0", [4]byte{10, 9, 0, 1})
	u := newUser(t, p, packet.ArenaConfig{Buffers: 64})
	mac := ns.mac("t0")
	u.send("arp 10.9.0.2 who-has 10.9.0.1")
	u.expect("arp 10.9.0.1 is-at " + mac + " to 10.9.0.2")
	ns.do(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		if err := unix.Bind(s, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 9, 0, 1}}); err != nil {
			return err
		}
		return unix.Sendto(s, []byte("hello"), 0, &unix.SockaddrInet4{Port: 53, Addr: [4]byte{10, 9, 0, 2}})
	})
	for _, f := range u.receive(1) {
		text := frametext.Format(f)
		require.Contains(t, text, "udp 10.9.0.1:9 > 10.9.0.2:53")
		require.NotContains(t, text, "csum", "the checksum is left to us")
		require.NotContains(t, text, "partial")
	}
}

func (ns *namespace) mac(name string) string {
	ns.t.Helper()
	i, err := ns.lookup(name)
	require.NoError(ns.t, err)
	return i.HardwareAddr.String()
}

func TestNothingLeaks(t *testing.T) {
	ns := newNamespace(t)
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	for i := range 200 {
		ns.do(func() error {
			p, err := Open(Config{Name: fmt.Sprintf("t%d", i%3), Queues: 1 + i%2, Up: true, Offload: i%4 < 2})
			if err != nil {
				return err
			}
			p.Caps()
			p.Counters()
			return p.Close()
		})
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	require.Equal(t, fds, descriptors(t))
}
