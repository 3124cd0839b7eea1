package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/service"
)

const (
	insideUplink  = `{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: up}}`
	insideRouter  = `{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: up, addresses: [192.0.2.1/24, "2001:db8::1/64"]}]}}`
	insideMonitor = `{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: m}, spec: {type: TCP}}`
	insidePool    = `{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: p}, spec: {activeMonitors: [m], members: [{address: 10.0.0.1, port: 80}]}}`
	insideServer  = `{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: v}, spec: {addresses: [192.0.2.9], ports: ["80"], pool: p}}`
	insideTenant  = `{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: w}, spec: {router: tenant, addresses: [192.0.2.9], ports: ["80"], pool: p}}`
	tenantRouter  = `{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: tenant}, spec: {}}`
	insideVIPs    = `{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: vips}, spec: {usage: vips, ranges: [{start: 192.0.2.200, end: 192.0.2.210}]}}`
	insideService = `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: web}, spec: {type: LoadBalancer, clusterIP: 172.30.0.7, clusterIPs: [172.30.0.7], externalTrafficPolicy: Local, healthCheckNodePort: 32100, selector: {app: x}, ports: [{port: 80}]}}`
)

func compileDocuments(t *testing.T, k *Compiler, previous *Allocations, list ...string) (*Model, Faults) {
	t.Helper()
	objects, faults := Decode("x.yaml", []byte(documents(list...)), Options{})
	require.NoError(t, faults.Err())
	return k.Compile(Input{Objects: objects, Previous: previous, Now: 1})
}

func TestWhoHasPortsOfTheNodesOwn(t *testing.T) {
	for _, row := range []struct {
		why  string
		list []string
		want string // names of ports, with zones
	}{
		{"nobody without services", []string{insideUplink, insideRouter}, "up"},
		{"nobody for a pool that no server uses", []string{insideUplink, insideRouter, insideMonitor, insidePool}, "up"},
		{"the router of a server whose pool has monitors", []string{insideUplink, insideRouter, insideMonitor, insidePool, insideServer}, "inside up"},
		{"also one that is not written", []string{insideMonitor, insidePool, insideServer}, "inside"},
		{"and another", []string{tenantRouter, insideMonitor, insidePool, insideTenant}, "inside:tenant"},
		{"each of two", []string{tenantRouter, insideMonitor, insidePool, insideServer, insideTenant}, "inside inside:tenant"},
		{"that of a Service with a port for health checks", []string{insideUplink, insideRouter, insideVIPs, insideService}, "inside up"},
	} {
		t.Run(row.why, func(t *testing.T) {
			m, faults := compileDocuments(t, NewCompiler(), nil, row.list...)
			require.NoError(t, faults.Err())
			var names []string
			for _, p := range m.Ports {
				names = append(names, p.Name)
			}
			require.Equal(t, row.want, strings.Join(names, " "))
			require.Len(t, m.Inside, strings.Count(row.want, "inside"))
			for _, in := range m.Inside {
				u, p := &m.Routers[in.Router].Uplinks[in.Uplink], m.Ports[in.Port]
				require.True(t, u.Inside)
				require.Equal(t, in.Port, u.Port)
				require.Equal(t, in.Scope, u.Scope)
				require.Equal(t, InsideDevice(u.Scope), p.Device.Name)
				require.Equal(t, DeviceInside, p.Device.Type)
				require.Equal(t, in.Uplink, p.Uplink)
				require.Len(t, m.Routers[in.Router].Uplinks, in.Uplink+1, "it is the last")
				require.NotZero(t, u.Zone)
				for _, r := range m.Routers[in.Router].Routes {
					require.NotEqual(t, in.Uplink, r.Uplink, "it is no way out")
				}
			}
		})
	}
}

// TestPortsOfTheNodesOwnComeAndGo holds that the result depends on what there is, and numbers stay.
func TestPortsOfTheNodesOwnComeAndGo(t *testing.T) {
	k := NewCompiler()
	base := []string{insideUplink, insideRouter, insideMonitor, insidePool}
	with := append([]string{insideServer}, base...)
	var previous *Allocations
	var zone uint32
	digests := map[bool]string{}
	for turn := range 4 {
		needed := turn%2 == 1
		list := base
		if needed {
			list = with
		}
		m, faults := compileDocuments(t, k, previous, list...)
		require.NoError(t, faults.Err())
		fresh, faults := compileDocuments(t, NewCompiler(), previous, list...)
		require.NoError(t, faults.Err())
		require.Equal(t, fresh.Digest, m.Digest, "turn %d", turn)
		require.Equal(t, fresh.Allocations, m.Allocations, "turn %d", turn)
		require.Equal(t, needed, len(m.Inside) == 1, "turn %d", turn)
		if needed {
			previous, zone = &m.Allocations, m.Routers[0].Uplinks[1].Zone
			again, faults := compileDocuments(t, k, previous, append([]string{insideVIPs}, list...)...)
			require.NoError(t, faults.Err())
			require.Equal(t, zone, again.Routers[0].Uplinks[1].Zone)
		}
		digests[needed] = m.Digest
	}
	require.NotEqual(t, digests[true], digests[false])
}

func TestNameAndNetworkOfTheNodesOwnAreItsOwn(t *testing.T) {
	for _, row := range []struct {
		why  string
		list []string
		want string
	}{
		{"a port of its name", []string{`{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: inside}}`}, "inside is what the node's own port is called"},
		{
			"a segment with its addresses",
			[]string{insideMonitor, insidePool, insideServer, `{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: x}, spec: {subnets: [{cidr: 192.0.0.0/24}]}}`},
			"192.0.0.0/24 overlaps 192.0.0.0/29, by which the node itself reaches",
		},
		{"that may be where there is none", []string{`{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: x}, spec: {subnets: [{cidr: 192.0.0.0/24}]}}`}, ""},
		{"in a namespace the name is another", []string{
			`{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: x}, spec: {subnets: [{cidr: 10.0.0.0/24}]}}`,
			`{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: inside, namespace: x}}`,
		}, ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, faults := compileDocuments(t, NewCompiler(), nil, row.list...)
			if row.want == "" {
				require.NoError(t, faults.Err())
				return
			}
			require.ErrorContains(t, faults.Err(), row.want)
		})
	}
}

func TestHealthPortsAreServed(t *testing.T) {
	k := NewCompiler()
	list := []string{insideUplink, insideRouter, insideVIPs, insideService}
	m, faults := compileDocuments(t, k, nil, list...)
	require.NoError(t, faults.Err())
	require.Equal(t, []HealthPort{{Scope: m.Inside[0].Scope, Port: 32100, Namespace: "web", Name: "s"}}, m.HealthPorts)
	find := func(m *Model) *service.Server {
		for _, s := range m.Services.Servers {
			if s.Name == "web/s (health check)" {
				return s
			}
		}
		return nil
	}
	s := find(m)
	require.NotNil(t, s)
	require.Greater(t, s.ID, uint32(service.MaxGiven))
	require.LessOrEqual(t, s.ID, uint32(service.MaxID))
	var at []string
	for _, f := range s.Frontends {
		require.Equal(t, service.NodePort, f.Kind)
		at = append(at, fmt.Sprintf("%s:%d>%s:%d", f.Address, f.First, f.Outside.Members[0].Address, f.Outside.Members[0].Port))
		require.Contains(t, m.Services.Pools, f.Outside)
	}
	require.Equal(t, []string{"192.0.2.1:32100>192.0.0.2:32100", "2001:db8::1:32100>fd73:6c75:6963:65::2:32100"}, at)

	// A pod that is ready changes the answer, and nothing about the server.
	again, faults := compileDocuments(t, k, &m.Allocations, append(list,
		`{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: web}, spec: {subnets: [{cidr: 10.0.0.0/24}]}}`,
		`{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: a, namespace: web, labels: {app: x}}, spec: {segment: web, addresses: [{ip: 10.0.0.5}]}}`)...)
	require.NoError(t, faults.Err())
	require.Equal(t, 1, again.HealthPorts[0].Local)
	require.Same(t, s, find(again))
}
