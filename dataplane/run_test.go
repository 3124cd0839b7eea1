package dataplane_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// eventually waits for what running workers are about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 30*time.Second, time.Millisecond, what)
}

// Several workers share a set of ports; sessions have their two directions on
// different workers; snapshots are published and ports come and go meanwhile. Nothing is
// lost without a reason, and nothing is sent by a port that is gone.
func TestWorkersShareEverything(t *testing.T) {
	const workers, queues, rounds = 4, 4, 60
	ports := []dataplane.Port{
		mem.New(mem.Config{Queues: queues}), mem.New(mem.Config{Queues: queues}), mem.New(mem.Config{}), mem.New(mem.Config{}),
	}
	r := newRig(t, rigConfig{workers: workers, sessions: 8192, ports: ports})
	to1, gen1 := r.hop(dataplane.Hop{Port: 1})
	to2, gen2 := r.hop(dataplane.Hop{Port: 2})
	decider := deciderFunc(func(d *dataplane.Decision) {
		switch {
		case d.Info.Has(packet.ToMulticast):
			d.Flood(0)
		case d.In.Number == 1:
			d.Forward(to2, gen2)
		default:
			d.Forward(to1, gen1)
		}
	})
	snapshot := func(fourth bool) func(*dataplane.Snapshot) {
		return func(s *dataplane.Snapshot) {
			s.Floods = [][]dataplane.FloodTarget{{{Port: 1}, {Port: 2}, {Port: 3}, {Port: 4}}}
			if !fourth {
				s.Ports[4] = nil
			}
		}
	}
	r.publish(decider, snapshot(true))
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}}))

	var sent [3]atomic.Uint64
	var wg sync.WaitGroup
	for side, port := range []int{1, 2} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p := r.ports[port].(*mem.Port)
			for round := range rounds {
				for i := range 64 {
					f := udpFlows(64)[i]
					if side == 1 { // the reply, by another queue
						copy(f[26:30], []byte{10, 1, 0, 1})
						copy(f[30:34], []byte{10, 0, 0, 0})
						f[34], f[35], f[36], f[37] = f[36], f[37], f[34], f[35]
					}
					if i == 63 {
						copy(f, packet.Broadcast[:])
					}
					p.InjectFrame(mem.Frame{Data: f, Queue: (i + side + round) % queues})
					sent[port].Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	for i := range 20 {
		r.publish(decider, snapshot(i%2 == 1))
		r.engine.Synchronize()
		if i%2 == 0 {
			// Port 4 is nobody's any more: what it sends from now on would be a defect.
			before := r.engine.PortCounters(4).TxPackets
			time.Sleep(2 * time.Millisecond)
			require.Equal(t, before, r.engine.PortCounters(4).TxPackets)
		}
	}
	wg.Wait()
	eventually(t, "all frames are received", func() bool {
		return r.engine.PortCounters(1).RxPackets == sent[1].Load() && r.engine.PortCounters(2).RxPackets == sent[2].Load()
	})
	r.engine.Stop()
	for port := 1; port <= 2; port++ {
		c := r.engine.PortCounters(uint16(port))
		l := c.Ledger()
		require.Zero(t, l.Unexplained, "port %d: %+v", port, l)
		require.Zero(t, l.Dropped, "port %d: %v", port, r.drops(port))
	}
	busy := 0
	for i := range workers {
		if r.engine.Worker(i).Stats().Frames > 0 {
			busy++
		}
	}
	require.Equal(t, workers, busy)
	require.Equal(t, 63, r.table.Stats().Live, "one session for both directions of each flow")
	var packets [2]uint64
	r.table.Sessions(func(s *flowtable.Record) bool {
		packets[0] += s.Packets[0]
		packets[1] += s.Packets[1]
		return true
	})
	// A direction's counters have one writer at a time; here queues take turns, so
	// that now and then two workers count at once and one count is lost.
	require.InDelta(t, 2*63*rounds, packets[0]+packets[1], 63*rounds/4)
	_, crashes := r.engine.Crashes()
	require.Zero(t, crashes)
}

func TestIdleWorkersSleepAndWakeUp(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2)})
	r.publish(toPort2(r, 0), nil)
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: 2 * time.Millisecond}}))
	w := r.engine.Worker(0)
	eventually(t, "it sleeps", func() bool { return w.Stats().Sleeps > 3 })
	r.ports[1].(*mem.Port).Inject(udpFlows(1)[0])
	eventually(t, "it wakes up", func() bool { return r.engine.PortCounters(2).TxPackets == 1 })
	require.Error(t, r.engine.Start(dataplane.RunConfig{}), "it runs already")
	r.engine.Stop()
	require.NoError(t, r.engine.Start(dataplane.RunConfig{}), "it can be started again")
}

func TestAWorkerThatNeverSleeps(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2)})
	r.publish(toPort2(r, 0), nil)
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: -1}}))
	r.ports[1].(*mem.Port).Inject(udpFlows(1)[0])
	eventually(t, "the frame goes through", func() bool { return r.engine.PortCounters(2).TxPackets == 1 })
	r.engine.Stop()
	require.Zero(t, r.engine.Worker(0).Stats().Sleeps)
}

func TestPinning(t *testing.T) {
	r := newRig(t, rigConfig{ports: memPorts(2)})
	r.publish(toPort2(r, 0), nil)
	require.ErrorContains(t, r.engine.Start(dataplane.RunConfig{CPUs: []int{0, 1}}), "2 CPUs are named for 1 workers")
	require.ErrorContains(t, r.engine.Start(dataplane.RunConfig{CPUs: []int{1023}}), "pin to CPU 1023")
	require.NoError(t, r.engine.Start(dataplane.RunConfig{CPUs: []int{0}}))
	r.ports[1].(*mem.Port).Inject(udpFlows(1)[0])
	eventually(t, "the frame goes through", func() bool { return r.engine.PortCounters(2).TxPackets == 1 })
}

// waiting is a port that can be waited for.
type waiting struct {
	*mem.Port
	fd int
}

func (w waiting) FD(int) int { return w.fd }

func TestAWorkerWaitsForDescriptors(t *testing.T) {
	fds := pipe(t)
	in := waiting{mem.New(mem.Config{}), fds[0]}
	r := newRig(t, rigConfig{ports: []dataplane.Port{in, mem.New(mem.Config{})}})
	r.publish(toPort2(r, 0), nil)
	// Asleep for an hour but for the descriptor.
	require.NoError(t, r.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Sleep: 16 * time.Hour, Nap: 16 * time.Hour}}))
	eventually(t, "it sleeps", func() bool { return r.engine.Worker(0).Stats().Sleeps > 0 })
	in.Inject(udpFlows(1)[0])
	wake(t, fds[1])
	eventually(t, "it is woken", func() bool { return r.engine.PortCounters(2).TxPackets == 1 })
	wake(t, fds[1]) // Stop waits for the turn's end
	r.engine.Stop()
}

func TestLimiter(t *testing.T) {
	for _, row := range []struct {
		why         string
		rate, burst uint32
		at          []int64 // ns
		want        []bool
	}{
		{"no limit", 0, 0, []int64{0, 0, 0}, []bool{true, true, true}},
		{"one a second", 1, 1, []int64{0, 1, 999_999_999, 1e9, 1e9}, []bool{true, false, false, true, false}},
		{"a burst, then the rate", 10, 3, []int64{0, 0, 0, 0, 1e8, 1e8}, []bool{true, true, true, false, true, false}},
		{"credit does not grow beyond the burst", 10, 2, []int64{0, 1e10, 1e10, 1e10}, []bool{true, true, true, false}},
		{"time that goes back a little gives nothing away", 10, 1, []int64{1e9, 9e8, 1.05e9, 1.1e9}, []bool{true, false, false, true}},
		{"a rate beyond the clock's resolution", 2e9, 1, []int64{0, 1}, []bool{true, true}},
	} {
		t.Run(row.why, func(t *testing.T) {
			l := dataplane.NewLimiter(row.rate, row.burst)
			for i, at := range row.at {
				require.Equal(t, row.want[i], l.Take(at), "take %d at %d", i, at)
			}
		})
	}
}

func TestLimiterIsExactAmongWorkers(t *testing.T) {
	l := dataplane.NewLimiter(1000, 10)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for now := int64(0); now < 1e9; now += 1e5 {
				if l.Take(now) {
					taken.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	require.InDelta(t, 1009, taken.Load(), 1)
}

func TestHopTable(t *testing.T) {
	hops := dataplane.NewHopTable(2)
	h := dataplane.Hop{
		Port: 7, Flags: dataplane.HopRouted, Zone: 5, MTU: 1400, Tags: dataplane.Tags{Outer: 100, Inner: 200},
		DstMAC: packet.MAC{1, 2, 3, 4, 5, 6}, SrcMAC: packet.MAC{7, 8, 9, 10, 11, 12},
	}
	a, genA, err := hops.New(h)
	require.NoError(t, err)
	require.Equal(t, h, hops.Lookup(a), "it is what was stored")
	b, genB, err := hops.New(dataplane.Hop{Port: 8})
	require.NoError(t, err)
	require.Zero(t, hops.Lookup(b).MTU, "no limit is no limit")
	_, _, err = hops.New(h)
	require.ErrorIs(t, err, dataplane.ErrHopsExhausted)
	require.True(t, hops.Valid(a, genA))
	genA2 := hops.Set(a, dataplane.Hop{Port: 9})
	require.False(t, hops.Valid(a, genA), "a change is a new generation")
	require.True(t, hops.Valid(a, genA2))
	hops.Free(b)
	require.False(t, hops.Valid(b, genB))
	c, genC, err := hops.New(h)
	require.NoError(t, err)
	require.Equal(t, b, c, "the index is used again")
	require.NotEqual(t, genB, genC, "under another generation")
	used, size := hops.Used()
	require.Equal(t, "2 of 2", fmt.Sprintf("%d of %d", used, size))
	require.False(t, hops.Valid(1<<30, 1))
}
