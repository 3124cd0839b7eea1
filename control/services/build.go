package services

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/control/internal/numbers"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// poolKey is what tells the pools of one object.
type poolKey struct {
	index int    // of the poolDraft
	is6   bool   // of which family
	local bool   // only the members on this node
	port  uint16 // of members that have none of their own; 0: that to which the client connects
}

// compare orders pools of one object.
func (a poolKey) compare(b poolKey) int {
	number := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(number(a.is6), number(b.is6)), cmp.Compare(number(a.local), number(b.local)), cmp.Compare(a.port, b.port))
}

// plan is what is to be built of a node.
type plan struct {
	pools   []poolKey
	members [][]service.Member // by pool
	words   []string           // of affinity that is shared
	names   []string           // of all that needs numbers, each once
	ready   int                // endpoints on this node, for its health check
}

// built is what has come of a node.
type built struct {
	names                      []string
	ids                        IDs
	keys                       []poolKey
	pools                      []*service.Pool // by key
	members                    map[memberKey]*service.Member
	servers                    []*service.Server
	rules                      []*service.NATRule
	serverSources, ruleSources []sourceKey // that it counts as a user of
	owned                      []service.Owned
	status                     *Status
	digest                     uint64
}

// parts are what a Config consists of.
type parts struct {
	servers  list[service.Server]
	pools    list[service.Pool]
	rules    list[service.NATRule]
	statuses list[Status]

	sources []*service.SourcePool
	owned   []service.Owned
	config  *service.Config
	moved   bool   // addresses that are owned are others
	sum     uint64 // of all digests
}

func newParts() parts {
	return parts{
		servers: newList(func(a, b *service.Server) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), compareOrigins(a.Origin, b.Origin))
		}),
		pools: newList(func(a, b *service.Pool) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), compareOrigins(a.Origin, b.Origin))
		}),
		rules: newList(func(a, b *service.NATRule) int {
			return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name), compareOrigins(a.Origin, b.Origin))
		}),
		statuses: newList(func(a, b *Status) int { return compareOrigins(a.Origin, b.Origin) }),
	}
}

// Names of what needs numbers, and of pools' parts.
const (
	serverName = "server "
	poolName   = "pool "
	memberName = "member "
	wordName   = "affinity "
	ruleName   = "rule "
	sourceName = "source"
)

// nameOf is the name of a server, and of its pools, as users see it.
func (n *node) nameOf(part string) string {
	name := n.key.Name
	if n.key.Namespace != "" {
		name = n.key.Namespace + "/" + name
	}
	if part != "" {
		name += ":" + part
	}
	return name
}

// suffix tells a pool from the others of a draft. both: it has pools of both families.
func (k poolKey) suffix(both bool) (s string) {
	if k.is6 && both {
		s = " (IPv6)"
	}
	if k.local {
		s += " (local)"
	}
	if k.port != 0 {
		s += " (port " + strconv.Itoa(int(k.port)) + ")"
	}
	return s
}

// wanted are the pools of a node: those that its frontends need, or those of who names it.
func (r *Resolver) wanted(n *node) (keys []poolKey, words []string) {
	add := func(k poolKey) {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for i := range n.says.servers {
		if n.says.servers[i].pool.name != "" {
			continue
		}
		for j := range n.fronts[i] {
			for _, k := range n.fronts[i][j].keys(i) {
				add(k)
			}
		}
		if len(n.fronts[i]) == 0 {
			// It waits for an address, and shows who is to be there.
			add(poolKey{index: i, is6: n.prefers6()})
		}
	}
	if n.key.Kind != kindPool {
		return keys, nil
	}
	for user := range r.users[n.key] {
		for i := range user.says.servers {
			d := &user.says.servers[i]
			for _, ref := range []reference{d.pool, d.sorry} {
				if ref.name == "" || r.find(ref, user.key.Namespace) != n {
					continue
				}
				for j := range user.fronts[i] {
					add(user.fronts[i][j].keys(0)[0])
				}
				if d.shares != "" && ref == d.pool && !slices.Contains(words, d.shares) {
					words = append(words, d.shares)
				}
			}
		}
	}
	for i := range n.says.pools {
		// What nobody uses is shown, too.
		has := [nFamilies]bool{}
		for _, k := range keys {
			has[family(k.is6)] = true
		}
		if !has[v4] {
			add(poolKey{index: i})
		}
		if !has[v6] && len(r.writtenMembers(n, &n.says.pools[i], poolKey{is6: true})) > 0 {
			add(poolKey{index: i, is6: true})
		}
	}
	slices.Sort(words)
	return keys, words
}

// prefers6 reports whether a Service's first family is IPv6.
func (n *node) prefers6() bool {
	return n.request != nil && len(n.says.wants) > 0 && len(n.says.wants[0].Families) > 0 && n.says.wants[0].Families[0] == 128
}

// keys are the pools of a frontend: for connections from inside, and for those from outside.
func (f *front) keys(index int) [2]poolKey {
	k := poolKey{index: index, is6: !f.address.Is4(), port: f.draft.memberPort}
	inside, outside := k, k
	inside.local, outside.local = f.draft.insideLocal, f.draft.outsideLocal
	return [2]poolKey{inside, outside}
}

// plan finds out what is to be built of a node.
func (r *Resolver) plan(n *node) *plan {
	p := &plan{}
	p.pools, p.words = r.wanted(n)
	slices.SortFunc(p.pools, poolKey.compare)
	gathered := make([][]candidate, len(n.says.pools))
	local := map[packet.Addr]bool{}
	for i := range n.says.pools {
		if e := n.says.pools[i].endpoints; e != nil {
			gathered[i] = r.candidatesOf(n, e)
			for j := range gathered[i] {
				if c := &gathered[i][j]; n.says.health > 0 && c.local && c.ready {
					local[c.address] = true
				}
			}
		}
	}
	p.ready = len(local)
	seen := map[memberKey]bool{}
	for i := range n.says.servers {
		p.names = append(p.names, serverName+n.says.servers[i].part)
	}
	for _, k := range p.pools {
		d := &n.says.pools[k.index]
		p.names = append(p.names, poolName+d.part+k.suffix(true))
		var members []service.Member
		if d.endpoints != nil {
			members = serving(gathered[k.index], k, d.endpoints.prefers, &r.settings)
		} else {
			members = r.writtenMembers(n, d, k)
		}
		for j := range members {
			if mk := (memberKey{members[j].Address, members[j].Port}); !seen[mk] {
				seen[mk] = true
				p.names = append(p.names, mk.name())
			}
		}
		p.members = append(p.members, members)
	}
	for _, w := range p.words {
		p.names = append(p.names, wordName+w)
	}
	for i := range n.says.rules {
		p.names = append(p.names, ruleName+strconv.Itoa(i))
		if d := &n.says.rules[i]; len(d.addresses) > 0 || d.outgoing {
			p.names = append(p.names, sourceName+strconv.Itoa(i))
		}
	}
	return p
}

func (k memberKey) name() string {
	b := make([]byte, 0, 40)
	b = append(b, memberName...)
	b = k.address.Netip().AppendTo(b)
	return string(strconv.AppendUint(append(b, ' '), uint64(k.port), 10))
}

// Resolve makes the Config of objects that Check found good.
func (r *Resolver) Resolve(in Input) Result {
	r.meet(r.population.update(in.Endpoints))
	r.meetGroups(in)
	for key := range r.stirred {
		if n := r.nodes[key]; n != nil {
			r.unbuilt[n] = struct{}{}
		}
	}
	clear(r.stirred)
	plans := make(map[*node]*plan, len(r.unbuilt))
	for n := range r.unbuilt {
		if len(n.says.servers)+len(n.says.pools)+len(n.says.rules)+len(n.built.names) > 0 || n.says.note != "" {
			plans[n] = r.plan(n)
		}
	}
	follows := r.numbers.Follows(in.Previous)
	ids := r.assign(plans, in, !follows)
	if !follows {
		for _, n := range r.nodes {
			if plans[n] == nil && !n.built.ids.Same(ids[keyOf(n)]) {
				plans[n] = r.plan(n)
			}
		}
	}
	r.build(plans, ids)
	r.takeDown()
	clear(r.unbuilt)
	config := r.assemble()
	statuses, _ := r.parts.statuses.settle()
	return Result{Config: config, Statuses: statuses, IDs: ids, LastID: r.numbers.Given()}
}

// keyOf is the key of a node's numbers: KIND/NAMESPACE/NAME.
func keyOf(n *node) string { return n.key.Kind + "/" + n.key.Namespace + "/" + n.key.Name }

// meetGroups marks the nodes whose Groups have other members.
func (r *Resolver) meetGroups(in Input) {
	for key := range r.users {
		if key.Kind != kindGroup {
			continue
		}
		now := in.Groups(key)
		if r.groups[key] != now {
			for n := range r.users[key] {
				r.unbuilt[n] = struct{}{}
			}
		}
		r.groups[key] = now
	}
	for key := range r.groups {
		if r.users[key] == nil {
			delete(r.groups, key)
		}
	}
}

// assign gives everything its number.
func (r *Resolver) assign(plans map[*node]*plan, in Input, all bool) map[string]IDs {
	claims := map[string]*numbers.Claim{}
	for n, p := range plans {
		claims[keyOf(n)] = &numbers.Claim{Key: keyOf(n), Names: p.names}
	}
	if all {
		for _, n := range r.nodes {
			if plans[n] == nil && len(n.built.names) > 0 {
				claims[keyOf(n)] = &numbers.Claim{Key: keyOf(n), Names: n.built.names}
			}
		}
	}
	for _, n := range r.removed {
		if key := keyOf(n); claims[key] == nil {
			claims[key] = &numbers.Claim{Key: key}
		}
	}
	r.claimSources(claims, plans, all)
	list := slices.SortedFunc(maps.Values(claims), func(a, b *numbers.Claim) int { return cmp.Compare(a.Key, b.Key) })
	return r.numbers.Assign(list, in.Previous, in.LastID)
}

// build builds what is planned: pools first, then what refers to them.
func (r *Resolver) build(plans map[*node]*plan, ids map[string]IDs) {
	servers := make(map[*node]struct{}, len(plans))
	if changed := r.buildSources(ids); len(changed) > 0 {
		uses := func(k sourceKey) bool { return slices.Contains(changed, k) }
		for _, n := range r.nodes {
			if slices.ContainsFunc(n.built.serverSources, uses) || slices.ContainsFunc(n.built.ruleSources, uses) {
				servers[n] = struct{}{}
			}
		}
	}
	for n, p := range plans {
		servers[n] = struct{}{}
		had := n.built.ids
		n.built.names, n.built.ids = p.names, ids[keyOf(n)]
		if r.buildPools(n, p) || !had.Same(n.built.ids) {
			for user := range r.users[n.key] {
				servers[user] = struct{}{}
			}
		}
	}
	for n := range servers {
		r.buildServers(n)
		r.buildRules(n)
		ready := 0
		if p := plans[n]; p != nil {
			ready = p.ready
		} else if n.built.status != nil {
			ready = n.built.status.LocalReady
		}
		r.conclude(n, ready)
	}
}

// buildPools makes a node's pools, and reports whether they are others. What says the same stays the pointer that it was.
func (r *Resolver) buildPools(n *node, p *plan) bool {
	old, ids := &n.built, n.built.ids
	members := make(map[memberKey]*service.Member, len(old.members))
	pools := make([]*service.Pool, len(p.pools))
	var both []bool
	for range n.says.pools {
		both = append(both, false)
	}
	for _, k := range p.pools {
		both[k.index] = both[k.index] || !k.is6
	}
	for i, k := range p.pools {
		d := &n.says.pools[k.index]
		pool := new(service.Pool)
		*pool = d.Pool
		pool.ID, pool.Origin = ids.Of(poolName+d.part+k.suffix(true)), n.key
		pool.Name = n.nameOf(d.part) + k.suffix(both[k.index])
		if d.byDefault {
			pool.Algorithm = r.settings.Algorithm
		}
		for _, ref := range d.monitors {
			if m := r.find(ref, n.key.Namespace); m != nil && m.says.monitor != nil {
				pool.Monitors = append(pool.Monitors, m.says.monitor)
			}
		}
		pool.Members = make([]*service.Member, 0, len(p.members[i]))
		for j := range p.members[i] {
			mk := memberKey{p.members[i][j].Address, p.members[i][j].Port}
			m := members[mk]
			if m == nil {
				m = &p.members[i][j]
				m.ID = ids.Of(mk.name())
				if had := old.members[mk]; had != nil && *had == *m {
					m = had
				}
				members[mk] = m
			}
			pool.Members = append(pool.Members, m)
		}
		pools[i] = pool
		if j := slices.Index(old.keys, k); j >= 0 && equalPools(old.pools[j], pool) {
			pools[i] = old.pools[j]
		}
	}
	r.parts.pools.replace(old.pools, pools)
	changed := !slices.Equal(old.pools, pools) || !slices.Equal(old.keys, p.pools)
	n.built.keys, n.built.pools, n.built.members = p.pools, pools, members
	return changed
}

// equalPools reports whether two pools say the same.
func equalPools(a, b *service.Pool) bool {
	if !slices.Equal(a.Members, b.Members) || !slices.Equal(a.Monitors, b.Monitors) {
		return false
	}
	x, y := *a, *b
	x.Members, y.Members, x.Monitors, y.Monitors = nil, nil, nil, nil
	return reflect.DeepEqual(x, y)
}

func equalMonitors(a, b *service.Monitor) bool { return reflect.DeepEqual(a, b) }

// poolFor returns the pool of a node by key; nil if it has none.
func (n *node) poolFor(k poolKey) *service.Pool {
	if i := slices.Index(n.built.keys, k); i >= 0 {
		return n.built.pools[i]
	}
	return nil
}

// takeDown gives up what objects had that are gone.
func (r *Resolver) takeDown() {
	for _, n := range r.removed {
		b := &n.built
		r.parts.pools.replace(b.pools, nil)
		r.parts.servers.replace(b.servers, nil)
		r.parts.rules.replace(b.rules, nil)
		if b.status != nil {
			r.parts.statuses.replace([]*Status{b.status}, nil)
		}
		r.parts.sum -= b.digest
		r.parts.moved = r.parts.moved || len(b.owned) > 0
	}
	r.removed = nil
}
