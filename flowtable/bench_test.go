package flowtable

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-net/sluice/packet"
)

// Benchmarks are per packet or per session, with a table of as many sessions as
// flows. They report the table's memory per session as B/flow.

func eachSize(b *testing.B, f func(b *testing.B, n int) *Table) {
	for _, n := range []int{1, 1_000, 100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("flows=%d", n), func(b *testing.B) {
			if n > 1_000_000 && testing.Short() {
				b.Skip("10M flows take seconds to set up; not with -short")
			}
			b.ReportAllocs()
			t := f(b, n)
			b.ReportMetric(float64(t.Memory())/float64(n), "B/flow")
		})
	}
}

// filled returns a table with n flows, and their keys in an order that has
// nothing to do with where they are in the table.
func filled(b *testing.B, n int) (*Table, []packet.Key) {
	t := newTable(b, Config{Sessions: n, Seed: 1})
	w := t.Worker(0)
	keys := make([]packet.Key, n)
	for i := range keys {
		keys[i] = flowKey(i)
		createAgain(b, w, &keys[i])
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return t, keys
}

func createAgain(b *testing.B, w *Worker, k *packet.Key) ID {
	in := infoOf(*k)
	id, created, r := w.Create(*k, k.Reverse(), Terms{}, &in, nil, second)
	if !created {
		b.Fatal(k, r)
	}
	return id
}

// vectors calls f for one vector of 64 in 64 rounds, with the next 64 keys.
func vectors(b *testing.B, keys []packet.Key, f func(infos *[64]packet.Info)) {
	var infos [64]packet.Info
	at := 0
	for i := 0; b.Loop(); i++ {
		if i%64 != 0 {
			continue
		}
		for j := range infos {
			infos[j].Key = keys[at]
			if at++; at == len(keys) {
				at = 0
			}
		}
		f(&infos)
	}
}

// refillable skips tables so small that stopping the timer to fill or empty them
// takes most of the time.
func refillable(b *testing.B, n int) {
	if n < 1000 {
		b.Skip("see InsertDelete")
	}
}

// BenchmarkHit is hash, lookup and count of flows in random order.
func BenchmarkHit(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		t, keys := filled(b, n)
		var hashes [64]uint64
		var ids [64]ID
		vectors(b, keys, func(infos *[64]packet.Info) {
			if t.LookupVector(infos, ^uint64(0), &hashes, &ids) != ^uint64(0) {
				b.Fatal("not found")
			}
			for j := range ids {
				t.Entry(ids[j]).Count(64, second)
			}
		})
		return t
	})
}

// BenchmarkMiss is hash and lookup of flows that do not exist.
func BenchmarkMiss(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		t, keys := filled(b, n)
		for i := range keys {
			keys[i].Dst[1]++
		}
		var hashes [64]uint64
		var ids [64]ID
		vectors(b, keys, func(infos *[64]packet.Info) {
			if t.LookupVector(infos, ^uint64(0), &hashes, &ids) != 0 {
				b.Fatal("found")
			}
		})
		return t
	})
}

// BenchmarkHitWorkers is BenchmarkHit by several workers at once, each with
// flows of its own: time per packet of all together.
func BenchmarkHitWorkers(b *testing.B) {
	const n = 100_000
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			t, keys := filled(b, n)
			var wg sync.WaitGroup
			b.ResetTimer()
			for i := range workers {
				wg.Go(func() {
					own := keys[i*n/workers : (i+1)*n/workers]
					var infos [64]packet.Info
					var hashes [64]uint64
					var ids [64]ID
					at := 0
					for range b.N/workers/64 + 1 {
						for j := range infos {
							infos[j].Key = own[at]
							if at++; at == len(own) {
								at = 0
							}
						}
						t.LookupVector(&infos, ^uint64(0), &hashes, &ids)
						for j := range ids {
							t.Entry(ids[j]).Count(64, second)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkScalarHit is BenchmarkHit one by one.
func BenchmarkScalarHit(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		t, keys := filled(b, n)
		vectors(b, keys, func(infos *[64]packet.Info) {
			for j := range infos {
				t.Entry(t.Lookup(&infos[j].Key)).Count(64, second)
			}
		})
		return t
	})
}

// BenchmarkTouch is the floor under BenchmarkHit: the same number of lines, of
// memory of the same size, in random order, and nothing else.
func BenchmarkTouch(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		t, keys := filled(b, n)
		rng := rand.New(rand.NewPCG(1, 1))
		ids, buckets := make([]uint32, n), make([]uint32, n)
		for i := range ids {
			ids[i] = 2 + 2*rng.Uint32N(uint32(n))
			buckets[i] = rng.Uint32N(uint32(t.index.mask + 1))
		}
		at := 0
		vectors(b, keys[:1], func(*[64]packet.Info) {
			from := at
			for range 64 {
				atomic.LoadUint64(&t.index.at(uint64(buckets[at])).fp[0])
				if at++; at == n {
					at = 0
				}
			}
			for range 64 {
				e := t.Entry(ID(ids[from]))
				atomic.LoadUint64(&e.hop)
				e.Count(64, second)
				if from++; from == n {
					from = 0
				}
			}
		})
		return t
	})
}

// BenchmarkInsertDelete replaces flows: the end of one, the beginning of
// another, and its share of Quiesce.
func BenchmarkInsertDelete(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		t, keys := filled(b, n)
		w := t.Worker(0)
		var rec Record
		for i := 0; b.Loop(); i++ {
			k := &keys[i%n]
			w.End(t.Lookup(k), EndCleared, second)
			createAgain(b, w, k)
			if i%64 == 63 {
				w.Quiesce(second)
				for w.records.Pop(&rec) {
				}
			}
		}
		return t
	})
}

// BenchmarkInsert fills a table from nothing.
func BenchmarkInsert(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		refillable(b, n)
		t, keys := filled(b, n)
		w := t.Worker(0)
		at := n
		for b.Loop() {
			if at == n {
				b.StopTimer()
				w.EndMatching(0, 1<<30, nil, EndCleared, second)
				for w.backlog > 0 {
					w.Quiesce(second)
				}
				at = 0
				b.StartTimer()
			}
			createAgain(b, w, &keys[at])
			at++
		}
		return t
	})
}

// BenchmarkDelete empties a table, with recycling and records.
func BenchmarkDelete(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) *Table {
		refillable(b, n)
		t, keys := filled(b, n)
		w := t.Worker(0)
		var rec Record
		at := 0
		for i := 0; b.Loop(); i++ {
			if at == n {
				b.StopTimer()
				for j := range keys {
					createAgain(b, w, &keys[j])
				}
				at = 0
				b.StartTimer()
			}
			w.End(t.Lookup(&keys[at]), EndCleared, second)
			at++
			if i%64 == 63 || at == n {
				w.Quiesce(second)
				for w.records.Pop(&rec) {
				}
			}
		}
		return t
	})
}

// BenchmarkExpire is a sweep of the whole table, reported per session: one in
// which nothing is due, and one that ends everything, with recycling and records.
func BenchmarkExpire(b *testing.B) {
	perSession := func(b *testing.B, n int) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/session")
	}
	b.Run("nothing", func(b *testing.B) {
		eachSize(b, func(b *testing.B, n int) *Table {
			t, _ := filled(b, n)
			w := t.Worker(0)
			for b.Loop() {
				w.SweepAll(second)
			}
			perSession(b, n)
			return t
		})
	})
	b.Run("everything", func(b *testing.B) {
		eachSize(b, func(b *testing.B, n int) *Table {
			refillable(b, n)
			t, keys := filled(b, n)
			w := t.Worker(0)
			var rec Record
			for now := second; b.Loop(); {
				now += 3600 * second
				for t.census.live.Load() > 0 || w.backlog > 0 {
					w.Quiesce(now)
					for w.records.Pop(&rec) {
					}
				}
				b.StopTimer()
				for j := range keys {
					in := infoOf(keys[j])
					w.Create(keys[j], keys[j].Reverse(), Terms{}, &in, nil, now)
				}
				b.StartTimer()
			}
			perSession(b, n)
			return t
		})
	})
}

// BenchmarkIndexAtLoad replaces elements of an index that is 85 % full, where
// insertions displace.
func BenchmarkIndexAtLoad(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("elements=%d", n), func(b *testing.B) {
			if n > 1_000_000 && testing.Short() {
				b.Skip("10M elements take seconds to set up; not with -short")
			}
			x := newIndex(b, n)
			full := uint32(x.Slots() * 85 / 100)
			for id := range full {
				if !x.Insert(hashOf(id), id) {
					b.Fatalf("full at %d of %d slots", id, x.Slots())
				}
			}
			next := full
			b.ReportAllocs()
			for b.Loop() {
				x.Remove(hashOf(next-full), next-full)
				if !x.Insert(hashOf(next), next) {
					b.Fatal("full")
				}
				next++
			}
			b.ReportMetric(float64(x.Memory())/float64(full), "B/element")
		})
	}
}

// BenchmarkQuiesce is an idle poll.
func BenchmarkQuiesce(b *testing.B) {
	t := newTable(b, Config{Sessions: 1000, Workers: 4})
	w := t.Worker(0)
	w.Quiesce(second)
	for b.Loop() {
		w.Quiesce(second)
	}
}

// BenchmarkPermit is what a packet asks of its entry.
func BenchmarkPermit(b *testing.B) {
	var e Entry
	e.StorePermit(&Permit{Epoch: 1}, 1, LinkValid|2)
	b.Run("allowed", func(b *testing.B) {
		for b.Loop() {
			if _, _, ok := e.Allowed(1, LinkValid|2, 1); !ok {
				b.Fatal("not allowed")
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			e.StorePermit(&Permit{Epoch: 1}, 1, LinkValid|2)
		}
	})
}
