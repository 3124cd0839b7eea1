package conformance

import "testing"

// TestNetworkPolicyPorts has the rows about ports and protocols.
func TestNetworkPolicyPorts(t *testing.T) { testRows(t, networkPolicyPorts()) }

func networkPolicyPorts() []row {
	return []row{
		{
			why:      "A port without a protocol is TCP.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: 80}]}]}`,
			allowed:  "tcp * > x/*:80, tcp6 * > x/*:80", denied: "tcp * > x/*:81, udp * > x/*, sctp * > x/*, icmp * > x/*, icmp6 * > x/*",
		},
		{
			why:      "A protocol without a port is all its ports.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`,
			allowed:  "udp* * > x/*", denied: "tcp* * > x/*, sctp* * > x/*, icmp* * > x/*",
		},
		{
			why:      "An element with nothing in it is all of TCP.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{}]}]}`,
			allowed:  "tcp* * > x/*", denied: "udp* * > x/*, icmp* * > x/*",
		},
		{
			why:      "SCTP is a protocol of its own, and not taken for TCP.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 80}]}]}`,
			allowed:  "sctp* * > x/*:80", denied: "sctp* * > x/*:81, tcp* * > x/*, udp* * > x/*",
		},
		{
			why:      "UDP is not taken for TCP either, also in egress rules.",
			policies: `np x/out {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 80}]}]}`,
			allowed:  "udp* x/a > *:80", denied: "udp* x/a > *:81, tcp* x/a > *, sctp* x/a > *",
		},
		{
			why:      "Ports in one list are alternatives.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP, port: 81}]}]}`,
			allowed:  "tcp * > x/*:80, udp * > x/*:81", denied: "tcp * > x/*:81, udp * > x/*:80",
		},
		{
			why:      "Ports and peers of one rule both have to match; rules are alternatives.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: 80}]}, {from: [{namespaceSelector: {matchLabels: {ns: z}}}], ports: [{port: 81}]}]}`,
			allowed:  "tcp y/* > x/*:80, tcp z/* > x/*:81", denied: "tcp y/* > x/*:81, tcp z/* > x/*:80, tcp x/* > x/*",
		},
		{
			why:      "Ports of policies add up.",
			policies: "np x/one {podSelector: {}, ingress: [{ports: [{port: 80}]}]}\nnp x/two {podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81}]}]}",
			allowed:  "tcp * > x/a:80, tcp * > x/a:81, tcp * > x/b:80", denied: "tcp * > x/b:81, tcp * > x/a:8080",
		},
		{
			why:      "A rule without ports allows protocols that have none; one with ports does not.",
			policies: "np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}\nnp x/tcp {podSelector: {matchLabels: {pod: b}}, ingress: [{ports: [{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}]}]}",
			allowed:  "icmp* y/a > x/a, tcp* y/a > x/b*", denied: "icmp* y/a > x/b, icmp* 192.0.2.100 > x/a",
		},
		{
			why:      "endPort makes a range, both ends included.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: 80, endPort: 81}]}]}`,
			allowed:  "tcp* * > x/*:80, tcp* * > x/*:81", denied: "tcp* * > x/*:8080, udp* * > x/*:80",
		},
		{
			why:      "A range of one port.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 81, endPort: 81}]}]}`,
			allowed:  "udp* * > x/*:81", denied: "udp* * > x/*:80, udp* * > x/*:8080",
		},
		{
			why:      "A range in an egress rule, to addresses outside.",
			policies: `np x/out {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{protocol: SCTP, port: 81, endPort: 65535}]}]}`,
			allowed:  "sctp x/a > 192.0.2.100:81, sctp x/a > 192.0.2.100:8080", denied: "sctp x/a > 192.0.2.100:80, sctp x/a > y/a:81",
		},
		{
			why:      "All ports by a range is one protocol still.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: 1, endPort: 65535}]}]}`,
			allowed:  "tcp* * > x/*", denied: "udp* * > x/*, icmp* * > x/*",
		},

		// Names.
		{
			why:      "A name is a port of the container that receives.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: serve-81-tcp}]}]}`,
			allowed:  "tcp* * > x/*:81", denied: "tcp* * > x/*:80, udp* * > x/*:81",
		},
		{
			why:      "One name is another number for another pod, and none for one that does not have it.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: web}]}]}`,
			allowed:  "tcp* * > x/a:80, tcp* * > x/b:81", denied: "tcp* * > x/a:81, tcp* * > x/b:80, * * > x/c*",
		},
		{
			why:      "In an egress rule the name is the receiver's, whatever the sender calls so.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}`,
			allowed:  "tcp* x/a > y/a:80, tcp* x/a > y/b:81, tcp* x/a > x/b:81", denied: "tcp* x/a > y/b:80, tcp* x/a > y/c*, tcp* x/a > 192.0.2.100*",
		},
		{
			why:      "A name with peers: of those pods alone.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: web}]}]}`,
			allowed:  "tcp* x/a > y/a:80, tcp* x/a > y/b:81", denied: "tcp* x/a > z/a:80, tcp* x/a > x/b:81",
		},
		{
			why:      "A name goes with its protocol: the same under another protocol is nothing.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{protocol: UDP, port: serve-80-tcp}]}]}`,
			denied:   "* * > x/*",
		},
		{
			why:      "Names of UDP and SCTP.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{protocol: UDP, port: serve-80-udp}, {protocol: SCTP, port: serve-81-sctp}]}]}`,
			allowed:  "udp* * > x/*:80, sctp* * > x/*:81", denied: "udp* * > x/*:81, sctp* * > x/*:80, tcp* * > x/*",
		},
		{
			why:      "A name that no pod has is no port, rather than every port.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: nobodys}]}]}`,
			denied:   "* * > x/*",
		},
		{
			why:      "Names and numbers in one list.",
			policies: `np x/in {podSelector: {}, ingress: [{ports: [{port: nobodys}, {port: web}, {protocol: UDP, port: 80}]}]}`,
			allowed:  "tcp* * > x/a:80, udp* * > x/c:80", denied: "tcp* * > x/c*, udp* * > x/c:81",
		},
		{
			why:      "A name with an ipBlock: of pods that have an address in it; what is outside names no ports.",
			policies: `np x/out {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.2.0/24, except: [10.0.2.11/32]}}, {ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: web}]}]}`,
			allowed:  "tcp x/a > y/a:80", denied: "tcp x/a > y/b:81, tcp6 x/a > y/a:80, tcp x/a > z/a:80, tcp x/a > 192.0.2.100:80",
		},
		{
			why:      "The name of an ingress rule with an ipBlock is the receiver's, who need not be in the block.",
			policies: `np x/in {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: web}]}]}`,
			allowed:  "tcp 192.0.2.100 > x/a:80, tcp 192.0.2.100 > x/b:81", denied: "tcp 192.0.2.100 > x/a:81, tcp y/a > x/a:80",
		},
		{
			why:      "A name, selectors and blocks in one rule.",
			policies: `np x/out {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {pod: b}}}, {ipBlock: {cidr: "fd00:0:0:3::/64"}}, {ipBlock: {cidr: 10.0.2.10/32}}], ports: [{port: web}, {protocol: UDP, port: 81}]}]}`,
			allowed:  "tcp* x/a > x/b:81, tcp6 x/a > z/a:80, tcp x/a > y/a:80, udp6 x/a > z/c:81", denied: "tcp x/a > z/a:80, tcp6 x/a > y/a:80, udp x/a > z/c:81",
		},
	}
}
