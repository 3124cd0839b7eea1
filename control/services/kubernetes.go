package services

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Indices in says.wants of a Service.
const (
	wantCluster = iota
	wantBalanced
)

// defaultAffinity is how long a client stays with its endpoint if a Service says nothing, in seconds: corev1's
// DefaultClientIPServiceAffinitySeconds.
const defaultAffinity = corev1.DefaultClientIPServiceAffinitySeconds

// readService reads a Service of Kubernetes. What it means is what kube-proxy makes of it (pkg/proxy/serviceport.go,
// newBaseServiceInfo): one server for each of its ports, at all of its addresses.
func readService(v *corev1.Service) (s says) {
	spec := &v.Spec
	s.strict = true
	switch {
	case spec.Type == corev1.ServiceTypeExternalName:
		s.note = "it stands for a DNS name, which needs no virtual server"
		return s
	case spec.ClusterIP == corev1.ClusterIPNone:
		// kube-proxy: ShouldSkipService, pkg/proxy/util/utils.go
		s.note = "it is headless: clients find its endpoints by DNS"
		return s
	}
	options := s.readOptions(v)
	balanced := spec.Type == corev1.ServiceTypeLoadBalancer
	nodePorts := spec.Type == corev1.ServiceTypeNodePort || balanced && (spec.AllocateLoadBalancerNodePorts == nil || *spec.AllocateLoadBalancerNodePorts)
	outsideLocal := spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	insideLocal := spec.InternalTrafficPolicy != nil && *spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal

	s.wants = append(s.wants, vips.Want{
		Use: vips.Cluster, Families: familiesOf(spec), Optional: spec.IPFamilyPolicy != nil && *spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack,
		Addresses: addressesOf(append(slices.Clone(spec.ClusterIPs), spec.ClusterIP)...), Anywhere: true,
	})
	allowed, families := readRanges(spec.LoadBalancerSourceRanges)
	if balanced {
		s.class = valueOr(spec.LoadBalancerClass, "")
		s.wants = append(s.wants, s.balancedWant(v))
	}
	var external []packet.Addr
	for _, a := range addressesOf(spec.ExternalIPs...) {
		external = append(external, packet.AddrFrom(a))
	}
	for i := range spec.Ports {
		p := &spec.Ports[i]
		protocol, port := protocolNumber(p.Protocol), uint16(p.Port)
		path := "spec.ports[" + strconv.Itoa(i) + "]"
		server := serverDraft{Server: options.server, part: p.Name, source: options.source}
		server.Allowed = allowed
		front := func(f frontDraft) {
			f.protocol, f.first, f.last, f.path = protocol, port, port, path+".port"
			server.fronts = append(server.fronts, f)
		}
		front(frontDraft{kind: service.ClusterIP, at: atWant, index: wantCluster, insideLocal: insideLocal, outsideLocal: insideLocal})
		// Pods reach all endpoints at addresses from outside, whatever externalTrafficPolicy says: kube-proxy short-circuits
		// them (pkg/proxy/iptables/proxier.go, "pod traffic for external destinations").
		for j, a := range external {
			front(frontDraft{kind: service.ExternalIP, address: a, outsideLocal: outsideLocal, keeps: outsideLocal})
			server.fronts[len(server.fronts)-1].path = "spec.externalIPs[" + strconv.Itoa(j) + "]"
		}
		if balanced {
			front(frontDraft{kind: service.LoadBalancer, at: atWant, index: wantBalanced, outsideLocal: outsideLocal, keeps: outsideLocal, restricted: families})
		}
		if nodePorts || balanced && p.NodePort != 0 {
			front(frontDraft{kind: service.NodePort, at: atUplinks, index: len(s.nodePorts), outsideLocal: outsideLocal, keeps: outsideLocal})
			server.fronts[len(server.fronts)-1].path = path + ".nodePort"
			s.nodePorts = append(s.nodePorts, vips.NodePort{Protocol: protocol, Port: port, Number: uint16(p.NodePort)})
		}
		s.servers = append(s.servers, server)
		s.pools = append(s.pools, options.pool(spec, p))
	}
	if balanced && outsideLocal {
		s.health = len(s.nodePorts) + 1
		s.nodePorts = append(s.nodePorts, vips.NodePort{Protocol: packet.ProtoTCP, Number: uint16(spec.HealthCheckNodePort)})
	}
	return s
}

// familiesOf are the lengths of the addresses that a Service wants of its own. Without ipFamilies it has one family, the
// first that there is, or both if the policy says so.
func familiesOf(spec *corev1.ServiceSpec) (bits []int) {
	for _, f := range spec.IPFamilies {
		if f == corev1.IPv6Protocol {
			bits = append(bits, 128)
		} else {
			bits = append(bits, 32)
		}
	}
	if len(bits) == 0 && spec.ClusterIP == "" && len(spec.ClusterIPs) == 0 {
		bits = []int{32}
	}
	if p := spec.IPFamilyPolicy; p != nil && *p != corev1.IPFamilyPolicySingleStack && len(bits) == 1 {
		bits = append(bits, 160-bits[0])
	}
	return bits
}

// addressesOf reads addresses, each once; those of a family stay in order. What is none was reported where objects are checked.
func addressesOf(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err == nil && a.Zone() == "" && !slices.Contains(list, a.Unmap()) {
			list = append(list, a.Unmap())
		}
	}
	return list
}

// balancedWant is the address of a load balancer: the one that is asked for, else that which a cluster gave it, else any.
func (s *says) balancedWant(v *corev1.Service) vips.Want {
	w := vips.Want{Use: vips.Virtual, Families: familiesOf(&v.Spec), Optional: true, Addresses: addressesOf(v.Spec.LoadBalancerIP), Pool: v.Annotations[poolAnnotation]}
	if len(w.Families) == 0 {
		for _, a := range s.wants[wantCluster].Addresses {
			w.Families = append(w.Families, a.BitLen())
		}
	}
	for _, ingress := range v.Status.LoadBalancer.Ingress {
		for _, a := range addressesOf(ingress.IP) {
			if !slices.ContainsFunc(w.Addresses, func(b netip.Addr) bool { return a.BitLen() == b.BitLen() }) {
				w.Addresses, w.Anywhere = append(w.Addresses, a), true
			}
		}
	}
	if key := v.Annotations[sharedAnnotation]; key != "" {
		w.Share = &vips.Share{Key: vips.SharedByKey(key)}
		if v.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			w.Share.Policy = v.Namespace + " " + selectorText(v.Spec.Selector)
		}
		for i := range v.Spec.Ports {
			p := &v.Spec.Ports[i]
			w.Share.Ports = append(w.Share.Ports, vips.Ports{Protocol: protocolNumber(p.Protocol), First: uint16(p.Port), Last: uint16(p.Port)})
		}
	}
	return w
}

// selectorText stands for a selector.
func selectorText(selector map[string]string) string {
	var b strings.Builder
	for _, key := range sortedKeys(selector) {
		b.WriteString(strconv.Quote(key) + "=" + strconv.Quote(selector[key]) + " ")
	}
	return b.String()
}

// readRanges reads loadBalancerSourceRanges, and says of which families there are some: an address of the other
// one is open to all, as with kube-proxy (MapCIDRsByIPFamily in pkg/proxy/serviceport.go).
func readRanges(texts []string) (list []netip.Prefix, families [2]bool) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			continue // reported where objects are checked
		}
		families[family(p.Addr().Is6())] = true
		list = append(list, p.Masked())
	}
	return list, families
}

// pool is what is behind a port.
func (o *options) pool(spec *corev1.ServiceSpec, p *corev1.ServicePort) poolDraft {
	d := o.behind
	d.part = p.Name
	e := &endpointMembers{
		port: p.Name, protocol: protocolNumber(p.Protocol), selector: spec.Selector, notReady: spec.PublishNotReadyAddresses,
		prefers: distributionOf(spec),
	}
	switch {
	case p.TargetPort.Type == intstr.String && p.TargetPort.StrVal != "":
		e.targetName = p.TargetPort.StrVal
	case p.TargetPort.Type == intstr.Int && p.TargetPort.IntVal != 0:
		e.target = uint16(p.TargetPort.IntVal)
	default:
		e.target = uint16(p.Port) // pkg/apis/core/v1/defaults.go
	}
	d.endpoints = e
	return d
}

func distributionOf(spec *corev1.ServiceSpec) distribution {
	switch valueOr(spec.TrafficDistribution, "") {
	case corev1.ServiceTrafficDistributionPreferSameZone, preferClose:
		return sameZone
	case corev1.ServiceTrafficDistributionPreferSameNode:
		return sameNode
	}
	return anywhere
}

// preferClose is what Kubernetes 1.30 called PreferSameZone: corev1.ServiceTrafficDistributionPreferClose, which is deprecated, and still
// what clusters print.
const preferClose = "PreferClose"
