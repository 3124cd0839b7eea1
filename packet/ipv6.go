package packet

import "encoding/binary"

// IPv6Size is the size in bytes of the fixed IPv6 header.
const IPv6Size = 40

const (
	ip6First    = 0 // version 31..28, traffic class 27..20, flow label 19..0
	ip6Length   = 4
	ip6Next     = 6
	ip6HopLimit = 7
	ip6Src      = 8
	ip6Dst      = 24

	ip6FlowMask = 1<<20 - 1
)

// IPv6 is an IPv6 packet from its header on (RFC 8200).
//
//	 0                                  4                6             7           8     24    40
//	| 6, traffic class 8, flow label 20 | payload length | next header | hop limit | src | dst | extension headers
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

// TrafficClass returns DSCP and ECN (RFC 2474, RFC 3168).
func (p IPv6) TrafficClass() uint8 { return p[0]<<4 | p[1]>>4 }

// FlowLabel returns the flow label, 20 bits (RFC 6437).
func (p IPv6) FlowLabel() uint32 { return binary.BigEndian.Uint32(p[ip6First:]) & ip6FlowMask }

// PayloadLen returns the size of what follows the fixed header, in bytes, as
// the header says; 0 also stands for one that does not fit: see JumboSize.
func (p IPv6) PayloadLen() uint16 { return binary.BigEndian.Uint16(p[ip6Length:]) }

// NextHeader returns the protocol of the payload, or the type of the first
// extension header.
func (p IPv6) NextHeader() uint8 { return p[ip6Next] }

// HopLimit returns the hop limit.
func (p IPv6) HopLimit() uint8 { return p[ip6HopLimit] }

// Src returns the source address.
func (p IPv6) Src() Addr { return AddrFrom16((*[16]byte)(p[ip6Src:])) }

// Dst returns the destination address.
func (p IPv6) Dst() Addr { return AddrFrom16((*[16]byte)(p[ip6Dst:])) }

// Payload returns what follows the fixed header, extension headers included,
// to the end that the payload length gives or to that of p, whichever comes
// first.
func (p IPv6) Payload() []byte {
	return p[IPv6Size:min(IPv6Size+int(p.PayloadLen()), len(p))]
}

// SetTrafficClass sets DSCP and ECN.
func (p IPv6) SetTrafficClass(tc uint8) {
	p[0] = p[0]&0xf0 | tc>>4
	p[1] = p[1]&0x0f | tc<<4
}

// SetFlowLabel sets the flow label, 20 bits.
func (p IPv6) SetFlowLabel(l uint32) {
	v := binary.BigEndian.Uint32(p[ip6First:])&^ip6FlowMask | l&ip6FlowMask
	binary.BigEndian.PutUint32(p[ip6First:], v)
}

// SetPayloadLen sets the size of what follows the fixed header, in bytes.
func (p IPv6) SetPayloadLen(n uint16) { binary.BigEndian.PutUint16(p[ip6Length:], n) }

// SetNextHeader sets the type of what follows the fixed header.
func (p IPv6) SetNextHeader(next uint8) { p[ip6Next] = next }

// SetHopLimit sets the hop limit.
func (p IPv6) SetHopLimit(n uint8) { p[ip6HopLimit] = n }

// SetSrc sets the source address.
func (p IPv6) SetSrc(a Addr) { *(*[16]byte)(p[ip6Src:]) = a.As16() }

// SetDst sets the destination address.
func (p IPv6) SetDst(a Addr) { *(*[16]byte)(p[ip6Dst:]) = a.As16() }

// IPv6Fields are the fields of a fixed IPv6 header.
type IPv6Fields struct {
	TrafficClass uint8
	NextHeader   uint8
	HopLimit     uint8
	PayloadLen   uint16 // bytes after the fixed header
	FlowLabel    uint32 // 20 bits
	Src, Dst     Addr
}

// Fields returns the header's fields.
func (p IPv6) Fields() IPv6Fields {
	return IPv6Fields{
		TrafficClass: p.TrafficClass(), NextHeader: p.NextHeader(), HopLimit: p.HopLimit(),
		PayloadLen: p.PayloadLen(), FlowLabel: p.FlowLabel(),
		Src: p.Src(), Dst: p.Dst(),
	}
}

// Put writes the header to b, which has at least IPv6Size bytes, and returns
// its size.
func (f *IPv6Fields) Put(b []byte) int {
	p := IPv6(b[:IPv6Size])
	binary.BigEndian.PutUint32(p[ip6First:], 6<<28|uint32(f.TrafficClass)<<20|f.FlowLabel&ip6FlowMask)
	p.SetPayloadLen(f.PayloadLen)
	p.SetNextHeader(f.NextHeader)
	p.SetHopLimit(f.HopLimit)
	p.SetSrc(f.Src)
	p.SetDst(f.Dst)
	return IPv6Size
}
