package afxdp

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/afxdp/afxdptest"
)

// BenchmarkForward moves frames of 64 bytes (60 without the check sequence) from
// device to device on one thread. cpu-ns/pkt is that thread's, the kernel's share of
// sending in it; rx-ns/pkt is what it takes until the frames are here.
func BenchmarkForward(b *testing.B) {
	rows := []struct {
		name string
		send bool
	}{{"rx", false}, {"rx+tx", true}}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			arena := newArena(b, packet.ArenaConfig{Prefault: true})
			cfg := Config{Arena: arena, UMEM: NewUMEM(arena), Offload: true}
			host := netnstest.New(b)
			one, two := wire(b, host, "p1", netnstest.VethOptions{}), wire(b, host, "p2", netnstest.VethOptions{})
			p1, p2 := one.open(b, cfg), two.open(b, cfg)
			sink := afxdptest.NewSink(b, two.pod, "eth0")
			g := afxdptest.NewGenerator(b, one.pod, "eth0", frame(b, "udp 10.0.0.1:9 > 10.0.0.2:53 len 18"), 1)
			cache := arena.NewCache()
			b.Cleanup(cache.Flush)
			g.Start()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var bufs [64]packet.Index
			fds := []unix.PollFd{{Fd: int32(p1.FD(0)), Events: unix.POLLIN}}
			turn := func() (n int) {
				if n = p1.Rx(0, cache, bufs[:]); n == 0 {
					_, _ = unix.Poll(fds, 1) // as a worker that has nothing to do
					p2.Rx(0, cache, bufs[:0])
					return 0
				}
				sent := 0
				if row.send {
					sent = p2.Tx(0, cache, bufs[:n])
				}
				cache.FreeN(bufs[sent:n])
				return n
			}
			for warm := 0; warm < 1<<14; {
				warm += turn()
			}
			b.ResetTimer()
			before, start := p2.Counters().Sent, cputime.Thread()
			moved := 0
			for moved < b.N {
				moved += turn()
			}
			spent := cputime.Thread() - start
			b.StopTimer()
			require.NoError(b, g.Stop())
			b.ReportMetric(float64(spent.Nanoseconds())/float64(moved), "cpu-ns/pkt")
			if row.send {
				counted, err := sink.Count()
				require.NoError(b, err)
				require.NotZero(b, counted)
				require.NotZero(b, p2.Counters().Sent-before)
				b.ReportMetric(float64(p2.Counters().Sent-before)/float64(moved), "sent/pkt")
			}
		})
	}
}
