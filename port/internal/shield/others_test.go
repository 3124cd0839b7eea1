package shield_test

import (
	"errors"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/port/afxdp"
	"github.com/sluice-net/sluice/port/internal/shield"
)

const taken = "another Sluice, or another port of this one, has the device: end that (bpftool link names the process), or choose another device"

// TestOneHasADevice opens it a second time, and once the first has gone.
func TestOneHasADevice(t *testing.T) {
	needRoot(t)
	for _, row := range []struct {
		why, first, second string
		path               bool // the second names the namespace by its path
		allowed            bool
	}{
		{"packet sockets would have each frame twice", "afpacket", "afpacket", false, false},
		{"by whatever name", "afpacket", "afpacket", true, false},
		{"an XDP program would leave the other nothing", "afpacket", "afxdp", false, false},
		{"likewise", "afxdp", "afpacket", false, false},
		{"queues are not to be shared", "afxdp", "afxdp", true, false},
		{"who shares it with the host shares it with others", "afpacket, shared", "afpacket", false, true},
	} {
		for _, another := range []bool{true, false} {
			t.Run(row.why+map[bool]string{true: ", another process", false: ", the own process"}[another], func(t *testing.T) {
				t.Parallel()
				near, far := netnstest.New(t), netnstest.New(t)
				netnstest.Veth(t, far, "eth0", near, "p0", netnstest.VethOptions{})
				var end func()
				if another {
					kill := holder(t, row.first, near)
					end = func() { kill(true) }
				} else {
					p, _ := open(t, row.first, near.Name)
					if !strings.Contains(p.Mode(), "tcx") && !row.allowed {
						t.Skip("this test needs tcx (Linux 6.6)")
					}
					end = func() { require.NoError(t, p.Close()) }
				}
				before := state(t, near, "p0")
				a, netNS := newArena(t), near.Name
				if row.path {
					netNS = netdev.NamespacePath(netNS)
				}
				p, err := drivers[row.second](netNS, a)
				if row.allowed {
					require.NoError(t, err)
					require.NoError(t, p.Close())
					return
				}
				require.ErrorContains(t, err, taken)
				require.Empty(t, changed(before, state(t, near, "p0")), "the first keeps what it has")
				end()
				open(t, row.second, netNS)
			})
		}
	}
}

// TestOneOfManyHasADevice attaches at once: at most one may come through, and who
// does not leaves nothing.
func TestOneOfManyHasADevice(t *testing.T) {
	needRoot(t)
	near, far := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, far, "eth0", near, "p0", netnstest.VethOptions{})
	info, err := netdev.Link(near.Name, "p0")
	require.NoError(t, err)
	cfg := shield.Config{NetNS: near.Name, Name: "p0", Index: info.Index, Ingress: true}
	programs := func() (n int) {
		require.NoError(t, near.Do(func() error {
			for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				found, err := link.QueryPrograms(link.QueryOptions{Target: info.Index, Attach: at})
				if err != nil {
					t.Skipf("this test needs tcx (Linux 6.6): %v", err)
				}
				n += len(found.Programs)
			}
			return nil
		}))
		return n
	}
	require.Zero(t, programs())
	for range 20 {
		var shields [4]*shield.Shield
		var errs [4]error
		var all sync.WaitGroup
		for i := range shields {
			all.Go(func() { shields[i], errs[i] = shield.Attach(cfg) })
		}
		all.Wait()
		attached := 0
		for i := range shields {
			if errs[i] == nil {
				attached++
			} else {
				require.ErrorContains(t, errs[i], taken)
			}
		}
		require.LessOrEqual(t, attached, 1)
		require.Equal(t, 2*attached, programs())
		for _, s := range shields {
			if s != nil {
				require.NoError(t, s.Close(false))
			}
		}
		require.Zero(t, programs())
	}
}

// TestADeviceIsFreeOnceClosed opens it again at once, while this process starts others:
// between fork and exec they have a copy of every descriptor.
func TestADeviceIsFreeOnceClosed(t *testing.T) {
	needRoot(t)
	ended := make(chan struct{})
	var forks sync.WaitGroup
	for range 2 {
		forks.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	t.Cleanup(forks.Wait)
	t.Cleanup(func() { close(ended) })
	for _, driver := range []string{"afpacket", "afxdp", "tap"} {
		t.Run(driver, func(t *testing.T) {
			near, far := netnstest.New(t), netnstest.New(t)
			if driver != "tap" {
				netnstest.Veth(t, far, "eth0", near, "p0", netnstest.VethOptions{})
			}
			a := newArena(t)
			for range 20 {
				p, err := drivers[driver](near.Name, a)
				if errors.Is(err, afxdp.ErrNoXDP) {
					t.Skip(err)
				}
				require.NoError(t, err)
				require.NoError(t, p.Close())
			}
		})
	}
}
