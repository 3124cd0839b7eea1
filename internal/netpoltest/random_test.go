package netpoltest

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRandomPoliciesTell: random policies deny some and allow some, and each kind of them matters: without its
// objects, connections of some sets are decided otherwise.
func TestRandomPoliciesTell(t *testing.T) {
	c := NewCluster()
	list := c.Connections()
	allowed, tried := 0, 0
	matters := map[string]int{}
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 1))
		c.Randomize(r)
		less := map[string]*Cluster{}
		for kind, without := range map[string]func(*Cluster){
			"NetworkPolicy":              func(c *Cluster) { c.NetworkPolicies = nil },
			"ClusterNetworkPolicy":       func(c *Cluster) { c.ClusterPolicies = nil },
			"AdminNetworkPolicy":         func(c *Cluster) { c.AdminPolicies = nil },
			"BaselineAdminNetworkPolicy": func(c *Cluster) { c.Baseline = nil },
		} {
			clone := *c
			without(&clone)
			less[kind] = &clone
		}
		for range 40 {
			x := &list[r.IntN(len(list))]
			is := c.Allowed(x)
			tried++
			if is {
				allowed++
			}
			for kind, other := range less {
				if other.Allowed(x) != is {
					matters[kind]++
				}
			}
		}
	}
	require.Greater(t, allowed, tried/4)
	require.Less(t, allowed, tried*3/4)
	for _, kind := range []string{"NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"} {
		require.Greater(t, matters[kind], tried/200, "%s: %v of %d", kind, matters, tried)
	}
}
