package flowtable

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// Whatever their size, counts have room for one session of each of capacity sources,
// wherever those fall, and cost what their comment says.
func TestSourceCountsHoldTheirCapacity(t *testing.T) {
	for _, row := range []struct{ capacity, most int }{
		{1, 2 << 10}, {100, 6 << 10}, {5000, 200 << 10}, {100_000, 3100 << 10},
	} {
		c := NewSourceCounts(row.capacity, 1, 7)
		require.LessOrEqual(t, c.Memory(), row.most, "capacity %d", row.capacity)
		for i := range row.capacity {
			require.True(t, c.Add(flowKey(i).Src, 3), "source %d of %d", i, row.capacity)
		}
		require.False(t, c.Add(flowKey(0).Src, 3))
		for i := range row.capacity {
			c.Remove(flowKey(i).Src, 3)
		}
		for i := range c.slots {
			require.Zero(t, c.slots[i].count)
		}
	}
	require.Equal(t, 1, NewSourceCounts(0, 0, 1).Limit(), "nonsense is the least there is")
}

func TestSourceCounts(t *testing.T) {
	c := NewSourceCounts(100, 2, 1)
	a, b := flowKey(1).Src, flowKey(2).Src
	for _, row := range []struct {
		why    string
		source packet.Addr
		zone   packet.Zone
		add    bool
		want   bool
		count  int
	}{
		{"the first", a, 1, true, true, 1},
		{"the second", a, 1, true, true, 2},
		{"one too many is not counted", a, 1, true, false, 2},
		{"another source", b, 1, true, true, 1},
		{"the same address in another zone", a, packet.MaxZone, true, true, 1},
		{"one leaves", a, 1, false, false, 1},
		{"and another may come", a, 1, true, true, 2},
		{"to remove what is not there changes nothing", b, 2, false, false, 0},
	} {
		if row.add {
			require.Equal(t, row.want, c.Add(row.source, row.zone), row.why)
		} else {
			c.Remove(row.source, row.zone)
		}
		require.Equal(t, row.count, c.Count(row.source, row.zone), row.why)
	}
}

// Several workers at once: nobody gets a place too many, and none is lost.
func TestSourceCountsAtOnce(t *testing.T) {
	const workers, sources, limit = 4, 50, 3
	c := NewSourceCounts(sources*limit, limit, 1)
	var held [workers][sources]int
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range 20_000 {
				s := i * 7 % sources
				if held[w][s] > 0 && i%3 == 0 {
					c.Remove(flowKey(s).Src, 1)
					held[w][s]--
				} else if c.Add(flowKey(s).Src, 1) {
					held[w][s]++
				}
			}
		})
	}
	wg.Wait()
	for s := range sources {
		sum := 0
		for w := range workers {
			sum += held[w][s]
		}
		require.LessOrEqual(t, sum, limit)
		require.Equal(t, sum, c.Count(flowKey(s).Src, 1), "source %d", s)
	}
}

func TestSourceCountsDoNotAllocate(t *testing.T) {
	c := NewSourceCounts(1000, 2, 1)
	source := flowKey(1).Src
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.Add(source, 1)
		c.Remove(source, 1)
	}))
}
