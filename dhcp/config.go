package dhcp

import (
	"net/netip"
	"time"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Config is what a revision says, resolved and validated. It is read by Compile
// and not kept.
type Config struct {
	// GatewayMAC is who answers: of all segments. Advertisements and DHCPv6 come from
	// the link-local address made of it.
	GatewayMAC packet.MAC

	Segments []Segment // all: also those where nothing is served any more
	Ports    []Port
}

// Segment is a layer-2 domain.
type Segment struct {
	Name string
	Zone packet.Zone
	MTU  int // bytes of the IP packet, told to hosts; 0: not told

	DHCP          *DHCP          // nil: DHCPv4 is not served
	Advertisement *Advertisement // nil: neither are router advertisements and DHCPv6
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
