package netdev_test

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

func TestLink(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "wan0", b, "eth0", netnstest.VethOptions{MTU: 1400, Queues: 3, MACA: "02:00:00:00:00:0a"})
	link := func() netdev.Info {
		t.Helper()
		i, err := netdev.Link(a.Name, "wan0")
		require.NoError(t, err)
		return i
	}
	i := link()
	require.Equal(t, netdev.Info{
		Name: "wan0", Index: i.Index, Kind: "veth", Driver: "veth", Ether: true,
		MTU: 1400, MinMTU: 68, MaxMTU: 65535, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 10},
		Up: true, Carrier: true, RxQueues: 3, TxQueues: 3,
	}, i)
	require.Empty(t, i.InUse())

	b.Down("eth0")
	require.False(t, link().Carrier)
	require.True(t, link().Up)
	b.Up("eth0")

	a.Addr("wan0", "10.0.0.1/24")
	i = link()
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, i.Addresses)
	require.False(t, i.DefaultRoute, "the route to the subnet is no default route")
	require.Equal(t, "the host has the address 10.0.0.1/24 on it", i.InUse())

	a.Route("0.0.0.0/0", "10.0.0.254")
	require.True(t, link().DefaultRoute)
	require.Equal(t, "the host's default route leaves by it", func() string { i := link(); return i.InUse() }())

	other, err := netdev.Link(b.Name, "eth0")
	require.NoError(t, err)
	require.False(t, other.DefaultRoute)
	require.Empty(t, other.Addresses, "an address of link-local IPv6 is none that anybody gave")
}

func TestDefaultRouteOfIPv6(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "wan0", b, "eth0", netnstest.VethOptions{})
	a.Addr("wan0", "fd00::1/64")
	a.Route("::/0", "fd00::fe")
	i, err := netdev.Link(a.Name, "wan0")
	require.NoError(t, err)
	require.True(t, i.DefaultRoute)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("fd00::1/64")}, i.Addresses)
	lo, err := netdev.Link(a.Name, "lo")
	require.NoError(t, err)
	require.False(t, lo.DefaultRoute)
	require.False(t, lo.Ether)
	require.Empty(t, lo.Driver)
}

func TestDefaultRouteOfSeveralHops(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	for _, dev := range []string{"x", "y"} {
		netnstest.Veth(t, a, dev, b, dev, netnstest.VethOptions{})
	}
	a.Addr("x", "10.0.1.1/24")
	a.Addr("y", "10.0.2.1/24")
	a.Run("ip", "route", "add", "default", "nexthop", "via", "10.0.1.254", "nexthop", "via", "10.0.2.254")
	links, err := netdev.Links(a.Name)
	require.NoError(t, err)
	got := map[string]bool{}
	for _, l := range links {
		got[l.Name] = l.DefaultRoute
	}
	require.Equal(t, map[string]bool{"lo": false, "x": true, "y": true}, got)
}

func TestMaster(t *testing.T) {
	a := netnstest.New(t)
	netnstest.Veth(t, a, "p0", a, "p1", netnstest.VethOptions{})
	a.Run("ip", "link", "add", "br0", "type", "bridge")
	require.NoError(t, netdev.SetMaster(a.Name, "p0", "br0"))
	i, err := netdev.Link(a.Name, "p0")
	require.NoError(t, err)
	require.Equal(t, "br0", i.Master)
	require.Equal(t, "it is part of br0", i.InUse())
	require.NoError(t, netdev.SetMaster(a.Name, "p0", ""))
	i, err = netdev.Link(a.Name, "p0")
	require.NoError(t, err)
	require.Empty(t, i.Master)
	br, err := netdev.Link(a.Name, "br0")
	require.NoError(t, err)
	require.Equal(t, "bridge", br.Kind)
}

func TestMissingDevice(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "uplink0", b, "eth0", netnstest.VethOptions{})
	for _, row := range []struct{ why, ns, name, want string }{
		{
			"a letter is wrong: the device that was meant", a.Name, "uplimk0",
			"device uplimk0 in network namespace " + a.Name + ": no such device: did you mean uplink0?",
		},
		{"case does not match", a.Name, "Uplink0", "did you mean uplink0?"},
		{"two letters are swapped", b.Name, "eht0", "did you mean eth0?"},
		{"the number is missing", a.Name, "uplink", "did you mean uplink0?"},
		{"nothing is near: all that there is", b.Name, "wireless", "no such device: there are: lo, eth0"},
		{"the device is in another namespace", b.Name, "uplink0", "network namespace " + a.Name + " has one of that name"},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := netdev.Link(row.ns, row.name)
			require.ErrorIs(t, err, netdev.ErrNoDevice)
			require.ErrorContains(t, err, row.want)
		})
	}
	// The same error from whoever works on a device.
	for what, err := range map[string]error{
		"SetUp":       netdev.SetUp(b.Name, "eht0", true),
		"SetMTU":      netdev.SetMTU(b.Name, "eht0", 1400),
		"Delete":      netdev.Delete(b.Name, "eht0"),
		"Move":        netdev.Move(b.Name, "eht0", a.Name),
		"AddAddress":  netdev.AddAddress(b.Name, "eht0", netip.MustParsePrefix("10.0.0.1/24")),
		"AddRoute":    netdev.AddRoute(b.Name, netdev.Route{To: netip.MustParsePrefix("10.0.0.0/24"), Device: "eht0"}),
		"DisableIPv6": netdev.DisableIPv6(b.Name, "eht0"),
		"SetFeatures": netdev.SetFeatures(b.Name, "eht0", map[string]bool{"gro": true}),
		"SetChannels": netdev.SetChannels(b.Name, "eht0", netdev.Channels{Rx: 1}),
		"XDPFeatures": second(netdev.XDPFeatures(b.Name, "eht0")),
		"a name so long that it must be an alternative one": second(netdev.Link(b.Name, "a-name-of-twenty-two-b")),
	} {
		require.ErrorIs(t, err, netdev.ErrNoDevice, what)
	}
}

func second[T any](_ T, err error) error { return err }

func TestChanges(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "x", b, "y", netnstest.VethOptions{Down: true})
	link := func(ns *netnstest.NS, name string) netdev.Info {
		t.Helper()
		i, err := netdev.Link(ns.Name, name)
		require.NoError(t, err)
		return i
	}
	require.False(t, link(a, "x").Up)
	require.NoError(t, netdev.SetUp(a.Name, "x", true))
	require.True(t, link(a, "x").Up)

	require.NoError(t, netdev.SetMTU(a.Name, "x", 9000))
	require.Equal(t, 9000, link(a, "x").MTU)
	err := netdev.SetMTU(a.Name, "x", 70000)
	require.ErrorContains(t, err, "set the MTU of device x in network namespace "+a.Name+": 70000 is not between 68 and 65535")

	mac := net.HardwareAddr{2, 1, 2, 3, 4, 5}
	require.NoError(t, netdev.SetMAC(a.Name, "x", mac))
	require.Equal(t, mac, link(a, "x").MAC)
	require.ErrorContains(t, netdev.SetMAC(a.Name, "x", net.HardwareAddr{1, 0, 0, 0, 0, 0}), "is not the Ethernet address of one station")
	require.Error(t, netdev.SetMAC(a.Name, "x", nil))

	p := netip.MustParsePrefix("10.0.0.1/24")
	require.NoError(t, netdev.AddAddress(a.Name, "x", p))
	err = netdev.AddAddress(a.Name, "x", p)
	require.ErrorIs(t, err, os.ErrExist)
	require.NoError(t, netdev.DeleteAddress(a.Name, "x", p))
	require.Empty(t, link(a, "x").Addresses)

	require.NoError(t, netdev.Rename(a.Name, "x", "z"))
	require.Equal(t, "z", link(a, "z").Name)
	require.ErrorContains(t, netdev.Rename(a.Name, "z", "much-too-long-a-name"), "is no device name: want 1 to 15 bytes")

	netnstest.Veth(t, b, "z", b, "zz", netnstest.VethOptions{})
	require.ErrorContains(t, netdev.Move(a.Name, "z", b.Name), "has a device of that name")
	b.Delete("z")
	require.NoError(t, netdev.Move(a.Name, "z", b.Name))
	require.False(t, link(b, "z").Up)
	require.ErrorIs(t, netdev.Move(b.Name, "z", "sl-never-made"), netdev.ErrNoNamespace)

	require.ErrorContains(t, netdev.Delete(b.Name, "lo"), "delete of device lo in network namespace "+b.Name)
	require.NoError(t, netdev.Delete(b.Name, "z"))
	_, err = netdev.Link(b.Name, "y")
	require.ErrorIs(t, err, netdev.ErrNoDevice, "the other end of the pair goes too")
}

func TestRoutes(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "x", b, "y", netnstest.VethOptions{})
	to := netip.MustParsePrefix("10.9.0.0/16")
	err := netdev.AddRoute(a.Name, netdev.Route{To: to, Via: netip.MustParseAddr("10.0.0.254")})
	require.ErrorContains(t, err, "add the route 10.9.0.0/16 via 10.0.0.254: no address of this host is in the router's subnet")
	a.Addr("x", "10.0.0.1/24")
	a.Addr("x", "fd00::1/64")
	for _, r := range []netdev.Route{
		{To: to, Via: netip.MustParseAddr("10.0.0.254")},
		{To: to, Via: netip.MustParseAddr("10.0.0.253")}, // replaces it
		{To: netip.MustParsePrefix("10.8.0.0/16"), Device: "x"},
		{To: netip.MustParsePrefix("10.7.0.0/16"), Via: netip.MustParseAddr("fd00::fe"), Device: "x"},
		{To: netip.MustParsePrefix("fd09::/32"), Via: netip.MustParseAddr("fd00::fe")},
		{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fd00::fe")},
	} {
		require.NoError(t, netdev.AddRoute(a.Name, r), r)
	}
	v4, v6 := a.Run("ip", "-4", "route"), a.Run("ip", "-6", "route")
	require.Contains(t, v4, "10.9.0.0/16 via 10.0.0.253 dev x")
	require.NotContains(t, v4, "10.0.0.254")
	require.Contains(t, v4, "10.8.0.0/16 dev x scope link")
	require.Contains(t, v4, "10.7.0.0/16 via inet6 fd00::fe dev x")
	require.Contains(t, v6, "fd09::/32 via fd00::fe dev x")
	require.Contains(t, v6, "default via fd00::fe dev x")
	a.Down("x")
	err = netdev.AddRoute(a.Name, netdev.Route{To: netip.MustParsePrefix("10.6.0.0/16"), Device: "x"})
	require.ErrorContains(t, err, "the device is down (ip link set x up)")
}

func TestCreateVethFaults(t *testing.T) {
	a := netnstest.New(t)
	end := func(name string) netdev.VethEnd { return netdev.VethEnd{NetNS: a.Name, Name: name} }
	for _, row := range []struct {
		why  string
		veth netdev.Veth
		want string
	}{
		{"a name that is taken", netdev.Veth{A: end("lo"), B: end("y")}, "one of the names is taken"},
		{"no name", netdev.Veth{A: end("x")}, `"" is no device name`},
		{"a name that the kernel would cut", netdev.Veth{A: end("a-name-of-sixteen"), B: end("y")}, "is no device name"},
		{"a name with a slash", netdev.Veth{A: end("a/b"), B: end("y")}, "is no device name"},
		{"a negative number", netdev.Veth{A: end("x"), B: end("y"), Queues: -1}, "-1 queues"},
		{"the other end in a namespace that is not there", netdev.Veth{A: end("x"), B: netdev.VethEnd{NetNS: "sl-never-made", Name: "y"}}, "no such network namespace"},
	} {
		require.ErrorContains(t, netdev.CreateVeth(row.veth), row.want, row.why)
	}
}

func TestSysctl(t *testing.T) {
	a := netnstest.New(t)
	netnstest.Veth(t, a, "x.5", a, "y", netnstest.VethOptions{IPv6: true})
	a.Sysctl("net/ipv4/conf/x.5/rp_filter", "2")
	v, err := netdev.Sysctl(a.Name, "net/ipv4/conf/x.5/rp_filter")
	require.NoError(t, err)
	require.Equal(t, "2", v)
	v, err = netdev.Sysctl(a.Name, "net.ipv4.ip_forward")
	require.NoError(t, err)
	require.Equal(t, "0", v)

	require.NoError(t, netdev.DisableIPv6(a.Name, "x.5"))
	v, err = netdev.Sysctl(a.Name, "net/ipv6/conf/x.5/disable_ipv6")
	require.NoError(t, err)
	require.Equal(t, "1", v)

	_, err = netdev.Sysctl(a.Name, "net/ipv4/no_such")
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, name := range []string{"kernel.hostname", "net/../kernel/hostname", "/net/ipv4/ip_forward", ""} {
		require.ErrorContains(t, netdev.SetSysctl(a.Name, name, "1"), "is no setting of a network namespace", name)
	}
}
