package translate

import (
	"encoding/binary"
	"math/bits"

	"github.com/sluice-net/sluice/packet"
)

// rewrite gives a packet the reverse of peer as its tuple, whatever the packet is. in is what Parse has made of frame;
// partial says that its transport checksum is the pseudo-header's sum only. A reason other than None says that the packet
// can't be translated, and is to be dropped.
func rewrite(frame []byte, in *packet.Info, partial bool, peer *packet.Key) packet.Reason {
	if !in.Has(packet.IsIP) {
		return packet.None
	}
	h := header{
		b: frame[in.L3 : uint32(in.L3)+in.IPLen], l4: int(in.L4 - in.L3), v6: in.Has(packet.IsIPv6), proto: in.Proto,
		transport: !in.Has(packet.IsLaterFragment), whole: !in.Has(packet.IsFragment), partial: partial,
	}
	if in.Has(packet.ICMPError) {
		h.rewriteError(frame, in, peer)
		return packet.None
	}
	return h.rewrite(peer.Dst, peer.Src, uint32(peer.Tail))
}

// header is an IP packet with its transport header, or what an ICMP error quotes of one.
type header struct {
	b  []byte
	l4 int // where the transport header begins

	v6        bool
	proto     uint8
	transport bool // there is a transport header: it is no later fragment
	whole     bool // it is no fragment
	quoted    bool // b may end before the packet did
	partial   bool // the checksum is the pseudo-header's sum

	changed uint64 // of all words that were written
}

func (h *header) put16(at int, v uint16) {
	h.changed += uint64(^binary.LittleEndian.Uint16(h.b[at:])) + uint64(v)
	binary.LittleEndian.PutUint16(h.b[at:], v)
}

func (h *header) put32(at int, v uint32) {
	h.changed += change32(binary.LittleEndian.Uint32(h.b[at:]), v)
	binary.LittleEndian.PutUint32(h.b[at:], v)
}

func (h *header) putAddr(at int, a packet.Addr) {
	if !h.v6 {
		h.put32(at, uint32(a[1]>>32))
		return
	}
	for k, w := range a {
		p := h.b[at+8*k:]
		h.changed += change64(binary.LittleEndian.Uint64(p), w)
		binary.LittleEndian.PutUint64(p, w)
	}
}

// putAddrs writes both addresses, and what of the IP header covers them. It returns what the change is to the
// pseudo-header.
func (h *header) putAddrs(src, dst packet.Addr) (change uint64) {
	if h.v6 {
		h.putAddr(ip6Src, src)
		change = h.changed
		h.putAddr(ip6Dst, dst)
		if !h.routesOn() {
			change = h.changed
		}
		return change
	}
	h.putAddr(ip4Src, src)
	h.putAddr(ip4Src+4, dst)
	change = h.changed
	h.put16(ip4Checksum, update(binary.LittleEndian.Uint16(h.b[ip4Checksum:]), change))
	return change
}

// routesOn reports whether an IPv6 packet has a routing header that is not used up: then its last address there is the
// pseudo-header's destination (RFC 8200 section 8.1).
func (h *header) routesOn() bool {
	const segmentsLeft = 3
	it := packet.IPv6(h.b).Extensions()
	for x, ok := it.Next(); ok; x, ok = it.Next() {
		if x.Type == packet.ProtoRouting && x.Bytes[segmentsLeft] != 0 {
			return true
		}
	}
	return false
}

// covers says what a protocol's checksum is.
type covers struct {
	at     uint8 // where it is
	pseudo bool  // it covers the pseudo-header
	ports  bool  // the header begins with ports
	zero   bool  // 0 is none
}

const (
	protoDCCP    = 33
	protoUDPLite = 136
)

// sumOf returns how a protocol protects its packets with an Internet checksum; at is 0 if it does not. Of DCCP (RFC 4340 section
// 9.1) and UDP-Lite (RFC 3828 section 3.1) ports are not known, so only addresses are translated. The ICMP of the other IP
// version is a protocol like any unknown one.
func sumOf(proto uint8, v6 bool) covers {
	switch proto {
	case packet.ProtoTCP:
		return covers{at: 16, pseudo: true, ports: true}
	case packet.ProtoUDP:
		return covers{at: 6, pseudo: true, ports: true, zero: true}
	case packet.ProtoSCTP:
		return covers{ports: true}
	case protoDCCP:
		return covers{at: 6, pseudo: true}
	case protoUDPLite:
		return covers{at: 6, pseudo: true, zero: true}
	case packet.ProtoICMP:
		if !v6 {
			return covers{at: icmpSum}
		}
	case packet.ProtoICMPv6:
		if v6 {
			return covers{at: icmpSum, pseudo: true}
		}
	}
	return covers{}
}

// rewrite writes a tuple, of which ports has the source port in its high half: a wire's order.
func (h *header) rewrite(src, dst packet.Addr, ports uint32) packet.Reason {
	change := h.putAddrs(src, dst)
	if !h.transport {
		return packet.None
	}
	c, l4 := sumOf(h.proto, h.v6), h.b[h.l4:]
	if !c.pseudo {
		change = 0
	}
	before := h.changed
	switch {
	case c.ports && len(l4) >= 4:
		was := binary.LittleEndian.Uint32(l4)
		h.put32(h.l4, bits.ReverseBytes32(ports))
		if h.proto == packet.ProtoSCTP {
			return h.updateCRC(was ^ bits.ReverseBytes32(ports))
		}
	case c.at == icmpSum && len(l4) >= packet.ICMPSize:
		h.putID(l4, ports)
	}
	if c.at == 0 || len(l4) < int(c.at)+2 {
		return packet.None
	}
	was := binary.LittleEndian.Uint16(l4[c.at:])
	var is uint16
	if h.partial {
		is = fold(uint64(was) + change)
	} else if is = update(was, change+h.changed-before); c.zero {
		if was == 0 {
			return packet.None
		} else if is == 0 {
			is = 0xffff
		}
	}
	h.put16(h.l4+int(c.at), is)
	return packet.None
}

// putID writes the identifier of an ICMP query or reply. It is the client's port: the source's of a query, the
// destination's of a reply (packet.Key). Other messages have none.
func (h *header) putID(l4 []byte, ports uint32) {
	query, reply := packet.ICMPQuery(h.v6, l4[0])
	if !query {
		return
	}
	id := uint16(ports >> 16)
	if reply {
		id = uint16(ports)
	}
	h.put16(h.l4+icmpID, bits.ReverseBytes16(id))
}

// rewriteError translates an ICMP error, which travels in the direction that the packet came from which it quotes. For its
// receiver that has the tuple with which he had sent it: peer.
//
//	client C ── C > V ──▶ node ── C > M ──▶ member M, or a router R on the way there
//	         ◀── V > C, quotes C > V ── node ◀── M > C, or R > C, quotes C > M
//
// An error that quotes too little to tell the session has none, and does not come here.
func (h *header) rewriteError(frame []byte, in *packet.Info, peer *packet.Key) {
	at, ok := packet.QuotedPacket(frame, in)
	if !ok {
		return
	}
	q := header{b: h.b[at-int(in.L3):], v6: h.v6, transport: true, quoted: true}
	if h.v6 {
		it := packet.IPv6(q.b).Extensions()
		q.whole = true
		for x, ok := it.Next(); ok; x, ok = it.Next() {
			q.whole = q.whole && (x.Type != packet.ProtoFragment || x.IsAtomic())
		}
		q.proto, q.l4 = it.Proto(), it.Offset()
	} else {
		ip := packet.IPv4(q.b)
		q.whole = !ip.MoreFragments()
		q.proto, q.l4 = ip.Proto(), ip.HeaderLen()
	}
	q.rewrite(peer.Src, peer.Dst, bits.RotateLeft32(uint32(peer.Tail), 16))

	// A router on the way speaks for itself.
	src, _ := packet.Addresses(frame, in)
	if src == in.Key.Src {
		src = peer.Dst
	}
	change := h.putAddrs(src, peer.Src)
	if !h.v6 {
		change = 0
	}
	was := binary.LittleEndian.Uint16(h.b[h.l4+icmpSum:])
	if h.partial {
		h.put16(h.l4+icmpSum, fold(uint64(was)+change))
		return
	}
	h.put16(h.l4+icmpSum, update(was, change+q.changed))
}
