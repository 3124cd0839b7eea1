package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Server is a revision's services as workers read them. It is immutable; what
// lives longer is in its State.
type Server struct {
	state    *State
	revision uint64
	mac      packet.MAC
	link     packet.Addr // its link-local address

	lans       map[packet.Zone]*lan
	advertised []advertised // segments with advertisements
}

// lan is a segment with its ports. It is immutable; Servers that follow each other
// share it while neither changes.
type lan struct {
	config   *Segment     // what it is made of, with
	attached []attachment // its ports, in the order of the Config
	seg      *segment
	members  map[uint16]*member      // by port; none if nothing is served
	ports    []dataplane.FloodTarget // all
}

// attachment is one of a port's.
type attachment struct {
	port *Port
	at   *Attachment
}

// member is a port in a segment.
type member struct {
	seg     *segment
	out     dataplane.FloodTarget // back to the port
	limit   *dataplane.Limiter
	mtu     int      // bytes of the IP packet; 0 is no limit
	clients []client // by MAC; a port has few
}

// client returns what is known of a MAC at the port, nil if nothing is.
func (m *member) client(mac packet.MAC) *client {
	for i := range m.clients {
		if m.clients[i].mac == mac {
			return &m.clients[i]
		}
	}
	return nil
}

// client is a host that something is bound for.
type client struct {
	mac     packet.MAC
	v4      packet.Addr // valid iff subnet is not nil
	subnet  *subnet4
	options []option4
	v6      packet.Addr // of an advertised prefix; valid iff has6
	has6    bool
}

// segment is what is served on a Segment.
type segment struct {
	v4 *service4 // nil: nothing
	v6 *service6 // nil: nothing
	ra []byte    // an advertisement to all as a frame; nil: none
}

// service4 is DHCPv4 on a segment.
type service4 struct {
	subnets []subnet4
	lease   uint32 // seconds
	next    [4]byte
	file    string
}

// subnet4 is a Subnet.
type subnet4 struct {
	prefix    netip.Prefix
	server    packet.Addr
	broadcast packet.Addr
	options   []option4
}

// option4 is an option for clients. Some are sent only if asked for by name.
type option4 struct {
	code  uint8
	asked bool
	data  []byte
}

// service6 is DHCPv6 on a segment.
type service6 struct {
	stateful         bool
	preferred, valid uint32 // of addresses, seconds
	dns, search, ntp []byte // options' values; empty: none
	refresh          uint32 // how long all this holds, seconds
}

// Compile makes a Server. It changes nothing that one in force depends on. The
// error names every fault. Segments that are what they are in the Server in force, with the same
// ports, are not made anew; a Port is never to be changed, since its pointer says what it is.
func Compile(c *Config, s *State) (*Server, error) {
	s.revision++
	x := &Server{
		state: s, revision: s.revision, mac: c.GatewayMAC, link: packet.LinkLocal(c.GatewayMAC),
		lans: make(map[packet.Zone]*lan, len(c.Segments)),
	}
	var before map[packet.Zone]*lan
	if s.current != nil && s.current.mac == x.mac {
		before = s.current.lans
	}
	attached := attachments(c, before)
	var faults []error
	for i := range c.Segments {
		in := &c.Segments[i]
		if other := x.lans[in.Zone]; other != nil {
			faults = append(faults, fmt.Errorf("segment %s: zone %d is that of segment %s", in.Name, in.Zone, other.config.Name))
			continue
		}
		l, err := x.compileLAN(in, attached[in.Zone], before[in.Zone])
		if err != nil {
			faults = append(faults, fmt.Errorf("segment %s: %w", in.Name, err))
		}
		x.lans[in.Zone] = l
		if in.Advertisement != nil {
			x.advertised = append(x.advertised, advertised{
				zone: in.Zone, name: in.Name, frame: l.seg.ra,
				shortest: shortestInterval(in.Advertisement.Interval), longest: int64(in.Advertisement.Interval),
			})
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return x, nil
}

// attachments returns the ports of each zone; before says how many there may be.
func attachments(c *Config, before map[packet.Zone]*lan) map[packet.Zone][]attachment {
	all := make(map[packet.Zone][]attachment, len(c.Segments))
	for _, p := range c.Ports {
		for i := range p.Zones {
			a := &p.Zones[i]
			list := all[a.Zone]
			if was := before[a.Zone]; list == nil && was != nil {
				list = make([]attachment, 0, len(was.attached)+1)
			}
			all[a.Zone] = append(list, attachment{p, a})
		}
	}
	return all
}

// compileLAN makes a segment with its ports, or finds that it was there before.
func (x *Server) compileLAN(in *Segment, attached []attachment, before *lan) (*lan, error) {
	l := &lan{config: in, attached: attached}
	if before != nil && before.config.equal(in) {
		if slices.Equal(before.attached, attached) {
			return before, nil
		}
		l.config, l.seg = before.config, before.seg
	} else {
		own := *in
		l.config, l.seg = &own, &segment{}
		if err := x.compileSegment(l.seg, in); err != nil {
			return l, err
		}
	}
	l.ports = make([]dataplane.FloodTarget, len(attached))
	for i, a := range attached {
		l.ports[i] = dataplane.FloodTarget{Port: a.port.Number, Tags: a.at.Tags}
	}
	if l.seg.v4 == nil && l.seg.v6 == nil && l.seg.ra == nil {
		return l, nil
	}
	l.members = make(map[uint16]*member, len(attached))
	for i, a := range attached {
		p := a.port
		m := &member{seg: l.seg, out: l.ports[i], limit: x.state.limit(p.Number), mtu: smaller(in.MTU, p.MTU)}
		if in.Zone == p.Zone {
			m.compileClients(p, in)
		}
		l.members[p.Number] = m
	}
	return l, nil
}

// smaller returns the stricter of two limits, where 0 is none.
func smaller(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// compileSegment makes what is served on a segment.
func (x *Server) compileSegment(seg *segment, in *Segment) error {
	if in.DHCP != nil {
		v4, err := compile4(in.DHCP)
		if err != nil {
			return err
		}
		seg.v4 = v4
	}
	if a := in.Advertisement; a != nil {
		if a.Interval < minInterval {
			return fmt.Errorf("interval %v between advertisements is shorter than %v", a.Interval, minInterval)
		}
		seg.ra = x.compileAdvertisement(a, in.MTU)
		if len(seg.ra) > packet.EthernetSize+minMTU6 {
			return fmt.Errorf("an advertisement of %d bytes does not fit every link; name fewer prefixes or servers", len(seg.ra))
		}
		if a.Stateless || a.Stateful {
			seg.v6 = compile6(a)
		}
	}
	return nil
}

// minMTU6 is what every IPv6 link takes (RFC 8200 section 5).
const minMTU6 = 1280

func compile4(in *DHCP) (*service4, error) {
	v := &service4{lease: seconds(in.Lease), file: in.BootFile}
	if in.NextServer.Is4() {
		v.next = in.NextServer.As4()
	}
	if len(in.BootFile) >= bootCookie-bootFile {
		return nil, fmt.Errorf("boot file name %q is longer than %d bytes", in.BootFile, bootCookie-bootFile-1)
	}
	for _, n := range in.Subnets {
		if !n.Prefix.Addr().Is4() || !n.Server.Is4() || !n.Prefix.Contains(n.Server) {
			return nil, fmt.Errorf("subnet %s: the server's address %s is none of it", n.Prefix, n.Server)
		}
		options := subnetOptions(in, &n)
		for _, o := range options {
			if len(o.data) > 255 {
				return nil, fmt.Errorf("subnet %s: option %d has %d bytes, at most 255 are possible", n.Prefix, o.code, len(o.data))
			}
		}
		v.subnets = append(v.subnets, subnet4{
			prefix: n.Prefix, server: packet.AddrFrom(n.Server),
			broadcast: packet.AddrFrom(lastOf(n.Prefix)), options: options,
		})
	}
	return v, nil
}

// lastOf returns the last address of an IPv4 network: the broadcast address,
// or for want of one 255.255.255.255 (RFC 3021).
func lastOf(p netip.Prefix) netip.Addr {
	all := [4]byte{255, 255, 255, 255}
	if p.Bits() >= 31 {
		return netip.AddrFrom4(all)
	}
	b := p.Masked().Addr().As4()
	mask := maskOf(p)
	for i := range b {
		b[i] |= ^mask[i]
	}
	return netip.AddrFrom4(b)
}

func maskOf(p netip.Prefix) []byte {
	return binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
}

// subnetOptions makes the options of all clients on a subnet, in the order in which
// they are sent to who states no wishes: the mask comes before the router (RFC
// 2132 section 3.3), the routes before both count (RFC 3442).
func subnetOptions(in *DHCP, n *Subnet) (list []option4) {
	add := func(code uint8, data []byte) {
		if len(data) > 0 {
			list = append(list, option4{code: code, data: data})
		}
	}
	add(optionMask, maskOf(n.Prefix))
	routes := routes4(in.Routes, n)
	add(optionRoutes, routes)
	if n.Router.Is4() {
		add(optionRouter, n.Router.AsSlice())
	}
	add(optionDNS, addresses(in.DNS, 32))
	add(optionDomain, []byte(in.Domain))
	add(optionSearch, compressedLabels(in.Search))
	if n.Prefix.Bits() < 31 {
		add(optionBroadcast, lastOf(n.Prefix).AsSlice())
	}
	add(optionNTP, addresses(in.NTP, 32))
	if in.NextServer.Is4() {
		add(optionTFTPServer, []byte(in.NextServer.String()))
	}
	add(optionBootFile, []byte(in.BootFile))
	if len(routes) > 0 {
		list = append(list, option4{code: optionRoutesWindows, asked: true, data: routes})
	}
	return list
}

// routes4 makes the value of option 121: those for the subnet, and the default
// route unless it is among them, since who takes this option ignores option 3.
func routes4(list []Route, n *Subnet) (b []byte) {
	hasDefault := false
	add := func(p netip.Prefix, via netip.Addr) {
		ip := p.Masked().Addr().As4()
		b = append(b, uint8(p.Bits()))
		b = append(b, ip[:(p.Bits()+7)/8]...)
		b = append(b, via.AsSlice()...)
	}
	for _, r := range list {
		if r.Prefix.Addr().Is4() && r.Via.Is4() && n.Prefix.Contains(r.Via) {
			add(r.Prefix, r.Via)
			hasDefault = hasDefault || r.Prefix.Bits() == 0
		}
	}
	if len(b) > 0 && !hasDefault && n.Router.Is4() {
		add(netip.PrefixFrom(netip.IPv4Unspecified(), 0), n.Router)
	}
	return b
}

// addresses puts addresses of bitLen bits one behind the other.
func addresses(list []netip.Addr, bitLen int) (b []byte) {
	for _, a := range list {
		if a.BitLen() == bitLen {
			b = append(b, a.AsSlice()...)
		}
	}
	return b
}

// seconds converts a duration; for ever is all ones.
func seconds(d time.Duration) uint32 {
	return uint32(min(d, Forever) / time.Second)
}

// compileClients makes the clients of a port in the segment of its addresses:
// of each MAC the first address of either version.
func (m *member) compileClients(p *Port, in *Segment) {
	for _, a := range p.Addresses {
		if !a.IP.IsValid() {
			continue
		}
		c := m.client(a.MAC)
		if c == nil {
			m.clients = append(m.clients, client{mac: a.MAC})
			c = &m.clients[len(m.clients)-1]
		}
		switch {
		case a.IP.Is4() && c.subnet == nil && m.seg.v4 != nil:
			for i := range m.seg.v4.subnets {
				if n := &m.seg.v4.subnets[i]; n.prefix.Contains(a.IP) {
					c.v4, c.subnet = packet.AddrFrom(a.IP), n
					c.options = clientOptions(n.options, p, m.mtu)
					break
				}
			}
		case a.IP.Is6() && !c.has6 && in.Advertisement != nil:
			for _, prefix := range in.Advertisement.Prefixes {
				if prefix.Contains(a.IP) {
					c.v6, c.has6 = packet.AddrFrom(a.IP), true
					break
				}
			}
		}
	}
}

// clientOptions adds to a subnet's options what differs by port.
func clientOptions(list []option4, p *Port, mtu int) []option4 {
	list = list[:len(list):len(list)]
	if mtu >= 68 && mtu < 1<<16 { // RFC 2132 section 5.1
		list = append(list, option4{code: optionMTU, data: binary.BigEndian.AppendUint16(nil, uint16(mtu))})
	}
	if n := len(p.Host); n > 0 && n <= 255 {
		list = append(list, option4{code: optionHostName, asked: true, data: []byte(p.Host)})
	}
	return list
}
