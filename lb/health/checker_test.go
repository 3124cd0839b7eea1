package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// world is a network in which servers are up or down by decree. Its tests run in a bubble, where time
// passes when all wait.
type world struct {
	mu     sync.Mutex
	state  map[netip.AddrPort]error // nil: up; absent: silent
	dialed map[netip.AddrPort][]time.Duration
	at     []time.Duration // of all dials
	open   int             // dials that wait
	most   int             // of open
	begin  time.Time
}

var errRefused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

func newWorld() *world {
	return &world{state: map[netip.AddrPort]error{}, dialed: map[netip.AddrPort][]time.Duration{}, begin: time.Now()}
}

func (w *world) set(to string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state[netip.MustParseAddrPort(to)] = err
}

func (w *world) Dial(ctx context.Context, _ uint32, _ string, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	since := time.Since(w.begin)
	w.dialed[to] = append(w.dialed[to], since)
	w.at = append(w.at, since)
	err, known := w.state[to]
	w.open++
	w.most = max(w.most, w.open)
	w.mu.Unlock()
	if !known {
		<-ctx.Done()
	}
	w.mu.Lock()
	w.open--
	w.mu.Unlock()
	switch {
	case !known:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	}
	near, far := net.Pipe()
	go func() { _, _ = far.Read(make([]byte, 1)); _ = far.Close() }()
	return near, nil
}

// reports collects what a Checker says.
type reports struct {
	t    testing.TB
	mu   sync.Mutex
	list []string
}

func (r *reports) report(id uint32, h member.Health, reason string, at time.Time) {
	require.True(r.t, r.mu.TryLock(), "two at a time")
	defer r.mu.Unlock()
	require.False(r.t, at.IsZero())
	r.list = append(r.list, fmt.Sprintf("%d %s %s", id, h, reason))
}

func (r *reports) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// checked runs f with a Checker in a bubble.
func checked(t *testing.T, f func(k *Checker, w *world, r *reports)) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(), &reports{t: t}
		k := New(Config{Network: w, Now: time.Now, Report: r.report})
		defer k.Close()
		f(k, w, r)
	})
}

func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func monitor(name string, interval, timeout time.Duration, rise, fall int) *service.Monitor {
	return &service.Monitor{
		Name: name, Type: service.MonitorTCP, IntervalNs: int64(interval), TimeoutNs: int64(timeout), Rise: rise, Fall: fall,
	}
}

func target(id uint32, to string, monitors ...*service.Monitor) Target {
	a := netip.MustParseAddrPort(to)
	return Target{MemberID: id, Address: a.Addr(), Port: a.Port(), Scope: 1, Monitors: monitors}
}

func TestLifeOfAMember(t *testing.T) {
	checked(t, func(k *Checker, w *world, r *reports) {
		const a = "10.0.0.1:80"
		m := monitor("m", 5*time.Second, time.Second, 2, 3)
		k.Set([]Target{target(7, a, m)})
		require.Equal(t, []string{"7 UNKNOWN waits for the first answer"}, r.take())
		pass(999 * time.Millisecond)
		require.Empty(t, r.take(), "no answer yet is no verdict")
		w.set(a, nil)
		pass(10 * time.Second)
		require.Equal(t, []string{"7 UP TCP: connected (the first good probe)"}, r.take())
		w.set(a, errRefused)
		pass(20 * time.Second)
		require.Equal(t, []string{"7 DOWN TCP: connection refused (fall 3 of 3)"}, r.take())
		h, known := k.History(7)
		require.True(t, known)
		require.Equal(t, member.Down, h.Health)
		require.Len(t, h.Changes, 3)
		require.Equal(t, "TCP: connection refused (fall 3 of 3)", h.Changes[2].Reason)
		require.Equal(t, "m", h.Monitors[0].Name)
		require.False(t, h.Monitors[0].Last.Good)
		require.Equal(t, "connection refused", h.Monitors[0].Last.Reason)
		w.set(a, nil)
		pass(11 * time.Second)
		require.Equal(t, []string{"7 UP TCP: connected (rise 2 of 2)"}, r.take())
		k.Set(nil)
		require.Equal(t, []string{"7 UNMONITORED no monitor"}, r.take())
		_, known = k.History(7)
		require.False(t, known)
		n := len(w.at)
		pass(time.Minute)
		require.Len(t, w.at, n, "who is no target is not probed")
	})
}

func TestSilenceIsTold(t *testing.T) {
	checked(t, func(k *Checker, _ *world, r *reports) {
		k.Set([]Target{target(1, "10.0.0.1:80", monitor("m", time.Second, 300*time.Millisecond, 1, 2))})
		r.take()
		pass(5 * time.Second)
		require.Equal(t, []string{"1 DOWN TCP: no answer in 300ms (fall 2 of 2)"}, r.take())
	})
}

func TestATimeoutLongerThanTheInterval(t *testing.T) {
	checked(t, func(k *Checker, w *world, _ *reports) {
		k.Set([]Target{target(1, "10.0.0.1:80", monitor("m", time.Second, 3*time.Second, 1, 2))})
		pass(31 * time.Second)
		require.Len(t, w.at, 11, "one at a time, the next at once")
		require.Equal(t, 1, w.most)
	})
}

func TestMembersInCommonAreProbedOnce(t *testing.T) {
	checked(t, func(k *Checker, w *world, r *reports) {
		const a = "10.0.0.1:80"
		m := monitor("m", time.Second, time.Second, 1, 1)
		w.set(a, nil)
		// In two pools of one origin, and as another's member.
		k.Set([]Target{target(1, a, m), target(1, a, m), target(2, a, m)})
		r.take()
		pass(time.Millisecond)
		require.Equal(t, []string{
			"1 UP TCP: connected (the first good probe)", "2 UP TCP: connected (the first good probe)",
		}, r.take())
		require.Len(t, w.at, 1)
		k.Set([]Target{target(2, a, m)})
		require.Equal(t, []string{"1 UNMONITORED no monitor"}, r.take())
		w.set(a, errRefused)
		pass(3 * time.Second)
		require.Equal(t, []string{"2 DOWN TCP: connection refused (fall 1 of 1)"}, r.take())
	})
}

func TestAllMonitorsHaveToBeContent(t *testing.T) {
	checked(t, func(k *Checker, w *world, r *reports) {
		w.set("10.0.0.1:80", nil)
		w.set("10.0.0.1:81", errRefused)
		first, second := monitor("first", time.Second, time.Second, 1, 1), monitor("second", time.Second, time.Second, 1, 2)
		second.Port = 81
		k.Set([]Target{target(1, "10.0.0.1:80", first, second)})
		r.take()
		pass(10 * time.Millisecond)
		require.Empty(t, r.take(), "one of two has answered")
		pass(5 * time.Second)
		require.Equal(t, []string{"1 DOWN TCP: connection refused (fall 2 of 2)"}, r.take())
		k.Set([]Target{target(1, "10.0.0.1:80", first)})
		require.Equal(t, []string{"1 UP its monitors have changed; TCP: connected"}, r.take())
		third := monitor("third", time.Second, time.Second, 1, 1)
		third.Port = 82
		k.Set([]Target{target(1, "10.0.0.1:80", first, third)})
		require.Equal(t, []string{"1 UNKNOWN waits for the first answer"}, r.take())
	})
}

func TestAnEditedMonitorGoesOn(t *testing.T) {
	checked(t, func(k *Checker, w *world, r *reports) {
		const a = "10.0.0.1:80"
		w.set(a, nil)
		k.Set([]Target{target(1, a, monitor("m", 5*time.Second, time.Second, 1, 3))})
		pass(time.Second)
		r.take()
		k.Set([]Target{target(1, a, monitor("m", time.Second, time.Second, 1, 2))})
		require.Empty(t, r.take(), "the member stays up")
		w.set(a, errRefused)
		pass(4 * time.Second)
		require.Equal(t, []string{"1 DOWN TCP: connection refused (fall 2 of 2)"}, r.take())
		k.Set([]Target{target(1, "10.0.0.2:80", monitor("m", time.Second, time.Second, 1, 2))})
		require.Equal(t, []string{"1 UNKNOWN waits for the first answer"}, r.take(), "of another address nothing is known")
	})
}

func TestUnchangedTargetsGoOn(t *testing.T) {
	checked(t, func(k *Checker, w *world, r *reports) {
		m := monitor("m", time.Second, time.Second, 1, 1)
		w.set("10.0.0.1:80", nil)
		for i := range 50 {
			targets := []Target{target(1, "10.0.0.1:80", m), target(uint32(100+i), fmt.Sprintf("10.0.1.%d:80", i), m)}
			k.Set(targets)
			pass(400 * time.Millisecond)
		}
		var gaps []time.Duration
		at := w.dialed[netip.MustParseAddrPort("10.0.0.1:80")]
		for i := 2; i < len(at); i++ {
			gaps = append(gaps, at[i]-at[i-1])
		}
		require.Greater(t, len(gaps), 15)
		for _, gap := range gaps {
			require.Equal(t, time.Second, gap)
		}
		for _, line := range r.take() {
			require.NotContains(t, line, "1 DOWN")
		}
	})
}

// TestThousandTargets holds the promise that some that do not answer delay nobody, and that targets which come
// together are not probed together.
func TestThousandTargets(t *testing.T) {
	checked(t, func(k *Checker, w *world, _ *reports) {
		const n = 1000
		m := monitor("m", 5*time.Second, 4*time.Second, 1, 1)
		var targets []Target
		for i := range n {
			to := fmt.Sprintf("10.1.%d.%d:80", i/250, i%250)
			if i%2 == 0 {
				w.set(to, nil)
			}
			targets = append(targets, target(uint32(i+1), to, m))
		}
		k.Set(targets)
		pass(61 * time.Second)
		for to, at := range w.dialed {
			require.GreaterOrEqual(t, len(at), 11, to)
			for i := 2; i < len(at); i++ {
				require.Equal(t, 5*time.Second, at[i]-at[i-1], to)
			}
		}
		require.Len(t, w.dialed, n)
		require.LessOrEqual(t, w.most, n/2+10, "who answers is in flight for no time")
		perTenth := map[int64]int{}
		for _, at := range w.at {
			if at > 10*time.Second {
				perTenth[int64(at/(100*time.Millisecond))]++
			}
		}
		for tenth, count := range perTenth {
			require.Less(t, count, 60, "20 are due in a tenth of a second on average; in number %d", tenth)
		}
	})
}

func TestMoreThanMayBeInFlight(t *testing.T) {
	checked(t, func(k *Checker, w *world, _ *reports) {
		const n = maxInFlight + 500
		m := monitor("m", 5*time.Second, 5*time.Second, 1, 1)
		var targets []Target
		for i := range n {
			targets = append(targets, target(uint32(i+1), fmt.Sprintf("10.1.%d.%d:80", i/250, i%250), m))
		}
		k.Set(targets)
		pass(40 * time.Second)
		require.Equal(t, maxInFlight, w.most)
		require.Len(t, w.dialed, n, "all have their turn")
	})
}

func TestCloseEndsProbesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(), &reports{t: t}
		k := New(Config{Network: w, Now: time.Now, Report: r.report})
		k.Set([]Target{target(1, "10.0.0.1:80", monitor("m", time.Hour, time.Hour, 1, 1))})
		pass(time.Second)
		require.Equal(t, 1, w.open)
		r.take()
		k.Close()
		require.Zero(t, w.open)
		require.Empty(t, r.take(), "an end is no verdict")
		require.Less(t, time.Since(w.begin), time.Minute)
	})
}

func TestPortlessMembersAreDownForAReason(t *testing.T) {
	checked(t, func(k *Checker, w *world, r *reports) {
		m := monitor("m", time.Second, time.Second, 1, 1)
		k.Set([]Target{target(1, "10.0.0.1:0", m)})
		r.take()
		pass(time.Second)
		require.Equal(t, []string{"1 DOWN TCP: there is no port to probe: give the member one, or the monitor (fall 1 of 1)"}, r.take())
		require.Empty(t, w.at)
	})
}

func TestHistoryIsBounded(t *testing.T) {
	checked(t, func(k *Checker, w *world, _ *reports) {
		const a = "10.0.0.1:80"
		k.Set([]Target{target(1, a, monitor("m", time.Second, time.Second, 1, 1))})
		for i := range 40 {
			var err error
			if i%2 == 0 {
				err = errors.New("odd")
			}
			w.set(a, err)
			pass(2 * time.Second)
		}
		h, _ := k.History(1)
		require.Len(t, h.Changes, maxChanges)
		require.Equal(t, member.Up, h.Changes[maxChanges-1].Health, "the newest comes last")
		require.True(t, h.Changes[0].At.Before(h.Changes[1].At))
	})
}
