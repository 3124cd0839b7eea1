package services

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// backend is the node and the index of its poolDraft that a server's connections go to; nil if there is none.
func (r *Resolver) backend(n *node, index int) (of *node, pool int) {
	d := &n.says.servers[index]
	if d.pool.name == "" {
		return n, index
	}
	return r.find(d.pool, n.key.Namespace), 0
}

// sourceOf is what members of a server see of clients: the server says it, or the Pool that it names.
func (r *Resolver) sourceOf(n *node, index int) *sourceDraft {
	if d := &n.says.servers[index]; d.pool.name == "" {
		return &d.source
	}
	if of, i := r.backend(n, index); of != nil && i < len(of.says.pools) {
		return &of.says.pools[i].source
	}
	return &sourceDraft{}
}

// buildServers makes a node's servers. What says the same stays the pointer that it was.
func (r *Resolver) buildServers(n *node) {
	old := n.built.servers
	servers := make([]*service.Server, len(n.says.servers))
	for i := range n.says.servers {
		servers[i] = r.server(n, i)
		for _, s := range old {
			if s.ID == servers[i].ID && reflect.DeepEqual(s, servers[i]) {
				servers[i] = s
			}
		}
	}
	r.parts.servers.replace(old, servers)
	n.built.servers = servers
}

func (r *Resolver) server(n *node, index int) *service.Server {
	d := &n.says.servers[index]
	s := new(service.Server)
	*s = d.Server
	s.ID, s.Origin, s.Name = n.built.ids.Of(serverName+d.part), n.key, n.nameOf(d.part)
	of, pool := r.backend(n, index)
	pools := func(k poolKey) *service.Pool {
		if of == nil {
			return nil
		}
		return of.poolFor(k)
	}
	for i := range n.fronts[index] {
		f := &n.fronts[index][i]
		keys := f.keys(pool)
		x := service.Frontend{
			Kind: f.draft.kind, Scope: n.scope, Address: f.address, Protocol: f.draft.protocol, First: f.first, Last: f.last,
			Inside: pools(keys[0]), Outside: pools(keys[1]), KeepSource: f.draft.keeps, Restricted: f.draft.restricted[familyOf(f.address)],
		}
		s.Frontends = append(s.Frontends, x)
	}
	if sorry := r.find(d.sorry, n.key.Namespace); sorry != nil {
		for i := range s.Frontends {
			s.Frontends[i].Sorry = sorry.poolFor(n.fronts[index][i].keys(0)[0])
		}
		if len(s.Frontends) > 0 {
			s.Sorry = s.Frontends[0].Sorry
		}
	}
	source := r.sourceOf(n, index)
	s.Source = source.mode
	if source.mode == service.SourceFromPool {
		if s.Pool = r.sources[sourceKey{source.pool, n.scope}]; s.Pool == nil {
			s.Source = service.SourceAsNeeded
		}
	}
	if d.Affinity != nil {
		a := *d.Affinity
		if a.ID = s.ID; d.shares != "" && of != nil {
			a.ID = of.built.ids.Of(wordName + d.shares)
		}
		s.Affinity = &a
	}
	if d.clients.name != "" {
		if list := r.clients(n, d); d.refused {
			s.Denied = append(slices.Clone(s.Denied), list...)
		} else if s.Allowed = append(slices.Clone(s.Allowed), list...); len(s.Allowed) == 0 {
			// Nobody is in the Group, and an empty list would be everybody: no client has this address.
			s.Allowed = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 32)}
		}
	}
	return s
}

// clients are the addresses of a Group.
func (r *Resolver) clients(n *node, d *serverDraft) (list []netip.Prefix) {
	set := &policy.Set{}
	if g := r.find(d.clients, n.key.Namespace); g != nil && r.groups[g.key] != nil {
		set = r.groups[g.key]
	}
	for _, number := range set.Ports {
		if e := at(r.population.now, int(number)); e != nil {
			for _, a := range e.Addresses {
				list = append(list, single(a))
			}
		}
	}
	for _, p := range set.Prefixes {
		a, bits := p.Addr.Netip(), int(p.Bits)
		if a.Is4() && bits >= 96 {
			bits -= 96
		} else if a.Is4() {
			a = netip.AddrFrom16(p.Addr.As16())
		}
		list = append(list, netip.PrefixFrom(a, bits))
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

func single(a packet.Addr) netip.Prefix {
	x := a.Netip()
	return netip.PrefixFrom(x, x.BitLen())
}

// conclude finds out what else follows from what has been built of a node.
func (r *Resolver) conclude(n *node, ready int) {
	b := &n.built
	st := r.statusOf(n)
	if st != nil {
		st.LocalReady = ready
	}
	if st != nil && b.status != nil && reflect.DeepEqual(st, b.status) {
		st = b.status
	}
	r.parts.statuses.replace(pointers(b.status), pointers(st))
	b.status = st

	var owned []service.Owned
	for i := range n.fronts {
		for j := range n.fronts[i] {
			if f := &n.fronts[i][j]; f.draft.kind != service.NodePort {
				owned = append(owned, service.Owned{Scope: n.scope, Prefix: single(f.address), Announced: f.draft.kind != service.ClusterIP})
			}
		}
	}
	for _, rule := range b.rules {
		owned = append(owned, ownedBy(rule)...)
	}
	if !slices.Equal(owned, b.owned) {
		b.owned, r.parts.moved = owned, true
	}
	digest := b.hash()
	r.parts.sum += digest - b.digest
	b.digest = digest
}

// pointers is a list of one pointer, or of none if it is nil.
func pointers[T any](p *T) []*T {
	if p == nil {
		return nil
	}
	return []*T{p}
}
