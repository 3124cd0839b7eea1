package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/port/mem"
)

// manyRules is 100 policies with rules for many networks.
func manyRules(rules int) string {
	const policies = 100
	var s strings.Builder
	for p := range policies {
		fmt.Fprintf(&s, "---\napiVersion: sluice.dev/v1\nkind: SecurityPolicy\nmetadata: {name: p%d}\nspec:\n  sequenceNumber: %d\n  rules:\n", p, p)
		for r := range rules / policies {
			n := p*rules/policies + r
			fmt.Fprintf(&s, "  - {name: r%d, sourceGroups: [10.%d.%d.0/24], destinationGroups: [10.%d.%d.%d], serviceEntries: [{l4Protocol: TCP, destinationPorts: ['%d']}]}\n",
				r, n%200, n/200%250, n/7%200, n%250, n/11%250, 1+n%60000)
		}
	}
	return s.String()
}

// BenchmarkRuleChanges has one rule of many change, from decoding the object until all workers use the policy.
func BenchmarkRuleChanges(b *testing.B) {
	for _, rules := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			objects, faults := control.Decode("rules.yaml", []byte(manyRules(rules)+`---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: s}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a}
spec: {segment: s, addresses: [{ip: 10.0.0.2}]}
`), control.Options{})
			require.Empty(b, faults)
			compiler := control.NewCompiler()
			m, faults := compiler.Compile(control.Input{Objects: objects, Revision: 1})
			require.Empty(b, faults)
			devices := &memDevices{byName: map[string]*mem.Port{}}
			n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 4096, Supers: 4}, m)
			require.NoError(b, err)
			defer func() { require.NoError(b, n.Close()) }()
			require.NoError(b, n.Engine().Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}}))

			policy := manyRules(rules)
			policy = policy[strings.Index(policy, "name: p42}"):]
			policy = "apiVersion: sluice.dev/v1\nkind: SecurityPolicy\nmetadata: {" + policy[:strings.Index(policy, "---")]
			at := 0
			for i, o := range objects {
				if o.Name == "p42" {
					at = i
				}
			}
			var decode, compile, apply time.Duration
			b.ResetTimer()
			for i := range b.N {
				t0 := time.Now()
				text := strings.Replace(policy, "{name: r7,", fmt.Sprintf("{name: r7, action: DROP, tag: t%d,", i), 1)
				changed, faults := control.Decode("rules.yaml", []byte(text), control.Options{})
				require.Empty(b, faults)
				next := append(objects[:0:0], objects...)
				next[at] = changed[0]
				objects = next
				t1 := time.Now()
				m2, faults := compiler.Compile(control.Input{Objects: objects, Revision: uint64(i + 2), Previous: &m.Allocations})
				require.Empty(b, faults)
				t2 := time.Now()
				require.NoError(b, n.Apply(m2))
				m = m2
				decode += t1.Sub(t0)
				compile += t2.Sub(t1)
				apply += time.Since(t2)
			}
			for name, d := range map[string]time.Duration{"decode-us": decode, "compile-us": compile, "apply-us": apply} {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N), name)
			}
		})
	}
}
