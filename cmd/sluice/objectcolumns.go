package main

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-net/sluice/api"
)

// columnsOfKind are the columns that a kind's table has of its own: kubectl's, where it has
// some that matter to a network.
func columnsOfKind() map[string][]column[objectRow] {
	return map[string][]column[objectRow]{
		"NodeConfig": {
			of("WORKERS", false, func(v *api.NodeConfig) string { return positive(uint32(max(0, v.Spec.Workers))) }),
			of("DEFAULT-RULE", false, func(v *api.NodeConfig) string { return string(v.Spec.DefaultRule.Action) }),
		},
		"Segment": {
			of("SUBNETS", false, func(v *api.Segment) string {
				return joined(v.Spec.Subnets, func(s api.Subnet) string { return s.CIDR.String() })
			}),
			of("ROUTER", false, func(v *api.Segment) string { return v.Spec.Router }),
			of("VLAN", false, func(v *api.Segment) string { return positive(uint32(max(0, v.Spec.VLAN))) }),
			{"PORTS", false, func(o *objectRow) string {
				if o.segment == nil {
					return ""
				}
				return number(len(o.segment.Ports))
			}},
		},
		"Port": append([]column[objectRow]{
			of("SEGMENT", false, func(v *api.Port) string { return v.Spec.Segment }),
			of("ADDRESSES", false, func(v *api.Port) string {
				return portAddresses(&api.PortView{Addresses: v.Spec.Addresses})
			}),
		}, portState...),
		"Router": {
			of("UPLINKS", false, func(v *api.Router) string {
				return joined(v.Spec.Uplinks, func(u api.Uplink) string { return u.Port })
			}),
			of("ROUTES", false, func(v *api.Router) string { return number(len(v.Spec.Routes)) }),
		},
		"IPPool": {
			of("USAGE", false, func(v *api.IPPool) string { return string(v.Spec.Usage) }),
			of("RANGES", false, poolRanges),
			{"USED", false, func(o *objectRow) string { return poolNumber(o.pool, func(v *api.PoolView) uint64 { return v.Used }) }},
			{"FREE", false, func(o *objectRow) string { return poolNumber(o.pool, func(v *api.PoolView) uint64 { return v.Free }) }},
		},
		"Namespace": {
			{"SEGMENT", false, func(o *objectRow) string {
				if name := o.Meta.Annotations[api.SegmentAnnotation]; name != "" {
					return name
				}
				return o.Meta.Name
			}},
			{"SUBNETS", false, func(o *objectRow) string {
				if o.segment == nil {
					return ""
				}
				return joined(o.segment.Subnets, func(s api.SubnetView) string { return s.CIDR.String() })
			}},
		},
		"Pod": append([]column[objectRow]{
			{"IP", false, func(o *objectRow) string {
				if o.port == nil {
					return into[corev1.Pod](o.object).Status.PodIP
				}
				return portAddresses(o.port)
			}},
			{"SEGMENT", false, func(o *objectRow) string {
				if o.port == nil {
					return ""
				}
				return portSegment(o.port)
			}},
		}, portState...),
		"Service": {
			of("TYPE", false, func(v *corev1.Service) string { return string(serviceType(v)) }),
			of("CLUSTER-IP", false, func(v *corev1.Service) string { return v.Spec.ClusterIP }),
			of("EXTERNAL-IP", false, externalIPs),
			of("PORT(S)", false, func(v *corev1.Service) string { return joined(v.Spec.Ports, servicePort) }),
			of("SELECTOR", true, func(v *corev1.Service) string { return labelText(v.Spec.Selector) }),
		},
		"Endpoints": {of("ENDPOINTS", false, endpoints)},
		"EndpointSlice": {
			of("ADDRESSTYPE", false, func(v *discoveryv1.EndpointSlice) string { return string(v.AddressType) }),
			of("PORTS", false, func(v *discoveryv1.EndpointSlice) string {
				return joined(v.Ports, func(p discoveryv1.EndpointPort) string { return optional(p.Port) })
			}),
			of("ENDPOINTS", false, func(v *discoveryv1.EndpointSlice) string {
				return joined(v.Endpoints, func(e discoveryv1.Endpoint) string { return strings.Join(e.Addresses, ",") })
			}),
		},
		"Ingress": {
			of("CLASS", false, func(v *networkingv1.Ingress) string { return optional(v.Spec.IngressClassName) }),
			of("HOSTS", false, func(v *networkingv1.Ingress) string {
				return joined(v.Spec.Rules, func(r networkingv1.IngressRule) string {
					if r.Host == "" {
						return "*"
					}
					return r.Host
				})
			}),
			of("PORTS", false, func(v *networkingv1.Ingress) string {
				if len(v.Spec.TLS) > 0 {
					return "80,443"
				}
				return "80"
			}),
		},
		"NetworkPolicy": {
			of("POD-SELECTOR", false, func(v *networkingv1.NetworkPolicy) string {
				return metav1.FormatLabelSelector(&v.Spec.PodSelector)
			}),
		},
		"Secret": {
			of("TYPE", false, func(v *corev1.Secret) string { return string(v.Type) }),
			of("DATA", false, func(v *corev1.Secret) string { return number(len(v.Data) + len(v.StringData)) }),
		},
	}
}

// portState shows how the port of an object does.
var portState = []column[objectRow]{
	{"PORT-STATE", false, func(o *objectRow) string {
		if o.port == nil {
			return ""
		}
		return string(o.port.State)
	}},
}

// of makes a column of what a kind's Go type says.
func of[T any](header string, wide bool, text func(*T) string) column[objectRow] {
	return column[objectRow]{header, wide, func(o *objectRow) string { return text(into[T](o.object)) }}
}

// optional is what a pointer points to, if it is one.
func optional[T any](p *T) string {
	if p == nil {
		return ""
	}
	return fmt.Sprint(*p)
}

func poolRanges(v *api.IPPool) string {
	if v.Spec.CIDR.IsValid() {
		return v.Spec.CIDR.String()
	}
	return joined(v.Spec.Ranges, func(r api.IPRange) string { return r.Start.String() + "-" + r.End.String() })
}

func poolNumber(v *api.PoolView, of func(*api.PoolView) uint64) string {
	if v == nil {
		return ""
	}
	return number(of(v))
}

func serviceType(v *corev1.Service) corev1.ServiceType {
	if v.Spec.Type == "" {
		return corev1.ServiceTypeClusterIP
	}
	return v.Spec.Type
}

func externalIPs(v *corev1.Service) string {
	list := v.Spec.ExternalIPs
	for _, in := range v.Status.LoadBalancer.Ingress {
		list = append(list, in.IP+in.Hostname) // one of them
	}
	switch {
	case v.Spec.Type == corev1.ServiceTypeExternalName:
		return v.Spec.ExternalName
	case len(list) == 0 && v.Spec.Type == corev1.ServiceTypeLoadBalancer:
		return "<pending>"
	}
	return strings.Join(list, ",")
}

func servicePort(p corev1.ServicePort) string {
	protocol := p.Protocol
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	if p.NodePort > 0 {
		return fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, protocol)
	}
	return fmt.Sprintf("%d/%s", p.Port, protocol)
}

// endpoints lists ADDRESS:PORT pairs.
//
//lint:ignore SA1019 deprecated, and still what clusters print
func endpoints(v *corev1.Endpoints) string {
	var list []string
	for _, subset := range v.Subsets {
		for _, address := range subset.Addresses {
			if len(subset.Ports) == 0 {
				list = append(list, address.IP)
			}
			for _, port := range subset.Ports {
				list = append(list, fmt.Sprintf("%s:%d", address.IP, port.Port))
			}
		}
	}
	return strings.Join(list, ",")
}
