package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// documents writes documents one after the other.
func documents(docs ...string) string { return strings.Join(docs, "\n---\n") }

// securityPolicy writes a SecurityPolicy.
func securityPolicy(name, spec string) string {
	return fmt.Sprintf("{apiVersion: sluice.dev/v1, kind: SecurityPolicy, metadata: {name: %s}, spec: {%s}}", name, spec)
}

func titles(p *policy.Policy) (list []string) {
	for _, s := range p.Sections {
		list = append(list, s.Title)
	}
	return list
}

func TestSectionsAreInOrder(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, documents(
		securityPolicy("late", "sequenceNumber: 3000000"), securityPolicy("early", "sequenceNumber: 5"), securityPolicy("also-early, namespace: n", "sequenceNumber: 5"),
		securityPolicy("emergency", "category: Emergency, sequenceNumber: 9"), securityPolicy("frames", "category: Ethernet"), securityPolicy("environment", "category: Environment, sequenceNumber: 50"),
		"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: b, namespace: n}, spec: {podSelector: {}, ingress: [{}]}}",
		"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: n}, spec: {podSelector: {}, ingress: [{}]}}",
		"{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: admin}, spec: {tier: Admin, priority: 20, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}",
		"{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: base}, spec: {tier: Baseline, priority: 1000, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}",
	))})
	require.Equal(t, []string{
		"frames", "emergency", "admin", "environment", "n/also-early", "early",
		"Kubernetes top", "n/a", "n/b", "n/a isolation", "n/b isolation", "base", "Kubernetes bottom", "late",
	}, titles(m.Firewall))
	require.Equal(t, policy.Origin{Kind: "NetworkPolicy", Namespace: "n", Name: "a"}, m.Firewall.Sections[7].Origin)
	last := m.Firewall.Sections[0]
	for _, s := range m.Firewall.Sections[1:] {
		require.True(t, last.Category < s.Category || last.Sequence <= s.Sequence, "%s comes before %s", last.Title, s.Title)
		last = s
	}
	require.Empty(t, compile(t, Input{}).Firewall.Sections, "without policies of Kubernetes there is nothing to mark")
}

func TestRules(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, documents(cluster,
		"{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: web}, spec: {podSelector: {matchLabels: {app: web}}}}",
		"{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: a}, spec: {namespaces: [a]}}",
		"{apiVersion: sluice.dev/v1, kind: FirewallService, metadata: {name: dns}, spec: {serviceEntries: [{l4Protocol: UDP, destinationPorts: ['53']}, {nestedService: tcp}]}}",
		"{apiVersion: sluice.dev/v1, kind: FirewallService, metadata: {name: tcp}, spec: {serviceEntries: [{l4Protocol: TCP, destinationPorts: ['53', '853-854'], sourcePorts: ['1024-65535']}]}}",
		securityPolicy("p", `scope: [a], stateful: false, category: Infrastructure, rules: [
  {name: last, sequenceNumber: 9, action: DROP, serviceEntries: [{protocol: ICMPv6, icmpType: 1}, {protocolNumber: 47}, {protocol: ICMPv4, icmpType: 8, icmpCode: 0}], direction: OUT},
  {name: off, disabled: true},
  {scope: [web], sourceGroups: [web, 10.0.0.0/8], sourcesExcluded: true, destinationGroups: [a], services: [dns], serviceEntries: [{l4Protocol: SCTP}],
   action: REJECT, direction: IN, ipProtocol: IPV6, logged: true, tag: x, notes: y}]`),
		securityPolicy("keeping", "tcpStrict: true, established: keep, rules: [{sessionLimits: {perRule: 3, perSource: 2}}]"),
	))})
	s := m.Firewall.Sections[0]
	require.Equal(t, []any{policy.Infrastructure, true, false, policy.Recheck}, []any{s.Category, s.Stateless, s.TCPStrict, s.Established})
	require.Len(t, s.Rules, 2)
	r := s.Rules[0]
	require.Equal(t, "a/web-1 a/web-2", members(m, r.AppliedTo), "ports that are in both scopes")
	require.Equal(t, "a/web-1 a/web-2 b/web-1 vm 10.0.0.0/8", members(m, r.Source))
	require.Equal(t, "a/db a/web-1 a/web-2", members(m, r.Destination))
	r.ID, r.AppliedTo, r.Source, r.Destination = 0, 0, 0, 0
	require.Equal(t, policy.Rule{
		Name: "rules[2]", Action: policy.Reject, Directions: policy.In, Families: policy.IPv6, SourceNot: true, Logged: true, Tag: "x", Notes: "y",
		Services: []policy.Service{
			{Protocol: packet.ProtoSCTP, ICMPType: -1, ICMPCode: -1},
			{Protocol: packet.ProtoUDP, DestPorts: []policy.PortRange{{First: 53, Last: 53}}, ICMPType: -1, ICMPCode: -1},
			{
				Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: 53, Last: 53}, {First: 853, Last: 854}},
				SourcePorts: []policy.PortRange{{First: 1024, Last: 65535}}, ICMPType: -1, ICMPCode: -1,
			},
		},
		SourceText: []string{"web", "10.0.0.0/8"}, DestText: []string{"a"}, ServicesText: []string{"dns", "SCTP"},
	}, r)
	r = s.Rules[1]
	require.Equal(t, []any{"last", policy.Drop, policy.Out, policy.Any, policy.Any}, []any{r.Name, r.Action, r.Directions, r.Source, r.Destination})
	require.Equal(t, "a/db a/web-1 a/web-2", members(m, r.AppliedTo))
	require.Equal(t, []policy.Service{
		{Protocol: packet.ProtoICMPv6, ICMPType: 1, ICMPCode: -1}, {Protocol: 47, ICMPType: -1, ICMPCode: -1}, {Protocol: packet.ProtoICMP, ICMPType: 8},
	}, r.Services)
	require.Equal(t, []string{"ICMPv6 1", "protocol 47", "ICMPv4 8/0"}, r.ServicesText)
	s = m.Firewall.Sections[1]
	require.Equal(t, []any{policy.Application, false, true, policy.Keep}, []any{s.Category, s.Stateless, s.TCPStrict, s.Established})
	require.Equal(t, []any{"rules[0]", 3, 2, policy.Any}, []any{s.Rules[0].Name, s.Rules[0].PerRule, s.Rules[0].PerSource, s.Rules[0].AppliedTo})
}

func TestEthernetRules(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, documents(
		"{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: g}, spec: {macAddresses: ['02:00:00:00:00:01']}}",
		securityPolicy("p", "category: Ethernet, rules: [{action: DROP, sourceGroups: [g], serviceEntries: [{etherType: 0x88cc}]}]"),
	))})
	r := m.Firewall.Sections[0].Rules[0]
	require.Equal(t, "02:00:00:00:00:01", members(m, r.Source))
	require.Equal(t, []policy.Service{{EtherType: 0x88cc, AnyProtocol: true, ICMPType: -1, ICMPCode: -1}}, r.Services)
	require.Equal(t, []string{"EtherType 0x88cc"}, r.ServicesText)
}

// TestRulesKeepTheirNumbers changes a policy step by step.
func TestRulesKeepTheirNumbers(t *testing.T) {
	k := NewCompiler()
	previous := &Allocations{}
	other := securityPolicy("other", "rules: [{name: x}]")
	for i, step := range []struct {
		why  string
		docs []string
		want string
	}{
		{"from the first, in order of policies and rules", []string{securityPolicy("p", "rules: [{name: a}, {name: b}, {}]")}, "a=1000 b=1001 rules[2]=1002"},
		{"a policy that comes before has the next", []string{other, securityPolicy("p", "rules: [{name: a}, {name: b}, {}]")}, "x=1003 a=1000 b=1001 rules[2]=1002"},
		{"another order, another rule between", []string{other, securityPolicy("p", "rules: [{name: b}, {name: new}, {name: a, action: DROP}]")}, "x=1003 b=1001 new=1004 a=1000"},
		{"disabled, it keeps its number", []string{other, securityPolicy("p", "rules: [{name: b, disabled: true}, {name: c}, {name: a}]")}, "x=1003 c=1005 a=1000"},
		{"and has it again", []string{other, securityPolicy("p", "rules: [{name: b}, {name: c}, {name: a}]")}, "x=1003 b=1001 c=1005 a=1000"},
		{"what is gone does not leave its number to the next", []string{other, securityPolicy("q", "rules: [{name: b}]")}, "x=1003 b=1006"},
		{"a rule is known by its policy, too", []string{securityPolicy("p", "rules: [{name: b}]"), securityPolicy("q", "rules: [{name: b}]")}, "b=1007 b=1006"},
	} {
		m, faults := k.Compile(Input{Objects: objects(t, documents(step.docs...)), Previous: previous})
		require.NoError(t, faults.Err())
		var got []string
		for _, s := range m.Firewall.Sections {
			for _, r := range s.Rules {
				got = append(got, fmt.Sprintf("%s=%d", r.Name, r.ID))
			}
		}
		require.Equal(t, step.want, strings.Join(got, " "), "step %d: %s", i, step.why)
		previous = &m.Allocations
	}
}

// TestNumbersThatMakeNoSense: what was stored may be anything.
func TestNumbersThatMakeNoSense(t *testing.T) {
	list := objects(t, securityPolicy("p", "rules: [{name: a}, {name: b}, {name: c}, {name: d}]"))
	m := compile(t, Input{Objects: list, Previous: &Allocations{Rules: map[string]ruleset.RuleIDs{
		"SecurityPolicy//p":    {{Name: "a", ID: 3}, {Name: "b", ID: 1 << 31}, {Name: "c", ID: 1005}, {Name: "d", ID: 1005}},
		"SecurityPolicy//gone": {{Name: "a", ID: 1000}},
		"":                     nil,
	}}})
	require.Equal(t, map[string]ruleset.RuleIDs{
		"SecurityPolicy//p": {{Name: "a", ID: 1000}, {Name: "b", ID: 1001}, {Name: "c", ID: 1005}, {Name: "d", ID: 1002}},
	}, m.Allocations.Rules)
}

// TestPortsByName: each number that workloads have for a name is a rule.
func TestPortsByName(t *testing.T) {
	pod := func(name, ports string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: n}, spec: {containers: [{name: c, ports: [%s]}], initContainers: [{name: once, ports: [{name: http, containerPort: 1}]}, {name: side, restartPolicy: Always, ports: [{name: metrics, containerPort: 9090}]}]}}", name, ports)
	}
	np := `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: n}, spec: {podSelector: {}, ingress: [{ports: [{port: http}, {port: 443}, {port: metrics}]}]}}`
	port := "{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: q, namespace: n}, spec: {namedPorts: [{name: http, port: 8080}]}}"
	k := NewCompiler()
	var before *Model
	for _, step := range []struct {
		why  string
		docs []string
		want []string
	}{
		{"nobody has the name", []string{np}, []string{"443: ANY"}},
		{"a port that is named twice is one", []string{strings.Replace(np, "{port: http}", "{port: http}, {port: http}", 1), pod("a", "{name: http, containerPort: 80}")}, []string{"443: ANY", "80: n/a", "9090: n/a"}},
		{"two numbers; another protocol's name is another", []string{np, pod("a", "{name: http, containerPort: 80}"), pod("b", "{name: http, containerPort: 8080}"), pod("c", "{name: http, containerPort: 80, protocol: UDP}")}, []string{
			"443: ANY", "80: n/a", "8080: n/b", "9090: n/a n/b n/c",
		}},
		{"one moves; ports that are written have names, too", []string{np, pod("a", "{name: http, containerPort: 8080}"), port}, []string{"443: ANY", "8080: n/a n/q", "9090: n/a"}},
	} {
		in := Input{Objects: objects(t, documents(step.docs...))}
		if before != nil {
			in.Previous = &before.Allocations
		}
		m, faults := k.Compile(in)
		require.NoError(t, faults.Err())
		var got []string
		for _, r := range m.Firewall.Sections[1].Rules {
			got = append(got, fmt.Sprintf("%d: %s", r.Services[0].DestPorts[0].First, members(m, r.Destination)))
		}
		require.Equal(t, step.want, got, step.why)
		before = m
	}
}

// TestExclusionList: nobody filters what is excluded, and others still know who it is.
func TestExclusionList(t *testing.T) {
	config := "{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: n}, spec: {firewall: {exclude: [web]}}}"
	group := "{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: web}, spec: {podSelector: {matchLabels: {v: '1'}}}}"
	all := "{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: all}, spec: {namespaces: [a]}}"
	rule := securityPolicy("p", "rules: [{sourceGroups: [all]}]")
	k := NewCompiler()
	m, faults := k.Compile(Input{Objects: objects(t, documents(cluster, group, all, rule))})
	require.NoError(t, faults.Err())
	require.Equal(t, policy.None, m.Firewall.Excluded)
	source := func() string { return members(m, m.Firewall.Sections[0].Rules[0].Source) }
	require.Equal(t, "a/db a/web-1 a/web-2", source())
	number := m.Allocations.Numbers["a/web-1"]
	require.NotNil(t, m.Firewall.Endpoints[number])
	address := m.Firewall.Endpoints[number].Addresses[0].String()

	m, faults = k.Compile(Input{Objects: objects(t, documents(cluster, group, all, rule, config)), Previous: &m.Allocations})
	require.NoError(t, faults.Err())
	require.Contains(t, members(m, m.Firewall.Excluded), "a/web-1")
	require.Nil(t, m.Firewall.Endpoints[number])
	require.Equal(t, "a/db a/web-1 a/web-2 "+address+"/32", strings.Split(source(), " 0a:58")[0], "known by its address instead")
	require.Contains(t, source(), "0a:58", "and by its MAC address")

	moved := strings.Replace(cluster, `labels: {app: web, v: "1"}}}`, `labels: {app: web, v: "1"}}, status: {podIP: 10.1.0.77}}`, 1)
	m, faults = k.Compile(Input{Objects: objects(t, documents(moved, group, all, rule, config)), Previous: &m.Allocations})
	require.NoError(t, faults.Err())
	require.Contains(t, source(), "10.1.0.77/32", "its new address")
	require.NotContains(t, source(), address+"/32")

	m, faults = k.Compile(Input{Objects: objects(t, documents(moved, group, all, rule)), Previous: &m.Allocations})
	require.NoError(t, faults.Err())
	require.Equal(t, "a/db a/web-1 a/web-2", source())
	require.NotNil(t, m.Firewall.Endpoints[number])
}

// TestScopes: addresses are of one space in all segments of a router, and of no other.
func TestScopes(t *testing.T) {
	scopes := func(m *Model) map[string]uint32 {
		all := map[string]uint32{}
		for _, s := range m.Segments {
			all[s.Name] = s.Scope
		}
		for _, r := range m.Routers {
			for _, u := range r.Uplinks {
				all[m.Ports[u.Port].Name] = u.Scope
			}
		}
		return all
	}
	m := compile(t, Input{Objects: objects(t, cluster)})
	got := scopes(m)
	require.Equal(t, got["a"], got["b"])
	require.Equal(t, got["a"], got["uplink"])
	require.NotEqual(t, got["a"], got["lab"])
	for _, e := range m.Firewall.Endpoints {
		if e != nil {
			segment, _, _ := strings.Cut(e.Name, "/")
			if segment == e.Name {
				segment = "lab"
			}
			require.Equal(t, got[segment], e.Scope, e.Name)
		}
	}
	more := "{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: another}}"
	later := scopes(compile(t, Input{Objects: objects(t, documents(cluster, more)), Previous: &m.Allocations}))
	require.Equal(t, got, later, "a router that comes before changes nothing")
}

func TestProfiles(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, documents(cluster,
		"{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: web}, spec: {podSelector: {matchLabels: {app: web}}}}",
		"{apiVersion: sluice.dev/v1, kind: SessionTimerProfile, metadata: {name: z}, spec: {sequenceNumber: 1, appliedTo: [web], timers: {tcpOpening: 5}}}",
		"{apiVersion: sluice.dev/v1, kind: SessionTimerProfile, metadata: {name: a}, spec: {sequenceNumber: 2, appliedTo: [ANY]}}",
		"{apiVersion: sluice.dev/v1, kind: FloodProtectionProfile, metadata: {name: f, namespace: n}, spec: {appliedTo: [web], tcpHalfOpenConnLimit: 1, udpActiveFlowLimit: 2, icmpActiveFlowLimit: 3, otherActiveConnLimit: 4, enableSyncache: true, enableRstSpoofing: true}}",
		"{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: n}, spec: {timers: {udpSingle: 7}}}",
	))})
	require.Equal(t, []string{"z", "a"}, []string{m.TimerProfiles[0].Name, m.TimerProfiles[1].Name})
	require.Equal(t, 5*second, m.TimerProfiles[0].Timers.TCPOpening)
	require.Equal(t, 30*second, m.TimerProfiles[0].Timers.UDPSingle, "what is not given has its default, whatever the node has")
	require.Equal(t, "a/web-1 a/web-2 b/web-1 vm", members(m, m.TimerProfiles[0].AppliedTo))
	require.Equal(t, policy.Any, m.TimerProfiles[1].AppliedTo)
	f := m.FloodProfiles[0]
	require.Equal(t, m.TimerProfiles[0].AppliedTo, f.AppliedTo)
	require.Equal(t, FloodProfile{"n", "f", 1, 2, 3, 4, true, true, f.AppliedTo}, f)
}

// TestFirewallDigest: whatever packets can tell, the digest tells.
func TestFirewallDigest(t *testing.T) {
	base := []string{
		cluster,
		"{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: g}, spec: {podSelector: {matchLabels: {app: web}}}}",
		"{apiVersion: sluice.dev/v1, kind: FirewallService, metadata: {name: s}, spec: {serviceEntries: [{l4Protocol: TCP, destinationPorts: ['53']}]}}",
		securityPolicy("p", "scope: [g], rules: [{name: a, sourceGroups: [g], services: [s]}]"),
		"{apiVersion: sluice.dev/v1, kind: SessionTimerProfile, metadata: {name: z}, spec: {appliedTo: [g], timers: {tcpOpening: 5}}}",
		"{apiVersion: sluice.dev/v1, kind: FloodProtectionProfile, metadata: {name: f}, spec: {appliedTo: [g], udpActiveFlowLimit: 2}}",
		"{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: n}, spec: {}}",
	}
	seen := map[string]string{}
	add := func(why, text string) {
		m := compile(t, Input{Objects: objects(t, text)})
		require.Empty(t, seen[m.Digest], why)
		seen[m.Digest] = why
	}
	add("as it is", documents(base...))
	for _, c := range [][2]string{
		{"app: web}}}}\n---\n{apiVersion: sluice.dev/v1, kind: FirewallService", "app: db}}}}\n---\n{apiVersion: sluice.dev/v1, kind: FirewallService"},
		{"['53']", "['54']"},
		{"l4Protocol: TCP", "l4Protocol: UDP"},
		{"scope: [g], rules", "rules"},
		{"scope: [g], rules", "category: Emergency, scope: [g], rules"},
		{"scope: [g], rules", "sequenceNumber: 4, scope: [g], rules"},
		{"scope: [g], rules", "stateful: false, scope: [g], rules"},
		{"scope: [g], rules", "tcpStrict: true, scope: [g], rules"},
		{"scope: [g], rules", "established: keep, scope: [g], rules"},
		{"[{name: a,", "[{name: b,"},
		{"[{name: a,", "[{name: a, action: DROP,"},
		{"[{name: a,", "[{name: a, logged: true,"},
		{"[{name: a,", "[{name: a, tag: x,"},
		{"[{name: a,", "[{name: a, direction: IN,"},
		{"[{name: a,", "[{name: a, ipProtocol: IPV4,"},
		{"[{name: a,", "[{name: a, sourcesExcluded: true,"},
		{"[{name: a,", "[{name: a, disabled: true,"},
		{"[{name: a,", "[{name: a, sessionLimits: {perRule: 3},"},
		{"[{name: a,", "[{name: a, sessionLimits: {perSource: 3},"},
		{"sourceGroups: [g]", "destinationGroups: [g]"},
		{"{name: z}, spec: {appliedTo: [g]", "{name: z}, spec: {appliedTo: [ANY]"},
		{"tcpOpening: 5", "tcpOpening: 6"},
		{"udpActiveFlowLimit: 2", "udpActiveFlowLimit: 3"},
		{"{name: n}, spec: {}", "{name: n}, spec: {firewall: {exclude: [g]}}"},
		{"{name: n}, spec: {}", "{name: n}, spec: {defaultRule: {action: REJECT}}"},
	} {
		require.Contains(t, documents(base...), c[0])
		add(c[1], strings.Replace(documents(base...), c[0], c[1], 1))
	}
}

func TestPolicyIsPlainData(t *testing.T) {
	m := compile(t, Input{Objects: objects(t, documents(cluster, securityPolicy("p", "rules: [{sourceGroups: [10.0.0.0/8]}]")))})
	data, err := json.Marshal(m)
	require.NoError(t, err)
	var back Model
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, m.Firewall, back.Firewall)
	require.Equal(t, m.Allocations.Rules, back.Allocations.Rules)
}
