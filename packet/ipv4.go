package packet

import "encoding/binary"

// IPv4MinSize and IPv4MaxSize bound an IPv4 header, in bytes.
const (
	IPv4MinSize = 20
	IPv4MaxSize = 60
)

const (
	ip4VersionIHL = 0
	ip4TOS        = 1
	ip4Length     = 2
	ip4ID         = 4
	ip4Frag       = 6
	ip4TTL        = 8
	ip4Proto      = 9
	ip4Checksum   = 10
	ip4Src        = 12
	ip4Dst        = 16

	ip4DontFragment  = 0x4000
	ip4MoreFragments = 0x2000
	ip4OffsetMask    = 0x1fff // in units of 8 bytes
)

// IPv4 is an IPv4 packet from its header on (RFC 791).
//
//	 0        1     2              4          8     9       10         12    16    20
//	| 4, IHL | TOS | total length | ID, frag | TTL | proto | checksum | src | dst | options
type IPv4 []byte

// AsIPv4 views b as an IPv4 packet; ok iff the version is 4 and the header, with
// its options, is whole. The accessors then cannot fail. The total length is
// not checked: see Payload.
func AsIPv4(b []byte) (p IPv4, ok bool) {
	if len(b) < IPv4MinSize || b[0]>>4 != 4 {
		return nil, false
	}
	p = IPv4(b)
	n := p.HeaderLen()
	return p, n >= IPv4MinSize && n <= len(b)
}

// HeaderLen returns the size of the header with options, in bytes.
func (p IPv4) HeaderLen() int { return int(p[ip4VersionIHL]&0xf) * 4 }

// Proto returns the protocol number of the payload.
func (p IPv4) Proto() uint8 { return p[ip4Proto] }

// FragmentOffset returns where in the datagram the payload belongs, in bytes.
func (p IPv4) FragmentOffset() uint16 {
	return binary.BigEndian.Uint16(p[ip4Frag:]) & ip4OffsetMask * 8
}

// Src returns the source address.
func (p IPv4) Src() Addr { return AddrFrom4((*[4]byte)(p[ip4Src:])) }

// Dst returns the destination address.
func (p IPv4) Dst() Addr { return AddrFrom4((*[4]byte)(p[ip4Dst:])) }
