package classify

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func itoa(n uint32) string { return strconv.Itoa(int(n)) }

// agrees requires a Table to answer as Linear does, to so many packets.
func agrees(t *testing.T, w *world, table *Table, packets int) {
	t.Helper()
	var keys [64]Key
	var refs [64]Ref
	for n := 0; n < packets; n += len(keys) {
		var ps [64]Packet
		for i := range keys {
			ps[i] = w.packet()
			keys[i] = keyOf(table, &w.in, &ps[i])
		}
		for tier := range w.in.Tiers {
			table.LookupVector(tier, keys[:], refs[:])
			for i := range keys {
				want := idOf(Linear(&w.in, tier, &ps[i]))
				require.Equal(t, want, idOf(table.Match(table.Lookup(tier, &keys[i]))), "tier %d: %+v", tier, ps[i])
				require.Equal(t, want, idOf(table.Match(refs[i])), "in a vector: tier %d: %+v", tier, ps[i])
			}
		}
	}
}

func TestAgreesWithLinear(t *testing.T) {
	worlds, changes := 60, 40
	if testing.Short() {
		worlds = 12
	}
	for seed := range uint64(worlds) {
		w := newWorld(seed, seed%4 == 3)
		c := NewCompiler()
		for range changes {
			in := w.in
			table, err := c.Compile(&in)
			require.NoError(t, err, "seed %d", seed)
			agrees(t, w, table, 128)
			for range 1 + w.rng.IntN(3) {
				w.change()
			}
		}
	}
}
