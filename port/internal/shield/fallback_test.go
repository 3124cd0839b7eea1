package shield

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// device makes a veth whose near end is to be shielded.
func device(t testing.TB, o netnstest.VethOptions) (near, far *netnstest.NS, cfg Config) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("programs on devices, and namespaces, need root")
	}
	near, far = netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, far, "eth0", near, "p0", o)
	info, err := netdev.Link(near.Name, "p0")
	require.NoError(t, err)
	return near, far, Config{NetNS: near.Name, Name: "p0", Index: info.Index, Ingress: true}
}

// attachFallback is Attach on a kernel without tcx.
func attachFallback(t testing.TB, cfg Config) *Shield {
	t.Helper()
	s := &Shield{netNS: cfg.NetNS, index: cfg.Index}
	require.NoError(t, netdev.In(cfg.NetNS, func() (err error) { s.fallback, err = newFallback(cfg); return err }))
	return s
}

func TestFallback(t *testing.T) {
	for _, row := range []struct {
		why     string
		ipv6    bool // on before
		ingress bool
		want    string
	}{
		{"a packet socket's device", true, true, "host kept off by clsact, its IPv6 off (stays if the process is killed)"},
		{"IPv6 is off already", false, true, "host kept off by clsact (stays if the process is killed)"},
		{"a device with an XDP program", true, false, "host kept off by XDP, its IPv6 off (stays if the process is killed)"},
		{"of which nothing stays", false, false, "host kept off by XDP"},
	} {
		t.Run(row.why, func(t *testing.T) {
			near, far, cfg := device(t, netnstest.VethOptions{IPv6: row.ipv6})
			cfg.Ingress = row.ingress
			near.Addr("p0", "10.9.0.1/24")
			far.Addr("eth0", "10.9.0.2/24")
			reached := func() bool {
				_, _, err := far.Try("ping", "-c1", "-W1", "10.9.0.1")
				return err == nil
			}
			disabled := func() bool {
				value, err := netdev.Sysctl(near.Name, "net/ipv6/conf/p0/disable_ipv6")
				if os.IsNotExist(err) {
					t.Skip("this test needs IPv6")
				}
				require.NoError(t, err)
				return value == "1"
			}
			require.True(t, reached(), "before")
			s := attachFallback(t, cfg)
			require.Equal(t, row.want, s.String())
			require.Equal(t, !row.ingress, reached(), "the host's stack")
			require.True(t, disabled())
			// What is removed is the device's, whatever its name is by then.
			near.Down("p0")
			require.NoError(t, netdev.Rename(near.Name, "p0", "p1"))
			require.NoError(t, s.Close(false))
			require.NoError(t, netdev.Rename(near.Name, "p1", "p0"))
			near.Up("p0")
			require.Equal(t, !row.ipv6, disabled(), "as it was")
			require.NotContains(t, near.Run("tc", "qdisc", "show", "dev", "p0"), "clsact")
			require.True(t, reached(), "after")
			require.NoError(t, s.Close(false), "a second time")
		})
	}
}

// TestFallbackAfterTheDevice closes what can't be put back any more.
func TestFallbackAfterTheDevice(t *testing.T) {
	for _, row := range []struct {
		why  string
		away func(near *netnstest.NS)
		gone bool
	}{
		{"known to be gone", func(near *netnstest.NS) { near.Delete("p0") }, true},
		{"gone, but not noticed yet", func(near *netnstest.NS) { near.Delete("p0") }, false},
		{"with its namespace", func(near *netnstest.NS) { require.NoError(t, netdev.DeleteNamespace(near.Name)) }, false},
	} {
		t.Run(row.why, func(t *testing.T) {
			near, _, cfg := device(t, netnstest.VethOptions{IPv6: true})
			s := attachFallback(t, cfg)
			row.away(near)
			require.NoError(t, s.Close(row.gone))
		})
	}
}

// TestFilterIsLeftBehind is for processes that are killed where there is no tcx:
// the next one takes the filter over and removes it.
func TestFilterIsLeftBehind(t *testing.T) {
	near, _, cfg := device(t, netnstest.VethOptions{})
	filters := func() string { return near.Run("tc", "filter", "show", "dev", "p0", "ingress") }
	killed := attachFallback(t, cfg)
	require.NotNil(t, killed.fallback.qdisc)
	require.Contains(t, filters(), "sluice_drop")
	next := attachFallback(t, cfg)
	require.Nil(t, next.fallback.qdisc, "it may be somebody else's")
	require.Equal(t, 1, strings.Count(filters(), "direct-action"), "it has taken its place")
	require.NoError(t, next.Close(false))
	require.NotContains(t, filters(), "sluice_drop")
	require.Contains(t, near.Run("tc", "qdisc", "show", "dev", "p0"), "clsact")
	require.NoError(t, killed.Close(false), "that its filter is gone is what it wants")
	require.NotContains(t, near.Run("tc", "qdisc", "show", "dev", "p0"), "clsact")
}
