package route

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// FuzzRouter: whatever comes to the router, no stage panics, the books
// balance, what is sent is well-formed, and in the end no buffer is held.
func FuzzRouter(f *testing.F) {
	for _, line := range []string{
		"udp 10.0.1.10:1 > 10.0.2.10:2 len 1472" + fromWeb,
		"udp 10.0.1.10:1 > 10.0.2.10:2 ttl 1 options 8" + fromWeb,
		"udp [fd00:1::a]:1 > [fd00:2::a]:2 hbh 8 len 1400" + fromWeb,
		"icmp 10.0.1.10 > 10.0.1.1 echo id 1 seq 1 len 9" + fromWeb,
		"icmp6 fd00:1::a > fd00:1::1 echo id 1 seq 1" + fromWeb,
		"icmp 10.0.1.10 > 10.0.2.10 unreachable port quote { udp 10.0.2.10:1 > 10.0.1.10:2 }" + fromWeb,
		"icmp6 fd00:1::a > fd00:2::a too-big mtu 1280 quote { udp [fd00:2::a]:1 > [fd00:1::a]:2 }" + fromWeb,
		"ip fd00:1::a > fd00:1::1 proto 47 options 8" + fromWeb,
		"udp 10.0.1.10:1 > 10.0.2.77:2" + fromWeb,
		"arp 10.0.2.77 is-at 0a:58:0a:00:02:4d to 10.0.2.1" + fromWeb,
		"ip 10.0.1.10 > 10.0.2.10 proto 17 id 5 mf off 1480 len 1000" + fromWeb,
	} {
		f.Add(frameOf(f, line))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < packet.EthernetSize || len(frame) > 1700 {
			return
		}
		copy(frame, gatewayMAC[:])
		n := newTestbed(t, routedNetwork())
		for _, port := range []uint16{1, 4} {
			n.ports[port].Inject(frame)
			n.step()
			n.now += 1e6
		}
		for number, p := range n.ports {
			for _, s := range p.Sent() {
				var in packet.Info
				if number == 9 {
					continue // tagged
				}
				require.Equal(t, packet.None, packet.Parse(s.Data, &in), "%x", s.Data)
				require.False(t, in.Has(packet.BadIPChecksum) && packet.Ethernet(s.Data).Src() == gatewayMAC, "%x", s.Data)
			}
		}
		for range 4 { // what waits is given up
			n.now += 1100e6
			n.step()
		}
		require.Zero(t, n.state.routers.neighbors.held)
	})
}
