package route

import (
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Config is what a revision says about segments and routers, resolved and
// validated: numbers instead of names, defaults filled in. What it refers to is kept by what
// Compile makes of it, so nobody changes that afterwards.
type Config struct {
	Segments []Segment
	Ports    []*Port // in any order; one that is the same pointer as before is the same port
	Routers  []Router
	Links    []Link // of Ports, in their order; nil: nothing is known of them

	// GatewayMAC is the router's address in every segment.
	GatewayMAC packet.MAC
}

// Segment is a layer-2 domain.
type Segment struct {
	Name    string
	Zone    packet.Zone
	MTU     int // largest IP packet, bytes; 0 is no limit
	Subnets []Subnet
	Router  int // index in Config.Routers; -1: not routed

	Learning Learning

	// Proxied are addresses that are not the router's, but for which it answers
	// ARP and ND with its own MAC: virtual servers, NAT pools.
	Proxied []netip.Prefix

	FloodUnknown bool // unknown unicast goes to all ports; else it is dropped. See Attachment
	Suppress     bool // ARP and ND for known addresses are answered here and not flooded
}

// Subnet is an IP network on a segment.
type Subnet struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // the router's address, answered here; invalid: none
}

// Learning says how source addresses of unbound ports are learned.
type Learning struct {
	Enabled bool
	Limit   int   // addresses for each port; 0 is no limit
	Drop    bool  // beyond the limit: drop the frame (NSX: DROP), or forward it and don't learn (ALLOW)
	AgingNs int64 // unused for so long: forgotten; 0 is never

	// An address that moves between ports more than MoveLimit times within
	// MoveWindowNs is a loop or a spoof (RFC 7432 section 15.1): it is held where
	// it was before, and frames from it by other ports are dropped, until no such
	// frame has come for MoveWindowNs. MoveLimit 0 is no limit.
	MoveLimit    int
	MoveWindowNs int64
}

// Port is an attachment as layer 2 and 3 see it.
type Port struct {
	Number uint16
	Name   string
	Zones  []Attachment // the segments it belongs to; several on a trunk. An uplink has its own zone

	Addresses []Address // bound to the port: static MAC and neighbour entries
	Guard     bool      // only frames from bound addresses may enter
	MTU       int       // largest IP packet, bytes; 0 is no limit

	RxUnknown *dataplane.Limiter // unknown unicast frames from this port; nil: no limit
}

// Equal reports whether two ports are the same in all that they say.
func (p *Port) Equal(q *Port) bool {
	return p.Number == q.Number && p.Name == q.Name && p.Guard == q.Guard && p.MTU == q.MTU && p.RxUnknown == q.RxUnknown &&
		slices.EqualFunc(p.Zones, q.Zones, Attachment.equal) && slices.Equal(p.Addresses, q.Addresses)
}

func (a Attachment) equal(b Attachment) bool {
	return a.Zone == b.Zone && a.Tags == b.Tags && a.Security.equal(&b.Security) &&
		same(a.Learning, b.Learning) && same(a.FloodUnknown, b.FloodUnknown)
}

func (s *Security) equal(t *Security) bool {
	return s.ForwardReserved == t.ForwardReserved && slices.Equal(s.AllowReserved, t.AllowReserved) &&
		s.BlockDHCPServer == t.BlockDHCPServer && s.BlockDHCPClient == t.BlockDHCPClient &&
		s.BlockDHCPServer6 == t.BlockDHCPServer6 && s.BlockDHCPClient6 == t.BlockDHCPClient6 &&
		s.BlockRouterAdvertisements == t.BlockRouterAdvertisements && s.BlockNonIP == t.BlockNonIP
}

// same compares what two pointers point to, each of which may be nil.
func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Attachment is a port's membership in a segment.
type Attachment struct {
	Zone packet.Zone
	Tags dataplane.Tags // what frames of this segment carry on the port's wire

	Security     Security  // filters for what the port sends
	Learning     *Learning // overrides the segment's; nil: as the segment. Of no meaning on an uplink
	FloodUnknown *bool     // whether unknown unicast is taken from the port and flooded to it; nil: as the segment
}

// Security are the filters for frames that a port has no business sending. The
// zero Security drops link-local control frames only.
type Security struct {
	// ForwardReserved floods link-local control frames (01:80:c2:00:00:00..0f) but
	// MAC control, which a bridge must not (IEEE 802.1Q section 8.6.3).
	ForwardReserved bool
	// AllowReserved are group addresses to which such frames pass all the same;
	// others than those of the block are their like for BlockNonIP.
	AllowReserved []packet.MAC

	BlockDHCPServer, BlockDHCPClient   bool // what goes to DHCP clients, and to servers
	BlockDHCPServer6, BlockDHCPClient6 bool // for IPv6
	BlockRouterAdvertisements          bool // RFC 6105, RFC 7113
	BlockNonIP                         bool // all but IP, ARP and link-local control frames
}

// Address is a workload's address. A MAC that is bound without an IP address
// may send from any.
type Address struct {
	MAC packet.MAC
	IP  netip.Addr // may be invalid
}

// Router forwards between its segments and uplinks.
type Router struct {
	Name    string
	Uplinks []Uplink
	Routes  []Static

	// Proxied are addresses that are not the router's, but for which it answers: virtual servers, NAT pools. Each prefix is
	// there once. Routers of one address space may share the list; one that differs a little from that before costs little.
	Proxied []Proxied
}

// Proxied is a network of addresses, often of one, that a router answers for. On segments that is where the address belongs to
// one of the segment's subnets.
type Proxied struct {
	Prefix netip.Prefix
	// Announce: it is answered for on all uplinks too, and told of where it is new, see announcer. Others are known inside only.
	Announce bool
}

// Link is how it is with the device of a Port: when one comes up, or another takes its place, who is there is told of
// the router's addresses.
type Link struct {
	Up     bool
	Device any // tells one device from another; to be compared
}

// Uplink is a router's interface toward the physical network: a zone with one port.
type Uplink struct {
	Port      uint16
	Zone      packet.Zone
	MAC       packet.MAC     // the router's own address there
	Addresses []netip.Prefix // the router's addresses with the networks they are on
	Gateway   netip.Addr     // next hop of the default route; invalid: none
	MTU       int
	Proxied   []netip.Prefix // as Segment.Proxied
}

// Static is a route given by configuration.
type Static struct {
	Prefix    netip.Prefix
	Via       netip.Addr  // the next hop; invalid with Blackhole
	Zone      packet.Zone // where Via is: of a segment or uplink; 0: on the connected network that holds it
	Blackhole bool
}
