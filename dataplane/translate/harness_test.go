package translate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// Ports of a testbed: what comes in by one leaves by the other.
const (
	inside  = 1
	outside = 2
)

// testbed is an engine between two ports. Its decider translates as becomes says.
type testbed struct {
	t       testing.TB
	engine  *dataplane.Engine
	ports   [3]dataplane.Port
	becomes map[packet.Key]packet.Key // in zone 0
	now     int64
}

func newTestbed(t testing.TB, sessions int, ports ...dataplane.Port) *testbed {
	t.Helper()
	_, measured := t.(*testing.B)
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 2048, Supers: 4, Debug: !measured})
	require.NoError(t, err)
	n := &testbed{t: t, now: int64(time.Hour), becomes: map[packet.Key]packet.Key{}}
	copy(n.ports[1:], ports)
	table, err := flowtable.New(flowtable.Config{Sessions: sessions, Workers: 1, Seed: 1})
	require.NoError(t, err)
	fragments, err := flowtable.NewFragments(flowtable.FragmentConfig{Seed: 1})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(4)
	n.engine, err = dataplane.New(dataplane.Config{
		Workers: 1, Ports: len(ports), Arena: arena, Table: table, Fragments: fragments, Hops: hops,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ledger := n.engine.Ledger()
		require.Zero(t, ledger.Unexplained, "the books do not balance: %+v", ledger)
		crashes, count := n.engine.Crashes()
		require.Zero(t, count, "a stage panicked: %+v", crashes)
		require.NoError(t, table.Close())
		require.NoError(t, arena.Close())
	})
	s := &dataplane.Snapshot{
		Epoch: 1,
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageFragments, dataplane.StageLookup, dataplane.StageCheck,
			dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, Stage, dataplane.StageTransmit,
		},
		Deciders: []dataplane.Step{{Name: "test", Decider: n}},
		Ports:    make([]*dataplane.PortConfig, len(n.ports)),
	}
	for i := inside; i <= outside; i++ {
		s.Ports[i] = &dataplane.PortConfig{
			Number: uint16(i), Port: n.ports[i], Caps: n.ports[i].Caps(), Queues: n.ports[i].Caps().Queues,
			VLAN: dataplane.Attachment{Untagged: 7},
		}
		_, _, err := hops.New(dataplane.Hop{Port: uint16(i), Zone: 7})
		require.NoError(t, err)
	}
	require.NoError(t, n.engine.Publish(s))
	return n
}

// Decide forwards to the other port; hops have the ports' numbers.
func (n *testbed) Decide(d *dataplane.Decision) {
	if to, found := n.becomes[d.Info.Key.WithZone(0)]; found && d.Session == 0 {
		d.Translated = to.WithZone(d.Info.Key.Zone())
	}
	d.Forward(uint32(inside+outside-d.In.Number), 1)
}

func newMemTestbed(t testing.TB) *testbed {
	offloads := mem.Config{CsumPartial: true, GSO: true}
	return newTestbed(t, 64, mem.New(offloads), mem.New(offloads))
}

// pass gives a frame to a port, and returns what comes out of the other, without its MAC addresses; nil: nothing.
func (n *testbed) pass(port int, line string) []byte {
	f := mem.Frame{Data: frameOf(n.t, line), Meta: metaOf(line)}
	require.True(n.t, n.ports[port].(*mem.Port).InjectFrame(f))
	n.engine.Worker(0).Step(n.now)
	sent := n.ports[inside+outside-port].(*mem.Port).Sent()
	if len(sent) == 0 {
		return nil
	}
	require.Len(n.t, sent, 1)
	return sent[0].Data[12:]
}

// metaOf returns the offload fields of a frame: those of "partial" ones, which are super-frames if they are long.
func metaOf(line string) (m packet.Meta) {
	if !strings.Contains(line, "partial") {
		return m
	}
	m.CsumPartial, m.CsumStart, m.CsumOffset = true, packet.EthernetSize+packet.IPv4MinSize, 16
	if strings.Contains(line, "[") {
		m.CsumStart = packet.EthernetSize + packet.IPv6Size
	}
	if strings.HasPrefix(line, "udp") {
		m.CsumOffset = 6
	}
	if strings.Contains(line, "len 30000") {
		m.GSOType, m.GSOSize = packet.GSOTCPv4, 1000
	}
	return m
}

func frameOf(t testing.TB, line string) []byte {
	t.Helper()
	frame, err := frametext.Parse(line)
	require.NoError(t, err, line)
	return frame
}

// keyOf returns the key of a frame.
func keyOf(t testing.TB, line string) packet.Key {
	t.Helper()
	var in packet.Info
	require.Equal(t, packet.None, packet.Parse(frameOf(t, line), &in), line)
	return in.Key
}

// same compares a frame, without MAC addresses, with text; padding counts.
func same(t testing.TB, want string, got []byte, msg ...any) {
	t.Helper()
	if want == "" {
		require.Nil(t, got, msg...)
		return
	}
	frame := frameOf(t, want)
	require.Equal(t, frametext.Format(frame), frametext.Format(append(frame[:12:12], got...)), msg...)
	require.Equal(t, frame[12:], got, msg...)
}
