package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/firewall/policy"
)

// cluster is who can be in groups:
//
//	segment a (tier: front)      namespace a (env: prod)   pods web-1, web-2 (app: web), db (app: db)
//	segment b                    namespace b (env: test)   pods web-1 (app: web), bare (no labels)
//	segment lab (tier: back)     no namespace              ports vm (app: web), plain (no labels)
//	router default               no namespace              uplink
const cluster = `
{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {env: prod}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {env: test}}}
---
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: a, labels: {tier: front}}, spec: {subnets: [{cidr: 10.1.0.0/24}]}}
---
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: b}, spec: {subnets: [{cidr: 10.2.0.0/24}]}}
---
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: lab, labels: {tier: back}}, spec: {subnets: [{cidr: 10.3.0.0/24}], router: none}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: a, labels: {app: web, v: "1"}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-2, namespace: a, labels: {app: web, v: "2"}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: a, labels: {app: db}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: b, labels: {app: web}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: b}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: vm, labels: {app: web}}, spec: {segment: lab, addresses: [{ip: 10.3.0.10}]}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: plain}, spec: {segment: lab, addresses: [{ip: 10.3.0.11}]}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: uplink, labels: {app: web}}}
---
{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: uplink, addresses: [192.0.2.1/24]}]}}
`

// members writes a set as names of ports, prefixes and MAC addresses.
func members(m *Model, id policy.SetID) string {
	if id == policy.Any {
		return "ANY"
	}
	s := m.Firewall.Sets[id]
	var list []string
	for _, n := range s.Ports {
		i := slices.IndexFunc(m.Ports, func(p *Port) bool { return p.Number == n })
		list = append(list, m.Ports[i].Name)
	}
	slices.Sort(list)
	for _, p := range s.Prefixes {
		a, bits := p.Addr.Netip(), int(p.Bits)
		if a.Is4() {
			bits -= 96
		}
		list = append(list, netip.PrefixFrom(a, bits).String())
	}
	for _, mac := range s.MACs {
		list = append(list, api.MAC(mac).String())
	}
	return strings.Join(list, " ")
}

func TestGroups(t *testing.T) {
	const everyWeb = "a/web-1 a/web-2 b/web-1 vm"
	for _, row := range []struct{ why, namespace, spec, want string }{
		{"nothing said is nobody", "", "{}", ""},
		{"labels select in all namespaces, and ports without one", "", "{podSelector: {matchLabels: {app: web}}}", everyWeb},
		{"but for the own one, where the group has one", "a", "{podSelector: {matchLabels: {app: web}}}", "a/web-1 a/web-2"},
		{"an empty selector is all that have a namespace or labels", "", "{podSelector: {}}", "a/db a/web-1 a/web-2 b/bare b/web-1 vm"},
		{"of the own namespace", "b", "{podSelector: {}}", "b/bare b/web-1"},
		{"namespaces by labels", "", "{namespaceSelector: {matchLabels: {env: prod}}}", "a/db a/web-1 a/web-2"},
		{"namespaces by labels, from another", "b", "{namespaceSelector: {matchLabels: {env: prod}}}", "a/db a/web-1 a/web-2"},
		{"both selectors have to fit", "", "{podSelector: {matchLabels: {app: web}}, namespaceSelector: {matchLabels: {env: test}}}", "b/web-1"},
		{"an empty namespace selector is all namespaces, and no port without one", "", "{podSelector: {matchLabels: {app: web}}, namespaceSelector: {}}", "a/web-1 a/web-2 b/web-1"},
		{"namespaces by name", "", "{namespaces: [b, none]}", "b/bare b/web-1"},
		{"with the pod selector", "", "{namespaces: [b], podSelector: {matchLabels: {app: web}}}", "b/web-1"},
		{"names and labels of namespaces add up", "", "{namespaces: [b], namespaceSelector: {matchLabels: {env: prod}}, podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}", "a/db b/bare"},
		{"every namespace has its name as a label", "", "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: b}}}", "b/bare b/web-1"},
		{"segments, whoever is in them", "", "{segments: [lab, nowhere]}", "plain vm"},
		{"segments that are given in a namespace", "a", "{segments: [lab]}", "plain vm"},
		{"ports by name; an uplink is no member", "", "{ports: [plain, b/bare, uplink, nobody]}", "b/bare plain"},
		{"addresses, tidy", "", `{ipAddresses: [10.0.0.3, 10.0.0.0-10.0.0.2, 10.0.0.1, "fd00::/64", "fd00::1"]}`, "10.0.0.0/30 fd00::/64"},
		{"MAC addresses", "", `{macAddresses: ["02:00:00:00:00:02", "02:00:00:00:00:01", "02:00:00:00:00:02"]}`, "02:00:00:00:00:01 02:00:00:00:00:02"},
		{"other groups, the own namespace first", "a", "{groups: [inner]}", "a/db 10.9.0.0/16"},
		{"other groups, of no namespace", "", "{groups: [inner, a/inner]}", "a/db plain 10.9.0.0/16"},
		{"all parts add up", "", "{groups: [inner], segments: [b], ipAddresses: [10.9.0.1]}", "b/bare b/web-1 plain 10.9.0.1/32"},

		{"a condition on a label", "", "{expression: [{memberType: Pod, key: Tag, value: app|web}]}", "a/web-1 a/web-2 b/web-1"},
		{"a port that is no pod's", "", "{expression: [{memberType: Port, key: Label, value: app=web}]}", everyWeb},
		{"only of the own namespace", "b", "{expression: [{memberType: Port, key: Label, value: app=web}]}", "b/web-1"},
		{"names are without the namespace", "", "{expression: [{memberType: Pod, key: Name, value: web-1}]}", "a/web-1 b/web-1"},
		{"CONTAINS", "", "{expression: [{memberType: Port, key: Name, operator: CONTAINS, value: a}]}", "b/bare plain"},
		{"STARTSWITH", "", "{expression: [{memberType: Port, key: Name, operator: STARTSWITH, value: web-}]}", "a/web-1 a/web-2 b/web-1"},
		{"ENDSWITH", "", "{expression: [{memberType: Port, key: Name, operator: ENDSWITH, value: '2'}]}", "a/web-2"},
		{"IN", "", "{expression: [{memberType: Port, key: Name, operator: IN, value: 'db, vm'}]}", "a/db vm"},
		{"MATCHES is about the whole text", "", "{expression: [{memberType: Port, key: Name, operator: MATCHES, value: 'web|d.'}]}", "a/db"},
		{"what has no such label meets NOTEQUALS, if it has a namespace or labels at all", "", "{expression: [{memberType: Port, key: Tag, operator: NOTEQUALS, value: app|web}]}", "a/db b/bare"},
		{"NOTIN", "", "{expression: [{memberType: Port, key: Tag, operator: NOTIN, value: 'app|web,db'}]}", "b/bare"},
		{"namespaces by a condition", "", "{expression: [{memberType: Namespace, key: Tag, value: env|prod}]}", "a/db a/web-1 a/web-2"},
		{"who is in no namespace is in none that differs", "", "{expression: [{memberType: Namespace, key: Name, operator: NOTEQUALS, value: a}]}", "b/bare b/web-1"},
		{"segments by a condition", "", "{expression: [{memberType: Segment, key: Label, operator: STARTSWITH, value: tier=b}]}", "plain vm"},
		{
			"AND binds stronger than OR", "",
			"{expression: [{memberType: Pod, key: Tag, value: app|db}, {conjunctionOperator: OR}, {memberType: Pod, key: Tag, value: app|web}, {conjunctionOperator: AND}, {memberType: Namespace, key: Tag, value: env|test}]}",
			"a/db b/web-1",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			inner := "---\n{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: inner}, spec: {ports: [plain]}}\n" +
				"---\n{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: inner, namespace: a}, spec: {podSelector: {matchLabels: {app: db}}, ipAddresses: [10.9.0.0/16]}}\n"
			name := "g"
			if row.namespace != "" {
				name += ", namespace: " + row.namespace
			}
			m := compile(t, Input{Objects: objects(t, cluster+inner+fmt.Sprintf("---\n{apiVersion: sluice.dev/v1, kind: Group, metadata: {name: %s}, spec: %s}", name, row.spec))})
			at := slices.IndexFunc(m.Groups, func(g ruleset.Group) bool { return g.Origin.Name == "g" })
			require.Equal(t, row.want, members(m, m.Groups[at].Set))
		})
	}
}
