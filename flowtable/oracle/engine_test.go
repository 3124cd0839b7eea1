package oracle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// engine is this switch's side: two ports, and a decider that lets pass what nftables' rules
// do. What is left is the session's verdict.
type engine struct {
	t       testing.TB
	table   *flowtable.Table
	worker  *dataplane.Worker
	ports   [2]*mem.Port // by side
	reasons map[mark]string
}

const (
	sessions = 1 << 14
	zone     = packet.Zone(1)
)

func newEngine(t testing.TB, strict bool) *engine {
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024, Supers: 16})
	require.NoError(t, err)
	table, err := flowtable.New(flowtable.Config{Sessions: sessions, ManualSweep: true, StrictTCP: strict})
	require.NoError(t, err)
	fragments, err := flowtable.NewFragments(flowtable.FragmentConfig{})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(16)
	x, err := dataplane.New(dataplane.Config{Workers: 1, Ports: 2, Arena: arena, Table: table, Fragments: fragments, Hops: hops})
	require.NoError(t, err)
	e := &engine{t: t, table: table, worker: x.Worker(0), reasons: map[mark]string{}}
	t.Cleanup(func() {
		require.Zero(t, x.Ledger().Unexplained)
		require.NoError(t, table.Close())
		require.NoError(t, arena.Close())
	})
	s := &dataplane.Snapshot{
		Epoch: 1,
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
		},
		Ports: make([]*dataplane.PortConfig, 3),
		Taps:  []dataplane.Tap{tap{e}},
	}
	var out [2]struct{ hop, gen uint32 } // of the port on a side
	for i := range e.ports {
		e.ports[i] = mem.New(mem.Config{})
		number := uint16(i + 1)
		s.Ports[number] = &dataplane.PortConfig{
			Number: number, Name: "p", Port: e.ports[i], Caps: e.ports[i].Caps(), Queues: 1,
			VLAN: dataplane.Attachment{Untagged: zone},
		}
		out[i].hop, out[i].gen, err = hops.New(dataplane.Hop{Port: number, Zone: zone})
		require.NoError(t, err)
	}
	s.Deciders = []dataplane.Step{{Name: "far side", Decider: decide(func(d *dataplane.Decision) {
		if d.Info.Has(packet.ICMPError) && d.Session == 0 {
			d.Drop(packet.SessionUnrelated) // "ct state invalid drop"
			return
		}
		far := &out[2-d.In.Number]
		d.Forward(far.hop, far.gen)
	})}}
	require.NoError(t, x.Publish(s))
	return e
}

type decide func(d *dataplane.Decision)

func (f decide) Decide(d *dataplane.Decision) { f(d) }

// tap notes why frames were dropped.
type tap struct{ e *engine }

func (tap) AfterStage(*dataplane.Worker, *dataplane.Vector, string) {}
func (tap) AfterStep(*dataplane.Decision, string)                   {}
func (tap) Sent(*dataplane.Worker, uint16, packet.Index)            {}

func (t tap) Dropped(w *dataplane.Worker, b packet.Index, _ *packet.Info, r packet.Reason) {
	if m, ok := markOf(w.Arena().Frame(b), side(w.Arena().Meta(b).InPort-1)); ok {
		t.e.reasons[m] = r.String()
	}
}

// play is kernel.play.
func (e *engine) play(packets []sent) map[mark]bool {
	now := int64(1e9)
	out := map[mark]bool{}
	for i := range packets {
		p := &packets[i]
		require.Equal(e.t, 1, e.ports[p.from].Inject(p.frame))
		e.worker.Step(now)
		p.state = e.stateOf(p.frame)
	}
	for range 40 { // fragments without a first one
		now += 1e9
		e.worker.Step(now)
	}
	for s, port := range e.ports {
		for _, f := range port.Sent() {
			m, ok := markOf(f.Data, 1-side(s))
			require.True(e.t, ok)
			out[m] = true
		}
	}
	return out
}

// stateOf returns the state of the session that a frame is of, after it; empty if there is none.
func (e *engine) stateOf(frame []byte) (name string) {
	var in packet.Info
	if packet.Parse(frame, &in) != packet.None {
		return ""
	}
	key := in.Key.WithZone(zone)
	if id := e.table.Lookup(&key); id != 0 {
		name = e.table.State(id).String()
	}
	return name
}
