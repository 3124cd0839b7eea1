package control

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ruleset"
)

// namespacePlan is a namespace, which exists by being written or named.
type namespacePlan struct {
	name   string
	run    uint64  // the last compilation that had it
	object *Object // nil if no Namespace is written; valid in run
	// segment is the name of its segment; empty until something needs it. Valid
	// in run.
	segment string
	plan    *segmentPlan // nil if there is none of that name
	index   int          // of the segment in the model, -1 for none; valid in run

	surroundings *ruleset.Surroundings // with these labels

	labels   map[string]string // of labelsOf and the name; in models, so never written to again
	labelsOf *Object
}

// collect finds out what exists: routers, uplinks' ports, namespaces, segments
// and ports, and which names point nowhere.
func (c *compiler) collect() {
	c.planPorts()
	c.collectRouters()
	each(c, func(o *Object, s *api.Segment) {
		plan, _ := c.segment(o.Name)
		plan.object, plan.implicit = o, false
		if plan.specOf != o {
			spec := s.Spec
			api.SetDefaults(&spec)
			plan.spec, plan.specOf, plan.writtenGood = &spec, o, false
		}
	})
	each(c, func(o *Object, _ *corev1.Namespace) { c.namespace(o.Name).object = o })
	each(c, func(o *Object, _ *corev1.Namespace) { c.namespaceSegment(c.namespace(o.Name)) })
	c.checkUplinks()
	c.collectPorts()
	c.sweep()
}

func (c *compiler) collectRouters() {
	c.forgetInside(func(router string) bool { return !slices.Contains(c.inside.routers, router) })
	for _, p := range c.uplinked {
		p.uplinkOf = nil
	}
	c.uplinked = c.uplinked[:0]
	each(c, func(o *Object, r *api.Router) {
		if o.Name == api.RouterNone {
			c.fault(o, "metadata.name", `"none" is no router's name`, "segments that have no router say so")
		}
		c.routers[o.Name] = o
		for i, u := range r.Spec.Uplinks {
			path := fmt.Sprintf("spec.uplinks[%d].port", i)
			p := c.ports[u.Port]
			switch {
			case p == nil:
				c.fault(o, path, "there is no Port "+cleanKey(u.Port), didYouMean(u.Port, sortedKeys(c.ports)))
			case p.pod:
				c.fault(o, path, "the port "+u.Port+" is a Pod's", "an uplink is a Port")
			}
			if other, found := c.uplinks[u.Port]; found {
				c.fault(o, path, "the port "+u.Port+" is an uplink already", "of "+other.where())
				continue
			}
			c.uplinks[u.Port] = o
			if p != nil && !p.pod {
				p.uplinkOf = o
				c.uplinked = append(c.uplinked, p)
			}
		}
	})
	if _, found := c.routers[api.DefaultRouter]; !found {
		c.routers[api.DefaultRouter] = nil
	}
	c.planInside()
	for i, name := range sortedKeys(c.routers) {
		c.routerAt[name] = i
	}
}

// checkUplinks reports what an uplink's port can't have.
func (c *compiler) checkUplinks() {
	for _, p := range c.uplinked {
		o, of := p.object, "of "+p.uplinkOf.where()
		written := &o.Value.(*api.Port).Spec
		switch {
		case p.wants != "":
			c.fault(o, "spec.segment", "the port is an uplink and can't be in a segment too", of)
		case p.spec.VLAN != nil:
			c.fault(o, "spec.vlan", "the port is an uplink and can't have VLANs", of)
		case written.Guard != nil && *written.Guard:
			c.fault(o, "spec.guard", "the port is an uplink and can't be guarded: anybody may be behind it", of)
		case written.MACLearning != nil:
			c.fault(o, "spec.macLearning", "the port is an uplink, where the router finds addresses by ARP and ND", of)
		case written.UnknownUnicastFlooding != nil:
			c.fault(o, "spec.unknownUnicastFlooding", "the port is an uplink, where there is nobody to flood to", of)
		}
		for _, a := range p.given {
			if a.ip.IsValid() {
				c.fault(o, a.path+".ip", "an uplink's addresses are the router's", "write them in "+p.uplinkOf.where()+", spec.uplinks")
			}
			c.checkMAC(p, a)
		}
	}
}

// collectPorts finds out which namespaces and segments ports need.
func (c *compiler) collectPorts() {
	c.order = c.portOrder
	for i, p := range c.portOrder {
		if p.namespace != "" {
			if p.space == nil || p.space.run != c.run {
				p.space = c.namespace(p.namespace)
			}
			if p.ofNamespace && p.uplinkOf == nil {
				c.namespaceSegment(p.space)
			}
		}
		c.faults = append(c.faults, p.faults...)
		if c.ports[p.name] != p {
			c.fault(p.object, "metadata.name", "the port "+p.name+" is there twice", "the other is of "+c.ports[p.name].object.where())
			if len(c.order) == len(c.portOrder) {
				c.order = slices.Clone(c.portOrder[:i])
			}
			continue
		}
		if len(c.order) <= i {
			c.order = append(c.order, p)
		}
	}
	c.contendDevices()
}

// namespace returns the plan of a namespace that there is in this compilation.
func (c *compiler) namespace(name string) *namespacePlan {
	p := c.namespaces[name]
	if p == nil {
		p = &namespacePlan{name: name}
		c.namespaces[name] = p
		c.namespaceOrder = amend(c.namespaceOrder, nil, []*namespacePlan{p}, compareNamespaces)
	}
	if p.run != c.run {
		p.run, p.object, p.segment = c.run, nil, ""
	}
	return p
}

func compareNamespaces(a, b *namespacePlan) int { return cmp.Compare(a.name, b.name) }

// segment returns the plan of a segment that there is in this compilation, and
// whether it was there already.
func (c *compiler) segment(name string) (*segmentPlan, bool) {
	s := c.segments[name]
	if s == nil {
		s = &segmentPlan{name: name, zoneName: "segment/" + name}
		c.segments[name] = s
		c.segmentOrder = amend(c.segmentOrder, nil, []*segmentPlan{s}, compareSegments)
		c.segmentsRun = c.run
	}
	known := s.run == c.run
	s.run = c.run
	return s, known
}

func compareSegments(a, b *segmentPlan) int { return cmp.Compare(a.name, b.name) }

// existing returns the plan of a segment, nil if there is none in this
// compilation.
func (c *compiler) existing(name string) *segmentPlan {
	if s := c.segments[name]; s != nil && s.run == c.run {
		return s
	}
	return nil
}

// namespaceSegment finds a namespace's segment: the one that its annotation
// names, else the one of its own name, which is made if it is not written.
func (c *compiler) namespaceSegment(p *namespacePlan) {
	if p.segment != "" {
		return
	}
	p.segment = p.name
	if p.object != nil {
		if named := p.object.Meta().Annotations[api.SegmentAnnotation]; named != "" {
			p.segment = named
			return
		}
	}
	if s, known := c.segment(p.name); !known {
		s.object, s.implicit, s.spec, s.specOf = p.object, true, c.defaultSegment, nil
	}
}

// sweep forgets the namespaces and segments that are not there any more.
func (c *compiler) sweep() {
	c.namespaceOrder = slices.DeleteFunc(c.namespaceOrder, func(p *namespacePlan) bool {
		if p.run == c.run {
			return false
		}
		delete(c.namespaces, p.name)
		return true
	})
	c.segmentOrder = slices.DeleteFunc(c.segmentOrder, func(s *segmentPlan) bool {
		if s.run == c.run {
			return false
		}
		delete(c.segments, s.name)
		c.segmentsRun = c.run
		return true
	})
	for _, p := range c.namespaceOrder {
		p.plan = c.existing(p.segment)
	}
}

// compileNamespaces hands the namespaces to the model.
func (c *compiler) compileNamespaces() {
	same := len(c.namespaceModel) == len(c.namespaceOrder)
	for i, p := range c.namespaceOrder {
		if p.labels == nil || p.labelsOf != p.object {
			p.labels, p.labelsOf = map[string]string{}, p.object
			if p.object != nil {
				maps.Copy(p.labels, p.object.Meta().Labels)
			}
			p.labels[corev1.LabelMetadataName] = p.name
			p.surroundings = &ruleset.Surroundings{Name: p.name, Labels: p.labels}
			same = false
		}
		at := -1
		if p.plan != nil {
			at = p.plan.index
		} else if p.segment != "" {
			c.fault(p.object, annotationPath, "there is no Segment "+cleanKey(p.segment), didYouMean(p.segment, c.segmentNames()))
		}
		same = same && c.namespaceModel[i].Name == p.name && c.namespaceModel[i].Segment == at
		p.index = at
	}
	if !same {
		c.namespaceModel, c.namespacesHash = nil, 0
		for _, p := range c.namespaceOrder {
			c.namespaceModel = append(c.namespaceModel, Namespace{Name: p.name, Labels: p.labels, Segment: p.index})
		}
	}
	c.m.Namespaces = c.namespaceModel
}

const annotationPath = "metadata.annotations[" + api.SegmentAnnotation + "]"

func (c *compiler) segmentNames() []string {
	names := make([]string, len(c.segmentOrder))
	for i, s := range c.segmentOrder {
		names[i] = s.name
	}
	return names
}
