package node_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// A model has its segments in the order in which they came; who looks wants them by name.
func TestSegmentsAreShownByName(t *testing.T) {
	segment := func(name, cidr string) string {
		return "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: " + name + "}\nspec: {subnets: [{cidr: " + cidr + "}]}\n"
	}
	compiler := control.NewCompiler()
	compile := func(text string, previous *control.Allocations) *control.Model {
		objects, faults := control.Decode("s.yaml", []byte(text), control.Options{})
		require.Empty(t, faults)
		m, faults := compiler.Compile(control.Input{Objects: objects, Previous: previous})
		require.Empty(t, faults)
		return m
	}
	first := compile(segment("web", "10.0.1.0/24"), nil)
	n, err := node.New(node.Options{
		Buffers: 256, Supers: 1, Open: func(*packet.Arena, *control.Port) (dataplane.Port, error) { return mem.New(mem.Config{}), nil },
	}, first)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	second := compile(segment("web", "10.0.1.0/24")+segment("app", "10.0.2.0/24"), &first.Allocations)
	require.Equal(t, "web", second.Segments[0].Name, "the model's order is another")
	require.NoError(t, n.Apply(second))

	segments, err := n.SegmentViews(&api.Filter{})
	require.NoError(t, err)
	names := []string{}
	for v := range segments {
		names = append(names, v.Name)
	}
	require.Equal(t, []string{"app", "web"}, names)
	pools, err := n.PoolViews(&api.Filter{State: string(api.UsagePorts)})
	require.NoError(t, err)
	list := slices.Collect(pools)
	require.Equal(t, "app", list[0].Name)
	require.Equal(t, "web", list[1].Name)
}
