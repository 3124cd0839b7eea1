package main

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server/servertest"
)

func TestDrawServer(t *testing.T) {
	source := servertest.Small()
	server, members := &source.VirtualServers[0], source.LBMembers
	require.Equal(t, `ClusterIP 10.0.3.1:80 ───────┐
LoadBalancer 192.0.2.10:80 ──┴─▶ pool demo/web:http   ROUND_ROBIN   1 of 2 take connections
                                 ├─▶ db/db-1          10.0.2.20:8080   UP     ████████████████████   1 now, 9 ever
                                 └─✕ 10.0.2.21:8080   10.0.2.21:8080   DOWN                          0 now, 0 ever   HTTP: connection refused (fall 3 of 3)
`, drawServer(server, members))

	members[0].Connections = api.ConnectionCounts{Total: 3}
	members[1].Connections = api.ConnectionCounts{Total: 1}
	server.Frontends = server.Frontends[:1]
	require.Equal(t, `ClusterIP 10.0.3.1:80 ────▶ pool demo/web:http   ROUND_ROBIN   1 of 2 take connections
                            ├─▶ db/db-1          10.0.2.20:8080   UP     ████████████████████   0 now, 3 ever
                            └─✕ 10.0.2.21:8080   10.0.2.21:8080   DOWN   ███████                0 now, 1 ever   HTTP: connection refused (fall 3 of 3)
`, drawServer(server, members), "while there are no connections, the bars are of all that there were")

	server.Frontends = nil
	require.Empty(t, drawServer(server, members), "nothing leads to one without an address")
	require.Equal(t, "└─▶ a   10.0.0.1   UNMONITORED   0 now, 0 ever\n", drawMembers([]api.LBMemberView{
		{Name: "a", Address: netip.MustParseAddr("10.0.0.1"), State: api.MemberUnmonitored, Eligible: true},
	}), "and where there never was one, there are no bars")
}
