package conformance

import "testing"

// TestClusterPolicies has a row for each field of ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2)
// and for how the tiers follow each other.
func TestClusterPolicies(t *testing.T) { testRows(t, clusterPolicies()) }

func clusterPolicies() []row {
	return []row{
		// subject
		{
			why:      "A subject by namespaces is all pods of these.",
			policies: `cnp deny {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`,
			denied:   "* y/a > x/*, * x/a > x/b*", allowed: "* x/a > y/a*, * 192.0.2.100 > x/a*",
		},
		{
			why:      "A subject by pods is pods by label in namespaces by label.",
			policies: `cnp deny {tier: Admin, priority: 1, subject: {pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`,
			denied:   "* y/a > x/a*", allowed: "* y/a > x/b*, * x/b > y/a*",
		},
		{
			why:      "Empty selectors of a subject are all pods of all namespaces; addresses outside are not among the peers.",
			policies: `cnp deny {tier: Admin, priority: 1, subject: {pods: {namespaceSelector: {}, podSelector: {}}}, ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {}}}]}]}`,
			denied:   "* x/a > y/*, * x/a > x/b*", allowed: "* 192.0.2.100 > x/*, * x/* > 198.51.100.7*",
		},
		{
			why:      "Without rules for a direction, the policy does not affect it.",
			policies: `cnp deny {tier: Admin, priority: 1, subject: {namespaces: {}}}`,
			allowed:  "* * > *",
		},
		{
			why:      "What no rule matches is not decided: subjects are not isolated.",
			policies: `cnp some {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: x}}}]}]}`,
			allowed:  "* * > *",
		},

		// Actions, tiers, priorities.
		{
			why:      "Accept of tier Admin is final, whatever NetworkPolicies isolate.",
			policies: "cnp open {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: y}}}]}]}\nnp x/deny {podSelector: {}}",
			allowed:  "* y/* > x/*", denied: "* z/* > x/*, * x/* > x/*",
		},
		{
			why:      "Deny of tier Admin is final, whatever NetworkPolicies allow.",
			policies: "cnp deny {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: y}}}]}]}\nnp x/open {podSelector: {}, ingress: [{}]}",
			denied:   "* y/* > x/*", allowed: "* z/* > x/*",
		},
		{
			why:      "Pass leaves it to the NetworkPolicies, past later rules of the tier.",
			policies: "cnp p {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: y}}}]}, {action: Deny, from: [{namespaces: {}}]}]}\nnp x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}]}]}",
			allowed:  "* y/a > x/a*, * y/b > x/b*", denied: "* y/b > x/a*, * z/a > x/a*",
		},
		{
			why:      "Pass leaves it to the tier Baseline where no NetworkPolicy selects the pod.",
			policies: "cnp p {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: y}}}]}]}\ncnp b {tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
			denied:   "* y/* > x/*, * x/a > x/b*", allowed: "* 192.0.2.100 > x/a*",
		},
		{
			why:      "Pass skips policies of the tier with lower precedence, too.",
			policies: "cnp a {tier: Admin, priority: 2, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\ncnp b {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: y}}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* z/a > x/a*",
		},
		{
			why:      "The lower priority value is checked first.",
			policies: "cnp a {tier: Admin, priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\ncnp b {tier: Admin, priority: 9, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: y}}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* z/a > x/a*",
		},
		{
			why:      "Of equal priorities the lower name is checked first, so that there is one answer.",
			policies: "cnp b {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\ncnp a {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: y}}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* z/a > x/a*",
		},
		{
			why:      "Within a policy the rule at the top takes precedence.",
			policies: `cnp a {tier: Admin, priority: 0, subject: {namespaces: {}}, egress: [{name: first, action: Accept, to: [{namespaces: {matchLabels: {ns: y}}}]}, {name: second, action: Deny, to: [{namespaces: {}}]}, {name: second, action: Accept, to: [{namespaces: {}}]}]}`,
			allowed:  "* x/a > y/a*, * x/a > 192.0.2.100*", denied: "* x/a > z/a*",
		},
		{
			why:      "The tier Baseline decides where no NetworkPolicy selects the pod.",
			policies: "cnp b {tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\nnp x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* y/a > x/b*, * 192.0.2.100 > x/a*",
		},
		{
			why:      "A NetworkPolicy for one direction leaves the other to the tier Baseline.",
			policies: "cnp b {tier: Baseline, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}\nnp x/in {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}",
			denied:   "tcp x/a > x/b:80, icmp x/a > 192.0.2.100", allowed: "*6 x/a > *, * 192.0.2.100 > x/a*",
		},
		{
			why:      "Pass in the tier Baseline leaves it to the default, past the rest of the tier.",
			policies: "cnp a {tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: y}}}]}]}\ncnp b {tier: Baseline, priority: 2, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* z/a > x/a*",
		},
		{
			why:      "A BaselineAdminNetworkPolicy comes after the ClusterNetworkPolicies of its tier.",
			policies: "cnp z {tier: Baseline, priority: 1000, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: y}}}]}]}\nbanp {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* z/a > x/a*",
		},

		// Peers.
		{
			why:      "Peers by namespaces and by pods are alternatives.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}, {pods: {namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: a}}}}]}]}`,
			denied:   "* z/b > x/a*, * y/a > x/a*", allowed: "* y/b > x/a*, * x/b > x/a*",
		},
		{
			why:      "Networks are addresses, those of pods as well.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, egress: [{action: Deny, to: [{networks: [192.0.2.0/24, 10.0.2.0/24, "fd00:0:0:3::/64"]}]}]}`,
			denied:   "* x/a > 192.0.2.100*, tcp x/a > y/a:80, tcp6 x/a > z/a:80", allowed: "tcp6 x/a > y/a:80, tcp x/a > z/a:80, * x/a > 198.51.100.7*",
		},
		{
			why:      "A rule that passes all pods first keeps a rule about all addresses away from them.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Pass, to: [{namespaces: {}}]}, {action: Deny, to: [{networks: [0.0.0.0/0, "::/0"]}]}]}`,
			denied:   "* x/a > 192.0.2.100*, *6 y/b > 2001:db8:ffff::7*", allowed: "* x/a > y/a*",
		},

		// Protocols.
		{
			why:      "Without protocols all traffic matches, also what has no ports.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`,
			denied:   "icmp* y/a > x/a, sctp* y/a > x/a:80",
		},
		{
			why:      "A port by number is of its protocol alone.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {number: 81}}}]}]}`,
			denied:   "tcp* y/a > x/a:80, udp* y/a > x/a:81", allowed: "tcp* y/a > x/a:81, udp* y/a > x/a:80, sctp* y/a > x/a*, icmp* y/a > x/a",
		},
		{
			why:      "A range includes both of its ends.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{sctp: {destinationPort: {range: {start: 80, end: 81}}}}]}]}`,
			denied:   "sctp* x/a > y/a:80, sctp* x/a > y/a:81", allowed: "sctp* x/a > y/a:8080, tcp* x/a > y/a:80",
		},
		{
			why:      "A named port is the receiver's, of whatever protocol it is there.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: web}, {destinationNamedPort: serve-80-udp}]}]}`,
			denied:   "tcp* y/a > x/a:80, tcp* y/a > x/b:81, udp* y/a > x/c:80", allowed: "tcp* y/a > x/a:81, tcp* y/a > x/c:80, udp* y/a > x/a:81",
		},
		{
			why:      "A named port of an egress rule is that of each receiver, too.",
			policies: `cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, egress: [{action: Accept, to: [{namespaces: {}}], protocols: [{destinationNamedPort: web}]}, {action: Deny, to: [{networks: [0.0.0.0/0, "::/0"]}]}]}`,
			allowed:  "tcp* x/a > y/a:80, tcp* x/a > y/b:81", denied: "tcp* x/a > y/a:81, tcp* x/a > y/c*, udp* x/a > y/a:80, tcp* x/a > 192.0.2.100*",
		},
	}
}

// TestAdminPolicies has the rows of the older kinds, AdminNetworkPolicy and BaselineAdminNetworkPolicy
// (policy.networking.k8s.io/v1alpha1).
func TestAdminPolicies(t *testing.T) { testRows(t, adminPolicies()) }

func adminPolicies() []row {
	return []row{
		{
			why:      "Allow, Deny and Pass are as in a ClusterNetworkPolicy of tier Admin.",
			policies: "anp a {priority: 1, subject: {namespaces: {}}, ingress: [{name: y, action: Allow, from: [{namespaces: {matchLabels: {ns: y}}}]}, {action: Pass, from: [{pods: {namespaceSelector: {matchLabels: {ns: z}}, podSelector: {matchLabels: {pod: a}}}}]}, {action: Deny, from: [{namespaces: {}}]}]}\nnp x/in {podSelector: {matchLabels: {pod: a}}}",
			allowed:  "* y/* > x/*, * z/a > x/b*", denied: "* z/a > x/a*, * z/b > x/b*, * 192.0.2.100 > x/a*",
		},
		{
			why:      "Both kinds share the priorities of the tier.",
			policies: "anp a {priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: y}}}]}]}\ncnp b {tier: Admin, priority: 4, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}]}]}\ncnp c {tier: Admin, priority: 6, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}\nnp x/in {podSelector: {}}",
			allowed:  "* y/a > x/*, * z/b > x/*", denied: "* y/b > x/*, * 192.0.2.100 > x/*",
		},
		{
			why:      "Of one priority and one name, the AdminNetworkPolicy is checked first.",
			policies: "cnp a {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\nanp a {priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {matchLabels: {ns: y}}}]}]}",
			allowed:  "* y/a > x/a*", denied: "* z/a > x/a*",
		},
		{
			why:      "Ports by number, by range and by name; TCP if no protocol is given.",
			policies: `anp a {priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {port: 80, protocol: UDP}}, {portRange: {start: 81, end: 8080}}, {namedPort: serve-80-sctp}]}]}`,
			denied:   "udp* y/a > x/a:80, tcp* y/a > x/a:81, tcp* y/a > x/a:8080, sctp* y/a > x/a:80", allowed: "udp* y/a > x/a:81, tcp* y/a > x/a:80, sctp* y/a > x/a:81, icmp* y/a > x/a",
		},
		{
			why:      "Networks of egress rules, of both families.",
			policies: `anp a {priority: 1, subject: {namespaces: {matchLabels: {ns: x}}}, egress: [{action: Deny, to: [{networks: [198.51.100.0/24, "2001:db8::/32"]}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]}`,
			denied:   "tcp x/a > 198.51.100.7:80, tcp6 x/a > 2001:db8::64:80", allowed: "tcp x/a > 198.51.100.7:81, tcp x/a > 192.0.2.100:80, tcp x/a > y/a:80",
		},
		{
			why:      "The baseline is asked where NetworkPolicies are silent.",
			policies: "banp {subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {tier: front}}}}, ingress: [{action: Allow, from: [{namespaces: {matchLabels: {ns: z}}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}, {action: Deny, from: [{namespaces: {}}]}], egress: [{action: Deny, to: [{networks: [192.0.2.0/24]}]}]}\nnp y/in {podSelector: {matchLabels: {pod: a}}, ingress: [{}]}",
			allowed:  "tcp* z/b > x/a:80, * x/b > y/a*, * x/b > x/c*", denied: "tcp* z/b > x/a:81, * y/b > x/a*, * x/a > 192.0.2.100*, * y/a > 192.0.2.100*",
		},
	}
}
