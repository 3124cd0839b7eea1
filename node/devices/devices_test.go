package devices_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/devices"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// pod is a port to be: a namespace with eth0, joined to the node by a device.
type pod struct {
	ns     *netnstest.NS
	device string // as in spec.device
}

// host is the namespace of a node and the pods around it.
type host struct {
	t    *testing.T
	ns   *netnstest.NS
	pods []pod
	last *control.Model
}

func newHost(t *testing.T) *host { return &host{t: t, ns: netnstest.New(t)} }

// add makes a pod with a device of a type; extra are more settings of it.
func (h *host) add(kind, extra string) *pod {
	h.t.Helper()
	p := pod{ns: netnstest.New(h.t)}
	name := fmt.Sprintf("p%d", len(h.pods))
	if kind == "tap" {
		p.device = fmt.Sprintf("{type: tap, name: eth0, netns: %s%s}", p.ns.Name, extra)
	} else {
		netnstest.Veth(h.t, p.ns, "eth0", h.ns, name, netnstest.VethOptions{})
		p.device = fmt.Sprintf("{type: %s, name: %s, netns: %s%s}", kind, name, h.ns.Name, extra)
	}
	h.pods = append(h.pods, p)
	return &h.pods[len(h.pods)-1]
}

// model compiles the configuration of all pods: 10.1.0.10 and on, fd00:1::10 and on.
func (h *host) model() *control.Model {
	h.t.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: lan}\n" +
		"spec: {subnets: [{cidr: 10.1.0.0/24}, {cidr: 'fd00:1::/64'}]}\n")
	for i, p := range h.pods {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: pod-%d}\nspec: {segment: lan, device: %s}\n", i, p.device)
	}
	objects, faults := control.Decode("lan.yaml", []byte(b.String()), control.Options{})
	require.Empty(h.t, faults)
	in := control.Input{Objects: objects, Revision: 1}
	if h.last != nil {
		in.Revision, in.Previous = h.last.Revision+1, &h.last.Allocations
	}
	m, faults := control.Compile(in)
	require.Empty(h.t, faults)
	h.last = m
	return m
}

// start runs a node with all pods, and gives these their addresses.
func (h *host) start(o node.Options) *node.Node {
	h.t.Helper()
	opener := &devices.Opener{}
	o.Open, o.Devices = opener.Open, devices.Types()
	n, err := node.New(o, h.model())
	require.NoError(h.t, err)
	h.t.Cleanup(func() { require.NoError(h.t, n.Close()) })
	require.NoError(h.t, n.Start(dataplane.DefaultIdle, 0))
	for i, p := range h.pods {
		h.configure(i, p)
	}
	return n
}

func (h *host) configure(i int, p pod) {
	h.t.Helper()
	p.ns.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
	p.ns.Sysctl("net.ipv6.conf.eth0.accept_dad", "0")
	p.ns.Up("eth0")
	p.ns.Addr("eth0", fmt.Sprintf("10.1.0.%d/24", 10+i))
	p.ns.Addr("eth0", fmt.Sprintf("fd00:1::%d/64", 10+i))
}

// balanced stops a node and looks at its books.
func balanced(t *testing.T, n *node.Node) {
	t.Helper()
	n.Engine().Stop()
	ledger := n.Engine().Ledger()
	require.Zero(t, ledger.Unexplained, "%+v", ledger)
	crashes, count := n.Engine().Crashes()
	require.Zero(t, count, "%+v", crashes)
}

// kinds are the ways in which a pod can be attached.
var kinds = []struct{ why, kind, extra string }{
	{"packet socket with offloads", "afpacket", ""},
	{"packet socket without", "afpacket", ", offload: none"},
	{"TAP with offloads", "tap", ""},
	{"TAP without", "tap", ", offload: none"},
	{"AF_XDP", "afxdp", ""},
}

// TestEachWithEach: TCP and UDP pass between devices of all kinds, both
// families, with the offloads that the kernel turns on by itself.
func TestEachWithEach(t *testing.T) {
	if testing.Short() {
		t.Skip("it moves megabytes between all pairs")
	}
	h := newHost(t)
	for _, k := range kinds {
		h.add(k.kind, k.extra)
	}
	n := h.start(node.Options{Workers: 2, Supers: 256})
	for i := range h.pods {
		server := h.pods[i].ns.Start("iperf3", "-s")
		for j := range h.pods {
			if i == j {
				continue
			}
			for _, address := range []string{fmt.Sprintf("10.1.0.%d", 10+i), fmt.Sprintf("fd00:1::%d", 10+i)} {
				var out, complaint string
				require.Eventually(t, func() bool {
					var err error
					out, complaint, err = h.pods[j].ns.Try("iperf3", "-c", address, "-n", "4M", "--connect-timeout", "2000")
					return err == nil
				}, patience, 50*time.Millisecond, "%s to %s, %s", kinds[j].why, kinds[i].why, address)
				require.Contains(t, out, "receiver", complaint)
			}
		}
		server.Stop()
	}
	for _, d := range n.Devices() {
		require.NoError(t, d.Err, d.Port)
		require.True(t, d.Up, d.Port)
		require.NotEmpty(t, d.Mode, d.Port)
	}
	balanced(t, n)
}

// resources is what a process must not collect.
type resources struct{ descriptors, goroutines, buffers int }

func TestPortsComeAndGoWithoutATrace(t *testing.T) {
	cycles := 30
	if v := os.Getenv("SLUICE_SOAK"); v != "" {
		_, err := fmt.Sscan(v, &cycles)
		require.NoError(t, err)
	} else if testing.Short() {
		cycles = 5
	}
	h := newHost(t)
	fixed := h.add("afpacket", "")
	peer := h.add("tap", "")
	n := h.start(node.Options{Workers: 2, Tolerant: true})
	ping := func() (out string, err error) {
		out, _, err = fixed.ns.Try("ping", "-c1", "-W2", "10.1.0.11")
		return out, err
	}
	require.Eventually(t, func() bool { _, err := ping(); return err == nil }, patience, 10*time.Millisecond)
	lives := peer.ns // the peer's namespace stays; its port is among those that stay too
	require.NotNil(t, lives)

	comer := netnstest.New(t)
	measure := func() resources {
		n.Engine().Synchronize()
		return resourcesOf(t, n)
	}
	cycle := func(i int) {
		kind := []string{"afpacket", "tap", "afxdp"}[i%3]
		name := fmt.Sprintf("c%d", i)
		p := pod{ns: comer, device: fmt.Sprintf("{type: tap, name: eth0, netns: %s}", comer.Name)}
		if kind != "tap" {
			netnstest.Veth(t, comer, "eth0", h.ns, name, netnstest.VethOptions{Down: true})
			p.device = fmt.Sprintf("{type: %s, name: %s, netns: %s}", kind, name, h.ns.Name)
		}
		h.pods = append(h.pods, p)
		require.NoError(t, n.Apply(h.model()))
		for _, d := range n.Devices() {
			require.NoError(t, d.Err, "cycle %d: %s", i, d.Port)
		}
		h.pods = h.pods[:len(h.pods)-1]
		if kind != "tap" && i%2 == 0 { // half of them go before their port does
			h.ns.Delete(name)
		}
		require.NoError(t, n.Apply(h.model()))
		if kind != "tap" && i%2 == 1 {
			h.ns.Delete(name)
		}
	}
	for i := range 6 { // what is made once
		cycle(i)
	}
	before, memory := measure(), resident(t)
	for i := range cycles {
		cycle(6 + i)
	}
	after := measure()
	require.LessOrEqual(t, after.descriptors, before.descriptors)
	require.LessOrEqual(t, after.goroutines, before.goroutines)
	require.LessOrEqual(t, after.buffers, before.buffers+1024, "buffers in the rings of ports that stay, and in workers' caches")
	t.Logf("%d cycles: %+v, then %+v; resident memory %d KiB, then %d KiB", cycles, before, after, memory, resident(t))
	if cycles >= 1000 {
		require.Less(t, resident(t), memory+64<<10, "KiB")
	}
	_, err := ping()
	require.NoError(t, err)
	balanced(t, n)
}
