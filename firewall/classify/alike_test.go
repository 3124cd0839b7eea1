package classify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
)

func TestAlike(t *testing.T) {
	section := func(set policy.SetID) *policy.Section {
		return &policy.Section{Rules: []policy.Rule{{
			ID: 1000 + uint32(set), Directions: policy.In | policy.Out, Families: policy.IPv4 | policy.IPv6, AppliedTo: set,
		}}}
	}
	endpoints := []*policy.Endpoint{nil, {Number: 1}, {Number: 2}, {Number: 3}, {Number: 4}}
	sets := []*policy.Set{nil, {}, {Ports: []uint16{1, 2}}, {Ports: []uint16{2}}}
	table := func(tiers ...[]*policy.Section) *classify.Table {
		t1, err := classify.NewCompiler().Compile(&classify.Input{Endpoints: endpoints, Sets: sets, Tiers: tiers})
		require.NoError(t, err)
		return t1
	}
	for _, row := range []struct {
		why   string
		table *classify.Table
		a, b  uint16
		want  bool
	}{
		{"no rule says where it applies", table([]*policy.Section{section(policy.Any)}), 1, 4, true},
		{"one rule applies to both", table([]*policy.Section{section(2)}), 1, 2, true},
		{"a port and one that it does not apply to", table([]*policy.Section{section(2)}), 1, 3, false},
		{"neither", table([]*policy.Section{section(2)}), 3, 4, true},
		{"another rule applies to one of them", table([]*policy.Section{section(2), section(3)}), 1, 2, false},
		{"in another tier", table([]*policy.Section{section(2)}, []*policy.Section{section(3)}), 1, 2, false},
		{"a port that is not known", table([]*policy.Section{section(2)}), 1, 60000, false},
		{"two of them", table([]*policy.Section{section(2)}), 60000, 60001, true},
	} {
		require.Equal(t, row.want, row.table.Alike(row.a, row.b), row.why)
		require.Equal(t, row.want, row.table.Alike(row.b, row.a), row.why)
	}
}
