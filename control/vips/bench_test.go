package vips_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/vips"
)

// many returns an Allocator that has served requests, and what to ask it next.
func many(tb testing.TB, n int) (*vips.Allocator, vips.Input) {
	in := vips.Input{Pools: []vips.Pool{pool("v", vips.Virtual, "10.0.0.1-10.0.255.254")}, TakenRun: 1, Quarantine: quarantine}
	for i := range n {
		in.Requests = append(in.Requests, asks(fmt.Sprintf("s%06d", i), func(r *vips.Request, _ *vips.Want) {
			r.NodePorts = []vips.NodePort{{Protocol: 6, Port: 80}}
		}))
	}
	in.NodePorts.First, in.NodePorts.Last = 20000, 65000
	allocator := vips.New()
	result := allocator.Allocate(in)
	for _, grant := range result.Grants {
		require.Empty(tb, grant.Problems)
	}
	in.Previous = result.Allocations
	return allocator, in
}

func BenchmarkAllocate(b *testing.B) {
	const n = 10_000
	b.Run("first", func(b *testing.B) {
		_, in := many(b, n)
		in.Previous = nil
		for b.Loop() {
			vips.Allocate(in)
		}
	})
	b.Run("restart", func(b *testing.B) {
		_, in := many(b, n)
		for b.Loop() {
			vips.Allocate(in)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		allocator, in := many(b, n)
		b.ReportAllocs()
		for b.Loop() {
			allocator.Allocate(in)
		}
	})
	b.Run("taken may differ", func(b *testing.B) {
		allocator, in := many(b, n)
		in.TakenRun = 0
		for b.Loop() {
			allocator.Allocate(in)
		}
	})
	b.Run("one comes and goes", func(b *testing.B) {
		allocator, in := many(b, n)
		less := in
		less.Requests = in.Requests[:n-1]
		for b.Loop() {
			less.Previous = in.Previous
			in.Previous = allocator.Allocate(less).Allocations
			in.Previous = allocator.Allocate(in).Allocations
		}
	})
	b.Run("all wait", func(b *testing.B) {
		_, in := many(b, n)
		allocator := vips.New()
		in.Pools, in.Previous = []vips.Pool{pool("v", vips.Virtual, "10.0.0.1-10.0.0.2")}, nil
		for b.Loop() {
			in.Previous = allocator.Allocate(in).Allocations
		}
	})
}
