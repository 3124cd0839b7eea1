package translate

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/sluice-net/sluice/packet"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// zeros is what a difference consists of behind the ports.
var zeros [2048]byte

// updateCRC updates an SCTP packet's CRC32c (RFC 9260 appendix A) for ports that change by the bits of diff, as they lie in
// memory. A CRC is linear but for what it begins and ends with: that of a packet differs by the CRC of the difference, which is
// diff and zeros up to the packet's end.
//
// A fragment does not say how long the packet is. The first one can't be translated, unless the ports stay.
func (h *header) updateCRC(diff uint32) packet.Reason {
	l4 := h.b[h.l4:]
	if diff == 0 || h.partial {
		return packet.None
	}
	if !h.whole {
		if h.quoted {
			return packet.None // the receiver looks at the ports
		}
		return packet.SessionInvalid
	}
	size := h.size() - h.l4
	if len(l4) < packet.SCTPSize || size < packet.SCTPSize {
		return packet.None
	}
	// Not by crc32.Update, whose argument would be allocated.
	crc := diff
	for range 4 {
		crc = castagnoli[byte(crc)] ^ crc>>8
	}
	crc = ^crc // as Update wants and gives it
	for n := size - 4; n > 0; n -= len(zeros) {
		crc = crc32.Update(crc, castagnoli, zeros[:min(n, len(zeros))])
	}
	h.put32(h.l4+sctpCRC, binary.LittleEndian.Uint32(l4[sctpCRC:])^(^crc))
	return packet.None
}

// size returns how long the packet is, or was before it was quoted, as its header says.
func (h *header) size() int {
	switch {
	case !h.quoted:
		return len(h.b)
	case h.v6:
		return packet.IPv6Size + int(packet.IPv6(h.b).PayloadLen())
	}
	return int(packet.IPv4(h.b).Length())
}
