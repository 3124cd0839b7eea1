package netpoltest

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// answer is what a rule says of a connection.
type answer uint8

const (
	silent answer = iota // it does not match
	accept
	deny
	pass
)

// clusterPolicy is an object of any of the kinds: where it stands in its tier, and what it says.
type clusterPolicy struct {
	priority   int32 // "Policies with lower priority values have higher precedence"
	name, kind string
	subject    bool // selects the pod
	rules      func() []answer
}

// tier is what the policies of a tier say. Quotations are from network-policy-api/apis/v1alpha2.
func (c *Cluster) tier(t v1alpha2.Tier, x *Connection, pod *corev1.Pod, ingress bool) (allowed, decided bool) {
	policies := c.ofTier(t, x, pod, ingress)
	// For one priority "the implementation can apply any of the matching policies": here by name.
	slices.SortStableFunc(policies, func(a, b clusterPolicy) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
	})
	for _, p := range policies {
		if !p.subject {
			continue
		}
		// "a rule that appears at the top of the ingress rules would take the highest precedence."
		for _, a := range p.rules() {
			switch a {
			case accept:
				return true, true
			case deny:
				return false, true
			case pass:
				// "Skips all further ClusterNetworkPolicy rules in the current tier for the selected
				// traffic, and passes evaluation to the next tier."
				return false, false
			}
		}
	}
	return false, false
}

func (c *Cluster) ofTier(t v1alpha2.Tier, x *Connection, pod *corev1.Pod, ingress bool) (list []clusterPolicy) {
	for _, p := range c.ClusterPolicies {
		if p.Spec.Tier == t {
			list = append(list, clusterPolicy{
				p.Spec.Priority, p.Name, "ClusterNetworkPolicy",
				c.selected(p.Spec.Subject.Namespaces, p.Spec.Subject.Pods, pod),
				func() []answer { return c.clusterRules(p, x, ingress) },
			})
		}
	}
	if t == v1alpha2.AdminTier {
		for _, p := range c.AdminPolicies {
			list = append(list, clusterPolicy{
				p.Spec.Priority, p.Name, "AdminNetworkPolicy",
				c.selected(p.Spec.Subject.Namespaces, (*v1alpha2.NamespacedPod)(p.Spec.Subject.Pods), pod),
				func() []answer { return c.adminRules(p, x, ingress) },
			})
		}
		return list
	}
	if p := c.Baseline; p != nil {
		list = append(list, clusterPolicy{
			1 << 30, p.Name, "BaselineAdminNetworkPolicy", // it has no priority: after all that have
			c.selected(p.Spec.Subject.Namespaces, (*v1alpha2.NamespacedPod)(p.Spec.Subject.Pods), pod),
			func() []answer { return c.baselineRules(p, x, ingress) },
		})
	}
	return list
}

// selected reports whether a subject, or a peer of the same form, is a pod.
func (c *Cluster) selected(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod, pod *corev1.Pod) bool {
	switch {
	case pod == nil:
		return false
	case namespaces != nil:
		return selects(namespaces, c.namespaceLabels(pod.Namespace))
	case pods != nil:
		return selects(&pods.NamespaceSelector, c.namespaceLabels(pod.Namespace)) && selects(&pods.PodSelector, pod.Labels)
	}
	return false
}

// match is whether one of a rule's conditions is met, or can't be told.
type match uint8

const (
	no match = iota
	yes
	unknown
)

func matchIf(is bool) match {
	if is {
		return yes
	}
	return no
}

// or joins the elements of a list, of which one has to match.
func (m match) or(other match) match { return max(m, other) }

// say is what a rule says: its action if both conditions are met, unless something about it is unknown. "In that
// case it should fail closed. For "Accept" rules, "fail closed" means: "treat the rule as matching no
// traffic". For "Deny" and "Pass" rules, "fail closed" means: "treat the rule as a 'Deny all' rule"."
func say(action string, peers, ports match) answer {
	verdicts := map[string]answer{"Accept": accept, "Allow": accept, "Deny": deny, "Pass": pass}
	verdict, known := verdicts[action]
	switch {
	case !known:
		return deny
	case peers == unknown || ports == unknown:
		if verdict == accept {
			return silent
		}
		return deny
	case peers == yes && ports == yes:
		return verdict
	}
	return silent
}

func (c *Cluster) clusterRules(p *v1alpha2.ClusterNetworkPolicy, x *Connection, ingress bool) (answers []answer) {
	if ingress {
		for _, r := range p.Spec.Ingress {
			from := no
			for _, f := range r.From {
				from = from.or(c.clusterPeer(f.Namespaces, f.Pods, nil, x.From))
			}
			answers = append(answers, say(string(r.Action), from, protocols(r.Protocols, x)))
		}
		return answers
	}
	for _, r := range p.Spec.Egress {
		to := no
		for _, t := range r.To {
			var networks []string
			for _, n := range t.Networks {
				networks = append(networks, string(n))
			}
			to = to.or(c.clusterPeer(t.Namespaces, t.Pods, networks, x.To))
		}
		answers = append(answers, say(string(r.Action), to, protocols(r.Protocols, x)))
	}
	return answers
}

// clusterPeer: nodes and domain names are unknown here, as any field that is of a later version.
func (c *Cluster) clusterPeer(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod, networks []string, far End) match {
	switch {
	case namespaces != nil || pods != nil:
		return matchIf(c.selected(namespaces, pods, far.Pod))
	case len(networks) > 0:
		// "note that cluster-internal traffic will be checked against the rule as well."
		return matchIf(slices.ContainsFunc(networks, func(n string) bool { return within(n, far.Address) }))
	}
	return unknown
}

// protocols: "If unspecified, protocol-specific attributes will not be used to match traffic."
func protocols(list []v1alpha2.ClusterNetworkPolicyProtocol, x *Connection) match {
	if len(list) == 0 {
		return yes
	}
	m := no
	for _, p := range list {
		switch {
		case p.TCP != nil:
			m = m.or(matchIf(x.Protocol == corev1.ProtocolTCP && destinationPort(p.TCP.DestinationPort, x.Port)))
		case p.UDP != nil:
			m = m.or(matchIf(x.Protocol == corev1.ProtocolUDP && destinationPort(p.UDP.DestinationPort, x.Port)))
		case p.SCTP != nil:
			m = m.or(matchIf(x.Protocol == corev1.ProtocolSCTP && destinationPort(p.SCTP.DestinationPort, x.Port)))
		case p.DestinationNamedPort != "":
			m = m.or(namedPort(p.DestinationNamedPort, x))
		default:
			m = unknown
		}
	}
	return m
}

func destinationPort(p *v1alpha2.Port, port int32) bool {
	switch {
	case p == nil:
		return true
	case p.Range != nil:
		return p.Range.Start <= port && port <= p.Range.End
	}
	return p.Number == port
}

// namedPort: "DestinationNamedPort selects a destination port on a pod based on the ContainerPort name."
func namedPort(name string, x *Connection) match {
	if x.To.Pod == nil {
		return no
	}
	number, found := containerPort(x.To.Pod, x.Protocol, name)
	return matchIf(found && number == x.Port)
}

func (c *Cluster) adminRules(p *v1alpha1.AdminNetworkPolicy, x *Connection, ingress bool) (answers []answer) {
	if ingress {
		for _, r := range p.Spec.Ingress {
			answers = append(answers, say(string(r.Action), c.olderFrom(r.From, x.From), olderPorts(r.Ports, x)))
		}
		return answers
	}
	for _, r := range p.Spec.Egress {
		to := no
		for _, t := range r.To {
			to = to.or(c.olderTo(t.Namespaces, t.Pods, t.Networks, x.To))
		}
		answers = append(answers, say(string(r.Action), to, olderPorts(r.Ports, x)))
	}
	return answers
}

func (c *Cluster) baselineRules(p *v1alpha1.BaselineAdminNetworkPolicy, x *Connection, ingress bool) (answers []answer) {
	if ingress {
		for _, r := range p.Spec.Ingress {
			answers = append(answers, say(string(r.Action), c.olderFrom(r.From, x.From), olderPorts(r.Ports, x)))
		}
		return answers
	}
	for _, r := range p.Spec.Egress {
		to := no
		for _, t := range r.To {
			to = to.or(c.olderTo(t.Namespaces, t.Pods, t.Networks, x.To))
		}
		answers = append(answers, say(string(r.Action), to, olderPorts(r.Ports, x)))
	}
	return answers
}

func (c *Cluster) olderFrom(from []v1alpha1.AdminNetworkPolicyIngressPeer, far End) match {
	m := no
	for _, f := range from {
		m = m.or(c.olderTo(f.Namespaces, f.Pods, nil, far))
	}
	return m
}

func (c *Cluster) olderTo(namespaces *metav1.LabelSelector, pods *v1alpha1.NamespacedPod, networks []v1alpha1.CIDR, far End) match {
	switch {
	case namespaces != nil:
		return matchIf(far.Pod != nil && selects(namespaces, c.namespaceLabels(far.Pod.Namespace)))
	case pods != nil:
		return matchIf(far.Pod != nil && selects(&pods.NamespaceSelector, c.namespaceLabels(far.Pod.Namespace)) && selects(&pods.PodSelector, far.Pod.Labels))
	case len(networks) > 0:
		return matchIf(slices.ContainsFunc(networks, func(n v1alpha1.CIDR) bool { return within(string(n), far.Address) }))
	}
	return unknown
}

// olderPorts: "If Ports is not set then the rule does not filter traffic via port."
func olderPorts(list *[]v1alpha1.AdminNetworkPolicyPort, x *Connection) match {
	if list == nil || len(*list) == 0 {
		return yes
	}
	m := no
	for _, p := range *list {
		switch {
		case p.PortNumber != nil:
			m = m.or(matchIf(olderProtocol(p.PortNumber.Protocol) == x.Protocol && p.PortNumber.Port == x.Port))
		case p.PortRange != nil:
			m = m.or(matchIf(olderProtocol(p.PortRange.Protocol) == x.Protocol && p.PortRange.Start <= x.Port && x.Port <= p.PortRange.End))
		case p.NamedPort != nil && *p.NamedPort != "":
			m = m.or(namedPort(*p.NamedPort, x))
		default:
			m = unknown
		}
	}
	return m
}

// olderProtocol: "If not specified, this field defaults to TCP."
func olderProtocol(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

// AddressOf returns a pod's address of a family, the zero Addr if it has none.
func AddressOf(pod *corev1.Pod, v6 bool) netip.Addr {
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil && a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}
