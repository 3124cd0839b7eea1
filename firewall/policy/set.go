package policy

import (
	"math/bits"
	"net/netip"

	"github.com/sluice-net/sluice/packet"
)

// Set is who a rule is about. A packet's source or destination is in it if the address is
// bound to one of Ports, or is in one of Prefixes; a frame's, if the MAC address is bound to one of
// Ports or is among MACs.
type Set struct {
	Ports    []uint16     // numbers of endpoints, ascending
	Prefixes []Prefix     // ascending, none within another
	MACs     []packet.MAC // category Ethernet
}

// Prefix is a range of addresses that begin alike. IPv4 is mapped
// (packet.Addr): 10.0.0.0/8 has 104 bits.
type Prefix struct {
	Addr packet.Addr // bits beyond Bits are zero
	Bits uint8       // 0..128
}

// Endpoint is a port as rules see it.
type Endpoint struct {
	Number    uint16
	Scope     uint32 // the address space of Addresses: routed segments of one router share one
	Addresses []packet.Addr
	MACs      []packet.MAC
	Name      string // of the port, for people
}

// Contains reports whether a is in the range.
func (p Prefix) Contains(a packet.Addr) bool {
	mask := mask(p.Bits)
	return (a[0]^p.Addr[0])&mask[0]|(a[1]^p.Addr[1])&mask[1] == 0
}

// mask returns a word of ones for each bit that a prefix of so many bits fixes, in
// memory order as addresses are.
func mask(n uint8) (m packet.Addr) {
	word := func(n uint8) uint64 { return bits.ReverseBytes64(^uint64(0) << (64 - min(n, 64))) }
	m[0] = word(n)
	if n > 64 {
		m[1] = word(n - 64)
	}
	return m
}

// PrefixOf converts a netip.Prefix, which has to be valid.
func PrefixOf(p netip.Prefix) Prefix {
	n := p.Bits()
	if p.Addr().Is4() {
		n += 96
	}
	return Prefix{packet.AddrFrom(p.Masked().Addr()), uint8(n)}
}
