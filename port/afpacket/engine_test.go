package afpacket

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// patch decides that what enters by one of two ports leaves by the other.
type patch struct{ hop, gen [3]uint32 }

func (p *patch) Decide(d *dataplane.Decision) {
	to := 3 - d.In.Number
	d.Forward(p.hop[to], p.gen[to])
}

// TestEngineSwitches lets two pods talk TCP through a running engine: by
// super-frames with one, and with the other by frames as on a wire.
//
//	pod 1: eth0 ═══ p1: port 1, 2 queues ── engine, 2 workers ── port 2 (offload: none): p2 ═══ eth0 :pod 2
func TestEngineSwitches(t *testing.T) {
	h := host(t)
	ends := pods(t, h, netnstest.VethOptions{})
	const zone = packet.Zone(7)
	const workers = 2
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 4096, Supers: 256})
	require.NoError(t, err)
	var kits Kits
	ports := []*Port{nil}
	for i, e := range ends {
		p, err := Open(Config{
			Name: e.device, NetNS: h.Name, Queues: 2 - i, Offload: i == 0, Exclusive: true, Arena: arena, Kits: &kits,
		})
		require.NoError(t, err)
		ports = append(ports, p)
	}
	table, err := flowtable.New(flowtable.Config{Sessions: 1024, Workers: workers})
	require.NoError(t, err)
	frags, err := flowtable.NewFragments(flowtable.FragmentConfig{})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(8)
	engine, err := dataplane.New(dataplane.Config{
		Workers: workers, Ports: 2, Arena: arena, Table: table, Fragments: frags, Hops: hops,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		engine.Stop()
		require.NoError(t, ports[1].Close())
		require.NoError(t, ports[2].Close())
		require.NoError(t, table.Close())
		require.NoError(t, arena.Close())
	})
	decider := &patch{}
	snapshot := &dataplane.Snapshot{
		Epoch: 1, Deciders: []dataplane.Step{{Name: "patch", Decider: decider}}, Ports: make([]*dataplane.PortConfig, 3),
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
		},
	}
	for n := 1; n <= 2; n++ {
		caps := ports[n].Caps()
		snapshot.Ports[n] = &dataplane.PortConfig{
			Number: uint16(n), Name: ports[n].Name(), Port: ports[n], Caps: caps, Queues: caps.Queues, MTU: caps.MTU,
			VLAN: dataplane.Attachment{Untagged: zone},
		}
		decider.hop[n], decider.gen[n], err = hops.New(dataplane.Hop{Port: uint16(n), Zone: zone})
		require.NoError(t, err)
	}
	require.NoError(t, engine.Publish(snapshot))
	require.NoError(t, engine.Start(dataplane.RunConfig{Idle: dataplane.DefaultIdle}))

	message := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	l := listen(t, ends[1].NS, "10.9.0.2:80")
	served := make(chan error, 1)
	for round := range 2 {
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, err = io.Copy(struct{ io.Writer }{conn}, conn)
				conn.Close()
			}
			served <- err
		}()
		conn := dial(t, ends[0].NS, "10.9.0.2:80")
		go func() {
			_, _ = conn.Write(message)
			_ = conn.(*net.TCPConn).CloseWrite()
		}()
		echo, err := io.ReadAll(conn)
		require.NoError(t, err, "round %d", round)
		require.NoError(t, <-served)
		require.True(t, bytes.Equal(message, echo), "%d of %d bytes came back", len(echo), len(message))
		if round == 0 {
			// Both devices go down and up again; the ports stay, and the engine
			// hears them.
			for _, e := range ends {
				h.Down(e.device)
			}
			for _, e := range ends {
				h.Up(e.device)
				until(t, func() bool { return ports[1].Caps().Up || e.device == "p2" }, "up again")
			}
			until(t, func() bool { return ports[2].Caps().Up }, "up again")
		}
	}
	in, out := ports[1].Counters(), ports[2].Counters()
	require.Less(t, in.Received, uint64(len(message)/1448), "super-frames came")
	require.Greater(t, out.Sent, uint64(2*len(message)/1500), "and went as frames")
	require.Zero(t, in.TxErrors+out.TxErrors+in.RxRefused+out.RxRefused)

	engine.Stop()
	ledger := engine.Ledger()
	require.Zero(t, ledger.Unexplained, "%+v", ledger)
	for n := 1; n <= 2; n++ {
		counted, own := engine.PortCounters(uint16(n)), ports[n].Counters()
		require.Equal(t, own.Received, counted.RxPackets, "port %d", n)
		require.Equal(t, own.Sent, counted.TxPackets, "port %d", n)
	}
	_, crashes := engine.Crashes()
	require.Zero(t, crashes)
	kits.Close()
}
