package member

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/service"
)

const second = int64(1e9)

func TestFailedConnections(t *testing.T) {
	type step struct {
		at   int64 // s
		what string
		want bool // of Failed or Recover
	}
	fail := func(at int64, out bool) step { return step{at, "fail", out} }
	succeed := func(at int64) step { return step{at, "succeed", false} }
	recover := func(at int64, back bool) step { return step{at, "recover", back} }
	for _, row := range []struct {
		why     string
		passive *service.Passive
		steps   []step
		want    Health
	}{
		{"nobody counts", nil, []step{fail(1, false), fail(1, false)}, Unmonitored},
		{"too few", &service.Passive{MaxFails: 3, TimeoutNs: 10 * second}, []step{fail(1, false), fail(2, false)}, Unmonitored},
		{"enough", &service.Passive{MaxFails: 3, TimeoutNs: 10 * second}, []step{fail(1, false), fail(2, false), fail(10, true)}, Failing},
		{"too far apart", &service.Passive{MaxFails: 3, TimeoutNs: 10 * second}, []step{fail(1, false), fail(2, false), fail(12, false), fail(13, false)}, Unmonitored},
		{"a success between", &service.Passive{MaxFails: 2, TimeoutNs: 10 * second}, []step{fail(1, false), succeed(2), fail(3, false)}, Unmonitored},
		{"one is enough where one is asked for", &service.Passive{MaxFails: 1, TimeoutNs: 10 * second}, []step{fail(1, true)}, Failing},
		{"none is one", &service.Passive{TimeoutNs: 10 * second}, []step{fail(1, true)}, Failing},
		{"what fails while it is out was begun before", &service.Passive{MaxFails: 1, TimeoutNs: 10 * second}, []step{fail(1, true), fail(2, false), recover(10, false), recover(11, true), recover(12, false)}, Unmonitored},
		{"back, and failing at once", &service.Passive{MaxFails: 3, TimeoutNs: 10 * second}, []step{fail(1, false), fail(1, false), fail(1, true), recover(11, true), fail(12, true), recover(21, false), recover(22, true)}, Unmonitored},
		{"back, and well", &service.Passive{MaxFails: 3, TimeoutNs: 10 * second}, []step{fail(1, false), fail(1, false), fail(1, true), recover(11, true), succeed(12), fail(13, false), fail(14, false)}, Unmonitored},
		{"back, and not asked for long", &service.Passive{MaxFails: 3, TimeoutNs: 10 * second}, []step{fail(1, false), fail(1, false), fail(1, true), recover(11, true), fail(30, false)}, Unmonitored},
	} {
		t.Run(row.why, func(t *testing.T) {
			m := New(1, &service.Member{})
			for i, s := range row.steps {
				got := false
				switch s.what {
				case "fail":
					got = m.Failed(row.passive, s.at*second)
				case "succeed":
					m.Succeeded()
				case "recover":
					got = m.Recover(s.at * second)
				}
				require.Equal(t, s.want, got, "step %d", i+1)
			}
			h, _ := m.Health()
			require.Equal(t, row.want, h)
			require.Equal(t, row.want == Failing, m.FailingUntil() != 0)
		})
	}
}

func TestBothMonitorsAndConnectionsHaveToBeGood(t *testing.T) {
	m := New(1, &service.Member{})
	m.SetHealth(Up, second)
	require.True(t, m.Failed(&service.Passive{MaxFails: 1, TimeoutNs: second}, 2*second))
	h, since := m.Health()
	require.Equal(t, Failing, h)
	require.Equal(t, 2*second, since)
	require.False(t, h.Serves())
	require.Equal(t, "FAILING", h.String())
	m.SetHealth(Down, 3*second)
	h, since = m.Health()
	require.Equal(t, Down, h, "what monitors say is the stronger word")
	require.Equal(t, 3*second, since)
	require.True(t, m.Recover(3*second))
	m.SetHealth(Up, 4*second)
	h, _ = m.Health()
	require.Equal(t, Up, h)
}

func TestOneWorkerTakesTheMemberOut(t *testing.T) {
	m := New(1, &service.Member{})
	p := &service.Passive{MaxFails: 100, TimeoutNs: 1000 * second}
	var took atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 50 {
				if m.Failed(p, second) {
					took.Add(1)
				}
			}
		})
	}
	workers.Wait()
	require.EqualValues(t, 1, took.Load())
}

func TestNoAllocations(t *testing.T) {
	m := New(1, &service.Member{})
	p := &service.Passive{MaxFails: 3, TimeoutNs: second}
	now := int64(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		now += second / 4
		m.Failed(p, now)
		m.Recover(now)
		m.Succeeded()
	}))
}
