package route

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// tableOf makes a table with a forwarder of learningSegment.
func tableOf(t testing.TB, capacity int) (*macTable, *Forwarder, *dataplane.HopTable) {
	t.Helper()
	hops := dataplane.NewHopTable(capacity + 8)
	s, err := NewState(StateConfig{Hops: hops, Ports: testbedPorts, MACs: capacity, Seed: 7})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	c := learningSegment()
	f, err := Compile(&c, s)
	require.NoError(t, err)
	s.Adopt(f)
	return s.macs, f, hops
}

// TestTableModel holds the table against a map: learning, moving, use, aging,
// in random order, until it is full and long after.
func TestTableModel(t *testing.T) {
	const capacity, addresses = 100, 150
	table, f, hops := tableOf(t, capacity)
	type place struct {
		port uint16
		used int64
	}
	model := map[uint64]place{}
	var members [4]member
	for p := uint16(1); p <= 3; p++ {
		require.NotNil(t, f.memberOf(p, 1))
		m := *f.memberOf(p, 1)
		m.learning.MoveLimit = 0
		m.learning.AgingNs = int64(20 * time.Second)
		members[p] = m
	}
	r := rand.New(rand.NewPCG(1, 2))
	now := int64(0)
	var gone [sweepSize]stationKey
	for range 20000 {
		now += r.Int64N(int64(200 * time.Millisecond))
		mac := 2 | r.Uint64N(addresses)<<8
		port := uint16(1 + r.IntN(3))
		switch r.IntN(10) {
		case 0:
			for _, k := range gone[:table.sweep(now, &gone)] {
				p, found := model[k.mac]
				require.True(t, found, "only what is known is forgotten")
				require.Greater(t, now-p.used, int64(20*time.Second)-usedGrain)
				delete(model, k.mac)
			}
			for mac, p := range model {
				require.LessOrEqual(t, now-p.used, int64(20*time.Second)+usedGrain, "%x should have aged", mac)
			}
		default:
			if table.use(1, mac, port, now) {
				require.Equal(t, port, model[mac].port)
				model[mac] = place{port, now}
				break
			}
			what, at := table.learn(f, &members[port], 1, mac, now)
			require.Equal(t, port, at)
			if _, found := model[mac]; found {
				require.Equal(t, lessonMoved, what)
			} else if len(model) == capacity {
				require.Equal(t, lessonFull, what)
				break
			} else {
				require.Equal(t, lessonLearned, what)
			}
			model[mac] = place{port, now}
		}
		for range 3 {
			mac := 2 | r.Uint64N(addresses)<<8
			at, found := table.find(1, mac)
			p, known := model[mac]
			require.Equal(t, known, found)
			if known {
				require.Equal(t, p.port, at.port)
				require.True(t, hops.Valid(at.hop.index, at.hop.gen))
				require.Equal(t, p.port, hops.Lookup(at.hop.index).Port)
			}
			_, found = table.find(2, mac)
			require.False(t, found, "another zone has other addresses")
		}
		used, _ := hops.Used()
		require.Equal(t, len(model), used, "each address has a hop, and no more are in use")
	}
	counts := map[uint16]int32{}
	for _, p := range model {
		counts[p.port]++
	}
	for p := uint16(1); p <= 3; p++ {
		require.Equal(t, counts[p], table.learned[p].Load())
	}
}

// TestTableReaders: readers never see the place of another address, whatever
// writers do. An address lives at the port that its number says, or at one of two.
func TestTableReaders(t *testing.T) {
	table, f, _ := tableOf(t, 32)
	var members [4]member
	for p := uint16(1); p <= 3; p++ {
		members[p] = *f.memberOf(p, 1)
		members[p].learning = Learning{Enabled: true, AgingNs: 1}
	}
	const addresses, rounds = 64, 3000
	var stop, readers sync.WaitGroup
	done := make(chan struct{})
	for g := range 2 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			r := rand.New(rand.NewPCG(3, uint64(g)))
			for {
				select {
				case <-done:
					return
				default:
				}
				i := r.Uint64N(addresses)
				at, found := table.find(1, 2|i<<8)
				if found && at.port != uint16(1+i%3) {
					t.Errorf("address %d was seen at port %d", i, at.port)
					return
				}
			}
		}()
	}
	for g := range 2 {
		stop.Add(1)
		go func() {
			defer stop.Done()
			r := rand.New(rand.NewPCG(4, uint64(g)))
			var gone [sweepSize]stationKey
			for round := range rounds {
				i := r.Uint64N(addresses)
				now := int64(round) * minAging / 16
				table.learn(f, &members[1+i%3], 1, 2|i<<8, now)
				table.sweep(now, &gone)
			}
		}()
	}
	stop.Wait()
	close(done)
	readers.Wait()
}

// TestWorkersShareAddresses: several workers learn, move, age and answer at
// once; the books balance at the end.
func TestWorkersShareAddresses(t *testing.T) {
	c := boundSegment()
	c.Segments[0].Learning.MoveLimit = 0
	c.Segments[0].Learning.AgingNs = 1
	n := newTestbedOf(t, 2, c)
	var workers sync.WaitGroup
	for i := range n.engine.Workers() {
		workers.Add(1)
		go func() {
			defer workers.Done()
			w := n.engine.Worker(i)
			// Port 3 is polled by worker 1, port 4 by worker 0; each address comes in by both.
			port := n.ports[uint16(4-i)]
			for turn := range 300 {
				host := byte(100 + turn%20)
				var frame [60]byte
				copy(frame[:], []byte{0x0a, 0x58, 10, 0, 0, 100 + byte(turn+7)%20, 0x0a, 0x58, 10, 0, 0, host, 0x88, 0xb5})
				port.Inject(frame[:], arpRequest(host, 2), arpRequest(host, 254))
				w.Step(int64(time.Hour) + int64(turn)*minAging/16)
			}
		}()
	}
	workers.Wait()
	stats := n.state.MACStats()
	require.NotZero(t, stats.Learned)
	require.NotZero(t, stats.Aged)
	n.step()
	n.sent()
}

// arpRequest is a frame from the MAC of 10.0.0.HOST, without an address yet, that asks for 10.0.0.TARGET.
func arpRequest(host, target byte) []byte {
	frame := make([]byte, packet.EthernetSize+packet.ARPSize)
	eth := packet.EthernetFields{Dst: packet.Broadcast, Src: hostMAC(host), Type: packet.EtherTypeARP}
	arp := packet.ARPFields{
		Op: packet.ARPRequest, SenderMAC: hostMAC(host),
		SenderIP: unspecified4, TargetIP: packet.AddrFrom4(&[4]byte{10, 0, 0, target}),
	}
	arp.Put(frame[eth.Put(frame):])
	return frame
}

// FuzzDecide: whatever comes in, nothing panics, and the books balance.
func FuzzDecide(f *testing.F) {
	for _, line := range []string{
		"udp 10.0.0.1:1 > 10.0.0.2:2",
		"arp 10.0.0.1 who-has 10.0.0.2",
		"arp 10.0.0.1 who-has 10.0.0.254 cut 30",
		"icmp6 fd00::1 > ff02::1:ff00:2 ns target fd00::2 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:02",
		"icmp6 fd00::1 > fd00::2 na target fd00::1 lladdr 0a:58:0a:00:00:01 solicited eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02",
		"icmp6 :: > ff02::2 rs eth 0a:58:0a:00:00:01 > 33:33:00:00:00:02",
		"icmp 10.0.0.1 > 10.0.0.2 unreachable port quote { udp 10.0.0.2:9 > 10.0.0.1:53 len 12 }",
		"ether type 0x88cc eth 0a:58:0a:00:00:01 > 01:80:c2:00:00:0e len 46",
	} {
		f.Add(byte(1), frameOf(f, line))
		f.Add(byte(4), frameOf(f, line))
	}
	f.Fuzz(func(t *testing.T, port byte, frame []byte) {
		if len(frame) == 0 || len(frame) > 1700 {
			return
		}
		n := newTestbed(t, boundSegment())
		number := uint16(1 + port%4)
		n.ports[number].Inject(frame)
		n.step()
		for _, p := range n.ports {
			for _, out := range p.Sent() {
				var in packet.Info
				require.Equal(t, packet.None, packet.Parse(out.Data, &in), "what is sent can be read")
			}
		}
		// The books are looked at when the testbed is closed.
	})
}
