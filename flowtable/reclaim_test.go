package flowtable

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoneWorkerRecyclesAtOnce(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	for i := range 10_000 { // many times the numbers there are
		id := create(t, w, flowKey(i), second)
		require.True(t, w.End(id, EndCleared, second))
		require.Equal(t, 1, w.backlog)
		w.Quiesce(second)
		require.Zero(t, w.backlog)
	}
	require.EqualValues(t, 10_000, table.Stats().Ended[EndCleared])
}

// TestNumbersWaitForTheirHolders: while somebody may hold an ID of a session
// that has ended, nobody else gets its number.
func TestNumbersWaitForTheirHolders(t *testing.T) {
	for _, row := range []struct {
		why  string
		hold func(table *Table) (release func())
	}{
		{"another worker is in the middle of a vector", func(table *Table) func() {
			other := table.Worker(1)
			return func() { other.Quiesce(second) }
		}},
		{"another worker is, and goes to sleep", func(table *Table) func() { return table.Worker(1).Offline }},
		{"a listing is under way", func(table *Table) func() { return sync.OnceFunc(table.Reader().Close) }},
		{"a listing is, and moves on", func(table *Table) func() {
			r := table.Reader()
			t.Cleanup(r.Close)
			return r.Quiesce
		}},
	} {
		table := newTable(t, Config{Sessions: 10, Workers: 2})
		w := table.Worker(0)
		release := row.hold(table)
		k := flowKey(1)
		id := create(t, w, k, second)
		entry := table.Entry(id)
		require.True(t, w.End(id, EndCleared, second))
		for i := range 50 {
			w.Quiesce(second)
			other := create(t, w, flowKey(100+i), second)
			require.NotEqual(t, id.Session(), other.Session(), row.why)
			require.True(t, w.End(other, EndCleared, second))
			require.Equal(t, k, entry.Key, row.why)
		}
		require.Equal(t, 51, w.backlog, row.why)
		var rec Record
		require.False(t, w.Records().Pop(&rec), "%s: counters may still change", row.why)
		for range 3 { // an epoch takes a Quiesce of each
			release()
			w.Quiesce(second)
		}
		require.Zero(t, w.backlog, row.why)
		require.True(t, w.Records().Pop(&rec))
		require.Equal(t, k, rec.Keys[Original], "the first that ended is recorded first")
	}
}

func TestOfflineWorkersHoldNothingUp(t *testing.T) {
	table := newTable(t, Config{Sessions: 10, Workers: 3})
	w := table.Worker(0) // 1 was never asked for
	table.Worker(2).Offline()
	require.True(t, w.End(create(t, w, flowKey(1), second), EndCleared, second))
	w.Quiesce(second)
	require.Zero(t, w.backlog)
	table.Worker(2).Online()
	require.True(t, w.End(create(t, w, flowKey(1), second), EndCleared, second))
	w.Quiesce(second)
	w.Quiesce(second)
	require.Equal(t, 1, w.backlog, "online again, it counts")
}

func TestQuiesceRecyclesABoundedNumber(t *testing.T) {
	const n = 1000
	table := newTable(t, Config{Sessions: n})
	w := table.Worker(0)
	for i := range n {
		create(t, w, flowKey(i), second)
	}
	require.Zero(t, w.EndMatching(0, 1<<30, nil, EndCleared, second))
	for left := n - recyclePerQuiesce; left > 0; left -= recyclePerQuiesce {
		w.Quiesce(second)
		require.Equal(t, left, w.backlog)
	}
	w.Quiesce(second)
	require.Zero(t, w.backlog)
	require.Zero(t, table.Stats().Backlog)
}

// TestPoolMovesNumbersBetweenWorkers: what one worker creates, another ends and
// keeps; numbers come back to the first through the pool, and none is lost.
func TestPoolMovesNumbersBetweenWorkers(t *testing.T) {
	const n = 300
	table := newTable(t, Config{Sessions: n, Workers: 2})
	a, b := table.Worker(0), table.Worker(1)
	for round := range 50 {
		ids := make([]ID, n)
		for i := range ids {
			ids[i] = create(t, a, flowKey(round*n+i), second)
		}
		for _, id := range ids {
			require.True(t, b.End(id, EndCleared, second))
		}
		for range 6 {
			a.Quiesce(second)
			b.Quiesce(second)
		}
		require.Zero(t, b.backlog)
	}
	require.LessOrEqual(t, table.pool.fresh.Load(), table.pool.last)
}
