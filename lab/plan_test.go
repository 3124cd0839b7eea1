package lab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

// planned works a scenario out, given without its first words.
func planned(t *testing.T, body string) *plan {
	t.Helper()
	s, faults := Decode("s.yaml", []byte("name: s\nabout: x\n"+body))
	require.Empty(t, faults)
	p, faults := newPlan(s, "test")
	require.Empty(t, faults)
	return p
}

// portOf is the Port that the node is told of.
func portOf(t *testing.T, p *plan, name string) *api.Port {
	t.Helper()
	for _, o := range p.objects {
		if port, ok := o.Value.(*api.Port); ok && portName(o) == name {
			return port
		}
	}
	require.Fail(t, "no port", name)
	return nil
}

func TestPodsGetTheAddressesThatTheNodeWouldGiveThem(t *testing.T) {
	p := planned(t, `
config: |
  {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
pods:
  - {name: demo/a, labels: {app: web}}
  - {name: demo/b, addresses: [10.244.0.2]}
  - {name: shop/a}
`)
	// shop/a: demo and shop are the first two subnets of 10.244.0.0/16.
	a := p.find("demo/a").interfaces[0]
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.244.0.3/24")}, a.addresses, "10.244.0.2 is taken")
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.244.0.1")}, a.gateways)
	require.Equal(t, "0a:58:0a:f4:00:03", a.mac.String())
	require.Equal(t, 1500, a.mtu)
	require.Equal(t, "10.244.1.2/24", p.find("shop/a").interfaces[0].addresses[0].String())

	port := portOf(t, p, "demo/a")
	require.Equal(t, map[string]string{"app": "web"}, port.Labels)
	require.Equal(t, &api.Device{Type: api.DeviceAFPacket, Name: "a"}, port.Spec.Device)
	require.Equal(t, "10.244.0.3", port.Spec.Addresses[0].IP.String())
}

func TestPodsAndPortsOfTheScenarioGetTheirDevices(t *testing.T) {
	p := planned(t, `
config: |
  apiVersion: sluice.dev/v1
  kind: Port
  metadata: {name: a, namespace: demo, labels: {app: web}}
  spec: {addresses: [{ip: 10.244.0.9}], rateLimits: {rxBroadcast: 10}}
  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: b, namespace: demo, labels: {app: db}}
  spec: {containers: [{name: db}]}
pods:
  - {name: demo/a, device: afxdp, port: {guard: false}}
  - {name: demo/b, device: tap}
`)
	a := portOf(t, p, "demo/a")
	require.Equal(t, 10, a.Spec.RateLimits.RxBroadcast)
	require.False(t, *a.Spec.Guard)
	require.Equal(t, "10.244.0.9", p.find("demo/a").address(netip.Addr.Is4))
	require.Equal(t, api.DeviceAFXDP, a.Spec.Device.Type)
	b := portOf(t, p, "demo/b")
	require.Equal(t, "db", b.Labels["app"])
	require.Equal(t, &api.Device{Type: api.DeviceTAP, Name: "eth0", NetNS: "sl-test-demo.b"}, b.Spec.Device)
	require.Len(t, b.Spec.Addresses, 1, "the Pod has become a Port, with the address that it would have had")
}

func TestATAPCanBeTheHosts(t *testing.T) {
	p := planned(t, "pods: [{name: demo/host, namespace: node, interface: sluice0, device: tap}]")
	require.Equal(t, &api.Device{Type: api.DeviceTAP, Name: "sluice0"}, portOf(t, p, "demo/host").Spec.Device, "it is in the node's own namespace")
	require.Same(t, p.namespaces[0], p.find("demo/host"))
}

func TestNodeEndsAreNamedAfterTheirPorts(t *testing.T) {
	p := planned(t, `
pods:
  - {name: demo/web}
  - {name: shop/web}
  - {name: a-long-namespace/web}
  - {name: demo/a-name-that-is-long}
  - {name: demo/a-name-that-is-longer}
  - {name: demo/lo}
`)
	seen := map[string]bool{}
	p.eachPort(func(f *netInterface) {
		require.LessOrEqual(t, len(f.nodeEnd), maxDeviceName, f.port)
		require.False(t, seen[f.nodeEnd], f.nodeEnd)
		require.NotEqual(t, "lo", f.nodeEnd)
		seen[f.nodeEnd] = true
	})
	require.Equal(t, "web", p.port("demo/web").nodeEnd)
	require.Equal(t, "shop.web", p.port("shop/web").nodeEnd)
	require.Equal(t, "demo.lo", p.port("demo/lo").nodeEnd)
}

func TestExpand(t *testing.T) {
	p := planned(t, `
config: |
  apiVersion: sluice.dev/v1
  kind: Segment
  metadata: {name: demo}
  spec: {subnets: [{cidr: 10.1.0.0/24}, {cidr: "2001:db8::/64"}]}
pods:
  - {name: demo/a}
  - {name: demo/b}
hosts:
  - name: outside
    interfaces: [{name: eth0, port: up, addresses: [192.0.2.9/24]}]
`)
	for _, row := range []struct{ text, want string }{
		{"${ip:demo/a} ${ip6:demo/b}", "10.1.0.2 2001:db8::3"},
		{"${ips:demo/*}", "10.1.0.2 10.1.0.3"},
		{"${ips6:demo/*}", "2001:db8::2 2001:db8::3"},
		{"${names:demo/*}", "demo/a demo/b"},
		{"${ip:self} ${gateway:self} ${mac:self}", "10.1.0.3 10.1.0.1 0a:58:0a:01:00:03"},
		{"${netns:demo/a} ${netns:node}", "sl-test-demo.a sl-test-node"},
		{"${device:demo/a} ${device:up}", "a up"},
		{"${ip:outside}", "192.0.2.9"},
		{"$HOME ${HOME:-x} $(id)", "$HOME ${HOME:-x} $(id)"},
	} {
		require.Equal(t, row.want, p.expand(row.text, "demo/b"), row.text)
	}
	require.Equal(t, []string{"demo/a", "demo/b"}, p.places("demo/*"))
}

func TestHostsAndLinks(t *testing.T) {
	p := planned(t, `
config: |
  apiVersion: sluice.dev/v1
  kind: Router
  metadata: {name: default}
  spec: {uplinks: [{port: up, addresses: [192.0.2.1/24], gateway: 192.0.2.254}]}
hosts:
  - name: router
    interfaces:
      - {name: eth0, port: up, addresses: [192.0.2.254/24]}
      - {name: eth1, link: lan, addresses: [198.51.100.1/24]}
  - name: server
    interfaces: [{name: eth0, link: lan}]
`)
	router, server := p.find("router"), p.find("server")
	require.Same(t, server.interfaces[0], router.interfaces[1].link)
	require.Same(t, router.interfaces[1], server.interfaces[0].link)
	require.Equal(t, "up", router.interfaces[0].nodeEnd)
	require.Empty(t, portOf(t, p, "up").Spec.Addresses, "an uplink's addresses are the router's")
}

func TestShippedScenariosAreSound(t *testing.T) {
	all, err := Shipped()
	require.NoError(t, err)
	require.Len(t, all, 28)
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			require.Equal(t, "scenarios/"+s.Name+".yaml", s.File, "a scenario is found by its name")
			require.NotEmpty(t, s.Picture)
			require.NotEmpty(t, s.Steps)
			require.True(t, strings.HasSuffix(s.About, "."), "about is a sentence")
			_, faults := newPlan(s, "test")
			require.Empty(t, faults)
		})
	}
}

func TestEdit(t *testing.T) {
	p := planned(t, `
pods: [{name: demo/a}]
steps:
  - config:
      apply: |
        {apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: x}}
  - config: {remove: [Port demo/a, Segment x]}
  - config: {remove: [Port demo/a]}
  - config: {reset: true}
`)
	steps := p.scenario.Steps
	require.NoError(t, p.edit(steps[0].Config))
	require.Len(t, p.objects, 2)
	require.NoError(t, p.edit(steps[0].Config), "an object replaces its older self")
	require.Len(t, p.objects, 2)
	require.NoError(t, p.edit(steps[1].Config))
	require.Empty(t, p.objects)
	require.False(t, p.configured("demo/a"))
	require.ErrorContains(t, p.edit(steps[2].Config), "remove Port demo/a: there is no such object")
	require.NoError(t, p.edit(steps[3].Config))
	require.True(t, p.configured("demo/a"))
}
