package route

import (
	"fmt"
	"strconv"
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

// testbed is a real engine between memory ports, driven by hand.
type testbed struct {
	t      testing.TB
	arena  *packet.Arena
	engine *dataplane.Engine
	state  *State
	fwd    *Forwarder
	ports  map[uint16]*mem.Port
	config Config
	epoch  uint32
	now    int64

	// devices stand in for the memory ports of their numbers.
	devices map[uint16]dataplane.Port

	// edit changes each snapshot before it is published; nil: nothing.
	edit func(*dataplane.Snapshot)
}

// testbedPorts is the largest port number of a testbed.
const testbedPorts = 16

// newTestbed makes a testbed of a configuration. At the end of the test its
// books must balance and every buffer be free.
func newTestbed(t testing.TB, c Config, change ...func(*StateConfig)) *testbed {
	t.Helper()
	return newTestbedOf(t, 1, c, change...)
}

// newTestbedOf is newTestbed with several workers.
func newTestbedOf(t testing.TB, workers int, c Config, change ...func(*StateConfig)) *testbed {
	t.Helper()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 2048, Supers: 32})
	require.NoError(t, err)
	table, err := flowtable.New(flowtable.Config{Sessions: 4096, Workers: workers, Seed: 1})
	require.NoError(t, err)
	fragments, err := flowtable.NewFragments(flowtable.FragmentConfig{Seed: 1})
	require.NoError(t, err)
	hops := dataplane.NewHopTable(1024)
	engine, err := dataplane.New(dataplane.Config{
		Workers: workers, Ports: testbedPorts, Arena: arena, Table: table, Fragments: fragments, Hops: hops,
	})
	require.NoError(t, err)
	sc := StateConfig{Hops: hops, Ports: testbedPorts, MACs: 256, Neighbors: 64, Seed: 1}
	for _, f := range change {
		f(&sc)
	}
	state, err := NewState(sc)
	require.NoError(t, err)
	n := &testbed{
		t: t, arena: arena, engine: engine, state: state, ports: map[uint16]*mem.Port{},
		now: int64(time.Hour), // not 0, which some read as "never"
	}
	t.Cleanup(func() {
		ledger := engine.Ledger()
		require.Zero(t, ledger.Unexplained, "the books do not balance: %+v", ledger)
		crashes, count := engine.Crashes()
		require.Zero(t, count, "a stage panicked: %+v", crashes)
		require.NoError(t, state.Close())
		require.NoError(t, table.Close())
		require.NoError(t, arena.Close())
	})
	n.apply(c)
	return n
}

// apply puts a configuration in force.
func (n *testbed) apply(c Config) {
	n.t.Helper()
	n.config = c
	// A test may change its ports after this, as Compile's caller may not.
	c.Ports = copied(c.Ports)
	fwd, err := Compile(&c, n.state)
	require.NoError(n.t, err)
	n.publish(&c, fwd)
}

// copied returns ports that nobody else has.
func copied(ports []*Port) (list []*Port) {
	for _, p := range ports {
		own := *p
		list = append(list, &own)
	}
	return list
}

// publish puts a Forwarder in force.
func (n *testbed) publish(c *Config, fwd *Forwarder) {
	n.t.Helper()
	n.epoch++
	s := &dataplane.Snapshot{
		Epoch: n.epoch,
		Stages: []dataplane.Stage{
			dataplane.StageParse, dataplane.StageStorm, dataplane.StageFragments, dataplane.StageLookup,
			dataplane.StageCheck, dataplane.StageDecide, dataplane.StageTrack, dataplane.StageRewrite, n.state.StageFragment(), dataplane.StageTransmit,
		},
		Deciders: []dataplane.Step{{Name: "security", Decider: fwd.Security()}, {Name: "guard", Decider: fwd.Guard()}, {Name: "local", Decider: fwd.Local()}, {Name: "forward", Decider: fwd.Forward()}},
		Refresh:  []dataplane.Refresher{fwd.Refresher()}, RefreshNs: fwd.RefreshNs(),
		Tickers: []dataplane.Ticker{fwd},
		Floods:  fwd.Floods(),
		Ports:   make([]*dataplane.PortConfig, testbedPorts+1),
	}
	for _, p := range c.Ports {
		device := n.devices[p.Number]
		if device == nil {
			if n.ports[p.Number] == nil {
				n.ports[p.Number] = mem.New(mem.Config{CsumPartial: true, GSO: true})
			}
			device = n.ports[p.Number]
		}
		s.Ports[p.Number] = &dataplane.PortConfig{
			Number: p.Number, Name: p.Name, Port: device, Caps: device.Caps(), Queues: 1, VLAN: attachmentOf(p.Zones),
		}
	}
	if n.edit != nil {
		n.edit(s)
	}
	require.NoError(n.t, n.engine.Publish(s))
	n.engine.Synchronize()
	n.state.Adopt(fwd)
	n.fwd = fwd
}

// attachmentOf is what node makes of a port's zones.
func attachmentOf(zones []Attachment) (a dataplane.Attachment) {
	for _, z := range zones {
		switch {
		case z.Tags.Inner != 0:
			if a.Stacked == nil {
				a.Stacked = map[[2]uint16]packet.Zone{}
			}
			a.Stacked[[2]uint16{z.Tags.Outer & 0xfff, z.Tags.Inner & 0xfff}] = z.Zone
		case z.Tags.Outer != 0:
			if a.Tagged == nil {
				a.Tagged = &[4096]packet.Zone{}
			}
			a.Tagged[z.Tags.Outer&0xfff] = z.Zone
		default:
			a.Untagged = z.Zone
		}
	}
	return a
}

// step is a row of a test: a frame goes in, and all that it causes is stated.
type step struct {
	why   string
	after time.Duration // time that passes before
	in    string        // "PORT FRAME", frames as in frametext; "" if nothing comes in
	want  []string      // "PORT FRAME" in the order of ports; empty: nothing is sent
	drop  packet.Reason // None: nothing is dropped
}

// run makes the steps one after the other.
func (n *testbed) run(steps []step) {
	n.t.Helper()
	for _, s := range steps {
		before := n.drops()
		if s.after > 0 {
			n.now += int64(s.after)
			n.step() // what is due happens before anything comes in
		}
		if s.in != "" {
			port, frame := portAndFrame(n.t, s.in)
			require.Contains(n.t, n.ports, port, s.why)
			n.ports[port].Inject(frame)
		}
		n.step()
		require.Equal(n.t, canonical(n.t, s.want), n.sent(), s.why)
		for reason, count := range n.drops() {
			want := before[reason]
			if s.drop != packet.None && packet.Reason(reason) == s.drop {
				want++
			}
			require.Equal(n.t, want, count, "%s: drops for %v", s.why, packet.Reason(reason))
		}
	}
}

// step runs a turn of each worker.
func (n *testbed) step() {
	for i := range n.engine.Workers() {
		n.engine.Worker(i).Step(n.now)
	}
}

// sent takes what all ports have sent, as "PORT FRAME" in the order of ports.
func (n *testbed) sent() []string {
	list := []string{}
	for number := range uint16(testbedPorts + 1) {
		if p := n.ports[number]; p != nil {
			for _, f := range p.Sent() {
				list = append(list, fmt.Sprintf("%d %s", number, frametext.Format(f.Data)))
			}
		}
	}
	return list
}

// drops returns the drops by reason, over all ports.
func (n *testbed) drops() (sum [packet.NumReasons]uint64) {
	for number := range uint16(testbedPorts + 1) {
		c := n.engine.PortCounters(number)
		for r, d := range c.Drops {
			sum[r] += d
		}
	}
	return sum
}

// portAndFrame reads "PORT FRAME".
func portAndFrame(t testing.TB, line string) (port uint16, frame []byte) {
	t.Helper()
	number, text, _ := strings.Cut(line, " ")
	p, err := strconv.ParseUint(number, 10, 16)
	require.NoError(t, err, line)
	frame, err = frametext.Parse(text)
	require.NoError(t, err, line)
	return uint16(p), frame
}

// canonical brings expected frames into the form that Format has.
func canonical(t testing.TB, lines []string) []string {
	t.Helper()
	list := []string{}
	for _, line := range lines {
		port, frame := portAndFrame(t, line)
		list = append(list, fmt.Sprintf("%d %s", port, frametext.Format(frame)))
	}
	return list
}
