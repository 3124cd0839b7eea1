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

// endpointSlice is the members of a Service, of which number changed has another address.
func endpointSlice(service, members, changed, to int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s%d-x, labels: {kubernetes.io/service-name: s%d}}\naddressType: IPv4\nports: [{port: 8080}]\nendpoints:\n", service, service)
	for i := range members {
		n := service*members + i
		if i == changed {
			n = 1<<20 + to
		}
		fmt.Fprintf(&s, "- {addresses: [10.%d.%d.%d]}\n", 100+n>>16, n>>8&255, n&255)
	}
	return s.String()
}

// servicesWithMembers is Services with members, a port to reach them from, and no more.
func servicesWithMembers(services, members int) string {
	var s strings.Builder
	s.WriteString("apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: s}\n---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: a}\nspec: {segment: s, addresses: [{ip: 10.0.0.2}]}\n")
	for i := range services {
		fmt.Fprintf(&s, "---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d}\nspec: {clusterIP: 172.30.%d.%d, ports: [{port: 80, targetPort: 8080}]}\n---\n%s", i, i>>8, i&255, endpointSlice(i, members, -1, 0))
	}
	return s.String()
}

// BenchmarkServiceChanges has many Services put in force from nothing, and then one member of one change, from decoding
// the object until all workers use it.
func BenchmarkServiceChanges(b *testing.B) {
	for _, services := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			const members = 10
			text := []byte(servicesWithMembers(services, members))
			t0 := time.Now()
			objects, faults := control.Decode("services.yaml", text, control.Options{})
			require.Empty(b, faults)
			t1 := time.Now()
			compiler := control.NewCompiler()
			m, faults := compiler.Compile(control.Input{Objects: objects, Revision: 1})
			require.Empty(b, faults)
			t2 := time.Now()
			devices := &memDevices{byName: map[string]*mem.Port{}}
			n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 4096, Supers: 4}, m)
			require.NoError(b, err)
			all := time.Since(t0)
			defer func() { require.NoError(b, n.Close()) }()
			require.NoError(b, n.Engine().Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}}))
			at := -1
			for i, o := range objects {
				if o.Name == "s42-x" {
					at = i
				}
			}
			var decode, compile, apply time.Duration
			b.ResetTimer()
			for i := range b.N {
				t0 := time.Now()
				changed, faults := control.Decode("services.yaml", []byte(endpointSlice(42, members, 7, i)), control.Options{})
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
				decode, compile, apply = decode+t1.Sub(t0), compile+t2.Sub(t1), apply+time.Since(t2)
			}
			ms := func(d time.Duration) float64 { return float64(d) / float64(b.N) / 1e6 }
			b.ReportMetric(float64(t1.Sub(t0))/1e6, "all-decode-ms")
			b.ReportMetric(float64(t2.Sub(t1))/1e6, "all-compile-ms")
			b.ReportMetric(float64(all)/1e6, "all-ms")
			b.ReportMetric(ms(decode), "decode-ms")
			b.ReportMetric(ms(compile), "compile-ms")
			b.ReportMetric(ms(apply), "apply-ms")
		})
	}
}
