package route

import (
	"encoding/binary"
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// security is a Security as workers read it. Whether a frame is refused
// follows from what a permit is tied to: its key, its MAC addresses and its port. What is no
// IP, and a router advertisement, has no session and is judged every time.
type security struct {
	blocks          blocks
	forwardReserved bool
	allow           []packet.MAC // addresses to which control frames pass
}

// blocks is a set of filters.
type blocks uint8

const (
	blockDHCPServer4 blocks = 1 << iota
	blockDHCPClient4
	blockDHCPServer6
	blockDHCPClient6
	blockRA
	blockNonIP

	blockDHCP = blockDHCPServer4 | blockDHCPClient4 | blockDHCPServer6 | blockDHCPClient6
	blockIP   = blockDHCP | blockRA
)

func compileSecurity(c *Security) security {
	s := security{forwardReserved: c.ForwardReserved, allow: slices.Clone(c.AllowReserved)}
	for _, f := range []struct {
		on    bool
		block blocks
	}{
		{c.BlockDHCPServer, blockDHCPServer4},
		{c.BlockDHCPClient, blockDHCPClient4},
		{c.BlockDHCPServer6, blockDHCPServer6},
		{c.BlockDHCPClient6, blockDHCPClient6},
		{c.BlockRouterAdvertisements, blockRA},
		{c.BlockNonIP, blockNonIP},
	} {
		if f.on {
			s.blocks |= f.block
		}
	}
	return s
}

// Decide judges what the frame is, whoever sent it.
func (x securityDecider) Decide(d *dataplane.Decision) {
	m := x.f.memberOf(d.In.Number, d.Zone)
	if m == nil {
		d.Drop(packet.UnknownSegment)
		return
	}
	if r := m.security.judge(d); r != packet.None {
		d.Drop(r)
	}
}

// judge returns why a frame is refused, or None.
func (s *security) judge(d *dataplane.Decision) packet.Reason {
	in := d.Info
	dst := packet.Ethernet(d.Frame()).Dst()
	reserved, allowed := isReserved(dst), s.allows(dst)
	switch {
	case reserved && !allowed && (!s.forwardReserved || in.EtherType == packet.EtherTypeMACControl):
		return packet.ReservedMulticast
	case s.blocks == 0:
		return packet.None
	case in.Has(packet.IsIP):
		return s.judgeIP(d)
	case in.EtherType == packet.EtherTypeARP:
		return packet.None
	case s.blocks&blockNonIP != 0 && !reserved && !allowed,
		s.blocks&blockIP != 0 && hidesIP(d):
		return packet.NonIPBlocked
	}
	return packet.None
}

// allows reports whether control frames pass to an address.
func (s *security) allows(dst packet.MAC) bool {
	for _, m := range s.allow {
		if m == dst {
			return true
		}
	}
	return false
}

// isReserved reports whether a bridge keeps frames to mac on their link (IEEE
// 802.1Q table 8-1): spanning tree, pause, LACP, LLDP.
func isReserved(mac packet.MAC) bool {
	const prefix = 0x0000_00c2_8001 // 01:80:c2:00:00 in memory order
	w := mac.Word()
	return w&(1<<40-1) == prefix && w>>40 < 16
}

// dhcpFilters are by destination port: that is what servers and clients listen
// on (RFC 2131 section 4.1, RFC 8415 section 7.2), while who wants to pass for the
// other may send from any.
var dhcpFilters = [...]struct {
	version packet.Flags
	port    uint16
	block   blocks
	reason  packet.Reason
}{
	{packet.IsIPv4, dhcpClientPort, blockDHCPServer4, packet.DHCPServerBlocked},
	{packet.IsIPv4, dhcpServerPort, blockDHCPClient4, packet.DHCPClientBlocked},
	{packet.IsIPv6, dhcpClientPort6, blockDHCPServer6, packet.DHCPServerBlocked},
	{packet.IsIPv6, dhcpServerPort6, blockDHCPClient6, packet.DHCPClientBlocked},
}

const (
	dhcpServerPort  = 67
	dhcpClientPort  = 68
	dhcpClientPort6 = 546
	dhcpServerPort6 = 547
)

// judgeIP is judge for IP packets. A later fragment has the ports of its
// datagram's first by now.
func (s *security) judgeIP(d *dataplane.Decision) packet.Reason {
	in := d.Info
	if in.Proto == packet.ProtoUDP && s.blocks&blockDHCP != 0 {
		port := in.Key.DstPort()
		for i := range dhcpFilters {
			if f := &dhcpFilters[i]; f.port == port && s.blocks&f.block != 0 && in.Has(f.version) {
				return f.reason
			}
		}
	}
	if s.blocks&blockRA != 0 && mayAdvertise(d) {
		return packet.RAGuard
	}
	return packet.None
}

// mayAdvertise reports whether a packet is a router advertisement, or may be one that
// cannot be seen (RFC 7113 section 3). Any is meant: those that no host would take,
// with a wrong source address or hop limit, are no loss. The parser has walked
// the headers, and dropped packets with a chain that is malformed, longer than legal, or not whole in
// the first fragment. A later fragment comes to nothing without the first, and hosts take no
// fragmented advertisement at all (RFC 6980). What ESP holds is its receiver's business.
func mayAdvertise(d *dataplane.Decision) bool {
	in := d.Info
	switch {
	case !in.Has(packet.IsIPv6) || in.Has(packet.IsLaterFragment):
		return false
	case in.Proto == packet.ProtoICMPv6:
		m := icmpOf(d)
		return len(m) > 0 && m[0] == packet.ICMPv6RouterAdvertisement
	}
	// It may become the number of an extension header, behind which hosts that know
	// it read on; until then nobody needs it.
	return in.Proto > packet.ProtoMax
}

// hidesIP reports whether a frame is IP in an 802.2 header with SNAP (RFC 1042),
// maybe with tags between. Hosts on Ethernet do not send that, and the parser
// does not look into it; but a bridge to a wireless network makes plain IP of it, whatever its length
// field says (CVE-2021-27861, CVE-2021-27862).
func hidesIP(d *dataplane.Decision) bool {
	const snap = 0xaa // DSAP and SSAP, but for the bits for groups and responses
	p := d.Frame()[d.Info.L3:]
	if d.Info.EtherType >= packet.MinEtherType || len(p) < 8 || p[0]&^1 != snap || p[1]&^1 != snap {
		return false
	}
	etherType := binary.BigEndian.Uint16(p[6:])
	return etherType == packet.EtherTypeIPv4 || etherType == packet.EtherTypeIPv6 || packet.IsVLAN(etherType)
}
