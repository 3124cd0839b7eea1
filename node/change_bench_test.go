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

func BenchmarkChangeOf5kPods(b *testing.B) {
	var s strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&s, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: ns%d, labels: {app: a%d}}\nspec: {containers: [{name: c, image: i}]}\n", i, i/50, i%7)
	}
	objects, faults := control.Decode("pods.yaml", []byte(s.String()), control.Options{})
	require.Empty(b, faults)
	compiler := control.NewCompiler()
	m, faults := compiler.Compile(control.Input{Objects: objects, Revision: 1})
	require.Empty(b, faults)
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 4096, Supers: 4}, m)
	require.NoError(b, err)
	defer func() { require.NoError(b, n.Close()) }()
	require.NoError(b, n.Engine().Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}}))
	var compile, apply time.Duration
	for i := range b.N {
		extra, faults := control.Decode("x.yaml", []byte(fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: x%d, namespace: ns3}\nspec: {containers: [{name: c, image: i}]}\n", i%2)), control.Options{})
		require.Empty(b, faults)
		t0 := time.Now()
		m2, faults := compiler.Compile(control.Input{Objects: append(objects[:len(objects):len(objects)], extra...), Revision: uint64(i + 2), Previous: &m.Allocations})
		require.Empty(b, faults)
		t1 := time.Now()
		require.NoError(b, n.Apply(m2))
		t2 := time.Now()
		compile += t1.Sub(t0)
		apply += t2.Sub(t1)
		m = m2
	}
	b.ReportMetric(float64(compile.Microseconds())/float64(b.N), "compile-us")
	b.ReportMetric(float64(apply.Microseconds())/float64(b.N), "apply-us")
}
