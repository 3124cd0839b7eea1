package packet

import (
	"encoding/binary"
	"fmt"
)

// MAC is an Ethernet address.
type MAC [6]byte

// GatewayMAC is the address of every segment's gateway, unless the
// configuration gives another. Locally administered.
var GatewayMAC = MAC{0x02, 0x50, 0x56, 0x56, 0x44, 0x52}

// HostMAC returns the address that a host has if none is given: 0a:58 and the
// last four bytes of its IP address (the CNI convention for IPv4).
func HostMAC(a Addr) MAC {
	b := a.As16()
	return MAC{0x0a, 0x58, b[12], b[13], b[14], b[15]}
}

// EUI64 returns the address that a host makes of a /64 prefix and its MAC
// (RFC 4862 section 5.5.3, RFC 4291 appendix A); the prefix's last 64 bits do not matter.
func EUI64(prefix Addr, m MAC) Addr {
	b := prefix.As16()
	copy(b[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return AddrFrom16(&b)
}

// LinkLocal returns the IPv6 link-local address that is made from a MAC.
func LinkLocal(m MAC) Addr { return EUI64(AddrFrom16(&[16]byte{0: 0xfe, 1: 0x80}), m) }

// GroupMAC returns the address that frames to a group are sent to (RFC 1112
// section 6.4, RFC 2464 section 7), and Broadcast for 255.255.255.255; found is
// false if a is none of these.
func GroupMAC(a Addr) (m MAC, found bool) {
	b := a.As16()
	switch {
	case !a.Is4() && b[0] == 0xff:
		return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}, true
	case !a.Is4():
		return MAC{}, false
	case [4]byte(b[12:]) == [4]byte{255, 255, 255, 255}:
		return Broadcast, true
	case b[12]>>4 == 0xe:
		return MAC{0x01, 0x00, 0x5e, b[13] & 0x7f, b[14], b[15]}, true
	}
	return MAC{}, false
}

// Broadcast is ff:ff:ff:ff:ff:ff.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Word returns the address as the low 48 bits of a word, in memory order.
func (m MAC) Word() uint64 {
	return uint64(binary.LittleEndian.Uint32(m[:])) | uint64(binary.LittleEndian.Uint16(m[4:]))<<32
}

// MACFromWord is the inverse of Word; the high 16 bits are ignored.
func MACFromWord(w uint64) (m MAC) {
	binary.LittleEndian.PutUint32(m[:], uint32(w))
	binary.LittleEndian.PutUint16(m[4:], uint16(w>>32))
	return m
}

// IsGroup reports whether m is a multicast or the broadcast address.
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// IsZero reports whether m is all zero.
func (m MAC) IsZero() bool { return m == MAC{} }

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}
