package framegen_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/framegen"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// patience is how long frames may take to come.
const patience = 20 * time.Second

func TestWhatIsSentIsCounted(t *testing.T) {
	if err := features.HaveProgramType(ebpf.XDP); err != nil {
		t.Skipf("this test needs XDP programs: %v", err)
	}
	for _, row := range []struct {
		why   string
		at    framegen.Place
		frame []byte
		flows int
	}{
		{"XDP in the driver takes frames of any kind", framegen.InDriver, make([]byte, 60), 1},
		{"the entrance of the stack does too", framegen.InStack, make([]byte, 60), 1},
		{"source ports that vary don't change how many there are", framegen.InStack, make([]byte, 60), 1024},
		{"a frame that has no ports is sent as it is", framegen.InDriver, make([]byte, 20), 2},
	} {
		t.Run(row.why, func(t *testing.T) {
			a, b := netnstest.New(t), netnstest.New(t)
			netnstest.Veth(t, a, "eth0", b, "eth0", netnstest.VethOptions{})
			b.Features("eth0", true, "gro")
			sink, err := framegen.NewSink(b.Name, "eth0", row.at)
			skipIfUnsupported(t, err)
			defer func() { require.NoError(t, sink.Close()) }()
			g, err := framegen.NewGenerator(a.Name, "eth0", row.frame, row.flows)
			skipIfUnsupported(t, err)
			defer func() { require.NoError(t, g.Close()) }()
			count := func() uint64 {
				n, err := sink.Count()
				require.NoError(t, err)
				return n
			}
			require.NoError(t, g.Send(500))
			const want = 501 // one to try
			require.EqualValues(t, want, g.Sent())
			for deadline := time.Now().Add(patience); count() != want; time.Sleep(time.Millisecond) {
				require.True(t, time.Now().Before(deadline), "%d of %d have come", count(), want)
			}
			g.Start()
			for deadline := time.Now().Add(patience); count() < 10*want; time.Sleep(time.Millisecond) {
				require.True(t, time.Now().Before(deadline), "%d have come", count())
			}
			require.NoError(t, g.Stop())
			require.GreaterOrEqual(t, g.Sent(), count())
		})
	}
}

func TestWhatCanNotBeMade(t *testing.T) {
	ns := netnstest.New(t)
	_, err := framegen.NewGenerator(ns.Name, "eth9", make([]byte, 60), 1)
	require.ErrorIs(t, err, netdev.ErrNoDevice)
	_, err = framegen.NewSink(ns.Name, "eth9", framegen.InDriver)
	require.ErrorIs(t, err, netdev.ErrNoDevice)
	for _, flows := range []int{3, 1 << 17} {
		_, err := framegen.NewGenerator(ns.Name, "lo", make([]byte, 60), flows)
		require.ErrorContains(t, err, "power of two", "%d flows", flows)
	}
}

func skipIfUnsupported(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
}
