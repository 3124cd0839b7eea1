// Package node wires a data plane from a model: it opens ports, compiles the
// features into a snapshot, puts the pipeline in order and publishes it.
package node

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dhcp"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/route"
)

// Options are what a node is made with, besides its configuration. They can't
// change while it lives.
type Options struct {
	// Workers overrides the configuration's number; 0 leaves it.
	Workers int

	// Open makes the device of a port; a is the memory of the frames. Devices are the
	// types that it can make, so that ports with others are refused before any is
	// opened; nil is all. A port without a device is Open's business.
	Open    func(a *packet.Arena, p *control.Port) (dataplane.Port, error)
	Devices []api.DeviceType

	// Tolerant: a device that can't be opened leaves its port without one, and
	// Recheck tries again; otherwise the model is refused.
	Tolerant bool

	// AllowIdle: objects that this version does not put into effect (Model.NotImplemented)
	// are no error. Whoever shows the configuration has to say so of each.
	AllowIdle bool

	Seed    uint64 // of hashes
	Buffers int    // frames in flight; default 16384
	Supers  int    // super-frames in flight; default 256

	// Prefault touches all memory at the start: a cold page costs microseconds later.
	Prefault bool

	// Virtual: the caller drives the workers and their clock itself, and
	// calls SweepAll; expiry must not depend on how often workers turn.
	Virtual bool

	// Debug checks every buffer's ownership; slow.
	Debug bool

	// Probed: members of services that have monitors are down until ReportMember says that they are up. Otherwise
	// nobody probes them, and they are up.
	Probed bool

	Taps []dataplane.Tap

	FirewallLog firewall.LogConfig // zero values are defaults
}

// Node is a data plane under a configuration.
type Node struct {
	options  Options
	arena    *packet.Arena
	table    *flowtable.Table
	frags    *flowtable.Fragments
	engine   *dataplane.Engine
	routes   *route.State
	dhcp     *dhcp.State
	rules    *firewall.State
	services *lb.State

	mu       sync.Mutex     // Apply, Recheck and Close
	model    *control.Model // in force
	ports    []*openPort    // as model.Ports
	zones    *zoneTable     // that ports were made with last
	epoch    uint32
	capped   map[uint16]bool // ports whose sessions are capped
	settings control.Node    // in force since New

	stop       chan struct{} // closed when the node is; nil: it was not started
	background sync.WaitGroup

	viewed
}

// New makes a node and puts a first model in force. Nothing runs yet: the
// caller calls Start, or drives Engine step by step. The error wraps ErrUnsupported if
// the model has settings that can't be put into effect.
func New(o Options, m *control.Model) (n *Node, err error) {
	if err := unsupported(m, &o); err != nil {
		return nil, err
	}
	n = &Node{options: o, settings: m.Node}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
			n = nil
		}
	}()
	workers := m.Node.Workers
	if o.Workers != 0 {
		workers = o.Workers
	}
	limits := m.Node.Limits
	n.arena, err = packet.NewArena(packet.ArenaConfig{
		Buffers: orDefault(o.Buffers, 16384), Supers: orDefault(o.Supers, 256),
		Prefault: o.Prefault, Debug: o.Debug,
	})
	if err != nil {
		return n, err
	}
	n.table, err = flowtable.New(flowtable.Config{
		Ended: func(worker int, r *flowtable.Record) {
			n.rules.SessionEnded(worker, r)
			n.services.SessionEnded(worker, r)
		},
		Refused:  func(worker int, b flowtable.Binding, now int64) { n.services.Refused(worker, b, now) },
		Answered: func(worker int, b flowtable.Binding, now int64) { n.services.Answered(worker, b, now) },
		Sessions: limits.Sessions, PerSource: limits.SessionsPerSource,
		Workers: workers, Seed: o.Seed, Timers: timers(&m.Node.Timers), Prefault: o.Prefault, ManualSweep: o.Virtual,
	})
	if err != nil {
		return n, err
	}
	n.frags, err = flowtable.NewFragments(flowtable.FragmentConfig{Datagrams: limits.Fragments, Seed: o.Seed})
	if err != nil {
		return n, err
	}
	hops := dataplane.NewHopTable(limits.MACTable + limits.Neighbors + spareHops)
	n.engine, err = dataplane.New(dataplane.Config{
		Workers: workers, Ports: max(maxPortNumber(m), minPorts), Arena: n.arena, Table: n.table, Fragments: n.frags, Hops: hops,
	})
	if err != nil {
		return n, err
	}
	n.routes, err = route.NewState(route.StateConfig{
		Hops: hops, Ports: dataplane.MaxPort, MACs: limits.MACTable, Neighbors: limits.Neighbors, Seed: o.Seed,
		ICMPErrorsPerSecond: uint32(limits.ICMPErrorsPerSecond),
	})
	if err != nil {
		return n, err
	}
	n.rules = firewall.NewState(firewall.StateConfig{
		Workers: workers, Seed: o.Seed, Errors: n.routes.ErrorLimit(), Hops: hops, Log: o.FirewallLog,
	})
	n.services = lb.NewState(lb.StateConfig{
		Workers: workers, Seed: o.Seed, Table: n.table, Errors: n.routes.ErrorLimit(), Probed: o.Probed,
	})
	n.dhcp = dhcp.NewState(dhcp.StateConfig{Seed: o.Seed})
	return n, n.Apply(m)
}

const (
	// minPorts is how many ports a node has room for at once; more make room.
	minPorts = 1024

	// spareHops is room for what is neither learned nor a neighbour: bound addresses.
	spareHops = 1 << 16
)

func orDefault(n, value int) int {
	if n == 0 {
		return value
	}
	return n
}

func maxPortNumber(m *control.Model) (highest int) {
	for i := range m.Ports {
		highest = max(highest, int(m.Ports[i].Number))
	}
	return highest
}

// Engine returns the data plane.
func (n *Node) Engine() *dataplane.Engine { return n.engine }

// Populate has the kernel give all memory that frames and sessions may need, while
// the node works: a page that is missing costs the packet that needs it
// milliseconds where the machine has to find it first. It ends early when more
// says so. Close must not be called before it has returned.
func (n *Node) Populate(more func() bool) {
	n.arena.Populate(more)
	n.table.Populate(more)
}

// Arena returns the frames' memory.
func (n *Node) Arena() *packet.Arena { return n.arena }

// Routes returns what layers 2 and 3 have learned.
func (n *Node) Routes() *route.State { return n.routes }

// unsupported refuses a model for a node with options o.
func unsupported(m *control.Model, o *Options) error {
	var idle error
	if !o.AllowIdle {
		idle = Idle(m)
	}
	return errors.Join(idle, unopenable(m, o.Devices))
}

// Start runs the workers, each on a thread of its own and on the CPU that the
// configuration names for it, until Close.
// Their threads have priority nice (see dataplane.RunConfig).
func (n *Node) Start(idle dataplane.Idle, nice int) error {
	cpus, workers := n.settings.CPUs, n.engine.Workers()
	if len(cpus) != 0 {
		if len(cpus) < workers {
			return fmt.Errorf("NodeConfig: spec.cpus: %d CPUs are too few for %d workers; name more or remove it", len(cpus), workers)
		}
		cpus = cpus[:workers]
	}
	n.started.Store(dataplane.Now())
	n.stop = make(chan struct{})
	n.background.Go(func() { n.services.Run(n.stop) })
	return n.engine.Start(dataplane.RunConfig{CPUs: cpus, Idle: idle, Nice: nice})
}

// Apply puts a model in force, all of it or nothing: on an error the one before
// stays. The error wraps ErrUnsupported if the model has settings that can't be put into
// effect. Those that a node is made with stay as they are: see Waiting. Ports that both have in the same form go on undisturbed; sessions live
// on, and are decided again at their next packet.
func (n *Node) Apply(m *control.Model) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.Check(m); err != nil {
		return err
	}
	if err := n.detachChanged(m); err != nil {
		return err
	}
	return n.apply(m, n.openPorts)
}

// Renumber says that a model is in force that treats packets as the one in force
// does: they have one Digest. Flows are not decided anew.
func (n *Node) Renumber(m *control.Model) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.model = m
	n.shown.Store(newShown(m, n.ports))
}

// Check returns the error that Apply would have because of the model alone.
func (n *Node) Check(m *control.Model) error { return unsupported(m, &n.options) }

// apply puts a model in force with the ports that open returns.
func (n *Node) apply(m *control.Model, open func(*control.Model) ([]*openPort, error)) error {
	opened, err := open(m)
	if err != nil {
		return err
	}
	n.makeParts(m, opened)
	forwarder, err := route.Compile(routeConfig(m, opened), n.routes)
	hosts, dhcpErr := dhcp.Compile(dhcpConfig(m, opened), n.dhcp)
	rules, rulesErr := firewall.Compile(firewallConfig(m), n.rules)
	services, servicesErr := lb.Compile(servicesConfig(m), n.services)
	if err = errors.Join(err, dhcpErr, rulesErr, servicesErr); err == nil {
		err = n.setTerms(m)
	}
	if err == nil {
		err = n.engine.Publish(n.snapshot(m, opened, forwarder, hosts, rules, services))
	}
	if err != nil {
		closeAllBut(opened, n.ports)
		return err
	}
	n.epoch++
	n.engine.Synchronize()
	n.routes.Adopt(forwarder)
	n.dhcp.Adopt(hosts)
	n.rules.Adopt(rules)
	n.services.Adopt(services)
	closeAllBut(n.ports, opened)
	n.ports, n.model = opened, m
	n.shown.Store(newShown(m, opened))
	return nil
}

// snapshot puts together what the workers need of a model.
func (n *Node) snapshot(m *control.Model, opened []*openPort, f *route.Forwarder, hosts *dhcp.Server, rules *firewall.Firewall, services *lb.Balancer) *dataplane.Snapshot {
	s := &dataplane.Snapshot{
		Epoch: n.epoch + 1, Revision: m.Revision,
		Stages: stages(n.routes, services), Deciders: deciders(f, hosts, rules, services),
		Admit: []dataplane.Admitter{rules.Admitter()}, Conclude: []dataplane.Concluder{rules.Concluder(), services.Concluder()},
		Refresh: []dataplane.Refresher{f.Refresher()}, RefreshNs: f.RefreshNs(),
		Tickers: []dataplane.Ticker{f, hosts, n.rules, n.services},
		Taps:    n.options.Taps,
		Ports:   make([]*dataplane.PortConfig, maxPortNumber(m)+1),
		Floods:  f.Floods(),
	}
	for _, p := range opened {
		s.Ports[p.parts.engine.Number] = p.parts.engine
	}
	return s
}

// Close stops the workers and gives everything back. The node is of no use
// afterwards.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.engine != nil {
		n.engine.Stop()
	}
	if n.stop != nil {
		close(n.stop)
		n.background.Wait()
		n.stop = nil
	}
	n.shown.Store(nil)
	n.closing.Lock()
	defer n.closing.Unlock()
	closeAllBut(n.ports, nil)
	n.ports = nil
	var errs []error
	if n.routes != nil {
		errs = append(errs, n.routes.Close())
		n.routes = nil
	}
	if n.table != nil {
		errs = append(errs, n.table.Close())
		n.table = nil
	}
	if n.arena != nil {
		errs = append(errs, n.arena.Close())
		n.arena = nil
	}
	return errors.Join(errs...)
}
