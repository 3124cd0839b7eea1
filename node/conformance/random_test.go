package conformance

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
)

var sets = flag.Int("sets", 0, "how many sets of random policies are tried; 0 is what the test thinks right")

// TestRandomPolicies tries sets of random policies of all kinds, several to a set. Every tenth is held against all
// connections, others against some.
func TestRandomPolicies(t *testing.T) {
	n := *sets
	switch {
	case n > 0:
	case testing.Short():
		n = 150
	default:
		n = 2000
	}
	b := newBench(t)
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		b.cluster.Randomize(r)
		list := make([]*probe, 0, len(b.probes))
		for i := range b.probes {
			if seed%10 == 0 || r.IntN(8) == 0 {
				list = append(list, &b.probes[i])
			}
		}
		b.compare(t, fmt.Sprintf("seed %d", seed), b.policies(), list)
	}
}

// policies are those of the cluster as objects.
func (b *bench) policies() (objects []*control.Object) {
	manifest, err := b.cluster.Policies()
	require.NoError(b.t, err)
	return decode(b.t, manifest)
}
