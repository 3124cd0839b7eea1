// Package translate gives packets of translated sessions the addresses and ports that they leave with.
//
// It decides nothing: what a packet becomes is the reverse of the key of its session's other direction (see
// flowtable.Entry), and which packets are concerned is Vector.Translated. Checksums are updated by what changes
// (RFC 1624), never computed anew: a packet that was wrong before is wrong afterwards, by as much.
//
// What is on the wire is the old value, not what the key says. So a packet that has been translated already
// stays as it is, and no input makes a right checksum wrong.
package translate

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Stage belongs after the one that rewrites what is routed, and before the one that cuts packets which are too long:
// fragments have no ports.
var Stage = dataplane.Stage{Name: "translate", Run: run}

func run(w *dataplane.Worker, v *dataplane.Vector) {
	set := v.Frames() & v.Translated
	if set == 0 {
		return
	}
	table := w.Table()
	if table.Large() {
		// The other direction's key is a line that nothing has loaded yet. All of them at once, and by counting: see
		// flowtable.LookupVector.
		for i, n := 0, bits.Len64(set); i < n; i++ {
			if set>>(i&63)&1 != 0 {
				atomic.LoadUint64(&table.Entry(v.Entry[i&63].Peer()).Key.Tail)
			}
		}
	}
	for m := set; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m) & 63
		v.At(i)
		id := v.Entry[i]
		if id == 0 {
			continue
		}
		peer := &table.Entry(id.Peer()).Key
		if v.Special>>i&1 == 0 && plain(v.Frame(i), &v.Info[i], peer) {
			continue
		}
		if r := rewrite(v.Frame(i), &v.Info[i], partial(w.Arena().Meta(v.Buf[i]), &v.Info[i]), peer); r != packet.None {
			v.Drop(i, r)
		}
	}
}

// partial reports whether the checksum of a packet is for the device to complete. That of a tunnel's packet may be
// the inner one's.
func partial(m *packet.Meta, in *packet.Info) bool { return m.CsumPartial && m.CsumStart == in.L4 }

// Offsets in headers.
const (
	ip4Checksum = 10
	ip4Src      = 12
	ip6Src      = 8
	ip6Dst      = 24
	icmpSum     = 2
	icmpID      = 4
	sctpCRC     = 8
)

// plain is rewrite for what most packets are: TCP and UDP over IPv4, and over IPv6 without extension headers. It reports
// false, and does nothing, for others.
func plain(f []byte, in *packet.Info, peer *packet.Key) bool {
	const wanted, unwanted = packet.HasPorts, packet.ICMPError | packet.IsLaterFragment
	if in.Proto != packet.ProtoTCP && in.Proto != packet.ProtoUDP || in.Flags&(wanted|unwanted) != wanted {
		return false
	}
	var change uint64
	if in.Flags&packet.IsIPv4 != 0 {
		ip := (*[packet.IPv4MinSize]byte)(f[in.L3:])
		change = exchange((*[8]byte)(ip[ip4Src:]), peer.Dst[1]>>32|peer.Src[1]&^0xffffffff)
		sum := binary.LittleEndian.Uint16(ip[ip4Checksum:])
		binary.LittleEndian.PutUint16(ip[ip4Checksum:], update(sum, change))
	} else {
		if in.Flags&packet.HasIPOptions != 0 {
			return false
		}
		ip := (*[packet.IPv6Size]byte)(f[in.L3:])
		change = exchange((*[8]byte)(ip[ip6Src:]), peer.Dst[0]) + exchange((*[8]byte)(ip[ip6Src+8:]), peer.Dst[1]) +
			exchange((*[8]byte)(ip[ip6Dst:]), peer.Src[0]) + exchange((*[8]byte)(ip[ip6Dst+8:]), peer.Src[1])
	}
	l4 := f[in.L4:]
	old, repl := binary.LittleEndian.Uint32(l4), bits.ReverseBytes32(uint32(peer.Tail))
	binary.LittleEndian.PutUint32(l4, repl)
	change += change32(old, repl)
	// TCP is 6 and has its sum at 16, UDP is 17 and has it at 6. Which of them comes can't be predicted.
	at := 16 - 10*(in.Proto>>4)
	was := binary.LittleEndian.Uint16(l4[at:])
	is := update(was, change)
	if was == 0 || is == 0 {
		is = udpZero(in.Proto, was, is)
	}
	binary.LittleEndian.PutUint16(l4[at:], is)
	return true
}

// udpZero is RFC 768's rule for checksums of which one is 0: that says that there is none, and stays; one that
// comes out as 0 is sent as ffff.
func udpZero(proto uint8, was, is uint16) uint16 {
	switch {
	case proto == packet.ProtoTCP:
		return is
	case was == 0:
		return 0
	}
	return 0xffff
}

// Sums and their changes are of 16-bit words as they lie in memory: one's-complement arithmetic does not mind
// the byte order (RFC 1071 section 2 B). All that is summed begins at even offsets of what its checksum covers. A change is
// ~m + m' of RFC 1624, not yet reduced to 16 bits; up to 2^28 of them add up.

// change32 is the change of two words.
func change32(old, repl uint32) uint64 { return uint64(^old) + uint64(repl) }

// change64 is the change of four words.
func change64(old, repl uint64) uint64 {
	return change32(uint32(old), uint32(repl)) + change32(uint32(old>>32), uint32(repl>>32))
}

// exchange replaces four words and returns the change.
func exchange(p *[8]byte, repl uint64) uint64 {
	old := binary.LittleEndian.Uint64(p[:])
	binary.LittleEndian.PutUint64(p[:], repl)
	return change64(old, repl)
}

// fold reduces a sum to 16 bits; only 0 gives 0.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff // at most 2^17
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// update is equation 3 of RFC 1624: HC' = ~(~HC + ~m + m').
func update(sum uint16, change uint64) uint16 { return ^fold(uint64(^sum) + change) }
