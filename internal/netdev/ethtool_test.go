package netdev_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// supported skips a test where the kernel lacks what is tested.
func supported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, netdev.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

func TestFeatures(t *testing.T) {
	a := netnstest.New(t)
	netnstest.Veth(t, a, "x", a, "y", netnstest.VethOptions{})
	features := func() netdev.Features {
		t.Helper()
		f, err := netdev.DeviceFeatures(a.Name, "x")
		supported(t, err)
		return f
	}
	f := features()
	require.Equal(t, netdev.Feature{Active: true, Changeable: true}, f["tx-checksum-ip-generic"])
	require.True(t, f.Active("tx"))
	require.True(t, f.Active("tso"))
	require.Equal(t, netdev.Feature{}, f["rx-fcs"])

	// Without checksums in "hardware", TSO can't be either.
	a.Features("x", false, "tx", "tso", "gro")
	f = features()
	for _, name := range []string{"tx", "tso", "gro", "tx-checksum-ip-generic", "tx-tcp6-segmentation"} {
		require.False(t, f.Active(name), name)
	}
	err := netdev.SetFeatures(a.Name, "x", map[string]bool{"tso": true})
	require.ErrorContains(t, err, "stays off: another feature needs it so")
	a.Features("x", true, "tx", "tso", "gro", "rxvlan", "txvlan")
	f = features()
	for _, name := range []string{"tx", "tso", "gro", "rxvlan", "txvlan"} {
		require.True(t, f.Active(name), name)
	}
	require.NoError(t, netdev.SetFeatures(a.Name, "x", nil), "nothing to do")
	require.NoError(t, netdev.SetFeatures(a.Name, "x", map[string]bool{"rx-fcs": false}), "it is so already")

	for name, want := range map[string]string{
		"rx-fcs":     "rx-fcs is always off",
		"no-such":    `there is no feature "no-such"`,
		"tx-lockles": `there is no feature "tx-lockles"`,
	} {
		require.ErrorContains(t, netdev.SetFeatures(a.Name, "x", map[string]bool{name: true}), want)
	}
}

func TestChannels(t *testing.T) {
	a := netnstest.New(t)
	netnstest.Veth(t, a, "x", a, "y", netnstest.VethOptions{Queues: 4})
	c, err := netdev.DeviceChannels(a.Name, "x")
	supported(t, err)
	require.Equal(t, [2]int{4, 4}, [2]int{c.MaxRx, c.MaxTx})
	require.NoError(t, netdev.SetChannels(a.Name, "x", netdev.Channels{Rx: 2, Tx: 2}))
	c, err = netdev.DeviceChannels(a.Name, "x")
	require.NoError(t, err)
	require.Equal(t, [3]int{2, 2, 2}, [3]int{c.Rx, c.Tx, c.RxQueues()})
	require.NoError(t, netdev.SetChannels(a.Name, "x", netdev.Channels{}), "nothing to do")
	require.ErrorContains(t, netdev.SetChannels(a.Name, "x", netdev.Channels{Rx: 5}), "it can use up to 4 rx, 4 tx and 0 combined")
	require.ErrorContains(t, netdev.SetChannels(a.Name, "x", netdev.Channels{Rx: -1}), "negative")
	_, err = netdev.DeviceChannels(a.Name, "lo")
	require.ErrorIs(t, err, netdev.ErrUnsupported)
}

func TestXDPFeatures(t *testing.T) {
	a := netnstest.New(t)
	netnstest.Veth(t, a, "x", a, "y", netnstest.VethOptions{})
	x, err := netdev.XDPFeatures(a.Name, "x")
	supported(t, err)
	require.True(t, x.Native && x.Redirect && x.MultiBuffer, "%+v", x)
	require.False(t, x.ZeroCopy)
	var u unix.Utsname
	require.NoError(t, unix.Uname(&u))
	var major, minor int
	_, err = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	require.NoError(t, err)
	require.Equal(t, major > 6 || major == 6 && minor >= 8, x.VLANTags, "a veth's tag can be asked for since Linux 6.8")
	lo, err := netdev.XDPFeatures(a.Name, "lo")
	require.NoError(t, err)
	require.Equal(t, netdev.XDP{}, lo)
}
