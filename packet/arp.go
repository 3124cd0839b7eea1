package packet

import "encoding/binary"

// ARPSize is the size in bytes of an ARP packet for IPv4 over Ethernet.
const ARPSize = 28

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

const (
	arpForm      = 0 // hardware type, protocol type, address sizes
	arpOp        = 6
	arpSenderMAC = 8
	arpSenderIP  = 14
	arpTargetMAC = 18
	arpTargetIP  = 24

	arpEthernetIPv4 = 0x0001_0800_06_04 // hardware 1, protocol 0x0800, sizes 6 and 4
)

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826).
//
//	 0           2           4       5       6    8            14          18           24          28
//	| hardware 1 | 0x0800 | 6 | 4 | op | sender MAC | sender IP | target MAC | target IP |
type ARP []byte

// AsARP views b as an ARP packet; ok iff it is whole and for IPv4 over
// Ethernet. The accessors then cannot fail.
func AsARP(b []byte) (a ARP, ok bool) {
	if len(b) < ARPSize {
		return nil, false
	}
	return ARP(b), binary.BigEndian.Uint64(b)>>16 == arpEthernetIPv4
}

// Op returns the operation: ARPRequest, ARPReply or another.
func (a ARP) Op() uint16 { return binary.BigEndian.Uint16(a[arpOp:]) }

// SenderMAC returns the sender's hardware address.
func (a ARP) SenderMAC() MAC { return MAC(a[arpSenderMAC:arpSenderIP]) }

// SenderIP returns the sender's address; 0.0.0.0 in a probe (RFC 5227).
func (a ARP) SenderIP() Addr { return AddrFrom4((*[4]byte)(a[arpSenderIP:])) }

// TargetMAC returns the target's hardware address; meaningless in a request.
func (a ARP) TargetMAC() MAC { return MAC(a[arpTargetMAC:arpTargetIP]) }

// TargetIP returns the address that is asked for, or the asker's in a reply.
func (a ARP) TargetIP() Addr { return AddrFrom4((*[4]byte)(a[arpTargetIP:])) }

// IsGratuitous reports whether the packet announces the sender's own address,
// in either operation (RFC 5227 section 3).
func (a ARP) IsGratuitous() bool { return a.SenderIP() == a.TargetIP() }

// SetOp sets the operation.
func (a ARP) SetOp(op uint16) { binary.BigEndian.PutUint16(a[arpOp:], op) }

// SetSenderMAC sets the sender's hardware address.
func (a ARP) SetSenderMAC(m MAC) { copy(a[arpSenderMAC:], m[:]) }

// SetSenderIP sets the sender's address.
func (a ARP) SetSenderIP(ip Addr) { *(*[4]byte)(a[arpSenderIP:]) = ip.As4() }

// SetTargetMAC sets the target's hardware address.
func (a ARP) SetTargetMAC(m MAC) { copy(a[arpTargetMAC:], m[:]) }

// SetTargetIP sets the target's address.
func (a ARP) SetTargetIP(ip Addr) { *(*[4]byte)(a[arpTargetIP:]) = ip.As4() }

// ARPFields are the fields of an ARP packet.
type ARPFields struct {
	Op                   uint16
	SenderMAC, TargetMAC MAC
	SenderIP, TargetIP   Addr // mapped IPv4 addresses
}

// Fields returns the packet's fields.
func (a ARP) Fields() ARPFields {
	return ARPFields{
		Op:        a.Op(),
		SenderMAC: a.SenderMAC(), TargetMAC: a.TargetMAC(),
		SenderIP: a.SenderIP(), TargetIP: a.TargetIP(),
	}
}

// Put writes the packet to b, which has at least ARPSize bytes, and returns
// its size.
func (f *ARPFields) Put(b []byte) int {
	a := ARP(b[:ARPSize])
	binary.BigEndian.PutUint64(a[arpForm:], arpEthernetIPv4<<16|uint64(f.Op))
	a.SetSenderMAC(f.SenderMAC)
	a.SetSenderIP(f.SenderIP)
	a.SetTargetMAC(f.TargetMAC)
	a.SetTargetIP(f.TargetIP)
	return ARPSize
}
