package ruleset

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

func TestNetworkPolicyDrafts(t *testing.T) {
	for _, row := range []struct{ why, spec, want string }{
		{
			"no rules: nothing is allowed, and there is no section of what is",
			`{podSelector: {}}`,
			`isolating 0 "x/p isolation": {ns=x}
				isolation.ingress DROP IN: ANY -> ANY`,
		},
		{
			"both sections are at the selected pods of the policy's namespace, and all types are isolated",
			`{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress, Ingress], ingress: [{}], egress: [{}]}`,
			`allowing 0 "": {ns=x pod:pod=a}
				ingress[0] ALLOW IN: ANY -> ANY
				egress[0] ALLOW OUT: ANY -> ANY
			isolating 0 "x/p isolation": {ns=x pod:pod=a}
				isolation.ingress DROP IN: ANY -> ANY
				isolation.egress DROP OUT: ANY -> ANY`,
		},
		{
			"peers are the far side: the source of what comes in",
			`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: z}}}, {namespaceSelector: {}, podSelector: {matchLabels: {pod: c}}}, {ipBlock: {cidr: 10.0.0.0/31, except: [10.0.0.1/32]}}]}]}`,
			`allowing 0 "": {ns=x}
				ingress[0] ALLOW IN: {ns=x pod:pod=b; ns= ns:ns=z; ns= pod:pod=c; 10.0.0.0/32} -> ANY
			isolating 0 "x/p isolation": {ns=x}
				isolation.ingress DROP IN: ANY -> ANY`,
		},
		{
			"and the destination of what goes out",
			`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}, {to: [{ipBlock: {cidr: "fd00::/8"}}]}]}`,
			`allowing 0 "": {ns=x}
				egress[0] ALLOW OUT: ANY -> {ns=x}
				egress[1] ALLOW OUT: ANY -> {fd00::/8}
			isolating 0 "x/p isolation": {ns=x}
				isolation.egress DROP OUT: ANY -> ANY`,
		},
		{
			"ports: TCP by default, ranges, all of a protocol, names",
			`{podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP, port: 90, endPort: 99}, {protocol: SCTP}, {}, {port: web}, {protocol: UDP, port: dns}]}]}`,
			`allowing 0 "": {ns=x}
				ingress[0] ALLOW IN: ANY -> ANY, 6 [{80 80}], 17 [{90 99}], 132 [], 6 [], 6 web, 17 dns
			isolating 0 "x/p isolation": {ns=x}
				isolation.ingress DROP IN: ANY -> ANY`,
		},
		{
			"names with blocks: a rule for each family, about who has all of its addresses of the family there",
			`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {}}, {ipBlock: {cidr: "fd00::/8"}}], ports: [{port: web}, {port: 80}]}]}`,
			`allowing 0 "": {ns=x}
				egress[0] ALLOW OUT: ANY -> {10.0.0.0/8; ns=x; fd00::/8}, 6 [{80 80}], 6 web
				egress[0] IPv4 ALLOW OUT families 1: ANY -> {within 10.0.0.0/8}, 6 web
				egress[0] IPv6 ALLOW OUT families 2: ANY -> {within fd00::/8}, 6 web
			isolating 0 "x/p isolation": {ns=x}
				isolation.egress DROP OUT: ANY -> ANY`,
		},
		{
			"what can't be right matches nothing, rather than everything",
			`{podSelector: {}, ingress: [{ports: [{port: 0}, {port: 70000}, {port: 9, endPort: 8}, {protocol: ICMP}]}, {from: [{ipBlock: {cidr: x}}, {}]}]}`,
			`allowing 0 "": {ns=x}
				ingress[0] ALLOW IN: {} -> ANY
				ingress[1] ALLOW IN: {; } -> ANY
			isolating 0 "x/p isolation": {ns=x}
				isolation.ingress DROP IN: ANY -> ANY`,
		},
		{
			"types that are none isolate nothing",
			`{podSelector: {}, policyTypes: [Both], ingress: [{}]}`,
			``,
		},
	} {
		p := objectOf[networkingv1.NetworkPolicy](t, "{metadata: {namespace: x, name: p}, spec: "+row.spec+"}")
		require.Equal(t, lines(row.want), lines(draftText(networkPolicy(p))), row.why)
	}
}

// lines trims what the indentation of tests adds.
func lines(text string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// TestNetworkPolicyTexts: people see what was written.
func TestNetworkPolicyTexts(t *testing.T) {
	p := objectOf[networkingv1.NetworkPolicy](t, `{metadata: {namespace: x, name: p}, spec: {podSelector: {matchLabels: {pod: a}},
		ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}, {namespaceSelector: {matchLabels: {ns: z}}, podSelector: {matchExpressions: [{key: pod, operator: In, values: [a, b]}]}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}],
			ports: [{port: 80}, {port: 81, endPort: 90, protocol: SCTP}, {protocol: UDP}, {port: web}]}],
		egress: [{}]}}`)
	drafts := networkPolicy(p)
	in, out := drafts[0].rules[0], drafts[0].rules[1]
	require.Equal(t, []string{
		"all pods of namespace x", "all pods of all namespaces", "pods with pod in (a,b) of namespaces with ns=z", "10.0.0.0/8 except 10.1.0.0/16, 10.2.0.0/16",
	}, in.SourceText)
	require.Empty(t, in.DestText)
	require.Equal(t, []string{"TCP 80", "SCTP 81-90", "UDP", "TCP web"}, in.ServicesText)
	require.Empty(t, out.DestText)
	require.Empty(t, out.ServicesText)
	require.Equal(t, "whatever no NetworkPolicy allows for pods with pod=a of namespace x", drafts[1].rules[0].Notes)
}

// TestProtocolGivenEmpty: as clusters print it, it is TCP.
func TestProtocolGivenEmpty(t *testing.T) {
	empty := corev1.Protocol("")
	var s services
	s.policyPort(&networkingv1.NetworkPolicyPort{Protocol: &empty})
	require.Equal(t, []string{"TCP"}, s.text)
	require.Len(t, s.list, 1)
}
