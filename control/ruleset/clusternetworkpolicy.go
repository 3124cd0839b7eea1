package ruleset

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/sluice-net/sluice/firewall/policy"
)

// Cluster-wide policies (sigs.k8s.io/network-policy-api v0.2.0): ClusterNetworkPolicy, and the older kinds
// AdminNetworkPolicy and BaselineAdminNetworkPolicy, which say the same in other words.
//
//	tier Admin     category Environment, by priority; Pass jumps to category Application
//	tier Baseline  category Application, after what NetworkPolicies isolate
//
// Of objects with one priority, which the API leaves undefined, that with the lower name decides. A
// BaselineAdminNetworkPolicy has no priority: it comes after all others of its tier.

// baselinePriority is that of a BaselineAdminNetworkPolicy; written ones go to 1000.
const baselinePriority = 1001

// clusterNetworkPolicy drafts a ClusterNetworkPolicy.
func clusterNetworkPolicy(p *v1alpha2.ClusterNetworkPolicy) []draft {
	c := newCluster(p.Spec.Tier != v1alpha2.BaselineTier, p.Spec.Priority, clusterPeer{namespaces: p.Spec.Subject.Namespaces, pods: p.Spec.Subject.Pods})
	for i := range p.Spec.Ingress {
		r := &p.Spec.Ingress[i]
		a := newAdmin(policy.In, i, r.Name, string(r.Action))
		for _, f := range r.From {
			a.peer(clusterPeer{namespaces: f.Namespaces, pods: f.Pods})
		}
		a.protocols(r.Protocols)
		c.add(a)
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		a := newAdmin(policy.Out, i, r.Name, string(r.Action))
		for _, t := range r.To {
			a.peer(clusterPeer{t.Namespaces, t.Pods, networks(t.Networks)})
		}
		a.protocols(r.Protocols)
		c.add(a)
	}
	return c.drafts()
}

// adminNetworkPolicy drafts an AdminNetworkPolicy.
func adminNetworkPolicy(p *v1alpha1.AdminNetworkPolicy) []draft {
	c := newCluster(true, p.Spec.Priority, olderSubject(&p.Spec.Subject))
	for i := range p.Spec.Ingress {
		r := &p.Spec.Ingress[i]
		c.older(newAdmin(policy.In, i, r.Name, string(r.Action)), olderSenders(r.From), r.Ports)
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		var to []clusterPeer
		for _, t := range r.To {
			to = append(to, clusterPeer{t.Namespaces, olderPods(t.Pods), networks(t.Networks)})
		}
		c.older(newAdmin(policy.Out, i, r.Name, string(r.Action)), to, r.Ports)
	}
	return c.drafts()
}

// baselineAdminNetworkPolicy drafts a BaselineAdminNetworkPolicy.
func baselineAdminNetworkPolicy(p *v1alpha1.BaselineAdminNetworkPolicy) []draft {
	c := newCluster(false, baselinePriority, olderSubject(&p.Spec.Subject))
	for i := range p.Spec.Ingress {
		r := &p.Spec.Ingress[i]
		c.older(newAdmin(policy.In, i, r.Name, string(r.Action)), olderSenders(r.From), r.Ports)
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		var to []clusterPeer
		for _, t := range r.To {
			to = append(to, clusterPeer{t.Namespaces, olderPods(t.Pods), networks(t.Networks)})
		}
		c.older(newAdmin(policy.Out, i, r.Name, string(r.Action)), to, r.Ports)
	}
	return c.drafts()
}

// cluster is the one section of a cluster-wide policy in the making.
type cluster struct{ draft draft }

func newCluster(adminTier bool, priority int32, subject clusterPeer) *cluster {
	c := &cluster{draft{Section: policy.Section{Category: policy.Environment, Sequence: int64(priority)}}}
	if !adminTier {
		c.draft.Category, c.draft.place = policy.Application, baseline
	}
	c.draft.appliedTo = selection{}
	if t, _, known := subject.term(); known {
		c.draft.appliedTo = selection{t}
	}
	return c
}

// drafts returns the section, none if there are no rules.
func (c *cluster) drafts() []draft {
	if len(c.draft.rules) == 0 {
		return nil
	}
	return []draft{c.draft}
}

// older adds a rule of one of the older kinds.
func (c *cluster) older(a *admin, far []clusterPeer, ports *[]v1alpha1.AdminNetworkPolicyPort) {
	for _, p := range far {
		a.peer(p)
	}
	a.ports(ports)
	c.add(a)
}

// admin is a rule of a cluster-wide policy as all its kinds have it.
type admin struct {
	place     string // in the object: ingress[0]
	name      string // given by the user; need not be of one rule alone
	action    string
	direction policy.Direction
	peers     peers
	services  services

	// unknown: the rule says something that this version can't follow, such as a peer that is of no kind it
	// knows. It then fails closed, as the API asks (ClusterNetworkPolicyEgressPeer): what would
	// accept matches nothing, and what would deny or pass denies everything.
	unknown bool
}

func newAdmin(d policy.Direction, i int, name, action string) *admin {
	place := "ingress"
	if d == policy.Out {
		place = "egress"
	}
	return &admin{place: fmt.Sprintf("%s[%d]", place, i), name: name, action: action, direction: d}
}

// add adds a rule.
func (c *cluster) add(a *admin) {
	r := draftRule{Rule: policy.Rule{Name: a.place}}
	if a.name != "" {
		r.Name += " " + a.name
	}
	switch a.action {
	case "Accept", "Allow":
		r.Action = policy.Allow
	case "Pass":
		r.Action, r.byDefault = policy.JumpToApplication, c.draft.place == baseline
	case "Deny":
		r.Action = policy.Drop
	default:
		r.Action, a.unknown = policy.Drop, true
	}
	switch {
	case !a.unknown:
		if len(a.peers.selection) == 0 {
			a.peers = nobody()
		}
		r.sides(a.direction, a.peers)
		a.services.put(&r)
	case r.Action == policy.Allow:
		r.Notes = "matches nothing: a peer, port or action is of no kind that this version knows"
		r.sides(a.direction, nobody())
	default:
		r.Notes = "denies everything: a peer, port or action is of no kind that this version knows"
		r.Action, r.byDefault = policy.Drop, false
		r.sides(a.direction, everybody())
	}
	c.draft.rules = append(c.draft.rules, r)
}

// clusterPeer is a subject or a peer, of which one field is set. It is of no known kind if none is:
// nodes and domainNames are left out, for this version knows neither.
type clusterPeer struct {
	namespaces *metav1.LabelSelector
	pods       *v1alpha2.NamespacedPod
	networks   []string
}

// term returns who is meant.
func (p clusterPeer) term() (t term, text string, known bool) {
	switch {
	case p.namespaces != nil:
		t, text = podsIn(p.namespaces, everyPod())
	case p.pods != nil:
		t, text = podsIn(&p.pods.NamespaceSelector, &p.pods.PodSelector)
	default:
		return term{}, "", false
	}
	return t, text, true
}

// peer adds one of from or to.
func (a *admin) peer(p clusterPeer) {
	if t, text, known := p.term(); known {
		a.peers.add(t, text)
		return
	}
	for _, n := range p.networks {
		a.peers.add(network(n, nil))
	}
	a.unknown = a.unknown || len(p.networks) == 0
}

// protocols adds the condition of a ClusterNetworkPolicy's rule.
func (a *admin) protocols(list []v1alpha2.ClusterNetworkPolicyProtocol) {
	for _, p := range list {
		switch {
		case p.TCP != nil:
			a.port(corev1.ProtocolTCP, p.TCP.DestinationPort)
		case p.UDP != nil:
			a.port(corev1.ProtocolUDP, p.UDP.DestinationPort)
		case p.SCTP != nil:
			a.port(corev1.ProtocolSCTP, p.SCTP.DestinationPort)
		case p.DestinationNamedPort != "":
			a.services.name(p.DestinationNamedPort, allProtocols()...)
		default:
			a.unknown = true
		}
	}
}

// port adds a port or a range of a protocol, all if p is nil.
func (a *admin) port(protocol corev1.Protocol, p *v1alpha2.Port) {
	switch {
	case p == nil:
		a.services.protocol(protocol)
	case p.Range != nil:
		a.services.ports(protocol, p.Range.Start, p.Range.End)
	default:
		a.services.ports(protocol, p.Number, p.Number)
	}
}

// ports adds the condition of a rule of one of the older kinds.
func (a *admin) ports(list *[]v1alpha1.AdminNetworkPolicyPort) {
	if list == nil {
		return
	}
	for _, p := range *list {
		switch {
		case p.PortNumber != nil:
			a.services.ports(protocolOr(p.PortNumber.Protocol), p.PortNumber.Port, p.PortNumber.Port)
		case p.PortRange != nil:
			a.services.ports(protocolOr(p.PortRange.Protocol), p.PortRange.Start, p.PortRange.End)
		case p.NamedPort != nil && *p.NamedPort != "":
			a.services.name(*p.NamedPort, allProtocols()...)
		default:
			a.unknown = true
		}
	}
}

func olderSubject(s *v1alpha1.AdminNetworkPolicySubject) clusterPeer {
	return clusterPeer{namespaces: s.Namespaces, pods: olderPods(s.Pods)}
}

func olderSenders(from []v1alpha1.AdminNetworkPolicyIngressPeer) (senders []clusterPeer) {
	for _, f := range from {
		senders = append(senders, clusterPeer{namespaces: f.Namespaces, pods: olderPods(f.Pods)})
	}
	return senders
}

// olderPods returns what v1alpha2 has for the same.
func olderPods(p *v1alpha1.NamespacedPod) *v1alpha2.NamespacedPod {
	return (*v1alpha2.NamespacedPod)(p)
}

// networks returns prefixes as strings.
func networks[T ~string](list []T) (texts []string) {
	for _, n := range list {
		texts = append(texts, string(n))
	}
	return texts
}
