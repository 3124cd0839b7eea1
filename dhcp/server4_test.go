package dhcp

import (
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// client4 is a DHCPv4 client at a port.
type client4 struct {
	*testbed
	port uint16
	ends string // "eth ..." of its frames
}

// say sends a message and returns the answer with where it went; nil: none.
func (c client4) say(from, to string, m *dhcpv4.DHCPv4) (a *dhcpv4.DHCPv4, text string, drop packet.Reason) {
	c.t.Helper()
	return c.sayBytes(from, to, m.ToBytes())
}

func (c client4) sayBytes(from, to string, m []byte) (a *dhcpv4.DHCPv4, text string, drop packet.Reason) {
	c.t.Helper()
	sent, drop := c.give(c.port, frame(c.t, "udp %s:68 > %s:67 hex %x %s", from, to, m, c.ends))
	if len(sent) == 0 {
		return nil, "", drop
	}
	require.Len(c.t, sent, 1)
	text, payload := datagram(c.t, sent[0])
	require.GreaterOrEqual(c.t, len(payload), bootMinSize)
	a, err := dhcpv4.FromBytes(payload)
	require.NoError(c.t, err)
	require.Equal(c.t, dhcpv4.OpcodeBootReply, a.OpCode)
	return a, text, drop
}

// at makes a client at port 1, with an address or without one yet.
func at(n *testbed) client4 {
	return client4{n, 1, "eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff"}
}

func message4Of(t testing.TB, modifiers ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(hardware)}, modifiers...)...)
	require.NoError(t, err)
	return m
}

// The exchange of RFC 2131 figure 3, and what a client is told.
func TestAddressIsHandedOut(t *testing.T) {
	c := at(quiet(t, dualStack()))
	discovery, err := dhcpv4.NewDiscovery(hardware,
		dhcpv4.WithRequestedOptions(dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter, dhcpv4.OptionInterfaceMTU, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList,
			dhcpv4.OptionHostName, dhcpv4.OptionBroadcastAddress, dhcpv4.OptionNTPServers, dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName),
		dhcpv4.WithOption(dhcpv4.OptClientIdentifier([]byte("an id"))),
		dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500)),
	)
	require.NoError(t, err)
	offer, text, _ := c.say("0.0.0.0", "255.255.255.255", discovery)
	require.NotNil(t, offer)
	require.Equal(t, "02:50:56:56:44:52 10.0.0.1:67 > 0a:58:0a:00:00:02 10.0.0.2:68", text, "to the address and MAC of the client, which it can receive")
	require.Equal(t, dhcpv4.MessageTypeOffer, offer.MessageType())

	check := func(m *dhcpv4.DHCPv4) {
		t.Helper()
		require.Equal(t, discovery.TransactionID, m.TransactionID)
		require.Equal(t, hardware, m.ClientHWAddr)
		require.True(t, m.YourIPAddr.Equal(own))
		require.True(t, m.ServerIPAddr.Equal(net.IP{192, 0, 2, 69}), "the next server")
		require.Equal(t, "pxelinux.0", m.BootFileName)
		require.True(t, m.ServerIdentifier().Equal(gateway))
		require.Equal(t, net.IPMask{255, 255, 255, 0}, m.SubnetMask())
		require.Equal(t, 24*time.Hour, m.IPAddressLeaseTime(0))
		require.Equal(t, 12*time.Hour, m.IPAddressRenewalTime(0))
		require.Equal(t, 21*time.Hour, m.IPAddressRebindingTime(0))
		require.Equal(t, []byte("an id"), m.Options.Get(dhcpv4.OptionClientIdentifier), "RFC 6842")
		require.Len(t, m.Router(), 1)
		require.True(t, m.Router()[0].Equal(gateway))
		require.Len(t, m.DNS(), 2)
		require.True(t, m.DNS()[1].Equal(net.IP{192, 0, 2, 54}))
		require.Equal(t, "example.org", m.DomainName())
		require.Equal(t, []string{"a.example.org", "b.example.org", "example.org"}, m.DomainSearch().Labels)
		require.Equal(t, "web-0", m.HostName())
		require.True(t, m.BroadcastAddress().Equal(net.IP{10, 0, 0, 255}))
		require.Len(t, m.NTPServers(), 1)
		require.Equal(t, "192.0.2.69", m.TFTPServerName())
		require.Equal(t, "pxelinux.0", m.BootFileNameOption())
		require.Equal(t, []byte{1400 >> 8, 1400 & 0xff}, m.Options.Get(dhcpv4.OptionInterfaceMTU), "the smaller of the port's and the segment's")
		routes := m.ClasslessStaticRoute()
		require.Len(t, routes, 3)
		require.Equal(t, "route to 192.168.0.0/16 via 10.0.0.9", routes[0].String())
		require.Equal(t, "route to 198.51.100.128/25 via 10.0.0.8", routes[1].String())
		require.Equal(t, "route to 0.0.0.0/0 via 10.0.0.1", routes[2].String(), "who takes option 121 ignores option 3 (RFC 3442)")
	}
	check(offer)
	request, err := dhcpv4.NewRequestFromOffer(offer, dhcpv4.WithOption(dhcpv4.OptClientIdentifier([]byte("an id"))), dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500)),
		dhcpv4.WithRequestedOptions(discovery.ParameterRequestList()...))
	require.NoError(t, err)
	ack, _, _ := c.say("0.0.0.0", "255.255.255.255", request)
	require.NotNil(t, ack)
	require.Equal(t, dhcpv4.MessageTypeAck, ack.MessageType())
	check(ack)

	renewal, err := dhcpv4.NewRenewFromAck(ack)
	require.NoError(t, err)
	again, text, _ := c.say("10.0.0.2", "10.0.0.1", renewal)
	require.NotNil(t, again)
	require.Equal(t, dhcpv4.MessageTypeAck, again.MessageType())
	require.True(t, again.ClientIPAddr.Equal(own))
	require.Equal(t, "02:50:56:56:44:52 10.0.0.1:67 > 0a:58:0a:00:00:02 10.0.0.2:68", text)

	release, err := dhcpv4.NewReleaseFromACK(ack)
	require.NoError(t, err)
	nothing, _, drop := c.say("10.0.0.2", "10.0.0.1", release)
	require.Nil(t, nothing)
	require.Equal(t, packet.None, drop, "a release is heard, though there is nothing to be given back")
	require.Equal(t, Stats{Offers: 1, Acks: 2, Releases: 1, UnsolicitedRAs: c.state.Stats().UnsolicitedRAs}, c.state.Stats())
}

// What RFC 2131 sections 4.3.1 to 4.3.5 say of each message.
func TestMessages(t *testing.T) {
	type m = dhcpv4.Modifier
	typ, opt := dhcpv4.WithMessageType, dhcpv4.WithOption
	server := func(a net.IP) m { return opt(dhcpv4.OptServerIdentifier(a)) }
	wants := func(a net.IP) m { return opt(dhcpv4.OptRequestedIPAddress(a)) }
	has := dhcpv4.WithClientIP
	const (
		none  = dhcpv4.MessageTypeNone
		offer = dhcpv4.MessageTypeOffer
		ack   = dhcpv4.MessageTypeAck
		nak   = dhcpv4.MessageTypeNak
	)
	other := net.IP{10, 0, 0, 77}
	for _, row := range []struct {
		why      string
		from, to string // empty: broadcast by who has no address
		message  []m
		want     dhcpv4.MessageType
		drop     packet.Reason
		flooded  bool
		dst      string // of the answer; empty is the client's own address
	}{
		{why: "a client looks for servers", message: []m{typ(dhcpv4.MessageTypeDiscover)}, want: offer},
		{why: "it can't receive unicast yet", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithBroadcast(true)}, want: offer, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "it would like another address, and is offered its own", message: []m{typ(dhcpv4.MessageTypeDiscover), wants(other)}, want: offer},
		{why: "it is in a hurry (RFC 4039)", message: []m{typ(dhcpv4.MessageTypeDiscover), opt(dhcpv4.OptGeneric(dhcpv4.OptionRapidCommit, nil))}, want: ack},
		{why: "by the subnet's broadcast address", from: "10.0.0.2", to: "10.0.0.255", message: []m{typ(dhcpv4.MessageTypeDiscover)}, want: offer},

		{why: "SELECTING: it takes the offer", message: []m{typ(dhcpv4.MessageTypeRequest), server(gateway), wants(own)}, want: ack},
		{why: "SELECTING: it takes what was not offered", message: []m{typ(dhcpv4.MessageTypeRequest), server(gateway), wants(other)}, want: nak, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "SELECTING: it takes another server's offer, which that one must hear", message: []m{typ(dhcpv4.MessageTypeRequest), server(other), wants(other)}, flooded: true},
		{why: "SELECTING: the offer of the other subnet's server", message: []m{typ(dhcpv4.MessageTypeRequest), server(net.IP{10, 0, 1, 0}), wants(own)}, want: nak, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "INIT-REBOOT: it remembers its address", message: []m{typ(dhcpv4.MessageTypeRequest), wants(own)}, want: ack},
		{why: "INIT-REBOOT: it remembers another, and must forget it", message: []m{typ(dhcpv4.MessageTypeRequest), wants(other)}, want: nak, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "INIT-REBOOT: it comes from another network", message: []m{typ(dhcpv4.MessageTypeRequest), wants(net.IP{172, 16, 0, 1})}, want: nak, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "RENEWING", from: "10.0.0.2", to: "10.0.0.1", message: []m{typ(dhcpv4.MessageTypeRequest), has(own)}, want: ack},
		{why: "RENEWING what is not its own", from: "10.0.0.77", to: "10.0.0.1", message: []m{typ(dhcpv4.MessageTypeRequest), has(other)}, want: nak, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "REBINDING", from: "10.0.0.2", message: []m{typ(dhcpv4.MessageTypeRequest), has(own)}, want: ack},
		{why: "REBINDING what is not its own", from: "10.0.0.77", message: []m{typ(dhcpv4.MessageTypeRequest), has(other)}, want: nak, dst: "ff:ff:ff:ff:ff:ff 255.255.255.255:68"},
		{why: "a request for nothing", message: []m{typ(dhcpv4.MessageTypeRequest)}, drop: packet.InvalidHeader},

		{why: "it has an address and asks for the rest", from: "10.0.0.2", message: []m{typ(dhcpv4.MessageTypeInform), has(own)}, want: ack},
		{why: "it forgets to say so", from: "10.0.0.2", to: "10.0.0.1", message: []m{typ(dhcpv4.MessageTypeInform)}, want: ack},
		{why: "its address is in use elsewhere", message: []m{typ(dhcpv4.MessageTypeDecline), server(gateway), wants(own)}},
		{why: "another server's is", message: []m{typ(dhcpv4.MessageTypeDecline), server(other), wants(own)}, flooded: true},
		{why: "it gives its address back", from: "10.0.0.2", to: "10.0.0.1", message: []m{typ(dhcpv4.MessageTypeRelease), server(gateway), has(own)}},

		{why: "a server's word from a client", message: []m{typ(dhcpv4.MessageTypeAck)}, drop: packet.InvalidHeader},
		{why: "a kind of message for servers with a memory (RFC 4388)", message: []m{typ(dhcpv4.MessageType(10))}, flooded: true},
		{why: "the same to this server", from: "10.0.0.2", to: "10.0.0.1", message: []m{typ(dhcpv4.MessageType(10))}, drop: packet.NoService},
		{why: "BOOTP without a message type", message: nil, flooded: true},
		{why: "what a relay passes on to many", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithRelay(other)}, flooded: true},
		{why: "what a relay passes on to this server", from: "10.0.0.2", to: "10.0.0.1", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithRelay(other)}, drop: packet.NoService},
		{why: "a server's answer to a relay", message: []m{typ(dhcpv4.MessageTypeOffer), func(d *dhcpv4.DHCPv4) { d.OpCode = dhcpv4.OpcodeBootReply }}, flooded: true},
		{why: "to a server elsewhere", from: "10.0.0.2", to: "192.0.2.67", message: []m{typ(dhcpv4.MessageTypeRequest), has(own)}, flooded: true},

		{why: "a MAC that has no address here", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 9})}, drop: packet.NoAddress},
		{why: "a MAC that is bound without an IP address", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 0})}, drop: packet.NoAddress},
		{why: "a MAC of another port", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 3})}, drop: packet.NoAddress},
		{why: "another kind of hardware", message: []m{typ(dhcpv4.MessageTypeDiscover), dhcpv4.WithHWType(32)}, drop: packet.InvalidHeader},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := quiet(t, dualStack())
			from, to := row.from, row.to
			if from == "" {
				from = "0.0.0.0"
			}
			if to == "" {
				to = "255.255.255.255"
			}
			c := at(n)
			a, text, drop := c.say(from, to, message4Of(t, row.message...))
			require.Equal(t, row.drop, drop)
			require.Equal(t, row.flooded, len(n.sent(3)) == 1, "others hear of it")
			if row.want == none {
				require.Nil(t, a)
				return
			}
			require.NotNil(t, a)
			require.Equal(t, row.want, a.MessageType())
			dst := row.dst
			if dst == "" {
				dst = "0a:58:0a:00:00:02 10.0.0.2:68"
			}
			require.Equal(t, "02:50:56:56:44:52 10.0.0.1:67 > "+dst, text)
			require.True(t, a.ServerIdentifier().Equal(gateway))
			lease := a.IPAddressLeaseTime(0)
			switch {
			case row.want == nak:
				require.Zero(t, lease)
				require.True(t, a.YourIPAddr.IsUnspecified() && a.ClientIPAddr.IsUnspecified())
				require.Empty(t, a.SubnetMask())
				require.NotEmpty(t, a.Message())
			case message4Of(t, row.message...).MessageType() == dhcpv4.MessageTypeInform:
				require.Zero(t, lease, "RFC 2131 section 4.3.5")
				require.True(t, a.YourIPAddr.IsUnspecified())
				require.NotEmpty(t, a.SubnetMask())
			default:
				require.Equal(t, 24*time.Hour, lease)
				require.True(t, a.YourIPAddr.Equal(own))
			}
		})
	}
}

// Clients get what they ask for, in the order in which they ask, as far as it fits.
func TestWishes(t *testing.T) {
	codes := func(p []byte) (list []uint8) {
		for p = p[bootOptions:]; p[0] != optionEnd; p = p[2+int(p[1]):] {
			list = append(list, p[0])
		}
		return list
	}
	id := make([]byte, 255)
	for _, row := range []struct {
		why     string
		message []dhcpv4.Modifier
		want    []uint8
	}{
		{
			"no wishes: all there is, but what has to be asked for",
			[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500))},
			[]uint8{53, 54, 51, 58, 59, 1, 121, 3, 6, 15, 119, 28, 42, 66, 67, 26},
		},
		{
			"in the client's order",
			[]dhcpv4.Modifier{dhcpv4.WithRequestedOptions(dhcpv4.OptionNTPServers, dhcpv4.OptionRouter, dhcpv4.OptionSubnetMask, dhcpv4.OptionHostName, dhcpv4.OptionRouter)},
			[]uint8{53, 54, 51, 58, 59, 1, 42, 3, 12},
		},
		{
			"what there is not",
			[]dhcpv4.Modifier{dhcpv4.WithRequestedOptions(dhcpv4.OptionNetBIOSOverTCPIPNodeType)},
			[]uint8{53, 54, 51, 58, 59, 1},
		},
		{
			"routes as Windows called them",
			[]dhcpv4.Modifier{dhcpv4.WithRequestedOptions(dhcpv4.GenericOptionCode(249))},
			[]uint8{53, 54, 51, 58, 59, 1, 249},
		},
		{
			"an identifier of greatest length leaves little room in 576 bytes",
			[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClientIdentifier(id)), dhcpv4.WithRequestedOptions(dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionRouter)},
			[]uint8{53, 54, 61, 51, 58, 59, 1, 3},
		},
		{
			"but not in more",
			[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptClientIdentifier(id)), dhcpv4.WithRequestedOptions(dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionRouter), dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(700))},
			[]uint8{53, 54, 61, 51, 58, 59, 1, 119, 3},
		},
		{
			"less than the smallest size counts as that",
			[]dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(300)), dhcpv4.WithRequestedOptions(dhcpv4.OptionRouter)},
			[]uint8{53, 54, 51, 58, 59, 1, 3},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := quiet(t, dualStack())
			m := message4Of(t, append(row.message, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))...)
			if row.want[len(row.want)-1] == 26 {
				m.Options.Del(dhcpv4.OptionParameterRequestList)
			}
			sent, _ := n.give(1, frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 hex %x eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff", m.ToBytes()))
			require.Len(t, sent, 1)
			_, p := datagram(t, sent[0])
			require.Equal(t, row.want, codes(p))
			size, err := dhcpv4.GetUint16(dhcpv4.OptionMaximumDHCPMessageSize, m.Options)
			if err != nil {
				size = 0
			}
			require.LessOrEqual(t, len(p)+headers4, max(int(size), defaultSize4))
		})
	}
}

// A port is its own segment's only where its addresses are; the other subnet is as good as the first.
func TestWhere(t *testing.T) {
	n := quiet(t, dualStack())
	discovery := message4Of(t, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
	tagged := client4{n, 2, "vlan 7 eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff"}
	a, _, drop := tagged.say("0.0.0.0", "255.255.255.255", discovery)
	require.Nil(t, a)
	require.Equal(t, packet.NoAddress, drop, "the client is at port 1, not here")

	elsewhere := client4{n, 4, "eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff"}
	a, _, drop = elsewhere.say("0.0.0.0", "255.255.255.255", discovery)
	require.Nil(t, a)
	require.Equal(t, packet.None, drop, "a segment without DHCP floods it")
	require.Len(t, n.sent(1), 1)
	require.Len(t, n.sent(3), 1)

	second := client4{n, 3, "eth 02:00:00:00:00:03 > ff:ff:ff:ff:ff:ff"}
	a, text, _ := second.say("0.0.0.0", "255.255.255.255", message4Of(t, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 3})))
	require.NotNil(t, a)
	require.Equal(t, "02:50:56:56:44:52 10.0.1.0:67 > 02:00:00:00:00:03 10.0.1.1:68", text)
	require.Equal(t, net.IPMask{255, 255, 255, 254}, a.SubnetMask())
	require.Empty(t, a.Router())
	require.Empty(t, a.ClasslessStaticRoute(), "the routes' next hops are on the other subnet")
	require.Nil(t, a.BroadcastAddress(), "RFC 3021")
}

// An answer to a client behind a tag carries that.
func TestTags(t *testing.T) {
	c := dualStack()
	c.Ports[1].Zone = 1
	c.Ports[1].Addresses = c.Ports[0].Addresses
	c.Ports[0].Addresses = nil
	n := quiet(t, c)
	sent, _ := n.give(2, frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 hex %x vlan 7 eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff",
		message4Of(t, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)).ToBytes()))
	require.Len(t, sent, 1)
	v, ok := packet.AsVLAN(packet.Ethernet(sent[0]).Payload())
	require.True(t, ok)
	require.Equal(t, uint16(packet.EtherTypeVLAN), packet.Ethernet(sent[0]).Type())
	require.EqualValues(t, 7, v.ID())
}

// What is damaged or in parts is no question.
func TestDamage(t *testing.T) {
	good := message4Of(t, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)).ToBytes()
	good = append(good, make([]byte, -len(good)&7)...) // as fragments have to be
	const ends = "eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff"
	for _, row := range []struct {
		why, frame string
		drop       packet.Reason
		answered   bool
	}{
		{"as it should be", "", packet.None, true},
		{"a UDP checksum that was left out", "nocsum", packet.None, true},
		{"a wrong one", "badcsum", packet.InvalidHeader, false},
		{"a wrong IP checksum", "badipcsum", packet.InvalidIPChecksum, false},
		{"the first part of a datagram is flooded", "mf", packet.None, false},
	} {
		n := quiet(t, dualStack())
		sent, drop := n.give(1, frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 hex %x %s %s", good, ends, row.frame))
		require.Equal(t, row.drop, drop, row.why)
		require.Equal(t, row.answered, len(sent) == 1, row.why)
	}
	for size := 1; size < bootOptions; size += 7 {
		n := at(quiet(t, dualStack()))
		_, _, drop := n.sayBytes("0.0.0.0", "255.255.255.255", good[:size])
		want := packet.InvalidHeader
		if size >= bootCookie {
			want = packet.None // BOOTP, as far as can be seen
		}
		require.Equal(t, want, drop, "%d bytes", size)
	}
}

// Who asks without end is answered now and then, and others as before.
func TestTooManyQuestions(t *testing.T) {
	n := quiet(t, dualStack())
	f := frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 hex %x eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff",
		message4Of(t, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)).ToBytes())
	for range 100 {
		n.ports[1].Inject(f)
	}
	n.turn()
	n.turn()
	require.Len(t, n.sent(1), answersAtOnce)
	require.EqualValues(t, 100-answersAtOnce, n.engine.PortCounters(1).Drops[packet.RateLimited])
	require.EqualValues(t, 100-answersAtOnce, n.state.Stats().Limited)
	n.apply(dualStack())
	sent, _ := n.give(1, f)
	require.Len(t, sent, 1, "a second later it is answered again")
	for range 100 {
		n.ports[1].Inject(f)
	}
	n.turn()
	n.turn()
	require.Less(t, len(n.sent(1)), answersAtOnce, "a new configuration does not forget how much was asked")
	require.Len(t, func() [][]byte {
		sent, _ := n.give(3, frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 hex %x eth 02:00:00:00:00:03 > ff:ff:ff:ff:ff:ff",
			message4Of(t, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 3})).ToBytes()))
		return sent
	}(), 1)
}
