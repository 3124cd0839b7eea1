package packet

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// MinCommon is the shortest frame that ParseCommon looks at: Ethernet, IPv4
// and TCP without options; shorter UDP packets are padded to more on any wire
// of 60-byte frames.
const MinCommon = 54

// ParseCommon reads the frames that most are: untagged and for one receiver, IPv4
// without options or fragmentation, TCP or UDP, nothing wrong with them. For such a frame of n bytes at p
// it writes to in what Parse would, with the key in zone z, and returns true. Else it returns
// false, and Parse is the judge; what in holds then means nothing.
//
// It is Parse once more, and worth it: 5 ns instead of 8, a tenth of what a
// packet costs in all. Six words are loaded once, tested and rearranged into the
// eight words of an Info; there is no slice, no call and no second look.
//
//	word  0         8             16        24            32             40      48
//	      dst src.. ..src type ihl len id off  sum src dst.. ..dst ports seq  TCP: offset, flags
func ParseCommon(p unsafe.Pointer, n uint32, z Zone, in *Info) bool {
	if n < MinCommon {
		return false
	}
	f := (*[MinCommon]byte)(p)
	w0 := binary.LittleEndian.Uint64(f[0:])
	w1 := binary.LittleEndian.Uint64(f[8:])
	w2 := binary.LittleEndian.Uint64(f[16:])
	w3 := binary.LittleEndian.Uint64(f[24:])
	w4 := binary.LittleEndian.Uint64(f[32:])

	const (
		ipv4NoOptions = 0x450008 // bytes 12 to 14: EtherType, version and header length
		fragmentBits  = 0xff3f   // more fragments, and the offset
	)
	src := w0>>48 | w1&0xffffffff<<16
	size := uint32(bits.ReverseBytes16(uint16(w2)))
	proto := w2 >> 56
	if w1>>32&0xffffff != ipv4NoOptions || (w0|src)&groupBit != 0 || src == 0 ||
		w2>>32&fragmentBits != 0 || size > n-EthernetSize {
		return false
	}
	// RFC 1071 section 2(B): neither the byte order nor the width of the words
	// matters. A sum of 0 is impossible, as the first byte is not.
	sum, carry := bits.Add64(w2, w3, 0)
	sum, carry = bits.Add64(sum, w1>>48|w4&0xffff<<16, carry)
	if (sum+carry)%0xffff != 0 {
		return false
	}
	l4 := size - IPv4MinSize // huge if size is too small
	var flags uint64
	switch proto {
	case ProtoUDP:
		length := uint32(bits.ReverseBytes16(uint16(w4 >> 48)))
		if l4 > maxIPSize || length < UDPSize || length > l4 {
			return false
		}
	case ProtoTCP:
		flags = uint64(f[47])
		if hlen := uint32(f[46]>>4) * 4; l4 > maxIPSize || hlen < TCPMinSize || hlen > l4 {
			return false
		}
	default:
		return false
	}

	sport := uint64(bits.ReverseBytes16(uint16(w4 >> 16)))
	dport := uint64(bits.ReverseBytes16(uint16(w4 >> 32)))
	out := (*[8]uint64)(unsafe.Pointer(in))
	out[0] = 0
	out[1] = v4Prefix | w3>>16<<32
	out[2] = 0
	out[3] = v4Prefix | (w3>>48|w4<<16)<<32
	out[4] = proto<<56 | uint64(z)<<32 | dport<<16 | sport
	out[5] = EtherTypeIPv4 | EthernetSize<<16 | (EthernetSize+IPv4MinSize)<<32
	out[6] = uint64(size)
	out[7] = uint64(IsIPv4|HasPorts) | proto<<32 | flags<<40 | w2>>48&0xff<<48 | w1>>56<<56
	return true
}

// The words above are an Info's fields on a little-endian machine.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(Info{})-64]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.EtherType)-40]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.L3)-42]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.L4)-44]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.IPLen)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.Flags)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.FragOff)-58]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.Proto)-60]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.TCPFlags)-61]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.TTL)-62]
	_ = [1]struct{}{}[unsafe.Offsetof(Info{}.TOS)-63]
)
