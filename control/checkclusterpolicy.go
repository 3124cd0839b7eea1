package control

import (
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Cluster-wide policies: what the markers of sigs.k8s.io/network-policy-api v0.2.0 have the API server
// check. Peers that are written there and that this version can't find packets of are refused: their
// rules would have to fail closed (see package ruleset), which nobody expects of a policy that was taken.

func (c *checker) clusterNetworkPolicy(p *v1alpha2.ClusterNetworkPolicy) {
	spec := at("spec")
	c.subject(spec.Child("subject"), p.Spec.Subject.Namespaces, p.Spec.Subject.Pods)
	for i := range p.Spec.Ingress {
		r, where := &p.Spec.Ingress[i], spec.Child("ingress").Index(i)
		c.ruleName(where, r.Name)
		for j := range r.From {
			c.clusterPeer(where.Child("from").Index(j), &clusterPeer{namespaces: r.From[j].Namespaces, pods: r.From[j].Pods})
		}
		c.clusterProtocols(where.Child("protocols"), r.Protocols)
	}
	for i := range p.Spec.Egress {
		r, where := &p.Spec.Egress[i], spec.Child("egress").Index(i)
		c.ruleName(where, r.Name)
		addresses := false
		for j := range r.To {
			t := &r.To[j]
			c.clusterPeer(where.Child("to").Index(j), &clusterPeer{t.Namespaces, t.Pods, texts(t.Networks), t.Nodes, texts(t.DomainNames), true})
			addresses = addresses || t.Networks != nil
		}
		named := c.clusterProtocols(where.Child("protocols"), r.Protocols)
		c.namedPortOfAddresses(named, "destinationNamedPort", addresses)
	}
}

func (c *checker) adminNetworkPolicy(p *v1alpha1.AdminNetworkPolicy) {
	spec := at("spec")
	c.subject(spec.Child("subject"), p.Spec.Subject.Namespaces, newerPods(p.Spec.Subject.Pods))
	for i := range p.Spec.Ingress {
		r, where := &p.Spec.Ingress[i], spec.Child("ingress").Index(i)
		c.olderRule(where, r.Name, "from", olderSenders(r.From), r.Ports)
	}
	for i := range p.Spec.Egress {
		r, where := &p.Spec.Egress[i], spec.Child("egress").Index(i)
		var to []clusterPeer
		for j := range r.To {
			t := &r.To[j]
			to = append(to, clusterPeer{t.Namespaces, newerPods(t.Pods), texts(t.Networks), t.Nodes, texts(t.DomainNames), true})
		}
		c.olderRule(where, r.Name, "to", to, r.Ports)
	}
}

func (c *checker) baselineAdminNetworkPolicy(p *v1alpha1.BaselineAdminNetworkPolicy) {
	if p.Name != "default" {
		c.fault(at("metadata", "name"), strconv.Quote(clip(p.Name))+" is not default, and there is no other BaselineAdminNetworkPolicy",
			"name it default, or write a ClusterNetworkPolicy of the tier Baseline")
	}
	spec := at("spec")
	c.subject(spec.Child("subject"), p.Spec.Subject.Namespaces, newerPods(p.Spec.Subject.Pods))
	for i := range p.Spec.Ingress {
		r, where := &p.Spec.Ingress[i], spec.Child("ingress").Index(i)
		c.olderRule(where, r.Name, "from", olderSenders(r.From), r.Ports)
	}
	for i := range p.Spec.Egress {
		r, where := &p.Spec.Egress[i], spec.Child("egress").Index(i)
		var to []clusterPeer
		for j := range r.To {
			t := &r.To[j]
			to = append(to, clusterPeer{t.Namespaces, newerPods(t.Pods), texts(t.Networks), t.Nodes, nil, true})
		}
		c.olderRule(where, r.Name, "to", to, r.Ports)
	}
}

// clusterPeer is a peer of any of the kinds. Those of ingress rules have only the first two fields.
type clusterPeer struct {
	namespaces  *metav1.LabelSelector
	pods        *v1alpha2.NamespacedPod
	networks    []string
	nodes       *metav1.LabelSelector
	domainNames []string
	egress      bool
}

func (c *checker) subject(path *field.Path, namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod) {
	c.exactlyOne(path, "namespaces or pods", namespaces != nil, pods != nil)
	c.selector(path.Child("namespaces"), namespaces)
	c.namespacedPod(path.Child("pods"), pods)
}

func (c *checker) namespacedPod(path *field.Path, p *v1alpha2.NamespacedPod) {
	if p != nil {
		c.selector(path.Child("namespaceSelector"), &p.NamespaceSelector)
		c.selector(path.Child("podSelector"), &p.PodSelector)
	}
}

// exactlyOne reports a mapping that has none or several of the fields that are alternatives.
func (c *checker) exactlyOne(path *field.Path, names string, given ...bool) {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	switch {
	case n == 0:
		c.fault(path, names+" is needed", "write one of them")
	case n > 1:
		c.fault(path, "one of "+names+" is allowed, not several", "make each an element of its own, or leave all but one out")
	}
}

func (c *checker) ruleName(path *field.Path, name string) {
	if len(name) > 100 {
		c.fault(path.Child("name"), fmt.Sprintf("has %d characters, at most 100 are allowed", len(name)), "a longer text goes to metadata.annotations")
	}
}

func (c *checker) clusterPeer(path *field.Path, p *clusterPeer) {
	names := "namespaces or pods"
	if p.egress {
		names = "namespaces, pods or networks"
	}
	c.exactlyOne(path, names, p.namespaces != nil, p.pods != nil, p.networks != nil, p.nodes != nil, p.domainNames != nil)
	c.selector(path.Child("namespaces"), p.namespaces)
	c.namespacedPod(path.Child("pods"), p.pods)
	if p.nodes != nil {
		c.fault(path.Child("nodes"), "not supported: this version knows no Nodes", "write their addresses under networks")
	}
	if p.domainNames != nil {
		c.fault(path.Child("domainNames"), "not supported: this version follows no names", "write the addresses under networks")
	}
	if p.networks != nil && len(p.networks) == 0 {
		c.fault(path.Child("networks"), "must not be empty", "0.0.0.0/0 and ::/0 are all addresses")
	}
	networks := c.unique()
	for i, n := range p.networks {
		where := path.Child("networks").Index(i)
		c.cidr(where, n)
		networks.add(where, n, n)
	}
}

// clusterProtocols returns the path of the first port that is given by its name, nil if there is none.
func (c *checker) clusterProtocols(path *field.Path, list []v1alpha2.ClusterNetworkPolicyProtocol) (named *field.Path) {
	if list != nil && len(list) == 0 {
		c.fault(path, "must not be empty", "leave it out for all traffic")
	}
	for i := range list {
		p, where := &list[i], path.Index(i)
		c.exactlyOne(where, "tcp, udp, sctp or destinationNamedPort", p.TCP != nil, p.UDP != nil, p.SCTP != nil, p.DestinationNamedPort != "")
		if p.TCP != nil {
			c.clusterPort(where.Child("tcp"), p.TCP.DestinationPort)
		}
		if p.UDP != nil {
			c.clusterPort(where.Child("udp"), p.UDP.DestinationPort)
		}
		if p.SCTP != nil {
			c.clusterPort(where.Child("sctp"), p.SCTP.DestinationPort)
		}
		if p.DestinationNamedPort != "" {
			c.namedPort(where.Child("destinationNamedPort"), p.DestinationNamedPort)
			if named == nil {
				named = where
			}
		}
	}
	return named
}

func (c *checker) clusterPort(path *field.Path, p *v1alpha2.Port) {
	if p == nil {
		c.fault(path, "destinationPort is needed", "destinationPort: {range: {start: 1, end: 65535}} is every port")
		return
	}
	path = path.Child("destinationPort")
	c.exactlyOne(path, "number or range", p.Number != 0, p.Range != nil)
	if p.Range != nil {
		c.portRange(path.Child("range"), p.Range.Start, p.Range.End)
	}
}

func (c *checker) portRange(path *field.Path, start, end int32) {
	if end <= start {
		c.fault(path.Child("end"), fmt.Sprintf("%d is not after start, which is %d", end, start), "end is the last of the range; a single port is given by its number")
	}
}

func (c *checker) namedPort(path *field.Path, name string) {
	if len(validation.IsValidPortName(name)) > 0 {
		c.fault(path, strconv.Quote(clip(name))+" is not a port's name", portNameForm)
	}
}

// namedPortOfAddresses reports a port by name in a rule about addresses, which have no names for their ports.
func (c *checker) namedPortOfAddresses(named *field.Path, name string, addresses bool) {
	if named != nil && addresses {
		c.fault(named.Child(name), "does not go with networks: only pods name their ports", "write the port's number, or put the networks into a rule of their own")
	}
}

func (c *checker) olderRule(path *field.Path, name, side string, peers []clusterPeer, ports *[]v1alpha1.AdminNetworkPolicyPort) {
	c.ruleName(path, name)
	addresses := false
	for i := range peers {
		c.clusterPeer(path.Child(side).Index(i), &peers[i])
		addresses = addresses || peers[i].networks != nil
	}
	if ports == nil {
		return
	}
	path = path.Child("ports")
	if len(*ports) == 0 {
		c.fault(path, "must not be empty", "leave it out for all traffic")
	}
	var named *field.Path
	for i := range *ports {
		p, where := &(*ports)[i], path.Index(i)
		c.exactlyOne(where, "portNumber, portRange or namedPort", p.PortNumber != nil, p.PortRange != nil, p.NamedPort != nil)
		if p.PortRange != nil {
			c.portRange(where.Child("portRange"), p.PortRange.Start, p.PortRange.End)
		}
		if p.NamedPort != nil {
			c.namedPort(where.Child("namedPort"), *p.NamedPort)
			if named == nil {
				named = where
			}
		}
	}
	c.namedPortOfAddresses(named, "namedPort", addresses)
}

// newerPods returns what v1alpha2 has for the same.
func newerPods(p *v1alpha1.NamespacedPod) *v1alpha2.NamespacedPod {
	return (*v1alpha2.NamespacedPod)(p)
}

func olderSenders(from []v1alpha1.AdminNetworkPolicyIngressPeer) (senders []clusterPeer) {
	for i := range from {
		senders = append(senders, clusterPeer{namespaces: from[i].Namespaces, pods: newerPods(from[i].Pods)})
	}
	return senders
}

// texts returns a list of strings as such; nil only for nil.
func texts[T ~string](list []T) []string {
	if list == nil {
		return nil
	}
	plain := make([]string, len(list))
	for i, t := range list {
		plain[i] = string(t)
	}
	return plain
}
