package reply

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// Ports of a testbed.
//
//	1  plain, zone 7           3  plain, zone 7
//	2  trunk: VLAN 10 zone 8, VLAN 30 within S-tag 20 zone 9
//	4  an uplink, zone 4, whose sessions are kept in zone 5
const (
	plain  = 1
	trunk  = 2
	other  = 3
	uplink = 4

	numPorts = 4
)

// deciderFunc makes a function a Decider.
type deciderFunc func(d *dataplane.Decision)

func (f deciderFunc) Decide(d *dataplane.Decision) { f(d) }

// testbed is an engine between memory ports, driven by hand, with one decider.
type testbed struct {
	t      testing.TB
	engine *dataplane.Engine
	table  *flowtable.Table
	hops   *dataplane.HopTable
	ports  [numPorts + 1]dataplane.Port
	mem    [numPorts + 1]*mem.Port
	now    int64
	ended  func(*flowtable.Record) // told of each session's end; nil: nobody is
}

// newTestbed makes a testbed whose decider is decide. change may replace devices and add to the snapshot; nil
// changes nothing. At the end of the test the books must balance.
func newTestbed(t testing.TB, decide func(*dataplane.Decision), change func(*testbed, *dataplane.Snapshot)) *testbed {
	t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 2048, Supers: 32})
	require.NoError(t, err)
	n := &testbed{t: t, now: int64(time.Hour), hops: dataplane.NewHopTable(64)}
	n.table, err = flowtable.New(flowtable.Config{Sessions: 1024, Workers: 1, Seed: 1, Ended: func(_ int, r *flowtable.Record) {
		if n.ended != nil {
			n.ended(r)
		}
	}})
	require.NoError(t, err)
	fragments, err := flowtable.NewFragments(flowtable.FragmentConfig{Seed: 1})
	require.NoError(t, err)
	n.engine, err = dataplane.New(dataplane.Config{
		Workers: 1, Ports: numPorts, Arena: arena, Table: n.table, Fragments: fragments, Hops: n.hops,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ledger := n.engine.Ledger()
		require.Zero(t, ledger.Unexplained, "the books do not balance: %+v", ledger)
		crashes, count := n.engine.Crashes()
		require.Zero(t, count, "a stage panicked: %+v", crashes)
		require.NoError(t, n.table.Close())
		require.NoError(t, arena.Close())
	})
	s := &dataplane.Snapshot{
		Epoch: 1,
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
		},
		Deciders: []dataplane.Step{{Name: "test", Decider: deciderFunc(decide)}},
		Ports:    make([]*dataplane.PortConfig, numPorts+1),
	}
	for i := 1; i <= numPorts; i++ {
		n.mem[i] = mem.New(mem.Config{CsumPartial: true, GSO: true})
		n.ports[i] = n.mem[i]
	}
	vlans := [numPorts + 1]dataplane.Attachment{
		plain: {Untagged: 7}, other: {Untagged: 7}, uplink: {Untagged: 4},
		trunk: {Tagged: &[4096]packet.Zone{10: 8}, Stacked: map[[2]uint16]packet.Zone{{20, 30}: 9}},
	}
	for i := 1; i <= numPorts; i++ {
		s.Ports[i] = &dataplane.PortConfig{Number: uint16(i), Caps: n.ports[i].Caps(), Queues: 1, VLAN: vlans[i]}
	}
	s.Ports[uplink].Sessions = 5
	if change != nil {
		change(n, s)
	}
	for i := 1; i <= numPorts; i++ {
		s.Ports[i].Port = n.ports[i]
		s.Ports[i].Caps = n.ports[i].Caps()
	}
	require.NoError(t, n.engine.Publish(s))
	return n
}

// rejecting makes a testbed that rejects every frame, out of a limit of so many per second.
func rejecting(t testing.TB, rate uint32, change func(*testbed, *dataplane.Snapshot)) (*testbed, *Rejector) {
	t.Helper()
	limit := answer.NewLimit(rate)
	limit.MakeRoom(numPorts)
	r := NewRejector(limit)
	return newTestbed(t, func(d *dataplane.Decision) {
		r.Reject(d, answer.AdminProhibited)
		d.Drop(packet.PolicyRejected)
	}, change), r
}

// step runs a turn.
func (n *testbed) step() { n.engine.Worker(0).Step(n.now) }

// inject gives a frame to a port, as text, and runs a turn.
func (n *testbed) inject(port int, line string) {
	n.t.Helper()
	n.mem[port].Inject(frameOf(n.t, line))
	n.step()
}

// sent takes what a port has sent, as text.
func (n *testbed) sent(port int) []string {
	list := []string{}
	for _, f := range n.mem[port].Sent() {
		list = append(list, frametext.Format(f.Data))
	}
	return list
}

func frameOf(t testing.TB, line string) []byte {
	t.Helper()
	frame, err := frametext.Parse(line)
	require.NoError(t, err, line)
	return frame
}

// canonical brings expected frames into the form that Format has.
func canonical(t testing.TB, lines ...string) []string {
	t.Helper()
	list := []string{}
	for _, line := range lines {
		if line != "" {
			list = append(list, frametext.Format(frameOf(t, line)))
		}
	}
	return list
}
