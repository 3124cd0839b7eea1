package firewall

import (
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Config is what a Firewall is compiled from.
type Config struct {
	Policy *policy.Policy
	Zones  []ZoneScope // every zone in which frames enter; those not named have scope 0

	// Terms of sessions by port number. The timers of the sender's port hold, where it has
	// some, else the receiver's; caps are both's. nil: no port has any.
	Terms []PortTerms

	// Spoof has the groups of flood caps, by number, whose servers are told by a reset when a connection to
	// them is evicted half open (NSX's rst-spoof).
	Spoof []bool
}

// ZoneScope says in which address space the addresses of a zone's packets are.
type ZoneScope struct {
	Zone  packet.Zone
	Scope uint32
}

// PortTerms are the profiles that hold for sessions of a port.
type PortTerms struct {
	Timers uint8  // number of the timer profile; 0 is the node's
	Caps   uint16 // group of flood caps that sessions of the port count against; 0 is none
}
