package dhcp

import (
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

const client6Ends = "eth 0a:58:0a:00:00:02 > 33:33:00:01:00:02"

// say6 sends a message of the client at a port to all servers and returns the
// answer; nil: none.
func (n *testbed) say6(port uint16, m dhcpv6.DHCPv6) (a *dhcpv6.Message, text string, drop packet.Reason) {
	n.t.Helper()
	sent, drop := n.give(port, frame(n.t, "udp [fe80::2]:546 > [ff02::1:2]:547 hex %x %s", m.ToBytes(), client6Ends))
	if len(sent) == 0 {
		return nil, "", drop
	}
	require.Len(n.t, sent, 1)
	text, payload := datagram(n.t, sent[0])
	a, err := dhcpv6.MessageFromBytes(payload)
	require.NoError(n.t, err)
	return a, text, drop
}

var (
	duid6 = &dhcpv6.DUIDEN{EnterpriseNumber: 9, EnterpriseIdentifier: []byte("host")}
	own6  = net.ParseIP("2001:db8::2")
)

func message6Of(t testing.TB, typ dhcpv6.MessageType, modifiers ...dhcpv6.Modifier) *dhcpv6.Message {
	t.Helper()
	m, err := dhcpv6.NewMessage(modifiers...)
	require.NoError(t, err)
	m.MessageType = typ
	return m
}

// iana makes an IA_NA with addresses.
func iana(id byte, addresses ...string) dhcpv6.Modifier {
	ia := &dhcpv6.OptIANA{IaId: [4]byte{1, 2, 3, id}}
	for _, a := range addresses {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(a), PreferredLifetime: time.Hour, ValidLifetime: time.Hour})
	}
	return func(d dhcpv6.DHCPv6) { d.AddOption(ia) }
}

// The exchange of RFC 8415 figure 2, and what a host is told.
func TestAddress6IsHandedOut(t *testing.T) {
	n := quiet(t, dualStack())
	solicit, err := dhcpv6.NewSolicit(hardware, dhcpv6.WithRequestedOptions(dhcpv6.OptionNTPServer))
	require.NoError(t, err)
	adv, text, _ := n.say6(1, solicit)
	require.NotNil(t, adv)
	require.Equal(t, "02:50:56:56:44:52 fe80::50:56ff:fe56:4452:547 > 0a:58:0a:00:00:02 fe80::2:546", text)
	require.Equal(t, dhcpv6.MessageTypeAdvertise, adv.MessageType)
	require.EqualValues(t, 255, adv.Options.Preference(), "it need not wait for other servers")

	check := func(m *dhcpv6.Message) {
		t.Helper()
		require.Equal(t, solicit.Options.ClientID().String(), m.Options.ClientID().String())
		require.Equal(t, (&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: gatewayMAC[:]}).String(), m.Options.ServerID().String())
		require.Len(t, m.Options.IANA(), 1)
		ia := m.Options.OneIANA()
		require.Equal(t, solicit.Options.OneIANA().IaId, ia.IaId)
		require.Len(t, ia.Options.Addresses(), 1)
		a := ia.Options.OneAddress()
		require.True(t, a.IPv6Addr.Equal(own6))
		require.Equal(t, 24*time.Hour, a.ValidLifetime)
		require.Equal(t, 15*time.Hour, a.PreferredLifetime)
		require.Equal(t, 7*time.Hour+30*time.Minute, ia.T1)
		require.Equal(t, 12*time.Hour, ia.T2)
		require.Len(t, m.Options.DNS(), 1)
		require.True(t, m.Options.DNS()[0].Equal(net.ParseIP("2001:db8::53")))
		require.Equal(t, []string{"example.org", "example.com"}, m.Options.DomainSearchList().Labels)
	}
	check(adv)
	require.Len(t, adv.Options.NTPServers(), 1, "the client has asked for it")
	request, err := dhcpv6.NewRequestFromAdvertise(adv)
	require.NoError(t, err)
	reply, _, _ := n.say6(1, request)
	require.NotNil(t, reply)
	require.Equal(t, dhcpv6.MessageTypeReply, reply.MessageType)
	require.Equal(t, request.TransactionID, reply.TransactionID)
	check(reply)
	require.Empty(t, reply.Options.NTPServers(), "here it has not")
}

// What RFC 8415 section 18.3 says of each message, and section 16 of what is no message.
func TestMessages6(t *testing.T) {
	client := dhcpv6.WithClientID(duid6)
	server := dhcpv6.WithServerID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: gatewayMAC[:]})
	other := dhcpv6.WithServerID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: hardware})
	type m = dhcpv6.Modifier
	const none = 255
	status := func(code uint8, address string) string { return address + " status " + string('0'+rune(code)) }
	for _, row := range []struct {
		why     string
		typ     dhcpv6.MessageType
		message []m
		want    dhcpv6.MessageType // 0: no answer
		ias     []string           // addresses of each IA with their valid seconds, or a status
		status  int                // of the message; none: not said
		drop    packet.Reason
		flooded bool
	}{
		{why: "a client looks for servers", typ: 1, message: []m{client, iana(1)}, want: 2, ias: []string{"2001:db8::2 86400"}, status: none},
		{why: "in a hurry", typ: 1, message: []m{client, iana(1), dhcpv6.WithRapidCommit}, want: 7, ias: []string{"2001:db8::2 86400"}, status: none},
		{why: "for two addresses, of which there is one", typ: 1, message: []m{client, iana(1), iana(2)}, want: 2, ias: []string{"2001:db8::2 86400", status(2, "")}, status: none},
		{why: "without wanting an address", typ: 1, message: []m{client}, want: 2, status: none},
		{why: "it asks for the address", typ: 3, message: []m{client, server, iana(1, "2001:db8::2")}, want: 7, ias: []string{"2001:db8::2 86400"}, status: none},
		{why: "it asks another server", typ: 3, message: []m{client, other, iana(1)}, flooded: true},
		{why: "it renews", typ: 5, message: []m{client, server, iana(1, "2001:db8::2")}, want: 7, ias: []string{"2001:db8::2 86400"}, status: none},
		{why: "it renews what is not its own, and gets what is", typ: 5, message: []m{client, server, iana(1, "2001:db8::77")}, want: 7, ias: []string{"2001:db8::2 86400, 2001:db8::77 0"}, status: none},
		{why: "it renews two, of which there is one", typ: 5, message: []m{client, server, iana(1, "2001:db8::2"), iana(2, "2001:db8::3")}, want: 7, ias: []string{"2001:db8::2 86400", status(3, "")}, status: none},
		{why: "it rebinds", typ: 6, message: []m{client, iana(1, "2001:db8::2")}, want: 7, ias: []string{"2001:db8::2 86400"}, status: none},
		{why: "it has moved here and asks whether its address is good", typ: 4, message: []m{client, iana(1, "2001:db8::2")}, want: 7, status: 0},
		{why: "it is not", typ: 4, message: []m{client, iana(1, "2001:db8::2"), iana(2, "2001:db8::3")}, want: 7, status: 4},
		{why: "it has none and asks all the same", typ: 4, message: []m{client, iana(1)}},
		{why: "it gives it back", typ: 8, message: []m{client, server, iana(1, "2001:db8::2")}, want: 7, status: 0},
		{why: "it is in use elsewhere", typ: 9, message: []m{client, server, iana(1, "2001:db8::2")}, want: 7, status: 0},
		{why: "it asks for the rest", typ: 11, message: nil, want: 7, status: none},
		{why: "it asks this server for the rest", typ: 11, message: []m{client, server}, want: 7, status: none},
		{why: "it asks another server for the rest", typ: 11, message: []m{client, other}, flooded: true},
		{why: "a relay's", typ: 12, flooded: true},
		{why: "a server's", typ: 7, message: []m{client, other}, flooded: true},
		{why: "a kind that is not known", typ: 200, message: []m{client}, flooded: true},
		{why: "who looks for servers does not know one", typ: 1, message: []m{client, server}, drop: packet.InvalidHeader},
		{why: "who asks for an address says who asks", typ: 1, message: []m{iana(1)}, drop: packet.InvalidHeader},
		{why: "and whom", typ: 3, message: []m{client, iana(1)}, drop: packet.InvalidHeader},
		{why: "the rest is no address", typ: 11, message: []m{client, iana(1)}, drop: packet.InvalidHeader},
		{why: "two clients in one", typ: 1, message: []m{client, func(d dhcpv6.DHCPv6) { d.AddOption(dhcpv6.OptClientID(duid6)) }}, drop: packet.InvalidHeader},
		{why: "an address in part", typ: 1, message: []m{client, dhcpv6.WithOption(&dhcpv6.OptionGeneric{OptionCode: 3, OptionData: []byte("123412341234\x00\x05\x00\x04abcd")})}, drop: packet.InvalidHeader},
		{why: "half a code", typ: 1, message: []m{client, dhcpv6.WithOption(&dhcpv6.OptionGeneric{OptionCode: 6, OptionData: []byte{0, 23, 0}})}, drop: packet.InvalidHeader},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := quiet(t, dualStack())
			a, _, drop := n.say6(1, message6Of(t, row.typ, row.message...))
			require.Equal(t, row.drop, drop)
			require.Equal(t, row.flooded, len(n.sent(3)) == 1, "others hear of it")
			if row.want == 0 {
				require.Nil(t, a)
				return
			}
			require.NotNil(t, a)
			require.Equal(t, row.want, a.MessageType)
			var ias []string
			for _, ia := range a.Options.IANA() {
				text := ""
				for _, x := range ia.Options.Addresses() {
					if text != "" {
						text += ", "
					}
					text += x.IPv6Addr.String() + map[bool]string{true: " 86400", false: " 0"}[x.ValidLifetime == 24*time.Hour && x.PreferredLifetime == 15*time.Hour]
				}
				if s := ia.Options.Status(); s != nil {
					text = status(uint8(s.StatusCode), text)
				}
				ias = append(ias, text)
			}
			require.Equal(t, row.ias, ias)
			got := none
			if s := a.Options.Status(); s != nil {
				got = int(s.StatusCode)
			}
			require.Equal(t, row.status, got)
		})
	}
}

// Who may have an address by DHCPv6, and who the rest.
func TestWhoAsks6(t *testing.T) {
	client := dhcpv6.WithClientID(duid6)
	stateless := func() Config {
		c := dualStack()
		a := c.Segments[0].Advertisement
		a.Stateful, a.Stateless, a.Autonomous = false, true, true
		return c
	}
	n := quiet(t, dualStack())
	_, _, drop := n.say6(3, message6Of(t, 1, client, iana(1)))
	require.Equal(t, packet.NoAddress, drop, "no IPv6 address is bound to this port")
	a, _, _ := n.say6(3, message6Of(t, 11, dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionInformationRefreshTime)))
	require.NotNil(t, a, "but nameservers are for everybody")
	require.Len(t, a.Options.DNS(), 1)
	require.Empty(t, a.Options.DomainSearchList(), "it did not ask for domains")
	require.Equal(t, 24*time.Hour, a.Options.InformationRefreshTime(0))

	n = quiet(t, stateless())
	a, _, _ = n.say6(1, message6Of(t, 1, client, iana(1), dhcpv6.WithRapidCommit))
	require.NotNil(t, a)
	require.Equal(t, dhcpv6.MessageTypeAdvertise, a.MessageType)
	require.EqualValues(t, status6NoAddrsAvail, a.Options.OneIANA().Options.Status().StatusCode, "hosts make their own addresses here")
	require.Len(t, a.Options.DNS(), 1)
	a, _, _ = n.say6(1, message6Of(t, 4, client, iana(1, "2001:db8::2")))
	require.EqualValues(t, status6NotOnLink, a.Options.Status().StatusCode)

	none := stateless()
	none.Segments[0].Advertisement.Stateless = false
	n = quiet(t, none)
	a, _, drop = n.say6(1, message6Of(t, 11))
	require.Nil(t, a)
	require.Equal(t, packet.None, drop, "without DHCPv6 it is a frame like any other")
	require.Len(t, n.sent(3), 1)

	n = quiet(t, dualStack())
	_, drop = n.give(1, frame(t, "udp [::]:546 > [ff02::1:2]:547 hex %x %s", message6Of(t, 11).ToBytes(), client6Ends))
	require.Equal(t, packet.InvalidSourceIP, drop)
	_, drop = n.give(1, frame(t, "udp [fe80::2]:546 > [ff02::1:2]:547 hex %x badcsum %s", message6Of(t, 11).ToBytes(), client6Ends))
	require.Equal(t, packet.InvalidHeader, drop)
}
