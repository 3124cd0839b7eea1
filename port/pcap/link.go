package pcap

import (
	"encoding/binary"
	"strconv"

	"github.com/sluice-net/sluice/packet"
)

// LinkType is the kind of link-layer header in a capture, numbered as by
// tcpdump.org/linktypes.html.
type LinkType uint16

// The link types that are carried.
const (
	LinkNull     LinkType = 0   // BSD loopback: address family in the byte order of the capturing host
	LinkEthernet LinkType = 1   // as is
	LinkRawBSD   LinkType = 12  // LinkRaw as some systems write it
	LinkRawOBSD  LinkType = 14  // LinkRaw as OpenBSD writes it
	LinkRaw      LinkType = 101 // bare IPv4 or IPv6
	LinkLoop     LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkSLL      LinkType = 113 // Linux "cooked" capture
	LinkIPv4     LinkType = 228 // bare IPv4
	LinkIPv6     LinkType = 229 // bare IPv6
	LinkSLL2     LinkType = 276 // Linux "cooked" capture, version 2
)

// linkNames are the LINKTYPE_ names of kinds that people meet.
var linkNames = map[LinkType]string{
	LinkNull: "NULL", LinkEthernet: "ETHERNET", LinkRawBSD: "RAW", LinkRawOBSD: "RAW", LinkRaw: "RAW",
	LinkLoop: "LOOP", LinkSLL: "LINUX_SLL", LinkIPv4: "IPV4", LinkIPv6: "IPV6", LinkSLL2: "LINUX_SLL2",

	3: "AX25", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 9: "PPP", 10: "FDDI", 50: "PPP_HDLC", 51: "PPP_ETHER",
	100: "ATM_RFC1483", 104: "C_HDLC", 105: "IEEE802_11", 107: "FRELAY", 114: "LTALK", 117: "PFLOG",
	119: "IEEE802_11_PRISM", 122: "IP_OVER_FC", 123: "SUNATM", 127: "IEEE802_11_RADIOTAP", 129: "ARCNET_LINUX",
	130: "JUNIPER_MLPPP", 131: "JUNIPER_MLFR", 132: "JUNIPER_ES", 133: "JUNIPER_GGSN", 134: "JUNIPER_MFR",
	135: "JUNIPER_ATM2", 136: "JUNIPER_SERVICES", 137: "JUNIPER_ATM1", 143: "DOCSIS", 144: "LINUX_IRDA",
	163: "IEEE802_11_AVS", 164: "JUNIPER_MONITOR", 165: "BACNET_MS_TP", 166: "PPP_PPPD", 169: "GPRS_LLC",
	177: "LINUX_LAPD", 178: "JUNIPER_ETHER", 182: "JUNIPER_FRELAY", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX",
	192: "PPI", 195: "IEEE802_15_4_WITHFCS", 202: "AX25_KISS", 204: "PPP_WITH_DIR", 205: "C_HDLC_WITH_DIR",
	206: "FRELAY_WITH_DIR", 220: "USB_LINUX_MMAPPED", 226: "IPNET", 227: "CAN_SOCKETCAN",
	230: "IEEE802_15_4_NOFCS", 231: "DBUS", 239: "NFLOG", 242: "IPOIB", 247: "INFINIBAND", 249: "USBPCAP",
	251: "BLUETOOTH_LE_LL", 253: "NETLINK", 258: "PKTAP", 271: "VSOCK", 281: "DSA_TAG_BRCM", 282: "DSA_TAG_BRCM_PREPEND",
	284: "DSA_TAG_DSA", 285: "DSA_TAG_EDSA",
}

// String returns the number and, if well known, the LINKTYPE_ name.
func (l LinkType) String() string {
	n := strconv.Itoa(int(l))
	if l >= 147 && l <= 162 {
		return n + " (USER" + strconv.Itoa(int(l)-147) + ")"
	}
	if name := linkNames[l]; name != "" {
		return n + " (" + name + ")"
	}
	return n
}

// Carried reports whether frames of this link type can be turned into Ethernet.
func (l LinkType) Carried() bool {
	switch l {
	case LinkNull, LinkEthernet, LinkRawBSD, LinkRawOBSD, LinkRaw, LinkLoop, LinkSLL, LinkIPv4, LinkIPv6, LinkSLL2:
		return true
	}
	return false
}

// etherLen is the length of an Ethernet header: the room that toEthernet needs
// in front of a frame.
const etherLen = 14

// cooked is what a link-layer header that is not Ethernet tells.
type cooked struct {
	headerLen int
	etherType uint16     // 0: none; a value below 0x600 asks for an 802.3 length
	src       packet.MAC // zero: none
	broadcast bool
}

// toEthernet replaces the link-layer header of the frame b[etherLen:] by an
// Ethernet header in place and returns where the frame starts in b, or carried
// false if the header says nothing that Ethernet could.
func (l LinkType) toEthernet(b []byte) (start int, carried bool) {
	if l == LinkEthernet {
		return etherLen, true
	}
	c, carried := l.parse(b[etherLen:])
	if !carried {
		return 0, false
	}
	payload := b[etherLen+c.headerLen:]
	dst, src := ipMACs(c.etherType, payload)
	if c.broadcast {
		dst = packet.Broadcast
	}
	if !c.src.IsZero() {
		src = c.src
	}
	if c.etherType < 0x600 {
		// IEEE 802.3: what follows is LLC and the field is its length.
		if len(payload) > 1500 {
			return 0, false
		}
		c.etherType = uint16(len(payload))
	}
	header := b[c.headerLen:][:etherLen]
	copy(header, dst[:])
	copy(header[6:], src[:])
	binary.BigEndian.PutUint16(header[12:], c.etherType)
	return c.headerLen, true
}

// parse reads the link-layer header at the start of h.
func (l LinkType) parse(h []byte) (c cooked, carried bool) {
	switch l {
	case LinkRaw, LinkRawBSD, LinkRawOBSD:
		if len(h) == 0 {
			return c, false
		}
		c.etherType = etherTypeOfVersion(h[0] >> 4)
		return c, c.etherType != 0
	case LinkIPv4:
		c.etherType = packet.EtherTypeIPv4
		return c, true
	case LinkIPv6:
		c.etherType = packet.EtherTypeIPv6
		return c, true
	case LinkNull, LinkLoop:
		if len(h) < 4 {
			return c, false
		}
		// The capturing host's byte order need not be the file's, so both count.
		c.headerLen = 4
		c.etherType = etherTypeOfFamily(binary.LittleEndian.Uint32(h))
		if c.etherType == 0 {
			c.etherType = etherTypeOfFamily(binary.BigEndian.Uint32(h))
		}
		return c, c.etherType != 0
	case LinkSLL:
		//  0 packet type, 2 ARPHRD, 4 address length, 6 address[8], 14 protocol
		if len(h) < 16 {
			return c, false
		}
		return parseSLL(16, binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:]),
			binary.BigEndian.Uint16(h[4:]), h[6:14], binary.BigEndian.Uint16(h[14:]))
	case LinkSLL2:
		//  0 protocol, 4 interface, 8 ARPHRD, 10 packet type, 11 address length, 12 address[8]
		if len(h) < 20 {
			return c, false
		}
		return parseSLL(20, uint16(h[10]), binary.BigEndian.Uint16(h[8:]),
			uint16(h[11]), h[12:20], binary.BigEndian.Uint16(h))
	}
	return c, false
}

// parseSLL takes the fields of either version of a Linux cooked header.
func parseSLL(headerLen int, kind, arphrd, addrLen uint16, addr []byte, proto uint16) (c cooked, carried bool) {
	const (
		kindBroadcast = 1 // PACKET_BROADCAST
		protoRaw8023  = 1 // ETH_P_802_3: Novell, 802.3 without LLC
		protoLLC      = 4 // ETH_P_802_2

		arphrdFRAD     = 770 // frame relay: the protocol field means nothing
		arphrdRadiotap = 803 // 802.11
		arphrdNetlink  = 824 // the protocol field is a netlink family
	)
	switch arphrd {
	case arphrdFRAD, arphrdRadiotap, arphrdNetlink:
		return c, false
	}
	if proto < 0x600 && proto != protoLLC && proto != protoRaw8023 {
		return c, false
	}
	c = cooked{headerLen: headerLen, etherType: proto, broadcast: kind == kindBroadcast}
	if addrLen == 6 {
		c.src = packet.MAC(addr[:6])
	}
	return c, true
}

func etherTypeOfVersion(v byte) uint16 {
	switch v {
	case 4:
		return packet.EtherTypeIPv4
	case 6:
		return packet.EtherTypeIPv6
	}
	return 0
}

// etherTypeOfFamily maps AF_INET, and AF_INET6 as Linux, NetBSD and OpenBSD,
// FreeBSD, and Darwin number it.
func etherTypeOfFamily(f uint32) uint16 {
	switch f {
	case 2:
		return packet.EtherTypeIPv4
	case 10, 24, 28, 30:
		return packet.EtherTypeIPv6
	}
	return 0
}

// ipMACs makes the addresses of an IP packet that has none; see the package
// comment. Packets that are not IP, or too short, get a source of 0a:58:0:0:0:0.
func ipMACs(etherType uint16, p []byte) (dst, src packet.MAC) {
	var from, to packet.Addr
	switch {
	case etherType == packet.EtherTypeIPv4 && len(p) >= packet.IPv4MinSize:
		ip := packet.IPv4(p)
		from, to = ip.Src(), ip.Dst()
	case etherType == packet.EtherTypeIPv6 && len(p) >= packet.IPv6Size:
		ip := packet.IPv6(p)
		from, to = ip.Src(), ip.Dst()
	}
	dst, isGroup := packet.GroupMAC(to)
	if !isGroup {
		dst = packet.GatewayMAC
	}
	return dst, packet.HostMAC(from)
}
