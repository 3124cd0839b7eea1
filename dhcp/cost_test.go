package dhcp

import (
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// questions are messages that are answered, each in another way.
func questions(t testing.TB) map[string][]byte {
	t.Helper()
	v4 := func(typ dhcpv4.MessageType, modifiers ...dhcpv4.Modifier) []byte {
		m := message4Of(t, append(modifiers, dhcpv4.WithMessageType(typ), dhcpv4.WithOption(dhcpv4.OptClientIdentifier([]byte("id"))),
			dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500)))...)
		return frame(t, "udp 0.0.0.0:68 > 255.255.255.255:67 hex %x eth 0a:58:0a:00:00:02 > ff:ff:ff:ff:ff:ff", m.ToBytes())
	}
	v6 := func(typ dhcpv6.MessageType, modifiers ...dhcpv6.Modifier) []byte {
		m := message6Of(t, typ, append(modifiers, dhcpv6.WithClientID(duid6))...)
		return frame(t, "udp [fe80::2]:546 > [ff02::1:2]:547 hex %x %s", m.ToBytes(), client6Ends)
	}
	server := dhcpv6.WithServerID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: gatewayMAC[:]})
	return map[string][]byte{
		"discover":            v4(dhcpv4.MessageTypeDiscover),
		"request":             v4(dhcpv4.MessageTypeRequest, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(own)), dhcpv4.WithRequestedOptions(dhcpv4.OptionRouter, dhcpv4.OptionClasslessStaticRoute)),
		"refused":             v4(dhcpv4.MessageTypeRequest, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(gateway))),
		"solicit":             v6(1, iana(1), iana(2)),
		"renew":               v6(5, server, iana(1, "2001:db8::9")),
		"confirm":             v6(4, iana(1, "2001:db8::9")),
		"router solicitation": frame(t, "icmp6 fe80::2 > ff02::2 rs eth 0a:58:0a:00:00:02 > 33:33:00:00:00:02"),
	}
}

// Two nodes with one seed and one configuration say the same, byte for byte.
func TestAnswersAreAFunction(t *testing.T) {
	for why, f := range questions(t) {
		var answers [2][][]byte
		for i := range answers {
			n := quiet(t, dualStack())
			for range i * 5 {
				n.give(1, f) // what was asked before does not matter
			}
			sent, drop := n.give(1, f)
			require.Equal(t, packet.None, drop, why)
			require.NotEmpty(t, sent, why)
			answers[i] = sent
		}
		require.Equal(t, answers[0], answers[1], why)
	}
}

// generated makes a testbed whose port 1 receives a frame again and again and
// whose ports send into the void.
func generated(t testing.TB, f []byte) *testbed {
	t.Helper()
	n := quiet(t, dualStack())
	g, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{f}, Seed: 1})
	require.NoError(t, err)
	s := *n.engine.Snapshot()
	s.Epoch++
	s.Ports = append([]*dataplane.PortConfig(nil), s.Ports...)
	for i, p := range s.Ports {
		if p != nil {
			config := *p
			config.Port = mem.New(mem.Config{TxCapacity: 1}) // its first frame is all it takes
			if i == 1 {
				config.Port = g
			}
			s.Ports[i] = &config
		}
	}
	require.NoError(t, n.engine.Publish(&s))
	n.engine.Synchronize()
	return n
}

func TestNoAllocations(t *testing.T) {
	for why, f := range questions(t) {
		t.Run(why, func(t *testing.T) {
			n := generated(t, f)
			turn := func() {
				n.now += 10e9 // enough for what a vector asks, and for advertisements
				n.turn()
			}
			for range 20 {
				turn()
			}
			before := n.engine.PortCounters(1).Consumed
			require.Zero(t, testing.AllocsPerRun(100, turn))
			require.Greater(t, n.engine.PortCounters(1).Consumed, before+1000, "they were answered")
			require.Zero(t, n.engine.PortCounters(1).Drops[packet.NoBuffer])
		})
	}
}

// BenchmarkAnswers is the whole way of a question: received, answered, sent.
func BenchmarkAnswers(b *testing.B) {
	for _, why := range []string{"discover", "solicit", "router solicitation"} {
		b.Run(why, func(b *testing.B) {
			n := generated(b, questions(b)[why])
			n.server.lans[1].members[1].limit = &dataplane.Limiter{}
			b.ReportAllocs()
			for b.Loop() {
				n.now += 1e6
				n.turn()
			}
			c := n.engine.PortCounters(1)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(c.Consumed), "ns/question")
		})
	}
}
