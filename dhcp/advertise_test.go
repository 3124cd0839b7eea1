package dhcp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// advertisement is what a router advertisement says.
type advertisement struct {
	to, toMAC         string
	managed, other    bool
	lifetime          uint16
	mtu               uint32
	link              packet.MAC
	prefixes          []string
	dns, search       []byte // options' values behind the lifetime
	dnsTime, listTime uint32
}

// readAdvertisement holds a frame against RFC 4861 section 6.1.2 and reads it.
func readAdvertisement(t testing.TB, f []byte) (a advertisement) {
	t.Helper()
	var in packet.Info
	require.Equal(t, packet.None, packet.Parse(f, &in))
	require.EqualValues(t, 255, in.TTL)
	require.Equal(t, packet.LinkLocal(gatewayMAC), in.Key.Src, "from the router's link-local address")
	require.Equal(t, gatewayMAC, packet.Ethernet(f).Src())
	require.Len(t, f, int(uint32(in.L3)+in.IPLen))
	require.True(t, packet.VerifyTransport(f, int(in.L3), int(in.L4), int(in.IPLen), in.Proto))
	m, ok := packet.AsNDRouterAdvertisement(f[in.L4:])
	require.True(t, ok)
	a.to, a.toMAC = packet.IPv6(f[in.L3:]).Dst().String(), packet.Ethernet(f).Dst().String()
	a.managed, a.other, a.lifetime = m.Managed(), m.OtherConfig(), m.Lifetime()
	require.EqualValues(t, 64, m.HopLimit())
	it := m.Options()
	for o, ok := it.Next(); ok; o, ok = it.Next() {
		if link, found := o.LinkAddr(); found {
			a.link = link
		}
		if mtu, found := o.MTU(); found {
			a.mtu = mtu
		}
		if p, found := o.Prefix(); found {
			a.prefixes = append(a.prefixes, fmt.Sprintf("%s/%d on-link %v autonomous %v %d %d", p.Addr, p.Bits, p.OnLink, p.Autonomous, p.Preferred, p.Valid))
		}
		word := func() uint32 {
			return uint32(o.Bytes[4])<<24 | uint32(o.Bytes[5])<<16 | uint32(o.Bytes[6])<<8 | uint32(o.Bytes[7])
		}
		switch o.Type {
		case ndOptionDNS:
			a.dns, a.dnsTime = o.Bytes[8:], word()
		case ndOptionSearch:
			a.search, a.listTime = o.Bytes[8:], word()
		}
	}
	require.False(t, it.Malformed())
	return a
}

func TestSolicitation(t *testing.T) {
	const ends = "eth 0a:58:0a:00:00:02 > 33:33:00:00:00:02"
	n := quiet(t, dualStack())
	sent, drop := n.give(1, frame(t, "icmp6 fe80::2 > ff02::2 rs lladdr 0a:58:0a:00:00:02 %s", ends))
	require.Equal(t, packet.None, drop)
	require.Len(t, sent, 1)
	dns := netip.MustParseAddr("2001:db8::53").As16()
	require.Equal(t, advertisement{
		to: "fe80::2", toMAC: "0a:58:0a:00:00:02", managed: true, other: true, lifetime: 1800, mtu: 1450, link: gatewayMAC,
		prefixes: []string{"2001:db8::/64 on-link true autonomous false 604800 2592000"},
		dns:      dns[:], dnsTime: 1800,
		search: []byte("\x07example\x03org\x00\x07example\x03com\x00\x00\x00\x00\x00\x00\x00"), listTime: 1800,
	}, readAdvertisement(t, sent[0]))

	sent, _ = n.give(1, frame(t, "icmp6 :: > ff02::2 rs %s", ends))
	require.Len(t, sent, 1)
	a := readAdvertisement(t, sent[0])
	require.Equal(t, "ff02::1 33:33:00:00:00:01", a.to+" "+a.toMAC, "who has no address can't be told by unicast")
	require.Empty(t, n.sent(2), "but others need not hear")
	require.EqualValues(t, 2, n.state.Stats().SolicitedRAs)

	sent, _ = n.give(2, frame(t, "icmp6 fe80::2 > ff02::2 rs vlan 7 %s", ends))
	require.Len(t, sent, 1)
	v, _ := packet.AsVLAN(packet.Ethernet(sent[0]).Payload())
	require.EqualValues(t, 7, v.ID())

	for _, row := range []struct{ why, frame string }{
		{"it has come from another link", "icmp6 fe80::2 > ff02::2 rs ttl 254"},
		{"its checksum is wrong", "icmp6 fe80::2 > ff02::2 rs badcsum"},
		{"who has no address has no neighbour entry", "icmp6 :: > ff02::2 rs lladdr 0a:58:0a:00:00:02"},
		{"another code", "icmp6 fe80::2 > ff02::2 type 133 code 1 rest 0"},
		{"an option without length", "icmp6 fe80::2 > ff02::2 type 133 code 0 rest 0 hex 0100000000000000 ttl 255"},
	} {
		_, drop := n.give(1, frame(t, "%s %s", row.frame, ends))
		require.Equal(t, packet.InvalidHeader, drop, row.why)
	}
	sent, _ = n.give(4, frame(t, "icmp6 fe80::2 > ff02::2 rs %s", ends))
	require.Empty(t, sent, "nothing is advertised on the other segment")
}

// rounds lets time pass and returns when a port was sent what, in whole seconds.
func (n *testbed) rounds(port uint16, d time.Duration) (at []int, all []advertisement) {
	for second := range int(d / time.Second) {
		n.turn()
		for _, f := range n.sent(port) {
			at = append(at, second)
			all = append(all, readAdvertisement(n.t, f))
		}
		n.now += int64(time.Second)
	}
	return at, all
}

func TestUnsolicitedAdvertisements(t *testing.T) {
	n := newTestbed(t, dualStack())
	at, all := n.rounds(1, 3*time.Hour)
	require.Equal(t, "ff02::1 33:33:00:00:00:01", all[0].to+" "+all[0].toMAC)
	require.EqualValues(t, 1800, all[0].lifetime)
	require.Equal(t, []int{0, 16, 32}, at[:3], "hosts that were there first are told soon (RFC 4861 section 6.2.4)")
	distinct := map[int]bool{}
	for i := 3; i < len(at); i++ {
		gap := at[i] - at[i-1]
		require.True(t, 199 <= gap && gap <= 601, "between a third of the interval and all of it: %d", gap)
		distinct[gap] = true
	}
	require.Greater(t, len(distinct), 10, "at random")
	require.Len(t, n.sent(3), len(at), "all ports of the segment hear the same")
	require.Empty(t, n.sent(4), "and those of others nothing")

	again, _ := newTestbed(t, dualStack()).rounds(1, 3*time.Hour)
	require.Equal(t, at, again, "with one seed at the same times")

	other := newTestbed(t, Config{GatewayMAC: gatewayMAC})
	other.state.seed = 2
	other.apply(dualStack())
	again, _ = other.rounds(1, 3*time.Hour)
	require.NotEqual(t, at, again, "with another at others")
}

func TestAdvertisementsThatChange(t *testing.T) {
	n := newTestbed(t, dualStack())
	n.rounds(1, 2*time.Hour)

	n.apply(dualStack())
	_, all := n.rounds(1, 190*time.Second)
	require.LessOrEqual(t, len(all), 1, "what has not changed goes on as before")

	c := dualStack()
	c.Segments[0].Advertisement.Lifetime = 900 * time.Second
	n.apply(c)
	at, all := n.rounds(1, 100*time.Second)
	require.Len(t, all, 3, "what has changed is told soon, and again")
	require.LessOrEqual(t, at[0], 3)
	require.EqualValues(t, 900, all[0].lifetime)

	gone := dualStack()
	gone.Segments[0].Advertisement = nil
	n.apply(gone)
	at, all = n.rounds(1, time.Hour)
	require.Len(t, all, 3, "a router that is none any more says so (RFC 4861 section 6.2.5)")
	require.Less(t, at[2], 10)
	for _, a := range all {
		require.Zero(t, a.lifetime)
	}

	n.apply(dualStack())
	at, all = n.rounds(1, time.Minute)
	require.Len(t, all, 3)
	require.EqualValues(t, 1800, all[0].lifetime)
	require.Zero(t, at[0])

	n.apply(gone)
	n.rounds(1, time.Second)
	n.apply(dualStack())
	at, all = n.rounds(1, time.Minute)
	require.EqualValues(t, 1800, all[0].lifetime, "a router that was to be none is one again")
	require.LessOrEqual(t, at[0], 3)

	gone.Segments[0].Name = "another"
	n.apply(gone)
	_, all = n.rounds(1, time.Hour)
	require.Empty(t, all, "a segment that is gone has nobody to be told, and the other with its number never had a router")
}

// A segment of many ports is told in portions, a turn each.
func TestRoundsInPortions(t *testing.T) {
	c := dualStack()
	for i := range 3 * framesAtOnce {
		c.Ports[0].Zones = append(c.Ports[0].Zones, Attachment{Zone: packet.Zone(100 + i)})
		s := c.Segments[0]
		s.Zone, s.Name, s.DHCP = packet.Zone(100+i), fmt.Sprint("s", i), nil
		c.Segments = append(c.Segments, s)
	}
	s, err := Compile(&c, NewState(StateConfig{}))
	require.NoError(t, err)
	require.Len(t, s.advertised, 1+3*framesAtOnce)
	n := newTestbed(t, Config{GatewayMAC: gatewayMAC})
	for i := range 3 * framesAtOnce {
		c.Ports[0].Zones[1+i].Tags.Outer = uint16(100 + i)
	}
	n.apply(c)
	total := 0
	for range 4 {
		n.turn()
		sent := len(n.sent(1))
		require.LessOrEqual(t, sent, framesAtOnce)
		total += sent
		n.now += betweenPortions
	}
	require.Equal(t, 1+3*framesAtOnce, total, "and nobody is left out")
}
