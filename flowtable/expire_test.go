package flowtable

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

func TestSweepAllEndsWhatIsDue(t *testing.T) {
	const start = 1_700_000_000 * second // a capture's time
	d := DefaultTimers()
	for _, row := range []struct {
		why     string
		make    func(w *Worker) ID
		timeout int64 // s, after the last packet at start+2 s
		reason  EndReason
	}{
		{"UDP, one packet", func(w *Worker) ID { return create(t, w, flowKey(1), start+2*second) }, d.UDPFirstPacket, EndTimeout},
		{"UDP, a packet was counted later than the session began", func(w *Worker) ID {
			id := create(t, w, flowKey(1), start)
			w.t.Entry(id).Count(100, start+2*second)
			return id
		}, d.UDPFirstPacket, EndTimeout},
		{"UDP, the reply direction is what keeps it", func(w *Worker) ID {
			id := create(t, w, flowKey(1), start)
			in := infoOf(reverse(flowKey(1)))
			w.Track(id.Peer(), &in, nil, start+2*second)
			w.t.Entry(id.Peer()).Count(100, start+2*second)
			return id
		}, d.UDPMultiple, EndTimeout},
		{"TCP, established", func(w *Worker) ID {
			id := openTCP(t, w, 1, start)
			establish(t, w, id, start+2*second)
			return id
		}, d.TCPEstablished, EndTimeout},
		{"TCP, reset: the long timeout does not hold any more", func(w *Worker) ID {
			id := openTCP(t, w, 1, start)
			establish(t, w, id, start)
			step(t, w, id, packet.TCPRst|packet.TCPAck, 101, 501, start+2*second)
			return id
		}, d.TCPClosed, EndRST},
		{"TCP, closed by both", func(w *Worker) ID {
			id := openTCP(t, w, 1, start)
			establish(t, w, id, start)
			step(t, w, id, packet.TCPFin|packet.TCPAck, 101, 501, start)
			step(t, w, id.Peer(), packet.TCPFin|packet.TCPAck, 501, 102, start)
			step(t, w, id, packet.TCPAck, 102, 502, start+2*second)
			return id
		}, d.TCPClosed, EndFIN},
	} {
		table := newTable(t, Config{Sessions: 10})
		w := table.Worker(0)
		row.make(w)
		due := start + 2*second + row.timeout*second
		w.SweepAll(due - 1)
		require.Equal(t, 1, table.Stats().Live, "%s: a nanosecond too early", row.why)
		w.SweepAll(due)
		require.Zero(t, table.Stats().Live, row.why)
		w.Quiesce(due)
		var rec Record
		require.True(t, w.Records().Pop(&rec), row.why)
		require.Equal(t, row.reason, rec.Reason, row.why)
		require.Equal(t, start+2*second, rec.Last, row.why)
		require.Equal(t, due, rec.End, row.why)
	}
}

// TestSweepCoversTheTableInASecond: every session is judged within a second of
// its deadline, and no Quiesce does more than its share.
func TestSweepCoversTheTableInASecond(t *testing.T) {
	const n = 20_000
	table := newTable(t, Config{Sessions: n})
	w := table.Worker(0)
	for i := range n {
		create(t, w, flowKey(i), second)
		w.Quiesce(second)
	}
	timeout := DefaultTimers().UDPFirstPacket * second
	const poll = second / 10_000
	now := second + timeout - second/2
	for ; now < second+timeout; now += poll {
		w.Quiesce(now)
	}
	require.Equal(t, n, table.Stats().Live, "nothing ends early")
	most := 0
	for ; now <= second+timeout+2*sweepTicks<<tickBits; now += poll {
		before := table.Stats().Live
		w.Quiesce(now)
		most = max(most, before-table.Stats().Live)
	}
	require.Zero(t, table.Stats().Live)
	require.LessOrEqual(t, most, sweepJudged+sweepChunk, "sessions that one call ends")
	require.EqualValues(t, n, table.Stats().Ended[EndTimeout])
}

func TestSweepFollowsATimeJump(t *testing.T) {
	const n = 10_000
	table := newTable(t, Config{Sessions: n})
	w := table.Worker(0)
	for i := range n {
		create(t, w, flowKey(i), second)
	}
	// The next frame of a capture comes an hour later: a bounded number of calls
	// catches up, at one time.
	calls := 0
	for ; table.Stats().Live > 0; calls++ {
		w.Quiesce(3600 * second)
		require.Less(t, calls, n)
	}
	require.GreaterOrEqual(t, calls, n/(sweepJudged+sweepChunk))
}

func TestSweepTakesASecondForEachRound(t *testing.T) {
	const n, rounds = 5000, 10
	table := newTable(t, Config{Sessions: n})
	w := table.Worker(0)
	for i := range n {
		create(t, w, flowKey(i), second)
	}
	swept := 0
	for tick := uint32(2); tick <= 1+rounds*sweepTicks; tick++ {
		before := swept
		for from, to := table.claim(tick); from != to; from, to = table.claim(tick) {
			swept += int(to - from)
		}
		require.LessOrEqual(t, swept-before, 2*(n/sweepTicks+sweepChunk), "a tick's share, at most of two rounds")
	}
	require.InDelta(t, n*rounds, swept, n)
}

func TestSweepIsSharedByWorkers(t *testing.T) {
	const n = 8192
	table := newTable(t, Config{Sessions: n, Workers: 2})
	a, b := table.Worker(0), table.Worker(1)
	for i := range n {
		create(t, a, flowKey(i), second)
	}
	now := 3600 * second
	for table.Stats().Live > 0 {
		a.Quiesce(now)
		b.Quiesce(now)
	}
	require.NotZero(t, a.ended[EndTimeout])
	require.NotZero(t, b.ended[EndTimeout])
}

func TestTickOf(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	table.setBase(1000 * second)
	table.setBase(2000 * second)
	for _, row := range []struct {
		why  string
		ns   int64
		want uint32
	}{
		{"the base is the first time heard of", 1000 * second, 1},
		{"0 is no deadline, so nothing is before 1", 5 * second, 1},
		{"a tick later", 1000*second + 1<<tickBits, 2},
		{"ticks are rounded down", 1000*second + 1<<tickBits - 1, 1},
		{"a timeout beyond nine years is as good as never", 1 << 62, 1<<32 - 2},
	} {
		require.Equal(t, row.want, table.tickOf(row.ns), row.why)
	}
}
