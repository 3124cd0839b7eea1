package node

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/service"
)

// VirtualServerViews are the virtual servers, in order of their names.
func (n *Node) VirtualServerViews(f *api.Filter) (iter.Seq[api.VirtualServerView], error) {
	s, err := n.look(f)
	protocol, protocolErr := protocolNumber(f.Protocol)
	if err := errors.Join(err, protocolErr, mustBe(f, api.ServiceState("").Values())); err != nil {
		return nil, err
	}
	names := s.services()
	if err := errors.Join(names.mustHaveVIP(f), names.mustHaveService(f), names.mustHavePool(f)); err != nil {
		return nil, err
	}
	look := n.lookAtServices(s)
	all := func(yield func(*service.Server) bool) {
		for _, x := range names.config.Servers {
			if !yield(x) {
				return
			}
		}
	}
	list, err := choose(f, "virtual server", all, func(x **service.Server) string { return (*x).Name }, func(x **service.Server) bool {
		server := *x
		return (!f.VIP.IsValid() || hasVIP(server, f.VIP)) && isOf(server.Name, &server.Origin, f.Service) &&
			(f.Pool == "" || slices.ContainsFunc(poolsOf(server), func(p *service.Pool) bool { return isOf(p.Name, &p.Origin, f.Pool) })) &&
			hasFrontend(server, f, protocol)
	})
	if err != nil {
		return nil, err
	}
	return func(yield func(api.VirtualServerView) bool) {
		for _, x := range list {
			if v := look.server(x); f.MatchState(string(v.State)) && !yield(v) {
				return
			}
		}
	}, nil
}

// hasFrontend reports whether a virtual server listens at what a filter asks for; protocol is -1 for any.
func hasFrontend(x *service.Server, f *api.Filter, protocol int) bool {
	if !f.Address.IsValid() && f.L4Port == 0 && protocol < 0 {
		return true
	}
	return slices.ContainsFunc(x.Frontends, func(at service.Frontend) bool {
		return f.MatchAddress(at.Address.Netip()) && (f.L4Port == 0 || f.L4Port >= at.First && f.L4Port <= at.Last) &&
			(protocol < 0 || protocol == int(at.Protocol))
	})
}

// poolsOf are the pools of a virtual server's frontends, each once, in order of the frontends.
func poolsOf(x *service.Server) (list []*service.Pool) {
	for i := range x.Frontends {
		list = withPools(list, x.Frontends[i].Inside, x.Frontends[i].Outside)
	}
	return list
}

// sorryPoolsOf are those that take connections when the others have nobody for them.
func sorryPoolsOf(x *service.Server) (list []*service.Pool) {
	for i := range x.Frontends {
		list = withPools(list, x.Frontends[i].Sorry)
	}
	return list
}

// withPools adds pools to a list that has not got them.
func withPools(list []*service.Pool, more ...*service.Pool) []*service.Pool {
	for _, p := range more {
		if p != nil && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// server makes the view of a virtual server.
func (l *servicesLook) server(x *service.Server) api.VirtualServerView {
	v := api.VirtualServerView{
		Name: x.Name, ID: x.ID, Origin: originRef(&x.Origin),
		SourceTranslation: sourceMode(x.Source), Dispatch: x.Dispatch.String(),
		AllowedSources: x.Allowed, DeniedSources: x.Denied, MaxConnections: x.MaxConnections, MaxRate: x.MaxRate,
	}
	for i := range x.Frontends {
		at := &x.Frontends[i]
		if v.Protocol == "" {
			v.Protocol = export.ProtocolName(at.Protocol)
		}
		v.Frontends = append(v.Frontends, api.FrontendView{
			Kind: at.Kind.String(), Address: at.Address.Netip(), Ports: portsText(service.PortRange{First: at.First, Last: at.Last}),
			InsidePool: poolName(at.Inside), OutsidePool: poolName(at.Outside), Restricted: at.Restricted,
		})
	}
	if x.Pool != nil {
		v.SourcePool = x.Pool.Name
	}
	if a := x.Affinity; a != nil {
		v.Affinity = &api.PersistenceView{Type: "SOURCE_IP", Timeout: seconds(a.TimeoutNs), NoPurge: a.NoPurge}
	}
	pools := poolsOf(x)
	if len(pools) > 0 {
		v.Pool, v.Algorithm = pools[0].Name, pools[0].Algorithm.String()
	}
	v.Members, v.MembersUp = l.countMembers(pools)
	if sorry := sorryPoolsOf(x); len(sorry) > 0 {
		v.SorryPool = sorry[0].Name
	}
	v.State, v.Reason = l.serverState(x, pools)

	c := l.work.server(x.ID)
	v.Connections = api.ConnectionCounts{Active: c.Active, Total: c.Total, Refused: c.Refused}
	v.Denied, v.NoBackend = c.Denied, c.NoMember
	live := l.live.servers[x.ID]
	v.Connections.Rate = live.rate()
	v.Original, v.Reply = traffics(&c.Packets, &c.Bytes, &live)
	return v
}

// countMembers counts the members of some pools, each once, and those that would be given a connection.
func (l *servicesLook) countMembers(pools []*service.Pool) (all, up int) {
	if len(pools) == 1 {
		return len(pools[0].Members), l.pool(pools[0]).up
	}
	seen := map[uint32]bool{}
	for _, p := range pools {
		state := l.pool(p)
		for i, m := range p.Members {
			eligible, there := seen[m.ID]
			if !there {
				all++
			}
			if state.standings[i].Eligible && !eligible {
				up++
			}
			seen[m.ID] = eligible || state.standings[i].Eligible
		}
	}
	return all, up
}

// serverState says how a virtual server does, and why if it is not UP.
func (l *servicesLook) serverState(x *service.Server, pools []*service.Pool) (api.ServiceState, string) {
	switch {
	case x.Disabled:
		return api.ServiceDisabled, "it is disabled: nobody is connected"
	case len(x.Frontends) == 0:
		return api.ServicePending, fmt.Sprintf("it has no address: the status of the %s says why", x.Origin.Kind)
	}
	down, reason := 0, ""
	for _, p := range pools {
		state := l.pool(p)
		if state.state == api.ServiceDown {
			down++
		}
		if state.state != api.ServiceUp && reason == "" {
			reason = state.reason
			if len(pools) > 1 {
				reason = "pool " + p.Name + ": " + reason
			}
		}
	}
	switch {
	case reason == "":
		return api.ServiceUp, ""
	case down < len(pools):
		return api.ServicePartiallyUp, reason
	}
	for _, p := range sorryPoolsOf(x) {
		if l.pool(p).state != api.ServiceDown {
			return api.ServicePartiallyUp, reason + "; connections go to the sorry pool " + p.Name
		}
	}
	return api.ServiceDown, reason
}

// LBPoolViews are the pools of load balancing, in order of their names.
func (n *Node) LBPoolViews(f *api.Filter) (iter.Seq[api.LBPoolView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, []string{string(api.ServiceUp), string(api.ServicePartiallyUp), string(api.ServiceDown)})); err != nil {
		return nil, err
	}
	names := s.services()
	if err := names.mustHaveService(f); err != nil {
		return nil, err
	}
	look := n.lookAtServices(s)
	users := look.users()
	all := func(yield func(*service.Pool) bool) {
		for _, p := range names.config.Pools {
			if !yield(p) {
				return
			}
		}
	}
	list, err := choose(f, "pool", all, func(p **service.Pool) string { return (*p).Name }, func(p **service.Pool) bool {
		return f.Service == "" || slices.ContainsFunc(users[*p].servers, func(x *service.Server) bool { return isOf(x.Name, &x.Origin, f.Service) })
	})
	if err != nil {
		return nil, err
	}
	return func(yield func(api.LBPoolView) bool) {
		for _, p := range list {
			if v := look.poolView(p, users[p]); f.MatchState(string(v.State)) && !yield(v) {
				return
			}
		}
	}, nil
}

// poolUsers are the virtual servers that use a pool.
type poolUsers struct{ servers, sorry []*service.Server }

func (l *servicesLook) users() map[*service.Pool]poolUsers {
	users := make(map[*service.Pool]poolUsers, len(l.names.config.Pools))
	for _, x := range l.names.config.Servers {
		for _, p := range poolsOf(x) {
			u := users[p]
			u.servers = append(u.servers, x)
			users[p] = u
		}
		for _, p := range sorryPoolsOf(x) {
			u := users[p]
			u.sorry = append(u.sorry, x)
			users[p] = u
		}
	}
	return users
}

func (l *servicesLook) poolView(p *service.Pool, users poolUsers) api.LBPoolView {
	state := l.pool(p)
	v := api.LBPoolView{
		Name: p.Name, ID: p.ID, Origin: originRef(&p.Origin), State: state.state, Reason: state.reason, Algorithm: p.Algorithm.String(),
		Members: len(p.Members), MembersUp: state.up, MinActive: max(1, p.MinActive), BackupsActive: state.backups, LastResort: state.lastResort,
		SlowStart: seconds(p.SlowStartNs), MaxConnections: p.MaxConnections,
		VirtualServers: serverNames(users.servers), SorryPoolOf: serverNames(users.sorry),
	}
	for _, m := range p.Monitors {
		v.Monitors = append(v.Monitors, strings.TrimSpace(m.Name+" ("+m.Type.String()+")"))
	}
	if p.Passive != nil {
		v.Passive = &api.PassiveView{MaxFails: p.Passive.MaxFails, Timeout: seconds(p.Passive.TimeoutNs)}
	}
	for _, m := range p.Members {
		c := l.memberCounts(m.ID)
		v.Connections.Active += c.Active
		v.Connections.Total += c.Total
		v.Connections.Refused += c.Refused
		live := l.live.members[m.ID]
		v.Connections.Rate += live.rate()
	}
	return v
}

func serverNames(list []*service.Server) (names []string) {
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names
}

func poolName(p *service.Pool) string {
	if p == nil {
		return ""
	}
	return p.Name
}

func sourceMode(m service.SourceMode) string {
	if text := m.String(); text != "" {
		return text
	}
	return "AS_NEEDED"
}

// portsText is a run of ports as users write it.
func portsText(r service.PortRange) string {
	switch {
	case r.First == r.Last:
		return fmt.Sprint(r.First)
	case r.First <= 1 && r.Last == 65535:
		return "*"
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// traffics are what ended sessions and live ones did, both ways.
func traffics(packets, bytes *[2]uint64, live *liveSessions) (original, reply api.Traffic) {
	of := func(d flowtable.Dir) api.Traffic {
		return api.Traffic{Packets: packets[d] + live.packets[d], Bytes: bytes[d] + live.bytes[d]}
	}
	return of(flowtable.Original), of(flowtable.Reply)
}

// prefixText is a network, or the address if it is of just one.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// compacted are names in order, each once.
func compacted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
