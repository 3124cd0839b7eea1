package route

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

func TestNoAllocationsRouting(t *testing.T) {
	narrow := routedNetwork()
	narrow.Segments[1].MTU = 500
	for _, row := range []struct {
		why    string
		config Config
		frames []string
		drop   packet.Reason // that must happen, so that the row tests what it says
	}{
		{"a flow that is decided again and again, for its errors", routedNetwork(), []string{"udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1" + fromWeb}, packet.TTLExceeded},
		{"an IPv6 packet that is too long", routedNetwork(), []string{"udp [fd00:1::a]:1 > [fd00:2::a]:2 len 1400" + fromWeb}, packet.FragmentationNeeded},
		{"an IPv4 packet that is cut", narrow, []string{"udp 10.0.1.10:1 > 10.0.2.10:2 len 1400" + fromWeb}, packet.TxQueueFull},
		{"a ping that is answered", routedNetwork(), []string{"icmp 10.0.1.10 > 10.0.1.1 echo id 1 seq 1" + fromWeb}, packet.None},
		{"neighbours that are asked for and given up, over and over", routedNetwork(), []string{strings.TrimPrefix(toUnknown, "1 ") + " len 20" + fromWeb, "udp [fd00:1::a]:1 > [fd00:2::4d]:2" + fromWeb}, packet.NeighborUnresolved},
		{"a route that leads nowhere", routedNetwork(), []string{"udp 10.0.1.10:1 > 10.9.9.1:2" + fromWeb}, packet.NoRoute},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := generated(t, row.config, row.frames...)
			turn := func() {
				n.now += 250e6
				n.step()
			}
			for range 100 {
				turn()
			}
			require.Zero(t, testing.AllocsPerRun(100, turn))
			if row.drop != packet.None {
				require.NotZero(t, n.drops()[row.drop])
			}
		})
	}
}

// checkNeighbors holds the table's lists and counts against its entries. The
// clocks of the workers that filled it were at most apart nanoseconds apart: a
// queue is in the order of arrival, so that much its due times may go back.
func checkNeighbors(t *testing.T, table *neighborTable, apart int64) {
	t.Helper()
	table.mu.Lock()
	defer table.mu.Unlock()
	used, unresolved, held := map[uint32]bool{}, 0, 0
	hops := 0
	for id := uint32(1); id < uint32(len(table.entries)); id++ {
		e := &table.entries[id]
		if e.mode() == neighborAbsent {
			continue
		}
		used[id] = true
		unresolved += unresolvedOne(e.mode())
		held += e.waits()
		require.Equal(t, id, table.find(e.zone(), e.addr()).id, "the index finds every entry")
		if hop := uint32(e.hop.Load()); hop != 0 {
			hops++
			require.Equal(t, id, table.byHop[hop].Load())
		}
		chained := false
		for c := *table.chain(e.zone(), e.at.Load()&macBits); c != 0; c = table.entries[c].macNext {
			chained = chained || c == id
		}
		require.Equal(t, e.at.Load() != 0, chained, "who has a MAC address is in its chain")
	}
	require.Len(t, table.free, len(table.entries)-1-len(used))
	require.Equal(t, unresolved, table.unresolved)
	require.Equal(t, held, table.held)
	queued := 0
	for q := range table.queues {
		prev, due := uint32(0), int64(0)
		for id := table.queues[q].head; id != 0; id = table.entries[id].next {
			e := &table.entries[id]
			require.True(t, used[id])
			require.Equal(t, prev, e.prev)
			require.GreaterOrEqual(t, e.due, due-apart, "the first is due first")
			prev, due = id, max(due, e.due)
			queued++
		}
		require.Equal(t, prev, table.queues[q].tail)
	}
	require.Equal(t, len(used), queued, "every entry is in one queue")
}

// operate does something random to the table at time now.
func operate(f *Forwarder, r *rand.Rand, now int64) {
	table := f.state.routers.neighbors
	ip := packet.AddrFrom4(&[4]byte{10, 0, 2, byte(100 + r.IntN(100))})
	at := host{packet.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}, uint16(3 + r.IntN(2))}
	switch r.IntN(6) {
	case 0, 1:
		table.learn(f, 2, ip, at, now)
	case 2:
		s := table.find(2, ip)
		if s.id != 0 {
			table.use(s.id, now)
			f.confirm(2, ip, s.host.mac, now)
		}
	case 3:
		f.macMoved(2, at.mac, at.port*uint16(r.IntN(2)))
	case 4:
		table.next(f, now)
	case 5:
		table.mu.Lock()
		if id, e := table.entryOf(2, ip); id == 0 {
			table.add(2, ip, false, now)
		} else if e.mode() == neighborKnown {
			table.rehop(f, id)
		}
		table.mu.Unlock()
	}
}

// TestNeighborTable: whatever happens, lists, counts and hops agree.
func TestNeighborTable(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	fixed, _ := n.engine.Hops().Used()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		n.now += r.Int64N(2e9)
		operate(n.fwd, r, n.now)
		if i%50 == 0 {
			checkNeighbors(t, n.state.routers.neighbors, 0)
		}
	}
	n.fwd.adoptRouters(nil, map[packet.Zone]bool{1: true, 2: true, 3: true})
	checkNeighbors(t, n.state.routers.neighbors, 0)
	for range 200 {
		n.now += 11e9
		n.fwd.tickRouters(n.engine.Worker(0), n.now)
	}
	n.step()
	n.sent()
	require.Empty(t, n.state.Neighbors(), "in the end all is forgotten")
	used, _ := n.engine.Hops().Used()
	require.Equal(t, fixed, used, "and every hop given back")
}

// TestNeighborTableWorkers: several workers change it while others look.
func TestNeighborTableWorkers(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	var wg sync.WaitGroup
	for k := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(k, 7))
			now := n.now
			for range 2000 {
				now += r.Int64N(1e9)
				operate(n.fwd, r, now)
				ip := packet.AddrFrom4(&[4]byte{10, 0, 2, byte(100 + r.IntN(100))})
				if h, found := n.fwd.neighborAt(2, ip); found && (h.port < 3 || h.port > 4 || h.mac[0] != 2) {
					t.Errorf("found a neighbour that nobody was: %+v", h)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkRoute(b *testing.B) {
	for _, row := range []struct{ name, frame string }{
		{"known flow", "udp 10.0.1.10:1 > 10.0.2.10:2" + fromWeb},
		{"decided", "icmp 10.0.1.10 > 10.0.2.10 unreachable port quote { udp 10.0.2.10:1 > 10.0.1.10:2 }" + fromWeb},
		{"ttl exceeded", "udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1" + fromWeb},
		{"cut in two", "udp 10.0.1.10:1 > 10.0.2.10:2 len 1472" + fromWeb},
	} {
		b.Run(row.name, func(b *testing.B) {
			n := generated(b, routedNetwork(), row.frame)
			sink, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{frameOf(b, "udp 10.0.0.9:1 > 10.0.0.2:2")}})
			require.NoError(b, err)
			for i := range n.devices {
				if i != 1 {
					n.devices[i] = sendOnly{sink}
				}
			}
			n.apply(n.config)
			b.ReportAllocs()
			for b.Loop() {
				n.now += 1000
				n.step()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/dataplane.VectorSize, "ns/pkt")
		})
	}
}
