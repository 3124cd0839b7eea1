package control

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

// objects decodes documents that have no fault.
func objects(t testing.TB, text string) []*Object {
	t.Helper()
	list, faults := Decode("test.yaml", []byte(text), Options{})
	require.NoError(t, faults.Err())
	return list
}

func compile(t testing.TB, in Input) *Model {
	t.Helper()
	m, faults := Compile(in)
	require.NoError(t, faults.Err())
	return m
}

func port(t testing.TB, m *Model, name string) *Port {
	t.Helper()
	for _, p := range m.Ports {
		if p.Name == name {
			return p
		}
	}
	require.FailNow(t, "no port "+name)
	return nil
}

func segment(t testing.TB, m *Model, name string) Segment {
	t.Helper()
	for _, s := range m.Segments {
		if s.Name == name {
			return s
		}
	}
	require.FailNow(t, "no segment "+name)
	return Segment{}
}

func addresses(p *Port) (list []string) {
	for _, a := range p.Addresses {
		list = append(list, fmt.Sprintf("%s %s", a.IP, a.MAC))
	}
	return list
}

// site has one of everything.
const site = `
apiVersion: sluice.dev/v1
kind: NodeConfig
metadata: {name: node}
spec:
  workers: 2
  cpus: "4-6"
  defaultRule: {action: DROP, logged: true}
  timers: {udpSingle: 7}
  limits: {sessions: 4096}
---
apiVersion: v1
kind: Namespace
metadata: {name: nsx-demo, labels: {team: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: nsx-demo, labels: {app: nsx-demo}}
status: {podIP: 192.168.0.35, podIPs: [{ip: 192.168.0.35}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: nsx-demo, labels: {app: nsx-demo}}
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: nsx-demo}
spec: {hostNetwork: true, containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: nsx-demo}
status: {phase: Succeeded, podIP: 192.168.0.35}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: nsx-demo}
spec:
  subnets: [{cidr: 192.168.0.0/24}, {cidr: "fd00:0:0:1::/64"}]
  mtu: 1400
  vni: 5001
  macLearning: {enabled: false, limitPolicy: DROP, agingSeconds: 60}
  rateLimits: {rxBroadcast: 100, txMulticast: 5}
  security: {dhcpServerBlock: true}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: voice}
spec: {vlan: 20, router: none, unknownUnicastFlooding: false, neighborSuppression: false}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: data}
spec: {vlan: 10, router: none}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: vm, labels: {tier: db}}
spec:
  segment: nsx-demo
  mtu: 9000
  addresses: [{ip: "fd00:0:0:1::9"}, {ip: 192.168.0.9}, {ip: 192.168.0.10, mac: 02-00-00-00-00-0A}]
  device: {type: afpacket, name: veth0, netns: blue, offload: none}
  guard: false
  rateLimits: {rxBroadcast: 7}
  security: {dhcpServerBlock: false, raGuard: true}
  unknownUnicastFlooding: false
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: trunk}
spec:
  vlan: {mode: trunk, native: 10, trunks: [{vlan: 10}, {vlan: 15, endVlan: 30}, {vlan: 99, segment: nsx-demo}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: all}
spec: {vlan: {mode: trunk}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: qinq}
spec: {vlan: {mode: qinq, outer: 500, trunks: [{vlan: 20}, {vlan: 7, segment: data}]}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: access}
spec: {vlan: {mode: access, access: 20}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: uplink}
---
apiVersion: sluice.dev/v1
kind: Router
metadata: {name: default}
spec:
  uplinks:
  - {port: uplink, addresses: [192.0.2.1/24, "2001:db8::1/64"], gateway: 192.0.2.254, gateways: ["fe80::1"]}
  routes:
  - {prefix: 198.51.100.0/24, blackhole: true}
  - {prefix: 10.0.0.0/8, via: 192.168.0.77}
---
apiVersion: sluice.dev/v1
kind: IPPool
metadata: {name: vips}
spec: {usage: vips, ranges: [{start: 192.168.8.133, end: 192.168.8.140}, {start: 192.168.0.2, end: 192.168.0.3}], gateway: 192.168.8.135}
`

func TestCompileSite(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, site), Revision: 7})
	require.Equal(t, uint64(7), m.Revision)
	require.Len(t, m.Digest, 16)

	require.Equal(t, []int{4, 5}, m.Node.CPUs, "a CPU for each worker")
	require.Equal(t, api.ActionDrop, m.Node.DefaultAction)
	require.True(t, m.Node.DefaultLogged)
	require.Equal(t, "02:50:56:56:44:52", m.Node.GatewayMAC.String())
	require.Equal(t, 7*time.Second, m.Node.Timers.UDPSingle)
	require.Equal(t, 12*time.Hour, m.Node.Timers.TCPEstablished, "NSX's default")
	require.Equal(t, 4096, m.Node.Limits.Sessions)
	require.Equal(t, 16384, m.Node.Limits.MACTable)

	require.Equal(t, []Namespace{{
		Name: "nsx-demo", Segment: 1,
		Labels: map[string]string{"team": "a", "kubernetes.io/metadata.name": "nsx-demo"},
	}}, m.Namespaces)

	demo := segment(t, m, "nsx-demo")
	require.Equal(t, m.Segments[1], demo, "at first, segments are in order of names")
	require.Equal(t, []Subnet{
		{netip.MustParsePrefix("192.168.0.0/24"), netip.MustParseAddr("192.168.0.1")},
		{netip.MustParsePrefix("fd00:0:0:1::/64"), netip.MustParseAddr("fd00:0:0:1::1")},
	}, demo.Subnets)
	require.Equal(t, uint32(5001), demo.VNI)
	require.Equal(t, 0, demo.Router)
	require.Equal(t, MACLearning{false, 4096, true, time.Minute, 5, 3 * time.Minute}, demo.MACLearning)
	require.Equal(t, Security{BPDUFilter: true, DHCPServerBlock: true}, demo.Security)
	require.Equal(t, []uint32{1, 2, 3}, []uint32{m.Segments[0].Zone, m.Segments[1].Zone, m.Segments[2].Zone})
	voice := segment(t, m, "voice")
	require.Equal(t, -1, voice.Router)
	require.False(t, voice.UnknownUnicastFlooding)
	require.False(t, voice.NeighborSuppression)
	require.True(t, segment(t, m, "data").UnknownUnicastFlooding)

	web1 := port(t, m, "nsx-demo/web-1")
	require.Equal(t, []string{"192.168.0.35 0a:58:c0:a8:00:23"}, addresses(web1), "a given address is all that the pod has")
	require.True(t, web1.Guard && web1.Pod)
	require.Equal(t, map[string]string{"app": "nsx-demo"}, web1.Labels)
	require.Equal(t, []Attachment{{0, 0, 1}}, web1.Attachments)
	require.Equal(t, 1400, web1.MTU, "the segment's")
	require.Equal(t, []string{"192.168.0.4 0a:58:c0:a8:00:04", "fd00:0:0:1::2 0a:58:c0:a8:00:04"},
		addresses(port(t, m, "nsx-demo/web-2")), "the gateway's and the VIPs' addresses are skipped; one MAC for both")
	for _, p := range m.Ports {
		require.NotContains(t, []string{"nsx-demo/host", "nsx-demo/job"}, p.Name, "no address of its own")
	}

	vm := port(t, m, "vm")
	require.Equal(t, []string{
		"fd00:0:0:1::9 02:00:00:00:00:0a", "192.168.0.9 02:00:00:00:00:0a", "192.168.0.10 02:00:00:00:00:0a",
	}, addresses(vm), "the MAC given is the port's")
	require.False(t, vm.Guard)
	require.Equal(t, Device{Type: "afpacket", Name: "veth0", NetNS: "blue", Queues: 1}, vm.Device)
	require.Equal(t, 9000, vm.MTU)
	require.Equal(t, api.RateLimits{RxBroadcast: 7, TxMulticast: 5}, vm.RateLimits)
	require.Equal(t, Security{BPDUFilter: true, RAGuard: true}, vm.Security)
	require.False(t, vm.UnknownUnicastFlooding)

	trunk := port(t, m, "trunk")
	require.Equal(t, 0, trunk.Segment, "the native VLAN's")
	require.Equal(t, []Attachment{{0, 0, 0}, {10, 0, 0}, {20, 0, 2}, {99, 0, 1}}, trunk.Attachments)
	all := port(t, m, "all")
	require.Equal(t, -1, all.Segment)
	require.Equal(t, []Attachment{{10, 0, 0}, {20, 0, 2}}, all.Attachments)
	require.False(t, all.Guard, "there is nothing to hold the port to")
	qinq := port(t, m, "qinq")
	require.Equal(t, []Attachment{{500, 7, 0}, {500, 20, 2}}, qinq.Attachments)
	require.Equal(t, uint16(0x88a8), qinq.OuterEtherType)
	require.Equal(t, []Attachment{{0, 0, 2}}, port(t, m, "access").Attachments)

	up := port(t, m, "uplink")
	require.Equal(t, [3]int{-1, 0, 0}, [3]int{up.Segment, up.Router, up.Uplink})
	require.Empty(t, up.Attachments)
	require.Empty(t, up.Memberships)
	router := m.Routers[0]
	require.Equal(t, []Connected{
		{demo.Subnets[0].Prefix, demo.Subnets[0].Gateway, 1}, {demo.Subnets[1].Prefix, demo.Subnets[1].Gateway, 1},
	}, router.Connected)
	require.Len(t, router.Uplinks, 1)
	require.Equal(t, "uplink", m.Ports[router.Uplinks[0].Port].Name)
	require.Equal(t, uint32(4), router.Uplinks[0].Zone)
	require.Equal(t, "0a:58:c0:00:02:01", router.Uplinks[0].MAC.String())
	var routes []string
	for _, r := range router.Routes {
		routes = append(routes, fmt.Sprintf("%s %s %t %d %d", r.Prefix, r.Via, r.Blackhole, r.Segment, r.Uplink))
	}
	require.Equal(t, []string{
		"0.0.0.0/0 192.0.2.254 false -1 0",
		"10.0.0.0/8 192.168.0.77 false 1 -1",
		"198.51.100.0/24 invalid IP true -1 -1",
		"::/0 fe80::1 false -1 0",
	}, routes)

	require.Len(t, m.Pools, 1)
	require.Equal(t, "[192.168.0.2-192.168.0.3 192.168.8.133-192.168.8.134 192.168.8.136-192.168.8.140]", fmt.Sprint(m.Pools[0].Ranges))

	for i, p := range m.Ports {
		require.Equal(t, uint16(i+1), p.Number, "a first compilation numbers ports in order of names")
	}
}

// TestCompileDefaults: an empty configuration is one.
func TestCompileDefaults(t *testing.T) {
	m := compile(t, Input{})
	require.Equal(t, 1, m.Node.Workers)
	require.Equal(t, api.ActionAllow, m.Node.DefaultAction)
	require.Equal(t, []Router{{Name: "default"}}, m.Routers)
	require.Empty(t, m.Ports)
}

func TestCarveForNamespaces(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, `
{apiVersion: v1, kind: Namespace, metadata: {name: a}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: b}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: c, annotations: {sluice.dev/segment: lan}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: b}, status: {podIP: 10.244.0.9}}
---
{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: c}}
---
{apiVersion: v1, kind: Pod, metadata: {name: y, namespace: c, annotations: {sluice.dev/segment: a}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: x}}
---
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: lan}, spec: {subnets: [{cidr: 10.244.1.0/25, gateway: 10.244.1.9}]}}
---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: v4}, spec: {usage: segments, cidr: 10.244.0.0/16}}
---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: v6}, spec: {usage: segments, cidr: "fd00::/48"}}
`)})
	got := map[string]string{}
	for _, s := range m.Segments {
		var subnets []string
		for _, n := range s.Subnets {
			subnets = append(subnets, n.Prefix.String())
		}
		got[s.Name] = strings.Join(subnets, " ")
	}
	require.Equal(t, map[string]string{
		"a":       "10.244.2.0/24 fd00::/64",       // 0 is where b's pod lives, 1 is in part lan's
		"b":       "10.244.0.0/24 fd00:0:0:1::/64", // its pod's address is in it
		"default": "10.244.3.0/24 fd00:0:0:2::/64", // of a pod whose namespace is not written
		"lan":     "10.244.1.0/25",
	}, got, "a namespace with a segment named needs none of its own")
	require.Equal(t, []string{"10.244.1.1 0a:58:0a:f4:01:01"}, addresses(port(t, m, "c/x")), "the first host is free where the gateway is another")
	require.Equal(t, []string{"10.244.2.2 0a:58:0a:f4:02:02", "fd00::2 0a:58:0a:f4:02:02"}, addresses(port(t, m, "c/y")))
	for _, ns := range m.Namespaces {
		require.NotEqual(t, -1, ns.Segment, ns.Name)
	}
}

// TestOrderDoesNotMatter: equal objects in any order, equal model.
func TestOrderDoesNotMatter(t *testing.T) {
	list := objects(t, site)
	want := compile(t, Input{Objects: list})
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		shuffled := slices.Clone(list)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Equal(t, want, compile(t, Input{Objects: shuffled}))
	}
	again := compile(t, Input{Objects: list, Previous: &want.Allocations})
	require.Equal(t, want, again, "a configuration applied again changes nothing")
	other := compile(t, Input{Objects: objects(t, strings.Replace(site, "mtu: 1400", "mtu: 1401", 1))})
	require.NotEqual(t, want.Digest, other.Digest)
	require.Equal(t, want.Digest, compile(t, Input{Objects: list, Revision: 9}).Digest, "the number is not part of what it numbers")
}

// pods writes a namespace's pods.
func pods(namespace string, names ...string) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}}\n", n, namespace)
	}
	return b.String()
}

// TestAllocationsStay: what a model chose holds while others come and go.
func TestAllocationsStay(t *testing.T) {
	first := compile(t, Input{Objects: objects(t, pods("m", "b", "c")+pods("n", "a"))})
	second := compile(t, Input{Objects: objects(t, pods("a", "a")+pods("m", "a", "b", "c")+pods("n", "a")), Previous: &first.Allocations})
	for _, name := range []string{"m/b", "m/c", "n/a"} {
		before, after := port(t, first, name), port(t, second, name)
		require.Equal(t, before.Addresses, after.Addresses, name)
		require.Equal(t, before.Number, after.Number, name)
		require.Equal(t, first.Segments[before.Segment].Zone, second.Segments[after.Segment].Zone)
	}
	require.Equal(t, "10.244.2.0/24", segment(t, second, "a").Subnets[0].Prefix.String(), "a new namespace takes what is left")
	require.Equal(t, "10.244.0.4", port(t, second, "m/a").Addresses[0].IP.String())
	require.Equal(t, uint16(5), port(t, second, "m/a").Number)

	_, faults := Compile(Input{
		Objects: objects(t, pods("m", "b")+`---
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: x}, spec: {subnets: [{cidr: 10.244.0.0/28}]}}
`), Previous: &second.Allocations,
	})
	require.ErrorContains(t, faults.Err(), "10.244.0.0/28 overlaps 10.244.0.0/24, which was carved for segment m",
		"a subnet carved is not moved from under live pods")
}

// TestZonesAreNotGivenAgain: sessions outlive their segment, and only the zone tells
// them from those of another with the same addresses.
func TestZonesAreNotGivenAgain(t *testing.T) {
	segments := func(names ...string) []*Object {
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}}\n", n)
		}
		return objects(t, b.String())
	}
	m := &Model{}
	for _, step := range []struct {
		why   string
		names []string
		last  uint32 // as if so many had been given before; 0: as it is
		want  []uint32
	}{
		{"the first ones", []string{"a", "b"}, 0, []uint32{1, 2}},
		{"another in the place of one that is gone", []string{"a", "c"}, 0, []uint32{1, 3}},
		{"one that comes back", []string{"a", "b", "c"}, 0, []uint32{1, 4, 3}},
		{"when all have been given, those that are free", []string{"a", "b", "c", "d", "e"}, 1<<24 - 2, []uint32{1, 4, 3, 1<<24 - 1, 2}},
	} {
		if step.last != 0 {
			m.Allocations.LastZone = step.last
		}
		m = compile(t, Input{Objects: segments(step.names...), Previous: &m.Allocations})
		var got []uint32
		for _, name := range step.names {
			got = append(got, segment(t, m, name).Zone)
		}
		require.True(t, slices.IsSortedFunc(m.Segments, func(a, b Segment) int { return cmp.Compare(a.Zone, b.Zone) }),
			"the one that is new comes last, and no index changes")
		require.Equal(t, step.want, got, step.why)
	}
}

// TestQuarantine: a freed address waits before another pod gets it.
func TestQuarantine(t *testing.T) {
	const second = int64(time.Second)
	at := func(now int64, previous *Allocations, names ...string) *Model {
		return compile(t, Input{Objects: objects(t, pods("m", names...)), Previous: previous, Now: now})
	}
	first := at(0, nil, "a", "b")
	gone := at(10*second, &first.Allocations, "b", "c")
	require.Equal(t, "10.244.0.4", port(t, gone, "m/c").Addresses[0].IP.String(), "a's address is not given at once")
	require.Equal(t, []Freed{{netip.MustParseAddr("10.244.0.2"), "m/a", 10 * second}}, gone.Allocations.Freed)

	waiting := at(129*second, &gone.Allocations, "b", "c", "d")
	require.Equal(t, "10.244.0.5", port(t, waiting, "m/d").Addresses[0].IP.String())
	back := at(129*second, &gone.Allocations, "a", "b", "c", "d")
	require.Equal(t, "10.244.0.2", port(t, back, "m/a").Addresses[0].IP.String(), "who had it has it again")
	require.Empty(t, back.Allocations.Freed)
	over := at(130*second, &gone.Allocations, "b", "c", "d")
	require.Equal(t, "10.244.0.2", port(t, over, "m/d").Addresses[0].IP.String(), "after 120 s it is free")
	require.Empty(t, over.Allocations.Freed)
}

func TestTooManyPorts(t *testing.T) {
	var list []*Object
	for i := range maxPorts + 1 {
		p := &api.Port{}
		p.Name = fmt.Sprintf("p%d", i)
		list = append(list, &Object{APIVersion: api.APIVersion, Kind: "Port", Name: p.Name, Value: p})
	}
	_, faults := Compile(Input{Objects: list})
	require.Len(t, faults, 1)
	require.Contains(t, faults[0].Message, "65536 ports are too many")
	m := compile(t, Input{Objects: list[1:]})
	require.Equal(t, uint16(maxPorts), m.Ports[maxPorts-1].Number)
}

// A trunk's segments keep their own settings, where the port has none.
func TestMemberships(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, `
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: a}
spec: {vlan: 10, unknownUnicastFlooding: false, security: {dhcpServerBlock: true}, macLearning: {limit: 7}}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: b}
spec: {vlan: 20, security: {raGuard: true}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: trunk}
spec: {vlan: {mode: trunk, native: 10, trunks: [{vlan: 10}, {vlan: 20}]}, security: {nonIPTrafficBlock: true}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: own}
spec: {segment: a, unknownUnicastFlooding: true, macLearning: {enabled: false}, security: {dhcpServerBlock: false}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: uplink}
spec: {addresses: [{mac: "02:00:00:00:00:01"}]}
---
apiVersion: sluice.dev/v1
kind: Router
metadata: {name: default}
spec: {uplinks: [{port: uplink, addresses: [192.0.2.1/24]}]}
`)})
	learning := func(enabled bool, limit int) MACLearning {
		return MACLearning{enabled, limit, false, 5 * time.Minute, 5, 3 * time.Minute}
	}
	require.Equal(t, []Membership{
		{0, learning(true, 7), false, Security{BPDUFilter: true, DHCPServerBlock: true, NonIPTrafficBlock: true}},
		{1, learning(true, 4096), true, Security{BPDUFilter: true, RAGuard: true, NonIPTrafficBlock: true}},
	}, port(t, m, "trunk").Memberships, "each segment once, though VLAN 10 comes with and without a tag")
	own := port(t, m, "own")
	require.Equal(t, []Membership{{0, learning(false, 4096), true, Security{BPDUFilter: true}}}, own.Memberships)
	require.Equal(t, own.Memberships[0].Security, own.Security)
	require.False(t, port(t, m, "uplink").Guard, "the address of an uplink's port is the router's own: nobody is held to it")
}
