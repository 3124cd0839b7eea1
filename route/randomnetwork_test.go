package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// randomNetwork makes configurations that follow each other: each differs from the
// last one that was accepted by a change or two. Ports that don't change are the same pointers.
type randomNetwork struct {
	r        *rand.Rand
	accepted Config
	what     string // has been changed
}

func newRandomNetwork(seed uint64) *randomNetwork {
	return &randomNetwork{r: rand.New(rand.NewPCG(seed, 4)), accepted: Config{
		GatewayMAC: gatewayMAC, Routers: []Router{{Name: "r0"}, {Name: "r1"}},
	}}
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// networkChange is something that an administrator may do. It may change what it is given, but nothing that
// this refers to.
type networkChange struct {
	what   string
	weight int
	make   func(*randomNetwork, *Config)
}

var networkChanges = []networkChange{
	{"a port comes", 6, (*randomNetwork).addPort},
	{"a port goes", 2, func(x *randomNetwork, c *Config) {
		if len(c.Ports) > 0 {
			i := x.r.IntN(len(c.Ports))
			c.Ports = slices.Delete(c.Ports, i, i+1)
		}
	}},
	{"a port changes", 10, (*randomNetwork).changePort},
	{"a port is written anew", 1, func(x *randomNetwork, c *Config) { x.onPort(c, func(*Port) {}) }},
	{"the order of ports changes", 1, func(x *randomNetwork, c *Config) {
		x.r.Shuffle(len(c.Ports), func(i, j int) { c.Ports[i], c.Ports[j] = c.Ports[j], c.Ports[i] })
	}},
	{"a segment comes", 4, func(x *randomNetwork, c *Config) {
		c.Segments = slices.Insert(c.Segments, x.r.IntN(len(c.Segments)+1), x.segment())
	}},
	{"a segment goes", 2, func(x *randomNetwork, c *Config) {
		if len(c.Segments) > 0 {
			i := x.r.IntN(len(c.Segments))
			if x.r.IntN(8) > 0 {
				x.detach(c, c.Segments[i].Zone)
			}
			c.Segments = slices.Delete(c.Segments, i, i+1)
		}
	}},
	{"a segment changes", 6, (*randomNetwork).changeSegment},
	{"segments change places", 1, func(x *randomNetwork, c *Config) {
		x.r.Shuffle(len(c.Segments), func(i, j int) { c.Segments[i], c.Segments[j] = c.Segments[j], c.Segments[i] })
	}},
	{"segments change zones", 1, func(x *randomNetwork, c *Config) {
		if len(c.Segments) > 1 {
			c.Segments[0].Zone, c.Segments[1].Zone = c.Segments[1].Zone, c.Segments[0].Zone
		}
	}},
	{"a router changes", 4, (*randomNetwork).changeRouter},
	{"an uplink comes or goes", 3, (*randomNetwork).changeUplink},
	{"the gateway's MAC changes", 1, func(x *randomNetwork, c *Config) { c.GatewayMAC[5] = byte(x.r.IntN(2)) }},
}

// change returns the next configuration.
func (x *randomNetwork) change() *Config {
	c := x.accepted
	c.Ports, c.Segments, c.Routers = slices.Clone(c.Ports), slices.Clone(c.Segments), slices.Clone(c.Routers)
	all := 0
	for _, n := range networkChanges {
		all += n.weight
	}
	x.what = ""
	for range 1 + x.r.IntN(2) {
		at := x.r.IntN(all)
		for _, n := range networkChanges {
			if at -= n.weight; at < 0 {
				x.what += n.what + "; "
				n.make(x, &c)
				break
			}
		}
	}
	return &c
}

// address is one of network n's.
func (x *randomNetwork) address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte(n), byte(1 + x.r.IntN(8))})
}

func (x *randomNetwork) learning() Learning {
	return Learning{
		Enabled: x.r.IntN(4) > 0, Limit: x.r.IntN(3) * 2, Drop: x.r.IntN(2) > 0, AgingNs: int64(x.r.IntN(3)) * int64(time.Minute),
		MoveLimit: x.r.IntN(4), MoveWindowNs: int64(time.Minute),
	}
}

func (x *randomNetwork) segment() Segment {
	n := 1 + x.r.IntN(4)
	return Segment{
		Name: fmt.Sprint("s", x.r.IntN(6)), Zone: packet.Zone(1 + x.r.IntN(6)), MTU: x.r.IntN(3) * 700,
		Subnets: []Subnet{{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n), 0}), 24), netip.AddrFrom4([4]byte{10, 0, byte(n), 1})}},
		Router:  x.r.IntN(3) - 1, Learning: x.learning(), FloodUnknown: x.r.IntN(2) > 0, Suppress: x.r.IntN(2) > 0,
	}
}

func (x *randomNetwork) changeSegment(c *Config) {
	if len(c.Segments) == 0 {
		return
	}
	s, fresh := &c.Segments[x.r.IntN(len(c.Segments))], x.segment()
	switch x.r.IntN(9) {
	case 0:
		s.Name = fresh.Name
	case 1:
		x.detach(c, s.Zone)
		s.Zone = fresh.Zone
	case 2:
		s.MTU = fresh.MTU
	case 3:
		s.Subnets = fresh.Subnets
	case 4:
		s.Router = fresh.Router
	case 5:
		s.Learning = fresh.Learning
	case 6:
		s.FloodUnknown = fresh.FloodUnknown
	case 7:
		s.Suppress = fresh.Suppress
	case 8:
		s.Proxied = nil
		if x.r.IntN(2) > 0 {
			s.Proxied = []netip.Prefix{host32(x.address(1 + x.r.IntN(4)))}
		}
	}
}

func (x *randomNetwork) addPort(c *Config) {
	p := &Port{Number: uint16(1 + x.r.IntN(testbedPorts)), Name: fmt.Sprint("p", x.r.IntN(30)), Guard: x.r.IntN(3) == 0, MTU: x.r.IntN(3) * 600}
	x.attach(c, p)
	x.bind(p)
	c.Ports = append(c.Ports, p)
}

// attach gives a port segments: untagged, or by VLANs.
func (x *randomNetwork) attach(c *Config, p *Port) {
	p.Zones = nil
	if len(c.Segments) == 0 {
		return
	}
	for range x.r.IntN(4) {
		a := Attachment{Zone: pick(x.r, c.Segments).Zone, Tags: dataplane.Tags{Outer: uint16(len(p.Zones))}}
		a.Security.BlockNonIP, a.Security.ForwardReserved = x.r.IntN(4) == 0, x.r.IntN(2) > 0
		if x.r.IntN(3) == 0 {
			own := x.learning()
			a.Learning = &own
		}
		if x.r.IntN(3) == 0 {
			own := x.r.IntN(2) > 0
			a.FloodUnknown = &own
		}
		if x.r.IntN(12) == 0 || !slices.ContainsFunc(p.Zones, func(b Attachment) bool { return b.Zone == a.Zone }) {
			p.Zones = append(p.Zones, a)
		}
	}
}

func (x *randomNetwork) bind(p *Port) {
	p.Addresses = nil
	for range x.r.IntN(3) {
		a := Address{MAC: hostMAC(byte(1 + x.r.IntN(10)))}
		if x.r.IntN(4) > 0 {
			a.IP = x.address(1 + x.r.IntN(4))
		}
		p.Addresses = append(p.Addresses, a)
	}
}

// onPort changes a copy of one of the ports.
func (x *randomNetwork) onPort(c *Config, change func(*Port)) {
	if len(c.Ports) == 0 {
		return
	}
	i := x.r.IntN(len(c.Ports))
	p := *c.Ports[i]
	change(&p)
	c.Ports[i] = &p
}

func (x *randomNetwork) changePort(c *Config) {
	x.onPort(c, func(p *Port) {
		switch x.r.IntN(7) {
		case 0:
			p.Number = uint16(1 + x.r.IntN(testbedPorts))
		case 1:
			p.Name = fmt.Sprint("p", x.r.IntN(30))
		case 2:
			p.Guard = !p.Guard
		case 3:
			p.MTU = x.r.IntN(4)*600 - 1
		case 4:
			x.bind(p)
		default:
			x.attach(c, p)
		}
	})
}

// detach takes all ports from a zone.
func (x *randomNetwork) detach(c *Config, zone packet.Zone) {
	for i, p := range c.Ports {
		if in := func(a Attachment) bool { return a.Zone == zone }; slices.ContainsFunc(p.Zones, in) {
			own := *p
			own.Zones = slices.DeleteFunc(slices.Clone(p.Zones), in)
			c.Ports[i] = &own
		}
	}
}

func (x *randomNetwork) changeRouter(c *Config) {
	r := &c.Routers[x.r.IntN(len(c.Routers))]
	if x.r.IntN(4) == 0 {
		r.Name = fmt.Sprint("r", x.r.IntN(4))
		return
	}
	if x.r.IntN(2) == 0 {
		r.Proxied = x.proxied(r.Proxied)
		return
	}
	if len(r.Routes) > 0 && x.r.IntN(2) > 0 {
		r.Routes = r.Routes[1:]
		return
	}
	s := Static{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(x.r.IntN(3)), 0, 0}), 16), Blackhole: x.r.IntN(3) == 0}
	if !s.Blackhole {
		s.Via = x.address(1 + x.r.IntN(4))
	}
	r.Routes = append(slices.Clone(r.Routes), s)
}

// proxied changes some of a list, or all of it.
func (x *randomNetwork) proxied(list []Proxied) []Proxied {
	list = slices.Clone(list)
	if x.r.IntN(8) == 0 {
		list = nil
	}
	for range 1 + x.r.IntN(3) {
		p := Proxied{Prefix: host32(x.address(1 + x.r.IntN(5))), Announce: x.r.IntN(2) > 0}
		switch x.r.IntN(6) {
		case 0: // as some network, or some route
			p.Prefix = netip.PrefixFrom(p.Prefix.Addr(), 16+8*x.r.IntN(2))
		case 1:
			p.Prefix = netip.PrefixFrom(p.Prefix.Addr(), 30)
		}
		p.Prefix = p.Prefix.Masked()
		same := func(q Proxied) bool { return q.Prefix == p.Prefix }
		if i := slices.IndexFunc(list, same); i < 0 {
			list = append(list, p)
		} else if x.r.IntN(2) > 0 {
			list = slices.Delete(list, i, i+1)
		} else {
			list[i] = p
		}
	}
	return list
}

func (x *randomNetwork) changeUplink(c *Config) {
	r := x.r.IntN(len(c.Routers))
	router := &c.Routers[r]
	zone, number := packet.Zone(10+r), uint16(testbedPorts-r)
	x.detach(c, zone)
	c.Ports = slices.DeleteFunc(c.Ports, func(p *Port) bool { return p.Number == number })
	if len(router.Uplinks) > 0 && x.r.IntN(2) > 0 {
		router.Uplinks = nil
		return
	}
	at := x.address(1 + x.r.IntN(5))
	router.Uplinks = []Uplink{{
		Port: number, Zone: zone, MAC: packet.MAC{2, 0, 0, 0, 9, byte(r)}, MTU: x.r.IntN(3) * 700,
		Addresses: []netip.Prefix{netip.PrefixFrom(at, 24)},
	}}
	if x.r.IntN(2) > 0 {
		router.Uplinks[0].Gateway = at.Next()
	}
	c.Ports = append(c.Ports, &Port{Number: number, Name: fmt.Sprint("up", x.r.IntN(2)), Zones: []Attachment{{Zone: zone}}})
}
