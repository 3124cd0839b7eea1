package doctor_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/node/doctor"
)

// machine is one with a device eth0 of its own and one in namespace red.
func machine() *doctor.System {
	infos := map[string][]netdev.Info{
		"":    {{Name: "lo", Index: 1}, {Name: "eth0", Index: 2, Ether: true}},
		"red": {{Name: "veth0", Index: 2, Ether: true}, {Name: "br0", Index: 3, Kind: "bridge"}},
	}
	return &doctor.System{
		Root: fstest.MapFS{
			"proc/sys/kernel/osrelease":   {Data: []byte("6.18.0\n")},
			"run/sluice/sluice.sock":      {},
			"proc/7/stat":                 {},
			"proc/self/status":            {Data: []byte("CapEff:\t01\n")},
			"run/sluice/lab/x/state.json": {Data: []byte(`{"scenario":"web","pid":9}`)},
		},
		XDPSocket:  func() error { return unix.EAFNOSUPPORT },
		TxMetadata: func() error { return unix.EINVAL },
		Tun:        func() error { return os.ErrNotExist },
		Links: func(ns string) ([]netdev.Info, error) {
			if i, found := infos[ns]; found {
				return i, nil
			}
			return nil, netdev.ErrNoNamespace
		},
		Link: func(ns, name string) (netdev.Info, error) {
			for _, i := range infos[ns] {
				if i.Name == name {
					return i, nil
				}
			}
			return netdev.Info{}, netdev.ErrNoDevice
		},
		XDP:      func(ns, name string) (netdev.XDP, error) { return netdev.XDP{Native: ns == "red"}, nil },
		Features: func(ns, name string) (netdev.Features, error) { return netdev.Features{"rx-lro": {Active: true}}, nil },
		Channels: func(ns, name string) (netdev.Channels, error) { return netdev.Channels{}, netdev.ErrUnsupported },
		Setting: func(ns, name string) (string, error) {
			if name == "net/ipv4/ip_forward" {
				return "1", nil
			}
			return "", os.ErrNotExist
		},
		Tables:     func(ns string) ([]string, error) { return []string{"inet " + ns}, nil },
		Namespaces: func() ([]string, error) { return []string{"dead", "red", "sl-7-1", "sl-8-1", "sl-k3f9-node"}, nil },
		Namespace: func(name string) error {
			if name == "dead" {
				return netdev.ErrNoNamespace
			}
			return nil
		},
		Connect: func(string) error { return unix.ECONNREFUSED },
	}
}

func port(name string, t api.DeviceType, device, ns string) *control.Port {
	return &control.Port{Name: name, MTU: 1500, Device: control.Device{Type: t, Name: device, NetNS: ns, Queues: 1}}
}

func TestGather(t *testing.T) {
	m := &control.Model{Ports: []*control.Port{
		port("a", api.DeviceAFXDP, "veth0", "red"), port("b", api.DeviceAFPacket, "eth7", ""),
		port("c", api.DevicePcap, "file.pcap", ""), port("d", "", "", ""), port("e", api.DeviceTAP, "tap0", "blue"),
	}}
	m.Node.Workers = 3
	f := doctor.Gather(machine(), doctor.Options{Model: m, Socket: "/run/sluice/sluice.sock"})
	require.Equal(t, 3, f.Want.Workers)
	require.Equal(t, unix.EAFNOSUPPORT, f.Kernel.XDPSocket)
	require.Equal(t, 18, f.Kernel.Minor)
	require.Equal(t, uint64(1), f.Rights.Effective)

	require.Len(t, f.Devices, 3, "of ports that the kernel has something to do with")
	require.Equal(t, [2]string{"red", "veth0"}, [2]string{f.Devices[0].NetNS, f.Devices[0].Name})
	require.True(t, f.Devices[0].XDP.Native && f.Devices[0].Features.Active("lro"))
	require.ErrorIs(t, f.Devices[0].ChannelsErr, netdev.ErrUnsupported)
	require.ErrorIs(t, f.Devices[1].Err, netdev.ErrNoDevice)
	require.Equal(t, "e", f.Devices[2].Port.Name)

	require.Len(t, f.Namespaces, 3)
	require.ErrorIs(t, f.Namespaces["blue"].Err, netdev.ErrNoNamespace)
	require.True(t, f.Namespaces["red"].Bridge)
	require.False(t, f.Namespaces[""].Bridge)
	require.Equal(t, map[string]string{"net/ipv4/ip_forward": "1"}, f.Namespaces["red"].Settings)
	require.Equal(t, []string{"inet red"}, f.Namespaces["red"].Tables)

	require.Equal(t, doctor.Leftovers{
		Namespaces: []string{"sl-8-1"}, Dead: []string{"dead"}, Labs: []doctor.Lab{{ID: "x", Scenario: "web"}},
		Socket: "/run/sluice/sluice.sock", SocketErr: unix.ECONNREFUSED,
	}, f.Leftovers)
}

func TestGatherWithoutConfiguration(t *testing.T) {
	s := machine()
	f := doctor.Gather(s, doctor.Options{Socket: "/run/none"})
	require.Len(t, f.Devices, 2)
	require.Equal(t, "eth0", f.Devices[1].Name)
	require.Empty(t, f.Leftovers.Socket)
	s.Links = func(string) ([]netdev.Info, error) { return nil, errors.New("no netlink") }
	r := doctor.Run(s, doctor.Options{})
	require.Contains(t, describe(r, "devices"), "FAIL list: no netlink")
}

// describe is the findings of a group, as "STATE name: found".
func describe(r doctor.Report, group string) (lines []string) {
	for _, f := range r.Findings {
		if f.Group == group {
			lines = append(lines, fmt.Sprintf("%s %s: %s", f.State, f.Name, f.Found))
		}
	}
	return lines
}

// On whatever machine this runs, doctor has something to say and breaks nothing.
func TestThisMachine(t *testing.T) {
	r := doctor.Run(doctor.Host(), doctor.Options{Socket: "/run/sluice/sluice.sock"})
	require.Equal(t, len(r.Findings), r.Summary.OK+r.Summary.Info+r.Summary.Warn+r.Summary.Fail)
	require.Contains(t, fmt.Sprint(describe(r, "device lo")), "INFO kind: no driver")
	require.NotEmpty(t, describe(r, "kernel"))
}

// Real devices in a namespace, good and bad.
func TestRealDevices(t *testing.T) {
	ns := netnstest.New(t)
	netnstest.Veth(t, ns, "x0", ns, "x1", netnstest.VethOptions{Queues: 4, MTU: 1400})
	netnstest.Veth(t, ns, "y0", ns, "y1", netnstest.VethOptions{})
	ns.Addr("y0", "10.9.9.1/24")
	m := &control.Model{Ports: []*control.Port{
		port("a", api.DeviceAFXDP, "x0", ns.Name), port("b", api.DeviceAFPacket, "y0", ns.Name),
		port("c", api.DeviceAFPacket, "z0", ns.Name), port("d", api.DeviceTAP, "tap0", ns.Name),
	}}
	r := doctor.Run(doctor.Host(), doctor.Options{Model: m})
	a := describe(r, "device x0 in "+ns.Name+", port a")
	require.Contains(t, a, "FAIL MTU: 1400, and the port's is 1500")
	require.Contains(t, a, "WARN queues: 4 in use, and the port's are 1")
	require.Contains(t, a, "OK use: the host has no address, route or bridge on it")
	b := describe(r, "device y0 in "+ns.Name+", port b")
	require.Contains(t, b, "FAIL use: the host has the address 10.9.9.1/24 on it")
	c := describe(r, "device z0 in "+ns.Name+", port c")
	require.Len(t, c, 1)
	require.Contains(t, c[0], "FAIL exists: device z0 in network namespace "+ns.Name+": no such device")
	require.Equal(t, []string{"OK exists: no: the port makes it"}, describe(r, "device tap0 in "+ns.Name+", port d"))

	// What the report says to do helps.
	ns.MTU("x0", 1500)
	require.NoError(t, netdev.SetChannels(ns.Name, "x0", netdev.Channels{Rx: 1}))
	ns.Run("ip", "address", "flush", "dev", "y0")
	r = doctor.Run(doctor.Host(), doctor.Options{Model: m})
	a = describe(r, "device x0 in "+ns.Name+", port a")
	require.Contains(t, a, "OK MTU: 1500")
	require.Contains(t, a, "OK queues: 1")
	require.Contains(t, describe(r, "device y0 in "+ns.Name+", port b"), "OK use: the host has no address, route or bridge on it")
}
