package netpoltest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// random makes policies about the cluster of NewCluster that an API server would take.
type random struct{ *rand.Rand }

// Randomize gives the cluster other policies, none to several of each kind.
func (c *Cluster) Randomize(seed *rand.Rand) {
	r := random{seed}
	c.NetworkPolicies, c.ClusterPolicies, c.AdminPolicies, c.Baseline = nil, nil, nil, nil
	for i := range r.IntN(5) {
		c.NetworkPolicies = append(c.NetworkPolicies, r.networkPolicy(fmt.Sprintf("np%d", i)))
	}
	for i := range r.IntN(4) * r.IntN(2) {
		c.ClusterPolicies = append(c.ClusterPolicies, r.clusterPolicy(fmt.Sprintf("p%d", i)))
	}
	for i := range r.IntN(3) * r.IntN(2) {
		c.AdminPolicies = append(c.AdminPolicies, r.adminPolicy(fmt.Sprintf("p%d", i)))
	}
	if r.IntN(4) == 0 {
		c.Baseline = r.baseline()
	}
}

// one returns one of a list.
func one[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

// some returns 1 to n things.
func some[T any](r random, n int, of func() T) (list []T) {
	for range 1 + r.IntN(n) {
		list = append(list, of())
	}
	return list
}

// selector returns one on the labels of pods, or of namespaces.
func (r random) selector(keys map[string][]string) metav1.LabelSelector {
	var s metav1.LabelSelector
	for range one(r, 0, 1, 1, 1, 2) {
		key := one(r, slices.Sorted(func(yield func(string) bool) {
			for k := range keys {
				if !yield(k) {
					return
				}
			}
		})...)
		values := keys[key]
		switch r.IntN(6) {
		case 0, 1:
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[key] = one(r, values...)
		case 2:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpExists})
		case 3:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist})
		default:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: key, Operator: one(r, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn),
				Values: some(r, 2, func() string { return one(r, values...) }),
			})
		}
	}
	return s
}

func (r random) ofPods() *metav1.LabelSelector {
	s := r.selector(map[string][]string{"pod": {"a", "b", "c"}, "tier": {"front", "back"}, "none": {"such"}})
	return &s
}

func (r random) ofNamespaces() *metav1.LabelSelector {
	s := r.selector(map[string][]string{"ns": {"x", "y", "z"}, "team": {"red", "blue"}, corev1.LabelMetadataName: {"x", "y", "z"}})
	return &s
}

// networks are those that tell the cluster's addresses apart, from wide to narrow.
func networks() []string {
	return []string{
		"0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8", "10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/23", "10.0.1.8/29", "10.0.1.10/31",
		"10.0.1.10/32", "10.0.2.11/32", "10.0.3.12/32", "fd00:0:0:1::/64", "fd00:0:0:2::/63", "fd00:0:0:1::a/128", "fd00:0:0:3::c/128",
		"192.0.2.0/24", "192.0.2.100/32", "198.51.100.0/24", "128.0.0.0/1", "2001:db8::/32", "2001:db8::/64", "2001:db8:ffff::7/128",
	}
}

// network is one of networks, or an address of the cluster's.
func (r random) network() string { return one(r, networks()...) }

func (r random) ipBlock() *networkingv1.IPBlock {
	b := &networkingv1.IPBlock{CIDR: r.network()}
	outer := netip.MustParsePrefix(b.CIDR)
	for range r.IntN(3) {
		e := r.network()
		if inner := netip.MustParsePrefix(e); inner.Bits() > outer.Bits() && outer.Contains(inner.Addr()) {
			b.Except = append(b.Except, e)
		}
	}
	return b
}

func (r random) name() string {
	return one(r, "serve-80-tcp", "serve-81-tcp", "serve-80-udp", "serve-81-sctp", "web", "web", "nobodys")
}

// span returns the first and the last port of a range.
func (r random) span() (first, last int32) {
	switch r.IntN(3) {
	case 0:
		return 80, 81
	case 1:
		return 81, 9000
	}
	return 1, 65535
}

func (r random) networkPolicy(name string) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: one(r, "x", "y", "z")},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: *r.ofPods()},
	}
	p.Spec.PolicyTypes = one(r, nil, nil,
		[]networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		[]networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress})
	for range r.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: r.peers(), Ports: r.ports()})
	}
	for range r.IntN(3) {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: r.peers(), Ports: r.ports()})
	}
	return p
}

func (r random) peers() []networkingv1.NetworkPolicyPeer {
	if r.IntN(5) == 0 {
		return one(r, nil, []networkingv1.NetworkPolicyPeer{})
	}
	return some(r, 3, func() (p networkingv1.NetworkPolicyPeer) {
		switch r.IntN(5) {
		case 0:
			p.PodSelector = r.ofPods()
		case 1:
			p.NamespaceSelector = r.ofNamespaces()
		case 2, 3:
			p.NamespaceSelector, p.PodSelector = r.ofNamespaces(), r.ofPods()
		case 4:
			p.IPBlock = r.ipBlock()
		}
		return p
	})
}

func (r random) ports() []networkingv1.NetworkPolicyPort {
	if r.IntN(3) == 0 {
		return one(r, nil, []networkingv1.NetworkPolicyPort{})
	}
	return some(r, 3, func() (p networkingv1.NetworkPolicyPort) {
		if r.IntN(3) > 0 {
			protocol := one(r, protocolsWithPorts()...)
			p.Protocol = &protocol
		}
		switch r.IntN(5) {
		case 0:
		case 1:
			name := intstr.FromString(r.name())
			p.Port = &name
		case 2:
			first, last := r.span()
			number := intstr.FromInt32(first)
			p.Port, p.EndPort = &number, &last
		default:
			number := intstr.FromInt32(one[int32](r, 80, 81))
			p.Port = &number
		}
		return p
	})
}

// priority often is another's.
func (r random) priority() int32 { return one[int32](r, 0, 1, 1, 2, 10, 1000) }

// subject is one of the two ways to select pods.
func (r random) subject() (namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod) {
	if r.IntN(2) == 0 {
		return r.ofNamespaces(), nil
	}
	return nil, &v1alpha2.NamespacedPod{NamespaceSelector: *r.ofNamespaces(), PodSelector: *r.ofPods()}
}

// addresses are distinct networks.
func (r random) addresses() []string {
	list := some(r, 2, r.network)
	slices.Sort(list)
	return slices.Compact(list)
}

func (r random) clusterPolicy(name string) *v1alpha2.ClusterNetworkPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy.networking.k8s.io/v1alpha2", Kind: "ClusterNetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
	p.Spec.Tier, p.Spec.Priority = one(r, v1alpha2.AdminTier, v1alpha2.BaselineTier), r.priority()
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = r.subject()
	action := func() v1alpha2.ClusterNetworkPolicyRuleAction {
		return one(r, v1alpha2.ClusterNetworkPolicyRuleActionAccept, v1alpha2.ClusterNetworkPolicyRuleActionDeny,
			v1alpha2.ClusterNetworkPolicyRuleActionDeny, v1alpha2.ClusterNetworkPolicyRuleActionPass)
	}
	for range r.IntN(4) {
		rule := v1alpha2.ClusterNetworkPolicyIngressRule{Action: action(), Name: one(r, "", "rule")}
		rule.From = some(r, 2, func() (f v1alpha2.ClusterNetworkPolicyIngressPeer) {
			f.Namespaces, f.Pods = r.subject()
			return f
		})
		rule.Protocols = r.protocols(true)
		p.Spec.Ingress = append(p.Spec.Ingress, rule)
	}
	for range r.IntN(4) {
		rule := v1alpha2.ClusterNetworkPolicyEgressRule{Action: action(), Name: one(r, "", "rule")}
		named := true
		rule.To = some(r, 2, func() (t v1alpha2.ClusterNetworkPolicyEgressPeer) {
			if r.IntN(3) > 0 {
				t.Namespaces, t.Pods = r.subject()
				return t
			}
			named = false
			for _, a := range r.addresses() {
				t.Networks = append(t.Networks, v1alpha2.CIDR(a))
			}
			return t
		})
		rule.Protocols = r.protocols(named)
		p.Spec.Egress = append(p.Spec.Egress, rule)
	}
	return p
}

func (r random) protocols(named bool) []v1alpha2.ClusterNetworkPolicyProtocol {
	if r.IntN(3) == 0 {
		return nil
	}
	return some(r, 2, func() (p v1alpha2.ClusterNetworkPolicyProtocol) {
		port := &v1alpha2.Port{Number: one[int32](r, 80, 81)}
		if r.IntN(3) == 0 {
			port = &v1alpha2.Port{Range: &v1alpha2.PortRange{}}
			port.Range.Start, port.Range.End = r.span()
		}
		switch r.IntN(4) {
		case 0:
			p.UDP = &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}
		case 1:
			p.SCTP = &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}
		case 2:
			if named {
				p.DestinationNamedPort = r.name()
				return p
			}
			fallthrough
		default:
			p.TCP = &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}
		}
		return p
	})
}

func (r random) olderSubject() (namespaces *metav1.LabelSelector, pods *v1alpha1.NamespacedPod) {
	namespaces, newer := r.subject()
	return namespaces, (*v1alpha1.NamespacedPod)(newer)
}

func (r random) olderFrom() []v1alpha1.AdminNetworkPolicyIngressPeer {
	return some(r, 2, func() (f v1alpha1.AdminNetworkPolicyIngressPeer) {
		f.Namespaces, f.Pods = r.olderSubject()
		return f
	})
}

func (r random) olderTo() (to []v1alpha1.BaselineAdminNetworkPolicyEgressPeer, named bool) {
	named = true
	to = some(r, 2, func() (t v1alpha1.BaselineAdminNetworkPolicyEgressPeer) {
		if r.IntN(3) > 0 {
			t.Namespaces, t.Pods = r.olderSubject()
			return t
		}
		named = false
		for _, a := range r.addresses() {
			t.Networks = append(t.Networks, v1alpha1.CIDR(a))
		}
		return t
	})
	return to, named
}

func (r random) olderPorts(named bool) *[]v1alpha1.AdminNetworkPolicyPort {
	if r.IntN(3) == 0 {
		return nil
	}
	list := some(r, 2, func() (p v1alpha1.AdminNetworkPolicyPort) {
		protocol := one(r, append(protocolsWithPorts(), "")...)
		switch r.IntN(3) {
		case 0:
			first, last := r.span()
			p.PortRange = &v1alpha1.PortRange{Protocol: protocol, Start: first, End: last}
		case 1:
			if named {
				name := r.name()
				p.NamedPort = &name
				return p
			}
			fallthrough
		default:
			p.PortNumber = &v1alpha1.Port{Protocol: protocol, Port: one[int32](r, 80, 81)}
		}
		return p
	})
	return &list
}

func (r random) adminPolicy(name string) *v1alpha1.AdminNetworkPolicy {
	p := &v1alpha1.AdminNetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy.networking.k8s.io/v1alpha1", Kind: "AdminNetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
	p.Spec.Priority = r.priority()
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = r.olderSubject()
	action := func() v1alpha1.AdminNetworkPolicyRuleAction {
		return one(r, v1alpha1.AdminNetworkPolicyRuleActionAllow, v1alpha1.AdminNetworkPolicyRuleActionDeny, v1alpha1.AdminNetworkPolicyRuleActionPass)
	}
	for range r.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, v1alpha1.AdminNetworkPolicyIngressRule{Action: action(), From: r.olderFrom(), Ports: r.olderPorts(true)})
	}
	for range r.IntN(3) {
		peers, named := r.olderTo()
		rule := v1alpha1.AdminNetworkPolicyEgressRule{Action: action(), Ports: r.olderPorts(named)}
		for _, t := range peers {
			rule.To = append(rule.To, v1alpha1.AdminNetworkPolicyEgressPeer{Namespaces: t.Namespaces, Pods: t.Pods, Networks: t.Networks})
		}
		p.Spec.Egress = append(p.Spec.Egress, rule)
	}
	return p
}

func (r random) baseline() *v1alpha1.BaselineAdminNetworkPolicy {
	p := &v1alpha1.BaselineAdminNetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy.networking.k8s.io/v1alpha1", Kind: "BaselineAdminNetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
	}
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = r.olderSubject()
	action := func() v1alpha1.BaselineAdminNetworkPolicyRuleAction {
		return one(r, v1alpha1.BaselineAdminNetworkPolicyRuleActionAllow, v1alpha1.BaselineAdminNetworkPolicyRuleActionDeny)
	}
	for range r.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, v1alpha1.BaselineAdminNetworkPolicyIngressRule{Action: action(), From: r.olderFrom(), Ports: r.olderPorts(true)})
	}
	for range r.IntN(3) {
		peers, named := r.olderTo()
		p.Spec.Egress = append(p.Spec.Egress, v1alpha1.BaselineAdminNetworkPolicyEgressRule{Action: action(), To: peers, Ports: r.olderPorts(named)})
	}
	return p
}
