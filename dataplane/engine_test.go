package dataplane_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

func memPorts(n int) (ports []dataplane.Port) {
	for range n {
		ports = append(ports, mem.New(mem.Config{}))
	}
	return ports
}

const (
	udpText   = "udp 10.0.0.1:9 > 10.0.0.2:53 len 12"
	replyText = "udp 10.0.0.2:53 > 10.0.0.1:9 len 12"
)

// counting is a decider that counts what it is asked.
type counting struct {
	n  int
	do func(d *dataplane.Decision)
}

func (c *counting) Decide(d *dataplane.Decision) { c.n++; c.do(d) }

func TestPermits(t *testing.T) {
	type world struct {
		*rig
		asked    *counting
		hop, gen uint32
	}
	for _, row := range []struct {
		why    string
		before string // what makes the permit; udpText if empty
		change func(w *world)
		frame  string
		again  bool // the decider is asked once more
	}{
		{why: "a second packet of a flow is not decided again", frame: udpText},
		{why: "another flow is", frame: "udp 10.0.0.1:10 > 10.0.0.2:53", again: true},
		{why: "another length makes no difference", frame: "udp 10.0.0.1:9 > 10.0.0.2:53 len 900"},
		{
			why: "a new epoch asks for the permit again", frame: udpText, again: true,
			change: func(w *world) { w.publish(w.asked, nil) },
		},
		{
			why: "a hop that has changed asks again", frame: udpText, again: true,
			change: func(w *world) {
				w.gen = w.hops.Set(w.hop, dataplane.Hop{Port: 2, Zone: testZone, MTU: 1000})
			},
		},
		{why: "a permit is for the destination MAC it was given for", frame: udpText + " eth 0a:58:0a:00:00:01 > 02:00:00:00:00:99", again: true},
		{why: "a permit is for the source MAC it was given for", frame: udpText + " eth 02:00:00:00:00:99 > 0a:58:0a:00:00:02", again: true},
		{
			why: "a packet longer than the hop's MTU is decided each time", frame: "udp 10.0.0.1:9 > 10.0.0.2:53 len 1000", again: true,
			change: func(w *world) {
				w.gen = w.hops.Set(w.hop, dataplane.Hop{Port: 2, Zone: testZone, MTU: 1000})
				w.send(1, udpText)
				w.asked.n = 1
			},
		},
		{why: "a TTL of 1 does not matter to a bridged frame", frame: udpText + " ttl 1"},
		{
			why: "a TTL of 1 is decided where it is routed", frame: udpText + " ttl 1", again: true,
			change: func(w *world) {
				w.gen = w.hops.Set(w.hop, dataplane.Hop{Port: 2, Zone: testZone, Flags: dataplane.HopRouted})
				w.send(1, udpText)
				w.asked.n = 1
			},
		},
		{why: "a wrong header checksum does not matter to a bridged frame", frame: udpText + " badipcsum"},
		{
			why: "a wrong header checksum is decided where it is routed", frame: udpText + " badipcsum", again: true,
			change: func(w *world) {
				w.gen = w.hops.Set(w.hop, dataplane.Hop{Port: 2, Zone: testZone, Flags: dataplane.HopRouted})
				w.send(1, udpText)
				w.asked.n = 1
			},
		},
		{
			why: "frames without sessions are decided each time", before: "ether type 0x88b5 len 46 eth 02:00:00:00:00:01 > 02:00:00:00:00:02",
			frame: "ether type 0x88b5 len 46 eth 02:00:00:00:00:01 > 02:00:00:00:00:02", again: true,
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			w := &world{rig: newRig(t, rigConfig{ports: memPorts(2), debug: true})}
			w.hop, w.gen = w.rig.hop(dataplane.Hop{Port: 2})
			w.asked = &counting{do: func(d *dataplane.Decision) { d.Forward(w.hop, w.gen) }}
			w.publish(w.asked, nil)
			if row.before == "" {
				row.before = udpText
			}
			w.send(1, row.before)
			require.Equal(t, 1, w.asked.n)
			if row.change != nil {
				row.change(w)
			}
			w.sent(2)
			w.send(1, row.frame)
			require.Equal(t, row.again, w.asked.n == 2, "asked %d times", w.asked.n)
			require.Len(t, w.sent(2), 1)
			require.Empty(t, w.drops(1))
		})
	}
}

func TestReplyHasAPermitOfItsOwn(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	to1, gen1 := r.hop(dataplane.Hop{Port: 1})
	to2, gen2 := r.hop(dataplane.Hop{Port: 2})
	var dirs []flowtable.Dir
	var sessions []flowtable.ID
	r.publish(deciderFunc(func(d *dataplane.Decision) {
		sessions = append(sessions, d.Session)
		dirs = append(dirs, d.Session.Dir())
		if d.In.Number == 1 {
			d.Forward(to2, gen2)
		} else {
			d.Forward(to1, gen1)
		}
	}), nil)
	r.send(1, udpText)
	r.send(2, replyText)
	r.send(2, replyText)
	require.Len(t, sessions, 2, "first packet and first reply")
	require.Zero(t, sessions[0], "the first packet has no session yet")
	require.NotZero(t, sessions[1], "the reply has one")
	require.Equal(t, flowtable.Reply, dirs[1])
	require.Equal(t, []string{udpText}, r.sent(2))
	require.Equal(t, []string{replyText, replyText}, r.sent(1))
}

func TestOutcomes(t *testing.T) {
	for _, row := range []struct {
		why    string
		decide func(d *dataplane.Decision)
		ledger dataplane.Ledger
		drops  map[string]uint64
	}{
		{
			"a decider drops for a reason", func(d *dataplane.Decision) { d.Drop(packet.PolicyDenied) },
			dataplane.Ledger{Received: 1, Dropped: 1},
			map[string]uint64{"POLICY_DENIED": 1},
		},
		{
			"a frame for the switch is consumed", func(d *dataplane.Decision) { d.Consume() },
			dataplane.Ledger{Received: 1, Consumed: 1},
			map[string]uint64{},
		},
		{
			"a frame nobody decides about is dropped all the same", func(*dataplane.Decision) {},
			dataplane.Ledger{Received: 1, Dropped: 1},
			map[string]uint64{"NO_DESTINATION": 1},
		},
		{
			"a hop that is gone is no destination", func(d *dataplane.Decision) { d.Forward(99, 1) },
			dataplane.Ledger{Received: 1, Dropped: 1},
			map[string]uint64{"NO_DESTINATION": 1},
		},
		{
			"a hop beyond the table is no destination", func(d *dataplane.Decision) { d.Forward(1<<31, 1) },
			dataplane.Ledger{Received: 1, Dropped: 1},
			map[string]uint64{"NO_DESTINATION": 1},
		},
		{
			"a flood list that does not exist has no receivers", func(d *dataplane.Decision) { d.Flood(5) },
			dataplane.Ledger{Received: 1, Dropped: 1},
			map[string]uint64{"NO_DESTINATION": 1},
		},
		{
			"a flood goes to all ports but the one it came from", func(d *dataplane.Decision) { d.Flood(0) },
			dataplane.Ledger{Received: 1, Replicated: 1, Transmitted: 2},
			map[string]uint64{},
		},
		{"an answer is a frame more", func(d *dataplane.Decision) {
			b, f := d.W.Generate(64, d.In.Number)
			copy(f, d.Frame())
			d.W.Send(d.In.Number, b, dataplane.Tags{})
			d.Consume()
		}, dataplane.Ledger{Received: 1, Generated: 1, Transmitted: 1, Consumed: 1}, map[string]uint64{}},
		{"an answer to a port that is gone is dropped", func(d *dataplane.Decision) {
			b, _ := d.W.Generate(64, d.In.Number)
			d.W.Send(60, b, dataplane.Tags{})
			d.Consume()
		}, dataplane.Ledger{Received: 1, Generated: 1, Dropped: 1, Consumed: 1}, map[string]uint64{"PORT_UNKNOWN": 1}},
		{"a frame put aside is queued, and discarded later is dropped", func(d *dataplane.Decision) {
			d.Hold()
			d.W.Discard(d.Buf, packet.NeighborUnresolved)
		}, dataplane.Ledger{Received: 1, Dropped: 1}, map[string]uint64{"NEIGHBOR_UNRESOLVED": 1}},
	} {
		t.Run(row.why, func(t *testing.T) {
			r := newRig(t, rigConfig{ports: memPorts(3), debug: true})
			r.publish(deciderFunc(row.decide), func(s *dataplane.Snapshot) {
				s.Floods = [][]dataplane.FloodTarget{{{Port: 1}, {Port: 2}, {Port: 3}}}
			})
			r.send(1, udpText)
			c := r.engine.PortCounters(1)
			require.Equal(t, row.ledger, c.Ledger())
			require.Equal(t, row.drops, r.drops(1))
			require.Equal(t, row.ledger, r.engine.Ledger())
		})
	}
}

func TestHeldFramesComeBack(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	hop, gen := r.hop(dataplane.Hop{Port: 2})
	var waiting []packet.Index
	r.publish(deciderFunc(func(d *dataplane.Decision) {
		if d.In.Number == 1 && waiting == nil {
			waiting = append(waiting, d.Buf)
			d.Hold()
			return
		}
		for _, b := range waiting {
			d.W.Release(b)
		}
		waiting = waiting[:0]
		d.Forward(hop, gen)
	}), nil)
	r.send(1, udpText)
	require.Equal(t, int64(1), r.engine.Ledger().Queued)
	require.Empty(t, r.sent(2))
	r.send(1, "udp 10.0.0.1:77 > 10.0.0.2:53")
	require.Equal(t, []string{"udp 10.0.0.1:77 > 10.0.0.2:53", udpText}, r.sent(2), "after the frame that set it free")
	require.Zero(t, r.engine.Ledger().Queued)
	require.Equal(t, uint64(2), r.engine.PortCounters(1).RxPackets, "coming back is not being received")
}

func TestHeldFramesKeepTheirSegment(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2), debug: true})
	hop, gen := r.hop(dataplane.Hop{Port: 2})
	var zones []packet.Zone
	r.publish(deciderFunc(func(d *dataplane.Decision) {
		if zones = append(zones, d.Zone); len(zones) == 1 {
			d.Hold()
			d.W.Release(d.Buf)
			return
		}
		d.Forward(hop, gen)
	}), func(s *dataplane.Snapshot) {
		s.Ports[1].VLAN = dataplane.Attachment{Tagged: &[4096]packet.Zone{100: 42}}
	})
	r.send(1, udpText+" vlan 100")
	require.Equal(t, []packet.Zone{42, 42}, zones, "its tag is gone, its segment is not")
	require.Equal(t, []string{udpText}, r.sent(2))
	r.send(1, "ip 10.0.0.1 > 10.0.0.2 proto 17 id 5 off 1480 len 100 vlan 100")
	require.Equal(t, int64(1), r.engine.Ledger().Queued, "a fragment waits for the first")
	r.send(1, "udp 10.0.0.1:9 > 10.0.0.2:53 id 5 mf len 1472 vlan 100")
	require.Len(t, r.sent(2), 2, "and is found by it")
}

func TestDevices(t *testing.T) {
	for _, row := range []struct {
		why  string
		out  dataplane.Port
		want map[string]uint64
		sent uint64
	}{
		{"what a full device does not take is dropped", mem.New(mem.Config{TxCapacity: 1}), map[string]uint64{"TX_QUEUE_FULL": 2}, 1},
		{"a device that is down drops with its own reason", down(mem.New(mem.Config{})), map[string]uint64{"PORT_DOWN": 3}, 0},
		{"a driver that panics loses its frames, not the worker", panicking{tx: true}, map[string]uint64{"INTERNAL_ERROR": 3}, 0},
	} {
		t.Run(row.why, func(t *testing.T) {
			r := newRig(t, rigConfig{ports: []dataplane.Port{mem.New(mem.Config{}), row.out}})
			r.publish(toPort2(r, 0), nil)
			r.send(1, udpText, udpText, udpText)
			require.Equal(t, row.want, r.drops(1))
			require.Equal(t, row.sent, r.engine.PortCounters(2).TxPackets)
			require.Equal(t, row.sent, r.engine.PortCounters(1).Forwarded)
		})
	}
}

func down(p *mem.Port) *mem.Port { p.SetUp(false); return p }

func TestPortsComeAndGo(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(3), debug: true})
	decider := toPort2(r, 0)
	r.publish(decider, nil)
	r.send(1, udpText)
	r.publish(decider, func(s *dataplane.Snapshot) { s.Ports[2] = nil })
	r.send(1, udpText)
	require.Equal(t, map[string]uint64{"PORT_UNKNOWN": 1}, r.drops(1), "its frames are dropped with a reason")
	r.send(2, udpText)
	require.Equal(t, 1, r.ports[2].(*mem.Port).Waiting(), "it is not polled")
	r.publish(decider, nil)
	r.step()
	r.send(1, udpText)
	require.Len(t, r.sent(2), 3, "it is back, also for what waited at it")
}

// A snapshot may have more ports than there was room for: counts go on, and new ports
// start from zero.
func TestPortsMakeRoom(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(3), debug: true})
	decider := toPort2(r, 0)
	r.publish(decider, nil)
	r.send(1, udpText)
	require.Zero(t, r.engine.PortCounters(1000), "a port that there is no room for yet")
	r.engine.ResetCounters(1000)
	r.publish(decider, func(s *dataplane.Snapshot) {
		s.Ports = append(s.Ports, make([]*dataplane.PortConfig, 1000-len(s.Ports)+1)...)
		last := *s.Ports[2]
		last.Number, last.Name, last.Port = 1000, "last", mem.New(mem.Config{})
		s.Ports[1000] = &last
	})
	r.send(1, udpText)
	require.EqualValues(t, 2, r.engine.PortCounters(1).RxPackets)
	require.EqualValues(t, 2, r.engine.PortCounters(2).TxPackets)
	require.Zero(t, r.engine.PortCounters(1000))
	require.EqualValues(t, 2, r.engine.Ledger().Transmitted)
}

func TestPublishRefuses(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(1)})
	r.publish(toPort2(r, 0), nil)
	require.ErrorContains(t, r.engine.Publish(&dataplane.Snapshot{Epoch: 1}), "epoch 1 is in force")
	require.ErrorContains(t, r.engine.Publish(&dataplane.Snapshot{Epoch: 2, Ports: make([]*dataplane.PortConfig, dataplane.MaxPort+2)}), "beyond 65535")
	require.ErrorContains(t, r.engine.Publish(&dataplane.Snapshot{Epoch: 2, Ports: []*dataplane.PortConfig{nil, {Number: 3, Name: "x"}}}), "number 3 in place 1")
	_, err := dataplane.New(dataplane.Config{Workers: 257})
	require.ErrorContains(t, err, "workers: 257")
	require.ErrorContains(t, err, "ports: 0")
	require.ErrorContains(t, err, "arena")
}

func TestQueuesAreSharedOut(t *testing.T) {
	for _, row := range []struct {
		why             string
		workers, queues int
		want            [][]uint64 // by worker: frames it has received from a queue each
	}{
		{"one worker polls everything", 1, 4, [][]uint64{{4}}},
		{"queues go round the workers", 2, 4, [][]uint64{{2}, {2}}},
		{"more workers than queues leaves some idle", 3, 2, [][]uint64{{1}, {1}, {0}}},
		{"a port with one queue is polled by one worker", 2, 1, [][]uint64{{0}, {1}}},
	} {
		t.Run(row.why, func(t *testing.T) {
			in := mem.New(mem.Config{Queues: row.queues})
			r := newRig(t, rigConfig{workers: row.workers, ports: []dataplane.Port{in, mem.New(mem.Config{Queues: row.workers})}, debug: true})
			r.publish(toPort2(r, 0), nil)
			for q := range row.queues {
				in.InjectFrame(mem.Frame{Data: udpFlows(8)[q], Queue: q})
			}
			r.step()
			for i, want := range row.want {
				require.Equal(t, want[0], r.engine.Worker(i).Stats().Frames, "worker %d", i)
			}
			require.Equal(t, uint64(row.queues), r.engine.PortCounters(2).TxPackets)
		})
	}
}

// What a vector of 64 frames does must be what 64 vectors of one do: frames sent, in
// order, drops, and sessions.
func TestBatchesAreInvisible(t *testing.T) {
	var frames []string
	for i := range 200 {
		switch i % 7 {
		case 0, 1, 2:
			frames = append(frames, fmt.Sprintf("udp 10.0.0.1:%d > 10.0.0.2:53 len %d", i%5, i))
		case 3:
			frames = append(frames, fmt.Sprintf("tcp 10.0.0.1:%d > 10.0.0.2:80 S seq 1", i%3))
		case 4:
			frames = append(frames, fmt.Sprintf("ip 10.0.0.1 > 10.0.0.2 proto 17 id %d off 1480 len 100", i))
		case 5:
			frames = append(frames, "ether type 0x88b5 len 46 eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff")
		case 6:
			frames = append(frames, "raw 0a580a0000020a580a00000108004500")
		}
	}
	result := func(batch int) (sent []string, drops map[string]uint64, live int) {
		r := newRig(t, rigConfig{ports: memPorts(3), debug: true})
		hop, gen := r.hop(dataplane.Hop{Port: 2})
		r.publish(deciderFunc(func(d *dataplane.Decision) {
			if d.Info.Has(packet.ToMulticast) {
				d.Flood(0)
				return
			}
			d.Forward(hop, gen)
		}), func(s *dataplane.Snapshot) { s.Floods = [][]dataplane.FloodTarget{{{Port: 1}, {Port: 2}, {Port: 3}}} })
		for n := 0; n < len(frames); n += batch {
			r.send(1, frames[n:min(n+batch, len(frames))]...)
		}
		r.now += 20e9
		r.step()
		stats := r.table.Stats()
		return append(r.sent(2), r.sent(3)...), r.drops(1), stats.Live
	}
	sent, drops, live := result(1)
	require.NotEmpty(t, drops)
	for _, batch := range []int{3, 64, 200} {
		s, d, l := result(batch)
		require.Equal(t, sent, s, "batch of %d", batch)
		require.Equal(t, drops, d, "batch of %d", batch)
		require.Equal(t, live, l, "batch of %d", batch)
	}
}

func TestNoAllocations(t *testing.T) {
	for _, row := range []struct {
		why   string
		flows int
		flags dataplane.HopFlags
		flood bool
	}{
		{"switched frames of known flows", 100, 0, false},
		{"routed frames of known flows", 100, dataplane.HopRouted, false},
		{"first packets, with the table full of others", 4096, 0, false},
		{"floods", 100, 0, true},
		{"under observation", 100, dataplane.HopRouted, false},
	} {
		t.Run(row.why, func(t *testing.T) {
			generator, err := mem.NewGenerator(mem.GeneratorConfig{Frames: udpFlows(row.flows)})
			require.NoError(t, err)
			r := newRig(t, rigConfig{sessions: 1024, ports: []dataplane.Port{generator, mem.NewSink(1), mem.NewSink(1)}})
			decider := toPort2(r, row.flags)
			if row.flood {
				decider = deciderFunc(func(d *dataplane.Decision) { d.Flood(0) })
			}
			r.publish(decider, func(s *dataplane.Snapshot) {
				s.Floods = [][]dataplane.FloodTarget{{{Port: 2}, {Port: 3}}}
				if row.why == "under observation" {
					s.Taps = []dataplane.Tap{noTap{}}
				}
			})
			w := r.engine.Worker(0)
			turn := func() {
				r.now += 1e6
				w.Step(r.now)
			}
			for range 200 {
				turn()
			}
			require.Zero(t, testing.AllocsPerRun(200, turn))
		})
	}
}
