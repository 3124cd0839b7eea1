package service

import (
	"net/netip"

	"github.com/sluice-net/sluice/packet"
)

// NATAction is what a NAT rule does.
type NATAction uint8

// The actions, as NSX has them.
const (
	SNAT NATAction = iota
	DNAT
	NoSNAT    // no later rule translates the source
	NoDNAT    // no later rule translates the destination
	Reflexive // one to one: of outgoing packets the source, of incoming ones the destination
)

var natActions = [...]string{SNAT: "SNAT", DNAT: "DNAT", NoSNAT: "NO_SNAT", NoDNAT: "NO_DNAT", Reflexive: "REFLEXIVE"}

// String returns the name as users write it.
func (a NATAction) String() string {
	if int(a) < len(natActions) {
		return natActions[a]
	}
	return "UNKNOWN"
}

// NATActions returns all names, in order.
func NATActions() []string { return append([]string(nil), natActions[:]...) }

// FirewallMatch is which addresses firewall rules see of what a NAT rule translates.
type FirewallMatch uint8

// The ways.
const (
	MatchInternal FirewallMatch = iota // the workload's: after DNAT, before SNAT
	MatchExternal                      // as outside: before DNAT, after SNAT
	MatchBypass                        // no rule is asked
)

var firewallMatches = [...]string{MatchInternal: "MATCH_INTERNAL_ADDRESS", MatchExternal: "MATCH_EXTERNAL_ADDRESS", MatchBypass: "BYPASS"}

// String returns the name as NSX has it.
func (m FirewallMatch) String() string {
	if int(m) < len(firewallMatches) {
		return firewallMatches[m]
	}
	return "UNKNOWN"
}

// NATRule translates packets that cross the edge of a router: leave by one of its uplinks, or enter there.
type NATRule struct {
	ID       uint32 // 1 to MaxID, in one space with SourcePools; stays with the name
	Origin   Origin
	Name     string
	Scope    uint32 // address space of its router
	Priority int    // the lowest is asked first
	Action   NATAction

	// Uplinks are the ports, by number, at which the rule holds; nil: all uplinks of the router. Segments
	// that are named have their zones here: packets that go out by them, or come in.
	Uplinks []uint16

	// What it matches: nil or 0 is everything.
	Source, Destination []netip.Prefix
	Protocol            uint8
	SourcePorts, Ports  []PortRange // of the destination, before DNAT

	// What it translates to. Of Reflexive, Inside is the workloads' network, and To as large.
	Inside netip.Prefix
	To     netip.Prefix // DNAT: the addresses are spread by hash of the client; Reflexive: one to one
	ToPort PortRange    // DNAT: of as many ports as Ports, one to one, or of a single one; zero: as it is
	Pool   *SourcePool  // SNAT

	Firewall FirewallMatch
	Logged   bool
}

// PortRange is a run of ports; the zero PortRange is none.
type PortRange struct{ First, Last uint16 }

// Has reports whether a port is of the run.
func (r PortRange) Has(port uint16) bool { return port >= r.First && port <= r.Last }

// SourcePool is a stock of addresses and ports that sources are translated to.
type SourcePool struct {
	ID     uint32 // 1 to MaxID, in one space with NATRules
	Origin Origin
	Name   string
	Scope  uint32

	Addresses []packet.Addr // sorted; v4 before v6. At most MaxPoolAddresses
	Ports     PortRange     // that are given out; zero: 1024 to 65535

	// PerDestination: a port is in use only toward those that it is used to (RFC 4787 section 4.1: address and
	// port-dependent mapping), for connections to members. False: a source has one port toward all (endpoint-independent).
	PerDestination bool

	// Fixed pins sources to addresses: an address that a namespace has of a pool. nil: a source's address
	// follows from its hash.
	Fixed []FixedSource
}

// MaxPoolAddresses bounds the memory that a SourcePool's ports take: 16 KiB an address and protocol.
const MaxPoolAddresses = 4096

// FixedSource has packets from a network leave with one address.
type FixedSource struct {
	Prefix netip.Prefix
	To     packet.Addr
}
