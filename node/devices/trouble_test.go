package devices_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/devices"
	"github.com/sluice-net/sluice/packet"
)

// site is a running node with two ports that work, of pods 0 and 1, and a third
// that something is wrong with.
//
//	pod 0 ── afpacket ──┐
//	pod 1 ── tap ───────┼── node
//	pod 2 ── type ──────┘
type site struct {
	*host
	n *node.Node
}

func newSite(t *testing.T) *site {
	h := newHost(t)
	h.add("afpacket", "")
	h.add("tap", "")
	s := &site{h, h.start(node.Options{Workers: 1, Supers: 16, Tolerant: true})}
	s.reaches(0, 1)
	return s
}

// reaches waits until a pod reaches another.
func (s *site) reaches(from, to int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.ping(from, to, 56) }, patience, 20*time.Millisecond, "pod %d does not reach pod %d", from, to)
}

// ping sends one with so many bytes, which may not be cut into fragments.
func (s *site) ping(from, to, size int) bool {
	s.t.Helper()
	_, _, err := s.pods[from].ns.Try("ping", "-c1", "-W1", "-Mdo", fmt.Sprintf("-s%d", size), fmt.Sprintf("10.1.0.%d", 10+to))
	return err == nil
}

// device returns how it is with the device of a pod's port.
func (s *site) device(pod int) node.DeviceChange {
	s.t.Helper()
	all := s.n.Devices()
	i := slices.IndexFunc(all, func(d node.DeviceChange) bool { return d.Port == fmt.Sprintf("pod-%d", pod) })
	require.GreaterOrEqual(s.t, i, 0)
	return all[i]
}

// recheck looks at the devices until a pod's port is as f wants it.
func (s *site) recheck(pod int, f func(node.DeviceChange) bool, what string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		_, err := s.n.Recheck()
		require.NoError(s.t, err)
		return f(s.device(pod))
	}, patience, 20*time.Millisecond, "%s: %+v", what, s.device(pod))
}

func up(d node.DeviceChange) bool { return d.Up && d.Err == nil }

// port returns the port of a pod in the last model.
func (s *site) port(pod int) *control.Port {
	s.t.Helper()
	for i := range s.last.Ports {
		if p := s.last.Ports[i]; p.Name == fmt.Sprintf("pod-%d", pod) {
			return p
		}
	}
	s.t.Fatal("no port of pod", pod)
	return nil
}

// guest is the pod behind the port that something is wrong with: eth0 of pod is
// joined to device name in ns. A TAP has both in the pod's namespace.
type guest struct {
	*site
	kind    string
	pod, ns *netnstest.NS
	name    string
	vacate  func() // ends what occupy has begun
}

// guest makes the third pod, whose port has an interface of the default kind: a veth,
// or none for a TAP.
func (s *site) guest(kind string) *guest {
	s.t.Helper()
	g := &guest{site: s, kind: kind, pod: netnstest.New(s.t), ns: netnstest.New(s.t), name: "g0"}
	if kind == "tap" {
		g.ns, g.name = g.pod, "eth0"
	} else {
		g.wire()
	}
	return g
}

// wire joins the pod to the device.
func (g *guest) wire() { netnstest.Veth(g.t, g.pod, "eth0", g.ns, g.name, netnstest.VethOptions{}) }

// ip changes the device's namespace.
func (g *guest) ip(arguments string) {
	g.ns.Run(append([]string{"ip"}, strings.Fields(arguments)...)...)
}

// attach gives the node a port for the guest.
func (g *guest) attach(extra string) {
	g.t.Helper()
	device := fmt.Sprintf("{type: %s, name: %s, netns: %s%s}", g.kind, g.name, g.ns.Name, extra)
	g.pods = append(g.pods, pod{ns: g.pod, device: device})
	require.NoError(g.t, g.n.Apply(g.model()))
}

// leave takes the guest's port away.
func (g *guest) leave() {
	g.t.Helper()
	g.pods = g.pods[:2]
	require.NoError(g.t, g.n.Apply(g.model()))
}

// arrive waits until the guest's port is up, and the guest can be reached.
func (g *guest) arrive() {
	g.t.Helper()
	g.recheck(2, up, "mended")
	g.settle()
}

// settle gives the pod its addresses, and waits until it is reached. All guests have
// one MAC address, as who knows it does not ask again for half a minute.
func (g *guest) settle() {
	g.t.Helper()
	is, err := netdev.Link(g.pod.Name, "eth0")
	require.NoError(g.t, err)
	if len(is.Addresses) == 0 {
		require.NoError(g.t, netdev.SetMAC(g.pod.Name, "eth0", net.HardwareAddr{2, 0, 0, 0, 0, 0x42}))
		g.configure(2, g.pods[2])
	}
	g.reaches(0, 2)
}

var (
	attached = []string{"afpacket", "afxdp"}
	allKinds = []string{"tap", "afpacket", "afxdp"}
)

// TestTroubles opens devices that can't be opened: by an Opener, and by a node,
// whose other ports go on, and which has the device once the trouble is mended.
func TestTroubles(t *testing.T) {
	rows := []struct {
		why     string
		kinds   []string
		extra   string // of spec.device
		provoke func(g *guest)
		want    []string // cause and remedy; NS stands for the device's namespace
		mend    func(g *guest)
	}{
		{
			"the device is missing", attached, "", func(g *guest) { g.ns.Delete("g0") },
			[]string{"device g0 in network namespace NS: no such device", "make it (ip -n NS link add g0"},
			(*guest).wire,
		},
		{
			"the device has another name", attached, "", func(g *guest) { g.ip("link set g0 name g1") },
			[]string{"no such device: did you mean g1?", "correct the name"},
			func(g *guest) { g.ip("link set g1 name g0") },
		},
		{
			"the namespace is missing", allKinds, "", (*guest).bury,
			[]string{"/run/netns/NS: no such network namespace: make it (ip netns add)"},
			(*guest).exhume,
		},
		{
			"the namespace is dead: its file is left, as after a reboot of the container engine", allKinds, "",
			func(g *guest) {
				g.bury()
				g.leaveFile()
			},
			[]string{"/run/netns/NS: no such network namespace: the file is left of one that has ended", "ip netns delete, ip netns add"},
			(*guest).exhume,
		},
		{
			"the MTU is smaller than the port's", attached, "", func(g *guest) { g.ns.MTU("g0", 1400) },
			[]string{"its MTU is 1400, packets of the port have up to 1500 bytes", "ip -n NS link set g0 mtu 1500", "segment's mtu"},
			func(g *guest) { g.ns.MTU("g0", 1500) },
		},
		{
			"it is part of a bridge", attached, "", func(g *guest) { g.ip("link add br0 type bridge"); g.ip("link set g0 master br0") },
			[]string{"device g0 is in use: it is part of br0", "ip -n NS link set g0 nomaster", "choose another device"},
			func(g *guest) { g.ip("link set g0 nomaster") },
		},
		{
			"the host has an address on it", attached, "", func(g *guest) { g.ns.Addr("g0", "192.0.2.1/24") },
			[]string{"device g0 is in use: the host has the address 192.0.2.1/24 on it", "ip -n NS address flush dev g0"},
			func(g *guest) { g.ip("address flush dev g0") },
		},
		{
			"the host's default route leaves by it", attached, "",
			func(g *guest) { g.ns.Addr("g0", "192.0.2.1/24"); g.ns.Route("0.0.0.0/0", "192.0.2.2") },
			[]string{"device g0 is in use: the host's default route leaves by it", "ip -n NS address flush dev g0"},
			func(g *guest) { g.ip("address flush dev g0") },
		},
		{
			"it is part of a bridge and has an address: all is told at once", attached, "",
			func(g *guest) {
				g.ip("link add br0 type bridge")
				g.ip("link set g0 master br0")
				g.ns.Addr("g0", "192.0.2.1/24")
			},
			[]string{"it is part of br0", "ip -n NS address flush dev g0; ip -n NS link set g0 nomaster"},
			func(g *guest) { g.ip("address flush dev g0"); g.ip("link set g0 nomaster") },
		},
		{
			"another program has it by AF_XDP", attached, "", (*guest).occupy,
			[]string{"device g0 is in use: another program (XDP program ", "end the program that has loaded it (bpftool link names the one that holds it)", "where no BPF link holds it, ip -n NS link set g0 xdp off"},
			func(g *guest) { g.vacate() },
		},
		{
			"another program has opened it",
			[]string{"tap"},
			"", (*guest).occupy,
			[]string{"open tap eth0: another program, or another port of this one, has it open: end that, or choose another name"},
			func(g *guest) { g.vacate() },
		},
		{
			"another program has opened it, and frames are plain",
			[]string{"tap"},
			", offload: none", (*guest).occupy,
			[]string{"open tap eth0: another program, or another port of this one, has it open: end that, or choose another name"},
			func(g *guest) { g.vacate() },
		},
		{
			"it is a veth",
			[]string{"tap"},
			"",
			func(g *guest) { netnstest.Veth(g.t, g.pod, "eth0", g.pod, "other", netnstest.VethOptions{}) },
			[]string{"belongs to an interface of kind veth: choose another name, or remove that interface"},
			(*guest).clear,
		},
		{
			"it is a bridge",
			[]string{"tap"},
			"", func(g *guest) { g.ip("link add eth0 type bridge") },
			[]string{"belongs to an interface of kind bridge: choose another name, or remove that interface"},
			(*guest).clear,
		},
		{
			"it is a TUN device",
			[]string{"tap"},
			"", func(g *guest) { g.ip("tuntap add eth0 mode tun") },
			[]string{"a TUN device, which has no Ethernet frames: choose another name, or remove that interface"},
			(*guest).clear,
		},
		{
			"a TUN device with addresses is of no use, taken over or not", attached, "",
			func(g *guest) {
				g.ns.Delete("g0")
				g.ip("tuntap add g0 mode tun")
				g.ip("address add 192.0.2.1/24 dev g0")
			},
			[]string{"device g0 carries no Ethernet frames", "choose a veth, a NIC or a TAP"},
			func(g *guest) { g.clear(); g.wire() },
		},
		{
			"a bridge has no native XDP",
			[]string{"afxdp"},
			"",
			func(g *guest) { g.ns.Delete("g0"); g.ip("link add g0 type bridge") },
			[]string{`driver "bridge" has no native XDP`, "use the device type afpacket, or allow generic XDP, which is no faster than that (allowFallback: true): "},
			func(g *guest) { g.clear(); g.wire() },
		},
		{
			"it was made for fewer queues",
			[]string{"afxdp"},
			", queues: 2", func(*guest) {},
			[]string{"has 1 receive queues in use, not 2: ask for 1, or let it use more"},
			func(g *guest) {
				g.ns.Delete("g0")
				netnstest.Veth(g.t, g.pod, "eth0", g.ns, "g0", netnstest.VethOptions{Queues: 2})
			},
		},
		{
			"it was made for one queue",
			[]string{"tap"},
			", queues: 2", func(g *guest) { g.ip("tuntap add eth0 mode tap") },
			[]string{"it was made for one queue: ask for one, or make it anew (ip tuntap add dev NAME mode tap multi_queue)"},
			(*guest).clear,
		},
	}
	s := newSite(t)
	for _, row := range rows {
		for _, kind := range row.kinds {
			t.Run(kind+", "+row.why, func(t *testing.T) {
				s.t = t
				g := s.guest(kind)
				row.provoke(g)
				g.attach(row.extra)
				t.Cleanup(g.leave)
				for _, message := range g.refused() {
					for _, want := range row.want {
						require.Contains(t, message, strings.ReplaceAll(want, "NS", g.ns.Name))
					}
					require.NotContains(t, message, "\n", "it goes into a line of the log")
				}
				s.reaches(0, 1)
				row.mend(g)
				g.arrive()
			})
		}
	}
	s.t = t
	balanced(t, s.n)
}

// refused returns why the guest's device can't be opened: what an Opener of its
// own says, and what the node does.
func (g *guest) refused() (messages [2]string) {
	g.t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024, Supers: 4})
	require.NoError(g.t, err)
	defer arena.Close()
	_, err = (&devices.Opener{}).Open(arena, g.port(2))
	require.Error(g.t, err)
	require.Zero(g.t, arena.InUse())
	d := g.device(2)
	require.False(g.t, d.Up)
	require.Error(g.t, d.Err)
	return [2]string{err.Error(), d.Err.Error()}
}

// bury takes the name of the device's namespace away. Of a pod's, which ends with it,
// the pod is nothing any more.
func (g *guest) bury() { require.NoError(g.t, netdev.DeleteNamespace(g.ns.Name)) }

// leaveFile is what is left of a namespace that was unmounted.
func (g *guest) leaveFile() {
	require.NoError(g.t, os.WriteFile(netdev.NamespacePath(g.ns.Name), nil, 0o444))
}

// exhume makes the namespace anew, and what was in it.
func (g *guest) exhume() {
	g.t.Helper()
	if err := netdev.DeleteNamespace(g.ns.Name); !errors.Is(err, netdev.ErrNoNamespace) {
		require.NoError(g.t, err)
	}
	require.NoError(g.t, netdev.AddNamespace(g.ns.Name))
	if g.kind == "tap" {
		return
	}
	// The pair ends with the old namespace, once nobody holds that: the port neither.
	require.Eventually(g.t, func() bool {
		_, err := g.n.Recheck()
		require.NoError(g.t, err)
		_, err = netdev.Link(g.pod.Name, "eth0")
		return errors.Is(err, netdev.ErrNoDevice)
	}, patience, 5*time.Millisecond)
	g.wire()
}

// occupy opens the device, as another program would.
func (g *guest) occupy() {
	g.t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024})
	require.NoError(g.t, err)
	d := control.Device{Type: api.DeviceAFXDP, Name: g.name, NetNS: g.ns.Name, Queues: 1, Offload: true}
	if g.kind == "tap" {
		d.Type = api.DeviceTAP
	}
	p, err := (&devices.Opener{}).Open(arena, &control.Port{Name: "occupant", MTU: 1500, Device: d})
	require.NoError(g.t, err)
	g.vacate = sync.OnceFunc(func() {
		require.NoError(g.t, p.(io.Closer).Close())
		require.NoError(g.t, arena.Close())
	})
	g.t.Cleanup(g.vacate)
}

// clear removes what has the device's name.
func (g *guest) clear() { g.ns.Delete(g.name) }
