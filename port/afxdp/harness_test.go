package afxdp

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// patience is how long a test waits for what must come before it fails. No test
// passes because time has passed.
const patience = 20 * time.Second

// eventually waits until f says so.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about in %v that %s", patience, what)
		}
	}
}

// wired is a veth pair: one end in a pod's namespace, the other the switch's.
//
//	pod namespace      switch's namespace
//	eth0 ───────────── name
type wired struct {
	pod, host *netnstest.NS
	name      string
}

// wire makes a pod and its veth pair.
func wire(t testing.TB, host *netnstest.NS, name string, o netnstest.VethOptions) wired {
	t.Helper()
	needXDP(t)
	w := wired{pod: netnstest.New(t), host: host, name: name}
	netnstest.Veth(t, w.pod, "eth0", host, name, o)
	return w
}

// newArena makes an arena that must have all buffers back when the test ends.
func newArena(t testing.TB, cfg packet.ArenaConfig) *packet.Arena {
	t.Helper()
	a, err := packet.NewArena(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, a.InUse(), "buffers that did not come back")
		require.NoError(t, a.Close())
	})
	return a
}

// needXDP skips the test where the kernel has no AF_XDP or the process no rights,
// as found out without this package.
func needXDP(t testing.TB) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("this test needs AF_XDP sockets: %v", err)
	}
	require.NoError(t, unix.Close(fd))
	if err := features.HaveProgramType(ebpf.XDP); err != nil {
		t.Skipf("this test needs XDP programs: %v", err)
	}
}

// open opens the switch's end; it is closed with the test.
func (w wired) open(t testing.TB, cfg Config) *Port {
	t.Helper()
	cfg.Name, cfg.NetNS = w.name, w.host.Name
	p, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// patch decides that what enters by one of two ports leaves by the other.
type patch struct{ hop, gen [3]uint32 }

func (p *patch) Decide(d *dataplane.Decision) {
	to := 3 - d.In.Number
	d.Forward(p.hop[to], p.gen[to])
}

// patchPanel is a running engine between two ports.
type patchPanel struct {
	*dataplane.Engine
	table *flowtable.Table
}

// connect runs an engine between two ports until the test ends, or Stop.
func connect(t testing.TB, arena *packet.Arena, workers int, one, two *Port) *patchPanel {
	t.Helper()
	const zone = packet.Zone(7)
	table, err := flowtable.New(flowtable.Config{Sessions: 1024, Workers: workers})
	require.NoError(t, err)
	frags, err := flowtable.NewFragments(flowtable.FragmentConfig{})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(8)
	engine, err := dataplane.New(dataplane.Config{
		Workers: workers, Ports: 2, Arena: arena, Table: table, Fragments: frags, Hops: hops,
	})
	require.NoError(t, err)
	decider := &patch{}
	snapshot := &dataplane.Snapshot{
		Epoch: 1, Deciders: []dataplane.Step{{Name: "patch", Decider: decider}}, Ports: make([]*dataplane.PortConfig, 3),
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
		},
	}
	for n, p := range []*Port{one, two} {
		n++
		caps := p.Caps()
		snapshot.Ports[n] = &dataplane.PortConfig{
			Number: uint16(n), Name: p.Name(), Port: p, Caps: caps, Queues: caps.Queues, MTU: caps.MTU,
			VLAN: dataplane.Attachment{Untagged: zone},
		}
		decider.hop[n], decider.gen[n], err = hops.New(dataplane.Hop{Port: uint16(n), Zone: zone})
		require.NoError(t, err)
	}
	require.NoError(t, engine.Publish(snapshot))
	require.NoError(t, engine.Start(dataplane.RunConfig{Idle: dataplane.DefaultIdle}))
	t.Cleanup(func() {
		engine.Stop()
		require.NoError(t, table.Close())
	})
	return &patchPanel{engine, table}
}
