package services

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// front is a frontend whose place is known.
type front struct {
	draft       *frontDraft
	address     packet.Addr
	first, last uint16
}

// spotKey is where frontends may meet.
type spotKey struct {
	scope    uint32
	address  packet.Addr
	protocol uint8
}

// spot is who listens at a place, in no order until it is looked at.
type spot struct{ claims []claim }

// claim is a run of ports of a node. It is void if the node's frontends have been found again since.
type claim struct {
	node        *node
	placing     uint64
	first, last uint16
	path        string
}

// place finds a node's frontends.
func (r *Resolver) place(n *node) {
	r.unplace(n)
	r.stirPools(n)
	n.fronts = make([][]front, len(n.says.servers))
	r.refuse(n)
	for i := range n.says.servers {
		d := &n.says.servers[i]
		var list []front
		for j := range d.fronts {
			for _, f := range n.frontsOf(&d.fronts[j]) {
				if !slices.ContainsFunc(list, func(o front) bool {
					return o.address == f.address && o.first == f.first && o.last == f.last && o.draft.protocol == f.draft.protocol
				}) {
					list = append(list, f) // an external address may be the load balancer's as well: what comes first holds
				}
			}
		}
		n.fronts[i] = list
		for _, f := range list {
			key := spotKey{n.scope, f.address, f.draft.protocol}
			s := r.spots[key]
			if s == nil {
				s = &spot{}
				r.spots[key] = s
			}
			s.claims = append(s.claims, claim{n, n.placing, f.first, f.last, f.draft.path})
			n.spots = append(n.spots, key)
			r.touched[key] = struct{}{}
		}
	}
}

// unplace takes back what a node's frontends claim.
func (r *Resolver) unplace(n *node) {
	n.placing++
	for _, key := range n.spots {
		r.touched[key] = struct{}{}
	}
	n.spots, n.fronts = n.spots[:0], nil
}

// refuse reports addresses and node ports that are asked for, and are another's, where that is a mistake: what
// Kubernetes' API server does not accept.
func (r *Resolver) refuse(n *node) {
	n.faults = slices.DeleteFunc(n.faults, func(f Fault) bool { return f.ofGrant })
	if n.grant == nil || !n.says.strict {
		return
	}
	for _, p := range n.grant.Problems {
		path := ""
		switch {
		case p.Use == vips.Cluster && p.Reason == vips.AddressTaken:
			path = "spec.clusterIP"
		case p.Use == "" && p.Reason == vips.NodePortTaken:
			path = "spec.ports"
		case n.key.Kind == kindVirtualServer && (p.Reason == vips.AddressTaken || p.Reason == vips.AddressOutside):
			path = "spec.addresses"
		default:
			continue
		}
		n.faults = append(n.faults, Fault{Object: n.key, Path: path, Message: p.Message, Hint: "write another, or none", ofGrant: true})
	}
}

// frontsOf are the places of a draft.
func (n *node) frontsOf(d *frontDraft) (list []front) {
	add := func(a netip.Addr, first, last uint16) {
		list = append(list, front{d, packet.AddrFrom(a), first, last})
	}
	switch {
	case d.at == atAddress:
		list = append(list, front{d, d.address, d.first, d.last})
	case n.grant == nil:
	case d.at == atWant:
		for _, a := range n.grant.Addresses[d.index] {
			add(a, d.first, d.last)
		}
	case n.router != nil && n.grant.NodePorts[d.index] != 0:
		port := n.grant.NodePorts[d.index]
		for i := range n.router.Uplinks {
			for _, p := range n.router.Uplinks[i].Addresses {
				add(p.Addr(), port, port)
			}
		}
	}
	return list
}

// findClashes reports frontends of one place.
func (r *Resolver) findClashes() {
	for key := range r.touched {
		s := r.spots[key]
		s.claims = slices.DeleteFunc(s.claims, func(c claim) bool { return c.placing != c.node.placing })
		delete(r.clashes, key)
		if len(s.claims) == 0 {
			delete(r.spots, key)
			continue
		}
		if list := s.clashes(key); list != nil {
			r.clashes[key] = list
		}
	}
	clear(r.touched)
}

// clashes returns a fault for each claim on ports that another has, at who comes later in order of names.
func (s *spot) clashes(key spotKey) (faults []Fault) {
	slices.SortFunc(s.claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.first, b.first), compareOrigins(a.node.key, b.node.key), cmp.Compare(a.last, b.last), cmp.Compare(a.path, b.path))
	})
	widest := 0
	for i := 1; i < len(s.claims); i++ {
		a, b := &s.claims[widest], &s.claims[i]
		if b.first <= a.last {
			later, other := b, a
			if compareOrigins(a.node.key, b.node.key) > 0 {
				later, other = a, b
			}
			port := fmt.Sprint("port ", b.first)
			if later.node == other.node {
				faults = append(faults, Fault{Object: later.node.key, Path: later.path, Message: fmt.Sprintf("%s of %s is there twice", port, key.address), Hint: "ranges of ports do not overlap"})
			} else {
				faults = append(faults, Fault{
					Object: later.node.key, Path: later.path, Message: fmt.Sprintf("%s %s of %s is taken", protocolName(key.protocol), port, key.address),
					Hint: "by " + other.node.key.String(),
				})
			}
		}
		if b.last > a.last {
			widest = i
		}
	}
	return faults
}

func protocolName(protocol uint8) string {
	switch protocol {
	case packet.ProtoUDP:
		return "UDP"
	case packet.ProtoSCTP:
		return "SCTP"
	}
	return "TCP"
}

// statusOf says what has become of a node; nil if that is nobody's interest.
func (r *Resolver) statusOf(n *node) *Status {
	if n.says.note == "" && n.request == nil {
		return nil
	}
	st := &Status{Origin: n.key, Note: n.says.note}
	if n.foreign(&r.settings) {
		st.Note = "a load balancer of the class " + n.says.class + " is to serve it"
	}
	if n.grant == nil {
		return st
	}
	st.Problems = n.grant.Problems
	for i := range n.says.servers {
		if d := &n.says.servers[i].source; i == 0 && d.lenient && r.source(d.pool) == nil {
			st.Problems = append(slices.Clip(st.Problems), vips.Problem{
				Use: vips.Source, Reason: vips.PoolNotFound, Message: "there is no IPPool " + clip(d.pool) + " with usage snat: add it, or name another",
			})
		}
	}
	for i := range n.says.wants {
		if n.says.wants[i].Use == vips.Cluster {
			st.ClusterIPs = append(st.ClusterIPs, n.grant.Addresses[i]...)
		} else {
			st.Addresses = append(st.Addresses, n.grant.Addresses[i]...)
		}
	}
	for i := range n.says.servers {
		for j := range n.says.servers[i].fronts {
			if d := &n.says.servers[i].fronts[j]; d.kind == service.NodePort {
				if st.NodePorts == nil {
					st.NodePorts = make([]uint16, len(n.says.servers))
				}
				st.NodePorts[i] = n.grant.NodePorts[d.index]
			}
		}
	}
	if n.says.health > 0 {
		st.HealthPort = n.grant.NodePorts[n.says.health-1]
	}
	return st
}
