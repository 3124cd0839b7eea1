package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netpoltest"
)

// TestChanges has what changes while policies stay: labels of pods and namespaces, names of ports; and
// policies that are written anew or deleted.
func TestChanges(t *testing.T) {
	b := newBench(t, true)
	all := b.all()
	if testing.Short() {
		all = b.some(all, 1)
	}
	var policies []*control.Object
	step := func(why string, allowed, denied string) {
		for _, p := range b.matching(t, allowed) {
			require.True(t, b.cluster.Allowed(&p.Connection), "%s: the evaluator about %s", why, short(&p.Connection))
		}
		for _, p := range b.matching(t, denied) {
			require.False(t, b.cluster.Allowed(&p.Connection), "%s: the evaluator about %s", why, short(&p.Connection))
		}
		b.compare(t, why, policies, all)
	}
	write := func(text string) {
		policies = decode(t, documents(t, text))
		b.take(policies)
	}

	write(`np x/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {team: green}}}], ports: [{port: web}]}]}`)
	step("as it begins", "tcp* x/b > x/a:80", "tcp* x/c > x/a:80, tcp* y/a > x/a:80, tcp* x/b > x/a:81")

	b.cluster.Pod("x/c").Labels["pod"] = "b"
	b.refix()
	step("a pod that is given a label is a peer", "tcp* x/c > x/a:80, tcp* x/b > x/a:80", "tcp* x/c > x/a:81")

	b.cluster.Namespaces[1].Labels["team"] = "green"
	b.refix()
	step("so are the pods of a namespace that is", "tcp* y/* > x/a:80", "tcp* z/* > x/a:80")

	b.cluster.Pod("x/a").Spec.Containers[1].Ports[0].ContainerPort = 81
	b.refix()
	step("a name that stands for another port", "tcp* x/b > x/a:81", "tcp* x/b > x/a:80")

	b.cluster.Pod("x/a").Labels["pod"] = "d"
	b.refix()
	step("a pod that is not selected any more is not isolated", "* * > x/a*", "")

	b.cluster.Pod("x/b").Labels["pod"] = "a"
	b.refix()
	step("and one that is selected now is", "tcp* x/c > x/b:81", "tcp* x/a > x/b:81, udp* y/a > x/b*")

	write(`np x/in {podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 80}]}]}`)
	step("a policy that is written anew", "udp* * > x/*:80", "tcp* * > x/*, udp* * > x/*:81")

	write("")
	step("policies that are deleted are not enforced", "* * > *", "")
}

// refix makes the objects of the cluster anew after a change.
func (b *bench) refix() {
	clone := *b.cluster
	clone.NetworkPolicies, clone.ClusterPolicies, clone.AdminPolicies, clone.Baseline = nil, nil, nil, nil
	manifest, err := clone.Manifest()
	require.NoError(b.t, err)
	objects := decode(b.t, manifest)
	known := map[control.Key]bool{}
	for _, o := range objects {
		known[o.Key()] = true
	}
	for _, o := range b.fixed {
		if !known[o.Key()] {
			objects = append(objects, o)
		}
	}
	b.fixed = objects
}

// TestPortsInNamespaces: a Port of ours that is in a namespace is to policies what a Pod is.
func TestPortsInNamespaces(t *testing.T) {
	b := newBench(t, true)
	var text strings.Builder
	for _, p := range b.cluster.Pods {
		if p.Namespace != "z" {
			continue
		}
		p.Spec.InitContainers, p.Spec.Containers = nil, p.Spec.Containers[:1]
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 81, Protocol: "TCP"}, {Name: "dns", ContainerPort: 80, Protocol: "UDP"}}
		labels, err := json.Marshal(p.Labels)
		require.NoError(t, err)
		fmt.Fprintf(&text, "---\n{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: %s, namespace: z, labels: %s}, spec: {addresses: [{ip: %s}, {ip: '%s'}], namedPorts: [{name: web, port: 81}, {name: dns, port: 80, protocol: UDP}]}}\n",
			p.Name, labels, netpoltest.AddressOf(p, false), netpoltest.AddressOf(p, true))
	}
	b.fixed = slices.DeleteFunc(b.fixed, func(o *control.Object) bool { return o.Kind == "Pod" && o.Namespace == "z" })
	b.fixed = append(b.fixed, decode(t, []byte(text.String()))...)
	for i, policies := range []string{
		"np z/in {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {tier: back}}}], ports: [{port: 80}]}]}",
		"np x/out {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: z}}}]}]}\nnp z/in {podSelector: {}, ingress: [{ports: [{port: web}, {protocol: UDP, port: dns}]}, {from: [{podSelector: {}}]}]}",
		"cnp a {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {ns: z}}}, egress: [{action: Deny, to: [{namespaces: {matchLabels: {ns: z}}}]}]}",
	} {
		objects := decode(t, documents(t, policies))
		b.take(objects)
		b.compare(t, strconv.Itoa(i), objects, b.some(b.all(), uint64(i)))
	}
}

// TestPodReachesItself: a pod can't block access to itself. The switch never sees such packets: the
// evaluator has to know, for peers that are all pods.
func TestPodReachesItself(t *testing.T) {
	b := newBench(t, true)
	b.take(decode(t, documents(t, `np x/deny {podSelector: {}, policyTypes: [Ingress, Egress]}`)))
	for _, e := range b.cluster.Ends(false)[:9] {
		require.True(t, b.cluster.Allowed(&netpoltest.Connection{From: e, To: e, Protocol: "TCP", Port: 80}), e)
	}
}
