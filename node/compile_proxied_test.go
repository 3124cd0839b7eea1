package node

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/route"
)

func TestRoutersAnswerForTheAddressesOfTheirScope(t *testing.T) {
	prefix := netip.MustParsePrefix
	m := &control.Model{
		Segments: []control.Segment{{Scope: 7, Router: 1}},
		Routers: []control.Router{
			{Name: "by its uplink", Uplinks: []control.Uplink{{Scope: 5}}},
			{Name: "by its segment", Connected: []control.Connected{{Segment: 0}}},
			{Name: "without either"},
		},
	}
	require.Empty(t, proxiedByScope(m), "no services")
	m.Services = &service.Config{Addresses: []service.Owned{
		{Scope: 5, Prefix: prefix("192.0.2.80/32"), Announced: true},
		{Scope: 5, Prefix: prefix("192.0.2.96/28")},
		{Scope: 7, Prefix: prefix("10.96.0.1/32")},
	}}
	all := proxiedByScope(m)
	for i, want := range [][]route.Proxied{
		{{Prefix: prefix("192.0.2.80/32"), Announce: true}, {Prefix: prefix("192.0.2.96/28")}},
		{{Prefix: prefix("10.96.0.1/32")}},
		nil,
	} {
		require.Equal(t, want, all[scopeOf(m, &m.Routers[i])], m.Routers[i].Name)
	}
}
