package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/service"
)

// servicesText writes the frontends of a model with who is behind them: those that take connections, + for those that do
// as a last resort, - for those that have none but old ones, * for those on this node.
func servicesText(m *Model) (lines []string) {
	if m.Services == nil {
		return nil
	}
	members := func(p *service.Pool) string {
		var list []string
		for _, x := range p.Members {
			text := fmt.Sprint(x.Address, ":", x.Port)
			switch {
			case x.Admin == service.Draining && x.NotReady:
				text += "-"
			case x.Admin == service.Draining:
				text += "+"
			}
			if x.Local {
				text += "*"
			}
			list = append(list, text)
		}
		return "[" + strings.Join(list, " ") + "]"
	}
	for _, s := range m.Services.Servers {
		for i := range s.Frontends {
			f := &s.Frontends[i]
			line := fmt.Sprintf("%s %s %s %d %d %s", s.Name, f.Kind, f.Address, f.Protocol, f.First, members(f.Inside))
			if f.Outside != f.Inside {
				line += " outside " + members(f.Outside)
			}
			if f.KeepSource {
				line += " keep"
			}
			if f.Restricted {
				line += fmt.Sprint(" only ", s.Allowed)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

const twoPods = `
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, labels: {app: web}}, spec: {nodeName: me, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.244.0.10}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, labels: {app: web, more: 'yes'}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8081}]}]}, status: {podIP: 10.244.0.11}}
---
{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: shop, labels: {app: db}}, spec: {containers: [{name: c}]}, status: {podIP: 10.244.0.12}}
---
`

// edge is a node with an uplink.
const edge = `
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: up}}
---
{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: up, addresses: [192.0.2.1/24, '2001:db8::1/64']}]}}
---
{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: n}, spec: {topology: {nodeName: me, zone: here}}}
---
`

func serviceYAML(spec string) string {
	return "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {" + spec + "}}\n---\n"
}

func sliceYAML(name, port, endpoints string) string {
	return "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " + name + ", namespace: shop, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [" +
		port + "], endpoints: [" + endpoints + "]}\n---\n"
}

func TestKubernetesServices(t *testing.T) {
	const one = "clusterIP: 172.30.0.1, ports: [{port: 80, targetPort: 8080}]"
	const remote = "{addresses: [10.1.0.1]}"
	local := sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1]}, {addresses: [10.1.0.2], nodeName: me}")
	for _, row := range []struct {
		why, yaml string
		want      []string
	}{
		{
			"without slices, a Service's endpoints are the pods that all of its selector's labels select", twoPods + serviceYAML(one+", selector: {app: web}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.244.0.10:8080* 10.244.0.11:8080*]"},
		},
		{
			"a selector with two labels selects who has both", twoPods + serviceYAML(one+", selector: {app: web, more: 'yes'}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.244.0.11:8080*]"},
		},
		{"without a selector and slices a Service has no endpoints", twoPods + serviceYAML(one), []string{"shop/web ClusterIP 172.30.0.1 6 80 []"}},
		{
			"a targetPort by name is another number at each pod, and pods without it are no endpoints",
			twoPods + serviceYAML("clusterIP: 172.30.0.1, selector: {}, ports: [{port: 80, targetPort: http}]") + strings.Replace(serviceYAML("clusterIP: 172.30.0.2, selector: {app: web}, ports: [{port: 80, targetPort: http}]"), "web,", "named,", 1),
			[]string{"shop/named ClusterIP 172.30.0.2 6 80 [10.244.0.10:8080* 10.244.0.11:8081*]", "shop/web ClusterIP 172.30.0.1 6 80 []"},
		},
		{"without targetPort it is the port", twoPods + serviceYAML("clusterIP: 172.30.0.1, ports: [{port: 80}], selector: {app: db}"), []string{"shop/web ClusterIP 172.30.0.1 6 80 [10.244.0.12:80*]"}},
		{
			"a Service has a server for each port, with its protocol", twoPods + serviceYAML("clusterIP: 172.30.0.1, ports: [{name: d, port: 53, protocol: UDP}, {name: s, port: 53, protocol: SCTP}], selector: {app: db}"),
			[]string{"shop/web:d ClusterIP 172.30.0.1 17 53 [10.244.0.12:53*]", "shop/web:s ClusterIP 172.30.0.1 132 53 [10.244.0.12:53*]"},
		},
		{"headless Services have no virtual server", twoPods + serviceYAML("clusterIP: None, ports: [{port: 80}], selector: {app: web}"), nil},
		{"nor have those that stand for a DNS name", serviceYAML("type: ExternalName, externalName: example.com"), nil},
		{"without clusterIP and IPPool with usage clusterips there is no frontend", twoPods + serviceYAML("ports: [{port: 80}], selector: {app: web}"), nil},
		{
			"with one there is", twoPods + "{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: p}, spec: {usage: clusterips, cidr: 172.30.5.0/24}}\n---\n" + serviceYAML("ports: [{port: 80}], selector: {app: db}"),
			[]string{"shop/web ClusterIP 172.30.5.0 6 80 [10.244.0.12:80*]"},
		},
		{
			"dual stack: each address has the endpoints of its family", serviceYAML("clusterIP: 172.30.0.1, clusterIPs: [172.30.0.1, 'fd30::1'], ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]") +
				sliceYAML("x", "{port: 80}", remote) + strings.NewReplacer("IPv4", "IPv6", "10.1.0.1", "'fd01::1'").Replace(sliceYAML("y", "{port: 81}", remote)),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:80]", "shop/web ClusterIP fd30::1 6 80 [fd01::1:81]"},
		},
		{
			"slices stand before Endpoints, and these before pods", twoPods + serviceYAML(one+", selector: {app: web}") + sliceYAML("x", "{port: 8080}", remote) +
				"{apiVersion: v1, kind: Endpoints, metadata: {name: web, namespace: shop}, subsets: [{addresses: [{ip: 10.1.0.9}], ports: [{port: 8080}]}]}",
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080]"},
		},
		{
			"Endpoints that are not ready keep what they have", twoPods + serviceYAML(one+", selector: {app: web}") +
				"{apiVersion: v1, kind: Endpoints, metadata: {name: web, namespace: shop}, subsets: [{addresses: [{ip: 10.1.0.9}], notReadyAddresses: [{ip: 10.1.0.8}], ports: [{port: 8080}]}]}",
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.8:8080- 10.1.0.9:8080]"},
		},
		{"several slices make one pool, in which each endpoint is once, as the best of them says", serviceYAML(one) + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.2], conditions: {ready: false}}, "+remote) +
			sliceYAML("y", "{port: 8080}", "{addresses: [10.1.0.2]}, {addresses: [10.1.0.0]}"), []string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.0:8080 10.1.0.1:8080 10.1.0.2:8080]"}},
		{"a slice's ports are a Service's by name and protocol", serviceYAML("clusterIP: 172.30.0.1, ports: [{name: a, port: 80}, {name: b, port: 81, protocol: UDP}]") +
			sliceYAML("x", "{name: a, port: 1}, {name: b, port: 2}", remote), []string{"shop/web:a ClusterIP 172.30.0.1 6 80 [10.1.0.1:1]", "shop/web:b ClusterIP 172.30.0.1 17 81 []"}},
		{
			"who is terminating and serving is the last resort; who is neither ready nor serving has its old connections", serviceYAML(one) + sliceYAML("x", "{port: 8080}",
				"{addresses: [10.1.0.1], conditions: {ready: false, serving: true, terminating: true}}, {addresses: [10.1.0.2], conditions: {ready: false, serving: false, terminating: true}}, {addresses: [10.1.0.3], conditions: {ready: false}}, {addresses: [10.1.0.4], conditions: {}}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080+ 10.1.0.2:8080- 10.1.0.3:8080- 10.1.0.4:8080]"},
		},
		{"a pod that says that it is not ready, one that is deleted, and one that has ended", strings.NewReplacer("10.244.0.10}", "10.244.0.10, conditions: [{type: Ready, status: 'False'}]}", "name: b,", "name: b, deletionTimestamp: '2026-01-01T00:00:00Z',",
			"10.244.0.12}", "10.244.0.12, phase: Failed}", "app: db", "app: web").Replace(twoPods) + serviceYAML(one+", selector: {app: web}"), []string{"shop/web ClusterIP 172.30.0.1 6 80 [10.244.0.10:8080-* 10.244.0.11:8080+*]"}},
		{"publishNotReadyAddresses makes all pods ready", strings.NewReplacer("10.244.0.10}", "10.244.0.10, conditions: [{type: Ready, status: 'False'}]}", "name: b,", "name: b, deletionTimestamp: '2026-01-01T00:00:00Z',").Replace(twoPods) +
			serviceYAML(one+", selector: {app: web}, publishNotReadyAddresses: true"), []string{"shop/web ClusterIP 172.30.0.1 6 80 [10.244.0.10:8080* 10.244.0.11:8080*]"}},
		{"internalTrafficPolicy Local leaves the endpoints on this node", edge + serviceYAML(one+", internalTrafficPolicy: Local") + local, []string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.2:8080*]"}},
		{"node ports are at all addresses of the uplinks, each for its family", edge + serviceYAML("type: NodePort, clusterIP: 172.30.0.1, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]") + local, []string{
			"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080 10.1.0.2:8080*]", "shop/web NodePort 192.0.2.1 6 30080 [10.1.0.1:8080 10.1.0.2:8080*]", "shop/web NodePort 2001:db8::1 6 30080 []",
		}},
		{"externalTrafficPolicy Local is for connections from outside, and keeps their source", edge + serviceYAML("type: LoadBalancer, loadBalancerIP: 192.0.2.9, allocateLoadBalancerNodePorts: false, externalTrafficPolicy: Local, healthCheckNodePort: 30500, "+one) + local, []string{
			"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080 10.1.0.2:8080*]", "shop/web LoadBalancer 192.0.2.9 6 80 [10.1.0.1:8080 10.1.0.2:8080*] outside [10.1.0.2:8080*] keep",
			"shop/web (health check) NodePort 192.0.2.1 6 30500 [192.0.0.2:30500*] keep", "shop/web (health check) NodePort 2001:db8::1 6 30500 [fd73:6c75:6963:65::2:30500*] keep",
		}},
		{"a load balancer's address in the status is taken as it is", serviceYAML("type: LoadBalancer, allocateLoadBalancerNodePorts: false, "+one+"}, status: {loadBalancer: {ingress: [{ip: 198.51.100.7}]}") + local, []string{
			"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080 10.1.0.2:8080]", "shop/web LoadBalancer 198.51.100.7 6 80 [10.1.0.1:8080 10.1.0.2:8080]",
		}},
		{"loadBalancerSourceRanges are for the load balancer's address alone", serviceYAML("type: LoadBalancer, loadBalancerIP: 192.0.2.9, externalIPs: [192.0.2.8], allocateLoadBalancerNodePorts: false, loadBalancerSourceRanges: [203.0.113.0/24], "+one) + sliceYAML("x", "{port: 8080}", remote), []string{
			"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080]", "shop/web ExternalIP 192.0.2.8 6 80 [10.1.0.1:8080]", "shop/web LoadBalancer 192.0.2.9 6 80 [10.1.0.1:8080] only [203.0.113.0/24]",
		}},
		{
			"a load balancer of another class is another's", serviceYAML("type: LoadBalancer, loadBalancerIP: 192.0.2.9, loadBalancerClass: example.com/other, allocateLoadBalancerNodePorts: false, "+one) + sliceYAML("x", "{port: 8080}", remote),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080]"},
		},
		{
			"hints for this zone are followed", edge + serviceYAML(one) + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1], hints: {forZones: [{name: there}]}}, {addresses: [10.1.0.2], hints: {forZones: [{name: here}]}}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.2:8080]"},
		},
		{
			"unless an endpoint has none", edge + serviceYAML(one) + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1], hints: {forZones: [{name: there}]}}, {addresses: [10.1.0.2], hints: {forZones: [{name: here}]}}, {addresses: [10.1.0.3]}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080]"},
		},
		{
			"or nobody is for this zone", edge + serviceYAML(one) + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1], hints: {forZones: [{name: there}]}}, {addresses: [10.1.0.2], hints: {forZones: [{name: elsewhere}]}}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.1:8080 10.1.0.2:8080]"},
		},
		{
			"hints for this node stand before those for its zone", edge + serviceYAML(one) + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1], hints: {forZones: [{name: here}], forNodes: [{name: you}]}}, {addresses: [10.1.0.2], hints: {forZones: [{name: here}], forNodes: [{name: me}]}}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.2:8080]"},
		},
		{
			"trafficDistribution prefers the zone by the endpoints' own zones where nobody wrote hints", edge + serviceYAML(one+", trafficDistribution: PreferClose") + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1], zone: there}, {addresses: [10.1.0.2], zone: here}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.2:8080]"},
		},
		{
			"PreferSameNode prefers the node", edge + serviceYAML(one+", trafficDistribution: PreferSameNode") + sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1], zone: here, nodeName: you}, {addresses: [10.1.0.2], zone: here, nodeName: me}"),
			[]string{"shop/web ClusterIP 172.30.0.1 6 80 [10.1.0.2:8080*]"},
		},
	} {
		m, faults := Compile(Input{Objects: objects(t, row.yaml)})
		require.NoError(t, faults.Err(), row.why)
		require.ElementsMatch(t, row.want, servicesText(m), row.why)
		checkServices(t, m)
	}
}

// What a Service says besides who its endpoints are.
func TestServiceOptions(t *testing.T) {
	annotated := func(annotations, spec string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, annotations: {" + annotations + "}}, spec: {clusterIP: 172.30.0.1, ports: [{port: 80}]" + spec + "}}\n---\n" +
			"{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: out}, spec: {usage: snat, ranges: [{start: 192.0.2.20, end: 192.0.2.21}]}}\n---\n" +
			"{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: alive}, spec: {type: TCP}}"
	}
	server := func(yaml string) *service.Server {
		return compile(t, Input{Objects: objects(t, yaml)}).Services.Servers[0]
	}
	s := server(annotated("", ""))
	require.Equal(t, service.RoundRobin, s.Frontends[0].Inside.Algorithm)
	require.True(t, s.Frontends[0].Inside.LastResort)
	require.Nil(t, s.Affinity)
	require.Equal(t, service.SourceAsNeeded, s.Source)

	s = server(annotated("", ", sessionAffinity: ClientIP"))
	require.Equal(t, &service.Affinity{ID: s.ID, TimeoutNs: 10800e9}, s.Affinity, "three hours, as in Kubernetes")
	s = server(annotated("", ", sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}"))
	require.EqualValues(t, 60e9, s.Affinity.TimeoutNs)

	s = server(annotated("sluice.dev/algorithm: MAGLEV, sluice.dev/active-monitors: alive, sluice.dev/passive-max-fails: '3', sluice.dev/slow-start: 30s, sluice.dev/dispatch: DSR_L2", ""))
	p := s.Frontends[0].Inside
	require.Equal(t, service.Maglev, p.Algorithm)
	require.Len(t, p.Monitors, 1)
	require.Equal(t, 3, p.Passive.MaxFails)
	require.EqualValues(t, 30e9, p.SlowStartNs)
	require.Equal(t, service.DirectL2, s.Dispatch)

	for _, annotation := range []string{"sluice.dev/snat: out", "ncp/snat_pool: out"} {
		s = server(annotated(annotation, ""))
		require.Equal(t, service.SourceFromPool, s.Source)
		require.Len(t, s.Pool.Addresses, 2)
		require.True(t, s.Pool.PerDestination)
	}
	require.Equal(t, service.SourceAutomap, server(annotated("sluice.dev/snat: AUTOMAP", "")).Source)
	require.Equal(t, service.SourceKept, server(annotated("sluice.dev/snat: DISABLED", "")).Source)

	m := compile(t, Input{Objects: objects(t, annotated("ncp/snat_pool: nowhere", ""))})
	require.Equal(t, service.SourceAsNeeded, m.Services.Servers[0].Source)
	require.EqualValues(t, "PoolNotFound", m.ServiceStatuses[0].Problems[0].Reason, "NCP says so on the Service, and goes on")

	for annotation, want := range map[string]string{
		"sluice.dev/algorithm: MAGLEF":           "did you mean MAGLEV?",
		"sluice.dev/active-monitors: alife":      "did you mean alive?",
		"sluice.dev/passive-max-fails: many":     "1 to 65535",
		"sluice.dev/slow-start: soon":            `such as "30s"`,
		"sluice.dev/dispatch: IPIP":              "known: DSR_IPIP, DSR_L2, NAT",
		"sluice.dev/snat: ouf":                   "did you mean out?",
		"sluice.dev/snat: out, ncp/snat_pool: x": "leave sluice.dev/snat or ncp/snat_pool out",
	} {
		_, faults := Compile(Input{Objects: objects(t, annotated(annotation, ""))})
		require.Len(t, faults, 1, annotation)
		require.Contains(t, faults[0].Error(), want)
		require.Contains(t, faults[0].Error(), "metadata.annotations")
	}
}

// Two that want one place: the second is at fault, and told of the first.
func TestServicesAtOnePlace(t *testing.T) {
	of := func(name, spec string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: " + name + "}, spec: {" + spec + "}}\n---\n"
	}
	for _, row := range []struct {
		why, yaml string
		want      []string
	}{
		{
			"one clusterIP", of("a", "clusterIP: 172.30.0.1, ports: [{port: 80}]") + of("b", "clusterIP: 172.30.0.1, ports: [{port: 81}]"),
			[]string{"Service default/b: spec.clusterIP: 172.30.0.1 belongs to Service default/a"},
		},
		{
			"one port of an external address", of("a", "externalIPs: [192.0.2.9], ports: [{port: 80}]") + of("b", "externalIPs: [192.0.2.9], ports: [{port: 80}]"),
			[]string{"Service default/b: spec.externalIPs[0]: TCP port 80 of 192.0.2.9 is taken (by Service default/a)"},
		},
		{"two ports of an external address are two places", of("a", "externalIPs: [192.0.2.9], ports: [{port: 80}]") + of("b", "externalIPs: [192.0.2.9], ports: [{port: 81}]"), nil},
		{"as are two protocols", of("a", "externalIPs: [192.0.2.9], ports: [{port: 80}]") + of("b", "externalIPs: [192.0.2.9], ports: [{port: 80, protocol: UDP}]"), nil},
		{
			"an external address that is a load balancer's as well", of("a", "type: LoadBalancer, loadBalancerIP: 192.0.2.9, ports: [{port: 80}]") + of("b", "externalIPs: [192.0.2.9], ports: [{port: 80}]"),
			[]string{"Service default/b: spec.externalIPs[0]: TCP port 80 of 192.0.2.9 is taken (by Service default/a)"},
		},
		{"a Service's own load balancer's address may be an external one of it", of("a", "type: LoadBalancer, loadBalancerIP: 192.0.2.9, externalIPs: [192.0.2.9], ports: [{port: 80}]"), nil},
		{
			"one node port", of("a", "type: NodePort, ports: [{port: 80, nodePort: 30080}]") + of("b", "type: NodePort, ports: [{port: 81, nodePort: 30080}]"),
			[]string{"Service default/b: spec.ports: node port 30080 belongs to Service default/a"},
		},
	} {
		_, faults := Compile(Input{Objects: objects(t, row.yaml)})
		var got []string
		for _, f := range faults {
			text := f.Error()
			got = append(got, text[strings.Index(text, "Service"):])
		}
		require.Len(t, got, len(row.want), "%s: %v", row.why, got)
		for i := range got {
			require.True(t, strings.HasPrefix(got[i], row.want[i]), "%s: %s", row.why, got[i])
		}
	}
}

// Numbers stay over changes and restarts, and that of who is gone is not soon another's.
func TestServicesKeepTheirNumbers(t *testing.T) {
	base := edge + serviceYAML("clusterIP: 172.30.0.1, ports: [{port: 80, targetPort: 8080}]")
	number := func(m *Model, address string) uint32 {
		for _, p := range m.Services.Pools {
			for _, x := range p.Members {
				if x.Address.String() == address {
					return x.ID
				}
			}
		}
		return 0
	}
	first := compile(t, Input{Objects: objects(t, base+sliceYAML("x", "{port: 8080}", "{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}"))})
	without := compile(t, Input{Objects: objects(t, base+sliceYAML("y", "{port: 8080}", "{addresses: [10.1.0.2]}")), Previous: &first.Allocations})
	require.Equal(t, number(first, "10.1.0.2"), number(without, "10.1.0.2"), "from whichever slice")
	require.Equal(t, first.Services.Servers[0].ID, without.Services.Servers[0].ID)
	after := compile(t, Input{Objects: objects(t, base+sliceYAML("y", "{port: 8080}", "{addresses: [10.1.0.2]}, {addresses: [10.1.0.3]}")), Previous: &without.Allocations})
	ids := []uint32{number(first, "10.1.0.1"), number(first, "10.1.0.2"), number(after, "10.1.0.3"), first.Services.Servers[0].ID, first.Services.Pools[0].ID}
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), 5)
}

// Addresses of services are answered for, and those outside announced.
func TestOwnedAddresses(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, edge+serviceYAML("type: LoadBalancer, clusterIP: 172.30.0.1, loadBalancerIP: 192.0.2.9, externalIPs: [192.0.2.8], ports: [{port: 80}]"))})
	var got []string
	for _, o := range m.Services.Addresses {
		got = append(got, fmt.Sprint(o.Prefix, o.Announced))
		require.Equal(t, m.Routers[0].Uplinks[0].Scope, o.Scope)
	}
	require.Equal(t, []string{"172.30.0.1/32 false", "192.0.2.8/32 true", "192.0.2.9/32 true"}, got)
}
