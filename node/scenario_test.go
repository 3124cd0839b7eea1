package node_test

import (
	"flag"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// Scenarios: what a whole node does with frames, written as text. A file in
// testdata/scenarios is a txtar archive: sentences that say what must happen and why, the
// configuration, other configurations if the script applies them, and the script.
// docs/scenarios.md describes the language.
//
//	Frames for an address that nobody has been heard from go to all other
//	ports of the segment (IEEE 802.1Q section 8.8).
//	-- config.yaml --
//	...
//	-- script --
//	a < udp 10.0.0.1:9 > 10.0.0.2:9
//	b > udp 10.0.0.1:9 > 10.0.0.2:9
//	c > udp 10.0.0.1:9 > 10.0.0.2:9
//
// The script is strict: whatever a stimulus causes has to stand below it, and
// the books balance at the end. Every scenario runs with several numbers of
// workers, for which all must be the same.

var update = flag.Bool("update", false, "rewrite what scenarios expect by what happens; read the difference")

const scenarioFolder = "testdata/scenarios"

var scenarioWorkers = []int{1, 2, 4}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarioFolder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := readScenario(t, file)
			if *update {
				s.play(t, 1) // what differs is noted in the scenario
				require.NoError(t, os.WriteFile(file, txtar.Format(s.archive()), 0o644))
				return
			}
			for _, workers := range scenarioWorkers {
				t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
					for _, f := range s.play(t, workers) {
						t.Error(f)
					}
				})
			}
		})
	}
}

// A scenario that leaves out one thing that happens, or states one that does
// not, fails: so what a script does not say does not happen.
func TestScenariosAreStrict(t *testing.T) {
	for _, name := range []string{"switch-unknown-then-known", "route-uplink", "storm-tx", "fragments-without-first", "apply-mtu", "arp-gateway"} {
		s := readScenario(t, filepath.Join(scenarioFolder, name+".txtar"))
		require.Empty(t, s.play(t, 1), name)
		for _, b := range s.blocks {
			whole := b.want
			for i, line := range whole {
				b.want = slices.Delete(slices.Clone(whole), i, i+1)
				require.Len(t, s.play(t, 1), 1, "%s: without %q", name, line)
				b.want = slices.Insert(slices.Clone(whole), i, line)
				require.Len(t, s.play(t, 1), 1, "%s: with %q twice", name, line)
			}
			b.want = whole
			for _, l := range b.states {
				l.count++
				require.Len(t, s.play(t, 1), 1, "%s: %s is %d", name, l.text, l.count)
				l.count--
			}
		}
	}
}

// Lines that mean nothing are found when a script is read.
func TestScenarioFaults(t *testing.T) {
	for _, row := range []struct{ why, script, want string }{
		{"a frame that is none", "a < udp 10.0.0.1:9", "expected"},
		{"a reason that is none", "a < arp 10.0.0.1 who-has 10.0.0.2\na ! LOST", "no drop reason"},
		{"what happens before anything is done", "a > arp 10.0.0.1 who-has 10.0.0.2", "nothing has come in yet"},
		{"what happens while a frame waits for another", "a + arp 10.0.0.1 who-has 10.0.0.2\na ! NO_DESTINATION", "nothing has come in yet"},
		{"a line that is none", "a <", "neither a stimulus"},
		{"an operator that is none", "a = b c", "no word of scripts"},
		{"a file that is none", "apply more.yaml", "no file"},
		{"a time that is none", "wait long", "invalid duration"},
		{"a number that is none", "wait 1s\nlearned many", "invalid syntax"},
		{"how often not", "repeat 0 wait 1s", "repeat 0"},
	} {
		t.Run(row.why, func(t *testing.T) {
			s := &scenario{files: map[string][]byte{}}
			var err error
			for text := range strings.Lines(row.script) {
				err = s.add(&line{text: strings.TrimSpace(text), repeat: 1})
			}
			require.ErrorContains(t, err, row.want)
		})
	}
}

// stage is where a scenario is played: a node between memory ports, driven by hand.
type stage struct {
	t       *testing.T
	s       *scenario
	node    *node.Node
	model   *control.Model
	devices map[string]*mem.Port // of all ports that there are
	numbers map[string]uint16    // of all ports that there ever were
	rules   map[string]uint32    // of all rules that there ever were, by POLICY/RULE
	now     int64
	decided int // frames since the last stimulus that no permit answered for

	differences []string
}

// AfterStage counts decisions. A stage is a dataplane.Tap.
func (g *stage) AfterStage(_ *dataplane.Worker, v *dataplane.Vector, name string) {
	if name == dataplane.StageCheck.Name {
		g.decided += bits.OnesCount64(v.Todo & v.Live)
	}
}

// AfterStep is of no interest.
func (g *stage) AfterStep(*dataplane.Decision, string) {}

// Dropped is of no interest: drops are counted by port.
func (g *stage) Dropped(*dataplane.Worker, packet.Index, *packet.Info, packet.Reason) {}

// Sent is of no interest: ports collect what is sent.
func (g *stage) Sent(*dataplane.Worker, uint16, packet.Index) {}

// play runs the scenario's script and returns where what happens differs from it.
func (s *scenario) play(t *testing.T, workers int) (differences []string) {
	g := &stage{
		t: t, s: s, devices: map[string]*mem.Port{}, numbers: map[string]uint16{}, rules: map[string]uint32{},
		now: int64(time.Hour), // not 0, which some read as "never"
	}
	g.model = g.compile("config.yaml")
	var err error
	g.node, err = node.New(node.Options{
		Workers: workers, Open: g.open, Seed: 1, Buffers: 512, Supers: 4, Virtual: true, Debug: true,
		Taps: []dataplane.Tap{g},
	}, g.model)
	require.NoError(t, err)
	defer func() { require.NoError(t, g.node.Close()) }()
	for _, b := range s.blocks {
		g.block(b)
	}
	g.end()
	return g.differences
}

// compile makes a model of a file of the scenario.
func (g *stage) compile(file string) *control.Model {
	data, found := g.s.files[file]
	require.True(g.t, found, "%s has no file %s", g.s.path, file)
	objects, faults := control.Decode(g.s.path+"/"+file, data, control.Options{})
	require.Empty(g.t, faults)
	in := control.Input{Objects: objects, Revision: 1}
	if g.model != nil {
		in.Previous, in.Revision = &g.model.Allocations, g.model.Revision+1
	}
	m, faults := control.Compile(in)
	require.Empty(g.t, faults)
	for i := range m.Ports {
		g.numbers[m.Ports[i].Name] = m.Ports[i].Number
	}
	for _, section := range m.Firewall.Sections {
		for i := range section.Rules {
			g.rules[section.Origin.Name+"/"+section.Rules[i].Name] = section.Rules[i].ID
		}
	}
	return m
}

// open makes the device of a port.
func (g *stage) open(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	queues := max(p.Device.Queues, 1)
	device := mem.New(mem.Config{Queues: queues})
	g.devices[p.Name] = device
	return device, nil
}

// block gives a stimulus and compares what follows.
func (g *stage) block(b *block) {
	before := g.books()
	g.decided = 0
	for _, l := range b.stimuli {
		g.stimulate(l)
	}
	got := g.happened(before)
	b.got = got
	if want := sorted(b.want); !slices.Equal(want, sorted(got)) {
		g.differ("%s:%d: after %q\n\nwant:\n%s\ngot:\n%s", g.s.path, b.line, b.last().text, g.s.show(b.want), g.s.show(got))
	}
	for _, l := range b.states {
		if l.got = g.state(l); l.got != l.count {
			g.differ("%s:%d: %s: got %d", g.s.path, l.number, l.text, l.got)
		}
	}
}

func (g *stage) differ(format string, args ...any) {
	g.differences = append(g.differences, fmt.Sprintf(format, args...))
}

// stimulate does what a line says.
func (g *stage) stimulate(l *line) {
	switch l.op {
	case opIn, opWith:
		device := g.devices[l.port]
		require.NotNil(g.t, device, "%s:%d: there is no port %s", g.s.path, l.number, l.port)
		for _, f := range l.frames {
			device.InjectFrame(f)
		}
		if l.op == opIn {
			g.turn()
		}
	case opWait:
		for left := l.wait; left > 0; left -= time.Second {
			g.now += int64(min(left, time.Second))
			g.turn()
		}
	case opApply:
		g.model = g.compile(l.rest)
		require.NoError(g.t, g.node.Apply(g.model), "%s:%d", g.s.path, l.number)
		for name := range g.devices {
			if !slices.ContainsFunc(g.model.Ports, func(p *control.Port) bool { return p.Name == name }) {
				delete(g.devices, name)
			}
		}
		g.turn()
	case opDown, opUp:
		device := g.devices[l.port]
		require.NotNil(g.t, device, "%s:%d: there is no port %s", g.s.path, l.number, l.port)
		device.SetUp(l.op == opUp)
		g.turn()
	}
}

// turn lets workers run until all that waits has been taken. Ports take their
// turns in the order of their numbers, whichever worker polls them, as in replay.
func (g *stage) turn() {
	engine := g.node.Engine()
	for first := true; first || g.waiting(); first = false {
		for i := range g.model.Ports {
			for w := range engine.Workers() {
				engine.Worker(w).StepPort(g.model.Ports[i].Number, g.now)
			}
		}
	}
	engine.Worker(0).Flows().SweepAll(g.now)
	for range 2 { // the first says that nothing is held, the second finds that all have said so
		for w := range engine.Workers() {
			engine.Worker(w).Flows().Quiesce(g.now)
		}
	}
}

func (g *stage) waiting() bool {
	for _, d := range g.devices {
		if d.Waiting() != 0 && d.Caps().Up {
			return true
		}
	}
	return false
}

// books are the counts of all ports, by name.
type books map[string]dataplane.Counters

func (g *stage) books() books {
	b := books{}
	for name, number := range g.numbers {
		b[name] = g.node.Engine().PortCounters(number)
	}
	return b
}

// happened returns what has happened since, in the words of a script.
func (g *stage) happened(before books) (list []string) {
	for name, d := range g.devices {
		for _, f := range d.Sent() {
			list = append(list, name+" > "+frametext.Format(f.Data))
		}
	}
	for name, after := range g.books() {
		was := before[name]
		if after.RxPackets < was.RxPackets {
			was = dataplane.Counters{} // the port has been added anew
		}
		for r := range after.Drops {
			for range after.Drops[r] - was.Drops[r] {
				list = append(list, name+" ! "+packet.Reason(r).String())
			}
		}
		if held := after.Held - after.Released; held != was.Held-was.Released {
			list = append(list, fmt.Sprintf("%s held %d", name, held))
		}
		if used := after.Consumed - was.Consumed; used > after.Generated-was.Generated {
			list = append(list, fmt.Sprintf("%s used %d", name, used))
		}
	}
	return inOrder(list)
}

// state returns what a line asks for.
func (g *stage) state(l *line) int {
	n := 0
	switch l.op {
	case opSessions:
		return g.node.Engine().Table().Stats().Live
	case opLearned:
		for _, m := range g.node.Routes().MACs() {
			if !m.Static && (l.port == "" || m.Port == g.numbers[l.port]) {
				n++
			}
		}
	case opNeighbors:
		return len(g.node.Routes().Neighbors())
	case opDecided:
		return g.decided
	case opPackets, opBegun:
		count := g.node.Rules()[g.ruleID(l.port)]
		if l.op == opBegun {
			return int(count.Sessions)
		}
		return int(count.Packets)
	case opEnded:
		for why, ended := range g.node.Engine().Table().Stats().Ended {
			if l.port == flowtable.EndReason(why).String() {
				n += int(ended)
			}
		}
	}
	return n
}

// ruleID finds a rule that there is or was by POLICY/RULE; "default" is the default rule.
func (g *stage) ruleID(name string) uint32 {
	if name == "default" {
		return policy.DefaultRuleID
	}
	id, found := g.rules[name]
	require.True(g.t, found, "%s: there is no rule %s; there are %v", g.s.path, name, g.rules)
	return id
}

// end looks whether everything is accounted for.
func (g *stage) end() {
	engine := g.node.Engine()
	for name, c := range g.books() {
		l := c.Ledger()
		require.Zero(g.t, l.Unexplained, "the books of port %s do not balance: %+v", name, l)
	}
	l := engine.Ledger()
	require.Zero(g.t, l.Unexplained, "the books do not balance: %+v", l)
	crashes, n := engine.Crashes()
	require.Zero(g.t, n, "a stage panicked: %+v", crashes)
	for name, d := range g.devices {
		require.Empty(g.t, d.Sent(), "port %s", name)
	}
	leaks := g.node.Arena().Leaks()
	require.Len(g.t, leaks, int(l.Queued), "buffers that nobody holds: %+v", leaks)
}
