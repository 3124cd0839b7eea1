package packet

import "encoding/binary"

const (
	ip6FragmentOffset = 2 // in units of 8 bytes << 3 | more
	ip6FragmentID     = 4

	ip6OptionPad1  = 0
	ip6OptionJumbo = 0xc2 // RFC 2675
)

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
	if it.end != chainOpen || !isExtension(it.next) {
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
		size = 8 // its second byte is reserved
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

// JumboSize returns the payload length, in bytes, of the jumbo payload option
// (RFC 2675) in the hop-by-hop header, if the packet begins with one.
func (p IPv6) JumboSize() (size uint32, found bool) {
	it := p.Extensions()
	h, ok := it.Next()
	if !ok || h.Type != ProtoHopByHop {
		return 0, false
	}
	for o := h.Bytes[2:]; len(o) > 0; {
		if o[0] == ip6OptionPad1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || len(o) < 2+int(o[1]) {
			break
		}
		if o[0] == ip6OptionJumbo && o[1] == 4 {
			return binary.BigEndian.Uint32(o[2:]), true
		}
		o = o[2+int(o[1]):]
	}
	return 0, false
}
