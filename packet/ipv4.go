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
//	 0        1     2              4    6       8     9       10         12    16    20
//	| 4, IHL | TOS | total length | ID | frag. | TTL | proto | checksum | src | dst | options
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

// TOS returns the type of service: DSCP and ECN (RFC 2474, RFC 3168).
func (p IPv4) TOS() uint8 { return p[ip4TOS] }

// Length returns the size of the packet with its header, in bytes, as the
// header says.
func (p IPv4) Length() uint16 { return binary.BigEndian.Uint16(p[ip4Length:]) }

// ID returns the identification.
func (p IPv4) ID() uint16 { return binary.BigEndian.Uint16(p[ip4ID:]) }

// DontFragment reports the DF flag.
func (p IPv4) DontFragment() bool { return p.frag()&ip4DontFragment != 0 }

// MoreFragments reports the MF flag.
func (p IPv4) MoreFragments() bool { return p.frag()&ip4MoreFragments != 0 }

// FragmentOffset returns where in the datagram the payload belongs, in bytes.
func (p IPv4) FragmentOffset() uint16 { return p.frag() & ip4OffsetMask * 8 }

// IsFragment reports whether the packet is any fragment, also the first.
func (p IPv4) IsFragment() bool { return p.frag()&(ip4MoreFragments|ip4OffsetMask) != 0 }

func (p IPv4) frag() uint16 { return binary.BigEndian.Uint16(p[ip4Frag:]) }

// TTL returns the time to live.
func (p IPv4) TTL() uint8 { return p[ip4TTL] }

// Proto returns the protocol number of the payload.
func (p IPv4) Proto() uint8 { return p[ip4Proto] }

// Checksum returns the header checksum.
func (p IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(p[ip4Checksum:]) }

// Src returns the source address.
func (p IPv4) Src() Addr { return AddrFrom4((*[4]byte)(p[ip4Src:])) }

// Dst returns the destination address.
func (p IPv4) Dst() Addr { return AddrFrom4((*[4]byte)(p[ip4Dst:])) }

// Options returns a walk over the options.
func (p IPv4) Options() Options { return Options{b: p[IPv4MinSize:p.HeaderLen()]} }

// Payload returns what follows the header, to the end that the total length
// gives or to that of p, whichever comes first.
func (p IPv4) Payload() []byte {
	start := p.HeaderLen()
	return p[start:max(start, min(int(p.Length()), len(p)))]
}

// ChecksumValid reports whether the header checksum is right.
func (p IPv4) ChecksumValid() bool { return Checksum(p[:p.HeaderLen()]) == 0 }

// UpdateChecksum computes the header checksum anew and stores it.
func (p IPv4) UpdateChecksum() {
	p.SetChecksum(0)
	p.SetChecksum(Checksum(p[:p.HeaderLen()]))
}

// SetTOS sets the type of service. It leaves the checksum, as all setters do.
func (p IPv4) SetTOS(tos uint8) { p[ip4TOS] = tos }

// SetLength sets the size of the packet with its header, in bytes.
func (p IPv4) SetLength(n uint16) { binary.BigEndian.PutUint16(p[ip4Length:], n) }

// SetID sets the identification.
func (p IPv4) SetID(id uint16) { binary.BigEndian.PutUint16(p[ip4ID:], id) }

// SetFragment sets the flags, and the offset in bytes, a multiple of 8. The
// reserved bit becomes 0.
func (p IPv4) SetFragment(dont, more bool, offset uint16) {
	v := offset / 8
	if dont {
		v |= ip4DontFragment
	}
	if more {
		v |= ip4MoreFragments
	}
	binary.BigEndian.PutUint16(p[ip4Frag:], v)
}

// SetTTL sets the time to live.
func (p IPv4) SetTTL(ttl uint8) { p[ip4TTL] = ttl }

// SetProto sets the protocol number of the payload.
func (p IPv4) SetProto(proto uint8) { p[ip4Proto] = proto }

// SetChecksum sets the header checksum.
func (p IPv4) SetChecksum(c uint16) { binary.BigEndian.PutUint16(p[ip4Checksum:], c) }

// SetSrc sets the source address to that of a mapped IPv4 address.
func (p IPv4) SetSrc(a Addr) { *(*[4]byte)(p[ip4Src:]) = a.As4() }

// SetDst sets the destination address to that of a mapped IPv4 address.
func (p IPv4) SetDst(a Addr) { *(*[4]byte)(p[ip4Dst:]) = a.As4() }

// IPv4Fields are the fields of an IPv4 header.
type IPv4Fields struct {
	TOS            uint8
	TTL            uint8
	Proto          uint8
	DontFragment   bool
	MoreFragments  bool
	Length         uint16 // bytes, header included
	ID             uint16
	FragmentOffset uint16 // bytes, a multiple of 8
	Src, Dst       Addr   // mapped IPv4 addresses
	Options        []byte // at most 40 bytes; padded with end-of-list to a multiple of 4
}

// Fields returns the header's fields; Options is part of p.
func (p IPv4) Fields() IPv4Fields {
	return IPv4Fields{
		TOS: p.TOS(), TTL: p.TTL(), Proto: p.Proto(),
		DontFragment: p.DontFragment(), MoreFragments: p.MoreFragments(),
		Length: p.Length(), ID: p.ID(), FragmentOffset: p.FragmentOffset(),
		Src: p.Src(), Dst: p.Dst(),
		Options: p[IPv4MinSize:p.HeaderLen()],
	}
}

// Size returns the size of the header in bytes, options included.
func (f *IPv4Fields) Size() int { return IPv4MinSize + (len(f.Options)+3)&^3 }

// Put writes the header with its checksum to b, which has at least Size bytes,
// and returns its size.
func (f *IPv4Fields) Put(b []byte) int {
	n := f.Size()
	p := IPv4(b[:n])
	p[ip4VersionIHL] = 4<<4 | uint8(n/4)
	p.SetTOS(f.TOS)
	p.SetLength(f.Length)
	p.SetID(f.ID)
	p.SetFragment(f.DontFragment, f.MoreFragments, f.FragmentOffset)
	p.SetTTL(f.TTL)
	p.SetProto(f.Proto)
	p.SetSrc(f.Src)
	p.SetDst(f.Dst)
	clear(p[IPv4MinSize+copy(p[IPv4MinSize:], f.Options):])
	p.UpdateChecksum()
	return n
}
