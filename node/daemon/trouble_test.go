package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/node"
)

// yard is a daemon with devices of the host, and a pod behind each.
//
//	pod ── eth0 ══ p0 ── daemon      each p0 in a namespace of its own; a TAP is eth0 itself
type yard struct {
	*running
	t    *testing.T
	pods []*yardPod
}

type yardPod struct {
	kind   string
	ns, at *netnstest.NS // of the pod, and of its device
	device string
	ip     string
}

// newYard starts a daemon with a pod for each device type that is named.
func newYard(t *testing.T, kinds ...string) *yard {
	t.Helper()
	y := &yard{t: t}
	config := segment
	for i, kind := range kinds {
		p := &yardPod{kind: kind, ns: netnstest.New(t), device: "p0", ip: fmt.Sprintf("10.0.1.%d", 10+i)}
		if p.at = p.ns; kind == "tap" {
			p.device = "eth0"
		} else {
			p.at = netnstest.New(t)
		}
		y.pods = append(y.pods, p)
		y.wire(i)
		config += fmt.Sprintf("apiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: pod-%d}\nspec: {segment: web, device: {type: %s, name: %s, netns: %s}}\n---\n",
			i, kind, p.device, p.at.Name)
	}
	y.running = launch(t, Config{Paths: []string{write(t, t.TempDir()+"/s.yaml", config)}, Buffers: 16384, Supers: 256, Seed: 1})
	y.until(func() bool { return y.Status().Ready }, "ready")
	for i := range y.pods {
		y.settle(i)
	}
	return y
}

// wire makes the pair of a pod and its device, unless its port makes the device.
func (y *yard) wire(pod int) {
	y.t.Helper()
	if p := y.pods[pod]; p.kind != "tap" {
		netnstest.Veth(y.t, p.ns, "eth0", p.at, p.device, netnstest.VethOptions{})
	}
}

// settle waits until a pod's port has its device, gives the pod its addresses, and
// waits until it reaches the first. It keeps its MAC address, as who
// knows it does not ask again for half a minute.
func (y *yard) settle(pod int) {
	y.t.Helper()
	p := y.pods[pod]
	y.until(func() bool {
		// A TAP of before, whose end is not noticed yet, is no use.
		_, err := netdev.Link(p.ns.Name, "eth0")
		d := y.device(pod)
		return err == nil && d.Up && d.Err == nil
	}, "the port has its device")
	require.NoError(y.t, netdev.SetMAC(p.ns.Name, "eth0", net.HardwareAddr{2, 0, 0, 0, 0, byte(pod)}))
	p.ns.Up("eth0")
	p.ns.Addr("eth0", p.ip+"/24")
	if pod != 0 {
		y.until(func() bool {
			_, _, err := p.ns.Try("ping", "-c1", "-W1", y.pods[0].ip)
			return err == nil
		}, "the pod reaches another")
	}
}

func (y *yard) device(pod int) node.DeviceChange {
	y.t.Helper()
	all := y.node.Devices()
	i := slices.IndexFunc(all, func(d node.DeviceChange) bool { return d.Port == fmt.Sprintf("pod-%d", pod) })
	require.GreaterOrEqual(y.t, i, 0)
	return all[i]
}

// balanced ends the daemon and looks at its books.
func (y *yard) balanced() {
	y.t.Helper()
	y.stop()
	e := y.node.Engine()
	crashes, count := e.Crashes()
	require.Zero(y.t, count, "%+v", crashes)
	ledger := e.Ledger()
	require.Zero(y.t, ledger.Unexplained, "%+v", ledger)
	require.Zero(y.t, y.lines("ERROR"), "%s", y.log)
}

// descriptors counts the process's open files.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// TestRugPulled deletes devices under a stream of TCP, again and again.
func TestRugPulled(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	y := newYard(t, "afpacket", "afpacket", "afxdp", "tap")
	before := 0
	for round := range rounds {
		pod := 1 + round%3
		p := y.pods[pod]
		server, client := y.stream(p, "-t", "600")
		received := p.ns.Counters("eth0").RxBytes
		y.until(func() bool { return p.ns.Counters("eth0").RxBytes > received+4<<20 }, "frames pass")

		p.at.Delete(p.device)
		if p.kind != "tap" {
			y.until(func() bool { return y.device(pod).Err != nil }, "it is noticed")
			require.ErrorContains(t, y.device(pod).Err, "no such device")
		}
		client.Stop()
		server.Stop()
		y.wire(pod)
		y.settle(pod)

		server, client = y.stream(p, "-n", "4M")
		require.NoError(t, client.Wait(), "round %d, %s: %s", round, p.kind, client.Output())
		server.Stop()
		if round == 2 { // each kind was replaced once
			before = descriptors(t)
		}
	}
	y.until(func() bool { return descriptors(t) <= before }, "no descriptor is left")
	y.balanced()
}

// stream begins a stream of TCP from the first pod to another.
func (y *yard) stream(to *yardPod, arguments ...string) (server, client *netnstest.Program) {
	y.t.Helper()
	server = to.ns.Start("iperf3", "-s", "--forceflush")
	y.until(func() bool { return len(server.Output()) > 0 }, "the server listens")
	return server, y.pods[0].ns.Start(append([]string{"iperf3", "-c", to.ip}, arguments...)...)
}

// TestNamespaceMadeAnew: the namespace of a device goes, and another gets its name.
// The port comes back by itself, and nothing keeps the old namespace.
func TestNamespaceMadeAnew(t *testing.T) {
	for _, row := range []struct {
		why   string
		pause bool // until the daemon has noticed that it is gone
	}{
		{"at once, as when a pod is replaced", false},
		{"after a while", true},
	} {
		t.Run(row.why, func(t *testing.T) {
			y := newYard(t, "afpacket", "tap", "afpacket", "afxdp")
			for pod := 1; pod < len(y.pods); pod++ {
				p := y.pods[pod]
				// One end of a pair goes with its namespace, and takes the other with it.
				witness := fmt.Sprintf("w%d", pod)
				netnstest.Veth(t, p.at, "witness", y.pods[0].ns, witness, netnstest.VethOptions{Down: true})
				require.NoError(t, netdev.DeleteNamespace(p.at.Name))
				if row.pause {
					y.until(func() bool { return y.device(pod).Err != nil }, "it is noticed")
					require.ErrorContains(t, y.device(pod).Err, "no such network namespace")
				}
				require.NoError(t, netdev.AddNamespace(p.at.Name))
				y.until(func() bool {
					_, err := netdev.Link(y.pods[0].ns.Name, witness)
					return errors.Is(err, netdev.ErrNoDevice)
				}, "the old namespace has ended")
				y.wire(pod)
				y.settle(pod)
			}
			y.balanced()
		})
	}
}

// TestTroubleIsToldOnce: a port that waits for its device says so once, not each
// time that something else comes or goes nearby.
func TestTroubleIsToldOnce(t *testing.T) {
	y := newYard(t, "afpacket", "afpacket")
	p := y.pods[1]
	p.at.Delete("p0")
	told := func() int { return y.lines("a port has no device", `object="Port pod-1"`) }
	y.until(func() bool { return told() == 1 }, "it is told")
	revision := y.node.Engine().Snapshot().Epoch
	for i := range 5 {
		name := fmt.Sprintf("other%d", i)
		netnstest.Veth(t, p.ns, name, p.at, name, netnstest.VethOptions{})
		y.attend.tell() // as if it had concerned the port
		time.Sleep(20 * time.Millisecond)
	}
	require.Equal(t, 1, told(), "%s", y.log)
	require.Equal(t, revision, y.node.Engine().Snapshot().Epoch, "sessions need not be decided again")
	y.wire(1)
	y.settle(1)
	y.balanced()
}
