package services

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/control/internal/near"
	"github.com/sluice-net/sluice/control/internal/numbers"
	"github.com/sluice-net/sluice/lb/service"
)

// sourceKey is an IPPool in an address space.
type sourceKey struct {
	pool  string
	scope uint32
}

// sourceUsers counts who has sources translated to an IPPool's addresses.
type sourceUsers struct{ servers, rules int }

// key is that of a pool's number.
func (k sourceKey) key() string {
	return "IPPool/" + strconv.FormatUint(uint64(k.scope), 10) + "/" + k.pool
}

// sourcesOf are the IPPools that a node's servers and rules use, those of servers first.
func (r *Resolver) sourcesOf(n *node) (servers, rules []sourceKey) {
	for i := range n.says.servers {
		if d := r.sourceOf(n, i); d.mode == service.SourceFromPool && r.source(d.pool) != nil {
			servers = append(servers, sourceKey{d.pool, n.scope})
		}
	}
	for i := range n.says.rules {
		if d := &n.says.rules[i]; d.pool != "" {
			rules = append(rules, sourceKey{d.pool, n.scope})
		}
	}
	return servers, rules
}

// claimSources claims numbers for the IPPools that are used.
func (r *Resolver) claimSources(claims map[string]*numbers.Claim, plans map[*node]*plan, all bool) {
	count := func(k sourceKey, servers, rules int) {
		u := r.sourceUsers[k]
		u.servers, u.rules = u.servers+servers, u.rules+rules
		if r.sourceUsers[k] = u; u == (sourceUsers{}) {
			delete(r.sourceUsers, k)
		}
		claims[k.key()] = &numbers.Claim{Key: k.key()}
	}
	recount := func(n *node, servers, rules []sourceKey) {
		b := &n.built
		for _, k := range servers {
			count(k, 1, 0)
		}
		for _, k := range rules {
			count(k, 0, 1)
		}
		for _, k := range b.serverSources {
			count(k, -1, 0)
		}
		for _, k := range b.ruleSources {
			count(k, 0, -1)
		}
		b.serverSources, b.ruleSources = servers, rules
	}
	for n := range plans {
		servers, rules := r.sourcesOf(n)
		recount(n, servers, rules)
	}
	for _, n := range r.removed {
		recount(n, nil, nil)
	}
	for k := range r.sourceUsers {
		if all || claims[k.key()] != nil {
			claims[k.key()] = &numbers.Claim{Key: k.key(), Names: []string{sourceName}}
		}
	}
}

// buildSources makes the stocks of sources that are IPPools. What says the same stays the pointer that it was; it
// returns those that do not.
func (r *Resolver) buildSources(ids map[string]IDs) (changed []sourceKey) {
	for k := range r.sources {
		if r.sourceUsers[k] == (sourceUsers{}) {
			delete(r.sources, k)
		}
	}
	for k, users := range r.sourceUsers {
		s := r.source(k.pool)
		if s == nil {
			continue
		}
		next := &service.SourcePool{
			ID: ids[k.key()].Of(sourceName), Origin: service.Origin{Kind: "IPPool", Name: k.pool}, Name: k.pool, Scope: k.scope,
			// What rules translate keeps its port toward all (RFC 4787, REQ-1). Connections to members have no need
			// for that, and come in numbers: each member may see the same ports.
			Addresses: r.withoutHeld(s.Addresses), PerDestination: users.rules == 0,
		}
		if had := r.sources[k]; had == nil || !reflect.DeepEqual(had, next) {
			r.sources[k] = next
			changed = append(changed, k)
		}
	}
	return changed
}

// checkRules reports what is wrong with where a node's NAT rules hold.
func (r *Resolver) checkRules(n *node) {
	for i := range n.says.rules {
		d := &n.says.rules[i]
		if d.pool != "" {
			r.checkSourcePool(n, d.poolPath, d.pool)
		}
		for _, ref := range d.uplinks {
			if n.router == nil || n.router.uplink(ref.name) != nil {
				continue
			}
			var names []string
			for j := range n.router.Uplinks {
				names = append(names, n.router.Uplinks[j].Port)
			}
			n.fault(ref.path, "the router "+n.router.Name+" has no uplink "+clip(ref.name), near.Hint(ref.name, names))
		}
	}
}

func (r *Router) uplink(port string) *Uplink {
	i := slices.IndexFunc(r.Uplinks, func(u Uplink) bool { return u.Port == port })
	if i < 0 {
		return nil
	}
	return &r.Uplinks[i]
}

// buildRules makes a node's NAT rules. What says the same stays the pointer that it was.
func (r *Resolver) buildRules(n *node) {
	old := n.built.rules
	var rules []*service.NATRule
	for i := range n.says.rules {
		d := &n.says.rules[i]
		x := new(service.NATRule)
		*x = d.NATRule
		x.ID, x.Origin, x.Name, x.Scope = n.built.ids.Of(ruleName+strconv.Itoa(i)), n.key, n.nameOf(""), n.scope
		for _, ref := range d.uplinks {
			if n.router != nil && n.router.uplink(ref.name) != nil {
				x.Uplinks = append(x.Uplinks, n.router.uplink(ref.name).Number)
			}
		}
		slices.Sort(x.Uplinks)
		switch {
		case d.outgoing && !r.leaves(n, x):
			continue
		case d.pool != "":
			x.Pool = r.sources[sourceKey{d.pool, n.scope}]
		case len(d.addresses) > 0:
			x.Pool = &service.SourcePool{
				ID: n.built.ids.Of(sourceName + strconv.Itoa(i)), Origin: n.key, Name: x.Name, Scope: n.scope,
				Addresses: d.addresses, Ports: d.ports,
			}
		}
		for _, had := range old {
			if had.ID == x.ID && had.Pool != nil && x.Pool != nil && reflect.DeepEqual(had.Pool, x.Pool) {
				x.Pool = had.Pool
			}
			if had.ID == x.ID && reflect.DeepEqual(had, x) {
				x = had
			}
		}
		rules = append(rules, x)
	}
	r.parts.rules.replace(old, rules)
	n.built.rules = rules
}

// ownedBy are the addresses outside that a rule translates from and to.
func ownedBy(x *service.NATRule) (list []service.Owned) {
	add := func(p netip.Prefix) {
		list = append(list, service.Owned{Scope: x.Scope, Prefix: p, Announced: true})
	}
	switch x.Action {
	case service.DNAT:
		for _, p := range x.Destination {
			add(p)
		}
	case service.Reflexive:
		add(x.To)
	}
	return list
}

// assemble makes the Config, or returns the last if nothing in it has changed.
func (r *Resolver) assemble() *service.Config {
	x := &r.parts
	servers, a := x.servers.settle()
	pools, b := x.pools.settle()
	rules, c := x.rules.settle()
	sources := r.allSources(rules)
	d := !slices.Equal(sources, x.sources)
	if d {
		x.sources = sources
	}
	e := false
	if x.moved || d {
		owned := r.allOwned()
		e = !slices.Equal(owned, x.owned)
		if x.moved = false; e {
			x.owned = owned
		}
	}
	if x.config != nil && !a && !b && !c && !d && !e {
		return x.config
	}
	x.config = &service.Config{Servers: servers, Pools: pools, Rules: rules, Sources: x.sources, Addresses: x.owned}
	return x.config
}

// allSources are all stocks of sources, by name, scope and origin.
func (r *Resolver) allSources(rules []*service.NATRule) (list []*service.SourcePool) {
	for _, s := range r.sources {
		list = append(list, s)
	}
	for _, x := range rules {
		if x.Pool != nil && x.Pool.Origin == x.Origin {
			list = append(list, x.Pool)
		}
	}
	slices.SortFunc(list, func(a, b *service.SourcePool) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Scope, b.Scope), compareOrigins(a.Origin, b.Origin), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// allOwned are the addresses that routers answer for, each once. One that is announced for somebody is announced.
func (r *Resolver) allOwned() (list []service.Owned) {
	for _, n := range r.nodes {
		list = append(list, n.built.owned...)
	}
	for _, s := range r.parts.sources {
		for _, a := range s.Addresses {
			list = append(list, service.Owned{Scope: s.Scope, Prefix: single(a), Announced: true})
		}
	}
	slices.SortFunc(list, func(a, b service.Owned) int {
		announced := 0
		if a.Announced != b.Announced {
			if announced = 1; a.Announced {
				announced = -1
			}
		}
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), a.Prefix.Compare(b.Prefix), announced)
	})
	return slices.CompactFunc(list, func(a, b service.Owned) bool { return a.Scope == b.Scope && a.Prefix == b.Prefix })
}
