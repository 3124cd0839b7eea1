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
		n = 40
	default:
		n = 2000
	}
	b := newBench(t, false)
	all := b.all()
	dropping := decode(t, []byte(dropByDefault))
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		b.cluster.Randomize(r)
		policies := b.policies()
		if b.cluster.DenyByDefault = r.IntN(4) == 0; b.cluster.DenyByDefault {
			policies = append(policies, dropping...)
		}
		list := all
		if seed%10 != 0 || testing.Short() {
			list = b.some(all, uint64(seed))
		}
		b.compare(t, fmt.Sprintf("seed %d", seed), policies, list)
	}
}

// dropByDefault has the firewall's default rule drop.
const dropByDefault = `{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: node}, spec: {defaultRule: {action: DROP}}}`

// policies are those of the cluster as objects.
func (b *bench) policies() (objects []*control.Object) {
	manifest, err := b.cluster.Policies()
	require.NoError(b.t, err)
	return decode(b.t, manifest)
}
