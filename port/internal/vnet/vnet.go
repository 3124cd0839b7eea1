// Package vnet is what the drivers with a virtio_net_hdr before each frame
// have in common: TAP (IFF_VNET_HDR) and packet sockets (PACKET_VNET_HDR). The
// header says of a frame that its checksum is yet to be completed and that it
// is a super-frame (linux/virtio_net.h; virtio 1.2 section 5.1.6).
package vnet

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// Size is the length of the header in bytes, without the number of merged
// buffers: both kinds of devices begin with this one.
const Size = 10

// Header is a virtio_net_hdr in host byte order, as both devices have it by
// default: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
type Header [Size]byte

// Bits of flags.
const (
	needsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	dataValid = 2 // VIRTIO_NET_HDR_F_DATA_VALID
)

// Decode sets the checksum and GSO fields of m from the header that came before
// frame. It reports false where the two contradict each other; such a frame must not
// enter the pipeline. What the kernel says about the headers' length is not used:
// packet sockets give the length of the skb's linear part there.
func (h *Header) Decode(m *packet.Meta, frame []byte) bool {
	ne := binary.NativeEndian
	flags, gso := h[0], h[1]
	m.CsumValid = flags&dataValid != 0
	if flags&needsCsum != 0 {
		m.CsumPartial = true
		m.CsumStart, m.CsumOffset = ne.Uint16(h[6:]), ne.Uint16(h[8:])
		if int(m.CsumStart)+int(m.CsumOffset)+2 > len(frame) {
			return false
		}
	}
	if gso == packet.GSONone {
		return true
	}
	m.GSOType, m.GSOSize = gso, ne.Uint16(h[4:])
	return decodeGSO(m, frame)
}

// Encode writes the header that goes before a frame with metadata m.
func (h *Header) Encode(m *packet.Meta) {
	*h = Header{}
	ne := binary.NativeEndian
	if m.CsumPartial {
		h[0] = needsCsum
		ne.PutUint16(h[6:], m.CsumStart)
		ne.PutUint16(h[8:], m.CsumOffset)
	}
	if m.GSOType != packet.GSONone {
		h[1] = m.GSOType
		ne.PutUint16(h[2:], m.HdrLen)
		ne.PutUint16(h[4:], m.GSOSize)
	}
}

// decodeGSO completes the metadata of a super-frame: where its headers end, by
// its own headers.
func decodeGSO(m *packet.Meta, frame []byte) bool {
	if m.GSOSize == 0 || !m.CsumPartial {
		return false
	}
	switch m.GSOType &^ gsoECN {
	case packet.GSOTCPv4, packet.GSOTCPv6:
		offset := int(m.CsumStart) + 12
		if offset >= len(frame) {
			return false
		}
		m.HdrLen = m.CsumStart + uint16(frame[offset]>>4)*4
	case packet.GSOUDP:
		m.HdrLen = m.CsumStart + 8
	default:
		return false
	}
	return int(m.HdrLen) <= len(frame)
}

// gsoECN is a flag of the type: the frame has CWR set (VIRTIO_NET_HDR_GSO_ECN).
const gsoECN = 0x80
