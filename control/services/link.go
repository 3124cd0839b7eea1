package services

import (
	"slices"
	"strings"

	"github.com/sluice-net/sluice/control/internal/near"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
)

// candidates are the objects that a name may mean as seen from a namespace, the first that there is. The second is the zero
// Origin if there is but one.
func candidates(ref reference, namespace string) [2]service.Origin {
	if space, rest, found := strings.Cut(ref.name, "/"); found {
		return [2]service.Origin{{Kind: ref.kind, Namespace: space, Name: rest}}
	}
	if namespace == "" {
		return [2]service.Origin{{Kind: ref.kind, Name: ref.name}}
	}
	return [2]service.Origin{{Kind: ref.kind, Namespace: namespace, Name: ref.name}, {Kind: ref.kind, Name: ref.name}}
}

// find returns the object that a reference means as seen from a namespace, nil if there is none.
func (r *Resolver) find(ref reference, namespace string) *node {
	for _, key := range candidates(ref, namespace) {
		if n := r.nodes[key]; n != nil {
			return n
		}
	}
	return nil
}

// Check says who has which address, and returns all faults of the objects that there are, sorted by object. addresses is but for
// Requests.
func (r *Resolver) Check(s Settings, addresses vips.Input) (faults []Fault) {
	poolsOf := func(in *vips.Input) (of [2]bool) {
		for i := range in.Pools {
			of[0] = of[0] || in.Pools[i].Use == vips.Cluster
			of[1] = of[1] || in.Pools[i].Use == vips.Virtual
		}
		return of
	}
	has := poolsOf(&addresses)
	if !r.configured || !r.settings.equal(&s) || has != r.has {
		r.configured, r.settings, r.has = true, s, has
		for _, n := range r.nodes {
			r.unchecked[n] = struct{}{}
		}
	}
	for n := range r.unchecked {
		r.link(n)
		r.unplaced[n] = struct{}{}
	}
	r.allocate(addresses)
	for n := range r.unplaced {
		r.place(n)
		delete(r.faulty, n)
		if len(n.faults) > 0 {
			r.faulty[n] = struct{}{}
		}
		r.unbuilt[n] = struct{}{}
	}
	clear(r.unchecked)
	clear(r.unplaced)
	r.findClashes()
	for n := range r.faulty {
		faults = append(faults, n.faults...)
	}
	for _, list := range r.clashes {
		faults = append(faults, list...)
	}
	slices.SortFunc(faults, compareFaults)
	return slices.Compact(faults)
}

// CheckObjects returns the faults that objects have by themselves and for whom they name, sorted by object: what can be
// said when it is not known where they are. It changes nothing.
func (r *Resolver) CheckObjects() (faults []Fault) {
	for _, n := range r.nodes {
		m := &node{key: n.key, says: n.says}
		r.checkNames(m)
		faults = append(faults, m.faults...)
	}
	slices.SortFunc(faults, compareFaults)
	return slices.Compact(faults)
}

// Given is who has which addresses and node ports. Valid after Check.
func (r *Resolver) Given() *vips.Result { return r.given }

func compareFaults(a, b Fault) int {
	if d := compareOrigins(a.Object, b.Object); d != 0 {
		return d
	}
	return slices.Compare([]string{a.Path, a.Message, a.Hint}, []string{b.Path, b.Message, b.Hint})
}

func (n *node) fault(path, message, hint string) {
	n.faults = append(n.faults, Fault{Object: n.key, Path: path, Message: message, Hint: hint})
}

// link finds whom a node names, where it is, and all that is wrong with it so far.
func (r *Resolver) link(n *node) {
	r.unlink(n)
	for _, ref := range n.says.references {
		for _, key := range candidates(ref, n.key.Namespace) {
			if key != (service.Origin{}) && !slices.Contains(n.links, key) {
				n.links = append(n.links, key)
				r.use(key, n)
			}
		}
	}
	r.checkNames(n)
	r.locate(n)
	for i := range n.says.servers {
		r.checkSource(n, &n.says.servers[i].source)
	}
	for i := range n.says.pools {
		r.checkSource(n, &n.says.pools[i].source)
	}
	r.checkRules(n)
	r.checkNative(n)
	r.ask(n)
}

// checkNames finds what is wrong with a node by itself, and with whom it names.
func (r *Resolver) checkNames(n *node) {
	n.faults = nil
	for _, f := range n.says.faults {
		n.fault(f.Path, f.Message, f.Hint)
	}
	for _, ref := range n.says.references {
		if r.find(ref, n.key.Namespace) == nil {
			n.fault(ref.path, "there is no "+ref.kind+" "+clip(ref.name), near.Hint(ref.name, r.names(ref, n.key.Namespace)))
		}
	}
}

// locate finds the address space of a node.
func (r *Resolver) locate(n *node) {
	name := n.says.router
	if name == "" {
		name = defaultRouter
	}
	n.router = r.settings.router(name)
	namespace := n.key.Namespace
	if n.key.Kind == kindNamespace {
		namespace = n.key.Name
	}
	switch scope, has := r.settings.Scopes[namespace]; {
	case n.says.router == "" && has:
		n.scope = scope
		n.router = nil
		for i := range r.settings.Routers {
			if r.settings.Routers[i].Scope == scope {
				n.router = &r.settings.Routers[i]
			}
		}
	case n.router != nil:
		n.scope = n.router.Scope
	case n.says.router != "":
		var names []string
		for i := range r.settings.Routers {
			names = append(names, r.settings.Routers[i].Name)
		}
		n.fault(n.says.routerPath, "there is no Router "+clip(name), near.Hint(name, names))
	}
}

// defaultRouter is the router of who names none: api.DefaultRouter.
const defaultRouter = "default"

// source returns an IPPool with usage snat, nil if there is none of the name.
func (r *Resolver) source(name string) *Source {
	for i := range r.settings.Sources {
		if r.settings.Sources[i].Name == name {
			return &r.settings.Sources[i]
		}
	}
	return nil
}

func (r *Resolver) checkSource(n *node, d *sourceDraft) {
	if d.mode == service.SourceFromPool && !d.lenient {
		r.checkSourcePool(n, d.path, d.pool)
	}
}

// checkSourcePool reports an IPPool that is not there, or that is too large.
func (r *Resolver) checkSourcePool(n *node, path, name string) {
	switch s := r.source(name); {
	case s == nil:
		var names []string
		for i := range r.settings.Sources {
			names = append(names, r.settings.Sources[i].Name)
		}
		n.fault(path, "there is no IPPool "+clip(name)+" with usage snat", near.Hint(name, names))
	case len(s.Addresses) > service.MaxPoolAddresses:
		n.fault(path, "the IPPool "+clip(name)+" has more addresses than sources can be translated to", "make it 4096 addresses or fewer")
	}
}

// ask makes what the node asks of the allocator.
func (r *Resolver) ask(n *node) {
	var next *vips.Request
	if len(n.says.wants)+len(n.says.nodePorts) > 0 {
		next = &vips.Request{Owner: n.key, Scope: n.scope, Wants: slices.Clone(n.says.wants), NodePorts: n.says.nodePorts}
		for i := range next.Wants {
			w := &next.Wants[i]
			switch {
			case w.Use == vips.Cluster && len(w.Addresses) == 0 && !r.has[0],
				w.Use == vips.Virtual && n.foreign(&r.settings):
				w.Families, w.Addresses = nil, nil
			case w.Use == vips.Virtual && !r.has[1]:
				w.Anywhere = true // no pool says what is allowed
			}
		}
	}
	switch {
	case n.request == nil && next != nil:
		r.asking.replace(nil, []*node{n})
	case n.request != nil && next == nil:
		r.asking.replace([]*node{n}, nil)
	}
	n.request, n.grant = next, nil
}

// foreign reports whether a load balancer of another class is to serve the node: Kubernetes' KEP 1959.
func (n *node) foreign(s *Settings) bool {
	return n.says.class != "" && n.says.class != s.Class && !strings.HasPrefix(n.says.class, "sluice.dev/")
}

// allocate finds out who has which addresses and node ports.
func (r *Resolver) allocate(in vips.Input) {
	r.requesters, _ = r.asking.settle()
	in.Requests = make([]*vips.Request, len(r.requesters))
	for i, n := range r.requesters {
		in.Requests[i] = n.request
	}
	r.given = r.allocator.Allocate(in)
	for i, g := range r.given.Grants {
		if n := r.requesters[i]; n.grant != g {
			n.grant = g
			r.unplaced[n] = struct{}{}
		}
	}
}

// stirPools marks the Pools that a node names: which parts they have depends on who names them.
func (r *Resolver) stirPools(n *node) {
	for _, key := range n.links {
		if o := r.nodes[key]; o != nil && key.Kind == kindPool {
			r.unbuilt[o] = struct{}{}
		}
	}
}

func (r *Resolver) use(key service.Origin, n *node) {
	users := r.users[key]
	if users == nil {
		users = map[*node]struct{}{}
		r.users[key] = users
	}
	users[n] = struct{}{}
}

// unlink undoes link.
func (r *Resolver) unlink(n *node) {
	r.stirPools(n)
	for _, key := range n.links {
		delete(r.users[key], n)
		if len(r.users[key]) == 0 {
			delete(r.users, key)
		}
	}
	n.links = n.links[:0]
}

// names are how objects of the kind that a reference wants may be named from a namespace, as it does: with theirs or
// without.
func (r *Resolver) names(ref reference, namespace string) (names []string) {
	for key := range r.nodes {
		if key.Kind != ref.kind {
			continue
		}
		name := key.Name
		if key.Namespace != "" && (key.Namespace != namespace || strings.Contains(ref.name, "/")) {
			name = key.Namespace + "/" + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
