package node_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// cable is a device that can be pulled.
type cable struct {
	*mem.Port
	bench  *pluggable
	closed bool
}

func (c *cable) Err() error {
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	if c.bench.current[c.bench.nameOf(c)] != c {
		return errors.New("the device is gone")
	}
	return nil
}

func (c *cable) Mode() string { return "cable" }

func (c *cable) Caps() dataplane.Caps {
	caps := c.Port.Caps()
	caps.Up = c.Err() == nil && !c.bench.down[c.bench.nameOf(c)]
	return caps
}

func (c *cable) Close() error { c.closed = true; return nil }

// pluggable opens cables, by the names of ports, that are in place.
type pluggable struct {
	mu      sync.Mutex
	present map[string]bool
	current map[string]*cable
	names   map[*cable]string
	down    map[string]bool
}

func (b *pluggable) nameOf(c *cable) string { return b.names[c] }

func (b *pluggable) open(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.present[p.Name] {
		return nil, errors.New("no such device")
	}
	c := &cable{Port: mem.New(mem.Config{}), bench: b}
	b.current[p.Name], b.names[c] = c, p.Name
	return c, nil
}

// set plugs a cable in or pulls it.
func (b *pluggable) set(name string, present bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.present[name] = present
	if !present {
		delete(b.current, name)
	}
}

func TestDevicesComeAndGo(t *testing.T) {
	devices := &pluggable{
		present: map[string]bool{"a": true}, current: map[string]*cable{}, names: map[*cable]string{}, down: map[string]bool{},
	}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Tolerant: true}, lan(t, 1, nil, "a", "b"))
	require.NoError(t, err, "one device is missing, the others go on")
	defer func() { require.NoError(t, n.Close()) }()
	now := int64(0)
	send := func() (dropped uint64) {
		t.Helper()
		before := n.Engine().PortCounters(number(t, n, "a")).Drops[packet.PortDown]
		f, err := frametext.Parse("udp 10.0.0.10:1000 > 10.0.0.11:53 len 20")
		require.NoError(t, err)
		devices.current["a"].Inject(f)
		now += 1e6
		n.Engine().Worker(0).Step(now)
		require.Zero(t, n.Engine().Ledger().Unexplained)
		return n.Engine().PortCounters(number(t, n, "a")).Drops[packet.PortDown] - before
	}
	recheck := func() []node.DeviceChange {
		t.Helper()
		changes, err := n.Recheck()
		require.NoError(t, err)
		return changes
	}

	require.Equal(t, uint64(1), send(), "what goes to a port without a device has a reason")
	require.Empty(t, recheck(), "nothing has changed")

	devices.set("b", true)
	require.Equal(t, []node.DeviceChange{{Port: "b", Up: true, MTU: 1500, Mode: "cable", Reopen: true}}, recheck(), "it has come")
	require.Zero(t, send())
	require.Len(t, devices.current["b"].Sent(), 1)

	devices.down["b"] = true
	require.Equal(t, []node.DeviceChange{{Port: "b", MTU: 1500, Mode: "cable"}}, recheck(), "the link has gone down")
	require.Empty(t, recheck())
	devices.down["b"] = false
	require.Equal(t, []node.DeviceChange{{Port: "b", Up: true, MTU: 1500, Mode: "cable"}}, recheck())

	old := devices.current["b"]
	devices.set("b", false)
	changes := recheck()
	require.Len(t, changes, 1)
	require.EqualError(t, changes[0].Err, "no such device")
	require.True(t, old.closed, "what is left of it is closed")
	require.Equal(t, uint64(1), send())
	require.Empty(t, recheck(), "it is told once")

	devices.set("b", true)
	require.Len(t, recheck(), 1)
	require.Zero(t, send())
}

func TestADeviceIsOpenedAgainForOtherSettings(t *testing.T) {
	devices := &pluggable{
		present: map[string]bool{"a": true, "b": true}, current: map[string]*cable{}, names: map[*cable]string{}, down: map[string]bool{},
	}
	m := named(lan(t, 1, nil, "a", "b"), "a", "tap0", 1)
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Tolerant: true}, m)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	old := devices.current["a"]
	require.NoError(t, n.Apply(named(lan(t, 2, m, "a", "b"), "a", "tap0", 2)))
	require.True(t, old.closed)
	require.NotSame(t, old, devices.current["a"])
	require.NoError(t, devices.current["a"].Err())
}

// number returns a port's number in the snapshot in force.
func number(t *testing.T, n *node.Node, name string) uint16 {
	t.Helper()
	for _, p := range n.Engine().Snapshot().Ports {
		if p != nil && p.Name == name {
			return p.Number
		}
	}
	require.FailNow(t, "no port "+name)
	return 0
}
