package services

import (
	"slices"

	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Endpoint is a port that may be behind a service. It is not written to once the resolver has it: what is the same
// pointer is the same.
type Endpoint struct {
	*ruleset.Endpoint

	Ready       bool // a Pod's condition of the name; true of who has none
	Terminating bool // it is being deleted
}

// population is the endpoints that there are, and where to find them.
type population struct {
	now     []*Endpoint // by number
	byLabel map[labelKey][]uint16
	bound   map[boundKey]uint16 // who has an address
}

// labelKey is a label of endpoints in a namespace.
type labelKey struct{ namespace, key, value string }

// boundKey is an address in an address space.
type boundKey struct {
	scope   uint32
	address packet.Addr
}

func newPopulation() population {
	return population{byLabel: map[labelKey][]uint16{}, bound: map[boundKey]uint16{}}
}

// update takes the endpoints that there are now, and returns what is another: what was there, and what is.
func (p *population) update(now []*Endpoint) (changed [][2]*Endpoint) {
	for n := range max(len(now), len(p.now)) {
		if was, is := at(p.now, n), at(now, n); was != is {
			changed = append(changed, [2]*Endpoint{was, is})
		}
	}
	for _, pair := range changed {
		if e := pair[0]; e != nil {
			e.eachLabel(func(key labelKey) {
				list := p.byLabel[key]
				i, _ := slices.BinarySearch(list, e.Number)
				if list = slices.Delete(list, i, i+1); len(list) == 0 {
					delete(p.byLabel, key)
				} else {
					p.byLabel[key] = list
				}
			})
			for _, a := range e.Addresses {
				if key := (boundKey{e.Scope, a}); p.bound[key] == e.Number {
					delete(p.bound, key)
				}
			}
		}
	}
	for _, pair := range changed {
		if e := pair[1]; e != nil {
			e.eachLabel(func(key labelKey) {
				list := p.byLabel[key]
				i, _ := slices.BinarySearch(list, e.Number)
				p.byLabel[key] = slices.Insert(list, i, e.Number)
			})
			for _, a := range e.Addresses {
				p.bound[boundKey{e.Scope, a}] = e.Number
			}
		}
	}
	p.now = now
	return changed
}

func at[T any](list []*T, n int) *T {
	if n < len(list) {
		return list[n]
	}
	return nil
}

// eachLabel visits the labels by which Services may select the endpoint.
func (e *Endpoint) eachLabel(visit func(labelKey)) {
	if e.Namespace == nil {
		return
	}
	for key, value := range e.Labels {
		visit(labelKey{e.Namespace.Name, key, value})
	}
}

// selects reports whether a Service's selector selects an endpoint of its namespace.
func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if has, found := labels[key]; !found || has != value {
			return false
		}
	}
	return len(selector) > 0
}

// selected visits the endpoints of a namespace that a selector selects, in order of numbers.
func (p *population) selected(namespace string, selector map[string]string, visit func(*Endpoint)) {
	var shortest []uint16
	for i, key := range sortedKeys(selector) {
		if list := p.byLabel[labelKey{namespace, key, selector[key]}]; i == 0 || len(list) < len(shortest) {
			shortest = list
		}
	}
	for _, n := range shortest {
		if e := p.now[n]; selects(selector, e.Labels) {
			visit(e)
		}
	}
}

// backing is what is behind a Service.
type backing struct {
	slices    map[*node]struct{}
	endpoints *node
}

// back enters an object as being behind a Service, or strikes it out.
func (r *Resolver) back(n *node, is bool) {
	key := n.says.behind
	if key == (service.Origin{}) {
		return
	}
	b := r.backing[key]
	if b == nil {
		b = &backing{slices: map[*node]struct{}{}}
		r.backing[key] = b
	}
	switch {
	case n.key.Kind == kindEndpoints && is:
		b.endpoints = n
	case n.key.Kind == kindEndpoints:
		b.endpoints = nil
	case is:
		b.slices[n] = struct{}{}
	default:
		delete(b.slices, n)
	}
	if b.endpoints == nil && len(b.slices) == 0 {
		delete(r.backing, key)
	}
	r.stirred[key] = struct{}{}
}

// behind are the objects that say what is behind a Service, in order of names; found is false if none does, so that its selector
// holds. Endpoints count where there are no slices: these are made of them (EndpointSliceMirroring).
func (r *Resolver) behind(key service.Origin) (list []*node, found bool) {
	b := r.backing[key]
	switch {
	case b == nil:
		return nil, false
	case len(b.slices) == 0:
		return []*node{b.endpoints}, true
	}
	for n := range b.slices {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *node) int { return compareOrigins(a.key, b.key) })
	return list, true
}

// meet marks the nodes that endpoints which came, went or are others may be members of, or are to be local to.
func (r *Resolver) meet(changed [][2]*Endpoint) {
	if len(changed) == 0 {
		return
	}
	addresses := map[packet.Addr]struct{}{}
	for _, pair := range changed {
		for _, e := range pair {
			if e == nil {
				continue
			}
			e.eachLabel(func(key labelKey) {
				for n := range r.selecting[key] {
					r.unbuilt[n] = struct{}{}
				}
			})
			for _, a := range e.Addresses {
				addresses[a] = struct{}{}
			}
			for n := range r.grouping {
				r.unbuilt[n] = struct{}{}
			}
		}
	}
	// Each address that is behind a Service is looked at, one by one: 100,000 in 2 ms. An index of them would cost memory, and
	// each change of a slice some time.
	for key, b := range r.backing {
		if n := r.nodes[key]; n != nil && b.has(addresses) {
			r.unbuilt[n] = struct{}{}
		}
	}
	for n := range r.written {
		for i := range n.says.pools {
			if slices.ContainsFunc(n.says.pools[i].members, func(m memberDraft) bool { _, has := addresses[m.Address]; return has }) {
				r.unbuilt[n] = struct{}{}
			}
		}
	}
}

// has reports whether one of addresses is behind the Service.
func (b *backing) has(addresses map[packet.Addr]struct{}) bool {
	look := func(n *node) bool {
		for i := range n.says.slices {
			for j := range n.says.slices[i].endpoints {
				if _, has := addresses[n.says.slices[i].endpoints[j].address]; has {
					return true
				}
			}
		}
		return false
	}
	if b.endpoints != nil && look(b.endpoints) {
		return true
	}
	for n := range b.slices {
		if look(n) {
			return true
		}
	}
	return false
}

// watch enters a node in, or strikes it out of, what tells whom endpoints concern.
func (r *Resolver) watch(n *node, is bool) {
	mark := func(set map[*node]struct{}) {
		if is {
			set[n] = struct{}{}
		} else {
			delete(set, n)
		}
	}
	for i := range n.says.servers {
		if n.says.servers[i].clients.name != "" {
			mark(r.grouping)
		}
	}
	for i := range n.says.pools {
		d := &n.says.pools[i]
		if len(d.members) > 0 {
			mark(r.written)
		}
		if d.group != nil {
			mark(r.grouping)
		}
		if d.endpoints == nil || len(d.endpoints.selector) == 0 {
			continue
		}
		key := sortedKeys(d.endpoints.selector)[0]
		label := labelKey{n.key.Namespace, key, d.endpoints.selector[key]}
		if r.selecting[label] == nil {
			r.selecting[label] = map[*node]struct{}{}
		}
		mark(r.selecting[label])
		if len(r.selecting[label]) == 0 {
			delete(r.selecting, label)
		}
	}
}
