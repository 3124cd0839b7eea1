package translate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// FuzzTranslate: no frame and no key make the stage panic, and nothing changes but addresses, ports or identifier, and
// checksums: of the packet, and of what it quotes if it is an ICMP error. What was translated stays as it is.
func FuzzTranslate(f *testing.F) {
	for _, row := range rows {
		for _, s := range row.steps {
			f.Add(frameOf(f, s.in), []byte("source and destination of a session"), uint64(6<<56|80<<16|1000), metaOf(s.in).CsumPartial)
		}
	}
	f.Fuzz(func(t *testing.T, frame, addrs []byte, tail uint64, isPartial bool) {
		var peer packet.Key
		var raw [32]byte
		copy(raw[:], addrs)
		peer.Src, peer.Dst, peer.Tail = packet.AddrFrom16((*[16]byte)(raw[:])), packet.AddrFrom16((*[16]byte)(raw[16:])), tail
		in, ok := parse(t, frame)
		if !ok {
			return
		}
		m := packet.Meta{CsumPartial: isPartial, CsumStart: in.L4}
		was := append([]byte(nil), frame...)
		reason := translate(frame, in, m, &peer)
		require.True(t, reason == packet.None || in.Proto == packet.ProtoSCTP && in.Has(packet.IsFragment))

		again := append([]byte(nil), frame...)
		if !in.Has(packet.ICMPError) && reason == packet.None {
			translate(again, in, m, &peer)
			for i := range again {
				again[i] &^= was[i] ^ frame[i] // both zeros of a checksum are one
				require.Equal(t, frame[i]&^(was[i]^frame[i]), again[i])
			}
		}

		may := make([]bool, len(frame))
		allow := func(from, to int) {
			for i := from; i < min(to, len(may)); i++ {
				may[i] = true
			}
		}
		header := func(l3, l4 int, v6 bool, proto uint8, transport bool) {
			if v6 {
				allow(l3+8, l3+40)
			} else {
				allow(l3+10, l3+20)
			}
			if !transport {
				return
			}
			switch proto {
			case packet.ProtoTCP:
				allow(l4, l4+4)
				allow(l4+16, l4+18)
			case packet.ProtoUDP:
				allow(l4, l4+4)
				allow(l4+6, l4+8)
			case packet.ProtoSCTP:
				allow(l4, l4+4)
				allow(l4+8, l4+12)
			case packet.ProtoICMP, packet.ProtoICMPv6:
				allow(l4+2, l4+6)
			case protoDCCP, protoUDPLite:
				allow(l4+6, l4+8)
			}
		}
		if in.Has(packet.IsIP) {
			v6 := in.Has(packet.IsIPv6)
			header(int(in.L3), int(in.L4), v6, in.Proto, !in.Has(packet.IsLaterFragment))
			if at, ok := packet.QuotedPacket(frame, in); ok {
				if v6 {
					it := packet.IPv6(frame[at : uint32(in.L3)+in.IPLen]).Extensions()
					for _, more := it.Next(); more; _, more = it.Next() {
					}
					header(at, at+it.Offset(), true, it.Proto(), true)
				} else {
					ip := packet.IPv4(frame[at:])
					header(at, at+ip.HeaderLen(), false, ip.Proto(), true)
				}
			}
		}
		for i := range frame {
			require.True(t, may[i] || frame[i] == was[i], "byte %d of %x becomes %02x", i, was, frame[i])
		}
	})
}
