package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"
)

// Addr is an IP address as two words in memory order: the 16 bytes of an IPv6
// address as they stand in the packet, or an IPv4 address mapped as in RFC 4291
// section 2.5.5.2. Words are loaded, not byte-swapped: good for comparing and
// hashing, not for arithmetic.
type Addr [2]uint64

// v4Prefix is ::ffff:0:0/96's last four bytes before the address, as the low
// half of Addr[1] in memory order (00 00 ff ff).
const v4Prefix = 0xffff0000

// AddrFrom4 maps the four bytes of an IPv4 address, as they stand in memory.
func AddrFrom4(b *[4]byte) Addr {
	return Addr{0, v4Prefix | uint64(binary.LittleEndian.Uint32(b[:]))<<32}
}

// AddrFrom16 takes the sixteen bytes of an IPv6 address.
func AddrFrom16(b *[16]byte) Addr {
	return Addr{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// AddrFrom converts a netip.Addr; zones are ignored. The invalid Addr gives
// the zero Addr.
func AddrFrom(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	b := a.As16()
	return AddrFrom16(&b)
}

// Is4 reports whether a is a mapped IPv4 address.
func (a Addr) Is4() bool { return a[0] == 0 && uint32(a[1]) == v4Prefix }

// As16 returns the bytes in network order.
func (a Addr) As16() (b [16]byte) {
	binary.LittleEndian.PutUint64(b[:8], a[0])
	binary.LittleEndian.PutUint64(b[8:], a[1])
	return b
}

// As4 returns the last four bytes in network order; valid iff Is4.
func (a Addr) As4() (b [4]byte) {
	binary.LittleEndian.PutUint32(b[:], uint32(a[1]>>32))
	return b
}

// Netip returns a as the standard library's type, IPv4 unmapped.
func (a Addr) Netip() netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4(a.As4())
	}
	return netip.AddrFrom16(a.As16())
}

func (a Addr) String() string { return a.Netip().String() }

// Zone is the number of an address space: packets in different zones never
// share a flow entry, though their addresses be equal. 24 bits; every segment
// and every router uplink has one; 0 is no zone.
type Zone uint32

// MaxZone is the largest Zone.
const MaxZone = 1<<24 - 1

// Key identifies one direction of a session, in five words so that comparing
// and hashing are five loads:
//
//	Src   source address
//	Dst   destination address
//	Tail  protocol 63..56 | zone 55..32 | destination port 31..16 | source port 15..0
//
// For ICMP and ICMPv6 queries the identifier stands for the client's port and
// the request's type << 8 for the server's; replies are normalised to the
// swapped pair, so that Reverse of a request's key is its reply's key. For
// other protocols without ports both are 0.
//
// The key of an ICMP error is the reverse of the packet it quotes: it is the
// key of the direction in which the error travels (Info.Flags has ICMPError).
type Key struct {
	Src, Dst Addr
	Tail     uint64
}

// MakeTail packs the last word of a Key.
func MakeTail(z Zone, proto uint8, sport, dport uint16) uint64 {
	return uint64(proto)<<56 | uint64(z&MaxZone)<<32 | uint64(dport)<<16 | uint64(sport)
}

// Zone returns the address space of the key.
func (k *Key) Zone() Zone { return Zone(k.Tail>>32) & MaxZone }

// Proto returns the IP protocol number.
func (k *Key) Proto() uint8 { return uint8(k.Tail >> 56) }

// SrcPort returns the source port, host order.
func (k *Key) SrcPort() uint16 { return uint16(k.Tail) }

// DstPort returns the destination port, host order.
func (k *Key) DstPort() uint16 { return uint16(k.Tail >> 16) }

// WithZone returns k in zone z.
func (k Key) WithZone(z Zone) Key {
	k.Tail = k.Tail&^(uint64(MaxZone)<<32) | uint64(z&MaxZone)<<32
	return k
}

// Reverse returns the key of the opposite direction in the same zone.
func (k *Key) Reverse() Key {
	return Key{
		Src: k.Dst, Dst: k.Src,
		Tail: k.Tail&^0xffffffff | uint64(uint16(k.Tail))<<16 | uint64(uint16(k.Tail>>16)),
	}
}

func (k Key) String() string {
	return fmt.Sprintf("proto %d zone %d %s > %s", k.Proto(), k.Zone(),
		netip.AddrPortFrom(k.Src.Netip(), k.SrcPort()), netip.AddrPortFrom(k.Dst.Netip(), k.DstPort()))
}

// hostIsLittleEndian guards the memory-order words above: the code is written
// for amd64 and arm64.
var _ = [1]struct{}{}[unsafe.Sizeof(Key{})-40]
