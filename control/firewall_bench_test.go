package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-net/sluice/internal/cputime"
)

// rulesOf writes policies of many rules.
func rulesOf(policies, rules int) string {
	var b strings.Builder
	for i := range policies {
		b.WriteString("---\n" + policyOf(i, rules, 0))
	}
	return b.String()
}

// policyOf writes a policy; in one of its rules is a port that the caller chooses.
func policyOf(i, rules, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: sluice.dev/v1\nkind: SecurityPolicy\nmetadata: {name: p%d}\nspec:\n  sequenceNumber: %d\n  rules:\n", i, i)
	for j := range rules {
		p := 1000 + j
		if j == rules/2 && port != 0 {
			p = port
		}
		fmt.Fprintf(&b, "  - {name: r%d, action: ALLOW, sourceGroups: [10.%d.%d.0/24], destinationGroups: [10.%d.%d.%d], serviceEntries: [{l4Protocol: TCP, destinationPorts: ['%d']}]}\n",
			j, i, j/256, 100+i, j/256, j%256, p)
	}
	return b.String()
}

// groupsOf writes groups that select pods of sitePods, and a policy with a rule for each.
func groupsOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: g%d}, spec: {podSelector: {matchLabels: {app: a%d}}, namespaces: [ns%d, ns%d], ipAddresses: [10.9.%d.%d]}}\n", i, i%7, i%100, (i+1)%100, i/256, i%256)
	}
	b.WriteString("---\napiVersion: sluice.dev/v1\nkind: SecurityPolicy\nmetadata: {name: all}\nspec:\n  rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: r%d, sourceGroups: [g%d, g%d], destinationGroups: [g%d], scope: [g%d]}\n", i, i, (i+7)%n, (i+1)%n, i)
	}
	return b.String()
}

// BenchmarkFirewallChange compiles one change after the other, there and back, as BenchmarkChange does.
func BenchmarkFirewallChange(b *testing.B) {
	for _, row := range []struct {
		name, base string
		from, to   string // of base; what it becomes
	}{
		{"oneRuleOf100k", rulesOf(100, 1000), policyOf(50, 1000, 0), policyOf(50, 1000, 9)},
		{"oneLabelOf5kPodsIn1000Groups", sitePods(5000) + groupsOf(1000), "", "{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: ns0, labels: {app: a3}}}"},
		{"onePodOf5kIn1000Groups", sitePods(5000) + groupsOf(1000), "", "{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: ns7, labels: {app: a3}}}"},
		{"onePodOf5kWithoutGroups", sitePods(5000), "", "{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: ns7, labels: {app: a3}}}"},
		{"oneGroupOf1000", sitePods(5000) + groupsOf(1000), "", "{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: g5}, spec: {podSelector: {matchLabels: {app: a1}}}}"},
	} {
		b.Run(row.name, func(b *testing.B) {
			base := objects(b, row.base)
			to := append([]*Object(nil), base...)
			for _, o := range objects(b, row.to) {
				replaced := false
				for i := range to {
					if to[i].Key() == o.Key() {
						to[i], replaced = o, true
					}
				}
				if !replaced {
					to = append(to, o)
				}
			}
			k := NewCompiler()
			m, faults := k.Compile(Input{Objects: base})
			if m == nil {
				b.Fatal(faults[0])
			}
			m, _ = k.Compile(Input{Objects: base, Previous: &m.Allocations})
			b.ReportAllocs()
			start := cputime.Process()
			for i := 0; b.Loop(); i++ {
				objects := to
				if i%2 == 1 {
					objects = base
				}
				if m, faults = k.Compile(Input{Objects: objects, Previous: &m.Allocations, Now: int64(i)}); len(faults) > 0 {
					b.Fatal(faults)
				}
			}
			b.ReportMetric(float64(cputime.Process()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkFirewallCompile compiles from nothing.
func BenchmarkFirewallCompile(b *testing.B) {
	for _, row := range []struct{ name, text string }{
		{"100kRules", rulesOf(100, 1000)},
		{"5kPodsIn1000Groups", sitePods(5000) + groupsOf(1000)},
	} {
		b.Run(row.name, func(b *testing.B) {
			base := objects(b, row.text)
			for b.Loop() {
				if m, faults := Compile(Input{Objects: base}); m == nil {
					b.Fatal(faults[0])
				}
			}
		})
	}
}
