// Package netnstest gives tests network namespaces of their own, with devices
// and programs in them, and takes all of it away when the test ends.
//
//	a, b := netnstest.New(t), netnstest.New(t)
//	netnstest.Veth(t, a, "eth0", b, "eth0", netnstest.VethOptions{})
//	a.Addr("eth0", "10.0.0.1/24")
//	b.Addr("eth0", "10.0.0.2/24")
//	a.Run("ping", "-c1", "10.0.0.2")
package netnstest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
)

// prefix begins the names of all namespaces of tests. A name is prefix, the
// process, and a number: sl-4711-1.
const prefix = "sl-"

// NS is a network namespace of a test. Its methods end the test on an error, but
// for Do; they must be called from the test's goroutine.
type NS struct {
	Name string // as of `ip netns`
	t    testing.TB
}

// made counts the namespaces of this process, so that names differ.
var made atomic.Int64

// New makes a network namespace with its loopback device up, and removes it when
// the test ends. The test is skipped where that is not possible.
func New(t testing.TB) *NS {
	t.Helper()
	name := fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), made.Add(1))
	if err := netdev.AddNamespace(name); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
			t.Skipf("this test needs network namespaces: %v", err)
		}
		t.Fatal(err)
	}
	ns := &NS{Name: name, t: t}
	t.Cleanup(func() {
		if err := netdev.DeleteNamespace(name); err != nil && !errors.Is(err, netdev.ErrNoNamespace) {
			t.Error(err)
		}
	})
	ns.Up("lo")
	return ns
}

// Do runs f on a thread in the namespace and returns its error (netdev.In).
func (ns *NS) Do(f func() error) error { return netdev.In(ns.Name, f) }

// VethOptions are of a pair of devices; the zero value is the kernel's choice.
type VethOptions struct {
	MTU    int
	Queues int // of both ends, receive and transmit
	MACA   string
	MACB   string

	Down bool // leaves both ends down; else they are up, and have carrier when Veth returns
	IPv6 bool // leaves IPv6 enabled; else nothing but the test's own frames are on the wire
}

// Veth makes a pair of devices, nameA in a and nameB in b, where a nil namespace
// is the process's own. They go with their namespaces. A device of the own
// namespace is removed when the test ends.
func Veth(t testing.TB, a *NS, nameA string, b *NS, nameB string, o VethOptions) {
	t.Helper()
	v := netdev.Veth{
		A:   netdev.VethEnd{NetNS: a.name(), Name: nameA, MAC: mac(t, o.MACA)},
		B:   netdev.VethEnd{NetNS: b.name(), Name: nameB, MAC: mac(t, o.MACB)},
		MTU: o.MTU, Queues: o.Queues,
	}
	require.NoError(t, netdev.CreateVeth(v))
	if a == nil || b == nil {
		end := v.A
		if b == nil {
			end = v.B
		}
		t.Cleanup(func() {
			if err := netdev.Delete(end.NetNS, end.Name); err != nil && !errors.Is(err, netdev.ErrNoDevice) {
				t.Error(err)
			}
		})
	}
	for _, end := range []netdev.VethEnd{v.A, v.B} {
		if !o.IPv6 {
			require.NoError(t, netdev.DisableIPv6(end.NetNS, end.Name))
		}
		if !o.Down {
			require.NoError(t, netdev.SetUp(end.NetNS, end.Name, true))
		}
	}
}

func (ns *NS) name() string {
	if ns == nil {
		return ""
	}
	return ns.Name
}

func mac(t testing.TB, text string) net.HardwareAddr {
	t.Helper()
	if text == "" {
		return nil
	}
	m, err := net.ParseMAC(text)
	require.NoError(t, err)
	return m
}

// Addr gives the namespace an address on a device: "10.0.0.1/24". IPv6 is
// enabled on the device by an address of IPv6.
func (ns *NS) Addr(device, prefix string) {
	ns.t.Helper()
	p, err := netip.ParsePrefix(prefix)
	require.NoError(ns.t, err)
	if p.Addr().Is6() {
		ns.Sysctl("net/ipv6/conf/"+device+"/disable_ipv6", "0")
	}
	require.NoError(ns.t, netdev.AddAddress(ns.Name, device, p))
}

// Route adds a route by way of a router: "0.0.0.0/0", "10.0.0.254".
func (ns *NS) Route(to, via string) {
	ns.t.Helper()
	p, err := netip.ParsePrefix(to)
	require.NoError(ns.t, err)
	router, err := netip.ParseAddr(via)
	require.NoError(ns.t, err)
	require.NoError(ns.t, netdev.AddRoute(ns.Name, netdev.Route{To: p, Via: router}))
}

// Up sets a device up.
func (ns *NS) Up(device string) {
	ns.t.Helper()
	require.NoError(ns.t, netdev.SetUp(ns.Name, device, true))
}

// Down sets a device down.
func (ns *NS) Down(device string) {
	ns.t.Helper()
	require.NoError(ns.t, netdev.SetUp(ns.Name, device, false))
}

// MTU sets a device's MTU.
func (ns *NS) MTU(device string, mtu int) {
	ns.t.Helper()
	require.NoError(ns.t, netdev.SetMTU(ns.Name, device, mtu))
}

// Delete removes a device, and the other end of a pair.
func (ns *NS) Delete(device string) {
	ns.t.Helper()
	require.NoError(ns.t, netdev.Delete(ns.Name, device))
}

// Features turns ethtool features of a device on or off (netdev.SetFeatures).
func (ns *NS) Features(device string, on bool, names ...string) {
	ns.t.Helper()
	want := map[string]bool{}
	for _, name := range names {
		want[name] = on
	}
	require.NoError(ns.t, netdev.SetFeatures(ns.Name, device, want))
}

// Sysctl changes a setting of the namespace: "net/ipv4/ip_forward", "1".
func (ns *NS) Sysctl(path, value string) {
	ns.t.Helper()
	require.NoError(ns.t, netdev.SetSysctl(ns.Name, path, value))
}

// Counters are what the kernel has counted of a device.
type Counters struct {
	RxPackets, RxBytes, RxErrors, RxDropped uint64
	TxPackets, TxBytes, TxErrors, TxDropped uint64
}

// Counters returns the counters of a device. They are of the device, so what a
// port has sent out of one end of a pair, the other has received.
func (ns *NS) Counters(device string) (c Counters) {
	ns.t.Helper()
	// /sys shows the namespace it was mounted in, /proc that of who asks.
	err := ns.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			name, values, found := strings.Cut(line, ":")
			if !found || strings.TrimSpace(name) != device {
				continue
			}
			f := strings.Fields(values)
			if len(f) < 12 {
				return fmt.Errorf("too few counters: %s", line)
			}
			for i, p := range []*uint64{
				0: &c.RxBytes, 1: &c.RxPackets, 2: &c.RxErrors, 3: &c.RxDropped,
				8: &c.TxBytes, 9: &c.TxPackets, 10: &c.TxErrors, 11: &c.TxDropped,
			} {
				if p == nil {
					continue
				}
				if *p, err = strconv.ParseUint(f[i], 10, 64); err != nil {
					return err
				}
			}
			return nil
		}
		return fmt.Errorf("%w: %s", netdev.ErrNoDevice, device)
	})
	require.NoError(ns.t, err)
	return c
}

// Leftovers returns the names of namespaces of tests whose process has ended,
// which only happens to one that was killed.
func Leftovers() (names []string) {
	all, _ := netdev.ListNamespaces()
	for _, name := range all {
		rest, found := strings.CutPrefix(name, prefix)
		pid, _, two := strings.Cut(rest, "-")
		if _, err := strconv.Atoi(pid); !found || !two || err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join("/proc", pid)); errors.Is(err, os.ErrNotExist) {
			names = append(names, name)
		}
	}
	return names
}
