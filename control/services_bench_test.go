package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-net/sluice/internal/cputime"
)

// sliceOf writes the EndpointSlice of a Service with ten endpoints, the last of which the caller chooses.
func sliceOf(i, last int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: v%d-x, namespace: ns%d, labels: {kubernetes.io/service-name: v%d}}, addressType: IPv4, ports: [{name: http, port: 8080}], endpoints: [", i, i%100, i)
	for j := range 9 {
		fmt.Fprintf(&b, "{addresses: [10.%d.%d.%d]}, ", 1+i/256, i%256, j)
	}
	fmt.Fprintf(&b, "{addresses: [10.%d.%d.%d]}]}", 1+i/256, i%256, last)
	return b.String()
}

// manyServices writes Services with ten endpoints each, of namespaces ns0 to ns99.
func manyServices(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Service, metadata: {name: v%d, namespace: ns%d}, spec: {clusterIP: 172.%d.%d.%d, ports: [{name: http, port: 80, targetPort: 8080}]}}\n---\n%s\n", i, i%100, 16+i/65536, i/256%256, i%256, sliceOf(i, 9))
	}
	return b.String()
}

// BenchmarkServicesChange compiles one change after the other, there and back, as BenchmarkFirewallChange does.
func BenchmarkServicesChange(b *testing.B) {
	for _, row := range []struct{ name, base, to string }{
		{"oneSliceOf10k", manyServices(10000), sliceOf(5000, 10)},
		{"oneServiceOf10k", manyServices(10000), "{apiVersion: v1, kind: Service, metadata: {name: v, namespace: ns1}, spec: {clusterIP: 172.31.0.1, ports: [{name: http, port: 80}]}}"},
		{"onePodOf5kBeside10k", sitePods(5000) + manyServices(10000), "{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: ns7, labels: {app: a3}}}"},
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

// BenchmarkServicesCompile compiles from nothing.
func BenchmarkServicesCompile(b *testing.B) {
	base := objects(b, manyServices(10000))
	for b.Loop() {
		if m, faults := Compile(Input{Objects: base}); m == nil {
			b.Fatal(faults[0])
		}
	}
}
