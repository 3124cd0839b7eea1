package shield

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// BenchmarkEgress is the cost of the program at egress for a frame that is not the
// port's, which is compared with all sockets; ns/frame is the kernel's own measure.
func BenchmarkEgress(b *testing.B) {
	for _, sockets := range []int{0, 1, 2, 16, 256} {
		b.Run(fmt.Sprintf("%d sockets", sockets), func(b *testing.B) {
			_, _, cfg := device(b, netnstest.VethOptions{})
			for range sockets {
				fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
				require.NoError(b, err)
				b.Cleanup(func() { unix.Close(fd) })
				cfg.Sockets = append(cfg.Sockets, fd)
			}
			hooks, err := cfg.hooks()
			require.NoError(b, err)
			program, err := hooks[0].load()
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, program.Close()) })
			frame := make([]byte, 60)
			var spent time.Duration // of one run, in whole nanoseconds
			runs := 0
			for b.Loop() {
				verdict, took, err := program.Benchmark(frame, 1<<16, nil)
				require.NoError(b, err)
				require.EqualValues(b, tcxDrop, verdict)
				spent += took
				runs++
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(runs), "ns/frame")
		})
	}
}
