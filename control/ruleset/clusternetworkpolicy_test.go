package ruleset

import (
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/sluice-net/sluice/firewall/policy"
)

func TestClusterNetworkPolicyDrafts(t *testing.T) {
	for _, row := range []struct{ why, spec, want string }{
		{
			"tier Admin stands by its priority, and Pass jumps",
			`{tier: Admin, priority: 7, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Accept, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}, {action: Pass, from: [{namespaces: {}}]}]}`,
			`by sequence 7 "": {ns= ns:ns=x}
				ingress[0] ALLOW IN: {ns=} -> ANY
				ingress[1] DROP IN: {ns=} -> ANY
				ingress[2] JUMP_TO_APPLICATION IN: {ns=} -> ANY`,
		},
		{
			"tier Baseline comes after NetworkPolicies, and Pass is left to the default",
			`{tier: Baseline, priority: 7, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}, egress: [{action: Pass, to: [{networks: [10.0.0.0/8, "fd00::/8"]}]}]}`,
			`baseline 7 "": {ns= pod:pod=a}
				egress[0] JUMP_TO_APPLICATION OUT by default: ANY -> {10.0.0.0/8; fd00::/8}`,
		},
		{
			"names are told apart by their place",
			`{tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [{name: a, action: Deny, from: [{namespaces: {}}]}, {name: a, action: Deny, from: [{pods: {namespaceSelector: {matchLabels: {ns: z}}, podSelector: {matchLabels: {pod: a}}}}]}]}`,
			`by sequence 0 "": {ns=}
				ingress[0] a DROP IN: {ns=} -> ANY
				ingress[1] a DROP IN: {ns= ns:ns=z pod:pod=a} -> ANY`,
		},
		{
			"protocols: by number, by range, all, by a name of whatever protocol",
			`{tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 5, end: 9}}}}, {sctp: {}}, {destinationNamedPort: web}]}]}`,
			`by sequence 0 "": {ns=}
				ingress[0] DROP IN: {ns=} -> ANY, 6 [{80 80}], 17 [{5 9}], 132 [], 6 web, 17 web, 132 web`,
		},
		{
			"without rules there is no section",
			`{tier: Admin, priority: 0, subject: {namespaces: {}}}`,
			``,
		},
		{
			"peers that are of no known kind: what accepts matches nothing, what denies or passes denies everything",
			`{tier: Admin, priority: 0, subject: {namespaces: {}}, egress: [{action: Accept, to: [{namespaces: {}}, {nodes: {}}]}, {action: Accept, to: [{domainNames: [a.example]}]}, {action: Deny, to: [{nodes: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}, {action: Pass, to: [{namespaces: {}}, {}]}]}`,
			`by sequence 0 "": {ns=}
				egress[0] ALLOW OUT: ANY -> {}
				egress[1] ALLOW OUT: ANY -> {}
				egress[2] DROP OUT: ANY -> ANY
				egress[3] DROP OUT: ANY -> ANY`,
		},
		{
			"in the tier Baseline, too",
			`{tier: Baseline, priority: 0, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{}]}, {action: Accept, from: [{namespaces: {}}], protocols: [{}]}]}`,
			`baseline 0 "": {ns=}
				ingress[0] DROP IN: ANY -> ANY
				ingress[1] ALLOW IN: {} -> ANY`,
		},
		{
			"an action that is none denies",
			`{tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [{action: Perhaps, from: [{namespaces: {}}]}]}`,
			`by sequence 0 "": {ns=}
				ingress[0] DROP IN: ANY -> ANY`,
		},
		{
			"no peers are nobody, and a subject that says nothing is no pod",
			`{tier: Admin, priority: 0, subject: {}, ingress: [{action: Deny, from: []}]}`,
			`by sequence 0 "": {}
				ingress[0] DROP IN: {} -> ANY`,
		},
	} {
		p := objectOf[v1alpha2.ClusterNetworkPolicy](t, "{metadata: {name: p}, spec: "+row.spec+"}")
		drafts := clusterNetworkPolicy(p)
		require.Equal(t, lines(row.want), lines(draftText(drafts)), row.why)
		for _, d := range drafts {
			want := policy.Environment
			if p.Spec.Tier == v1alpha2.BaselineTier {
				want = policy.Application
			}
			require.Equal(t, want, d.Category, row.why)
		}
	}
}

func TestOlderKindsDrafts(t *testing.T) {
	anp := objectOf[v1alpha1.AdminNetworkPolicy](t, `{metadata: {name: p}, spec: {priority: 3, subject: {namespaces: {}},
		ingress: [{name: a, action: Allow, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}], ports: [{portNumber: {port: 80}}, {portRange: {protocol: UDP, start: 1, end: 2}}, {namedPort: web}]}, {action: Pass, from: [{}]}],
		egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}, {namespaces: {}}]}, {action: Allow, to: [{nodes: {}}]}, {action: Deny, to: [{namespaces: {}}], ports: [{}]}]}}`)
	require.Equal(t, lines(`by sequence 3 "": {ns=}
		ingress[0] a ALLOW IN: {ns= pod:pod=a} -> ANY, 6 [{80 80}], 17 [{1 2}], 6 web, 17 web, 132 web
		ingress[1] DROP IN: ANY -> ANY
		egress[0] DROP OUT: ANY -> {10.0.0.0/8; ns=}
		egress[1] ALLOW OUT: ANY -> {}
		egress[2] DROP OUT: ANY -> ANY`), lines(draftText(adminNetworkPolicy(anp))))

	banp := objectOf[v1alpha1.BaselineAdminNetworkPolicy](t, `{metadata: {name: default}, spec: {subject: {pods: {namespaceSelector: {}, podSelector: {}}},
		ingress: [{action: Allow, from: [{namespaces: {}}], ports: []}], egress: [{action: Deny, to: [{networks: ["::/1"]}]}]}}`)
	drafts := baselineAdminNetworkPolicy(banp)
	require.Equal(t, int64(baselinePriority), drafts[0].Sequence, "after all that have a priority")
	require.Equal(t, baseline, drafts[0].place)
	require.Equal(t, lines(`ingress[0] ALLOW IN: {ns=} -> ANY`), lines(draftText(drafts))[1:2])
}
