package packet

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Sum adds the 16-bit big-endian words of b to initial in one's-complement
// arithmetic (RFC 1071). The result fits 18 bits; Fold makes it 16. An odd last
// byte counts as the high byte of a word, so of a sum made in pieces only the
// last may have an odd length.
func Sum(b []byte, initial uint32) uint32 {
	// RFC 1071 section 2 (B): the sum does not depend on byte order, so words
	// are added as they are loaded, four at once, and swapped in the end.
	var s, c uint64
	for len(b) >= 32 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), c)
		b = b[32:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var tail uint64
	if len(b) >= 4 {
		tail = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	var last uint64
	switch len(b) {
	case 3:
		last = uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16
	case 2:
		last = uint64(b[0]) | uint64(b[1])<<8
	case 1:
		last = uint64(b[0])
	}
	s, c = bits.Add64(s, tail+last, c) // both are below 2^32
	return initial>>16 + initial&0xffff + swapFold(s, c)
}

// swapFold reduces a sum of little-endian words and its carry to 16 bits in
// network order. A sum that is not zero stays not zero.
func swapFold(s, carry uint64) uint32 {
	s, carry = bits.Add64(s, 0, carry)
	s += carry
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return uint32(bits.ReverseBytes16(Fold(uint32(s))))
}

// Fold reduces a sum to 16 bits; it does not complement it.
func Fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// Checksum returns the Internet checksum of b, whose checksum field must be 0.
// Over data that contains its checksum it is 0 iff that is right.
func Checksum(b []byte) uint16 { return ^Fold(Sum(b, 0)) }

// PseudoSum sums the pseudo-header of RFC 9293 section 3.1 or RFC 8200 section
// 8.1; length is that of the transport header and its payload in bytes. The
// prefix of mapped IPv4 addresses is ffff twice, which is zero in this arithmetic.
func PseudoSum(src, dst Addr, proto uint8, length uint32) uint32 {
	s, c := bits.Add64(src[0], src[1], 0)
	s, c = bits.Add64(s, dst[0], c)
	s, c = bits.Add64(s, dst[1], c)
	return swapFold(s, c) + uint32(proto) + length>>16 + length&0xffff
}

// PartialChecksum returns what the checksum field of a segment holds whose
// checksum the device is to complete (Meta.CsumPartial).
func PartialChecksum(src, dst Addr, proto uint8, length uint32) uint16 {
	return Fold(PseudoSum(src, dst, proto, length))
}

// Delta is the change of a one's-complement sum: ~m + m' of RFC 1624. It can be
// computed once per session and applied to each packet. Deltas of several
// words add up; 0 is no change.
type Delta uint32

// Delta16 is the change of one word. A word that stays the same is no change
// at all: RFC 1624 erratum 4782.
func Delta16(m, mNew uint16) Delta {
	if m == mNew {
		return 0
	}
	return Delta(^m) + Delta(mNew)
}

// Delta32 is the change of two words at an even offset.
func Delta32(m, mNew uint32) Delta {
	return Delta16(uint16(m>>16), uint16(mNew>>16)) + Delta16(uint16(m), uint16(mNew))
}

// DeltaAddr is the change of an address in a header or pseudo-header; the two
// may be of different families.
func DeltaAddr(old, repl Addr) Delta {
	if old == repl {
		return 0
	}
	s, c := bits.Add64(^old[0], ^old[1], 0)
	s, c = bits.Add64(s, repl[0], c)
	s, c = bits.Add64(s, repl[1], c)
	return Delta(swapFold(s, c))
}

// Apply updates a checksum: RFC 1624 equation 3, HC' = ~(~HC + ~m + m').
func (d Delta) Apply(hc uint16) uint16 {
	return ^Fold(uint32(^hc) + uint32(d)>>16 + uint32(d)&0xffff)
}

// ApplyUDP is Apply with RFC 768's rule: 0 says that there is no checksum and
// stays; a checksum that comes out as 0 is sent as ffff.
func (d Delta) ApplyUDP(hc uint16) uint16 {
	if hc == 0 {
		return 0
	}
	if hc = d.Apply(hc); hc == 0 {
		hc = 0xffff
	}
	return hc
}

// ApplyPartial updates a partial checksum, which is a sum, not a complement.
// Only what the pseudo-header covers counts: addresses and length, not ports.
func (d Delta) ApplyPartial(sum uint16) uint16 {
	return Fold(uint32(sum) + uint32(d)>>16 + uint32(d)&0xffff)
}

// Update16 updates checksum hc for a word that changes from m to mNew.
func Update16(hc, m, mNew uint16) uint16 { return Delta16(m, mNew).Apply(hc) }

// Update32 updates checksum hc for two words at an even offset.
func Update32(hc uint16, m, mNew uint32) uint16 { return Delta32(m, mNew).Apply(hc) }

// UpdateAddr updates checksum hc for an address.
func UpdateAddr(hc uint16, old, repl Addr) uint16 { return DeltaAddr(old, repl).Apply(hc) }

// CompleteChecksum finishes a partial checksum as the device would have done:
// it sums frame from csumStart to its end and stores the complement csumOffset
// bytes after csumStart. It reports false and does nothing if the field lies
// outside frame. 0 is stored as ffff, for UDP's sake; to others it is the same.
func CompleteChecksum(frame []byte, csumStart, csumOffset int) bool {
	if csumStart < 0 || csumOffset < 0 || csumStart > len(frame) || csumOffset > len(frame)-csumStart-2 {
		return false
	}
	l4 := frame[csumStart:]
	sum := ^Fold(Sum(l4, 0))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(l4[csumOffset:], sum)
	return true
}

// CompleteIfPartial finishes the checksum of a frame that is no super-frame,
// if it is partial. It reports false if m contradicts the frame.
func CompleteIfPartial(frame []byte, m *Meta) bool {
	if !m.CsumPartial {
		return true
	}
	m.CsumPartial = false
	return CompleteChecksum(frame, int(m.CsumStart), int(m.CsumOffset))
}

// transportSum says how a protocol protects its packets.
type transportSum struct {
	field  uint8 // offset of the checksum
	size   uint8 // of the checksum; 0: none
	header uint8 // shortest header
	pseudo bool  // the pseudo-header is summed too
}

func transportSumOf(proto uint8) transportSum {
	switch proto {
	case ProtoTCP:
		return transportSum{16, 2, 20, true}
	case ProtoUDP:
		return transportSum{6, 2, 8, true}
	case ProtoICMP, ProtoIGMP:
		return transportSum{2, 2, 8, false}
	case ProtoICMPv6:
		return transportSum{2, 2, 4, true}
	case ProtoSCTP:
		return transportSum{8, 4, 12, false}
	default:
		return transportSum{}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sctpChecksum returns the CRC32c of a packet as it stands in the packet,
// least significant byte first (RFC 9260 appendix A), its field taken as 0.
func sctpChecksum(p []byte) uint32 {
	var zero [4]byte
	crc := crc32.Update(0, castagnoli, p[:8])
	crc = crc32.Update(crc, castagnoli, zero[:])
	return crc32.Update(crc, castagnoli, p[12:])
}

// transportOf bounds the transport segment at l4 of the packet at l3 that is
// ipLen bytes long and sums its pseudo-header.
func transportOf(frame []byte, l3, l4, ipLen int, proto uint8, ts transportSum) (seg []byte, sum uint32, valid bool) {
	if l3 < 0 || ipLen < 0 || ipLen > len(frame)-l3 || l4 < l3+20 || l4+int(ts.header) > l3+ipLen {
		return nil, 0, false
	}
	seg = frame[l4 : l3+ipLen]
	if !ts.pseudo {
		return seg, 0, true
	}
	src, dst, valid := addrsAt(frame[l3:l4])
	return seg, PseudoSum(src, dst, proto, uint32(len(seg))), valid
}

// addrsAt reads the addresses of an IP header of either version.
func addrsAt(ip []byte) (src, dst Addr, valid bool) {
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		return AddrFrom4((*[4]byte)(ip[12:])), AddrFrom4((*[4]byte)(ip[16:])), true
	case len(ip) >= 40 && ip[0]>>4 == 6:
		return AddrFrom16((*[16]byte)(ip[8:])), AddrFrom16((*[16]byte)(ip[24:])), true
	}
	return Addr{}, Addr{}, false
}

// VerifyTransport reports whether the transport checksum of an unfragmented IP
// packet is right: l3 and l4 are offsets in frame, ipLen is the packet's length
// with its header. Protocols without a checksum are right, and so is UDP's 0
// over IPv4; over IPv6 it is wrong (RFC 8200 section 8.1).
func VerifyTransport(frame []byte, l3, l4, ipLen int, proto uint8) bool {
	ts := transportSumOf(proto)
	if ts.size == 0 {
		return true
	}
	seg, sum, valid := transportOf(frame, l3, l4, ipLen, proto, ts)
	if !valid {
		return false
	}
	if ts.size == 4 {
		return binary.LittleEndian.Uint32(seg[ts.field:]) == sctpChecksum(seg)
	}
	if proto == ProtoUDP && binary.BigEndian.Uint16(seg[ts.field:]) == 0 {
		return frame[l3]>>4 == 4
	}
	return Fold(Sum(seg, sum)) == 0xffff
}

// SetTransport computes the transport checksum anew; its arguments are those
// of VerifyTransport. It reports false and does nothing if the packet is too
// short for its header.
func SetTransport(frame []byte, l3, l4, ipLen int, proto uint8) bool {
	ts := transportSumOf(proto)
	if ts.size == 0 {
		return true
	}
	seg, sum, valid := transportOf(frame, l3, l4, ipLen, proto, ts)
	if !valid {
		return false
	}
	if ts.size == 4 {
		binary.LittleEndian.PutUint32(seg[ts.field:], sctpChecksum(seg))
		return true
	}
	seg[ts.field], seg[ts.field+1] = 0, 0
	hc := ^Fold(Sum(seg, sum))
	if hc == 0 && proto == ProtoUDP {
		hc = 0xffff
	}
	binary.BigEndian.PutUint16(seg[ts.field:], hc)
	return true
}
