package control

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// networkPolicy checks what ValidateNetworkPolicy of Kubernetes checks (pkg/apis/networking/validation).
func (c *checker) networkPolicy(p *networkingv1.NetworkPolicy) {
	path := at("spec")
	c.selector(path.Child("podSelector"), &p.Spec.PodSelector)
	for i := range p.Spec.Ingress {
		r, where := &p.Spec.Ingress[i], path.Child("ingress").Index(i)
		c.policyPorts(where.Child("ports"), r.Ports)
		c.policyPeers(where.Child("from"), r.From)
	}
	for i := range p.Spec.Egress {
		r, where := &p.Spec.Egress[i], path.Child("egress").Index(i)
		c.policyPorts(where.Child("ports"), r.Ports)
		c.policyPeers(where.Child("to"), r.To)
	}
	types := c.unique()
	for i, t := range p.Spec.PolicyTypes {
		types.add(path.Child("policyTypes").Index(i), string(t), string(t))
	}
}

func (c *checker) policyPorts(path *field.Path, ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		p, where := &ports[i], path.Index(i)
		if p.Port != nil {
			c.portOrName(where.Child("port"), *p.Port)
		}
		switch {
		case p.EndPort == nil:
		case p.Port == nil:
			c.fault(where.Child("endPort"), "has no meaning without port", "write port, the first of the range")
		case p.Port.Type == intstr.String:
			c.fault(where.Child("endPort"), "does not go with a port given by name", "write the port's number")
		case *p.EndPort < p.Port.IntVal:
			c.fault(where.Child("endPort"), fmt.Sprintf("%d is before port, which is %d", *p.EndPort, p.Port.IntVal), "endPort is the last of the range")
		}
	}
}

func (c *checker) policyPeers(path *field.Path, peers []networkingv1.NetworkPolicyPeer) {
	for i := range peers {
		p, where := &peers[i], path.Index(i)
		c.selector(where.Child("podSelector"), p.PodSelector)
		c.selector(where.Child("namespaceSelector"), p.NamespaceSelector)
		selects := p.PodSelector != nil || p.NamespaceSelector != nil
		switch {
		case p.IPBlock == nil && !selects:
			c.fault(where, "a podSelector, a namespaceSelector or an ipBlock is needed", "podSelector: {} stands for all pods of the namespace")
		case p.IPBlock != nil && selects:
			c.fault(where.Child("ipBlock"), "not together with a selector", "make it an element of its own")
		}
		if p.IPBlock != nil {
			c.ipBlock(where.Child("ipBlock"), p.IPBlock)
		}
	}
}

func (c *checker) ipBlock(path *field.Path, b *networkingv1.IPBlock) {
	outer, valid := c.cidr(path.Child("cidr"), b.CIDR)
	for i, text := range b.Except {
		where := path.Child("except").Index(i)
		inner, innerValid := c.cidr(where, text)
		if valid && innerValid && (!outer.Contains(inner.Addr()) || inner.Bits() <= outer.Bits()) {
			c.fault(where, fmt.Sprintf("%s is not a part of cidr, which is %s", inner, outer), "except takes parts of cidr out")
		}
	}
}
