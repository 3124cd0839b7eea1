package route

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// generated makes a testbed whose port 1 receives these frames again and again
// and whose ports send into the void.
func generated(t testing.TB, c Config, lines ...string) *testbed {
	t.Helper()
	frames := make([][]byte, len(lines))
	for i, line := range lines {
		var err error
		frames[i], err = frametext.Parse(line)
		require.NoError(t, err, line)
	}
	n := newTestbed(t, Config{})
	n.devices = map[uint16]dataplane.Port{}
	for _, p := range c.Ports {
		n.devices[p.Number] = mem.New(mem.Config{TxCapacity: 1}) // its first frame is all it takes
	}
	g, err := mem.NewGenerator(mem.GeneratorConfig{Frames: frames, Seed: 1})
	require.NoError(t, err)
	n.devices[1] = g
	n.apply(c)
	return n
}

func TestNoAllocations(t *testing.T) {
	aged := learningSegment()
	aged.Segments[0].Learning.AgingNs = 1
	limited := learningSegment()
	limited.Segments[0].Learning.Limit = 1
	filters := filtered(Security{
		BlockDHCPServer: true, BlockDHCPClient: true, BlockDHCPServer6: true, BlockDHCPClient6: true,
		BlockRouterAdvertisements: true, BlockNonIP: true, AllowReserved: []packet.MAC{group(14)},
	})
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("udp 10.0.1.%d:1 > 10.0.2.1:2", i+1))
	}
	for _, row := range []struct {
		why    string
		config Config
		frames []string
		drop   packet.Reason // that must happen, so that the row tests what it says
	}{
		{"ARP that is answered", boundSegment(), []string{"arp 10.0.0.1 who-has 10.0.0.2"}, packet.None},
		{
			"a solicitation that is answered", boundSegment(),
			[]string{"icmp6 fd00::1 > ff02::1:ff00:2 ns target fd00::2 lladdr 0a:58:0a:00:00:01 eth 0a:58:0a:00:00:01 > 33:33:ff:00:00:02"},
			packet.None,
		},
		{"ARP that is flooded", boundSegment(), []string{"arp 10.0.0.1 who-has 10.0.0.99"}, packet.TxQueueFull},
		{"a frame that is no IP", boundSegment(), []string{"ether type 0x88b5 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02 len 46"}, packet.TxQueueFull},
		{"a frame that the guard refuses", boundSegment(), []string{"udp 10.0.0.9:1 > 10.0.0.2:2"}, packet.SpoofGuard},
		{"addresses that are learned and forgotten in turn", aged, many, packet.None},
		{"addresses beyond the limit", limited, many, packet.None},
		{"control frames that are refused", learningSegment(), []string{"ether type 0x88cc eth 02:00:00:00:00:01 > 01:80:c2:00:00:0e"}, packet.ReservedMulticast},
		{"DHCP that is refused", filters, []string{"udp 10.0.0.1:67 > 10.0.0.2:68"}, packet.DHCPServerBlocked},
		{"advertisements that are refused", filters, []string{"icmp6 fe80::1 > ff02::1 type 134 code 0 hbh 8 len 24"}, packet.RAGuard},
		{"what is no IP and refused", filters, []string{"ether type 0x88b5 eth 02:00:00:00:00:01 > 02:00:00:00:00:02"}, packet.NonIPBlocked},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := generated(t, row.config, row.frames...)
			turn := func() {
				n.now += int64(minAging / 8)
				n.step()
			}
			for range 50 {
				turn()
			}
			require.Zero(t, testing.AllocsPerRun(50, turn))
			if row.drop != packet.None {
				require.NotZero(t, n.drops()[row.drop])
			}
		})
	}
}

// TestNoAllocationsOnMove: two generators claim one address.
func TestNoAllocationsOnMove(t *testing.T) {
	c := learningSegment()
	c.Segments[0].Learning.MoveLimit = 0
	n := generated(t, c, "udp 10.0.0.1:1 > 10.0.0.9:2")
	g, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{frameOf(t, "udp 10.0.0.1:1 > 10.0.0.9:2")}})
	require.NoError(t, err)
	n.devices[2] = g
	n.apply(c)
	for range 10 {
		n.step()
	}
	moved := n.state.MACStats().Moved
	require.Zero(t, testing.AllocsPerRun(50, n.step))
	require.Greater(t, n.state.MACStats().Moved, moved+50)
}

func frameOf(t testing.TB, line string) []byte {
	t.Helper()
	frame, err := frametext.Parse(line)
	require.NoError(t, err, line)
	return frame
}

func BenchmarkDecide(b *testing.B) {
	for _, row := range []struct{ name, frame string }{
		{"unicast", "ether type 0x88b5 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:02 len 46"},
		{"arp answered", "arp 10.0.0.1 who-has 10.0.0.2"},
		{"spoof", "udp 10.0.0.9:1 > 10.0.0.2:2"},
	} {
		b.Run(row.name, func(b *testing.B) {
			n := generated(b, boundSegment(), row.frame)
			sink, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{frameOf(b, "udp 10.0.0.9:1 > 10.0.0.2:2")}})
			require.NoError(b, err)
			for i := range n.devices {
				if i != 1 {
					n.devices[i] = sendOnly{sink}
				}
			}
			n.apply(n.config)
			b.ReportAllocs()
			for b.Loop() {
				n.now += 1000
				n.step()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/dataplane.VectorSize, "ns/pkt")
		})
	}
}

// sendOnly is a port that receives nothing.
type sendOnly struct{ dataplane.Port }

func (sendOnly) Rx(int, *packet.Cache, []packet.Index) int { return 0 }
