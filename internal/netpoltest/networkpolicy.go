package netpoltest

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// networkPolicies is what the NetworkPolicies say of a pod's traffic; nothing if none selects the pod for
// this direction. Quotations are from k8s.io/api/networking/v1.
func (c *Cluster) networkPolicies(x *Connection, pod *corev1.Pod, ingress bool) (allowed, decided bool) {
	for _, p := range c.NetworkPolicies {
		// "podSelector selects the pods to which this NetworkPolicy object applies … An empty selector matches
		// all pods in the policy's namespace."
		if p.Namespace != pod.Namespace || !selects(&p.Spec.PodSelector, pod.Labels) || !isAbout(p, ingress) {
			continue
		}
		// "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod …, OR if the traffic source
		// is the pod's local node [no End is], OR if the traffic matches at least one ingress rule across all of
		// the NetworkPolicy objects whose podSelector matches the pod."
		decided = true
		if ingress {
			for i := range p.Spec.Ingress {
				r := &p.Spec.Ingress[i]
				allowed = allowed || c.anyPeer(p.Namespace, r.From, x.From) && anyPort(r.Ports, x)
			}
		} else {
			for i := range p.Spec.Egress {
				r := &p.Spec.Egress[i]
				allowed = allowed || c.anyPeer(p.Namespace, r.To, x.To) && anyPort(r.Ports, x)
			}
		}
	}
	return allowed, decided
}

// isAbout: "If this field is not specified, it will default based on the existence of ingress or egress
// rules; policies that contain an egress section are assumed to affect egress, and all policies
// (whether or not they contain an ingress section) are assumed to affect ingress."
func isAbout(p *networkingv1.NetworkPolicy, ingress bool) bool {
	if len(p.Spec.PolicyTypes) == 0 {
		return ingress || len(p.Spec.Egress) > 0
	}
	for _, t := range p.Spec.PolicyTypes {
		if t == networkingv1.PolicyTypeIngress && ingress || t == networkingv1.PolicyTypeEgress && !ingress {
			return true
		}
	}
	return false
}

// anyPeer: "Items in this list are combined using a logical OR operation. If this field is empty or
// missing, this rule matches all sources (traffic not restricted by source)."
func (c *Cluster) anyPeer(namespace string, peers []networkingv1.NetworkPolicyPeer, far End) bool {
	if len(peers) == 0 {
		return true
	}
	for i := range peers {
		if c.peer(namespace, &peers[i], far) {
			return true
		}
	}
	return false
}

func (c *Cluster) peer(namespace string, p *networkingv1.NetworkPolicyPeer, far End) bool {
	if b := p.IPBlock; b != nil {
		// "except is a slice of CIDRs that should not be included within an IPBlock"
		for _, e := range b.Except {
			if within(e, far.Address) {
				return false
			}
		}
		return within(b.CIDR, far.Address)
	}
	if far.Pod == nil {
		return false
	}
	switch {
	case p.NamespaceSelector != nil && p.PodSelector != nil:
		// "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching
		// podSelector in the namespaces selected by namespaceSelector."
		return selects(p.NamespaceSelector, c.namespaceLabels(far.Pod.Namespace)) && selects(p.PodSelector, far.Pod.Labels)
	case p.NamespaceSelector != nil:
		// "Otherwise it selects all pods in the namespaces selected by namespaceSelector."
		return selects(p.NamespaceSelector, c.namespaceLabels(far.Pod.Namespace))
	case p.PodSelector != nil:
		// "Otherwise it selects the pods matching podSelector in the policy's own namespace."
		return far.Pod.Namespace == namespace && selects(p.PodSelector, far.Pod.Labels)
	}
	return false
}

// anyPort: "Each item in this list is combined using a logical OR. If this field is empty or
// missing, this rule matches all ports (traffic not restricted by port)."
func anyPort(ports []networkingv1.NetworkPolicyPort, x *Connection) bool {
	if len(ports) == 0 {
		return true
	}
	for i := range ports {
		if port(&ports[i], x) {
			return true
		}
	}
	return false
}

func port(p *networkingv1.NetworkPolicyPort, x *Connection) bool {
	// "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified,
	// this field defaults to TCP."
	protocol := corev1.ProtocolTCP
	if p.Protocol != nil && *p.Protocol != "" {
		protocol = *p.Protocol
	}
	if protocol != x.Protocol {
		return false
	}
	switch {
	case p.Port == nil:
		// "If this field is not provided, this matches all port names and numbers."
		return true
	case p.Port.Type == intstr.String:
		// "This can either be a numerical or named port on a pod": the one that receives.
		if x.To.Pod == nil {
			return false
		}
		number, found := containerPort(x.To.Pod, protocol, p.Port.StrVal)
		return found && number == x.Port
	case p.EndPort != nil:
		// "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed."
		return p.Port.IntVal <= x.Port && x.Port <= *p.EndPort
	}
	return p.Port.IntVal == x.Port
}
