package dhcp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Config is what a revision says, resolved and validated. What it refers to is kept by
// what Compile makes of it, so nobody changes that afterwards.
type Config struct {
	// GatewayMAC is who answers: of all segments. Advertisements and DHCPv6 come from
	// the link-local address made of it.
	GatewayMAC packet.MAC

	Segments []Segment // all: also those where nothing is served any more
	Ports    []*Port   // one that is the same pointer as before is the same port
}

// Segment is a layer-2 domain.
type Segment struct {
	Name string
	Zone packet.Zone
	MTU  int // bytes of the IP packet, told to hosts; 0: not told

	DHCP          *DHCP          // nil: DHCPv4 is not served
	Advertisement *Advertisement // nil: neither are router advertisements and DHCPv6
}

// equal reports whether hosts of two segments are told the same.
func (s *Segment) equal(t *Segment) bool {
	return s.Name == t.Name && s.Zone == t.Zone && s.MTU == t.MTU &&
		(s.DHCP == t.DHCP || s.DHCP != nil && t.DHCP != nil && s.DHCP.equal(t.DHCP)) &&
		(s.Advertisement == t.Advertisement ||
			s.Advertisement != nil && t.Advertisement != nil && s.Advertisement.equal(t.Advertisement))
}

// DHCP is what IPv4 clients are told. Lists are as long as an option may be:
// 63 addresses, 255 bytes of routes and of domain names.
type DHCP struct {
	Subnets []Subnet
	Lease   time.Duration

	DNS, NTP   []netip.Addr
	Domain     string
	Search     []string
	Routes     []Route
	NextServer netip.Addr // may be invalid
	BootFile   string     // at most 127 bytes
}

func (d *DHCP) equal(e *DHCP) bool {
	return slices.Equal(d.Subnets, e.Subnets) && d.Lease == e.Lease &&
		slices.Equal(d.DNS, e.DNS) && slices.Equal(d.NTP, e.NTP) && d.Domain == e.Domain && slices.Equal(d.Search, e.Search) &&
		slices.Equal(d.Routes, e.Routes) && d.NextServer == e.NextServer && d.BootFile == e.BootFile
}

// Subnet is an IPv4 network that addresses are handed out of.
type Subnet struct {
	Prefix netip.Prefix
	Server netip.Addr // by which clients know this server, and address it
	Router netip.Addr // invalid: none
}

// Route is a route for clients on the subnet that holds Via.
type Route struct {
	Prefix netip.Prefix
	Via    netip.Addr
}

// Advertisement is what IPv6 hosts are told. Lifetimes are whole seconds; Forever
// and more is for ever.
type Advertisement struct {
	Prefixes   []netip.Prefix
	Autonomous bool // hosts make addresses of the prefixes
	Stateless  bool // DHCPv6 tells what the advertisement tells, and NTP servers
	Stateful   bool // DHCPv6 hands out the ports' addresses

	Interval         time.Duration // longest between two advertisements to all; at least 4 s
	Lifetime         time.Duration // as default router; 0: it is none
	Preferred, Valid time.Duration // of addresses that hosts made
	Lease            time.Duration // of addresses by DHCPv6
	DNS, NTP         []netip.Addr
	Search           []string
}

func (a *Advertisement) equal(b *Advertisement) bool {
	return slices.Equal(a.Prefixes, b.Prefixes) && a.Autonomous == b.Autonomous && a.Stateless == b.Stateless && a.Stateful == b.Stateful &&
		a.Interval == b.Interval && a.Lifetime == b.Lifetime && a.Preferred == b.Preferred && a.Valid == b.Valid && a.Lease == b.Lease &&
		slices.Equal(a.DNS, b.DNS) && slices.Equal(a.NTP, b.NTP) && slices.Equal(a.Search, b.Search)
}

// Forever is a lifetime without end (RFC 4861 section 4.6.2).
const Forever = (1<<32 - 1) * time.Second

// Port is an attachment.
type Port struct {
	Number uint16
	Host   string // name for who boots there (option 12); empty: none
	MTU    int    // bytes of the IP packet; 0 is as the segment
	Zones  []Attachment

	Addresses []Address
	Zone      packet.Zone // where Addresses are
}

// Equal reports whether two ports are the same in all that they say.
func (p *Port) Equal(q *Port) bool {
	return p.Number == q.Number && p.Host == q.Host && p.MTU == q.MTU && slices.Equal(p.Zones, q.Zones) &&
		slices.Equal(p.Addresses, q.Addresses) && p.Zone == q.Zone
}

// Attachment is a port's membership in a segment.
type Attachment struct {
	Zone packet.Zone
	Tags dataplane.Tags // what frames of this segment carry on the port's wire
}

// Address is bound to a port.
type Address struct {
	MAC packet.MAC
	IP  netip.Addr // may be invalid
}
