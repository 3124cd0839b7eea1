package conformance

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netpoltest"
)

// FuzzPolicies: whatever policies can be read, the compiled rules say what the evaluator says.
func FuzzPolicies(f *testing.F) {
	cluster := netpoltest.NewCluster()
	for seed := range uint64(5) {
		cluster.Randomize(rand.New(rand.NewPCG(seed, 2)))
		manifest, err := cluster.Policies()
		require.NoError(f, err)
		f.Add(manifest)
	}
	for _, rows := range [][]row{networkPolicies(), networkPolicyPorts(), clusterPolicies(), adminPolicies()} {
		for _, r := range rows {
			f.Add(documents(f, r.policies))
		}
	}
	b := &bench{t: f, cluster: netpoltest.NewCluster()}
	manifest, err := b.cluster.Manifest()
	require.NoError(f, err)
	b.fixed = append(decode(f, networkOf(b.cluster)), decode(f, manifest)...)
	connections := b.cluster.Connections()
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, faults := control.Decode("fuzz.yaml", data, control.Options{SkipUnknown: true})
		if len(faults) > 0 {
			return
		}
		objects = slices.DeleteFunc(objects, func(o *control.Object) bool { return !isPolicy(o) })
		b.take(objects)
		m, faults := control.Compile(control.Input{Objects: append(objects, b.fixed...)})
		require.Empty(t, faults, "%s", data)
		j := newLinear(m)
		for i := range connections {
			x := &connections[i]
			require.Equal(t, b.cluster.Allowed(x), j.allows(x, firstID), "%s\n%s", short(x), data)
		}
	})
}
