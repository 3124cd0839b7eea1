package conformance

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/sluice-net/sluice/control"
)

// row is policies and what a reader of the API's documents expects of them.
type row struct {
	why string

	// policies are lines: "np NAMESPACE/NAME SPEC", "cnp NAME SPEC", "anp NAME SPEC" or "banp SPEC".
	policies string

	// allowed and denied are connections as short prints them, separated by commas; * is anything without a
	// blank. They are a part of the table, which is compared as a whole with the evaluator: they hold the evaluator itself.
	allowed, denied string
}

// policyLine matches a line of row.policies.
var policyLine = regexp.MustCompile(`^(np|cnp|anp|banp) (?:(?:(\w+)/)?([\w-]+) )?(\{.*\})$`)

// documents writes policies out.
func documents(t testing.TB, policies string) []byte {
	var text strings.Builder
	for line := range strings.Lines(policies) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := policyLine.FindStringSubmatch(line)
		require.NotNil(t, m, "%q is no policy", line)
		kind := map[string]string{
			"np":   "apiVersion: networking.k8s.io/v1, kind: NetworkPolicy",
			"cnp":  "apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy",
			"anp":  "apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy",
			"banp": "apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy",
		}[m[1]]
		metadata := "name: " + m[3]
		if m[3] == "" {
			metadata = "name: default"
		}
		if m[2] != "" {
			metadata += ", namespace: " + m[2]
		}
		fmt.Fprintf(&text, "---\n{%s, metadata: {%s}, spec: %s}\n", kind, metadata, m[4])
	}
	return []byte(text.String())
}

func isPolicy(o *control.Object) bool {
	switch o.Kind {
	case "NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy":
		return true
	}
	return false
}

// take gives the cluster the policies of objects.
func (b *bench) take(objects []*control.Object) {
	c := b.cluster
	c.NetworkPolicies, c.ClusterPolicies, c.AdminPolicies, c.Baseline = nil, nil, nil, nil
	for _, o := range objects {
		switch v := o.Value.(type) {
		case *networkingv1.NetworkPolicy:
			c.NetworkPolicies = append(c.NetworkPolicies, v)
		case *v1alpha2.ClusterNetworkPolicy:
			c.ClusterPolicies = append(c.ClusterPolicies, v)
		case *v1alpha1.AdminNetworkPolicy:
			c.AdminPolicies = append(c.AdminPolicies, v)
		case *v1alpha1.BaselineAdminNetworkPolicy:
			c.Baseline = v
		}
	}
}

// matching returns the probes of a list of patterns.
func (b *bench) matching(t *testing.T, patterns string) (list []*probe) {
	for _, pattern := range strings.Split(patterns, ", ") {
		if pattern == "" {
			continue
		}
		re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `\S*`) + "$")
		before := len(list)
		for i := range b.probes {
			if re.MatchString(short(&b.probes[i].Connection)) {
				list = append(list, &b.probes[i])
			}
		}
		require.Greater(t, len(list), before, "no connection is like %q", pattern)
	}
	return list
}

// all returns every probe.
func (b *bench) all() (list []*probe) {
	for i := range b.probes {
		list = append(list, &b.probes[i])
	}
	return list
}

// some returns an eighth of the probes, at random.
func (b *bench) some(all []*probe, seed uint64) (list []*probe) {
	r := rand.New(rand.NewPCG(seed, 3))
	for _, p := range all {
		if r.IntN(8) == 0 {
			list = append(list, p)
		}
	}
	return list
}

// testRows compares the whole table for each row, a part of it if time is short.
func testRows(t *testing.T, rows []row) {
	b := newBench(t, false)
	all := b.all()
	for i, r := range rows {
		t.Run(r.why, func(t *testing.T) {
			list := all
			if testing.Short() {
				list = b.some(all, uint64(i))
			}
			objects := decode(t, documents(t, r.policies))
			b.take(objects)
			for _, side := range []struct {
				patterns string
				want     bool
			}{{r.allowed, true}, {r.denied, false}} {
				for _, p := range b.matching(t, side.patterns) {
					require.Equal(t, side.want, b.cluster.Allowed(&p.Connection), "the evaluator about %s", short(&p.Connection))
				}
			}
			b.compare(t, r.why, objects, list)
		})
	}
}
