package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-net/sluice/internal/cputime"
)

// sitePods are pods without addresses in namespaces of 50.
func sitePods(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Pod, metadata: {name: p%d, namespace: ns%d, labels: {app: a%d}}, spec: {containers: [{name: c, image: i}]}}\n", i, i/50, i%7)
	}
	return b.String()
}

// BenchmarkChange compiles one change after the other of a large configuration,
// as a daemon does: each with the allocations of the model before.
func BenchmarkChange(b *testing.B) {
	for _, size := range []struct {
		name string
		text string
	}{
		{"200pods", sitePods(200)},
		{"5kpods", sitePods(5000)},
		{"10kpods", sitePods(10000)},
		{"10kpodsInOneSegment", string(manyPods())},
	} {
		base := objects(b, size.text)
		first := compile(b, Input{Objects: base})
		last := base[len(base)/2]
		labelled := objects(b, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {app: other}}}", last.Name, last.Namespace))
		with := func(more string) []*Object { return append(base[:len(base):len(base)], objects(b, more)...) }
		relabelled := append(append(append([]*Object(nil), base[:len(base)/2]...), labelled...), base[len(base)/2+1:]...)
		for _, change := range []struct {
			name string
			to   []*Object
		}{
			{"pod", with("{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: " + last.Namespace + "}}")},
			{"label", relabelled},
			{"namespace", with("{apiVersion: v1, kind: Namespace, metadata: {name: m}}")},
			{"segment", with("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: ns1}, spec: {subnets: [{cidr: 10.99.0.0/24}], mtu: 1400}}")},
		} {
			if strings.HasSuffix(size.name, "Segment") && change.name == "segment" {
				at := slices.IndexFunc(base, func(o *Object) bool { return o.Kind == "Segment" })
				change.to = slices.Clone(base)
				change.to[at] = objects(b, "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: big}, spec: {subnets: [{cidr: 10.0.0.0/16}], mtu: 1400}}")[0]
			}
			b.Run(size.name+"/"+change.name, func(b *testing.B) {
				k := NewCompiler()
				m := first
				if m, _ = k.Compile(Input{Objects: base, Previous: &m.Allocations}); m == nil {
					b.Fatal("the configuration is faulty")
				}
				b.ReportAllocs()
				start := cputime.Process() // with the garbage collector's
				for i := 0; b.Loop(); i++ {
					// There and back: a pod that was added is removed.
					to := change.to
					if i%2 == 1 {
						to = base
					}
					var faults Faults
					if m, faults = k.Compile(Input{Objects: to, Previous: &m.Allocations, Now: int64(i)}); len(faults) > 0 {
						b.Fatal(faults)
					}
				}
				b.ReportMetric(float64(cputime.Process()-start)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
