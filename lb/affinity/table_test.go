package affinity

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

func client(n int) packet.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(0x0a000000+n))
	return packet.AddrFrom4(&b)
}

// TestModel compares the table with a map, under a clock that goes on. There is room for all.
func TestModel(t *testing.T) {
	type who struct {
		id, client, scope int
	}
	type entry struct {
		member uint32
		until  int64
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	table, model := New(20000, 7), map[who]entry{}
	affinities := []*service.Affinity{{ID: 1, TimeoutNs: 300}, {ID: 2, TimeoutNs: 5000, NoPurge: true}}
	var now int64
	for range 100_000 {
		now += rnd.Int64N(2)
		w := who{rnd.IntN(2), rnd.IntN(1000), rnd.IntN(2)}
		a := affinities[w.id]
		switch p := rnd.IntN(1000); {
		case p == 0:
			gone := uint32(rnd.IntN(50))
			table.Drop(func(m uint32) bool { return m == gone })
			for w, e := range model {
				if e.member == gone {
					delete(model, w)
				}
			}
		case p < 100:
			e := entry{uint32(rnd.IntN(50)), now + a.TimeoutNs}
			table.Put(a, client(w.client), uint32(w.scope), e.member, now)
			model[w] = e
		default:
			member, found := table.Find(a.ID, client(w.client), uint32(w.scope), now)
			e, want := model[w]
			want = want && now < e.until
			require.Equal(t, want, found, "%v at %d, until %d", w, now, e.until)
			if found {
				require.Equal(t, e.member, member, "%v", w)
			}
		}
	}
	require.Zero(t, table.Counts())

	want := []Entry{}
	for w, e := range model {
		if a := affinities[w.id]; now < e.until {
			want = append(want, Entry{a.ID, client(w.client), uint32(w.scope), e.member, e.until - a.TimeoutNs, e.until})
		}
	}
	require.NotEmpty(t, want)
	require.ElementsMatch(t, want, table.List(now))
	require.Len(t, want, table.Len(now))
}

// TestNoRoom is about a table of one bucket, with eight slots.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		why     string
		noPurge bool
		now     int64 // when the ninth connects
		want    []int // clients that are remembered
		counts  Counts
	}{
		{"the client that has not connected for longest gives way", false, 20, []int{1, 2, 3, 4, 5, 6, 7, 8, 0}, Counts{Purged: 1}},
		{"without purge, a newcomer is not remembered", true, 20, []int{0, 1, 2, 3, 4, 5, 6, 7}, Counts{Refused: 1}},
		{"a slot whose time is over is free for either", true, 102, []int{0, 3, 4, 5, 6, 7, 8}, Counts{}},
	} {
		t.Run(c.why, func(t *testing.T) {
			a := &service.Affinity{ID: 9, TimeoutNs: 100, NoPurge: c.noPurge}
			table := New(1, 1)
			for n := range ways {
				table.Put(a, client(n), 0, uint32(n), int64(n))
			}
			table.Put(a, client(0), 0, 0, 15) // it has connected again, so it isn't the oldest
			table.Put(a, client(8), 0, 8, c.now)
			want := c.want
			if !c.noPurge {
				want = []int{0, 2, 3, 4, 5, 6, 7, 8}
			}
			var got []int
			for n := range 20 {
				if m, found := table.Find(9, client(n), 0, c.now); found {
					require.EqualValues(t, n, m)
					got = append(got, n)
				}
			}
			require.ElementsMatch(t, want, got)
			require.Equal(t, c.counts, table.Counts())
		})
	}
}

// TestNominalLoad fills a table with as many clients as it was made for.
func TestNominalLoad(t *testing.T) {
	const n = 100_000
	a := &service.Affinity{ID: 1, TimeoutNs: 1 << 40}
	table := New(n, 3)
	for i := range n {
		table.Put(a, client(i), 0, 1, int64(i))
	}
	purged := table.Counts().Purged
	require.Less(t, purged, uint64(n/100), "less than 1 %% give way")
	require.EqualValues(t, n-purged, table.Len(n))
}

// TestWorkers has several workers share few buckets. Each client's member says who the client is, so
// an entry that is half one client's and half another's would be found out.
func TestWorkers(t *testing.T) {
	const workers, clients, rounds = 4, 64, 5_000
	table := New(16, 5)
	a := &service.Affinity{ID: 1, TimeoutNs: 1000}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 0))
			for now := range int64(rounds) {
				n := rnd.IntN(clients)
				if m, found := table.Find(1, client(n), uint32(n), now); found && m != uint32(n) {
					t.Errorf("client %d has the member of client %d", n, m)
					return
				}
				table.Put(a, client(n), uint32(n), uint32(n), now)
			}
		})
	}
	all.Go(func() {
		for range 200 {
			for _, e := range table.List(0) {
				if e.Client != client(int(e.Member)) || e.Scope != e.Member {
					t.Errorf("the entry of %v has the member of client %d", e.Client, e.Member)
					return
				}
			}
			table.Drop(func(m uint32) bool { return m%7 == 0 })
		}
	})
	all.Wait()
	require.Positive(t, table.Counts().Purged)
}

// TestBeingChanged: who comes upon a bucket whose writer does not go on does without.
func TestBeingChanged(t *testing.T) {
	a := &service.Affinity{ID: 1, TimeoutNs: 1000}
	table := New(1, 1)
	table.Put(a, client(1), 0, 1, 0)
	require.True(t, table.buckets[0].open())
	_, found := table.Find(1, client(1), 0, 0)
	require.False(t, found)
	table.Put(a, client(1), 0, 2, 0)
	require.Empty(t, table.List(0))
	table.buckets[0].close()
	m, found := table.Find(1, client(1), 0, 0)
	require.True(t, found)
	require.EqualValues(t, 1, m)
}

func TestAllocates(t *testing.T) {
	a := &service.Affinity{ID: 1, TimeoutNs: 1000}
	table := New(1000, 1)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		table.Put(a, client(1), 0, 1, 0)
		table.Find(1, client(1), 0, 0)
	}))
}

func BenchmarkTable(b *testing.B) {
	a := &service.Affinity{ID: 1, TimeoutNs: 1 << 40}
	for _, n := range []int{1 << 10, 1 << 20} {
		table := New(n, 3)
		for i := range n {
			table.Put(a, client(i), 0, 1, 0)
		}
		for _, c := range []struct {
			name string
			do   func(i int)
		}{
			{"found", func(i int) { table.Find(1, client(i), 0, 1) }},
			{"absent", func(i int) { table.Find(2, client(i), 0, 1) }},
			{"again", func(i int) { table.Put(a, client(i), 0, 1, 1) }},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				before := cputime.Process()
				i := 0
				for b.Loop() {
					i = (i*5 + 12345) % n // all clients, in no order that a cache could guess
					c.do(i)
				}
				b.ReportMetric(float64(cputime.Process()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
