package node

import (
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/route"
)

// RouteViews are the routes, by router and prefix; of equal prefixes the one
// in use comes first.
func (n *Node) RouteViews(f *api.Filter) (iter.Seq[api.RouteView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.RouteType("").Values())); err != nil {
		return nil, err
	}
	all := func(yield func(api.RouteView) bool) {
		for i := range s.model.Routers {
			for _, v := range s.routesOf(&s.model.Routers[i]) {
				if !yield(v) {
					return
				}
			}
		}
	}
	list, err := choose(f, "route to", all, func(v *api.RouteView) string { return v.Prefix.String() }, func(v *api.RouteView) bool {
		return (f.Router == "" || v.Router == f.Router) && f.MatchState(string(v.Type)) &&
			(!f.Address.IsValid() || v.Prefix.Overlaps(f.Address))
	})
	return slices.Values(list), err
}

// routesOf lists a router's routes in the order in which its table prefers them.
func (s *shown) routesOf(r *control.Router) (list []api.RouteView) {
	for _, c := range r.Connected {
		list = append(list, api.RouteView{Prefix: c.Prefix, Type: api.RouteConnected, Out: s.segmentName(c.Segment)})
	}
	gateways := map[netip.Addr]bool{}
	for _, u := range r.Uplinks {
		for _, a := range u.Addresses {
			list = append(list, api.RouteView{Prefix: a.Masked(), Type: api.RouteUplink, Out: s.model.Ports[u.Port].Name})
		}
		for _, g := range u.Gateways {
			gateways[g] = true
		}
	}
	for _, x := range r.Routes {
		v := api.RouteView{Prefix: x.Prefix, Type: api.RouteStatic, Via: x.Via}
		switch {
		case x.Blackhole:
			v.Type = api.RouteBlackhole
		case x.Segment >= 0:
			v.Out = s.segmentName(x.Segment)
		case x.Uplink >= 0:
			v.Out = s.model.Ports[r.Uplinks[x.Uplink].Port].Name
			if x.Prefix.Bits() == 0 && gateways[x.Via] {
				v.Type = api.RouteDefault
			}
		}
		list = append(list, v)
	}
	taken := map[netip.Prefix]bool{}
	for i := range list {
		v := &list[i]
		v.Router, v.Active = r.Name, !taken[v.Prefix]
		taken[v.Prefix] = true
	}
	slices.SortStableFunc(list, func(a, b api.RouteView) int { return a.Prefix.Compare(b.Prefix) })
	return list
}

// MACViews are the MAC addresses of segments: those that are bound, by port, then
// those that are learned.
func (n *Node) MACViews(f *api.Filter) (iter.Seq[api.MACView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.MACType("").Values())); err != nil {
		return nil, err
	}
	keep := func(v *api.MACView) bool {
		return (f.Segment == "" || v.Segment == f.Segment) && (f.Port == "" || v.Port == f.Port) && f.MatchState(string(v.Type))
	}
	all := func(yield func(api.MACView) bool) {
		for v := range s.boundMACs() {
			if keep(&v) && !yield(v) {
				return
			}
		}
		for m := range n.learnedMACs() {
			v := api.MACView{
				Segment: s.names().places[m.Zone].name(), MAC: api.MAC(m.MAC), Port: s.portName(m.Port), Type: api.MACLearned,
				Age: since(m.UsedNs), Held: m.Held, Moves: m.Moves,
			}
			if keep(&v) && !yield(v) {
				return
			}
		}
	}
	return chosenOf(f, "MAC address", all, func(v *api.MACView) string { return v.MAC.String() })
}

// chosenOf leaves a stream as it is if no names are asked for.
func chosenOf[T any](f *api.Filter, what string, all iter.Seq[T], nameOf func(*T) string) (iter.Seq[T], error) {
	if len(f.Names) == 0 {
		return all, nil
	}
	list, err := choose(f, what, all, nameOf, func(*T) bool { return true })
	return slices.Values(list), err
}

// learnedMACs are none if the node is closed.
func (n *Node) learnedMACs() iter.Seq[route.MAC] {
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.routes == nil {
		return func(func(route.MAC) bool) {}
	}
	return n.routes.LearnedMACs()
}

func (s *shown) boundMACs() iter.Seq[api.MACView] {
	return func(yield func(api.MACView) bool) {
		for i := range s.model.Ports {
			p := s.model.Ports[i]
			for _, of := range p.Memberships {
				seen := map[api.MAC]bool{}
				for _, a := range p.Addresses {
					v := api.MACView{Segment: s.segmentName(of.Segment), MAC: a.MAC, Port: p.Name, Type: api.MACBound}
					if !seen[a.MAC] && !yield(v) {
						return
					}
					seen[a.MAC] = true
				}
			}
		}
	}
}

// NeighborViews are the hosts next to routers: those that are bound, by port,
// then what has been learned.
func (n *Node) NeighborViews(f *api.Filter) (iter.Seq[api.NeighborView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.NeighborState("").Values())); err != nil {
		return nil, err
	}
	keep := func(v *api.NeighborView) bool {
		return (f.Router == "" || v.Router == f.Router) && (f.Segment == "" || v.Out == f.Segment) &&
			(f.Port == "" || v.Port == f.Port) && f.MatchState(string(v.State)) && f.MatchAddress(v.IP)
	}
	all := func(yield func(api.NeighborView) bool) {
		for v := range s.boundNeighbors() {
			if keep(&v) && !yield(v) {
				return
			}
		}
		for x := range n.learnedNeighbors() {
			at := s.names().places[x.Zone]
			v := api.NeighborView{
				Router: at.router, IP: x.IP.Netip(), MAC: api.MAC(x.MAC), State: api.NeighborState(strings.ToUpper(x.State)),
				Out: at.name(), Port: s.portName(x.Port), Age: since(x.ConfirmedNs), Queue: x.Waiting,
			}
			if keep(&v) && !yield(v) {
				return
			}
		}
	}
	return chosenOf(f, "neighbor", all, func(v *api.NeighborView) string { return v.IP.String() })
}

// learnedNeighbors are none if the node is closed.
func (n *Node) learnedNeighbors() iter.Seq[route.NeighborInfo] {
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.routes == nil {
		return func(func(route.NeighborInfo) bool) {}
	}
	return n.routes.LearnedNeighbors()
}

func (s *shown) boundNeighbors() iter.Seq[api.NeighborView] {
	return func(yield func(api.NeighborView) bool) {
		for i := range s.model.Ports {
			p := s.model.Ports[i]
			for _, of := range p.Memberships {
				at := s.names().places[packet.Zone(s.model.Segments[of.Segment].Zone)]
				if at.router == "" {
					continue
				}
				for _, a := range p.Addresses {
					v := api.NeighborView{
						Router: at.router, IP: a.IP, MAC: a.MAC, State: api.NeighborBound, Out: at.segment, Port: p.Name,
					}
					if a.IP.IsValid() && !yield(v) {
						return
					}
				}
			}
		}
	}
}
