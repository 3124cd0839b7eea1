package node_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// lan is a segment with bound ports of these names, and what else is said.
func lan(t *testing.T, revision uint64, previous *control.Model, ports ...string) *control.Model {
	var b strings.Builder
	b.WriteString("apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: lan}\nspec: {subnets: [{cidr: 10.0.0.0/24}]}\n")
	for _, p := range ports {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: %s}\nspec: {segment: lan, addresses: [{ip: 10.0.0.%d}]}\n", p, 10+p[0]-'a')
	}
	objects, faults := control.Decode("lan.yaml", []byte(b.String()), control.Options{})
	require.Empty(t, faults)
	in := control.Input{Objects: objects, Revision: revision}
	if previous != nil {
		in.Previous = &previous.Allocations
	}
	m, faults := control.Compile(in)
	require.Empty(t, faults)
	return m
}

// named gives a port of the model a device.
func named(m *control.Model, port, device string, queues int) *control.Model {
	for i := range m.Ports {
		if m.Ports[i].Name == port {
			m.Ports[i].Device = control.Device{Type: "tap", Name: device, Queues: queues}
		}
	}
	return m
}

// memDevices opens memory ports and remembers them.
type memDevices struct {
	mu     sync.Mutex
	byName map[string]*mem.Port
	opened int
	refuse string // this port cannot be opened
}

func (d *memDevices) open(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Name == d.refuse {
		return nil, errors.New("no such device")
	}
	d.opened++
	device := mem.New(mem.Config{})
	d.byName[p.Name] = device
	return device, nil
}

// Ports are added and removed and revisions published while workers run and
// traffic flows: not a frame between the other ports is lost.
func TestApplyUnderTraffic(t *testing.T) {
	devices := &memDevices{byName: map[string]*mem.Port{}}
	m := lan(t, 1, nil, "a", "b")
	n, err := node.New(node.Options{Workers: 2, Open: devices.open, Buffers: 4096, Supers: 4}, m)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	a, b := devices.byName["a"], devices.byName["b"]
	require.NoError(t, n.Engine().Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}}))

	const frames = 20000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range frames {
			f, _ := frametext.Parse(fmt.Sprintf("udp 10.0.0.10:%d > 10.0.0.11:53 len 20", 1000+i%500))
			a.Inject(f)
			if i%64 == 63 {
				time.Sleep(200 * time.Microsecond)
			}
		}
	}()
	revisions := uint64(1)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		revisions++
		ports := []string{"a", "b"}
		if revisions%2 == 0 {
			ports = append(ports, "c")
		}
		m = lan(t, revisions, m, ports...)
		require.NoError(t, n.Apply(m))
	}
	received := 0
	require.Eventually(t, func() bool {
		received += len(b.Sent())
		return received == frames
	}, 30*time.Second, time.Millisecond)
	n.Engine().Stop()
	require.Greater(t, revisions, uint64(20))
	l := n.Engine().Ledger()
	require.Zero(t, l.Dropped, "%+v", l)
	require.Zero(t, l.Unexplained, "%+v", l)
	require.Same(t, a, devices.byName["a"], "a port that stays keeps its device")
	require.Equal(t, 500, n.Engine().Table().Stats().Live, "sessions live on through revisions")
	require.Equal(t, m.Revision, n.Engine().Snapshot().Revision)
}

func TestApplyIsAllOrNothing(t *testing.T) {
	devices := &memDevices{byName: map[string]*mem.Port{}}
	m := lan(t, 1, nil, "a", "b")
	n, err := node.New(node.Options{Workers: 1, Open: devices.open}, m)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	before := n.Engine().Snapshot()

	devices.refuse = "d"
	err = n.Apply(lan(t, 2, m, "a", "b", "c", "d"))
	require.EqualError(t, err, "port d: no such device")
	require.Same(t, before, n.Engine().Snapshot(), "the revision before stays in force")

	devices.refuse = ""
	opened := devices.opened
	require.NoError(t, n.Apply(lan(t, 3, m, "a", "b", "d")))
	require.Equal(t, opened+1, devices.opened, "only what is new is opened")
	require.Equal(t, uint64(3), n.Engine().Snapshot().Revision)
}

func TestDevicesOutliveTheirPorts(t *testing.T) {
	devices := &memDevices{byName: map[string]*mem.Port{}}
	m := lan(t, 1, nil, "a", "b")
	n, err := node.New(node.Options{Workers: 1, Open: devices.open}, named(m, "a", "tap0", 1))
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()

	next := named(lan(t, 2, m, "b", "c"), "c", "tap0", 1)
	opened := devices.opened
	require.NoError(t, n.Apply(next))
	require.Equal(t, opened, devices.opened, "a device can be open once only: it goes over to the new port")

	err = n.Apply(named(lan(t, 3, next, "b", "d"), "d", "tap0", 4))
	require.EqualError(t, err, "port d: device tap0 is open for port c with other settings: remove that first, and add this in the next revision")
	require.NoError(t, n.Apply(lan(t, 4, next, "b")))
	require.NoError(t, n.Apply(named(lan(t, 5, next, "b", "d"), "d", "tap0", 4)))
	require.Equal(t, opened+1, devices.opened)
}

func TestCountersStartWithThePort(t *testing.T) {
	devices := &memDevices{byName: map[string]*mem.Port{}}
	m := lan(t, 1, nil, "a", "b")
	n, err := node.New(node.Options{Workers: 1, Open: devices.open}, m)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	number := m.Ports[0].Number
	f, err := frametext.Parse("udp 10.0.0.10:1 > 10.0.0.11:53")
	require.NoError(t, err)
	devices.byName["a"].Inject(f)
	n.Engine().Worker(0).Step(1e9)
	require.Equal(t, uint64(1), n.Engine().PortCounters(number).RxPackets)

	require.NoError(t, n.Apply(lan(t, 2, nil, "b")))
	fresh := lan(t, 3, nil, "a", "b") // without allocations: a's number again
	require.Equal(t, number, fresh.Ports[0].Number)
	require.NoError(t, n.Apply(fresh))
	require.Zero(t, n.Engine().PortCounters(number).RxPackets, "what another port of that number has counted is not its own")
	require.Equal(t, uint64(1), n.Engine().Ledger().Received, "the books go on")
}

func TestNewReportsWhatFails(t *testing.T) {
	devices := &memDevices{byName: map[string]*mem.Port{}, refuse: "a"}
	_, err := node.New(node.Options{Workers: 1, Open: devices.open}, lan(t, 1, nil, "a"))
	require.EqualError(t, err, "port a: no such device")
	_, err = node.New(node.Options{Workers: 1000, Open: devices.open}, lan(t, 1, nil, "b"))
	require.ErrorContains(t, err, "workers: 1000")
	_, err = node.New(node.Options{Workers: 1, Buffers: -1, Open: devices.open}, lan(t, 1, nil, "b"))
	require.ErrorContains(t, err, "-1 buffers")
}
