package packet

import "encoding/binary"

// NDHopLimit is the hop limit of every neighbour discovery message: one that
// was routed is not genuine (RFC 4861 section 3.1).
const NDHopLimit = 255

// Sizes in bytes of neighbour discovery messages without options.
const (
	NDNeighborSize            = 24
	NDRouterSolicitationSize  = 8
	NDRouterAdvertisementSize = 16
)

const (
	ndFlags  = 4 // of an advertisement
	ndTarget = 8

	ndRouter    = 0x80
	ndSolicited = 0x40
	ndOverride  = 0x20

	raHopLimit  = 4
	raFlags     = 5
	raLifetime  = 6
	raReachable = 8
	raRetrans   = 12

	raManaged = 0x80
	raOther   = 0x40
)

// NDNeighbor is a neighbour solicitation or advertisement (RFC 4861 sections
// 4.3 and 4.4) from the ICMPv6 header on; they differ in type and flags.
//
//	 0      1      2          4                 8        24
//	| type | code | checksum | R, S, O, 0 ...  | target | options
type NDNeighbor []byte

// AsNDNeighbor views an ICMPv6 message as one of the two; ok iff type and code say so and
// the fixed part is whole. The accessors then cannot fail. Options are not checked.
func AsNDNeighbor(b []byte) (m NDNeighbor, ok bool) {
	if len(b) < NDNeighborSize || b[icmpCode] != 0 {
		return nil, false
	}
	return NDNeighbor(b), b[icmpType] == ICMPv6NeighborSolicitation || b[icmpType] == ICMPv6NeighborAdvertisement
}

// Type returns ICMPv6NeighborSolicitation or ICMPv6NeighborAdvertisement.
func (m NDNeighbor) Type() uint8 { return m[icmpType] }

// Target returns the address that is asked for or advertised.
func (m NDNeighbor) Target() Addr { return AddrFrom16((*[16]byte)(m[ndTarget:])) }

// Router reports whether the sender is a router; valid in an advertisement.
func (m NDNeighbor) Router() bool { return m[ndFlags]&ndRouter != 0 }

// Solicited reports whether this answers a solicitation; valid in an advertisement.
func (m NDNeighbor) Solicited() bool { return m[ndFlags]&ndSolicited != 0 }

// Override reports whether caches shall be overwritten; valid in an advertisement.
func (m NDNeighbor) Override() bool { return m[ndFlags]&ndOverride != 0 }

// Options returns a walk over the options, which ends where m does.
func (m NDNeighbor) Options() NDOptions { return NDOptions{b: m[NDNeighborSize:]} }

// LinkAddr returns the address in the link-layer address option that belongs
// to the message's type: the source's of a solicitation, the target's of an
// advertisement.
func (m NDNeighbor) LinkAddr() (a MAC, found bool) {
	return m.Options().linkAddr(ndLinkOption(m.Type()))
}

// SetTarget sets the address. It leaves the checksum.
func (m NDNeighbor) SetTarget(a Addr) { *(*[16]byte)(m[ndTarget:]) = a.As16() }

// NDNeighborFields are the fields of a solicitation or advertisement.
type NDNeighborFields struct {
	Type                        uint8
	Router, Solicited, Override bool // all false in a solicitation
	HasLinkAddr                 bool
	LinkAddr                    MAC // valid iff HasLinkAddr
	Target                      Addr
}

// Fields returns the message's fields; other options than LinkAddr are lost.
func (m NDNeighbor) Fields() NDNeighborFields {
	f := NDNeighborFields{
		Type: m.Type(), Router: m.Router(), Solicited: m.Solicited(), Override: m.Override(), Target: m.Target(),
	}
	f.LinkAddr, f.HasLinkAddr = m.LinkAddr()
	return f
}

// Put writes the message with checksum 0 to b, which has at least 32 bytes,
// and returns its size.
func (f *NDNeighborFields) Put(b []byte) int {
	m := NDNeighbor(b[:NDNeighborSize])
	clear(m)
	m[icmpType] = f.Type
	for _, flag := range [...]struct {
		set bool
		bit uint8
	}{{f.Router, ndRouter}, {f.Solicited, ndSolicited}, {f.Override, ndOverride}} {
		if flag.set {
			m[ndFlags] |= flag.bit
		}
	}
	m.SetTarget(f.Target)
	if !f.HasLinkAddr {
		return NDNeighborSize
	}
	return NDNeighborSize + putNDLinkAddr(b[NDNeighborSize:], ndLinkOption(f.Type), f.LinkAddr)
}

// ndLinkOption is the link-layer address option of a message of type typ.
func ndLinkOption(typ uint8) uint8 {
	if typ == ICMPv6NeighborAdvertisement {
		return NDOptionTargetLinkAddr
	}
	return NDOptionSourceLinkAddr
}

// NDRouterSolicitation is a router solicitation (RFC 4861 section 4.1) from the
// ICMPv6 header on.
type NDRouterSolicitation []byte

// AsNDRouterSolicitation views an ICMPv6 message as one; ok iff type and code
// say so and the fixed part is whole. The accessors then cannot fail.
func AsNDRouterSolicitation(b []byte) (m NDRouterSolicitation, ok bool) {
	if len(b) < NDRouterSolicitationSize || b[icmpCode] != 0 {
		return nil, false
	}
	return NDRouterSolicitation(b), b[icmpType] == ICMPv6RouterSolicitation
}

// Options returns a walk over the options, which ends where m does.
func (m NDRouterSolicitation) Options() NDOptions {
	return NDOptions{b: m[NDRouterSolicitationSize:]}
}

// LinkAddr returns the source's link-layer address option.
func (m NDRouterSolicitation) LinkAddr() (a MAC, found bool) {
	return m.Options().linkAddr(NDOptionSourceLinkAddr)
}

// NDRouterSolicitationFields are the fields of a router solicitation.
type NDRouterSolicitationFields struct {
	HasLinkAddr bool
	LinkAddr    MAC // valid iff HasLinkAddr
}

// Fields returns the message's fields; other options than LinkAddr are lost.
func (m NDRouterSolicitation) Fields() (f NDRouterSolicitationFields) {
	f.LinkAddr, f.HasLinkAddr = m.LinkAddr()
	return f
}

// Put writes the message with checksum 0 to b, which has at least 16 bytes,
// and returns its size.
func (f *NDRouterSolicitationFields) Put(b []byte) int {
	clear(b[:NDRouterSolicitationSize])
	b[icmpType] = ICMPv6RouterSolicitation
	if !f.HasLinkAddr {
		return NDRouterSolicitationSize
	}
	return NDRouterSolicitationSize + putNDLinkAddr(b[NDRouterSolicitationSize:], NDOptionSourceLinkAddr, f.LinkAddr)
}

// NDRouterAdvertisement is a router advertisement (RFC 4861 section 4.2) from
// the ICMPv6 header on.
//
//	 0      1      2          4           5           6                 8              12           16
//	| type | code | checksum | hop limit | M, O, ... | router lifetime | reachable ms | retrans ms | options
type NDRouterAdvertisement []byte

// AsNDRouterAdvertisement views an ICMPv6 message as one; ok iff type and code
// say so and the fixed part is whole. The accessors then cannot fail.
func AsNDRouterAdvertisement(b []byte) (m NDRouterAdvertisement, ok bool) {
	if len(b) < NDRouterAdvertisementSize || b[icmpCode] != 0 {
		return nil, false
	}
	return NDRouterAdvertisement(b), b[icmpType] == ICMPv6RouterAdvertisement
}

// HopLimit returns the hop limit that hosts shall use; 0 is unspecified.
func (m NDRouterAdvertisement) HopLimit() uint8 { return m[raHopLimit] }

// Managed reports whether addresses come from DHCPv6.
func (m NDRouterAdvertisement) Managed() bool { return m[raFlags]&raManaged != 0 }

// OtherConfig reports whether other configuration comes from DHCPv6.
func (m NDRouterAdvertisement) OtherConfig() bool { return m[raFlags]&raOther != 0 }

// Lifetime returns how long the router serves as default router, in seconds;
// 0 is not at all.
func (m NDRouterAdvertisement) Lifetime() uint16 { return binary.BigEndian.Uint16(m[raLifetime:]) }

// Reachable returns the reachable time in milliseconds; 0 is unspecified.
func (m NDRouterAdvertisement) Reachable() uint32 { return binary.BigEndian.Uint32(m[raReachable:]) }

// Retrans returns the time between solicitations in milliseconds; 0 is
// unspecified.
func (m NDRouterAdvertisement) Retrans() uint32 { return binary.BigEndian.Uint32(m[raRetrans:]) }

// Options returns a walk over the options, which ends where m does.
func (m NDRouterAdvertisement) Options() NDOptions {
	return NDOptions{b: m[NDRouterAdvertisementSize:]}
}

// NDRouterAdvertisementFields are the fields of a router advertisement.
type NDRouterAdvertisementFields struct {
	HopLimit    uint8
	Managed     bool
	OtherConfig bool
	HasLinkAddr bool
	LinkAddr    MAC    // of the router; valid iff HasLinkAddr
	Lifetime    uint16 // seconds
	Reachable   uint32 // milliseconds
	Retrans     uint32 // milliseconds
	MTU         uint32 // bytes; 0 is no MTU option
	Prefixes    []NDPrefix
}

// Size returns the size of the message in bytes.
func (f *NDRouterAdvertisementFields) Size() int {
	n := NDRouterAdvertisementSize + ndPrefixSize*len(f.Prefixes)
	if f.HasLinkAddr {
		n += ndLinkAddrSize
	}
	if f.MTU != 0 {
		n += ndMTUSize
	}
	return n
}

// Put writes the message with checksum 0 to b, which has at least Size bytes,
// and returns its size.
func (f *NDRouterAdvertisementFields) Put(b []byte) int {
	clear(b[:NDRouterAdvertisementSize])
	b[icmpType] = ICMPv6RouterAdvertisement
	b[raHopLimit] = f.HopLimit
	if f.Managed {
		b[raFlags] |= raManaged
	}
	if f.OtherConfig {
		b[raFlags] |= raOther
	}
	binary.BigEndian.PutUint16(b[raLifetime:], f.Lifetime)
	binary.BigEndian.PutUint32(b[raReachable:], f.Reachable)
	binary.BigEndian.PutUint32(b[raRetrans:], f.Retrans)
	n := NDRouterAdvertisementSize
	if f.HasLinkAddr {
		n += putNDLinkAddr(b[n:], NDOptionSourceLinkAddr, f.LinkAddr)
	}
	if f.MTU != 0 {
		n += putNDMTU(b[n:], f.MTU)
	}
	for i := range f.Prefixes {
		n += f.Prefixes[i].put(b[n:])
	}
	return n
}
