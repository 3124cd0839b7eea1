package control

import (
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/control/services"
)

// Input is what a model is compiled from.
type Input struct {
	// Objects are the whole configuration, in any order.
	Objects []*Object
	// Revision is the number of the configuration; it goes into the Model.
	Revision uint64
	// Previous are the Allocations of the model before; nil at the first. The
	// model that is made shares what it can with them: they are not changed
	// afterwards.
	Previous *Allocations
	// Now is Unix time in ns: what quarantine of freed addresses is measured by.
	Now int64
	// HostName is the node's name where NodeConfig gives it none: see api.Topology. May be empty.
	HostName string
}

// Compile resolves a configuration and checks all of it at once. It is atomic:
// if there is a fault, there is no model.
func Compile(in Input) (*Model, Faults) { return NewCompiler().Compile(in) }

// Compiler compiles configurations that follow each other, and does anew only
// what has changed: an object that is there again, as the same pointer, is not
// looked into again. What it returns depends on the Input alone, whatever came
// before; it is that of Compile. Models share what is the same in them, and what
// is in a model is never written to again.
//
// A Compiler is for one goroutine at a time.
//
// What it keeps are, for each object, what follows from it alone (plans); for
// each segment, who has which address (book); for each port, the value in the
// last model (made). Each says itself what it depends on, and is made
// anew when that is different. All else is done each time, in passes over
// lists of pointers. Where a segment's book meets a conflict, it is made anew
// from nothing, so that there is one order in which faults are found.
type Compiler struct {
	inventory inventory
	run       uint64 // number of this compilation: what was seen in it carries it

	notImplemented []Key

	node     Node
	nodeGood bool // node is without faults

	pools     []*poolPlan
	poolModel []Pool
	blocks    []Block
	poolsGood bool
	poolsRun  uint64 // when pools were made

	defaultSegment *api.SegmentSpec
	defaultPort    *api.PortSpec // a pod's
	plainSegment   *Segment      // settings of a port without one

	balancing balancing
	inside    insides

	rules    *ruleset.Resolver
	firewall ruleset.Settings
	profiles []ruleset.Profile // that the model's are made of
	timers   []TimerProfile
	floods   []FloodProfile

	profilesHash uint64 // 0: not known

	namespaces     map[string]*namespacePlan
	namespaceOrder []*namespacePlan // sorted by name
	namespaceModel []Namespace
	namespacesHash uint64 // 0: not known

	segments     map[string]*segmentPlan
	segmentOrder []*segmentPlan // sorted by name
	slots        []*segmentPlan // by index in the model
	segmentModel []Segment
	segmentsRun  uint64 // when a segment was last added, removed, or resolved to something else
	byVLAN       map[int][]string
	networksGood bool // subnets and uplinks were checked, and don't overlap

	plans     map[*Object]*portPlan
	ports     map[string]*portPlan // the first of each name
	portOrder []*portPlan          // sorted by name: Ports[i] is made of portOrder[i] if no name is there twice
	devices   map[deviceKey][]*portPlan
	contended map[deviceKey]bool   // devices with several ports
	gone      map[string]*madePort // of the last model, whose plans are gone
	uplinked  []*portPlan          // uplinks' ports
	numbers   []uint16             // by index in order of this compilation
	scratch   encoded

	connected    map[int][]Connected // by the router's index
	connectedRun uint64              // the segmentsRun that it was made for
	routerModel  []Router
	routersHash  uint64 // 0: not known
}

// NewCompiler returns a Compiler that has compiled nothing yet.
func NewCompiler() *Compiler {
	k := &Compiler{
		defaultSegment: &api.SegmentSpec{}, defaultPort: &api.PortSpec{},
		namespaces: map[string]*namespacePlan{}, segments: map[string]*segmentPlan{},
		plans: map[*Object]*portPlan{}, ports: map[string]*portPlan{}, gone: map[string]*madePort{},
		devices: map[deviceKey][]*portPlan{}, contended: map[deviceKey]bool{},
		rules: ruleset.New(), balancing: balancing{resolver: services.New()},
		inside: insides{plans: map[string]*portPlan{}, objects: map[string]*Object{}},
	}
	api.SetDefaults(k.defaultSegment)
	api.SetDefaults(k.defaultPort)
	k.plainSegment = &Segment{
		MTU: k.defaultSegment.MTU, MACLearning: resolveLearning(k.defaultSegment.MACLearning),
		UnknownUnicastFlooding: *k.defaultSegment.UnknownUnicastFlooding, Security: resolveSecurity(k.defaultSegment.Security),
	}
	return k
}

// compile is one attempt at Compile. The steps come in the order of what
// they need:
//
//	node       NodeConfig                              needs nothing
//	pools      IPPools                                 node
//	names      which segments, routers, ports exist    pools
//	zones      and so the order of segments            names
//	segments   their settings; carve subnets           zones
//	attach     which segments ports are in             segments
//	addresses  those given, then those of other pods   attach
//	autoconf   addresses that hosts make themselves    addresses: all others are known
//	routers    uplinks, routes                         segments, ports
//	rules      what policies and groups say            node
//	ports      numbers, and the model's values         all
//	firewall   who is in groups, and the policy        rules, ports
//	services   virtual servers, pools, NAT rules       routers, ports, groups
func (k *Compiler) compile(in Input) (*Model, Faults) {
	k.run++
	c := &compiler{
		Compiler: k, in: in, m: &Model{Revision: in.Revision},
		uplinks: map[string]*Object{}, routers: map[string]*Object{}, routerAt: map[string]int{},
	}
	if in.Previous != nil {
		c.previous = *in.Previous
	}
	k.inventory.take(in.Objects)
	if k.inventory.twice {
		c.faults = duplicates(k.inventory.sorted)
		k.inventory.twice = len(c.faults) > 0
	}
	if len(notImplemented(k.inventory.removed)) > 0 || len(notImplemented(k.inventory.added)) > 0 {
		k.notImplemented = notImplemented(k.inventory.sorted)
	}
	c.m.NotImplemented = k.notImplemented
	c.compileNode()
	c.compilePools()
	c.collect()
	c.numberZones()
	c.numberRouters()
	c.compileSegments()
	c.attachPorts()
	c.bindAddresses()
	c.bindAutoconfigured()
	c.numberPorts()
	c.compileRouters()
	c.checkRules()
	c.checkServices()
	if len(c.faults) > 0 {
		return nil, c.faults.sorted()
	}
	c.makePorts()
	c.makeFirewall()
	c.makeServices()
	c.listInside()
	c.makeHealthPorts()
	c.m.Digest = c.digest()
	return c.m, nil
}

// compiler holds what the steps of one compilation hand to each other.
type compiler struct {
	*Compiler
	in       Input
	previous Allocations
	m        *Model
	faults   Faults

	uplinks  map[string]*Object // name of the port -> the Router that has it as an uplink
	routers  map[string]*Object // nil for the implicit default
	routerAt map[string]int     // index in Routers
	scopes   map[string]uint32  // of routers; see numberRouters

	order []*portPlan // portOrder without those whose name another has

	found int          // pods that have addresses in previous.Addresses
	freed []Freed      // addresses in quarantine, sorted
	lost  []Freed      // those that this configuration frees, sorted
	held  []netip.Addr // addresses of both, sorted
}

func (c *compiler) fault(o *Object, path, message, hint string) {
	c.faults = append(c.faults, o.at(path, message, hint))
}

// good runs a step, and reports whether it found no fault.
func (c *compiler) good(step func()) bool {
	n := len(c.faults)
	step()
	return len(c.faults) == n
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
