package lb

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// Zones of a directBed: of clients, and of members.
const (
	clientZone = 7
	memberZone = 8
)

var routerMAC = packet.MAC{2, 0, 0, 0, 0, 9}

// directBed is an engine with a virtual server, whose packets go from port 1 to port 2 to a member.
type directBed struct {
	t      testing.TB
	engine *dataplane.Engine
	state  *State
	table  *flowtable.Table
	ports  [3]dataplane.Port
	hop    uint32
	gen    uint32
}

func newDirectBed(t testing.TB, in dataplane.Port) *directBed {
	t.Helper()
	n := &directBed{t: t, ports: [3]dataplane.Port{1: in, 2: mem.New(mem.Config{CsumPartial: true, GSO: true})}}
	if _, endless := in.(*mem.Generator); endless {
		n.ports[2] = mem.NewSink(1)
	}
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 1024, Supers: 4, Debug: true})
	require.NoError(t, err)
	n.table, err = flowtable.New(flowtable.Config{Sessions: 64, Workers: 1, Ended: func(w int, r *flowtable.Record) { n.state.SessionEnded(w, r) }})
	require.NoError(t, err)
	fragments, err := flowtable.NewFragments(flowtable.FragmentConfig{})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(4)
	n.hop, n.gen, err = hops.New(dataplane.Hop{
		Port: 2, Zone: memberZone, Flags: dataplane.HopRouted, MTU: 1400, DstMAC: packet.MAC{2, 0, 0, 0, 0, 2}, SrcMAC: routerMAC,
	})
	require.NoError(t, err)
	n.engine, err = dataplane.New(dataplane.Config{Workers: 1, Ports: 2, Arena: arena, Table: n.table, Fragments: fragments, Hops: hops})
	require.NoError(t, err)
	n.state = NewState(StateConfig{Workers: 1, Table: n.table, Errors: answer.NewLimit(0)})
	t.Cleanup(func() {
		require.Zero(t, n.engine.Ledger().Unexplained)
		_, crashes := n.engine.Crashes()
		require.Zero(t, crashes)
		require.NoError(t, n.table.Close())
		require.NoError(t, arena.Close())
	})
	return n
}

// Decide sends to the members whatever goes there, and what they answer back to them: it is for the sessions' sake only.
func (n *directBed) Decide(d *dataplane.Decision) {
	if d.Session.Dir() != flowtable.Reply && d.Via == (packet.Addr{}) && d.Translated.Dst == d.Info.Key.Dst {
		d.Drop(packet.NoRoute)
		return
	}
	d.Forward(n.hop, n.gen)
}

// publish puts a configuration into force.
func (n *directBed) publish(epoch uint32, zones []Zone, servers ...*service.Server) *Balancer {
	n.t.Helper()
	c := &service.Config{Servers: servers}
	for _, s := range servers {
		c.Pools = append(c.Pools, s.Frontends[0].Inside)
	}
	b, err := Compile(&Config{Services: c, Zones: zones}, n.state)
	require.NoError(n.t, err)
	s := &dataplane.Snapshot{
		Epoch: epoch, Deciders: []dataplane.Step{{Name: "services", Decider: b.Services()}, {Name: "test", Decider: n}},
		Conclude: []dataplane.Concluder{b.Concluder()}, Ports: make([]*dataplane.PortConfig, 3),
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageFragments, dataplane.StageLookup, dataplane.StageCheck, dataplane.StageDecide,
			dataplane.StageTrack, dataplane.StageRewrite,
		},
	}
	if x := b.StageEncapsulate(); x.Run != nil {
		s.Stages = append(s.Stages, x)
	}
	s.Stages = append(s.Stages, dataplane.StageTransmit)
	for i := 1; i <= 2; i++ {
		s.Ports[i] = &dataplane.PortConfig{
			Number: uint16(i), Port: n.ports[i], Caps: n.ports[i].Caps(), Queues: n.ports[i].Caps().Queues,
			VLAN: dataplane.Attachment{Untagged: packet.Zone(clientZone - 1 + i)},
		}
	}
	require.NoError(n.t, n.engine.Publish(s))
	n.state.Adopt(b)
	return b
}

// pass gives a frame to the clients' port and returns what comes out of the members'; empty: nothing.
func (n *directBed) pass(line string) string { n.t.Helper(); return n.passBy(1, line) }

func (n *directBed) passBy(port int, line string) string {
	n.t.Helper()
	frame, err := frametext.Parse(line + " eth 02:00:00:00:00:01 > " + routerMAC.String())
	require.NoError(n.t, err)
	require.True(n.t, n.ports[port].(*mem.Port).InjectFrame(mem.Frame{Data: frame}))
	n.engine.Worker(0).Step(1e12)
	sent := n.ports[2].(*mem.Port).Sent()
	if len(sent) == 0 {
		return ""
	}
	require.Len(n.t, sent, 1)
	return frametext.Format(sent[0].Data)
}

// zonesOf are the two of a router, which has these addresses in them.
func zonesOf(client, member string) []Zone {
	zones := []Zone{{Zone: clientZone, Scope: 1, MAC: routerMAC}, {Zone: memberZone, Scope: 1, MAC: routerMAC}}
	for i, text := range []string{client, member} {
		if text != "" {
			zones[i].AddOwn(addr(text))
		}
	}
	return zones
}

func direct(how service.Dispatch, member string) *service.Server {
	p := &service.Pool{ID: 1, Name: "p", MinActive: 1, Members: []*service.Member{{ID: 1, Address: addr(member), Weight: 1}}}
	return &service.Server{ID: 1, Name: "s", Dispatch: how, Frontends: []service.Frontend{
		{Scope: 1, Address: addr("172.30.0.1"), Protocol: packet.ProtoUDP, First: 53, Last: 53, Inside: p, Outside: p},
		{Scope: 1, Address: addr("172.30.0.1"), Protocol: packet.ProtoTCP, First: 80, Last: 80, Inside: p, Outside: p},
	}}
}

const (
	link  = " eth 02:00:00:00:00:09 > 02:00:00:00:00:02"
	query = "udp 192.0.2.1:1000 > 172.30.0.1:53"
)

func TestWhoSendsOuterPackets(t *testing.T) {
	inner := " df quote { udp 192.0.2.1:1000 > 172.30.0.1:53 ttl 63 }"
	for _, row := range []struct {
		why            string
		client, router string // the router's addresses in the zones of clients and members
		member         string
		want           string
	}{
		{"the router where they leave", "10.0.1.1", "10.0.2.1", "10.0.2.20", "ip 10.0.2.1 > 10.0.2.20 proto 4" + link + inner},
		{"as it is called elsewhere, if it has no address there", "10.0.1.1", "", "10.0.2.20", "ip 10.0.1.1 > 10.0.2.20 proto 4" + link + inner},
		{"or none of the family", "10.0.1.1", "fd00:2::1", "10.0.2.20", "ip 10.0.1.1 > 10.0.2.20 proto 4" + link + inner},
		{
			"a member of the other family", "10.0.1.1", "fd00:2::1", "fd00:2::20",
			"ip fd00:2::1 > fd00:2::20 proto 4" + link + " flow 0x53dc quote { udp 192.0.2.1:1000 > 172.30.0.1:53 ttl 63 }",
		},
		{"nobody, if it has no address at all", "fd00:1::1", "fd00:2::1", "10.0.2.20", ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := newDirectBed(t, mem.New(mem.Config{}))
			n.publish(1, zonesOf(row.client, row.router), direct(service.DirectIPIP, row.member))
			require.Equal(t, row.want, n.pass(query))
		})
	}
}

func TestStageIsThereOnlyForMembersThatNeedIt(t *testing.T) {
	zones := zonesOf("10.0.1.1", "10.0.2.1")
	for how, want := range map[service.Dispatch]bool{service.Translate: false, service.DirectL2: false, service.DirectIPIP: true} {
		n := newDirectBed(t, mem.New(mem.Config{}))
		b := n.publish(1, zones, direct(how, "10.0.2.20"))
		require.Equal(t, want, b.StageEncapsulate().Run != nil, "%v", how)
	}
}

// TestConnectionsOutliveTheirServer: an established TCP connection goes on as it began, though its server is removed.
func TestConnectionsOutliveTheirServer(t *testing.T) {
	for how, want := range map[service.Dispatch]string{
		service.DirectL2: "tcp 192.0.2.1:1000 > 172.30.0.1:80 A" + link + " ttl 63 seq 2 ack 8",
		service.DirectIPIP: "ip 10.0.2.1 > 10.0.2.20 proto 4" + link +
			" df quote { tcp 192.0.2.1:1000 > 172.30.0.1:80 A ttl 63 seq 2 ack 8 }",
	} {
		t.Run(how.String(), func(t *testing.T) {
			n := newDirectBed(t, mem.New(mem.Config{}))
			zones := zonesOf("10.0.1.1", "10.0.2.1")
			n.publish(1, zones, direct(how, "10.0.2.20"))
			require.NotEmpty(t, n.pass("tcp 192.0.2.1:1000 > 172.30.0.1:80 S seq 1"))
			n.passBy(2, "tcp 172.30.0.1:80 > 192.0.2.1:1000 SA seq 7 ack 2")
			require.Equal(t, want, n.pass("tcp 192.0.2.1:1000 > 172.30.0.1:80 A seq 2 ack 8"))
			n.publish(2, zones)
			require.Equal(t, want, n.pass("tcp 192.0.2.1:1000 > 172.30.0.1:80 A seq 2 ack 8"))
			n.publish(3, zones)
			require.Equal(t, want, n.pass("tcp 192.0.2.1:1000 > 172.30.0.1:80 A seq 2 ack 8"), "and at the next change")
		})
	}
}

func TestEncapsulatingDoesNotAllocate(t *testing.T) {
	frame, err := frametext.Parse(query + " eth 02:00:00:00:00:01 > " + routerMAC.String())
	require.NoError(t, err)
	g, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{frame}, Seed: 1})
	require.NoError(t, err)
	n := newDirectBed(t, g)
	n.publish(1, zonesOf("10.0.1.1", "10.0.2.1"), direct(service.DirectIPIP, "10.0.2.20"))
	w := n.engine.Worker(0)
	w.Step(1e12)
	require.Zero(t, testing.AllocsPerRun(100, func() { w.Step(1e12) }))
	require.NoError(t, g.Close())
}
