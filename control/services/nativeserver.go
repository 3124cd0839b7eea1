package services

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
)

// readVirtualServer reads a VirtualServer: one server, with a frontend for each of its ports at each of its
// addresses.
func readVirtualServer(v *api.VirtualServer) (s says) {
	spec := v.Spec
	if spec.Persistence != nil { // objects are not written to
		own := *spec.Persistence
		spec.Persistence = &own
	}
	if spec.AccessListControl != nil {
		own := *spec.AccessListControl
		spec.AccessListControl = &own
	}
	api.SetDefaults(&spec)
	s.router, s.routerPath = spec.Router, "spec.router"
	d := serverDraft{Server: service.Server{
		Disabled: !*spec.Enabled, LogEnds: spec.AccessLogEnabled,
		MaxConnections: uint32(spec.MaxConcurrentConnections), MaxRate: uint32(spec.MaxNewConnectionRate),
		Dispatch: service.Dispatch(oneOf(api.Dispatch("").Values(), string(spec.Dispatch))),
	}}
	ports := s.ports("spec.ports", spec.Ports)
	s.fronts(&spec, &d, ports)
	s.wants = []vips.Want{s.address(&spec, ports)}
	s.strict = len(spec.Addresses) > 0
	d.pool = s.named(kindPool, "spec.pool", spec.Pool)
	if spec.SorryPool != "" {
		d.sorry = s.named(kindPool, "spec.sorryPool", spec.SorryPool)
		if spec.SorryPool == spec.Pool {
			s.fault("spec.sorryPool", "is the pool itself", "name another, or leave it out")
		}
	}
	if p := spec.Persistence; p != nil {
		d.Affinity = &service.Affinity{TimeoutNs: int64(p.TimeoutSeconds) * 1e9, NoPurge: p.Purge == api.PurgeNone}
		d.shares = p.SharedBy
	}
	s.access(spec.AccessListControl, &d)
	s.servers = []serverDraft{d}
	return s
}

// fronts reads where members are that name no port, and adds a frontend for each of the server's ports.
func (s *says) fronts(spec *api.VirtualServerSpec, d *serverDraft, ports []service.PortRange) {
	const path = "spec.defaultPoolMemberPorts"
	var to []service.PortRange
	for i, text := range spec.DefaultPoolMemberPorts {
		r, message, hint := parsePorts(text)
		if message != "" {
			s.fault(index(path, i), message, hint)
		}
		to = append(to, r)
	}
	if len(to) > 0 && d.Dispatch != service.Translate {
		s.fault(path, "not with the dispatch "+d.Dispatch.String(), "it leaves packets as they are: members listen at the virtual server's ports")
		to = nil
	}
	if len(to) > 1 && len(to) != len(ports) {
		s.fault(path, fmt.Sprintf("has %d elements, and spec.ports has %d", len(to), len(ports)), "one for all, or one for each")
		to = nil
	}
	for i, r := range ports {
		if r == (service.PortRange{}) {
			continue
		}
		f := frontDraft{
			kind: service.Virtual, protocol: protocolOf(spec.Protocol), first: r.First, last: r.Last, path: index("spec.ports", i), at: atWant,
		}
		if a := spec.AccessListControl; a != nil && *a.Enabled && a.Action == api.AccessAllow {
			f.restricted = [2]bool{true, true} // who is of a family that the list has no network of is not on it
		}
		if len(to) > 0 {
			member := min(i, len(to)-1)
			switch t := to[member]; {
			case t == r || t == service.PortRange{}: // as it is; or reported
			case t.First == t.Last:
				f.memberPort = t.First
			default:
				s.fault(index(path, member), fmt.Sprintf("%s is a range, and not the same as %s of spec.ports", portsText(t), portsText(r)),
					"a range goes to itself, or to one port")
			}
		}
		d.fronts = append(d.fronts, f)
	}
}

// address says which addresses are wanted.
func (s *says) address(spec *api.VirtualServerSpec, ports []service.PortRange) vips.Want {
	w := vips.Want{Use: vips.Virtual, Pool: spec.IPPool, Share: &vips.Share{Key: vips.SharedByPorts}}
	if spec.AllowSharedAddress != "" {
		w.Share.Key = vips.SharedByKey(spec.AllowSharedAddress)
	}
	for _, r := range ports {
		if r != (service.PortRange{}) {
			w.Share.Ports = append(w.Share.Ports, vips.Ports{Protocol: protocolOf(spec.Protocol), First: r.First, Last: r.Last})
		}
	}
	of := map[int]string{} // family to path
	for i, a := range spec.Addresses {
		path := index("spec.addresses", i)
		if first, found := of[a.BitLen()]; found {
			s.fault(path, "a second "+familyName(a.BitLen())+" address", "the other is "+first+"; make it a virtual server of its own")
			continue
		}
		of[a.BitLen()] = path
		if s.host(path, a) {
			w.Addresses = append(w.Addresses, a)
			w.Families = append(w.Families, a.BitLen())
		}
	}
	if len(spec.Addresses) > 0 {
		w.Anywhere = spec.IPPool == ""
		if len(spec.IPFamilies) > 0 {
			s.fault("spec.ipFamilies", "not with addresses", "they say themselves of which family they are")
		}
		return w
	}
	for i, f := range spec.IPFamilies {
		bits := 32
		if f == api.FamilyIPv6 {
			bits = 128
		}
		if first, found := of[bits]; found {
			s.fault(index("spec.ipFamilies", i), string(f)+" is there twice", "also in "+first)
			continue
		}
		of[bits] = index("spec.ipFamilies", i)
		w.Families = append(w.Families, bits)
	}
	if len(w.Families) == 0 {
		w.Families = []int{32}
	}
	return w
}

// access reads who may connect.
func (s *says) access(a *api.AccessListControl, d *serverDraft) {
	if a == nil {
		return
	}
	const path = "spec.accessListControl"
	if len(a.Networks) == 0 && a.Group == "" {
		s.fault(path, "networks or a group is needed", "networks: [0.0.0.0/0] stands for all of IPv4")
	}
	var list []netip.Prefix
	for _, n := range a.Networks {
		list = append(list, n.Prefix())
	}
	group := reference{}
	if a.Group != "" {
		group = s.named(kindGroup, path+".group", a.Group)
	}
	if !*a.Enabled {
		return
	}
	d.clients, d.refused = group, a.Action == api.AccessDrop
	if d.refused {
		d.Denied = list
	} else {
		d.Allowed = list
	}
}

// checkNative reports what objects of our own don't have in common with those that they name.
func (r *Resolver) checkNative(n *node) {
	switch n.key.Kind {
	case kindVirtualServer:
		for i := range n.says.servers {
			d := &n.says.servers[i]
			pool, sorry := r.find(d.pool, n.key.Namespace), r.find(d.sorry, n.key.Namespace)
			if pool != nil && len(pool.says.pools) > 0 {
				n.checkServer(d, pool)
			}
			if pool != nil && pool == sorry && d.sorry.name != d.pool.name {
				n.fault(d.sorry.path, "is the pool itself", "name another, or leave it out")
			}
		}
	case kindPool:
		for i := range n.says.pools {
			for _, ref := range n.says.pools[i].monitors {
				if monitor := r.find(ref, n.key.Namespace); monitor != nil {
					n.checkMonitor(&n.says.pools[i], monitor.says.monitor, ref)
				}
			}
		}
	}
}

// checkServer reports what a VirtualServer and its pool don't have in common: what follows from neither alone.
func (n *node) checkServer(d *serverDraft, pool *node) {
	p := &pool.says.pools[0]
	name := "the Pool " + clip(d.pool.name)
	if d.Dispatch != service.Translate {
		const way = "spec.dispatch"
		if p.source.mode == service.SourceAutomap || p.source.mode == service.SourceFromPool {
			n.fault(way, d.Dispatch.String()+" leaves packets as they are, and "+name+" has snatTranslation "+p.source.mode.String(),
				"write dispatch: NAT, or snatTranslation {type: DISABLED}")
		}
		if port, other := otherPort(d, p); other {
			n.fault(way, fmt.Sprintf("%s leaves packets as they are, and %s has members at port %s", d.Dispatch, name, port),
				"write dispatch: NAT, or the same port")
		}
	}
	if p.group == nil && len(p.members) > 0 {
		has := map[int]bool{}
		for i := range p.members {
			has[p.members[i].Address.Netip().BitLen()] = true
		}
		for _, bits := range n.says.wants[0].Families {
			if !has[bits] {
				n.fault("spec.pool", "the virtual server has an "+familyName(bits)+" address, and "+name+" no member that has one",
					"connections go to members of their own family: add one, or leave the address out")
			}
		}
	}
}

// otherPort finds a member whose port is not the server's.
func otherPort(d *serverDraft, p *poolDraft) (port string, found bool) {
	same := func(port uint16) bool {
		for i := range d.fronts {
			if port != 0 && (d.fronts[i].first != port || d.fronts[i].last != port) {
				return false
			}
		}
		return true
	}
	for i := range p.members {
		if m := &p.members[i]; !same(m.Port) {
			return strconv.Itoa(int(m.Port)), true
		}
	}
	switch g := p.group; {
	case g == nil:
	case g.portName != "":
		return g.portName, true
	case !same(g.port):
		return strconv.Itoa(int(g.port)), true
	}
	return "", false
}
