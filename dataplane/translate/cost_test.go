package translate

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// flowsOf makes a frame for each of n flows, by turns of the kinds that are named, from a client each to one server.
func flowsOf(t testing.TB, n int, kinds ...string) [][]byte {
	all := make([][]byte, n)
	longest := 0
	for i := range all {
		client := packet.AddrFrom4(&[4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).Netip().String()
		line := map[string]string{
			"udp":  "udp %s:1000 > 192.0.2.1:53 len 22",
			"tcp":  "tcp %s:1000 > 192.0.2.1:80 S seq 1",
			"udp6": "udp [2001:db8::%s]:1000 > [2001:db8:ffff::1]:53 len 2",
		}[kinds[i%len(kinds)]]
		all[i] = frameOf(t, fmt.Sprintf(line, client))
		longest = max(longest, len(all[i]))
	}
	for i := range all {
		all[i] = append(all[i], make([]byte, longest-len(all[i]))...)
	}
	return all
}

// anyMember translates whatever has no session to a member.
type anyMember struct{ testbed }

func (n *anyMember) Decide(d *dataplane.Decision) {
	if d.Session == 0 {
		if d.Info.Has(packet.IsIPv4) {
			d.Translated.Dst = packet.AddrFrom4(&[4]byte{10, 200, 0, 5})
		} else {
			d.Translated.Dst[1] ^= 1 << 40
		}
		d.Translated.Tail ^= 0x1f80 << 16
	}
	d.Forward(outside, 1)
}

// flooded makes a testbed whose inside port always has frames of so many flows, all of which have sessions.
func flooded(t testing.TB, translated bool, frames [][]byte) *dataplane.Worker {
	g, err := mem.NewGenerator(mem.GeneratorConfig{Frames: frames, Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	flows := len(frames)
	n := newTestbed(t, max(64, flows+flows/8), g, mem.NewSink(1))
	s := *n.engine.Snapshot()
	s.Epoch++
	s.Deciders = []dataplane.Step{{Name: "test", Decider: &anyMember{*n}}}
	if !translated {
		s.Deciders = []dataplane.Step{{Name: "test", Decider: n}}
	}
	require.NoError(t, n.engine.Publish(&s))
	w := n.engine.Worker(0)
	for received := 0; received < 2*flows; {
		received += w.Step(n.now)
	}
	return w
}

func TestNoAllocationsTranslating(t *testing.T) {
	for _, line := range []string{
		"udp 10.0.0.1:9 > 10.96.0.1:53 len 22",
		"tcp [fd00::1]:9 > [fd00:96::1]:80 S seq 1",
		"sctp 10.0.0.1:1000 > 10.96.0.1:80 init itag 5",
		"icmp6 fd00::1 > 2001:db8::1 echo id 7 seq 1 len 21",
		"udp [fd00::1]:9 > [fd00:96::1]:53 len 22 hbh 8",
	} {
		t.Run(line, func(t *testing.T) {
			w := flooded(t, true, [][]byte{frameOf(t, line)})
			require.Zero(t, testing.AllocsPerRun(100, func() { w.Step(int64(time.Hour)) }))
		})
	}
	t.Run("ICMP errors", func(t *testing.T) {
		key := keyOf(t, "udp 10.0.0.1:9 > 10.96.0.1:53")
		frame := frameOf(t, "icmp 10.1.0.5 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:9 > 10.1.0.5:5353 len 40 }")
		in, _ := parse(t, frame)
		require.Zero(t, testing.AllocsPerRun(100, func() { translate(frame, in, packet.Meta{}, &key) }))
	})
}

// BenchmarkStage is the stage by itself, over vectors whose flows are all translated: what it adds to a packet.
func BenchmarkStage(b *testing.B) {
	for _, kinds := range [][]string{{"udp"}, {"tcp"}, {"udp6"}, {"udp", "tcp"}, {"udp", "tcp", "udp6"}} {
		for _, flows := range []int{1000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%v/flows=%d", kinds, flows), func(b *testing.B) {
				if flows > 100_000 && (testing.Short() || len(kinds) > 1) {
					b.Skip("a million flows take 400 MB")
				}
				frames := flowsOf(b, flows, kinds...)
				workers := [2]*dataplane.Worker{flooded(b, false, frames), flooded(b, true, frames)}
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				// By turns, so that a machine that gets slower does not count for one of them.
				var cost [2]time.Duration
				for n := [2]int{}; n[0] < b.N; {
					for k, w := range workers {
						cpu := cputime.Thread()
						for until := n[k] + 1<<16; n[k] < until; {
							n[k] += w.Step(int64(time.Hour))
						}
						cost[k] += cputime.Thread() - cpu
					}
				}
				per := float64(max(1, (b.N+1<<16-1)>>16) << 16)
				b.ReportMetric(float64(cost[0].Nanoseconds())/per, "without-cpu-ns/packet")
				b.ReportMetric(float64((cost[1]-cost[0]).Nanoseconds())/per, "added-cpu-ns/packet")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkCRC is what an SCTP packet costs, by its length.
func BenchmarkCRC(b *testing.B) {
	for _, size := range []int{100, 1400, 9000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			frame := frameOf(b, fmt.Sprintf("sctp 10.0.0.1:1000 > 10.96.0.1:80 data tag 5 tsn 7 len %d", size))
			in, _ := parse(b, frame)
			peer := keyOf(b, "sctp 10.1.0.5:8080 > 10.0.0.1:1000 data")
			for i := 0; b.Loop(); i++ {
				binary.LittleEndian.PutUint16(frame[in.L4:], uint16(i))
				rewrite(frame, in, false, &peer)
			}
		})
	}
}

// BenchmarkPlain is what the stage does to one frame, without the loop around it.
func BenchmarkPlain(b *testing.B) {
	for _, row := range []struct{ in, peer string }{
		{"udp 10.0.0.1:9 > 10.96.0.1:53 len 22", "udp 10.1.0.5:5353 > 10.0.0.1:9"},
		{"udp [fd00::1]:9 > [fd00:96::1]:53 len 22", "udp [fd00:1::5]:5353 > [fd00::1]:9"},
	} {
		b.Run(row.in[:9], func(b *testing.B) {
			frame, peers := frameOf(b, row.in), [2]packet.Key{keyOf(b, row.peer), keyOf(b, row.peer)}
			peers[1].Tail ^= 0xffff
			in, _ := parse(b, frame)
			for i := 0; b.Loop(); i++ {
				plain(frame, in, &peers[i&1])
			}
		})
	}
}
