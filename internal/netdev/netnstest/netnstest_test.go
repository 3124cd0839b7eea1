package netnstest_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// Two namespaces, a pair between them, and a ping: what most tests begin with.
func TestPair(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	require.NotEqual(t, a.Name, b.Name)
	netnstest.Veth(t, a, "eth0", b, "eth0", netnstest.VethOptions{MTU: 1400, Queues: 2, MACA: "02:00:00:00:00:0a", MACB: "02:00:00:00:00:0b"})
	for mac, ns := range map[string]*netnstest.NS{"02:00:00:00:00:0a": a, "02:00:00:00:00:0b": b} {
		info, err := netdev.Link(ns.Name, "eth0")
		require.NoError(t, err)
		require.Equal(t, "veth", info.Kind)
		require.Equal(t, mac, info.MAC.String())
		require.Equal(t, 1400, info.MTU)
		require.Equal(t, [2]int{2, 2}, [2]int{info.RxQueues, info.TxQueues})
		require.True(t, info.Up && info.Carrier)
	}
	require.Zero(t, a.Counters("eth0"), "with IPv6 off, nothing is sent that the test does not send")
	a.Addr("eth0", "10.0.0.1/24")
	b.Addr("eth0", "10.0.0.2/24")
	require.Contains(t, a.Run("ping", "-c1", "-W5", "10.0.0.2"), "1 received")
	sent, got := a.Counters("eth0"), b.Counters("eth0")
	require.NotZero(t, sent.TxPackets)
	require.GreaterOrEqual(t, got.RxPackets, sent.TxPackets)

	a.Addr("eth0", "fd00::1/64")
	b.Addr("eth0", "fd00::2/64")
	require.Contains(t, a.Run("ping", "-6", "-c1", "-W5", "fd00::2"), "1 received")

	a.Delete("eth0")
	_, err := netdev.Link(b.Name, "eth0")
	require.ErrorIs(t, err, netdev.ErrNoDevice)
}

func TestOwnNamespace(t *testing.T) {
	a := netnstest.New(t)
	name := strings.ReplaceAll(a.Name, "-", "")
	t.Run("a pair with an end in the process's own namespace", func(t *testing.T) {
		netnstest.Veth(t, a, "eth0", nil, name, netnstest.VethOptions{Down: true})
		info, err := netdev.Link("", name)
		require.NoError(t, err)
		require.False(t, info.Up)
	})
	_, err := netdev.Link("", name)
	require.ErrorIs(t, err, netdev.ErrNoDevice)
}

func TestNamespaceEndsWithTheTest(t *testing.T) {
	var name string
	var pid int
	t.Run("inner", func(t *testing.T) {
		ns := netnstest.New(t)
		name = ns.Name
		own, err := netdev.NamespaceID("")
		require.NoError(t, err)
		require.NoError(t, ns.Do(func() error {
			id, err := netdev.NamespaceID("")
			require.NotEqual(t, own, id)
			return err
		}))
		// The child of the program holds its output open, and must go too.
		p := ns.Start("sh", "-c", "echo on; sleep 1000 & sleep 1000")
		require.Eventually(t, func() bool { return p.Output() == "on\n" }, waitLimit, pollEvery)
		pid = p.PID()
	})
	if pid == 0 {
		t.Skip("the inner test was skipped")
	}
	// The last of the group is for the machine's first process to bury.
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }, waitLimit, pollEvery)
	_, err := netdev.NamespaceID(name)
	require.ErrorIs(t, err, netdev.ErrNoNamespace)
}

func TestPrograms(t *testing.T) {
	ns := netnstest.New(t)
	require.Equal(t, "lo\n", ns.Run("sh", "-c", "ip -br link | cut -d' ' -f1"))
	_, stderr, err := ns.Try("sh", "-c", "echo why >&2; exit 3")
	require.Equal(t, "why\n", stderr)
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok)
	require.Equal(t, 3, exit.ExitCode())
	p := ns.Start("sh", "-c", "echo one; exit 4")
	require.ErrorContains(t, p.Wait(), "exit status 4")
	require.Equal(t, "one\n", p.Output())
	require.False(t, t.Run("a program that is missing skips the test", func(t *testing.T) {
		netnstest.New(t).Run("no-such-program-anywhere")
		t.Error("it went on")
	}) && t.Failed())
}

func TestLeftovers(t *testing.T) {
	ns := netnstest.New(t)
	require.NotContains(t, netnstest.Leftovers(), ns.Name, "this process lives")
	// No process has a number beyond the kernel's limit of 2^22.
	stale := "sl-4194399-1"
	require.NoError(t, netdev.AddNamespace(stale))
	defer netdev.DeleteNamespace(stale) //nolint:errcheck // it may have been deleted
	require.Contains(t, netnstest.Leftovers(), stale)
	require.NoError(t, netdev.DeleteNamespace(stale))
	_, err := os.Stat(netdev.NamespacePath(stale))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// For what happens soon, but not at once.
const (
	waitLimit = 20 * time.Second
	pollEvery = 5 * time.Millisecond
)
