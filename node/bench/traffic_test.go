package bench

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/packet"
)

// isHost reports whether a is of group g.
func isHost(g group, a netip.Addr) bool {
	last := g.host(hostsPerPort - 1)
	return a.Compare(g.base) >= 0 && a.Compare(last) <= 0
}

// every is more flows than the hosts' pairs of one kind can tell apart by
// addresses, so that ports must.
const every = 2*hostsPerPort*hostsPerPort + 1000

func TestTraffic(t *testing.T) {
	for _, row := range []struct {
		why      string
		features []Feature
		flows    int
		frame    int
		to       []group // of one flow after another
	}{
		{"the smallest", []Feature{L2}, 1, MinFrame, []group{bridged}},
		{"bridged", []Feature{L2}, every, MinFrame, []group{bridged}},
		{"routed", []Feature{L3}, every, 64, []group{routed}},
		{"both, in turns", []Feature{L3, L2}, every, 61, []group{bridged, routed}},
		{"full frames", []Feature{L2, L3}, 300, MaxFrame, []group{bridged, routed}},
	} {
		t.Run(row.why, func(t *testing.T) {
			all := frames(&Config{Features: row.features, Flows: row.flows, Frame: row.frame})
			require.Len(t, all, row.flows)
			seen := map[packet.Key]int{}
			for i, f := range all {
				if len(f) != row.frame {
					t.Fatalf("frame %d has %d bytes", i, len(f))
				}
				var in packet.Info
				if r := packet.Parse(f, &in); r != packet.None {
					t.Fatalf("frame %d: %v", i, r)
				}
				if int(in.IPLen) != row.frame-packet.EthernetSize || in.Key.Proto() != packet.ProtoUDP {
					t.Fatalf("frame %d: %v, %d bytes of IP", i, in.Key, in.IPLen)
				}
				// A sum over all that is summed, its own field included, is 0.
				if ip := f[packet.EthernetSize:]; packet.Checksum(ip[:20]) != 0 || !packet.VerifyTransport(f, packet.EthernetSize, packet.EthernetSize+20, int(in.IPLen), packet.ProtoUDP) {
					t.Fatalf("frame %d: wrong checksum", i)
				}
				if other, twice := seen[in.Key]; twice {
					t.Fatalf("frames %d and %d are of one flow: %v", other, i, in.Key)
				}
				seen[in.Key] = i
				src, dst := in.Key.Src.Netip(), in.Key.Dst.Netip()
				to := row.to[i%len(row.to)]
				wantMAC := mac(dst)
				if to == routed {
					wantMAC = packet.GatewayMAC
				}
				if packet.MAC(f[:6]) != wantMAC || packet.MAC(f[6:12]) != mac(src) || !isHost(senders, src) || !isHost(to, dst) {
					t.Fatalf("frame %d: %v, % x", i, in.Key, f[:12])
				}
			}
		})
	}
}

// The configuration is one that a user could write: the hosts are on the
// segments where frames look for them.
func TestTopology(t *testing.T) {
	for _, c := range []Config{{Flows: 1, Workers: 1}, {Flows: 1e6, Workers: 3}, {Flows: 10, Workers: 2, Pcap: "x"}} {
		m, err := compile(topology(&c))
		require.NoError(t, err)
		require.Equal(t, c.Workers, m.Node.Workers)
		require.GreaterOrEqual(t, m.Node.Limits.Sessions, c.Flows)
		ports := map[string]*control.Port{}
		for i := range m.Ports {
			ports[m.Ports[i].Name] = m.Ports[i]
		}
		for _, g := range []group{senders, bridged, routed} {
			bound := map[string]bool{}
			for _, a := range ports[g.port].Addresses {
				bound[a.IP.String()+" "+packet.MAC(a.MAC).String()] = true
			}
			for i := range hostsPerPort {
				require.True(t, bound[g.host(i).String()+" "+mac(g.host(i)).String()])
			}
		}
		require.Equal(t, ports["a0"].Attachments[0].Segment, ports["a1"].Attachments[0].Segment)
		require.NotEqual(t, ports["a0"].Attachments[0].Segment, ports["b0"].Attachments[0].Segment)
		require.Equal(t, packet.GatewayMAC, packet.MAC(m.Node.GatewayMAC))
	}
}
