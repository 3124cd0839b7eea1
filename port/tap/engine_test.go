package tap

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// patch decides that what enters by one of two ports leaves by the other.
type patch struct{ hop, gen [3]uint32 }

func (p *patch) Decide(d *dataplane.Decision) {
	to := 3 - d.In.Number
	d.Forward(p.hop[to], p.gen[to])
}

// TestEngineSwitches lets two kernels (or two namespaces of one) talk TCP
// through a running engine, then takes one of the interfaces away.
//
//	namespace a                 engine                  namespace b
//	10.9.0.1 ── t0 (1 queue) ── port 1 ══ port 2 ── (2 queues) t0 ── 10.9.0.2
func TestEngineSwitches(t *testing.T) {
	for _, row := range []struct {
		why     string
		offload [3]bool // of the ports
	}{
		{"by default streams pass as super-frames", [3]bool{1: true, 2: true}},
		{"without offloads as plain frames", [3]bool{}},
		{"the engine cuts super-frames for whoever can't take them", [3]bool{1: true}},
	} {
		t.Run(row.why, func(t *testing.T) { engineSwitches(t, row.offload) })
	}
}

func engineSwitches(t *testing.T, offload [3]bool) {
	a, b := newNamespace(t), newNamespace(t)
	ports := []*Port{
		nil,
		a.open(Config{Name: "t0", Up: true, Offload: offload[1]}),
		b.open(Config{Name: "t0", Up: true, Offload: offload[2], Queues: 2}),
	}
	for i, ns := range []*namespace{a, b} {
		ns.quiet("t0")
		ns.address("t0", [4]byte{10, 9, 0, byte(i + 1)})
	}

	const zone = packet.Zone(7)
	const workers = 2
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 4096, Supers: 128})
	require.NoError(t, err)
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

	// A megabyte there and back.
	message := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var listener *net.TCPListener
	b.do(func() (err error) {
		listener, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(10, 9, 0, 2), Port: 80})
		return err
	})
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.AcceptTCP()
		if err == nil {
			_, err = io.Copy(struct{ io.Writer }{conn}, conn) // not by splice, whose pipes Go keeps
			conn.Close()
		}
		served <- err
	}()
	var conn net.Conn
	a.do(func() (err error) { conn, err = net.DialTimeout("tcp4", "10.9.0.2:80", patience); return err })
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	go func() {
		_, _ = conn.Write(message)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	echo, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, <-served)
	require.True(t, bytes.Equal(message, echo), "%d of %d bytes came back", len(echo), len(message))
	require.NotZero(t, table.Stats().Created, "the session was tracked")
	for n := 1; n <= 2; n++ {
		// More than the MTU on average, although acknowledgements are frames, too.
		counted := engine.PortCounters(uint16(n))
		require.Equal(t, offload[n], counted.RxBytes > 1514*counted.RxPackets, "port %d: %d bytes in %d frames", n, counted.RxBytes, counted.RxPackets)
	}

	// One end goes away under the engine: its frames are dropped for that
	// reason, the other port goes on, and nothing spins.
	b.remove("t0")
	w := a.wire("t0")
	for n := 0; engine.PortCounters(1).Drops[packet.PortDown] < 10; n++ {
		w.send(pattern(60, n))
		if n%64 == 0 {
			time.Sleep(time.Millisecond) // lets the workers have the processor
		}
		require.Less(t, n, 1_000_000, "no frame was dropped: %+v", engine.PortCounters(1).Drops)
	}
	require.Error(t, ports[2].Err())
	require.Equal(t, -1, ports[2].FD(0))
	require.NoError(t, ports[1].Err())

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
}
