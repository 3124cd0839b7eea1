package control

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/service"
)

// checkServices asserts what is true of the services of every model.
func checkServices(t *testing.T, m *Model) {
	t.Helper()
	c := m.Services
	if c == nil {
		return
	}
	type place struct {
		scope    uint32
		address  any
		protocol uint8
	}
	taken := map[place][][2]uint16{}
	ids := map[string]map[uint32]any{"server": {}, "pool": {}, "member": {}, "nat": {}}
	number := func(kind string, id uint32, of any) {
		require.True(t, 0 < id && id <= service.MaxID, "%s %d", kind, id)
		if other, found := ids[kind][id]; found {
			require.Same(t, other, of, "%s %d", kind, id)
		}
		ids[kind][id] = of
	}
	pools := map[*service.Pool]bool{}
	for i, p := range c.Pools {
		require.True(t, i == 0 || c.Pools[i-1].Name <= p.Name)
		require.False(t, pools[p])
		pools[p] = true
		number("pool", p.ID, p)
		require.GreaterOrEqual(t, p.MinActive, 1)
		for j, x := range p.Members {
			number("member", x.ID, x)
			require.True(t, 1 <= x.Weight && x.Weight <= 256)
			require.Equal(t, p.Members[0].Address.Is4(), x.Address.Is4(), "one family")
			if j > 0 {
				before := p.Members[j-1]
				require.True(t, before.Address.Netip().Less(x.Address.Netip()) || before.Address == x.Address && before.Port < x.Port)
			}
		}
	}
	sources := map[*service.SourcePool]bool{}
	for _, s := range c.Sources {
		number("nat", s.ID, s)
		sources[s] = true
	}
	for i, s := range c.Servers {
		require.True(t, i == 0 || c.Servers[i-1].Name <= s.Name)
		number("server", s.ID, s)
		require.Equal(t, s.Source == service.SourceFromPool, s.Pool != nil)
		require.True(t, s.Pool == nil || sources[s.Pool])
		for _, f := range s.Frontends {
			require.True(t, pools[f.Inside] && pools[f.Outside], s.Name)
			for _, p := range []*service.Pool{f.Inside, f.Outside} {
				require.True(t, len(p.Members) == 0 || p.Members[0].Address.Is4() == f.Address.Is4())
			}
			at := place{f.Scope, f.Address, f.Protocol}
			for _, run := range taken[at] {
				require.True(t, f.Last < run[0] || run[1] < f.First, "%s at %v %d-%d", s.Name, f.Address, f.First, f.Last)
			}
			taken[at] = append(taken[at], [2]uint16{f.First, f.Last})
		}
	}
	for _, x := range c.Rules {
		number("nat", x.ID, x)
		require.True(t, x.Pool == nil || sources[x.Pool])
	}
	require.True(t, slices.IsSortedFunc(c.Addresses, func(a, b service.Owned) int {
		if a.Scope != b.Scope {
			return int(a.Scope) - int(b.Scope)
		}
		return a.Prefix.Compare(b.Prefix)
	}))
}

// checkServiceSharing asserts that what is equal in two models is one pointer, and returns how much is.
func checkServiceSharing(t *testing.T, before, after *Model) (shared int) {
	t.Helper()
	if before.Services == nil || after.Services == nil {
		return 0
	}
	was := map[any]bool{}
	members := map[uint32]*service.Member{}
	pools, servers := map[uint32]*service.Pool{}, map[uint32]*service.Server{}
	for _, p := range before.Services.Pools {
		pools[p.ID] = p
		for _, m := range p.Members {
			members[m.ID] = m
		}
	}
	for _, s := range before.Services.Servers {
		servers[s.ID] = s
	}
	count := func(same bool, a, b any) {
		require.Equal(t, reflect.DeepEqual(a, b), same, "%+v\n%+v", a, b)
		if same {
			shared++
		}
	}
	for _, p := range after.Services.Pools {
		if old := pools[p.ID]; old != nil && old.Origin == p.Origin {
			count(old == p, old, p)
		}
		for _, m := range p.Members {
			if old := members[m.ID]; old != nil && !was[m] {
				was[m] = true
				if *old == *m {
					shared++
				}
			}
		}
	}
	for _, s := range after.Services.Servers {
		if old := servers[s.ID]; old != nil && old.Origin == s.Origin {
			count(old == s, old, s)
		}
	}
	return shared
}

// randomService writes one object of services', right or wrong.
func randomService(r *rand.Rand) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	maybe := func(odds int, text string) string {
		if r.IntN(odds) == 0 {
			return text
		}
		return ""
	}
	name := func(prefix string, n int) string { return fmt.Sprintf("%s%d", prefix, r.IntN(n)) }
	space := func() string { return name("s", 2) }
	ip := func() string { return fmt.Sprintf("10.%d.0.%d", r.IntN(3), 2+r.IntN(10)) }
	protocol := func() string { return maybe(4, ", protocol: "+one("UDP", "SCTP", "TCP")) }
	switch r.IntN(14) {
	case 0, 1, 2, 3:
		kind := one("ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "ExternalName, externalName: a.b")
		ports := fmt.Sprintf("{name: a, port: %d%s%s%s}", 80+r.IntN(2), protocol(), maybe(2, ", targetPort: "+one("http", "8080", "metrics")), maybe(8, ", nodePort: 30080"))
		if r.IntN(3) == 0 {
			ports += fmt.Sprintf(", {name: b, port: %d}", 90+r.IntN(2))
		}
		balanced := ""
		if kind == "LoadBalancer" {
			balanced = maybe(4, ", loadBalancerSourceRanges: [192.0.2.0/24]") + maybe(4, ", loadBalancerIP: 10.9.0."+one("1", "2")) + maybe(6, ", loadBalancerClass: a/b") +
				maybe(2, ", externalTrafficPolicy: Local") + maybe(6, ", allocateLoadBalancerNodePorts: false")
		}
		address := ""
		if !strings.HasPrefix(kind, "ExternalName") {
			address = maybe(2, ", clusterIP: "+one("172.30.0.1", "172.30.0.2", "'fd30::1'"))
			if kind == "ClusterIP" {
				address = maybe(2, address) + maybe(8, ", clusterIP: None")
				if strings.Count(address, "clusterIP:") > 1 {
					address = ", clusterIP: None"
				}
			}
		}
		return fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s, annotations: {x: y%s%s%s%s%s}}, spec: {type: %s, ports: [%s]%s%s%s%s%s%s%s%s}}", name("v", 4), space(),
			maybe(6, ", sluice.dev/algorithm: "+one("MAGLEV", "ROUND_ROBIN", "RANDOM")), maybe(6, ", sluice.dev/active-monitors: "+one("m0", "m0, m1")),
			maybe(6, ", sluice.dev/snat: "+one("AUTOMAP", "snat0", "DISABLED")), maybe(8, ", ncp/snat_pool: "+one("snat0", "snat1")), maybe(6, ", sluice.dev/allow-shared-ip: k"),
			kind, ports, maybe(2, ", selector: {a: "+name("b", 3)+"}"), maybe(3, ", sessionAffinity: ClientIP"), maybe(4, ", internalTrafficPolicy: Local"),
			maybe(5, ", externalIPs: ["+one("198.51.100.1", "10.9.0.1")+"]"), maybe(5, ", publishNotReadyAddresses: true"), maybe(5, ", trafficDistribution: "+one("PreferClose", "PreferSameNode")), balanced, address)
	case 4, 5, 6:
		endpoint := func() string {
			return "{addresses: [" + ip() + "]" + maybe(2, ", conditions: {ready: "+one("true", "false")+maybe(2, ", serving: true")+maybe(2, ", terminating: true")+"}") +
				maybe(3, ", nodeName: "+name("n", 2)) + maybe(3, ", zone: "+name("z", 2)) + maybe(3, ", hints: {forZones: [{name: "+name("z", 2)+"}]}") + "}"
		}
		return fmt.Sprintf("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: %s, namespace: %s, labels: {kubernetes.io/service-name: %s}}, addressType: IPv4, ports: [{name: %s, port: %d%s}], endpoints: [%s, %s]}",
			name("e", 6), space(), name("v", 4), one("a", "a", "b"), 8080+r.IntN(2), protocol(), endpoint(), endpoint())
	case 7:
		return fmt.Sprintf("{apiVersion: v1, kind: Endpoints, metadata: {name: %s, namespace: %s}, subsets: [{addresses: [{ip: %s}], notReadyAddresses: [{ip: %s}], ports: [{name: a, port: 8080}]}]}",
			name("v", 4), space(), ip(), ip())
	case 8, 9:
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {a: %s}%s}, spec: {containers: [{name: c, ports: [{name: http, containerPort: %d}]}]}%s}",
			name("p", 6), space(), name("b", 3), maybe(8, ", deletionTimestamp: '2026-01-01T00:00:00Z'"), 80+r.IntN(2), maybe(4, ", status: {conditions: [{type: Ready, status: 'False'}]}"))
	case 10:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: %s%s}, spec: {ports: ['%s']%s, pool: %s%s%s%s%s%s}}", name("w", 3), maybe(3, ", namespace: "+space()),
			one("80", "80-90", "443"), maybe(2, ", addresses: ["+one("10.9.0.1", "198.51.100.1", "'fd09::7'")+"]"), name("l", 3), maybe(4, ", sorryPool: "+name("l", 3)), maybe(3, ", defaultPoolMemberPorts: ['8080']"),
			maybe(3, ", persistence: {sharedBy: word}"), maybe(5, ", router: "+one("r0", "default")), maybe(4, ", accessListControl: {action: "+one("ALLOW", "DROP")+", group: "+name("g", 2)+"}"))
	case 11:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: %s%s}, spec: {algorithm: %s%s%s%s%s}}", name("l", 3), maybe(4, ", namespace: "+space()), one("ROUND_ROBIN", "MAGLEV"),
			maybe(2, ", members: [{address: "+ip()+"}, {address: 'fd00::1', port: 81}]"), maybe(3, ", memberGroup: {"+one("group: "+name("g", 2), "podSelector: {matchLabels: {a: b0}}", "podSelector: {}, port: http")+"}"),
			maybe(4, ", activeMonitors: ["+name("m", 2)+"]"), maybe(4, ", snatTranslation: {type: "+one("AUTOMAP", "IP_POOL, ipPool: snat0")+"}"))
	case 12:
		return one(
			fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: %s}, spec: {type: %s}}", name("m", 2), one("TCP", "ICMP")),
			fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: %s}, spec: {ipAddresses: [%s], podSelector: {matchLabels: {a: %s}}, namespaces: [s0]}}", name("g", 2), ip(), name("b", 3)),
			fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: NATRule, metadata: {name: %s}, spec: {action: SNAT, sourceNetworks: [10.0.0.0/8], %s, priority: %d}}", name("x", 3),
				one("translatedNetwork: 203.0.113.0/30", "translatedPool: snat0"), r.IntN(2)),
			fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: NATRule, metadata: {name: %s}, spec: {action: DNAT, destinationNetworks: [203.0.113.9], translatedNetwork: %s}}", name("x", 3), ip()))
	}
	return one(
		"{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: vips0}, spec: {usage: vips, cidr: 10.9.0.0/"+one("29", "30")+"}}",
		"{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: cluster0}, spec: {usage: clusterips, cidr: 172.30.0.0/"+one("28", "29")+"}}",
		"{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: snat0}, spec: {usage: snat, cidr: 10.8.0.0/"+one("30", "29")+"}}",
		"{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: a}, spec: {topology: {nodeName: "+name("n", 2)+", zone: "+name("z", 2)+"}, loadBalancer: {defaultAlgorithm: "+one("MAGLEV", "ROUND_ROBIN")+"}}}",
		"{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: q0}}", "{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: q0, addresses: [192.0.2."+one("1", "2")+"/24]}]}}")
}

// TestServicesAgainstCompile makes random changes of services, endpoints and pods, and holds what a Compiler makes of
// them against what one makes that has seen nothing.
func TestServicesAgainstCompile(t *testing.T) {
	scenarios, steps := 40, 100
	if testing.Short() {
		scenarios = 8
	}
	models, faulty, shared := 0, 0, 0
	for seed := range scenarios {
		f, s := changeServices(t, uint64(seed)+2000, steps)
		models, faulty, shared = models+steps, faulty+f, shared+s
	}
	t.Logf("%d models, %d faulty configurations, %d parts shared", models, faulty, shared)
	require.Greater(t, faulty, models/10)
	require.Greater(t, shared, models*3)
}

// FuzzServices does the same with other changes.
func FuzzServices(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { changeServices(t, seed, 25) })
}

// changeServices makes so many configurations that are right, and returns how many were not, and how many
// parts of services were shared.
func changeServices(t *testing.T, seed uint64, steps int) (faulty, shared int) {
	s := newScenario(seed)
	s.write = func() string {
		if s.r.IntN(6) == 0 {
			return randomObject(s.r, s.kinds)
		}
		for {
			text := randomService(s.r)
			if _, faults := Decode("a.yaml", []byte(text), Options{}); len(faults) == 0 {
				return text
			}
		}
	}
	k := NewCompiler()
	frozen := map[*Model]string{}
	for step := range steps {
		s.change(t)
		for {
			in := s.input(t, step)
			want, wantFaults := Compile(in)
			got, gotFaults := k.Compile(in)
			require.Equal(t, wantFaults, gotFaults, "seed %d, step %d", seed, step)
			if want == nil {
				require.Nil(t, got)
				faulty++
				n := len(s.objects)
				s.mend(wantFaults)
				require.Less(t, len(s.objects), n, "%v", wantFaults)
				continue
			}
			requireSameModel(t, want, got, "seed %d, step %d", seed, step)
			checkModel(t, got)
			checkServices(t, got)
			if n := len(s.models); n > 0 {
				shared += checkServiceSharing(t, s.models[n-1], got)
			}
			s.models = append(s.models, got)
			frozen[got] = asJSON(t, got.Services)
			break
		}
	}
	for m, text := range frozen {
		require.Equal(t, text, asJSON(t, m.Services), "services are not written to")
	}
	return faulty, shared
}
