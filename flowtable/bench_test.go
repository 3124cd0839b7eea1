package flowtable

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-net/sluice/packet"
)

var benchSizes = []int{1, 1_000, 100_000, 1_000_000, 10_000_000}

// filled returns a table with n flows, and their keys in an order that has
// nothing to do with where they are in the table.
func filled(b *testing.B, n int) (*Table, []packet.Key) {
	if n > 1_000_000 && testing.Short() {
		b.Skip("10M flows take seconds to set up; not with -short")
	}
	t := newTable(b, Config{Sessions: max(n, 1000), Seed: 1})
	w := t.Worker(0)
	keys := make([]packet.Key, n)
	for i := range keys {
		keys[i] = flowKey(i)
		in := infoOf(keys[i])
		if _, created, r := w.Create(keys[i], keys[i].Reverse(), &in, nil, second); !created {
			b.Fatal(i, r)
		}
		if i%64 == 63 {
			w.Quiesce(second)
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return t, keys
}

func bytesPerFlow(b *testing.B, t *Table) {
	b.ReportMetric(float64(t.Memory())/float64(t.cfg.Sessions), "B/flow")
}

func eachSize(b *testing.B, f func(b *testing.B, n int)) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("flows=%d", n), func(b *testing.B) { f(b, n) })
	}
}

// BenchmarkHit is one packet of a vector of 64 flows in random order: hash,
// look up, count.
func BenchmarkHit(b *testing.B) {
	eachSize(b, func(b *testing.B, n int) {
		t, keys := filled(b, n)
		var infos [64]packet.Info
		var hashes [64]uint64
		var ids [64]ID
		at := 0
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%64 != 0 {
				continue
			}
			for j := range infos {
				infos[j].Key = keys[at]
				if at++; at == n {
					at = 0
				}
			}
			if t.LookupVector(&infos, ^uint64(0), &hashes, &ids) != ^uint64(0) {
				b.Fatal("not found")
			}
			for j := range ids {
				t.Entry(ids[j]).Count(64, second)
			}
		}
		bytesPerFlow(b, t)
	})
}
