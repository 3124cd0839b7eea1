// Package vnet is what the drivers with a virtio_net_hdr before each frame
// have in common: TAP (IFF_VNET_HDR) and packet sockets (PACKET_VNET_HDR). The
// header says of a frame that its checksum is yet to be completed and that it
// is a super-frame (linux/virtio_net.h; virtio 1.2 section 5.1.6). Kit has the
// buffers into which frames of unknown size are received.
package vnet

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/packet"
)

// Size is the length of the header in bytes, without the number of merged
// buffers: both kinds of devices begin with this one.
const Size = 10

// Header is a virtio_net_hdr in host byte order, as both devices have it by
// default:
//
//	0      1         2        4         6           8
//	flags  gso_type  hdr_len  gso_size  csum_start  csum_offset
type Header [Size]byte

// Bits of flags (VIRTIO_NET_HDR_F_*).
const (
	needsCsum = 1 // csum_start and csum_offset are valid
	dataValid = 2 // the checksum was verified
)

// gsoECN is a flag of the type: the frame has CWR set (VIRTIO_NET_HDR_GSO_ECN).
const gsoECN = 0x80

// Decode sets the checksum and GSO fields of m from the header that came before
// frame. It reports false where header and frame contradict each other; such a
// frame must not enter the pipeline. Super-frames leave it in one form,
// with a partial checksum, whoever has made them.
func (h *Header) Decode(m *packet.Meta, frame []byte) bool {
	ne := binary.NativeEndian
	flags, gso := h[0], h[1]
	m.CsumValid = flags&dataValid != 0
	if flags&needsCsum != 0 {
		m.CsumPartial, m.CsumValid = true, false
		m.CsumStart, m.CsumOffset = ne.Uint16(h[6:]), ne.Uint16(h[8:])
		// What is before the network header no checksum covers.
		if m.CsumStart < packet.EthernetSize || int(m.CsumStart)+int(m.CsumOffset)+2 > len(frame) {
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

// Offsets of what a super-frame's transport header must tell.
const (
	tcpChecksum = 16
	udpChecksum = 6
)

// decodeGSO completes the metadata of a super-frame from its own headers. What
// the kernel says about their length is not used: packet sockets give the length
// of the skb's linear part there. A frame whose transport header is not the one
// that the type names is refused, also a tunnelled one (tx-udp_tnl-segmentation
// and the like): the header does not tell where the inner packet is.
func decodeGSO(m *packet.Meta, frame []byte) bool {
	var in packet.Info
	if m.GSOSize == 0 || packet.Parse(frame, &in) != packet.None || !in.Has(packet.HasPorts) || in.Has(packet.IsFragment) {
		return false
	}
	var field, headers uint16 // offset of the checksum; length of the transport header
	switch {
	case m.GSOType&^gsoECN == packet.GSOTCPv4 && in.Proto == packet.ProtoTCP && in.Has(packet.IsIPv4),
		m.GSOType&^gsoECN == packet.GSOTCPv6 && in.Proto == packet.ProtoTCP && in.Has(packet.IsIPv6):
		field, headers = tcpChecksum, uint16(packet.TCP(frame[in.L4:]).HeaderLen())
	case m.GSOType == packet.GSOUDP && in.Proto == packet.ProtoUDP:
		field, headers = udpChecksum, packet.UDPSize
	default:
		return false
	}
	size := uint32(in.L3) + in.IPLen - uint32(in.L4) // of the transport segment
	if uint32(headers) > size {
		return false
	}
	m.HdrLen = in.L4 + headers
	if m.CsumPartial {
		return m.CsumStart == in.L4 && m.CsumOffset == field
	}
	// Put together by GRO or by the NIC. Whoever did has verified the checksum of
	// each part, and what stands in the field now covers one of them or nothing.
	m.CsumPartial, m.CsumValid = true, false
	m.CsumStart, m.CsumOffset = in.L4, field
	sum := packet.PartialChecksum(in.Key.Src, in.Key.Dst, in.Proto, size)
	binary.BigEndian.PutUint16(frame[in.L4+field:], sum)
	return true
}
