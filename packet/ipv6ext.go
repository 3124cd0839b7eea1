package packet

import "encoding/binary"

// IPv6FragmentSize is the size in bytes of a fragment header.
const IPv6FragmentSize = 8

const (
	ip6FragmentOffset = 2 // in units of 8 bytes << 3 | more
	ip6FragmentID     = 4
)

// IPv6 option types (IANA, "Destination Options and Hop-by-Hop Options").
const (
	IPv6OptionPad1        = 0
	IPv6OptionPadN        = 1
	IPv6OptionRouterAlert = 5
	IPv6OptionJumbo       = 0xc2
)

// MaxExtensions is how many IPv6 extension headers a packet may have. RFC 8200
// section 4.1 knows an order for seven of them; more serve evasion only.
const MaxExtensions = 8

// isExtension has the next header values of extension headers that say where
// the next one begins. ESP does not, and no-next-header ends the chain.
var isExtension = [256]bool{
	ProtoHopByHop: true,
	ProtoRouting:  true,
	ProtoFragment: true,
	ProtoAH:       true,
	ProtoDestOpts: true,
	ProtoMobility: true,
	ProtoHIP:      true,
	ProtoShim6:    true,
}

// IPv6Extension is one extension header; its bytes are the packet's.
type IPv6Extension struct {
	Type  uint8  // its own protocol number: ProtoHopByHop, ProtoRouting ...
	Bytes []byte // whole header, at least 8 bytes
}

// Next returns the type of the header that follows.
func (h IPv6Extension) Next() uint8 { return h.Bytes[0] }

// FragmentOffset returns where in the datagram the payload belongs, in bytes;
// valid iff Type is ProtoFragment.
func (h IPv6Extension) FragmentOffset() uint16 {
	return binary.BigEndian.Uint16(h.Bytes[ip6FragmentOffset:]) &^ 7
}

// MoreFragments reports whether this is not the last fragment; valid iff Type
// is ProtoFragment.
func (h IPv6Extension) MoreFragments() bool { return h.Bytes[ip6FragmentOffset+1]&1 != 0 }

// FragmentID returns the identification; valid iff Type is ProtoFragment.
func (h IPv6Extension) FragmentID() uint32 {
	return binary.BigEndian.Uint32(h.Bytes[ip6FragmentID:])
}

// IsAtomic reports whether the fragment is the whole packet (RFC 6946); valid
// iff Type is ProtoFragment.
func (h IPv6Extension) IsAtomic() bool { return h.FragmentOffset() == 0 && !h.MoreFragments() }

// IPv6Extensions walks a chain of extension headers. It ends at the first
// header that is none, at one that cannot be looked into (ESP), after the
// fragment header of a later fragment, and where the chain is malformed.
type IPv6Extensions struct {
	b    []byte // from the fixed header on
	off  int    // of what comes next
	next uint8  // type of what comes next
	seen uint8  // headers so far
	end  chainEnd
}

type chainEnd uint8

const (
	chainOpen chainEnd = iota
	chainLaterFragment
	chainTruncated
	chainInvalid
)

// Extensions returns a walk over the extension headers, which ends where p
// does.
func (p IPv6) Extensions() IPv6Extensions {
	return IPv6Extensions{b: p, off: IPv6Size, next: p.NextHeader()}
}

// Next returns the next extension header; ok is false at the end.
func (it *IPv6Extensions) Next() (h IPv6Extension, ok bool) {
	if it.end != chainOpen || !isExtension[it.next] {
		return IPv6Extension{}, false
	}
	b := it.b[it.off:]
	if len(b) < 8 {
		it.end = chainTruncated
		return IPv6Extension{}, false
	}
	size := (int(b[1]) + 1) * 8
	valid := it.seen < MaxExtensions
	switch it.next {
	case ProtoHopByHop:
		valid = it.seen == 0 // RFC 8200 section 4.1
	case ProtoFragment:
		size = IPv6FragmentSize // its second byte is reserved
	case ProtoAH:
		size = (int(b[1]) + 2) * 4 // RFC 4302 section 2.2
		valid = valid && size >= 12
	}
	if !valid {
		it.end = chainInvalid
		return IPv6Extension{}, false
	}
	if size > len(b) {
		it.end = chainTruncated
		return IPv6Extension{}, false
	}
	h = IPv6Extension{Type: it.next, Bytes: b[:size:size]}
	it.off += size
	it.next = h.Next()
	it.seen++
	if h.Type == ProtoFragment && h.FragmentOffset() != 0 {
		it.end = chainLaterFragment
	}
	return h, true
}

// Proto returns the type of what follows the headers walked so far; after the
// walk the protocol of the payload.
func (it *IPv6Extensions) Proto() uint8 { return it.next }

// Offset returns where what follows the headers walked so far begins, in
// bytes from the start of the packet.
func (it *IPv6Extensions) Offset() int { return it.off }

// Truncated reports whether the walk ended because the packet did.
func (it *IPv6Extensions) Truncated() bool { return it.end == chainTruncated }

// Malformed reports whether the walk ended before the chain did.
func (it *IPv6Extensions) Malformed() bool {
	return it.end == chainTruncated || it.end == chainInvalid
}

// IPv6Option is one option of a hop-by-hop or destination options header.
type IPv6Option struct {
	Type uint8
	Data []byte // after type and length; part of the packet
}

// IPv6Options walks the options of an extension header; padding is skipped.
// An extension header has at most 2048 bytes, which bounds the walk.
type IPv6Options struct {
	b         []byte
	malformed bool
}

// Options returns a walk over the options; valid iff Type is ProtoHopByHop or
// ProtoDestOpts.
func (h IPv6Extension) Options() IPv6Options { return IPv6Options{b: h.Bytes[2:]} }

// Next returns the next option; ok is false at the end of the header, and
// where a length is impossible: see Malformed.
func (it *IPv6Options) Next() (o IPv6Option, ok bool) {
	for len(it.b) > 0 {
		if it.b[0] == IPv6OptionPad1 {
			it.b = it.b[1:]
			continue
		}
		if len(it.b) < 2 || len(it.b) < 2+int(it.b[1]) {
			it.malformed = true
			it.b = nil
			break
		}
		n := 2 + int(it.b[1])
		o = IPv6Option{Type: it.b[0], Data: it.b[2:n:n]}
		it.b = it.b[n:]
		if o.Type != IPv6OptionPadN {
			return o, true
		}
	}
	return IPv6Option{}, false
}

// Malformed reports whether the walk ended at an impossible length.
func (it *IPv6Options) Malformed() bool { return it.malformed }

// JumboSize returns the payload length, in bytes, of the jumbo payload option
// (RFC 2675) in the hop-by-hop header, if the packet begins with one.
func (p IPv6) JumboSize() (size uint32, found bool) {
	chain := p.Extensions()
	h, ok := chain.Next()
	if !ok || h.Type != ProtoHopByHop {
		return 0, false
	}
	it := h.Options()
	for o, ok := it.Next(); ok; o, ok = it.Next() {
		if o.Type == IPv6OptionJumbo && len(o.Data) == 4 {
			return binary.BigEndian.Uint32(o.Data), true
		}
	}
	return 0, false
}

// IPv6FragmentFields are the fields of a fragment header (RFC 8200 section 4.5).
type IPv6FragmentFields struct {
	Next   uint8
	More   bool
	Offset uint16 // bytes, a multiple of 8
	ID     uint32
}

// Put writes the header to b, which has at least IPv6FragmentSize bytes, and
// returns its size.
func (f *IPv6FragmentFields) Put(b []byte) int {
	b = b[:IPv6FragmentSize]
	v := f.Offset &^ 7
	if f.More {
		v |= 1
	}
	b[0], b[1] = f.Next, 0
	binary.BigEndian.PutUint16(b[ip6FragmentOffset:], v)
	binary.BigEndian.PutUint32(b[ip6FragmentID:], f.ID)
	return IPv6FragmentSize
}
