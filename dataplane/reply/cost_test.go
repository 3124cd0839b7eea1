package reply

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/port/mem"
)

// flooded makes a testbed at whose plain port a frame comes in without end, and whatever is sent there is freed.
func flooded(t testing.TB, rate uint32, line string) (*testbed, *Rejector) {
	t.Helper()
	g, err := mem.NewGenerator(mem.GeneratorConfig{Frames: [][]byte{frameOf(t, line)}, Seed: 1})
	require.NoError(t, err)
	return rejecting(t, rate, func(n *testbed, _ *dataplane.Snapshot) { n.ports[plain] = g })
}

func TestNoAllocationsRejecting(t *testing.T) {
	for _, row := range []struct {
		why, in string
		rate    uint32
	}{
		{"TCP", "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100", 0},
		{"UDP over IPv6", "udp [fd00::1]:9 > [fd00::2]:53 len 1400", 0},
		{"over the limit", "udp 10.0.0.1:9 > 10.0.0.2:53", 4},
	} {
		t.Run(row.why, func(t *testing.T) {
			n, r := flooded(t, row.rate, row.in)
			n.step()
			require.Zero(t, testing.AllocsPerRun(100, n.step))
			s := r.Stats()
			require.NotZero(t, s.Resets+s.Errors)
			require.Equal(t, row.rate != 0, s.Limited != 0)
		})
	}
}

func BenchmarkReject(b *testing.B) {
	for _, row := range []struct {
		name, in string
		rate     uint32
	}{
		{"reset", "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100", 0},
		{"error", "udp 10.0.0.1:9 > 10.0.0.2:53 len 100", 0},
		{"limited", "udp 10.0.0.1:9 > 10.0.0.2:53 len 100", 4},
	} {
		b.Run(row.name, func(b *testing.B) {
			n, _ := flooded(b, row.rate, row.in)
			b.ReportAllocs()
			b.ResetTimer()
			for range (b.N + dataplane.VectorSize - 1) / dataplane.VectorSize {
				n.step()
			}
		})
	}
}
