package packet

// IPv6Size is the size in bytes of the fixed IPv6 header.
const IPv6Size = 40

const (
	ip6Length   = 4
	ip6Next     = 6
	ip6HopLimit = 7
	ip6Src      = 8
	ip6Dst      = 24
)

// MaxExtensions is how many IPv6 extension headers a packet may have. RFC 8200
// section 4.1 knows an order for seven of them; more serve evasion only.
const MaxExtensions = 8

// IPv6 is an IPv6 packet from its header on (RFC 8200).
type IPv6 []byte

// AsIPv6 views b as an IPv6 packet; ok iff the version is 6 and the fixed
// header is whole. The accessors then cannot fail. The payload length and the
// extension headers are not checked: see Payload and Extensions.
func AsIPv6(b []byte) (p IPv6, ok bool) {
	if len(b) < IPv6Size || b[0]>>4 != 6 {
		return nil, false
	}
	return IPv6(b), true
}

// NextHeader returns the protocol of the payload, or the type of the first
// extension header.
func (p IPv6) NextHeader() uint8 { return p[ip6Next] }

// Src returns the source address.
func (p IPv6) Src() Addr { return AddrFrom16((*[16]byte)(p[ip6Src:])) }

// Dst returns the destination address.
func (p IPv6) Dst() Addr { return AddrFrom16((*[16]byte)(p[ip6Dst:])) }

// isExtension reports whether a next header value is an extension header's
// that says where the next one begins. ESP does not, and no-next-header ends
// the chain.
func isExtension(next uint8) bool {
	switch next {
	case ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoAH, ProtoDestOpts,
		ProtoMobility, ProtoHIP, ProtoShim6:
		return true
	}
	return false
}
