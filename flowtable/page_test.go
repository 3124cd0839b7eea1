package flowtable

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pages lists all sessions by pages of size.
func pages(table *Table, size int) (all []Listed) {
	list := make([]Listed, size)
	for from := uint32(1); from != 0; {
		var n int
		n, from = table.Page(from, list)
		all = append(all, list[:n]...)
	}
	return all
}

// Whatever the size of a page, all sessions are listed, each once, and as Sessions
// lists them.
func TestPages(t *testing.T) {
	const sessions = 9000 // more than two chunks of numbers
	table := newTable(t, Config{Sessions: sessions})
	w := table.Worker(0)
	for i := range sessions {
		create(t, w, flowKey(i), second)
		w.Quiesce(second)
	}
	ended := uint32(0)
	w.EndMatching(0, sessions, func(r *Record) bool { ended++; return r.Session%3 == 0 }, EndCleared, second)
	require.EqualValues(t, sessions, ended)
	var want []Record
	table.Sessions(func(r *Record) bool { want = append(want, *r); return true })
	require.Len(t, want, sessions-sessions/3)
	for _, size := range []int{1, 7, 256, pageChunk, 3 * sessions} {
		got := pages(table, size)
		require.Len(t, got, len(want), size)
		for i := range got {
			require.Equal(t, want[i], got[i].Record)
		}
	}
	require.Empty(t, pages(newTable(t, Config{Sessions: 10}), 5))
}

func TestPageShowsPortsAndTimeout(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	w := table.Worker(0)
	id := openTCP(t, w, 1, second)
	got := pages(table, 10)
	require.Equal(t, [2]uint16{}, got[0].Ports, "nothing is permitted yet")
	require.Equal(t, time.Duration(table.cfg.Timers.TCPFirstPacket)*time.Second, got[0].Timeout)
	require.True(t, table.Entry(id).StorePermit(&Permit{Epoch: 1}, 7, LinkValid|513<<32))
	got = pages(table, 10)
	require.Equal(t, [2]uint16{513, 0}, got[0].Ports)
	establish(t, w, id, second)
	require.True(t, table.Entry(id.Peer()).StorePermit(&Permit{Epoch: 1}, 7, LinkValid|9<<32))
	got = pages(table, 10)
	require.Equal(t, [2]uint16{513, 9}, got[0].Ports)
	require.Equal(t, time.Duration(table.cfg.Timers.TCPEstablished)*time.Second, got[0].Timeout)
}

// Between two pages nothing is held: what has ended is recycled, however long
// somebody looks at the page before.
func TestPagesDoNotHoldUpRecycling(t *testing.T) {
	table := newTable(t, Config{Sessions: 100})
	w := table.Worker(0)
	list := make([]Listed, 10)
	for round := range 50 {
		for i := range 100 {
			create(t, w, flowKey(100*round+i), second)
		}
		n, next := table.Page(1, list)
		require.Equal(t, 10, n)
		require.NotZero(t, next)
		w.EndMatching(0, 1<<20, nil, EndCleared, second)
		w.Quiesce(second)
	}
	require.Zero(t, table.Stats().Backlog)
}

// TestPageAllocatesNothing: a listing of any length costs its page.
func TestPageAllocatesNothing(t *testing.T) {
	table := newTable(t, Config{Sessions: 1000})
	w := table.Worker(0)
	for i := range 500 {
		create(t, w, flowKey(i), second)
	}
	list := make([]Listed, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Page(1, list) }))
}

func TestStatesAreNamedOnce(t *testing.T) {
	names := States()
	require.Contains(t, names, "ESTABLISHED")
	require.Contains(t, names, "MULTIPLE")
	seen := map[string]bool{}
	for _, name := range names {
		require.False(t, seen[name], name)
		require.NotEmpty(t, name)
		seen[name] = true
	}
	require.Equal(t, "UNKNOWN", numStates.String())
	require.NotContains(t, names, "UNKNOWN")
}
