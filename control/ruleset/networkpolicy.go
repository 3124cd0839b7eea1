package ruleset

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-net/sluice/firewall/policy"
)

// networkPolicy drafts a NetworkPolicy (k8s.io/api/networking/v1). It allows, and by selecting pods it
// isolates them: what no policy allows of an isolated pod's traffic is dropped. Policies add up,
// so that the isolation of one comes after what all of them allow:
//
//	allow     what its rules say          before every isolation
//	isolation drop, for each policy type  before the tier Baseline
//
// Pods are isolated for incoming and for outgoing traffic apart; a connection needs both the sender's and the
// receiver's consent, each asked at its own port. Replies belong to the session.
func networkPolicy(p *networkingv1.NetworkPolicy) []draft {
	subject, subjectText := podsOf(p.Namespace, &p.Spec.PodSelector)
	allow := draft{
		Section: policy.Section{Category: policy.Application},
		part:    "allow", place: allowing, appliedTo: selection{subject},
	}
	isolation := draft{
		Section: policy.Section{Category: policy.Application, Title: p.Namespace + "/" + p.Name + " isolation"},
		part:    "isolation", place: isolating, appliedTo: selection{subject},
	}
	isolate := func(name string, d policy.Direction) {
		r := draftRule{Rule: policy.Rule{Name: "isolation." + name, Action: policy.Drop, Directions: d}}
		r.Notes = "whatever no NetworkPolicy allows for " + subjectText
		isolation.rules = append(isolation.rules, r)
	}
	in, out := policyTypes(&p.Spec)
	if in {
		for i, r := range p.Spec.Ingress {
			allow.add(p.Namespace, fmt.Sprintf("ingress[%d]", i), policy.In, r.From, r.Ports)
		}
		isolate("ingress", policy.In)
	}
	if out {
		for i, r := range p.Spec.Egress {
			allow.add(p.Namespace, fmt.Sprintf("egress[%d]", i), policy.Out, r.To, r.Ports)
		}
		isolate("egress", policy.Out)
	}
	return slices.DeleteFunc([]draft{allow, isolation}, func(d draft) bool { return len(d.rules) == 0 })
}

// policyTypes says which directions a policy isolates, and is about: those named, or where none is,
// incoming traffic, and outgoing if there are rules for it.
func policyTypes(s *networkingv1.NetworkPolicySpec) (in, out bool) {
	if len(s.PolicyTypes) == 0 {
		return true, len(s.Egress) != 0
	}
	return slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeIngress),
		slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeEgress)
}

// add adds a rule that allows. Without peers it is about everybody, without ports about all
// traffic, whether the list is empty or not there.
func (d *draft) add(namespace, name string, direction policy.Direction, list []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
	r := draftRule{Rule: policy.Rule{Name: name, Action: policy.Allow}}
	far := everybody()
	for i := range list {
		far.add(policyPeer(namespace, &list[i]))
	}
	r.sides(direction, far)
	var s services
	for i := range ports {
		s.policyPort(&ports[i])
	}
	s.put(&r)
	d.rules = append(d.rules, r)
	if direction == policy.Out {
		d.addNamed(&r)
	}
}

// addNamed adds what a rule with peers by address says of ports by name: they are those of the pods that have
// the addresses. A pod has addresses of both families, of which one may be in a block and the other not.
func (d *draft) addNamed(r *draftRule) {
	if len(r.named) == 0 {
		return
	}
	for _, family := range []struct {
		name string
		is   policy.Families
	}{{"IPv4", policy.IPv4}, {"IPv6", policy.IPv6}} {
		of := *r
		of.Name += " " + family.name
		of.Families, of.Services, of.destination = family.is, nil, nil
		for _, t := range r.destination {
			var within []policy.Prefix
			for _, p := range t.prefixes {
				if p.Addr.Is4() == (family.is == policy.IPv4) {
					within = append(within, p)
				}
			}
			if within != nil {
				of.destination = append(of.destination, term{within: within})
			}
		}
		if of.destination != nil {
			d.rules = append(d.rules, of)
		}
	}
}

// policyPeer is one of from or to. With a podSelector alone it is pods of the policy's own namespace,
// with a namespaceSelector all of those namespaces', with both those that both select. An ipBlock is
// addresses, whoever has them.
func policyPeer(namespace string, p *networkingv1.NetworkPolicyPeer) (term, string) {
	switch {
	case p.IPBlock != nil:
		return network(p.IPBlock.CIDR, p.IPBlock.Except)
	case p.NamespaceSelector != nil && p.PodSelector != nil:
		return podsIn(p.NamespaceSelector, p.PodSelector)
	case p.NamespaceSelector != nil:
		return podsIn(p.NamespaceSelector, everyPod())
	case p.PodSelector != nil:
		return podsOf(namespace, p.PodSelector)
	}
	return term{prefixes: []policy.Prefix{}}, "nobody"
}

// policyPort adds one of ports.
func (s *services) policyPort(p *networkingv1.NetworkPolicyPort) {
	protocol := corev1.ProtocolTCP
	if p.Protocol != nil {
		protocol = protocolOr(*p.Protocol)
	}
	switch {
	case p.Port == nil:
		s.protocol(protocol)
	case p.Port.Type == intstr.String:
		s.name(p.Port.StrVal, protocol)
	case p.EndPort != nil:
		s.ports(protocol, p.Port.IntVal, *p.EndPort)
	default:
		s.ports(protocol, p.Port.IntVal, p.Port.IntVal)
	}
}
