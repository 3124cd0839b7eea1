package bench_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node/bench"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// BenchmarkSwitch forwards 64-byte frames of established sessions.
func BenchmarkSwitch(b *testing.B) {
	for _, features := range [][]bench.Feature{{bench.L2}, {bench.L3}, {bench.L2, bench.L3}} {
		for _, flows := range []int{1, 1000, 100_000, 1_000_000} {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/flows=%d/workers=%d", bench.Names(features), flows, workers), func(b *testing.B) {
					if testing.Short() && flows > 100_000 {
						b.Skip("a million flows take a gigabyte")
					}
					if workers > runtime.NumCPU() || workers > flows {
						b.Skip("more workers than CPUs or flows")
					}
					for range b.N {
						r, err := bench.Run(context.Background(), bench.Config{
							Features: features, Flows: flows, Frame: 64, Workers: workers, Duration: 500 * time.Millisecond, Seed: 1,
						})
						require.NoError(b, err)
						require.Empty(b, r.Drops)
						require.Zero(b, r.Ledger.Unexplained)
						b.ReportMetric(r.CPUNsPerPacket, "cpu-ns/packet")
						b.ReportMetric(r.Mpps, "Mpps")
						b.ReportMetric(r.AllocsPerPacket, "allocs/packet")
						b.ReportMetric(0, "ns/op")
					}
				})
			}
		}
	}
}

// BenchmarkNewSessions forwards first packets only.
func BenchmarkNewSessions(b *testing.B) {
	for range b.N {
		r, err := bench.Run(context.Background(), bench.Config{
			Features: []bench.Feature{bench.L2, bench.L3}, Flows: 200_000, Frame: 64, Workers: 1, New: true, Seed: 1,
		})
		require.NoError(b, err)
		b.ReportMetric(r.NewSessionsPerSecond, "sessions/s")
		b.ReportMetric(r.CPUNsPerPacket, "cpu-ns/packet")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkPortsOnly is the floor of all others: a vector is received into
// buffers and sent, and nothing in between.
func BenchmarkPortsOnly(b *testing.B) {
	frames := make([][]byte, 1000)
	for i := range frames {
		frames[i] = make([]byte, 64)
	}
	generator, err := mem.NewGenerator(mem.GeneratorConfig{Frames: frames})
	require.NoError(b, err)
	defer generator.Close()
	arena, err := packet.NewArena(packet.ArenaConfig{Buffers: 2048})
	require.NoError(b, err)
	defer arena.Close()
	cache, sink := arena.NewCache(), mem.NewSink(1)
	var bufs [64]packet.Index
	b.ResetTimer()
	for n := 0; n < b.N; {
		k := generator.Rx(0, cache, bufs[:])
		n += sink.Tx(0, cache, bufs[:k])
	}
}
