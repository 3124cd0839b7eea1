package route

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// All that is learned is listed, each once, over any number of chunks, and the
// listing ends when it is told to.
func TestLearnedMACs(t *testing.T) {
	const capacity = 3*dumpChunk + 7
	table, f, _ := tableOf(t, capacity)
	m := f.memberOf(1, 1)
	require.NotNil(t, m)
	require.Empty(t, slices.Collect(f.state.LearnedMACs()))
	for i := range uint64(capacity) {
		what, _ := table.learn(f, m, 1, 2|i<<16, 5e9)
		require.Equal(t, lessonLearned, what)
	}
	var gone [sweepSize]stationKey
	for i := range table.entries {
		if i%3 == 0 {
			table.entries[i].used.Store(-1e18)
		}
	}
	forgotten := 0
	for range 4 {
		forgotten += table.sweep(5e9, &gone)
	}
	require.Equal(t, capacity/3, forgotten)
	seen := map[packet.MAC]bool{}
	for x := range f.state.LearnedMACs() {
		require.False(t, seen[x.MAC])
		seen[x.MAC] = true
		require.Equal(t, MAC{Zone: 1, MAC: x.MAC, Port: 1, UsedNs: 5e9}, x)
	}
	require.Len(t, seen, capacity-forgotten)
	n := 0
	for range f.state.LearnedMACs() {
		if n++; n == dumpChunk+1 {
			break
		}
	}
	require.Equal(t, dumpChunk+1, n)
}

// While somebody looks at an item nothing is locked: workers learn on.
func TestListingsHoldNothing(t *testing.T) {
	table, f, _ := tableOf(t, 1000)
	m := f.memberOf(1, 1)
	table.learn(f, m, 1, 2, 1e9)
	next := uint64(3)
	for range f.state.LearnedMACs() {
		what, _ := table.learn(f, m, 1, 2|next<<16, 1e9)
		require.Equal(t, lessonLearned, what)
		next++
	}
	neighbors := f.state.routers.neighbors
	neighbors.learn(f, 1, packet.Addr{1, 2}, host{packet.MACFromWord(2), 1}, 1e9)
	n := 0
	for x := range f.state.LearnedNeighbors() {
		require.Equal(t, "known", x.State)
		neighbors.learn(f, 1, packet.Addr{1, uint64(100 + n)}, host{packet.MACFromWord(2), 1}, 1e9)
		n++
	}
	require.Equal(t, 1, n, "what came later is not in the chunk")
	require.Len(t, f.state.Neighbors(), 2)
}

// Tables are listed while workers learn, move, age and forget: under the race
// detector this says that nothing is read that somebody writes.
func TestListingBesideLearning(t *testing.T) {
	table, f, _ := tableOf(t, 600)
	neighbors := f.state.routers.neighbors
	var members [2]member
	for i := range members {
		members[i] = *f.memberOf(uint16(1+i), 1)
		members[i].learning.MoveLimit, members[i].learning.AgingNs = 0, 2e9
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			var gone [sweepSize]stationKey
			for i := uint64(1); !stop.Load(); i++ {
				now := int64(i) * 1e7
				table.learn(f, &members[(i+uint64(w))%2], 1, 2|i%700<<16, now)
				if i%16 == 0 {
					table.sweep(now, &gone)
				}
				neighbors.learn(f, 1, packet.Addr{7, i % 300}, host{packet.MACFromWord(2 | i%700<<16), uint16(1 + i%2)}, now)
				if i%64 == 0 {
					neighbors.mu.Lock()
					if id, _ := neighbors.entryOf(1, packet.Addr{7, i % 300}); id != 0 {
						neighbors.remove(id)
					}
					neighbors.mu.Unlock()
				}
			}
		})
	}
	for range 200 {
		for x := range f.state.LearnedMACs() {
			require.Contains(t, []uint16{1, 2}, x.Port)
			require.EqualValues(t, 1, x.Zone)
		}
		for x := range f.state.LearnedNeighbors() {
			require.EqualValues(t, 7, x.IP[0])
			require.EqualValues(t, 1, x.Zone)
		}
	}
	stop.Store(true)
	wg.Wait()
}
