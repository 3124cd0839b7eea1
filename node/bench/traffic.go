package bench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/packet"
)

// The hosts of a benchmark: some hundred on each port, so that addresses and
// next hops are many, as behind a real switch.
const hostsPerPort = 250

// group is a set of hosts behind one port.
type group struct {
	port string
	base netip.Addr // of host 0
}

func (g group) host(i int) netip.Addr {
	b := g.base.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(i%hostsPerPort))
	return netip.AddrFrom4(b)
}

// mac is the address that ports get by default.
func mac(a netip.Addr) packet.MAC { return packet.HostMAC(packet.AddrFrom(a)) }

// The topology: senders and bridged receivers share segment a, routed receivers
// are on segment b.
//
//	            ┌── a1   bridged receivers, 10.1.1.0/24
//	a0 ── seg a ┤
//	            └── router ── seg b ── b0   routed receivers, 10.2.1.0/24
var (
	senders = group{"a0", netip.MustParseAddr("10.1.0.2")}
	bridged = group{"a1", netip.MustParseAddr("10.1.1.1")}
	routed  = group{"b0", netip.MustParseAddr("10.2.1.1")}
)

// topology is the configuration, as a user would write it.
func topology(c *Config) string {
	var b strings.Builder
	// Room for all flows: what is measured is not eviction.
	sessions := max(c.Flows+c.Flows/8, 4096)
	fmt.Fprintf(&b, "apiVersion: sluice.dev/v1\nkind: NodeConfig\nmetadata: {name: bench}\nspec: {workers: %d, limits: {sessions: %d}, defaultRule: {action: %s}}\n", c.Workers, sessions, c.defaultAction())
	segment := func(name, cidr string) {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: %s}\nspec: {subnets: [{cidr: %s}]}\n", name, cidr)
	}
	segment("a", "10.1.0.0/16")
	segment("b", "10.2.0.0/16}, {cidr: fd00:2::/64")
	if c.Pcap != "" { // packets of any address: all of them go to a host of segment b
		b.WriteString("---\napiVersion: sluice.dev/v1\nkind: Router\nmetadata: {name: default}\nspec: {routes: [{prefix: 0.0.0.0/0, via: 10.2.1.1}, {prefix: '::/0', via: 'fd00:2::99'}]}\n")
	}
	for _, g := range []struct {
		group
		segment string
	}{{senders, "a"}, {bridged, "a"}, {routed, "b"}} {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: %s}\nspec:\n  segment: %s\n  guard: %t\n  device: {type: mem, queues: %d}\n  addresses:\n", g.port, g.segment, c.Pcap == "", c.Workers)
		if g.group == routed {
			b.WriteString("  - {ip: 'fd00:2::99'}\n")
		}
		for i := range hostsPerPort {
			fmt.Fprintf(&b, "  - {ip: %s, mac: '%s'}\n", g.host(i), mac(g.host(i)))
		}
	}
	return b.String()
}

// defaultAction is what becomes of packets that no rule matches.
func (c *Config) defaultAction() api.RuleAction {
	if c.has(DFW) {
		return api.ActionDrop
	}
	return api.ActionAllow
}

// frames makes one frame of each flow: UDP, distinct 5-tuples, bridged and
// routed ones in turn if both are asked for; or to the virtual servers in turn.
func frames(c *Config) [][]byte {
	all := make([][]byte, c.Flows)
	memory := make([]byte, c.Flows*c.Frame)
	if c.has(LB) {
		for i := range all {
			all[i] = memory[i*c.Frame : (i+1)*c.Frame]
			n := i / c.Services
			src := senders.host(n)
			udpFrame(all[i], mac(src), packet.GatewayMAC, src, vip(i%c.Services), uint16(1024+n/hostsPerPort%60000), vipPort)
		}
		return all
	}
	kinds := c.kinds()
	for i := range all {
		f := memory[i*c.Frame : (i+1)*c.Frame]
		to := kinds[i%len(kinds)]
		n := i / len(kinds)
		src, dst := senders.host(n), to.host(n/hostsPerPort)
		dstMAC := mac(dst)
		if to == routed {
			dstMAC = packet.GatewayMAC
		}
		// Ports tell apart what hosts do not.
		rest := n / (hostsPerPort * hostsPerPort)
		udpFrame(f, mac(src), dstMAC, src, dst, uint16(1024+rest%60000), uint16(9000+rest/60000))
		all[i] = f
	}
	return all
}

// kinds are the groups of hosts that receive.
func (c *Config) kinds() (list []group) {
	if c.has(L2) {
		list = append(list, bridged)
	}
	if c.has(L3) {
		list = append(list, routed)
	}
	return list
}

// udpFrame fills f with a UDP packet as long as it is.
func udpFrame(f []byte, srcMAC, dstMAC packet.MAC, src, dst netip.Addr, sport, dport uint16) {
	copy(f[0:], dstMAC[:])
	copy(f[6:], srcMAC[:])
	binary.BigEndian.PutUint16(f[12:], packet.EtherTypeIPv4)
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, packet.ProtoUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	s, d := src.As4(), dst.As4()
	copy(ip[12:], s[:])
	copy(ip[16:], d[:])
	binary.BigEndian.PutUint16(ip[10:], packet.Checksum(ip[:20]))
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp[0:], sport)
	binary.BigEndian.PutUint16(udp[2:], dport)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	packet.SetTransport(f, 14, 34, len(ip), packet.ProtoUDP)
}
