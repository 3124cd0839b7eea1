package services

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/control/internal/numbers"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Settings are what services depend on besides objects.
type Settings struct {
	NodeName string // of this node, as Kubernetes knows it; empty: not known
	Zone     string // that it is in; empty: not known

	Algorithm service.Algorithm // of those who name none
	Class     string            // the spec.loadBalancerClass that is this node's, besides none

	Routers []Router // sorted by name
	// Scopes are the address spaces of namespaces whose segment has another router than "default".
	Scopes map[string]uint32
	// Subnets are the networks of namespaces that are Outgoing, by name.
	Subnets map[string][]netip.Prefix
	// Sources are the IPPools with usage snat, by name.
	Sources []Source
}

// Router is a router's edge.
type Router struct {
	Name    string
	Scope   uint32 // its address space
	Uplinks []Uplink
}

// Uplink is an uplink of a router.
type Uplink struct {
	Port      string // by name
	Number    uint16
	Addresses []netip.Prefix
}

// Source is an IPPool with usage snat.
type Source struct {
	Name      string
	Addresses []packet.Addr // sorted
}

func (s *Settings) equal(t *Settings) bool {
	return s.NodeName == t.NodeName && s.Zone == t.Zone && s.Algorithm == t.Algorithm && s.Class == t.Class && maps.Equal(s.Scopes, t.Scopes) &&
		maps.EqualFunc(s.Subnets, t.Subnets, slices.Equal) &&
		slices.EqualFunc(s.Routers, t.Routers, func(a, b Router) bool {
			return a.Name == b.Name && a.Scope == b.Scope && slices.EqualFunc(a.Uplinks, b.Uplinks, func(a, b Uplink) bool {
				return a.Port == b.Port && a.Number == b.Number && slices.Equal(a.Addresses, b.Addresses)
			})
		}) &&
		slices.EqualFunc(s.Sources, t.Sources, func(a, b Source) bool { return a.Name == b.Name && slices.Equal(a.Addresses, b.Addresses) })
}

// router returns a router by name, nil if there is none.
func (s *Settings) router(name string) *Router {
	i, found := slices.BinarySearchFunc(s.Routers, name, func(r Router, name string) int { return cmp.Compare(r.Name, name) })
	if !found {
		return nil
	}
	return &s.Routers[i]
}

// Resolver makes Configs that follow each other, and does anew only what has changed: each turn is Put for all objects
// that are others than before, Check, and if that finds nothing, Resolve. What a Config says depends on what
// there is then, and on the numbers and addresses that are handed in, not on what was there before.
//
//	objects ──▶ drafts ──▶ frontends ────▶ Config
//	                           ▲  pools ◀── slices, pods, groups
//	                  vips ────┘    ▲
//	                              numbers
//
// A Resolver is for one goroutine at a time.
type Resolver struct {
	settings   Settings
	configured bool // settings were given
	nodes      map[service.Origin]*node
	users      map[service.Origin]map[*node]struct{} // who names an object, there or not
	backing    map[service.Origin]*backing           // what is behind Services, by their key

	unchecked map[*node]struct{} // to be linked
	faulty    map[*node]struct{} // linked, and not good
	unplaced  map[*node]struct{} // whose frontends are to be found
	unbuilt   map[*node]struct{} // to be built when all is good
	removed   []*node            // built, and to be taken down

	allocator  *vips.Allocator
	has        [2]bool // there are pools of ClusterIPs, and of virtual servers' addresses
	asking     list[node]
	requesters []*node // asking: who asks for addresses or node ports, sorted as vips.Compare does
	given      *vips.Result

	spots   map[spotKey]*spot // where frontends are
	touched map[spotKey]struct{}
	clashes map[spotKey][]Fault

	population population
	selecting  map[labelKey]map[*node]struct{} // Services whose selectors have a label, by one of these
	grouping   map[*node]struct{}              // Pools of groups
	written    map[*node]struct{}              // Pools with members that are written
	stirred    map[service.Origin]struct{}     // Services that have other things behind them
	groups     map[service.Origin]*policy.Set  // of the last turn, those that are named

	numbers     numbers.Space
	sourceUsers map[sourceKey]sourceUsers
	sources     map[sourceKey]*service.SourcePool
	parts       parts // of the Config
}

// node is an object and what the resolver knows of it.
type node struct {
	key   service.Origin
	value any

	says  says
	links []service.Origin // names in users

	faults []Fault // of says and of links

	scope   uint32
	router  *Router       // of the address space; nil if it is not a router's
	request *vips.Request // nil: it asks for nothing
	grant   *vips.Grant   // of request
	fronts  [][]front     // by server
	spots   []spotKey     // of fronts
	placing uint64        // how often fronts were found: claims of other times are gone

	built built
}

// Input is what services are resolved against, besides objects.
type Input struct {
	Endpoints []*Endpoint // by number; nil for none
	// Groups are those of ruleset.Result, with their members.
	Groups func(service.Origin) *policy.Set

	Previous map[string]IDs // the numbers in the Config before: those that are there again have them again
	LastID   uint32         // the number given last
}

// IDs are the numbers of one object's servers, pools, members and rules.
type IDs = numbers.IDs

// Result is what is made of all objects.
type Result struct {
	Config   *service.Config
	Statuses []*Status // by kind, namespace and name of Origin
	IDs      map[string]IDs
	LastID   uint32
}

// Status is what an object has become. It is not written to; one that is the same pointer says the same.
type Status struct {
	Origin     service.Origin
	Addresses  []netip.Addr // at which it is reached from outside: status.loadBalancer.ingress
	ClusterIPs []netip.Addr
	NodePorts  []uint16 // by index in spec.ports; nil: it has none
	Problems   []vips.Problem
	Note       string // why nothing comes of it, although nothing is wrong; empty otherwise

	// HealthPort is the node's port at which it tells how many endpoints it has itself
	// (spec.healthCheckNodePort); 0: none. LocalReady is their number.
	HealthPort uint16
	LocalReady int
}

// New returns a Resolver that knows no objects.
func New() *Resolver {
	return &Resolver{
		nodes: map[service.Origin]*node{}, users: map[service.Origin]map[*node]struct{}{}, backing: map[service.Origin]*backing{},
		unchecked: map[*node]struct{}{}, faulty: map[*node]struct{}{}, unplaced: map[*node]struct{}{}, unbuilt: map[*node]struct{}{},
		allocator: vips.New(), asking: newList(func(a, b *node) int { return vips.Compare(a.key, b.key) }), spots: map[spotKey]*spot{}, touched: map[spotKey]struct{}{}, clashes: map[spotKey][]Fault{},
		population: newPopulation(), selecting: map[labelKey]map[*node]struct{}{}, grouping: map[*node]struct{}{}, written: map[*node]struct{}{},
		stirred: map[service.Origin]struct{}{}, sourceUsers: map[sourceKey]sourceUsers{}, sources: map[sourceKey]*service.SourcePool{},
		groups: map[service.Origin]*policy.Set{}, numbers: numbers.NewSpace(1, service.MaxGiven), parts: newParts(),
	}
}

// Put says that there is an object, a pointer to its kind's Go type, or, if it is nil, that there is none of that
// name. The object is not written to afterwards.
func (r *Resolver) Put(key service.Origin, value any) {
	n := r.nodes[key]
	switch {
	case value == nil && n == nil, n != nil && n.value == value:
		return
	case value == nil:
		r.unlink(n)
		r.back(n, false)
		r.watch(n, false)
		delete(r.nodes, key)
		for _, set := range []map[*node]struct{}{r.unchecked, r.faulty, r.unplaced, r.unbuilt} {
			delete(set, n)
		}
		r.unplace(n)
		if n.request != nil {
			r.asking.replace([]*node{n}, nil)
		}
		r.removed = append(r.removed, n)
		r.disturb(key)
		return
	case n == nil:
		n = &node{key: key}
		r.nodes[key] = n
	default:
		r.back(n, false)
		r.watch(n, false)
	}
	r.disturb(key)
	monitor := n.says.monitor
	n.value, n.says = value, read(value)
	if monitor != nil && n.says.monitor != nil && equalMonitors(monitor, n.says.monitor) {
		n.says.monitor = monitor // it goes on as it is
	}
	r.back(n, true)
	r.watch(n, true)
	r.unchecked[n] = struct{}{}
}

// disturb marks all who name an object as to be linked again.
func (r *Resolver) disturb(key service.Origin) {
	for user := range r.users[key] {
		r.unchecked[user] = struct{}{}
	}
}

// compareOrigins orders by kind, namespace and name.
func compareOrigins(a, b service.Origin) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
