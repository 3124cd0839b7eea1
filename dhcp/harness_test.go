package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// testbed is a real engine between memory ports with the server as its first
// decider; whatever that leaves is flooded.
type testbed struct {
	t      testing.TB
	arena  *packet.Arena
	engine *dataplane.Engine
	state  *State
	server *Server
	ports  map[uint16]*mem.Port
	epoch  uint32
	now    int64
}

const testbedPorts = 16

// floods is the last decider.
type floods struct{}

func (floods) Decide(d *dataplane.Decision) {
	if !d.Done() {
		d.Flood(0)
	}
}

// newTestbed makes a testbed of a configuration. At the end of the test its
// books must balance and every buffer be free.
func newTestbed(t testing.TB, c Config) *testbed {
	t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 512, Supers: 8})
	require.NoError(t, err)
	table, err := flowtable.New(flowtable.Config{Sessions: 1024, Workers: 1, Seed: 1})
	require.NoError(t, err)
	fragments, err := flowtable.NewFragments(flowtable.FragmentConfig{Seed: 1})
	require.NoError(t, err)
	engine, err := dataplane.New(dataplane.Config{
		Workers: 1, Ports: testbedPorts, Arena: arena, Table: table, Fragments: fragments, Hops: dataplane.NewHopTable(16),
	})
	require.NoError(t, err)
	n := &testbed{
		t: t, arena: arena, engine: engine, state: NewState(StateConfig{Seed: 1}), ports: map[uint16]*mem.Port{},
		now: int64(time.Hour),
	}
	t.Cleanup(func() {
		ledger := engine.Ledger()
		require.Zero(t, ledger.Unexplained, "the books do not balance: %+v", ledger)
		crashes, count := engine.Crashes()
		require.Zero(t, count, "a stage panicked: %+v", crashes)
		require.NoError(t, table.Close())
		require.NoError(t, arena.Close())
	})
	n.apply(c)
	return n
}

// apply puts a configuration in force.
func (n *testbed) apply(c Config) {
	n.t.Helper()
	server, err := Compile(frozen(c), n.state)
	require.NoError(n.t, err)
	n.epoch++
	s := &dataplane.Snapshot{
		Epoch: n.epoch,
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, dataplane.StageTransmit,
		},
		Deciders: []dataplane.Step{{Name: "dhcp", Decider: server}, {Name: "flood", Decider: floods{}}},
		Tickers:  []dataplane.Ticker{server},
		Floods:   make([][]dataplane.FloodTarget, 1),
		Ports:    make([]*dataplane.PortConfig, testbedPorts+1),
	}
	for _, p := range c.Ports {
		if n.ports[p.Number] == nil {
			n.ports[p.Number] = mem.New(mem.Config{})
		}
		config := &dataplane.PortConfig{Number: p.Number, Name: fmt.Sprint("p", p.Number), Port: n.ports[p.Number], Queues: 1}
		config.Caps = config.Port.Caps()
		for _, z := range p.Zones {
			if z.Tags.Outer == 0 {
				config.VLAN.Untagged = z.Zone
				continue
			}
			if config.VLAN.Tagged == nil {
				config.VLAN.Tagged = &[4096]packet.Zone{}
			}
			config.VLAN.Tagged[z.Tags.Outer] = z.Zone
		}
		s.Ports[p.Number] = config
		s.Floods[0] = append(s.Floods[0], dataplane.FloodTarget{Port: p.Number})
	}
	require.NoError(n.t, n.engine.Publish(s))
	n.engine.Synchronize()
	n.state.Adopt(server)
	n.server = server
}

// frozen is a copy that stays what it is while a test goes on to change c.
func frozen(c Config) *Config {
	c.Ports, c.Segments = slices.Clone(c.Ports), slices.Clone(c.Segments)
	for i, p := range c.Ports {
		own := *p
		own.Zones = slices.Clone(p.Zones)
		c.Ports[i] = &own
	}
	for i := range c.Segments {
		s := &c.Segments[i]
		if s.DHCP != nil {
			own := *s.DHCP
			s.DHCP = &own
		}
		if s.Advertisement != nil {
			own := *s.Advertisement
			s.Advertisement = &own
		}
	}
	return &c
}

// turn lets the worker run.
func (n *testbed) turn() { n.engine.Worker(0).Step(n.now) }

// sent takes what a port has sent.
func (n *testbed) sent(port uint16) (frames [][]byte) {
	for _, f := range n.ports[port].Sent() {
		frames = append(frames, f.Data)
	}
	return frames
}

// give lets a frame come in and returns what its port sends, and why the frame
// was dropped.
func (n *testbed) give(port uint16, frame []byte) (sent [][]byte, drop packet.Reason) {
	n.t.Helper()
	before := n.engine.PortCounters(port).Drops
	n.now += int64(time.Second)
	n.ports[port].Inject(frame)
	n.turn()
	after := n.engine.PortCounters(port).Drops
	for r := range after {
		if after[r] != before[r] {
			drop = packet.Reason(r)
		}
	}
	return n.sent(port), drop
}

// frame makes a frame of text.
func frame(t testing.TB, format string, args ...any) []byte {
	t.Helper()
	f, err := frametext.Parse(fmt.Sprintf(format, args...))
	require.NoError(t, err)
	return f
}

// datagram returns a frame's text up to the payload, and the payload. Checksums
// must be right.
func datagram(t testing.TB, f []byte) (text string, payload []byte) {
	t.Helper()
	var in packet.Info
	require.Equal(t, packet.None, packet.Parse(f, &in))
	require.False(t, in.Has(packet.BadIPChecksum))
	require.Len(t, f, int(uint32(in.L3)+in.IPLen), "nothing is behind the packet")
	require.True(t, packet.VerifyTransport(f, int(in.L3), int(in.L4), int(in.IPLen), in.Proto))
	e := packet.Ethernet(f)
	text = fmt.Sprintf("%s %s:%d > %s %s:%d", e.Src(), in.Key.Src, in.Key.SrcPort(), e.Dst(), in.Key.Dst, in.Key.DstPort())
	return text, packet.UDP(f[in.L4:]).Payload()
}

// What the tests' segment is made of.
var (
	gatewayMAC = packet.MAC{0x02, 0x50, 0x56, 0x56, 0x44, 0x52}
	clientMAC  = packet.MAC{0x0a, 0x58, 0x0a, 0x00, 0x00, 0x02}
	hardware   = net.HardwareAddr(clientMAC[:])
	own        = net.IP{10, 0, 0, 2}
	gateway    = net.IP{10, 0, 0, 1}
)

func ip(s string) netip.Addr       { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// dualStack is a segment with everything: port 1 has a client, 2 is behind a tag and
// has none, 3 has one on another subnet.
func dualStack() Config {
	return Config{
		GatewayMAC: gatewayMAC,
		Segments: []Segment{{
			Name: "s", Zone: 1, MTU: 1450,
			DHCP: &DHCP{
				Subnets: []Subnet{
					{Prefix: prefix("10.0.0.0/24"), Server: ip("10.0.0.1"), Router: ip("10.0.0.1")},
					{Prefix: prefix("10.0.1.0/31"), Server: ip("10.0.1.0")},
				},
				Lease: 24 * time.Hour, DNS: []netip.Addr{ip("192.0.2.53"), ip("192.0.2.54")}, NTP: []netip.Addr{ip("192.0.2.123")},
				Domain: "example.org", Search: []string{"a.example.org", "b.example.org", "example.org"},
				Routes:     []Route{{prefix("192.168.0.0/16"), ip("10.0.0.9")}, {prefix("198.51.100.128/25"), ip("10.0.0.8")}},
				NextServer: ip("192.0.2.69"), BootFile: "pxelinux.0",
			},
			Advertisement: &Advertisement{
				Prefixes: []netip.Prefix{prefix("2001:db8::/64")}, Stateful: true,
				Interval: 600 * time.Second, Lifetime: 1800 * time.Second, Preferred: 7 * 24 * time.Hour, Valid: 30 * 24 * time.Hour, Lease: 24 * time.Hour,
				DNS: []netip.Addr{ip("2001:db8::53")}, NTP: []netip.Addr{ip("2001:db8::123")}, Search: []string{"example.org", "example.com"},
			},
		}, {Name: "plain", Zone: 2}},
		Ports: []*Port{
			{Number: 1, Host: "web-0", MTU: 1400, Zone: 1, Zones: []Attachment{{Zone: 1}}, Addresses: []Address{
				{MAC: clientMAC, IP: ip("10.0.0.2")},
				{MAC: clientMAC, IP: ip("10.0.0.22")},
				{MAC: clientMAC, IP: ip("fe80::1")},
				{MAC: clientMAC, IP: ip("2001:db8::2")},
				{MAC: packet.MAC{2}},
			}},
			{Number: 2, Zones: []Attachment{{Zone: 1, Tags: dataplane.Tags{Outer: 7}}}},
			{Number: 3, Zone: 1, Zones: []Attachment{{Zone: 1}}, Addresses: []Address{{MAC: packet.MAC{2, 0, 0, 0, 0, 3}, IP: ip("10.0.1.1")}}},
			{Number: 4, Zone: 2, Zones: []Attachment{{Zone: 2}}, Addresses: []Address{{MAC: clientMAC, IP: ip("10.0.0.2")}}},
		},
	}
}

// quiet makes a testbed that has told all hosts what it has to tell unasked.
func quiet(t testing.TB, c Config) *testbed {
	n := newTestbed(t, c)
	n.turn()
	for port := range n.ports {
		n.sent(port)
	}
	return n
}
