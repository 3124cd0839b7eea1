// Package netpoltest decides by the text of Kubernetes' network policy APIs whether
// pods may talk to each other: slowly, object by object, sharing nothing with the compiler that it
// is held against.
package netpoltest

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Cluster is pods and the policies about them. What is not said is as in a cluster: a
// namespace that pods are in is there, whether it is listed or not.
type Cluster struct {
	Namespaces []*corev1.Namespace
	Pods       []*corev1.Pod

	NetworkPolicies []*networkingv1.NetworkPolicy
	ClusterPolicies []*v1alpha2.ClusterNetworkPolicy
	AdminPolicies   []*v1alpha1.AdminNetworkPolicy
	Baseline        *v1alpha1.BaselineAdminNetworkPolicy // nil: none

	// DenyByDefault is not of Kubernetes: what no tier decides is denied, rather than allowed.
	DenyByDefault bool
}

// End is one end of a connection.
type End struct {
	Pod     *corev1.Pod // nil: it is outside the cluster
	Address netip.Addr
}

// Connection is an attempt to open one.
type Connection struct {
	From, To End
	Protocol corev1.Protocol // TCP, UDP, SCTP; any other is a protocol without ports
	Port     int32           // of the receiver
}

// Allowed reports whether the connection may be opened: the sender's pod has to be allowed to send it,
// and the receiver's to receive it. "A pod cannot block access to itself" (Kubernetes, Network Policies).
func (c *Cluster) Allowed(x *Connection) bool {
	if x.From.Pod != nil && x.From.Pod == x.To.Pod {
		return true
	}
	return (x.From.Pod == nil || c.leaves(x)) && (x.To.Pod == nil || c.enters(x))
}

// leaves reports whether the sender's pod may send it.
func (c *Cluster) leaves(x *Connection) bool {
	return c.decide(x, x.From.Pod, false)
}

// enters reports whether the receiver's pod may receive it.
func (c *Cluster) enters(x *Connection) bool {
	return c.decide(x, x.To.Pod, true)
}

// decide asks the tiers in their order (ClusterNetworkPolicySpec.Tier): Admin, NetworkPolicy, Baseline, and then
// "the default kubernetes policy is applied, which says that all pods can communicate with each other".
func (c *Cluster) decide(x *Connection, pod *corev1.Pod, ingress bool) bool {
	if allowed, decided := c.tier(v1alpha2.AdminTier, x, pod, ingress); decided {
		return allowed
	}
	if allowed, decided := c.networkPolicies(x, pod, ingress); decided {
		return allowed
	}
	if allowed, decided := c.tier(v1alpha2.BaselineTier, x, pod, ingress); decided {
		return allowed
	}
	return !c.DenyByDefault
}

// selects reports whether a selector selects labels. Nil selects nothing, as does one that is none.
func selects(s *metav1.LabelSelector, labels map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && parsed.Matches(labelSet(labels))
}

type labelSet map[string]string

func (s labelSet) Has(key string) bool            { _, found := s[key]; return found }
func (s labelSet) Get(key string) string          { return s[key] }
func (s labelSet) Lookup(k string) (string, bool) { v, found := s[k]; return v, found }

// namespaceLabels are those of a pod's namespace; the one with its name is always there.
func (c *Cluster) namespaceLabels(name string) map[string]string {
	labels := map[string]string{}
	for _, n := range c.Namespaces {
		if n.Name == name {
			for k, v := range n.Labels {
				labels[k] = v
			}
		}
	}
	labels[corev1.LabelMetadataName] = name
	return labels
}

// containerPort finds a pod's port by its name and protocol. "Each named port in a pod must have a unique name."
func containerPort(pod *corev1.Pod, protocol corev1.Protocol, name string) (number int32, found bool) {
	containers := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		// "This init container will be continually restarted on exit until all regular containers have terminated": a sidecar.
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	for i := range containers {
		for _, p := range containers[i].Ports {
			is := p.Protocol
			if is == "" {
				is = corev1.ProtocolTCP
			}
			if p.Name == name && is == protocol {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// within reports whether an address is in a network. As for Kubernetes, a mapped network is one of IPv4.
func within(cidr string, a netip.Addr) bool {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Contains(a)
}
