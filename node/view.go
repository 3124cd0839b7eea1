package node

import (
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/node/policy"
	"github.com/sluice-net/sluice/packet"
)

// Views: what a running node shows of itself, in the shapes of package api. Any
// goroutine may ask, also while a model is being applied or the node is closed.
// Short lists are made at once; of sessions and learned addresses, of which there may be
// hundreds of thousands, only a chunk is in memory at a time. While an item is
// yielded nothing is locked, so that a reader may be as slow as it likes.
//
// A filter that names what is not there is an error which wraps api.ErrNotFound; one
// that makes no sense wraps api.ErrInvalid. Filter.Limit is the caller's business.

// errClosed is what a view of a closed node gives.
var errClosed = errors.New("the node is closed")

// viewed is the part of a node that views use.
type viewed struct {
	shown   atomic.Pointer[shown]                                        // in force; nil before the first model, and once the node is closed
	closing sync.RWMutex                                                 // held by Close while it gives back memory that views look at
	history atomic.Pointer[func(memberID uint32) (health.History, bool)] // see ShowHealth; nil: nothing is known
	started atomic.Int64                                                 // when the workers were started, of dataplane.Now; 0: they were not
}

// shown is what views read of what is in force. It is immutable, but for what the
// devices say.
type shown struct {
	model *control.Model
	ports []*openPort   // as model.Ports
	names func() *names // made when they are first asked for: most models are never looked at

	services func() *ServiceNames // likewise

	evaluator func() (*policy.Evaluator, error) // likewise
}

// names are those of what workers know by numbers.
type names struct {
	byPort map[uint16]string     // names of ports by their numbers
	places map[packet.Zone]place // what a zone is
	owners map[station]string    // ports by their addresses
}

// place is a segment or the network of an uplink.
type place struct {
	segment string // empty: an uplink
	uplink  string // the uplink's port
	router  string // empty: a segment without
}

// name is the segment's, or that of the uplink's port.
func (p place) name() string {
	if p.segment != "" {
		return p.segment
	}
	return p.uplink
}

// station is an address in a zone.
type station struct {
	zone packet.Zone
	ip   netip.Addr
}

func newShown(m *control.Model, ports []*openPort) *shown {
	s := &shown{model: m, ports: ports}
	s.names = sync.OnceValue(s.makeNames)
	s.services = sync.OnceValue(func() *ServiceNames { return NewServiceNames(m) })
	s.evaluator = sync.OnceValues(func() (*policy.Evaluator, error) { return policy.NewEvaluator(m) })
	return s
}

func (s *shown) makeNames() *names {
	m := s.model
	n := &names{
		byPort: make(map[uint16]string, len(m.Ports)),
		places: make(map[packet.Zone]place, len(m.Segments)), owners: make(map[station]string, len(m.Ports)),
	}
	for i := range m.Segments {
		n.places[packet.Zone(m.Segments[i].Zone)] = place{segment: m.Segments[i].Name, router: s.routerName(m.Segments[i].Router)}
	}
	for i := range m.Routers {
		for _, u := range m.Routers[i].Uplinks {
			n.places[packet.Zone(u.Zone)] = place{uplink: m.Ports[u.Port].Name, router: m.Routers[i].Name}
		}
	}
	for i := range m.Ports {
		p := m.Ports[i]
		n.byPort[p.Number] = p.Name
		for _, a := range p.Addresses {
			if p.Segment >= 0 && a.IP.IsValid() {
				n.owners[station{packet.Zone(m.Segments[p.Segment].Zone), a.IP}] = p.Name
			}
		}
	}
	return n
}

// routerName returns the name of a router by its index; empty for -1.
func (s *shown) routerName(router int) string {
	if router < 0 {
		return ""
	}
	return s.model.Routers[router].Name
}

// segmentName returns the name of a segment by its index; empty for -1.
func (s *shown) segmentName(segment int) string {
	if segment < 0 {
		return ""
	}
	return s.model.Segments[segment].Name
}

// portName returns the name of a port by its number. One that is not in the model any
// more goes by its number.
func (s *shown) portName(number uint16) string {
	if name, found := s.names().byPort[number]; found || number == 0 {
		return name
	}
	return "#" + strconv.Itoa(int(number))
}

// PortName returns the name of a port in force by its number; empty if there is none.
func (n *Node) PortName(number uint16) string {
	s := n.shown.Load()
	if s == nil {
		return ""
	}
	return s.names().byPort[number]
}

// look returns what is in force, after it has made sure that the objects that a
// filter names are there.
func (n *Node) look(f *api.Filter) (*shown, error) {
	s := n.shown.Load()
	if s == nil {
		return nil, errClosed
	}
	m := s.model
	return s, errors.Join(
		mustExist("segment", f.Segment, m.Segments, func(x *control.Segment) string { return x.Name }),
		mustExist("router", f.Router, m.Routers, func(x *control.Router) string { return x.Name }),
		mustExist("port", f.Port, m.Ports, func(x **control.Port) string { return (*x).Name }),
	)
}

func mustExist[T any](what, name string, list []T, nameOf func(*T) string) error {
	if name == "" {
		return nil
	}
	names := make([]string, 0, len(list))
	for i := range list {
		names = append(names, nameOf(&list[i]))
	}
	if slices.Contains(names, name) {
		return nil
	}
	return api.NotFound(what, name, names)
}

// mustBe is an error unless a filter's state is one of those that there are.
func mustBe(f *api.Filter, states []string) error {
	if f.State == "" || slices.ContainsFunc(states, f.MatchState) {
		return nil
	}
	return api.Invalid("state %q: want one of %v", f.State, states)
}

// choose returns of a list, in its order, what a filter names and keep says. Names
// that are not there are an error.
func choose[T any](f *api.Filter, what string, all iter.Seq[T], nameOf func(*T) string, keep func(*T) bool) ([]T, error) {
	var list []T
	var names []string
	found := make(map[string]bool, len(f.Names))
	for x := range all {
		if len(f.Names) > 0 {
			name := nameOf(&x)
			names = append(names, name)
			if !f.Match(name) {
				continue
			}
			found[name] = true
		}
		if keep(&x) {
			list = append(list, x)
		}
	}
	var errs []error
	for _, name := range f.Names {
		if !found[name] {
			slices.Sort(names)
			errs = append(errs, api.NotFound(what, name, slices.Compact(names)))
		}
	}
	return list, errors.Join(errs...)
}

// PortViews are the ports, in order of their names.
func (n *Node) PortViews(f *api.Filter) (iter.Seq[api.PortView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.PortState("").Values())); err != nil {
		return nil, err
	}
	all := func(yield func(api.PortView) bool) {
		for i := range s.model.Ports {
			// What it is made of costs system calls: not for those that nobody asks for.
			p := s.model.Ports[i]
			v := api.PortView{Name: p.Name}
			if f.Match(p.Name) {
				v = n.portView(s, i)
			}
			if !yield(v) {
				return
			}
		}
	}
	list, err := choose(f, "port", all, func(v *api.PortView) string { return v.Name }, func(v *api.PortView) bool {
		return f.MatchState(string(v.State)) &&
			(f.Segment == "" || v.Segment == f.Segment || slices.Contains(v.Segments, f.Segment)) &&
			(!f.Address.IsValid() || slices.ContainsFunc(v.Addresses, func(a api.PortAddress) bool { return f.MatchAddress(a.IP) }))
	})
	return slices.Values(list), err
}

func (n *Node) portView(s *shown, i int) api.PortView {
	p, open := s.model.Ports[i], s.ports[i]
	v := api.PortView{
		Name: p.Name, Number: p.Number, Pod: p.Pod, Segment: s.segmentName(p.Segment), Guard: p.Guard, MTU: p.MTU,
		Device:   api.DeviceView{Type: p.Device.Type, Name: p.Device.Name, NetNS: p.Device.NetNS},
		Firewall: policy.AtPort(s.model, p),
	}
	if p.Uplink >= 0 {
		v.Router = s.routerName(p.Router)
	}
	if len(p.Memberships) > 1 || p.Segment < 0 {
		for _, of := range p.Memberships {
			v.Segments = append(v.Segments, s.segmentName(of.Segment))
		}
	}
	for _, a := range p.Addresses {
		v.Addresses = append(v.Addresses, api.PortAddress{IP: a.IP, MAC: a.MAC})
	}
	showDevice(&v, p, open)
	if open != nil {
		showCounters(&v.Device, open.device)
	}
	c := n.engine.PortCounters(p.Number)
	v.Rx, v.Tx = api.Traffic{Packets: c.RxPackets, Bytes: c.RxBytes}, api.Traffic{Packets: c.TxPackets, Bytes: c.TxBytes}
	v.Dropped = c.Dropped()
	for r, count := range c.Drops {
		if count != 0 {
			if v.Drops == nil {
				v.Drops = map[string]uint64{}
			}
			v.Drops[packet.Reason(r).String()] = count
		}
	}
	return v
}

// segmentsByName returns the indices of the model's segments, which are in order of zones,
// in order of names.
func (s *shown) segmentsByName() []int {
	order := make([]int, len(s.model.Segments))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(s.model.Segments[a].Name, s.model.Segments[b].Name) })
	return order
}

// SegmentViews are the segments, in order of their names.
func (n *Node) SegmentViews(f *api.Filter) (iter.Seq[api.SegmentView], error) {
	s, err := n.look(f)
	if err != nil {
		return nil, err
	}
	ports := make([][]string, len(s.model.Segments))
	for i := range s.model.Ports {
		for _, of := range s.model.Ports[i].Memberships {
			ports[of.Segment] = append(ports[of.Segment], s.model.Ports[i].Name)
		}
	}
	all := func(yield func(api.SegmentView) bool) {
		for _, i := range s.segmentsByName() {
			x := &s.model.Segments[i]
			v := api.SegmentView{
				Name: x.Name, Zone: x.Zone, VNI: x.VNI, VLAN: x.VLAN, MTU: x.MTU, Router: s.routerName(x.Router), Ports: ports[i],
			}
			if x.DHCP != nil {
				v.DHCP = append(v.DHCP, "dhcpv4")
			}
			if ra := x.RouterAdvertisement; ra != nil {
				v.DHCP = append(v.DHCP, "ra:"+strings.ToLower(string(ra.Mode)))
			}
			for _, subnet := range x.Subnets {
				v.Subnets = append(v.Subnets, api.SubnetView{CIDR: subnet.Prefix, Gateway: subnet.Gateway})
			}
			if !yield(v) {
				return
			}
		}
	}
	list, err := choose(f, "segment", all, func(v *api.SegmentView) string { return v.Name }, func(v *api.SegmentView) bool {
		return (f.Router == "" || v.Router == f.Router) &&
			(!f.Address.IsValid() || slices.ContainsFunc(v.Subnets, func(x api.SubnetView) bool { return f.Address.Overlaps(x.CIDR) }))
	})
	return slices.Values(list), err
}

// since returns how long ago a time of the data plane's clock was, in seconds to the
// millisecond; 0 for one that is still to come.
func since(ns int64) float64 { return seconds(dataplane.Now() - ns) }

func seconds(ns int64) float64 { return float64(max(ns, 0)/1e6) / 1e3 }
