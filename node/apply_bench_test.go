package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/port/mem"
)

// pods is a model of pods, so many in each of some namespaces, and thus segments.
func pods(b testing.TB, previous *control.Model, namespaces ...int) *control.Model {
	var s strings.Builder
	if len(namespaces) == 1 {
		s.WriteString("apiVersion: sluice.dev/v1\nkind: IPPool\nmetadata: {name: large}\nspec: {usage: segments, cidr: 10.0.0.0/8, prefixLength: 16}\n")
	}
	for ns, n := range namespaces {
		for i := range n {
			fmt.Fprintf(&s, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: ns%d}\nspec: {containers: [{name: c, image: i}]}\n", i, ns)
		}
	}
	objects, faults := control.Decode("pods.yaml", []byte(s.String()), control.Options{})
	require.Empty(b, faults)
	in := control.Input{Objects: objects, Revision: 1}
	if previous != nil {
		in.Previous = &previous.Allocations
	}
	m, faults := control.Compile(in)
	require.Empty(b, faults)
	return m
}

// with returns a model with another port in the place of one, or, if that is nil, without.
func with(m *control.Model, i int, p *control.Port) *control.Model {
	next := *m
	next.Ports = slices.Clone(m.Ports)
	if p == nil {
		next.Ports = slices.Delete(next.Ports, i, i+1)
	} else {
		next.Ports[i] = p
	}
	return &next
}

// BenchmarkApply puts two models in force in turn that differ in little.
func BenchmarkApply(b *testing.B) {
	many, flat := slices.Repeat([]int{50}, 100), []int{5000}
	for _, row := range []struct {
		name  string
		pods  []int
		other func(m *control.Model) *control.Model
	}{
		{"nothing", many, func(m *control.Model) *control.Model { return m }},
		{"label", many, func(m *control.Model) *control.Model {
			p := *m.Ports[77]
			p.Labels = map[string]string{"a": "b"}
			return with(m, 77, &p)
		}},
		{"port changes", many, func(m *control.Model) *control.Model {
			p := *m.Ports[77]
			p.Guard = !p.Guard
			return with(m, 77, &p)
		}},
		{"port comes and goes", many, func(m *control.Model) *control.Model { return with(m, 77, nil) }},
		{"segment changes", many, func(m *control.Model) *control.Model {
			other := *m
			other.Segments = slices.Clone(m.Segments)
			other.Segments[5].NeighborSuppression = !other.Segments[5].NeighborSuppression
			return &other
		}},
		{"segment comes and goes", many, func(m *control.Model) *control.Model { return pods(b, m, append([]int{50, 0}, many[2:]...)...) }},
		{"all ports are new", many, func(m *control.Model) *control.Model {
			other := *m
			other.Ports = slices.Clone(m.Ports)
			for i := range m.Ports {
				p := *m.Ports[i]
				other.Ports[i] = &p
			}
			return &other
		}},
		{"flat, port changes", flat, func(m *control.Model) *control.Model {
			p := *m.Ports[77]
			p.Guard = !p.Guard
			return with(m, 77, &p)
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			m := pods(b, nil, row.pods...)
			models := [...]*control.Model{m, row.other(m)}
			devices := &memDevices{byName: map[string]*mem.Port{}}
			n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 4096, Supers: 4, AllowIdle: true}, m)
			require.NoError(b, err)
			defer func() { require.NoError(b, n.Close()) }()
			b.ReportAllocs()
			b.ResetTimer()
			start := cputime.Process()
			for i := range b.N {
				require.NoError(b, n.Apply(models[(i+1)%2]))
			}
			b.ReportMetric(float64((cputime.Process()-start).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}
