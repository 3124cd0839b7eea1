package afxdptest

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// TestWhatIsSentIsCounted wires a generator to a sink.
func TestWhatIsSentIsCounted(t *testing.T) {
	if err := features.HaveProgramType(ebpf.XDP); err != nil {
		t.Skipf("this test needs XDP programs: %v", err)
	}
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "eth0", b, "eth0", netnstest.VethOptions{})
	sink := NewSink(t, b, "eth0")
	g := NewGenerator(t, a, "eth0", make([]byte, 60), 1)
	g.Send(500)
	const want = 501 // one to try
	for deadline := time.Now().Add(20 * time.Second); sink.Count() != want; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "%d of %d have come", sink.Count(), want)
	}
	g.Start()
	for deadline := time.Now().Add(20 * time.Second); sink.Count() < 10*want; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "%d have come", sink.Count())
	}
	g.Stop()
}
