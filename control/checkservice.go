package control

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// service checks what ValidateService of Kubernetes checks (pkg/apis/core/validation).
func (c *checker) service(s *corev1.Service) {
	spec, path := &s.Spec, at("spec")
	kind := spec.Type
	if kind == "" {
		kind = corev1.ServiceTypeClusterIP
	}
	headless := spec.ClusterIP == corev1.ClusterIPNone
	if kind == corev1.ServiceTypeExternalName {
		c.externalName(spec)
	} else if len(spec.Ports) == 0 && !headless {
		c.fault(path.Child("ports"), "at least one port is needed", "only a headless Service (clusterIP: None) and one of type ExternalName may be without")
	}
	if headless && (kind == corev1.ServiceTypeNodePort || kind == corev1.ServiceTypeLoadBalancer) {
		c.fault(path.Child("clusterIP"), "None does not go with the type "+string(kind), "leave clusterIP out, or write type: ClusterIP")
	}
	c.clusterIPs(spec)
	c.labels(path.Child("selector"), spec.Selector)
	c.servicePorts(spec, kind)
	for i, ip := range spec.ExternalIPs {
		where := path.Child("externalIPs").Index(i)
		c.special(where, c.ip(where, ip))
	}
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP && spec.SessionAffinityConfig != nil {
		c.fault(path.Child("sessionAffinityConfig"), "has no meaning without session affinity", "write sessionAffinity: ClientIP")
	}
	if kind != corev1.ServiceTypeLoadBalancer && len(spec.LoadBalancerSourceRanges) > 0 {
		c.fault(path.Child("loadBalancerSourceRanges"), "not with the type "+string(kind), "write type: LoadBalancer")
	}
	for i, text := range spec.LoadBalancerSourceRanges {
		c.cidr(path.Child("loadBalancerSourceRanges").Index(i), strings.TrimSpace(text))
	}
	outside := kind == corev1.ServiceTypeNodePort || kind == corev1.ServiceTypeLoadBalancer || len(spec.ExternalIPs) > 0
	if spec.ExternalTrafficPolicy != "" && !outside {
		c.fault(path.Child("externalTrafficPolicy"), "has no meaning for a Service that is not reached from outside", "leave it out, or write type: LoadBalancer or NodePort")
	}
	families := c.unique()
	for i, f := range spec.IPFamilies {
		families.add(path.Child("ipFamilies").Index(i), string(f), string(f))
	}
}

func (c *checker) externalName(spec *corev1.ServiceSpec) {
	path := at("spec")
	name := strings.TrimSuffix(spec.ExternalName, ".")
	if name == "" {
		c.fault(path.Child("externalName"), "is needed with the type ExternalName", "the DNS name that the Service stands for")
	} else {
		c.subdomain(path.Child("externalName"), name, "a DNS name")
	}
	if spec.ClusterIP != "" {
		c.fault(path.Child("clusterIP"), "not with the type ExternalName", "leave it out")
	}
}

func (c *checker) clusterIPs(spec *corev1.ServiceSpec) {
	path := at("spec")
	if spec.ClusterIP != "" && spec.ClusterIP != corev1.ClusterIPNone {
		c.ip(path.Child("clusterIP"), spec.ClusterIP)
	}
	all := c.unique()
	for i, text := range spec.ClusterIPs {
		where := path.Child("clusterIPs").Index(i)
		switch {
		case i == 0 && text != spec.ClusterIP && spec.ClusterIP != "":
			c.fault(where, "must be the same as spec.clusterIP", "write "+clip(spec.ClusterIP))
		case text == corev1.ClusterIPNone && i > 0:
			c.fault(where, "None does not go with other addresses", "leave it out")
		case text != corev1.ClusterIPNone:
			c.ip(where, text)
		}
		all.add(where, text, text)
	}
	if len(spec.ClusterIPs) > 2 {
		c.fault(path.Child("clusterIPs"), fmt.Sprintf("has %d elements, at most 2 are allowed", len(spec.ClusterIPs)), "one of each IP version")
	}
}

// servicePorts checks the ports one by one and against each other.
func (c *checker) servicePorts(spec *corev1.ServiceSpec, kind corev1.ServiceType) {
	names, ports, nodePorts := c.unique(), c.unique(), c.unique()
	for i := range spec.Ports {
		p, where := &spec.Ports[i], at("spec", "ports").Index(i)
		c.portName(where, p.Name, len(spec.Ports), names)
		protocol := p.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		number := fmt.Sprintf("%s port %d", protocol, p.Port)
		ports.add(where.Child("port"), number, number)
		// Both are "the same as port" (pkg/apis/core/v1/defaults.go).
		if p.TargetPort != intstr.FromInt32(0) && p.TargetPort != intstr.FromString("") {
			c.portOrName(where.Child("targetPort"), p.TargetPort)
		}
		if p.AppProtocol != nil && len(validation.IsQualifiedName(*p.AppProtocol)) > 0 {
			c.fault(where.Child("appProtocol"), fmt.Sprintf("%q is not a protocol's name", clip(*p.AppProtocol)), labelKeyForm)
		}
		if p.NodePort == 0 {
			continue
		}
		number = fmt.Sprintf("%s node port %d", protocol, p.NodePort)
		nodePorts.add(where.Child("nodePort"), number, number)
		if kind != corev1.ServiceTypeNodePort && kind != corev1.ServiceTypeLoadBalancer {
			c.fault(where.Child("nodePort"), "not with the type "+string(kind), "write type: NodePort or LoadBalancer")
		}
	}
}

// portName checks the name of one of n ports: more than one have to be told apart.
func (c *checker) portName(port *field.Path, name string, n int, names unique) {
	switch {
	case name == "" && n > 1:
		c.fault(port, "a name is needed where there is more than one port", "such as http")
	case name != "":
		c.label(port.Child("name"), name, "a port's name")
		names.add(port.Child("name"), name, "the port's name "+clip(name))
	}
}
