package flowtable

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// udpTimers is the default profile with all of UDP's timers s seconds.
func udpTimers(s int64) Timers {
	t := DefaultTimers()
	t.UDPFirstPacket, t.UDPSingle, t.UDPMultiple = s, s, s
	return t
}

// createWith is create on terms.
func createWith(t testing.TB, w *Worker, k packet.Key, terms Terms, now int64) ID {
	t.Helper()
	in := infoOf(k)
	id, created, r := w.Create(k, k.Reverse(), terms, &in, nil, now)
	require.Equal(t, packet.None, r)
	require.True(t, created)
	return id
}

// A session that was idle for s seconds has ended, and has not a nanosecond before: at once
// by Expire, and by the sweep.
func requireTimeout(t *testing.T, table *Table, id ID, last, s int64, why string) {
	t.Helper()
	w := table.Worker(0)
	due := last + s*second
	require.False(t, w.Expire(id, due-1), why)
	w.SweepAll(due - 1)
	require.Equal(t, phaseLive, table.session(id.Session()).control().phase(), "%s: too early", why)
	w.SweepAll(due + 1<<tickBits)
	require.Equal(t, phaseEnded, table.session(id.Session()).control().phase(), "%s: too late", why)
	for range 3 {
		w.Quiesce(due)
	}
}

func TestSetTimers(t *testing.T) {
	const now = 1_700_000_000 * second
	for _, row := range []struct {
		why     string
		at      []Timers // when the session begins
		profile uint8
		then    []Timers // five seconds later
		want    int64
	}{
		{"a session has its own profile", []Timers{udpTimers(60), udpTimers(20)}, 1, nil, 20},
		{"the first is that of sessions without one", []Timers{udpTimers(60), udpTimers(20)}, 0, nil, 60},
		{"what there is no profile for is the node's", []Timers{udpTimers(60), udpTimers(20)}, 2, nil, 60},
		{"a shorter timeout holds for live sessions", []Timers{udpTimers(4000000)}, 0, []Timers{udpTimers(10)}, 10},
		{"a longer one too", []Timers{udpTimers(10)}, 0, []Timers{udpTimers(4000000)}, 4000000},
		{"shorter in the session's profile alone", []Timers{udpTimers(60), udpTimers(3000)}, 1, []Timers{udpTimers(60), udpTimers(30)}, 30},
		{"another profile is none of its business", []Timers{udpTimers(60), udpTimers(3000)}, 0, []Timers{udpTimers(60), udpTimers(30)}, 60},
		{"a profile that is gone: the node's, which is shorter", []Timers{udpTimers(60), udpTimers(3000)}, 1, []Timers{udpTimers(60)}, 60},
		{"a profile that is gone: the node's, which is longer", []Timers{udpTimers(60), udpTimers(30)}, 1, []Timers{udpTimers(60)}, 60},
		{"one that comes for sessions that named it before", []Timers{udpTimers(60)}, 9, append(make([]Timers, 0, 10), profiles(10, 60, 9, 20)...), 20},
		{"the last of as many as there may be", profiles(MaxTimerProfiles, 60, 255, 20), 255, nil, 20},
	} {
		table := newTable(t, Config{Sessions: 10, Timers: row.at[0]})
		require.NoError(t, table.SetTimers(row.at), row.why)
		id := createWith(t, table.Worker(0), flowKey(1), Terms{Timers: row.profile}, now)
		if row.then != nil {
			require.NoError(t, table.SetTimers(row.then), row.why)
		}
		requireTimeout(t, table, id, now, row.want, row.why)
	}
}

// profiles are n of one timeout, but one of them of another.
func profiles(n int, timeout int64, but int, other int64) (list []Timers) {
	for i := range n {
		if list = append(list, udpTimers(timeout)); i == but {
			list[i] = udpTimers(other)
		}
	}
	return list
}

func TestSetTimersRefuses(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	bad := DefaultTimers()
	bad.TCPClosing, bad.UDPSingle = 0, MaxTimer+1
	for _, row := range []struct {
		why  string
		list []Timers
		want []string
	}{
		{"without a profile there is no time", nil, []string{"timer profiles: 0 is not in 1 to 256"}},
		{"sessions have eight bits for the number", make([]Timers, 257), []string{"257 is not in 1 to 256"}},
		{"all faults at once, by profile and timer", []Timers{DefaultTimers(), bad, bad}, []string{
			"timer profile 1: tcp_closing", "timer profile 1: udp_single", "timer profile 2: tcp_closing", "timer profile 2: udp_single",
		}},
	} {
		err := table.SetTimers(row.list)
		for _, want := range row.want {
			require.ErrorContains(t, err, want, row.why)
		}
		require.EqualValues(t, 10*second, table.ShortestTimeout(), "%s: nothing has changed", row.why)
	}
	fast := DefaultTimers()
	fast.ICMPErrorReply = 3
	require.NoError(t, table.SetTimers([]Timers{DefaultTimers(), fast}))
	require.EqualValues(t, 3*second, table.ShortestTimeout(), "of all profiles")
}

func TestUseTimers(t *testing.T) {
	const now = 5 * second
	for _, row := range []struct {
		why      string
		from, to uint8
		want     int64
	}{
		{"a shorter one", 0, 1, 20},
		{"a longer one", 1, 0, 60},
		{"the same", 1, 1, 20},
	} {
		table := newTable(t, Config{Sessions: 10})
		require.NoError(t, table.SetTimers([]Timers{udpTimers(60), udpTimers(20)}))
		w := table.Worker(0)
		id := createWith(t, w, flowKey(1), Terms{Timers: row.from, Marks: [2]uint16{7, 8}}, now)
		w.UseTimers(id, row.to)
		require.Equal(t, Terms{Timers: row.to, Marks: [2]uint16{7, 8}}, table.Terms(id), "%s: the rest stays", row.why)
		requireTimeout(t, table, id, now, row.want, row.why)
	}
}

// While one goroutine changes timers, others begin sessions and move their states on: with
// the last change no deadline is later than it should be.
func TestSetTimersWhileWorkersRun(t *testing.T) {
	const workers, flows = 2, 400
	long, short := DefaultTimers(), DefaultTimers()
	for _, f := range long.fields() {
		*f.seconds = MaxTimer
	}
	for _, f := range short.fields() {
		*f.seconds = 2
	}
	table := newTable(t, Config{Sessions: 4 * workers * flows, Workers: workers, ManualSweep: true, Timers: long})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			w := table.Worker(i)
			for round := 0; !stop.Load(); round++ {
				for f := range flows {
					id := openTCP(t, w, (round%2*workers+i)*flows+f, second)
					if f%2 == 0 {
						establish(t, w, id, second)
					}
				}
				for f := range flows {
					k := keyOf((round%2*workers+i)*flows+f, packet.ProtoTCP)
					require.True(t, w.End(table.Lookup(&k), EndCleared, second))
				}
				for w.backlog > flows {
					w.Quiesce(second)
				}
			}
			for f := range flows {
				openTCP(t, w, (4*workers+i)*flows+f, second)
			}
			w.Offline()
		})
	}
	for range 200 {
		require.NoError(t, table.SetTimers([]Timers{long}))
		require.NoError(t, table.SetTimers([]Timers{short}))
	}
	stop.Store(true)
	wg.Wait()
	last := table.tickOf(second + 2*second)
	for n := uint32(1); n <= table.pool.fresh.Load(); n++ {
		if table.session(n).control().phase() == phaseLive {
			require.LessOrEqual(t, *table.deadline(n), last, "session %d", n)
		}
	}
	require.Equal(t, workers*flows, table.Stats().Live)
}
