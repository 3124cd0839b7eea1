package lb

import (
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Config is what a Balancer is compiled from.
type Config struct {
	Services *service.Config // nil: there are none
	Zones    []Zone          // every zone in which frames enter
}

// Zone is a segment or an uplink, as services see it.
type Zone struct {
	Zone  packet.Zone
	Scope uint32 // the address space that it is in

	// MAC is the router's address there: frames to others are none of the services' business. Zero: it has no router.
	MAC packet.MAC

	// Own are the router's addresses there, IPv4 and IPv6, toward whoever has to answer by way of it; zero: none.
	Own [2]packet.Addr

	Uplink bool // connections from there are from outside
	// Inside: what comes from there is the node's own. No rule is asked about it, and members take it for their router's.
	Inside bool

	// outer are the addresses that IP packets for members come from which leave by the zone; see Balancer.findOuter.
	outer [2]packet.Addr
}

// AddOwn notes an address of the router's; the first of an IP version holds.
func (z *Zone) AddOwn(a packet.Addr) {
	if own := &z.Own[family(a)]; *own == (packet.Addr{}) {
		*own = a
	}
}

// family is where addresses of a's IP version are in Zone.Own.
func family(a packet.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
