package control

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
)

// plainFirewall writes the firewall's part of a model as text in which sets stand for their numbers:
// what says the same has the same text.
func plainFirewall(m *Model) string {
	var b strings.Builder
	p := m.Firewall
	set := func(id policy.SetID) string {
		if id == policy.Any {
			return "ANY"
		}
		s := p.Sets[id]
		return fmt.Sprint(s.Ports, s.Prefixes, s.MACs)
	}
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "%v %q %d %d %t %t %t %d\n", s.Origin, s.Title, s.Category, s.Sequence, s.Marker, s.Stateless, s.TCPStrict, s.Established)
		for _, r := range s.Rules {
			at, from, to := set(r.AppliedTo), set(r.Source), set(r.Destination)
			r.AppliedTo, r.Source, r.Destination = 0, 0, 0
			fmt.Fprintf(&b, "  %+v at %s from %s to %s\n", r, at, from, to)
		}
	}
	for _, e := range p.Endpoints {
		if e != nil {
			fmt.Fprintf(&b, "%+v\n", *e)
		}
	}
	fmt.Fprintf(&b, "%+v\nexcluded %s\n", p.Default, set(p.Excluded))
	for _, g := range m.Groups {
		fmt.Fprintf(&b, "%v: %s\n", g.Origin, set(g.Set))
	}
	for _, x := range m.TimerProfiles {
		at := set(x.AppliedTo)
		x.AppliedTo = 0
		fmt.Fprintf(&b, "%+v at %s\n", x, at)
	}
	for _, x := range m.FloodProfiles {
		at := set(x.AppliedTo)
		x.AppliedTo = 0
		fmt.Fprintf(&b, "%+v at %s\n", x, at)
	}
	return b.String()
}

// requireSameModel asserts that two models are equal but for the numbers of sets.
func requireSameModel(t *testing.T, want, got *Model, where ...any) {
	t.Helper()
	a, b := *want, *got
	for _, m := range []*Model{&a, &b} {
		m.Firewall, m.Groups, m.TimerProfiles, m.FloodProfiles = nil, nil, nil, nil
	}
	if !reflect.DeepEqual(a, b) {
		require.Equal(t, a.Allocations.Rules, b.Allocations.Rules, where...)
		require.Equal(t, asJSON(t, a), asJSON(t, b), where...)
		require.Equal(t, a, b, where...)
	}
	require.Equal(t, plainFirewall(want), plainFirewall(got), where...)
}

// checkFirewall asserts what is true of every policy.
func checkFirewall(t *testing.T, m *Model) {
	t.Helper()
	p := m.Firewall
	require.Nil(t, p.Sets[policy.Any])
	require.Equal(t, &policy.Set{}, p.Sets[policy.None])
	for _, s := range p.Sets {
		if s == nil {
			continue
		}
		for i := 1; i < len(s.Ports); i++ {
			require.Less(t, s.Ports[i-1], s.Ports[i])
		}
		for i := range s.Prefixes {
			for j := range s.Prefixes {
				require.False(t, i != j && s.Prefixes[i].Bits <= s.Prefixes[j].Bits && s.Prefixes[i].Contains(s.Prefixes[j].Addr), "%v", s.Prefixes)
			}
		}
	}
	numbers := map[uint32]string{}
	for i, s := range p.Sections {
		if i > 0 {
			before := p.Sections[i-1]
			require.True(t, before.Category < s.Category || before.Category == s.Category && before.Sequence <= s.Sequence)
		}
		require.True(t, !s.Marker || len(s.Rules) == 0)
		for _, r := range s.Rules {
			require.GreaterOrEqual(t, r.ID, policy.FirstRuleID)
			require.Empty(t, numbers[r.ID], "rule %d", r.ID)
			numbers[r.ID] = s.Title + " " + r.Name
			for _, id := range []policy.SetID{r.AppliedTo, r.Source, r.Destination} {
				require.True(t, id == policy.Any || p.Sets[id] != nil)
			}
		}
	}
	excluded := p.Sets[p.Excluded].Ports
	for _, port := range m.Ports {
		_, out := slices.BinarySearch(excluded, port.Number)
		e := p.Endpoints[port.Number]
		require.Equal(t, port.Uplink < 0 && !out, e != nil, port.Name)
		if e != nil {
			require.Equal(t, []any{port.Number, port.Name}, []any{e.Number, e.Name})
		}
	}
}

// checkFirewallSharing asserts that what is equal in two policies is one pointer.
func checkFirewallSharing(t *testing.T, before, after *policy.Policy) (shared int) {
	t.Helper()
	for id, s := range after.Sets {
		if id < len(before.Sets) && s != nil && before.Sets[id] == s {
			shared++
		}
	}
	was := map[string]*policy.Section{}
	for _, s := range before.Sections {
		was[s.Origin.String()+s.Title] = s
	}
	for _, s := range after.Sections {
		old := was[s.Origin.String()+s.Title]
		if old == s {
			shared++
		} else if old != nil && s.Marker {
			require.NotEqual(t, old.Sequence, s.Sequence, "a marker that is the same")
		}
	}
	for n, e := range after.Endpoints {
		if e == nil || n >= len(before.Endpoints) || before.Endpoints[n] == nil {
			continue
		}
		require.Equal(t, reflect.DeepEqual(e, before.Endpoints[n]), e == before.Endpoints[n])
		shared++
	}
	return shared
}

// randomRules writes one object of the firewall's, right or wrong.
func randomRules(r *rand.Rand) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	maybe := func(odds int, text string) string {
		if r.IntN(odds) == 0 {
			return text
		}
		return ""
	}
	name := func(prefix string, n int) string { return fmt.Sprintf("%s%d", prefix, r.IntN(n)) }
	space := func() string { return maybe(2, ", namespace: "+name("s", 3)) }
	ip := func() string { return fmt.Sprintf("10.%d.0.%d", r.IntN(3), r.IntN(12)) }
	address := func() string {
		return one(ip(), ip()+"-10.2.0.200", fmt.Sprintf("10.%d.0.0/%d", r.IntN(3), 16+r.IntN(2)), `"fd00::/64"`, `"fd00::1-fd00::7"`)
	}
	selector := func() string {
		return one("{}", "{matchLabels: {a: "+name("b", 3)+"}}", "{matchExpressions: [{key: a, operator: "+one("Exists", "DoesNotExist", "In, values: [b0, b1]", "NotIn, values: [b0]")+"}]}")
	}
	group := func() string { return one(name("g", 4), name("g", 4), name("s", 3)+"/"+name("g", 4)) }
	side := func() string {
		return "[" + one("ANY", group(), group()+", "+address(), address(), group()+", "+group()) + "]"
	}
	entry := func() string {
		return one("{l4Protocol: TCP, destinationPorts: ['80', '8000-8010']}", "{l4Protocol: UDP, sourcePorts: ['53']}", "{protocol: ICMPv4, icmpType: 8}",
			"{protocolNumber: 47}", "{nestedService: "+name("f", 3)+"}", "{etherType: 0x0806}", "{l4Protocol: TCP, destinationPorts: ['90-80']}")
	}
	switch r.IntN(13) {
	case 0, 1, 2:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: %s%s}, spec: {%s}}", name("g", 4), space(), strings.TrimPrefix(
			maybe(2, ", podSelector: "+selector())+maybe(4, ", namespaceSelector: "+selector())+maybe(6, ", namespaces: ["+name("s", 3)+"]")+maybe(5, ", segments: ["+name("s", 3)+"]")+
				maybe(5, ", ports: [s0/p1, q0]")+maybe(4, ", ipAddresses: ["+address()+", "+address()+"]")+maybe(3, ", groups: ["+group()+"]")+
				maybe(4, ", expression: [{memberType: "+one("Pod", "Port", "Namespace", "Segment")+", key: "+one("Name, value: ", "Tag, value: a|", "Label, value: a=")+
					name("b", 3)+", operator: "+one("EQUALS", "NOTEQUALS", "CONTAINS", "MATCHES", "IN")+"}]"), ", "))
	case 3:
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: FirewallService, metadata: {name: %s%s}, spec: {serviceEntries: [%s, %s]}}", name("f", 3), space(), entry(), entry())
	case 4, 5, 6:
		rule := func() string {
			return "{" + maybe(2, "name: "+name("r", 5)+", ") + "action: " + one("ALLOW", "DROP", "REJECT", "ALLOW, disabled: true", "JUMP_TO_APPLICATION") +
				maybe(2, ", sourceGroups: "+side()) + maybe(2, ", destinationGroups: "+side()) + maybe(4, ", scope: ["+group()+"]") +
				maybe(4, ", services: ["+name("f", 3)+"]") + maybe(4, ", serviceEntries: ["+entry()+"]") + maybe(6, fmt.Sprintf(", sequenceNumber: %d", r.IntN(3))) + "}"
		}
		return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: SecurityPolicy, metadata: {name: %s%s}, spec: {category: %s, sequenceNumber: %s%s, rules: [%s, %s, %s]}}", name("x", 4), space(),
			one("Emergency", "Infrastructure", "Environment", "Application", "Application", "Ethernet"), one("1", "2", "3000000", "1500000", "3"), maybe(4, ", scope: ["+group()+"]"), rule(), rule(), rule())
	case 7, 8:
		return fmt.Sprintf("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, namespace: %s}, spec: {podSelector: %s%s%s}}", name("n", 3), name("s", 3), selector(),
			maybe(2, ", ingress: [{ports: [{port: "+one("http", "80", "metrics")+"}], from: [{podSelector: "+selector()+"}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]"),
			maybe(2, ", egress: [{ports: [{port: "+one("http", "80", "metrics")+"}, {port: 53, protocol: UDP}], to: [{namespaceSelector: "+selector()+"}]}, {}]"))
	case 9:
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {a: %s}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: %d}%s]}]}}",
			name("p", 6), name("s", 3), name("b", 3), 80+r.IntN(2), maybe(2, ", {name: metrics, containerPort: 9090}"))
	case 10:
		return one(
			fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: SessionTimerProfile, metadata: {name: %s%s}, spec: {sequenceNumber: %d, appliedTo: [%s], timers: {tcpOpening: %d}}}", name("t", 2), space(), r.IntN(3), one("ANY", group()), 1+r.IntN(5)),
			fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: FloodProtectionProfile, metadata: {name: %s}, spec: {appliedTo: [%s], udpActiveFlowLimit: %d}}", name("t", 2), one("ANY", group()), r.IntN(5)))
	case 11:
		return fmt.Sprintf("{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: %s}, spec: {tier: %s, priority: %d, subject: {namespaces: %s}, ingress: [{action: %s, from: [{namespaces: %s}]%s}]}}",
			name("c", 3), one("Admin", "Baseline"), r.IntN(3), selector(), one("Accept", "Deny", "Pass"), selector(), maybe(2, ", protocols: [{destinationNamedPort: http}]"))
	}
	return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: a}, spec: {defaultRule: {action: %s}%s}}", one("ALLOW", "DROP", "REJECT"),
		maybe(2, ", firewall: {exclude: ["+group()+"]"+maybe(2, ", kubernetes: {topSequence: 5, bottomSequence: "+one("3000", "100")+"}")+"}"))
}

// TestFirewallAgainstCompile makes random changes of policies, groups and pods, and holds what a Compiler
// makes of them against what one makes that has seen nothing.
func TestFirewallAgainstCompile(t *testing.T) {
	scenarios, steps := 30, 100
	if testing.Short() {
		scenarios = 6
	}
	models, faulty, shared := 0, 0, 0
	for seed := range scenarios {
		f, s := changeFirewall(t, uint64(seed)+1000, steps)
		models, faulty, shared = models+steps, faulty+f, shared+s
	}
	t.Logf("%d models, %d faulty configurations, %d parts shared", models, faulty, shared)
	require.Greater(t, faulty, models/10)
	require.Greater(t, shared, models*3)
}

// FuzzFirewall does the same with other changes.
func FuzzFirewall(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { changeFirewall(t, seed, 25) })
}

// changeFirewall makes so many configurations that are right, and returns how many were not, and how many
// parts of policies were shared.
func changeFirewall(t *testing.T, seed uint64, steps int) (faulty, shared int) {
	s := newScenario(seed)
	s.write = func() string {
		if s.r.IntN(4) == 0 {
			return randomObject(s.r, s.kinds)
		}
		return randomRules(s.r)
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
				s.mend(wantFaults)
				continue
			}
			requireSameModel(t, want, got, "seed %d, step %d", seed, step)
			checkModel(t, got)
			checkFirewall(t, got)
			if n := len(s.models); n > 0 {
				shared += checkFirewallSharing(t, s.models[n-1].Firewall, got.Firewall)
			}
			s.models = append(s.models, got)
			frozen[got] = plainFirewall(got)
			break
		}
	}
	for m, text := range frozen {
		require.Equal(t, text, plainFirewall(m), "a policy is not written to")
	}
	return faulty, shared
}
