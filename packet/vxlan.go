package packet

import "encoding/binary"

// VXLANPort is the UDP port of VXLAN (RFC 7348).
const VXLANPort = 4789

// VXLANSize is the size in bytes of a VXLAN header.
const VXLANSize = 8

// MaxVNI is the largest network identifier of VXLAN and Geneve.
const MaxVNI = 1<<24 - 1

const (
	vxlanVNI = 4 // << 8 | reserved

	vxlanHasVNI = 0x08
)

// VXLAN is a VXLAN packet from its header on, after UDP (RFC 7348).
//
//	 0       1          4          7          8
//	| flags | reserved | VNI      | reserved | Ethernet frame
type VXLAN []byte

// AsVXLAN views b as a VXLAN packet; ok iff the header is whole and says that
// its VNI is valid. The accessors then cannot fail.
func AsVXLAN(b []byte) (v VXLAN, ok bool) {
	return VXLAN(b), len(b) >= VXLANSize && b[0]&vxlanHasVNI != 0
}

// VNI returns the network identifier, at most MaxVNI.
func (v VXLAN) VNI() uint32 { return binary.BigEndian.Uint32(v[vxlanVNI:]) >> 8 }

// SetVNI sets the network identifier; the reserved byte after it becomes 0.
func (v VXLAN) SetVNI(n uint32) { binary.BigEndian.PutUint32(v[vxlanVNI:], n<<8) }

// Payload returns the Ethernet frame.
func (v VXLAN) Payload() []byte { return v[VXLANSize:] }

// VXLANFields are the fields of a VXLAN header.
type VXLANFields struct {
	VNI uint32 // at most MaxVNI
}

// Fields returns the header's fields.
func (v VXLAN) Fields() VXLANFields { return VXLANFields{VNI: v.VNI()} }

// Put writes the header to b, which has at least VXLANSize bytes, and returns
// its size.
func (f *VXLANFields) Put(b []byte) int {
	v := VXLAN(b[:VXLANSize])
	binary.BigEndian.PutUint32(v, vxlanHasVNI<<24)
	v.SetVNI(f.VNI)
	return VXLANSize
}
