package node

import (
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dhcp"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/route"
)

// portParts are what is made of a port, for the data plane and for features. They are
// kept for the models to come: a port that does not change is not made anew, and features
// see by the pointers that it has not. But for zones, nobody changes them.
type portParts struct {
	of    *openPort  // what they are made of, with the zones of its segments
	zones *zoneTable // in which these are what they were then

	limits *portLimits
	engine *dataplane.PortConfig
	route  *route.Port
	dhcp   *dhcp.Port // nil: an uplink
}

// portLimits are a port's limits on frames without a single receiver. What was used up of one stays used
// up while its rate is the same.
type portLimits struct {
	number    uint16
	rates     api.RateLimits
	storm     dataplane.StormLimits
	rxUnknown *dataplane.Limiter
}

// makeParts sees to it that each open port has the parts that a model asks for.
func (n *Node) makeParts(m *control.Model, opened []*openPort) {
	if zones := zonesOf(m); n.zones == nil || !n.zones.equal(zones) {
		n.zones = zones
	}
	for _, p := range opened {
		switch was := p.parts; {
		case was == nil || was.of != p:
		case was.zones == n.zones:
			continue
		case n.zones.agree(was.zones, p.config):
			was.zones = n.zones
			continue
		}
		p.parts = newPortParts(m, p, n.zones)
	}
}

// newPortParts makes the parts of a port, of which those stay that say the same as before.
func newPortParts(m *control.Model, p *openPort, zones *zoneTable) *portParts {
	before := p.parts
	if before == nil {
		before = &portParts{}
	}
	x := &portParts{of: p, zones: zones, limits: before.limits}
	config := p.config
	if l := x.limits; l == nil || l.number != config.Number || l.rates != config.RateLimits {
		x.limits = newPortLimits(config, l)
	}
	x.engine = &dataplane.PortConfig{
		Number: config.Number, Name: config.Name, Port: p.device, Caps: p.caps, Queues: max(p.caps.Queues, 1),
		MTU: p.mtu(), VLAN: attachment(m, config), Sessions: sessionZone(m, config), Storm: x.limits.storm,
	}
	if x.route = routePort(m, config, p.mtu(), x.limits.rxUnknown); before.route != nil && before.route.Equal(x.route) {
		x.route = before.route
	}
	if config.Uplink >= 0 {
		return x
	}
	if x.dhcp = dhcpPort(m, config); before.dhcp != nil && before.dhcp.Equal(x.dhcp) {
		x.dhcp = before.dhcp
	}
	return x
}

// newPortLimits makes a port's limits, of which those stay that are as before; that may be nil.
func newPortLimits(p *control.Port, before *portLimits) *portLimits {
	if before == nil || before.number != p.Number {
		before = &portLimits{}
	}
	was, is, old := &before.rates, &p.RateLimits, &before.storm
	return &portLimits{
		number: p.Number, rates: *is, rxUnknown: limiter(is.RxUnknownUnicast, was.RxUnknownUnicast, before.rxUnknown),
		storm: dataplane.StormLimits{
			RxBroadcast: limiter(is.RxBroadcast, was.RxBroadcast, old.RxBroadcast),
			RxMulticast: limiter(is.RxMulticast, was.RxMulticast, old.RxMulticast),
			TxBroadcast: limiter(is.TxBroadcast, was.TxBroadcast, old.TxBroadcast),
			TxMulticast: limiter(is.TxMulticast, was.TxMulticast, old.TxMulticast),
		},
	}
}

// limiter allows bursts of a tenth of a second; it is the old one if the rate is the same. nil is no limit.
func limiter(rate, was int, old *dataplane.Limiter) *dataplane.Limiter {
	switch {
	case rate == was:
		return old
	case rate == 0:
		return nil
	}
	return dataplane.NewLimiter(uint32(rate), uint32(rate/10))
}

// zoneTable has the zones of a model's segments and uplinks by their indices. Ports name
// segments by index: one that is the same as in another model means the same
// where the tables agree.
type zoneTable struct {
	segments []packet.Zone
	uplinks  [][]packet.Zone // by router
}

func zonesOf(m *control.Model) *zoneTable {
	z := &zoneTable{segments: make([]packet.Zone, len(m.Segments)), uplinks: make([][]packet.Zone, len(m.Routers))}
	for i := range m.Segments {
		z.segments[i] = packet.Zone(m.Segments[i].Zone)
	}
	for r := range m.Routers {
		for _, u := range m.Routers[r].Uplinks {
			z.uplinks[r] = append(z.uplinks[r], packet.Zone(u.Zone))
		}
	}
	return z
}

func (z *zoneTable) equal(other *zoneTable) bool {
	return slices.Equal(z.segments, other.segments) && slices.EqualFunc(z.uplinks, other.uplinks, slices.Equal[[]packet.Zone])
}

// agree reports whether the zones that a port refers to are the same in both tables. It is
// of the model of z.
func (z *zoneTable) agree(other *zoneTable, p *control.Port) bool {
	if p.Uplink >= 0 {
		// With those of the router's others, one of which sessions go by (sessionZone).
		return p.Router < len(other.uplinks) && slices.Equal(z.uplinks[p.Router], other.uplinks[p.Router])
	}
	same := func(segment int) bool {
		return segment < 0 || segment < len(other.segments) && z.segments[segment] == other.segments[segment]
	}
	for i := range p.Attachments {
		if !same(p.Attachments[i].Segment) {
			return false
		}
	}
	for i := range p.Memberships {
		if !same(p.Memberships[i].Segment) {
			return false
		}
	}
	return same(p.Segment)
}
