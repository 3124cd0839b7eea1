package packet

import "encoding/binary"

// Sizes in bytes and offsets of the Ethernet header and of a VLAN tag. A tag
// is counted from the TPID's end: two bytes of TCI, then the next EtherType.
const (
	EthernetSize = 14
	VLANSize     = 4

	ethDst  = 0
	ethSrc  = 6
	ethType = 12

	vlanTCI  = 0
	vlanType = 2
)

// MaxLength8023 is the largest 802.3 length; a larger type field is an
// EtherType if it is at least MinEtherType (IEEE 802.3 section 3.2.6).
const (
	MaxLength8023 = 1500
	MinEtherType  = 0x600
)

// IsVLAN reports whether an EtherType is the TPID of a VLAN tag.
func IsVLAN(etherType uint16) bool {
	return etherType == EtherTypeVLAN || etherType == EtherTypeQinQ || etherType == EtherTypeQinQ1
}

// Ethernet is a frame from its destination address on (IEEE 802.3, without
// preamble and FCS).
//
//	 0        6       12     14
//	|  dst   |  src   | type | payload, or the TCI of a VLAN tag
type Ethernet []byte

// AsEthernet views b as a frame; ok iff the header is whole. The accessors
// then cannot fail.
func AsEthernet(b []byte) (e Ethernet, ok bool) { return Ethernet(b), len(b) >= EthernetSize }

// Dst returns the destination address.
func (e Ethernet) Dst() MAC { return MAC(e[ethDst:ethSrc]) }

// Src returns the source address.
func (e Ethernet) Src() MAC { return MAC(e[ethSrc:ethType]) }

// Type returns the EtherType or 802.3 length, or the TPID of the outer VLAN tag.
func (e Ethernet) Type() uint16 { return binary.BigEndian.Uint16(e[ethType:]) }

// Payload returns what follows the 14 bytes.
func (e Ethernet) Payload() []byte { return e[EthernetSize:] }

// SetDst sets the destination address.
func (e Ethernet) SetDst(m MAC) { copy(e[ethDst:ethSrc], m[:]) }

// SetSrc sets the source address.
func (e Ethernet) SetSrc(m MAC) { copy(e[ethSrc:ethType], m[:]) }

// SetType sets the EtherType.
func (e Ethernet) SetType(t uint16) { binary.BigEndian.PutUint16(e[ethType:], t) }

// EthernetFields are the fields of an Ethernet header.
type EthernetFields struct {
	Dst, Src MAC
	Type     uint16
}

// Fields returns the header's fields.
func (e Ethernet) Fields() EthernetFields {
	return EthernetFields{Dst: e.Dst(), Src: e.Src(), Type: e.Type()}
}

// Put writes the header to b, which has at least EthernetSize bytes, and
// returns its size.
func (f *EthernetFields) Put(b []byte) int {
	e := Ethernet(b[:EthernetSize])
	e.SetDst(f.Dst)
	e.SetSrc(f.Src)
	e.SetType(f.Type)
	return EthernetSize
}

// VLAN is the part of an 802.1Q or 802.1ad tag that follows its TPID (IEEE
// 802.1Q section 9.6). Tags nest: the payload of one whose Type is a TPID
// again (IsVLAN) begins with the next.
//
//	 0          3     4                2               4
//	| priority | DEI | VLAN identifier | next EtherType | payload
type VLAN []byte

// AsVLAN views b as a tag without its TPID; ok iff it is whole.
func AsVLAN(b []byte) (v VLAN, ok bool) { return VLAN(b), len(b) >= VLANSize }

// TCI returns the tag control information: priority, DEI and identifier.
func (v VLAN) TCI() uint16 { return binary.BigEndian.Uint16(v[vlanTCI:]) }

// ID returns the VLAN identifier, 0 to 4095; 0 is a priority tag.
func (v VLAN) ID() uint16 { return v.TCI() & 0xfff }

// Priority returns the priority code point, 0 to 7.
func (v VLAN) Priority() uint8 { return v[vlanTCI] >> 5 }

// DropEligible reports the drop eligible indicator.
func (v VLAN) DropEligible() bool { return v[vlanTCI]&0x10 != 0 }

// Type returns the EtherType of what follows.
func (v VLAN) Type() uint16 { return binary.BigEndian.Uint16(v[vlanType:]) }

// Payload returns what follows the tag.
func (v VLAN) Payload() []byte { return v[VLANSize:] }

// SetTCI sets priority, DEI and identifier.
func (v VLAN) SetTCI(t uint16) { binary.BigEndian.PutUint16(v[vlanTCI:], t) }

// SetID sets the identifier and keeps the rest; id is 0 to 4095.
func (v VLAN) SetID(id uint16) { v.SetTCI(v.TCI()&^0xfff | id&0xfff) }

// SetType sets the EtherType of what follows.
func (v VLAN) SetType(t uint16) { binary.BigEndian.PutUint16(v[vlanType:], t) }

// VLANFields are the fields of a VLAN tag after its TPID.
type VLANFields struct {
	ID           uint16 // 0 to 4095
	Priority     uint8  // 0 to 7
	DropEligible bool
	Type         uint16 // EtherType of what follows
}

// Fields returns the tag's fields.
func (v VLAN) Fields() VLANFields {
	return VLANFields{ID: v.ID(), Priority: v.Priority(), DropEligible: v.DropEligible(), Type: v.Type()}
}

// Put writes the tag to b, which has at least VLANSize bytes, and returns its size.
func (f *VLANFields) Put(b []byte) int {
	tci := uint16(f.Priority)<<13 | f.ID&0xfff
	if f.DropEligible {
		tci |= 0x1000
	}
	v := VLAN(b[:VLANSize])
	v.SetTCI(tci)
	v.SetType(f.Type)
	return VLANSize
}
