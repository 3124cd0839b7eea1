package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// ServiceNames knows virtual servers, members and what translates sources by the numbers that sessions have of them. It is
// immutable.
type ServiceNames struct {
	config  *service.Config
	servers map[uint32]*service.Server
	members map[uint32]*placedMember
	rules   map[uint32]string // NAT rules and pools of sources
	zones   map[packet.Zone]string
	fronts  map[frontKey]*service.Server
	runs    []*service.Server // with frontends of several ports
}

// placedMember is a member and the pools that it is in, by name.
type placedMember struct {
	*service.Member
	pools []*service.Pool
}

// frontKey is where a virtual server listens.
type frontKey struct {
	scope uint32
	addr  packet.Addr
	proto uint8
	port  uint16
}

// NewServiceNames returns the names of a model's services.
func NewServiceNames(m *control.Model) *ServiceNames {
	x := &ServiceNames{config: servicesOf(m), zones: map[packet.Zone]string{}}
	c := x.config
	x.servers = make(map[uint32]*service.Server, len(c.Servers))
	x.members = make(map[uint32]*placedMember)
	x.rules = make(map[uint32]string, len(c.Rules)+len(c.Sources))
	x.fronts = make(map[frontKey]*service.Server)
	for _, s := range c.Servers {
		x.servers[s.ID] = s
		run := false
		for i := range s.Frontends {
			f := &s.Frontends[i]
			run = run || !f.Single()
			x.fronts[frontKey{f.Scope, f.Address, f.Protocol, f.First}] = s
		}
		if run {
			x.runs = append(x.runs, s)
		}
	}
	for _, p := range c.Pools {
		for _, one := range p.Members {
			at := x.members[one.ID]
			if at == nil {
				at = &placedMember{Member: one}
				x.members[one.ID] = at
			}
			at.pools = append(at.pools, p)
		}
	}
	for _, r := range c.Rules {
		x.rules[r.ID] = r.Name
	}
	for _, p := range c.Sources {
		x.rules[p.ID] = p.Name
	}
	for i := range m.Segments {
		x.zones[packet.Zone(m.Segments[i].Zone)] = m.Segments[i].Name
	}
	for i := range m.Routers {
		for _, u := range m.Routers[i].Uplinks {
			x.zones[packet.Zone(u.Zone)] = m.Ports[u.Port].Name
		}
	}
	return x
}

// Bound names what a session was bound to. What is gone goes by its number.
func (x *ServiceNames) Bound(b *flowtable.Binding) export.Bound {
	var v export.Bound
	if b.Service != 0 {
		v.Server = gone(b.Service)
		if s := x.servers[b.Service]; s != nil {
			v.Server, v.Service = s.Name, export.ServiceRef{Name: s.Origin.Name, Namespace: s.Origin.Namespace}
		}
	}
	if id := lb.MemberID(b); id != 0 {
		v.Member, v.Why = gone(id), lb.WhyMember(b).String()
		if m := x.members[id]; m != nil {
			v.Member, v.Address, v.Port = memberName(m.Member), m.Address.Netip(), m.Port
		}
	}
	v.Rule, v.Source = x.rule(b.Rule), x.rule(b.Source)
	return v
}

// rule names a NAT rule or a pool of sources by its number; empty for 0.
func (x *ServiceNames) rule(id uint32) string {
	switch {
	case id == 0:
		return ""
	case id > service.MaxID:
		// The router's own addresses; see lb.
		return strings.TrimSpace("automap " + x.zones[packet.Zone(id&service.MaxID)])
	}
	return cmp.Or(x.rules[id], gone(id))
}

// At names the virtual server that listens at an address of an address space; empty if none does.
func (x *ServiceNames) At(scope uint32, addr packet.Addr, proto uint8, port uint16) string {
	if s := x.fronts[frontKey{scope, addr, proto, port}]; s != nil {
		return s.Name
	}
	for _, s := range x.runs {
		for i := range s.Frontends {
			f := &s.Frontends[i]
			if f.Scope == scope && f.Address == addr && f.Protocol == proto && port >= f.First && port <= f.Last {
				return s.Name
			}
		}
	}
	return ""
}

func gone(id uint32) string { return fmt.Sprintf("#%d", id) }

// memberName is the name of a member; ADDRESS:PORT, if it has none.
func memberName(m *service.Member) string { return cmp.Or(m.Name, memberAddress(m)) }

func memberAddress(m *service.Member) string {
	if m.Port == 0 {
		return m.Address.Netip().String()
	}
	return netip.AddrPortFrom(m.Address.Netip(), m.Port).String()
}

// isMember reports whether a member is what a name means: its own, its address, or ADDRESS:PORT.
func isMember(m *service.Member, name string) bool {
	return name == "" || name == m.Name || name == m.Address.Netip().String() || name == memberAddress(m)
}

// isOf reports whether something of a name, made of an object, is what a name means: its own, or the object's with
// its namespace or without.
func isOf(own string, o *service.Origin, name string) bool {
	return name == "" || name == own || name == o.Name || name == o.Namespace+"/"+o.Name
}

// originRef is the object that something was made of.
func originRef(o *service.Origin) api.ObjectRef {
	return api.ObjectRef{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// mustHaveVIP is an error unless there is a virtual server at the address that a filter asks for.
func (x *ServiceNames) mustHaveVIP(f *api.Filter) error {
	if !f.VIP.IsValid() {
		return nil
	}
	var known []string
	for _, s := range x.config.Servers {
		if hasVIP(s, f.VIP) {
			return nil
		}
		for i := range s.Frontends {
			known = append(known, s.Frontends[i].Address.Netip().String())
		}
	}
	return api.NotFound("virtual server at", f.VIP.String(), compacted(known))
}

// hasVIP reports whether a virtual server listens at an address, and at its port if that is given.
func hasVIP(s *service.Server, v api.VIP) bool {
	for i := range s.Frontends {
		f := &s.Frontends[i]
		if f.Address.Netip() == v.Address && (v.Port == 0 || v.Port >= f.First && v.Port <= f.Last) {
			return true
		}
	}
	return false
}

// mustHaveService is an error unless there is the virtual server or service that a filter names.
func (x *ServiceNames) mustHaveService(f *api.Filter) error {
	if f.Service == "" {
		return nil
	}
	var known []string
	for _, s := range x.config.Servers {
		if isOf(s.Name, &s.Origin, f.Service) {
			return nil
		}
		known = append(known, s.Name)
	}
	return api.NotFound("service", f.Service, compacted(known))
}

// mustHaveMember is an error unless there is the member that a filter names.
func (x *ServiceNames) mustHaveMember(f *api.Filter) error {
	if f.Member == "" {
		return nil
	}
	var known []string
	for _, m := range x.members {
		if isMember(m.Member, f.Member) {
			return nil
		}
		known = append(known, memberName(m.Member))
	}
	return api.NotFound("member", f.Member, compacted(known))
}

// mustHavePool is an error unless there is the pool that a filter names.
func (x *ServiceNames) mustHavePool(f *api.Filter) error {
	if f.Pool == "" {
		return nil
	}
	var known []string
	for _, p := range x.config.Pools {
		if isOf(p.Name, &p.Origin, f.Pool) {
			return nil
		}
		known = append(known, p.Name)
	}
	return api.NotFound("pool", f.Pool, compacted(known))
}
