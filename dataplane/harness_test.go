package dataplane_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// allStages is the engine's own pipeline.
var allStages = []dataplane.Stage{
	dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
	dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
}

// deciderFunc makes a function a Decider.
type deciderFunc func(d *dataplane.Decision)

func (f deciderFunc) Decide(d *dataplane.Decision) { f(d) }

// rig is an engine with ports 1 to n in one zone, and a decider of the test's.
type rig struct {
	t      testing.TB
	arena  *packet.Arena
	table  *flowtable.Table
	engine *dataplane.Engine
	hops   *dataplane.HopTable
	ports  []dataplane.Port // by number; 0 is nil
	now    int64
	epoch  uint32
}

const testZone = packet.Zone(7)

type rigConfig struct {
	workers, sessions int
	ports             []dataplane.Port
	debug             bool
}

func newRig(t testing.TB, c rigConfig) *rig {
	if c.workers == 0 {
		c.workers = 1
	}
	if c.sessions == 0 {
		c.sessions = 1024
	}
	r := &rig{t: t, now: 1e9, ports: append([]dataplane.Port{nil}, c.ports...), hops: dataplane.NewHopTable(1024)}
	var err error
	r.arena, err = packet.NewArena(packet.ArenaConfig{Buffers: 4096, Supers: 16, Debug: c.debug})
	require.NoError(t, err)
	r.table, err = flowtable.New(flowtable.Config{Sessions: c.sessions, Workers: c.workers, Prefault: true})
	require.NoError(t, err)
	frags, err := flowtable.NewFragments(flowtable.FragmentConfig{})
	require.NoError(t, err)
	r.engine, err = dataplane.New(dataplane.Config{
		Workers: c.workers, Ports: 64, Arena: r.arena, Table: r.table, Fragments: frags, Hops: r.hops,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		r.engine.Stop()
		require.Zero(t, r.engine.Ledger().Unexplained, "the books don't balance: %+v", r.engine.Ledger())
		require.NoError(t, r.table.Close())
		require.NoError(t, r.arena.Close())
	})
	return r
}

// publish puts a snapshot in force whose only decider is d; edit may change it before.
func (r *rig) publish(d dataplane.Decider, edit func(*dataplane.Snapshot)) {
	r.epoch++
	s := &dataplane.Snapshot{
		Epoch: r.epoch, Stages: allStages, Deciders: []dataplane.Step{{Name: "test", Decider: d}},
		Ports: make([]*dataplane.PortConfig, len(r.ports)),
	}
	for i, p := range r.ports {
		if p != nil {
			caps := p.Caps()
			s.Ports[i] = &dataplane.PortConfig{
				Number: uint16(i), Name: "p" + string(rune('0'+i)), Port: p, Caps: caps, Queues: caps.Queues,
				VLAN: dataplane.Attachment{Untagged: testZone},
			}
		}
	}
	if edit != nil {
		edit(s)
	}
	require.NoError(r.t, r.engine.Publish(s))
}

// hop makes a hop out of a port.
func (r *rig) hop(h dataplane.Hop) (index, gen uint32) {
	h.Zone = testZone
	index, gen, err := r.hops.New(h)
	require.NoError(r.t, err)
	return index, gen
}

// step lets every worker take a turn.
func (r *rig) step() {
	for i := range r.engine.Workers() {
		r.engine.Worker(i).Step(r.now)
	}
}

// send injects frames, given as text, into a port, and lets the workers turn.
func (r *rig) send(port int, texts ...string) {
	for _, text := range texts {
		frame, err := frametext.Parse(text)
		require.NoError(r.t, err, text)
		require.Equal(r.t, 1, r.ports[port].(*mem.Port).Inject(frame))
	}
	r.step()
	for r.ports[port].(*mem.Port).Waiting() > 0 && r.engine.Snapshot().Port(uint16(port)) != nil {
		r.step()
	}
}

// sent returns as text what a port has sent since the last call.
func (r *rig) sent(port int) (texts []string) {
	for _, f := range r.ports[port].(*mem.Port).Sent() {
		texts = append(texts, frametext.Format(f.Data))
	}
	return texts
}

// drops returns the drops of frames from a port, by reason.
func (r *rig) drops(port int) map[string]uint64 {
	all := map[string]uint64{}
	for reason, n := range r.engine.PortCounters(uint16(port)).Drops {
		if n != 0 {
			all[packet.Reason(reason).String()] = n
		}
	}
	return all
}
