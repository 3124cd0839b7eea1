package lint

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/netpoltest"
	"github.com/stretchr/testify/require"
)

// compileCluster makes the policy of a cluster's objects.
func compileCluster(t *testing.T, c *netpoltest.Cluster) *policy.Policy {
	t.Helper()
	manifest, err := c.Manifest()
	require.NoError(t, err)
	objects, faults := control.Decode("cluster.json", manifest, control.Options{})
	require.NoError(t, faults.Err())
	for _, n := range c.Namespaces {
		s := netpoltest.Subnets(n.Name)
		segment, faults := control.Decode("segment.yaml", fmt.Appendf(nil,
			"{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {subnets: [{cidr: %s}, {cidr: '%s'}]}}", n.Name, s[0], s[1]), control.Options{})
		require.NoError(t, faults.Err())
		objects = append(objects, segment...)
	}
	m, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	require.NoError(t, faults.Err())
	return m.Firewall
}

// TestKubernetesPolicies: whatever network policies there are, what is found about their rules is so, all of it can be
// decided, and what is redundant can be left out.
func TestKubernetesPolicies(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	r := rand.New(rand.NewPCG(11, 3))
	c := netpoltest.NewCluster()
	kinds := make(map[Kind]int)
	rules := 0
	for range rounds {
		c.Randomize(r)
		p := compileCluster(t, c)
		report := Analyze(p, map[uint32]Hits{}, Options{})
		require.Zero(t, report.Undecided)
		rules += report.Rules
		whole := tryOut(p)
		gone := make(map[*policy.Rule]bool)
		for i := range report.Findings {
			f := &report.Findings[i]
			kinds[f.Kind]++
			switch f.Kind {
			case NeverHit:
				require.Contains(t, whole.path(&f.Witness.Packet), f.Rule.Rule)
			case Shadowed:
				require.True(t, whole.alone(f.Rule.Rule).matches(&f.Witness.Packet))
				for _, met := range whole.path(&f.Witness.Packet) {
					require.NotSame(t, f.Rule.Rule, met)
				}
			}
			if f.Kind == Redundant {
				gone[f.Rule.Rule] = true
			}
		}
		d, equal := Equal(p, without(p, gone), Options{})
		require.True(t, equal, "%+v", d)
	}
	for _, k := range []Kind{Shadowed, Redundant, NeverHit, SelectsNobody} {
		require.NotZero(t, kinds[k], "the policies must have rules that are %s", k)
	}
	require.Greater(t, rules, 5*rounds)
}

// without returns a policy that has some rules no more.
func without(p *policy.Policy, gone map[*policy.Rule]bool) *policy.Policy {
	less := *p
	less.Sections = nil
	for _, s := range p.Sections {
		copied := *s
		copied.Rules = nil
		for i := range s.Rules {
			if !gone[&s.Rules[i]] {
				copied.Rules = append(copied.Rules, s.Rules[i])
			}
		}
		less.Sections = append(less.Sections, &copied)
	}
	return &less
}

// TestEqualClusters: policies that are proved equal let the same connections be opened, by the text of Kubernetes'
// APIs. An object more or less, or one that says the same in another way, makes them differ or not.
func TestEqualClusters(t *testing.T) {
	t.Parallel()
	rounds := 30
	if testing.Short() {
		rounds = 8
	}
	r := rand.New(rand.NewPCG(4, 9))
	proved, refuted := 0, 0
	for range rounds {
		c := netpoltest.NewCluster()
		c.Randomize(r)
		for len(c.NetworkPolicies) == 0 {
			c.Randomize(r)
		}
		other := *c
		if i := r.IntN(len(c.NetworkPolicies)); r.IntN(2) == 0 {
			other.NetworkPolicies = append(c.NetworkPolicies[:i:i], c.NetworkPolicies[i+1:]...)
		} else {
			again := c.NetworkPolicies[i].DeepCopy()
			again.Name = "again"
			other.NetworkPolicies = append(c.NetworkPolicies[:len(c.NetworkPolicies):len(c.NetworkPolicies)], again)
		}
		d, equal := Equal(compileCluster(t, c), compileCluster(t, &other), Options{})
		if !equal {
			require.NotNil(t, d)
			refuted++
			continue
		}
		proved++
		all := c.Connections() // the text takes its time
		for i := r.IntN(17); i < len(all); i += 17 {
			require.Equal(t, c.Allowed(&all[i]), other.Allowed(&all[i]), "%s", &all[i])
		}
	}
	require.NotZero(t, proved)
	require.NotZero(t, refuted)
}
