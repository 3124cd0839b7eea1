package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/netpoltest"
)

// TestChanges has what changes while policies stay: labels of pods and namespaces, names of ports; and
// policies that are written anew or deleted.
func TestChanges(t *testing.T) {
	b := newBench(t)
	all := b.all()
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

// TestPodReachesItself: a pod can't block access to itself. The switch never sees such packets: the
// evaluator has to know, for peers that are all pods.
func TestPodReachesItself(t *testing.T) {
	b := newBench(t)
	b.take(decode(t, documents(t, `np x/deny {podSelector: {}, policyTypes: [Ingress, Egress]}`)))
	for _, e := range b.cluster.Ends(false)[:9] {
		require.True(t, b.cluster.Allowed(&netpoltest.Connection{From: e, To: e, Protocol: "TCP", Port: 80}), e)
	}
}
