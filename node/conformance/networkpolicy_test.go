package conformance

import "testing"

// TestNetworkPolicies has a row for each field of networking.k8s.io/v1, and for the ways that
// Kubernetes' own tests combine them (test/e2e/network/netpol).
func TestNetworkPolicies(t *testing.T) { testRows(t, networkPolicies()) }

func networkPolicies() []row {
	return []row{
		{why: "Without policies all pods can communicate with each other.", allowed: "* * > *"},

		// podSelector and policyTypes: who is isolated.
		{
			why:      "An empty podSelector selects all pods of the policy's namespace, and no rules allow nothing: the default denial of incoming traffic.",
			policies: `np x/deny {podSelector: {}, policyTypes: [Ingress]}`,
			denied:   "* * > x/*", allowed: "* x/a > y/*, * x/a > 192.0.2.100*",
		},
		{
			why:      "Isolation for outgoing traffic leaves incoming traffic alone.",
			policies: `np x/deny {podSelector: {}, policyTypes: [Egress]}`,
			denied:   "* x/* > *", allowed: "* y/* > x/*, * 192.0.2.100 > x/*",
		},
		{
			why:      "With both types and no rules a pod is cut off.",
			policies: `np x/deny {podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]}`,
			denied:   "* x/a > *, * * > x/a*", allowed: "* x/b > x/c*",
		},
		{
			why:      "A policy without types and rules is about incoming traffic alone.",
			policies: `np x/deny {podSelector: {}}`,
			denied:   "* * > x/*", allowed: "* x/* > y/*",
		},
		{
			why:      "Without types an egress rule makes the policy one about both, and what comes in is denied.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, egress: [{to: [{podSelector: {matchLabels: {pod: b}}}]}]}`,
			denied:   "* * > x/a*, * x/a > x/c*, * x/a > y/b*", allowed: "* x/a > x/b*",
		},
		{
			why:      "Egress rules do nothing if the type Egress is not named.",
			policies: `np x/in {podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}], ingress: [{}]}`,
			allowed:  "* * > *",
		},
		{
			why:      "Ingress rules do nothing if the type Ingress is not named.",
			policies: `np x/out {podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{}]}`,
			allowed:  "* * > *",
		},
		{
			why:      "A policy is about pods of its own namespace only.",
			policies: `np z/deny {podSelector: {matchLabels: {pod: a}}}`,
			denied:   "* * > z/a*", allowed: "* * > x/a*, * * > y/a*",
		},
		{
			why:      "A podSelector that selects nobody isolates nobody.",
			policies: `np x/deny {podSelector: {matchLabels: {pod: d}}}`,
			allowed:  "* * > *",
		},
		{
			why:      "A podSelector with expressions: In, and all requirements have to hold.",
			policies: `np x/deny {podSelector: {matchLabels: {tier: front}, matchExpressions: [{key: pod, operator: In, values: [a, b]}]}}`,
			denied:   "* * > x/a*", allowed: "* * > x/b*, * * > x/c*",
		},
		{
			why:      "NotIn selects what has not the label, too.",
			policies: `np x/deny {podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}`,
			denied:   "* * > x/b*, * * > x/c*", allowed: "* * > x/a*",
		},
		{
			why:      "Exists and DoesNotExist ask for the key alone.",
			policies: "np x/one {podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}\nnp y/other {podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}",
			denied:   "* * > x/a*, * * > x/b*, * * > y/c*", allowed: "* * > x/c*, * * > y/a*, * * > y/b*",
		},

		// Rules without fields.
		{
			why:      "An empty ingress rule allows all: the policy that allows everything.",
			policies: `np x/all {podSelector: {}, ingress: [{}]}`,
			allowed:  "* * > *",
		},
		{
			why:      "An empty egress rule allows all that goes out.",
			policies: `np x/all {podSelector: {}, egress: [{}], policyTypes: [Egress]}`,
			allowed:  "* * > *",
		},
		{
			why:      "Empty lists of peers and ports are as lists that are not there.",
			policies: `np x/all {podSelector: {}, ingress: [{from: [], ports: []}]}`,
			allowed:  "* * > *",
		},
		{
			why:      "Policies add up: one that allows all opens what another isolates.",
			policies: "np x/deny {podSelector: {}}\nnp x/open {podSelector: {matchLabels: {pod: a}}, ingress: [{}]}",
			allowed:  "* * > x/a*", denied: "* * > x/b*",
		},
		{
			why:      "What is allowed by one of several policies of a pod is allowed, in whatever order.",
			policies: "np x/b {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}\nnp x/a {podSelector: {matchLabels: {tier: front}}, ingress: [{from: [{podSelector: {matchLabels: {pod: c}}}]}]}",
			allowed:  "* x/b > x/a*, * x/c > x/a*", denied: "* y/b > x/a*, * y/c > x/a*",
		},
		{
			why:      "Both ends have to agree: the sender's egress and the receiver's ingress.",
			policies: "np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}]}]}\nnp y/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}",
			denied:   "* x/a > y/a*, * x/a > 192.0.2.100*", allowed: "* x/a > y/b*, * y/b > y/a*",
		},
		{
			why:      "Ingress and egress of one policy are apart.",
			policies: `np x/both {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 80}]}], egress: [{to: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 81}]}]}`,
			allowed:  "tcp x/b > x/a:80, tcp x/a > x/b:81, tcp6 x/b > x/a:80", denied: "tcp x/b > x/a:81, tcp x/a > x/b:80, udp x/b > x/a:80, icmp x/b > x/a",
		},

		// Peers.
		{
			why:      "A podSelector alone is about pods of the policy's namespace, not of others with such labels.",
			policies: `np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`,
			allowed:  "* x/b > x/a*", denied: "* y/b > x/a*, * x/c > x/a*, * 192.0.2.100 > x/a*",
		},
		{
			why:      "An empty podSelector as a peer is all pods of the policy's namespace.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`,
			allowed:  "* x/* > x/*", denied: "* y/* > x/*, * 198.51.100.7 > x/*",
		},
		{
			why:      "A namespaceSelector alone is all pods of the namespaces.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]}`,
			allowed:  "* y/* > x/*", denied: "* x/* > x/*, * z/* > x/*, * 192.0.2.100 > x/*",
		},
		{
			why:      "An empty namespaceSelector is all pods of all namespaces, and nobody outside.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`,
			allowed:  "* x/* > x/*, * z/* > x/*", denied: "* 192.0.2.100 > x/*, *6 2001:db8::64 > x/*",
		},
		{
			why:      "A namespace has the label kubernetes.io/metadata.name without anybody writing it.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}]}`,
			allowed:  "* z/* > x/*", denied: "* y/* > x/*, * x/* > x/*",
		},
		{
			why:      "A namespaceSelector with expressions.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}, {namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [y, z]}]}}]}]}`,
			allowed:  "* z/* > x/*, * x/* > x/*", denied: "* y/* > x/*",
		},
		{
			why:      "Both selectors in one element: pods by label, in namespaces by label.",
			policies: `np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]}`,
			allowed:  "* y/b > x/a*", denied: "* y/a > x/a*, * x/b > x/a*, * z/b > x/a*",
		},
		{
			why:      "Two elements are alternatives: pods of the namespace by label, or all pods of others.",
			policies: `np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]}`,
			allowed:  "* y/* > x/a*, * x/b > x/a*", denied: "* z/b > x/a*, * x/c > x/a*",
		},
		{
			why:      "Several elements of both selectors.",
			policies: `np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}, podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}]}}, {podSelector: {matchLabels: {pod: b}}, namespaceSelector: {}}]}]}`,
			allowed:  "* y/b > x/a*, * z/c > x/a*, * x/b > x/a*", denied: "* y/a > x/a*, * x/c > x/a*",
		},
		{
			why:      "Both selectors empty: all pods, and nobody outside.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {}}]}]}`,
			allowed:  "* z/c > x/*", denied: "* 198.51.100.7 > x/*",
		},
		{
			why:      "Peers of egress are who is sent to.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: a}}}]}]}`,
			allowed:  "* x/a > y/a*, * y/a > x/a*", denied: "* x/a > y/b*, * x/a > x/b*, * x/a > 192.0.2.100*",
		},

		// ipBlock.
		{
			why:      "An ipBlock is addresses outside.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}`,
			allowed:  "* x/a > 198.51.100.7*", denied: "* x/a > 192.0.2.100*, *6 x/a > 2001:db8:ffff::7*, * x/a > x/b*",
		},
		{
			why:      "An ipBlock matches by address, whoever has it: pods, too.",
			policies: `np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{ipBlock: {cidr: 10.0.2.11/32}}]}]}`,
			allowed:  "tcp y/b > x/a:80, icmp y/b > x/a", denied: "*6 y/b > x/a*, * y/a > x/a*",
		},
		{
			why:      "except takes addresses out.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.2.0/24, 10.0.3.11/32]}}]}]}`,
			allowed:  "tcp x/a > z/a:80, udp x/a > x/b:81", denied: "* x/a > y/*, * x/a > z/b*, tcp x/a > 192.0.2.100:80",
		},
		{
			why:      "What one block excepts another may allow.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.2.0/24, except: [10.0.2.10/31]}}, {ipBlock: {cidr: 10.0.2.11/32}}]}]}`,
			allowed:  "tcp x/a > y/b:80, tcp x/a > y/c:80", denied: "tcp x/a > y/a:80",
		},
		{
			why:      "What a block of one policy excepts another policy may allow.",
			policies: "np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.2.0/24, except: [10.0.2.11/32]}}]}]}\nnp x/more {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.2.11/32}}]}]}",
			allowed:  "tcp x/a > y/*:80, tcp x/b > y/b:80", denied: "tcp x/b > y/a:80, tcp x/a > z/a:80",
		},
		{
			why:      "0.0.0.0/0 is IPv4 and no IPv6.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}`,
			allowed:  "tcp y/a > x/a:80, icmp 192.0.2.100 > x/a", denied: "*6 * > x/*",
		},
		{
			why:      "::/0 is IPv6 and no IPv4.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`,
			allowed:  "*6 * > x/*", denied: "tcp * > x/*, icmp * > x/*",
		},
		{
			why:      "IPv6 blocks have exceptions as well.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "fd00::/8", except: ["fd00:0:0:2::/63"]}}, {ipBlock: {cidr: "::/0", except: ["2001:db8::/64", "fd00::/8"]}}]}]}`,
			allowed:  "*6 x/* > x/*, *6 2001:db8:ffff::7 > x/*", denied: "*6 y/* > x/*, *6 z/* > x/*, *6 2001:db8::64 > x/*, tcp * > x/*",
		},
		{
			why:      "Bits behind a prefix do not count.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.2.77/24}}]}]}`,
			allowed:  "tcp y/* > x/*", denied: "tcp z/* > x/*",
		},
		{
			why:      "Blocks and selectors in one list are alternatives.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}, {namespaceSelector: {matchLabels: {ns: z}}}]}]}`,
			allowed:  "* 192.0.2.100 > x/*, * z/* > x/*", denied: "* 198.51.100.7 > x/*, * y/* > x/*, *6 2001:db8::64 > x/*",
		},
	}
}
