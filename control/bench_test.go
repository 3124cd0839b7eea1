package control

import (
	"fmt"
	"strings"
	"testing"
)

// manyPods is a namespace with 10,000 pods without addresses, as YAML.
func manyPods() []byte {
	var b strings.Builder
	b.WriteString("{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: big}, spec: {subnets: [{cidr: 10.0.0.0/16}]}}\n")
	for i := range 10000 {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p%d\n  namespace: big\n  labels:\n    app: web\nspec:\n  containers:\n  - name: c\n    image: nginx:1.27\n", i)
	}
	return []byte(b.String())
}

func BenchmarkDecode10kPods(b *testing.B) {
	data := manyPods()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, faults := Decode("a.yaml", data, Options{}); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

func BenchmarkCompile10kPods(b *testing.B) {
	list, faults := Decode("a.yaml", manyPods(), Options{})
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	first, faults := Compile(Input{Objects: list})
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	for name, previous := range map[string]*Allocations{"first": nil, "again": &first.Allocations} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, faults := Compile(Input{Objects: list, Previous: previous}); len(faults) > 0 {
					b.Fatal(faults)
				}
			}
		})
	}
}
