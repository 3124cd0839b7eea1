package shield_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// Environment of a process that has a port open, which is this test's binary.
const (
	driverVariable = "SLUICE_SHIELD_TEST_DRIVER"
	netnsVariable  = "SLUICE_SHIELD_TEST_NETNS"
)

// TestMain is what holds a port open in a process of its own until that is killed, or
// its standard input ends: then it closes the port.
func TestMain(m *testing.M) {
	driver := os.Getenv(driverVariable)
	if driver == "" {
		os.Exit(m.Run())
	}
	if err := hold(driver, os.Getenv(netnsVariable)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func hold(driver, netNS string) error {
	a, err := packet.NewArena(packet.ArenaConfig{Buffers: 256})
	if err != nil {
		return err
	}
	p, err := drivers[driver](netNS, a)
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return errors.Join(p.Close(), a.Close())
}

// holder starts a process that has a port open. end ends it, by kill -9 or in order.
func holder(t *testing.T, driver string, ns *netnstest.NS) (end func(kill bool)) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), driverVariable+"="+driver, netnsVariable+"="+ns.Name)
	input, err := child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	ended := false
	end = func(kill bool) {
		if ended {
			return
		}
		ended = true
		if kill {
			require.NoError(t, child.Process.Kill())
			require.Error(t, child.Wait())
			return
		}
		require.NoError(t, input.Close())
		require.NoError(t, child.Wait())
	}
	t.Cleanup(func() { end(true) })
	said := make([]byte, 1024)
	n, err := output.Read(said)
	require.NoError(t, err)
	if strings.Contains(string(said[:n]), "AF_XDP is not possible here") {
		t.Skip(string(said[:n]))
	}
	require.Equal(t, "open\n", string(said[:n]))
	return end
}

// state is all that the kernel tells of a device, but for its counters, in lines.
func state(t *testing.T, ns *netnstest.NS, device string) []string {
	t.Helper()
	var all []string
	for _, command := range []string{
		"ip -d -o link show dev", "ip -o address show dev", "ip route show table all dev", "ip -6 route show table all dev",
		"tc qdisc show dev",
	} {
		for line := range strings.Lines(ns.Run(append(strings.Fields(command), device)...)) {
			all = append(all, command+": "+line)
		}
	}
	for _, parent := range []string{"ingress", "egress"} {
		out, _, _ := ns.Try("tc", "filter", "show", "dev", device, parent) // fails where there is no qdisc for it
		all = append(all, "filters at "+parent+": "+out)
	}
	features, err := netdev.DeviceFeatures(ns.Name, device)
	require.NoError(t, err)
	all = append(all, fmt.Sprint("features: ", features)) // printed in order
	info, err := netdev.Link(ns.Name, device)
	require.NoError(t, err)
	require.NoError(t, ns.Do(func() error {
		for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			found, err := link.QueryPrograms(link.QueryOptions{Target: info.Index, Attach: at})
			if err == nil { // else there is no tcx
				all = append(all, fmt.Sprintf("tcx %v: %d programs", at, len(found.Programs)))
			}
		}
		for _, pattern := range []string{"ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh"} {
			files, err := filepath.Glob("/proc/sys/net/" + pattern + "/" + device + "/*")
			if err != nil {
				return err
			}
			for _, file := range files {
				if value, err := os.ReadFile(file); err == nil { // some have none
					all = append(all, file+": "+string(value))
				}
			}
		}
		return nil
	}))
	return all
}

// changed is what two states differ in.
func changed(before, after []string) (lines []string) {
	for _, line := range before {
		if !slices.Contains(after, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return lines
}

// TestNothingIsLeft compares the devices with what they were before a process had a
// port of them.
func TestNothingIsLeft(t *testing.T) {
	needRoot(t)
	for _, driver := range []string{"afpacket", "afpacket, 3 queues", "afpacket, shared", "afxdp"} {
		for _, kill := range []bool{true, false} {
			t.Run(driver+map[bool]string{true: ", killed", false: ", closed"}[kill], func(t *testing.T) {
				t.Parallel()
				near, far := netnstest.New(t), netnstest.New(t)
				netnstest.Veth(t, far, "eth0", near, "p0", netnstest.VethOptions{IPv6: true})
				near.Addr("p0", "10.9.0.1/24")
				far.Addr("eth0", "10.9.0.2/24")
				for _, end := range []struct {
					ns     *netnstest.NS
					device string
				}{{near, "p0"}, {far, "eth0"}} {
					eventually(t, "addresses are settled", func() bool {
						addresses := end.ns.Run("ip", "address", "show", "dev", end.device)
						return strings.Contains(addresses, "fe80::") && !strings.Contains(addresses, "tentative")
					})
				}
				now := func() []string { return append(state(t, near, "p0"), state(t, far, "eth0")...) }
				before := now()
				end := holder(t, driver, near)
				for _, line := range state(t, near, "p0") {
					require.NotContains(t, line, "promiscuity 0 ")
					require.NotContains(t, line, "disable_ipv6: 1", "the host's settings are the host's")
				}
				end(kill)
				// The kernel goes on taking things off after the process.
				for deadline := time.Now().Add(patience); len(changed(before, now())) > 0 && time.Now().Before(deadline); {
					time.Sleep(time.Millisecond)
				}
				require.Empty(t, changed(before, now()))
				require.Contains(t, near.Run("ping", "-c1", "-W5", "10.9.0.2"), "1 received", "the host's stack has it again")
				open(t, driver, near.Name)
			})
		}
	}
}

// TestTAPIsGone is for devices that the port has made: they go with it, or stay
// without it as a device whose cable is pulled out.
func TestTAPIsGone(t *testing.T) {
	needRoot(t)
	for _, kill := range []bool{true, false} {
		t.Run(map[bool]string{true: "killed", false: "closed"}[kill], func(t *testing.T) {
			ns := netnstest.New(t)
			// Addresses that are asked for, as those of IPv6, come and go for seconds.
			if err := netdev.SetSysctl(ns.Name, "net/ipv6/conf/default/disable_ipv6", "1"); !errors.Is(err, os.ErrNotExist) {
				require.NoError(t, err)
			}
			end := holder(t, "tap", ns)
			info, err := netdev.Link(ns.Name, "p0")
			require.NoError(t, err)
			require.True(t, info.Up && info.Carrier)
			end(kill)
			eventually(t, "it is gone", func() bool {
				_, err := netdev.Link(ns.Name, "p0")
				return errors.Is(err, netdev.ErrNoDevice)
			})

			end = holder(t, "tap, persistent", ns)
			ns.Addr("p0", "10.9.0.1/24")
			end(kill)
			var without []string
			eventually(t, "it has no carrier, and its routes know", func() bool {
				without = state(t, ns, "p0")
				all := strings.Join(without, "")
				return strings.Contains(all, "NO-CARRIER") && strings.Contains(all, "state DOWN") && strings.Contains(all, "linkdown")
			})
			require.Contains(t, strings.Join(without, ""), "10.9.0.1/24")
			end = holder(t, "tap, persistent", ns)
			require.NotEmpty(t, changed(without, state(t, ns, "p0")))
			end(kill)
			eventually(t, "it is what it was", func() bool { return len(changed(without, state(t, ns, "p0"))) == 0 })
		})
	}
}
