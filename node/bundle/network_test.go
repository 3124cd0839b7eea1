package bundle

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server/servertest"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// TestNetwork: the namespaces of the ports' devices are looked at, and one that is gone
// does not keep the others from it.
func TestNetwork(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, a, "eth0", b, "eth0", netnstest.VethOptions{MTU: 1400})
	a.Addr("eth0", "10.9.0.1/24")
	b.Addr("eth0", "10.9.0.2/24")
	source := servertest.Small()
	source.Ports = []api.PortView{
		{Name: "a", Device: api.DeviceView{NetNS: a.Name}},
		{Name: "b", Device: api.DeviceView{NetNS: b.Name}},
		{Name: "b2", Device: api.DeviceView{NetNS: b.Name}},
		{Name: "c", Device: api.DeviceView{NetNS: "gone"}},
	}
	_, files := collect(t, asked(t, source, &wanted{}, nil))
	var views []namespaceView
	require.NoError(t, json.Unmarshal([]byte(files["machine/network.json"]), &views), files["machine/network.json.error"])
	require.Len(t, views, 4, "each once, and the daemon's own")
	for _, v := range views {
		switch v.Name {
		case a.Name:
			require.Empty(t, v.Error)
			require.Len(t, v.Links, 2)
			eth0 := v.Links[1]
			require.Equal(t, []any{"eth0", "veth", 1400, "10.9.0.1/24"}, []any{eth0.Name, eth0.Kind, eth0.MTU, eth0.Addresses[0]})
			require.Contains(t, v.Routes, routeView{
				Table: 254, Prefix: "10.9.0.0/24", Device: eth0.Index, Source: "10.9.0.1", Type: 1, Protocol: "kernel", Scope: "link",
			})
			require.NotEmpty(t, v.Rules)
		case "gone":
			require.Contains(t, v.Error, "no such network namespace")
			require.Empty(t, v.Links)
		}
	}
}
