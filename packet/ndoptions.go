package packet

import "encoding/binary"

// Neighbour discovery options (IANA, "IPv6 Neighbor Discovery Option Formats").
const (
	NDOptionSourceLinkAddr = 1
	NDOptionTargetLinkAddr = 2
	NDOptionPrefix         = 3
	NDOptionMTU            = 5
)

const (
	ndLinkAddrSize = 8
	ndPrefixSize   = 32
	ndMTUSize      = 8

	ndPrefixLen       = 2
	ndPrefixFlags     = 3
	ndPrefixValid     = 4
	ndPrefixPreferred = 8
	ndPrefixAddr      = 16

	ndPrefixOnLink     = 0x80
	ndPrefixAutonomous = 0x40
)

// NDOption is one option; its bytes are the packet's.
type NDOption struct {
	Type  uint8
	Bytes []byte // the whole option, at least 8 bytes
}

// LinkAddr returns the Ethernet address of a link-layer address option.
func (o NDOption) LinkAddr() (a MAC, ok bool) {
	if (o.Type != NDOptionSourceLinkAddr && o.Type != NDOptionTargetLinkAddr) || len(o.Bytes) != ndLinkAddrSize {
		return MAC{}, false
	}
	return MAC(o.Bytes[2:ndLinkAddrSize]), true
}

// MTU returns the value of an MTU option, in bytes.
func (o NDOption) MTU() (n uint32, ok bool) {
	if o.Type != NDOptionMTU || len(o.Bytes) != ndMTUSize {
		return 0, false
	}
	return binary.BigEndian.Uint32(o.Bytes[4:]), true
}

// NDPrefix is a prefix information option (RFC 4861 section 4.6.2).
type NDPrefix struct {
	Addr       Addr
	Bits       uint8
	OnLink     bool
	Autonomous bool   // hosts may form addresses from it
	Valid      uint32 // seconds; all ones is forever
	Preferred  uint32 // seconds; all ones is forever
}

// Prefix returns the value of a prefix information option.
func (o NDOption) Prefix() (p NDPrefix, ok bool) {
	b := o.Bytes
	if o.Type != NDOptionPrefix || len(b) != ndPrefixSize || b[ndPrefixLen] > 128 {
		return NDPrefix{}, false
	}
	return NDPrefix{
		Addr:       AddrFrom16((*[16]byte)(b[ndPrefixAddr:])),
		Bits:       b[ndPrefixLen],
		OnLink:     b[ndPrefixFlags]&ndPrefixOnLink != 0,
		Autonomous: b[ndPrefixFlags]&ndPrefixAutonomous != 0,
		Valid:      binary.BigEndian.Uint32(b[ndPrefixValid:]),
		Preferred:  binary.BigEndian.Uint32(b[ndPrefixPreferred:]),
	}, true
}

func (p *NDPrefix) put(b []byte) int {
	b = b[:ndPrefixSize]
	clear(b)
	b[0], b[1] = NDOptionPrefix, ndPrefixSize/8
	b[ndPrefixLen] = p.Bits
	if p.OnLink {
		b[ndPrefixFlags] |= ndPrefixOnLink
	}
	if p.Autonomous {
		b[ndPrefixFlags] |= ndPrefixAutonomous
	}
	binary.BigEndian.PutUint32(b[ndPrefixValid:], p.Valid)
	binary.BigEndian.PutUint32(b[ndPrefixPreferred:], p.Preferred)
	*(*[16]byte)(b[ndPrefixAddr:]) = p.Addr.As16()
	return ndPrefixSize
}

// NDOptions walks the options of a message. Each is at least 8 bytes, so the
// packet's size bounds the walk.
type NDOptions struct {
	b         []byte
	malformed bool
}

// Next returns the next option; ok is false at the end of the message, and
// where a length is impossible: see Malformed.
func (it *NDOptions) Next() (o NDOption, ok bool) {
	if len(it.b) == 0 {
		return NDOption{}, false
	}
	n := 0
	if len(it.b) >= 2 {
		n = int(it.b[1]) * 8
	}
	if n == 0 || n > len(it.b) {
		it.malformed = true
		it.b = nil
		return NDOption{}, false
	}
	o = NDOption{Type: it.b[0], Bytes: it.b[:n:n]}
	it.b = it.b[n:]
	return o, true
}

// Malformed reports whether the walk ended at an impossible length; the whole
// message is then to be discarded (RFC 4861 section 4.6).
func (it *NDOptions) Malformed() bool { return it.malformed }

// linkAddr returns the address in the first option of type typ that has one.
func (it NDOptions) linkAddr(typ uint8) (a MAC, found bool) {
	for o, ok := it.Next(); ok; o, ok = it.Next() {
		if o.Type != typ {
			continue
		}
		if a, ok := o.LinkAddr(); ok {
			return a, true
		}
	}
	return MAC{}, false
}

func putNDLinkAddr(b []byte, typ uint8, a MAC) int {
	b[0], b[1] = typ, ndLinkAddrSize/8
	copy(b[2:ndLinkAddrSize], a[:])
	return ndLinkAddrSize
}

func putNDMTU(b []byte, n uint32) int {
	b[0], b[1], b[2], b[3] = NDOptionMTU, ndMTUSize/8, 0, 0
	binary.BigEndian.PutUint32(b[4:], n)
	return ndMTUSize
}
