package bench

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/pcap"
)

// Whatever is measured: every frame comes out, every flow has its session, the
// books balance and nothing is allocated.
func TestRun(t *testing.T) {
	for _, row := range []struct {
		why string
		c   Config
	}{
		{"bridged", Config{Features: []Feature{L2}, Flows: 500, Frame: 60, Workers: 1}},
		{"routed", Config{Features: []Feature{L3}, Flows: 500, Frame: 64, Workers: 1}},
		{"both, in turns", Config{Features: []Feature{L2, L3}, Flows: 2000, Frame: 1514, Workers: 1}},
		{"first packets", Config{Features: []Feature{L2, L3}, Flows: 20000, Frame: 64, Workers: 1, New: true}},
		{"two workers", Config{Features: []Feature{L2, L3}, Flows: 2000, Frame: 64, Workers: 2}},
		{"first packets of two workers", Config{Features: []Feature{L3}, Flows: 20000, Frame: 64, Workers: 2, New: true}},
		{"through a firewall", Config{Features: []Feature{L2, L3, DFW}, Rules: 1000, Flows: 2000, Frame: 64, Workers: 1}},
		{"first packets through a firewall", Config{Features: []Feature{L2, L3, DFW}, Rules: 100, Flows: 20000, Frame: 64, Workers: 2, New: true}},
		{"to virtual servers", Config{Features: []Feature{L2, L3, LB}, Services: 30, Flows: 2000, Frame: 64, Workers: 1}},
		{"to virtual servers, through a firewall", Config{Features: []Feature{L2, L3, DFW, LB}, Rules: 100, Services: 100, Flows: 2000, Frame: 64, Workers: 2}},
		{"first packets to virtual servers", Config{Features: []Feature{L3, LB}, Services: 7, Flows: 20000, Frame: 64, Workers: 1, New: true}},
		{"first packets to virtual servers, through a firewall", Config{Features: []Feature{L2, L3, DFW, LB}, Rules: 100, Services: 100, Flows: 20000, Frame: 64, Workers: 2, New: true}},
		{"with a look at the stages", Config{Features: []Feature{L3}, Flows: 500, Frame: 64, Workers: 2, Stages: true}},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.c.Seed, row.c.Duration = 1, 20*time.Millisecond
			var said []string
			row.c.Progress = func(what string) { said = append(said, what) }
			r, err := Run(context.Background(), row.c)
			require.NoError(t, err)
			require.Empty(t, r.Drops)
			require.Zero(t, r.AllocsPerPacket)
			require.Equal(t, row.c.Flows, r.FlowsSetUp)
			require.Equal(t, row.c.Flows, r.Flows)
			require.Equal(t, row.c.Workers, r.Workers)
			require.Equal(t, row.c.Rules, r.Rules)
			require.Equal(t, row.c.Services, r.Services)
			require.Equal(t, Names(row.c.Features), r.Features)
			require.GreaterOrEqual(t, r.Packets, uint64(row.c.Workers))
			require.GreaterOrEqual(t, r.Ledger.Received, r.Packets)
			require.Equal(t, r.Ledger.Received, r.Ledger.Transmitted)
			require.Zero(t, r.Ledger.Unexplained)
			require.Zero(t, r.Ledger.Queued)
			require.Positive(t, r.NsPerPacket)
			require.Positive(t, r.CPUNsPerPacket)
			require.Positive(t, r.Mpps)
			require.Positive(t, r.NewSessionsPerSecond)
			require.Positive(t, r.TableBytes)
			require.NotEmpty(t, r.MemoryPages)
			require.Positive(t, r.VectorNs.Max)
			require.NotEmpty(t, said)
			if row.c.New {
				require.GreaterOrEqual(t, r.Packets, uint64(row.c.Flows))
				require.Less(t, r.Packets, uint64(row.c.Flows)+uint64(row.c.Workers)*16*64+1, "not much more than each flow once")
			}
			require.Equal(t, row.c.Stages, len(r.Stages) > 0)
			sum := 0.
			for _, s := range r.Stages {
				require.GreaterOrEqual(t, s.NsPerPacket, 0., s.Stage)
				sum += s.NsPerPacket
			}
			if row.c.Stages {
				require.LessOrEqual(t, sum, 1.01*r.NsPerPacket, "stages are parts of the whole")
			}
		})
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	good := Config{Features: []Feature{L2}, Flows: 1, Frame: 64, Workers: 1, Duration: 1}
	require.NoError(t, good.Validate())
	for _, row := range []struct {
		why  string
		c    Config
		want string
	}{
		{"nothing is set", Config{}, "features: want at least one of l2,l3: packets have to go somewhere\nflows: 0 is not in 1 to 20000000\nframe: 0 is not in 60 to 1514\nworkers: 0 is not in 1 to 64\nduration: 0s is not positive"},
		{"first packets have no duration", Config{Features: []Feature{L2}, Flows: 1, Frame: 64, Workers: 1, New: true}, ""},
		{"a worker without a flow would wait for ever", Config{Features: []Feature{L2}, Flows: 1, Frame: 64, Workers: 2, Duration: 1}, "flows: 1 for 2 workers: want at least one each"},
		{"features that are planned", Config{Features: []Feature{"mirror", "qos"}, Flows: 1, Frame: 64, Workers: 1, Duration: 1}, "features: \"mirror\" can't be measured by this version; it knows l2,l3,dfw,lb\nfeatures: \"qos\" can't be measured by this version; it knows l2,l3,dfw,lb"},
		{"rules, but nobody to pass them", Config{Features: []Feature{DFW}, Rules: 1, Flows: 1, Frame: 64, Workers: 1, Duration: 1}, "features: want at least one of l2,l3: packets have to go somewhere"},
		{"virtual servers whose members are nowhere", Config{Features: []Feature{LB}, Services: 1, Flows: 1, Frame: 64, Workers: 1, Duration: 1}, "features: want at least one of l2,l3: packets have to go somewhere"},
		{"a load balancer without virtual servers", Config{Features: []Feature{L3, LB}, Flows: 1, Frame: 64, Workers: 1, Duration: 1}, "services: 0 is not in 1 to 50000"},
		{"a capture knows of no virtual servers", Config{Features: []Feature{L3, LB}, Services: 1, Flows: 1, Frame: 64, Workers: 1, Duration: 1, Pcap: "x.pcap"}, "features: lb goes to virtual servers, and the packets of a capture go where they do"},
		{"a firewall without rules", Config{Features: []Feature{L3, DFW}, Flows: 1, Frame: 64, Workers: 1, Duration: 1}, "rules: 0 is not in 1 to 1000000"},
	} {
		err := row.c.Validate()
		if row.want == "" {
			require.NoError(t, err, row.why)
			continue
		}
		require.EqualError(t, err, row.want, row.why)
		_, err = Run(context.Background(), row.c)
		require.EqualError(t, err, row.want, row.why)
	}
}

func TestRunStopsWhenToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := Config{Features: []Feature{L2}, Flows: 10, Frame: 64, Workers: 2, Duration: time.Hour}
	c.Progress = func(what string) {
		if what == "measuring for 1h0m0s" {
			cancel()
		}
	}
	_, err := Run(ctx, c)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAllocations(t *testing.T) {
	require.Zero(t, allocations(199, 10), "what starting workers costs")
	require.InDelta(t, .5, allocations(1000, 2000), 0)
}

// writeCapture makes a capture of lines of frametext.
func writeCapture(t *testing.T, lines ...string) string {
	path := filepath.Join(t.TempDir(), "x.pcap")
	w, err := pcap.Create(path)
	require.NoError(t, err)
	for _, line := range lines {
		f, err := frametext.Parse(line)
		require.NoError(t, err, line)
		require.NoError(t, w.Write(1, f, len(f)))
	}
	require.NoError(t, w.Close())
	return path
}

func TestCapture(t *testing.T) {
	c := Config{Features: []Feature{L3}, Workers: 1, Pcap: writeCapture(t,
		"udp 10.0.0.1:1 > 10.0.0.2:2 len 30",
		"arp 10.0.0.1 who-has 10.0.0.2",
		"udp 10.0.0.1:3 > 10.0.0.2:2 len 30 vlan 7",
		"udp 10.0.0.1:4 > 10.0.0.2:2 len 30 mf",
		"udp 10.0.0.1:5 > 224.0.0.9:2 len 30",
		"icmp 10.0.0.2 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:1 > 10.0.0.2:2 len 30 }",
		"tcp [fd00::1]:7 > [fd00::2]:80 S seq 1",
		"udp 10.0.0.2:2 > 10.0.0.1:1 len 300",
		"udp 10.0.0.1:1 > 10.0.0.2:2 len 31",
	)}
	src, err := newCapture(&c)
	require.NoError(t, err)
	require.Equal(t, 4, src.PerQueue(0), "what would be dropped or answered is left out")
	require.Equal(t, 3, src.flows)
	require.Equal(t, 1, src.Caps().Queues)
	c.Features = []Feature{L2}
	bridgedSrc, err := newCapture(&c)
	require.NoError(t, err)
	require.Equal(t, 2, bridgedSrc.flows, "an answer belongs to its question")

	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 7, Debug: true})
	require.NoError(t, err)
	defer arena.Close()
	cache := arena.NewCache()
	bufs := make([]packet.Index, 10)
	n := src.Rx(0, cache, bufs)
	require.Equal(t, 7, n, "as many as there are buffers")
	var got []string
	for _, b := range bufs[:n] {
		f := arena.Frame(b)
		require.Equal(t, packet.GatewayMAC, packet.MAC(f))
		require.Equal(t, mac(senders.host(0)), packet.MAC(f[6:]))
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(f, &in))
		got = append(got, in.Key.String())
	}
	const question, answer = "proto 17 zone 0 10.0.0.1:1 > 10.0.0.2:2", "proto 17 zone 0 10.0.0.2:2 > 10.0.0.1:1"
	const syn = "proto 6 zone 0 [fd00::1]:7 > [fd00::2]:80"
	require.Equal(t, []string{question, syn, answer, question, question, syn, answer}, got, "over and over, in order")
	require.Equal(t, n, src.Tx(0, cache, bufs[:n]))
	require.Zero(t, arena.InUse())
	require.Equal(t, 1, src.Rx(0, cache, bufs[:1]))
	require.Equal(t, uint16(31), binary.BigEndian.Uint16(arena.Frame(bufs[0])[38:])-packet.UDPSize, "it goes on where it was")
	cache.Free(bufs[0])

	bridgedSrc.Rx(0, cache, bufs[:1])
	require.Equal(t, mac(bridged.host(0)), packet.MAC(arena.Frame(bufs[0])))
	cache.Free(bufs[0])
}

// Both directions of a session are on one queue, so that they stay in order.
func TestCaptureKeepsSessionsOnAQueue(t *testing.T) {
	var lines []string
	for _, host := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"} {
		lines = append(lines, "udp "+host+":1000 > 10.0.0.99:53 len 30", "udp 10.0.0.99:53 > "+host+":1000 len 30")
	}
	src, err := newCapture(&Config{Features: []Feature{L2}, Workers: 2, Pcap: writeCapture(t, lines...)})
	require.NoError(t, err)
	require.Equal(t, 7, src.flows)
	total := 0
	for q := range src.queues {
		require.Zero(t, src.PerQueue(q)%2)
		require.Positive(t, src.PerQueue(q))
		total += src.PerQueue(q)
		var last packet.Info
		for i, f := range src.queues[q].frames {
			var in packet.Info
			require.Equal(t, packet.None, packet.Parse(f, &in))
			if i%2 == 1 {
				require.Equal(t, last.Key.Reverse(), in.Key)
			}
			last = in
		}
	}
	require.Equal(t, len(lines), total)
}

func TestCaptureErrors(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("no capture"), 0o600))
	one := writeCapture(t, "udp 10.0.0.1:1 > 10.0.0.2:2 len 30")
	whole, err := os.ReadFile(one)
	require.NoError(t, err)
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)-1], 0o600))
	for _, row := range []struct {
		why, path string
		workers   int
		want      string
	}{
		{"there is no such file", text + "x", 1, "no such file"},
		{"a file that is no capture", text, 1, "not a pcap"},
		{"a capture that ends early", cut, 1, "truncated"},
		{"nothing of use", writeCapture(t, "arp 10.0.0.1 who-has 10.0.0.2"), 1, "no IP packets for worker 0"},
		{"one session cannot keep two workers busy", one, 2, "no IP packets for worker"},
	} {
		_, err := Run(context.Background(), Config{Features: []Feature{L2}, Flows: 10, Frame: 64, Workers: row.workers, Duration: 1, Pcap: row.path})
		require.ErrorIs(t, err, ErrInput, row.why)
		require.ErrorContains(t, err, row.want, row.why)
	}
}
