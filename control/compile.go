package control

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
)

// Input is what a model is compiled from.
type Input struct {
	// Objects are the whole configuration, in any order.
	Objects []*Object
	// Revision is the number of the configuration; it goes into the Model.
	Revision uint64
	// Previous are the Allocations of the model before; nil at the first.
	Previous *Allocations
	// Now is Unix time in ns: what quarantine of freed addresses is measured by.
	Now int64
}

// Compile resolves a configuration and checks all of it at once. It is atomic:
// if there is a fault, there is no model.
//
// The steps come in the order of what they need:
//
//	node       NodeConfig                              needs nothing
//	pools      IPPools                                 node
//	names      which segments, routers, ports exist    pools
//	segments   their settings; carve subnets           names
//	ports      addresses given, VLANs, devices         segments
//	allocate   addresses of the other pods             ports: all given ones are known
//	bind       addresses that hosts make themselves    allocate: all others are known
//	routers    uplinks, routes                         segments, ports
//	number     zones, port numbers, digest             all
func Compile(in Input) (*Model, Faults) {
	c := newCompiler(in)
	c.faults = duplicates(c.objects)
	c.m.NotImplemented = notImplemented(c.objects)
	c.compileNode()
	c.compilePools()
	c.collect()
	c.compileSegments()
	c.compilePorts()
	c.allocateAddresses()
	c.bindAutoconfigured()
	c.compileRouters()
	c.number()
	if len(c.faults) > 0 {
		return nil, c.faults.sorted()
	}
	c.m.Digest = digest(c.m)
	return c.m, nil
}

// compiler holds what the steps hand to each other.
type compiler struct {
	in       Input
	previous Allocations
	objects  []*Object // sorted by key
	m        *Model
	faults   Faults

	pools      []*poolPlan
	segments   map[string]*segmentPlan
	byVLAN     map[int][]string // names of segments, sorted
	ports      map[string]*portPlan
	portOrder  []*portPlan // sorted by name: Ports[i] is made of portOrder[i]
	namespaces map[string]*namespacePlan
	uplinks    map[string]*Object // name of the port -> the Router that has it as an uplink
	routers    map[string]*Object // nil for the implicit default
	routerAt   map[string]int     // index in Routers
}

func newCompiler(in Input) *compiler {
	c := &compiler{
		in: in, m: &Model{Revision: in.Revision},
		objects:  slices.Clone(in.Objects),
		segments: map[string]*segmentPlan{}, byVLAN: map[int][]string{}, ports: map[string]*portPlan{}, namespaces: map[string]*namespacePlan{},
		uplinks: map[string]*Object{}, routers: map[string]*Object{}, routerAt: map[string]int{},
	}
	slices.SortFunc(c.objects, func(a, b *Object) int { return a.Key().Compare(b.Key()) })
	if in.Previous != nil {
		c.previous = *in.Previous
	}
	c.m.Allocations = Allocations{
		Zones: map[string]uint32{}, Numbers: map[string]uint16{},
	}
	return c
}

func (c *compiler) fault(o *Object, path, message, hint string) {
	c.faults = append(c.faults, o.at(path, message, hint))
}

// each visits the objects whose Value is a *T, in order of their keys.
func each[T any](c *compiler, visit func(o *Object, value *T)) {
	for _, o := range c.objects {
		if v, ok := o.Value.(*T); ok {
			visit(o, v)
		}
	}
}

// namespacePlan is a namespace before its segment has an index.
type namespacePlan struct {
	object  *Object // nil if no Namespace is written
	labels  map[string]string
	segment string // name; empty until something needs it
}

// collect finds out what exists: routers, uplinks' ports, namespaces, segments
// and ports, and which names point nowhere.
func (c *compiler) collect() {
	each(c, func(o *Object, r *api.Router) {
		if o.Name == api.RouterNone {
			c.fault(o, "metadata.name", `"none" is no router's name`, "segments that have no router say so")
		}
		c.routers[o.Name] = o
		for i, u := range r.Spec.Uplinks {
			path := fmt.Sprintf("spec.uplinks[%d].port", i)
			if other, found := c.uplinks[u.Port]; found {
				c.fault(o, path, "the port "+u.Port+" is an uplink already", "of "+other.where())
				continue
			}
			c.uplinks[u.Port] = o
		}
	})
	if _, found := c.routers[api.DefaultRouter]; !found {
		c.routers[api.DefaultRouter] = nil
	}
	for i, name := range sortedKeys(c.routers) {
		c.m.Routers = append(c.m.Routers, Router{Name: name})
		c.routerAt[name] = i
	}
	each(c, func(o *Object, s *api.Segment) {
		spec := s.Spec
		api.SetDefaults(&spec)
		c.segments[o.Name] = &segmentPlan{object: o, spec: spec}
	})
	each(c, func(o *Object, ns *corev1.Namespace) {
		p := c.namespace(o.Name)
		p.object = o
		for k, v := range ns.Labels {
			p.labels[k] = v
		}
		p.labels[corev1.LabelMetadataName] = o.Name
		c.namespaceSegment(o.Name)
	})
	each(c, func(o *Object, p *api.Port) { c.collectPort(o, p) })
	each(c, func(o *Object, p *corev1.Pod) { c.collectPod(o, p) })
	for _, name := range sortedKeys(c.ports) {
		c.portOrder = append(c.portOrder, c.ports[name])
	}
	each(c, func(o *Object, r *api.Router) {
		for i, u := range r.Spec.Uplinks {
			path := fmt.Sprintf("spec.uplinks[%d].port", i)
			if p := c.ports[u.Port]; p != nil && p.pod {
				c.fault(o, path, "the port "+u.Port+" is a Pod's", "an uplink is a Port")
			} else if p == nil {
				c.fault(o, path, "there is no Port "+cleanKey(u.Port), didYouMean(u.Port, sortedKeys(c.ports)))
			}
		}
	})
}

// namespace returns the plan of a namespace, which exists by being named.
func (c *compiler) namespace(name string) *namespacePlan {
	p := c.namespaces[name]
	if p == nil {
		p = &namespacePlan{labels: map[string]string{corev1.LabelMetadataName: name}}
		c.namespaces[name] = p
	}
	return p
}

// namespaceSegment returns the name of a namespace's segment: the one that
// its annotation names, else the one of its own name, which is made if it is
// not written.
func (c *compiler) namespaceSegment(name string) string {
	p := c.namespace(name)
	if p.segment != "" {
		return p.segment
	}
	p.segment = name
	if p.object != nil {
		if named := p.object.Meta().Annotations[api.SegmentAnnotation]; named != "" {
			p.segment = named
			return named
		}
	}
	if c.segments[name] == nil {
		plan := &segmentPlan{object: p.object, implicit: true}
		api.SetDefaults(&plan.spec)
		c.segments[name] = plan
	}
	return name
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// digest sums up a model in 16 hexadecimal digits. JSON is canonical here:
// fields come in the order of the structs and maps sorted by key.
func digest(m *Model) string {
	plain := *m
	plain.Revision, plain.Digest, plain.Allocations = 0, "", Allocations{}
	data, err := json.Marshal(&plain)
	if err != nil {
		panic("control: a model is plain data: " + err.Error())
	}
	return fmt.Sprintf("%016x", xxhash.Sum64(data))
}
