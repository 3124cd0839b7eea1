package control

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpoints checks what ValidateEndpoints of Kubernetes checks (pkg/apis/core/validation).
//
//lint:ignore SA1019 deprecated, and still what clusters print
func (c *checker) endpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		s, path := &e.Subsets[i], at("subsets").Index(i)
		if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
			c.fault(path, "a subset without addresses", "write addresses or notReadyAddresses, or leave the subset out")
		}
		for name, list := range map[string][]corev1.EndpointAddress{"addresses": s.Addresses, "notReadyAddresses": s.NotReadyAddresses} {
			for j, a := range list {
				where := path.Child(name).Index(j)
				c.special(where.Child("ip"), c.ip(where.Child("ip"), a.IP))
				if a.Hostname != "" {
					c.label(where.Child("hostname"), a.Hostname, "a host name")
				}
			}
		}
		names := c.unique()
		for j, p := range s.Ports {
			c.portName(path.Child("ports").Index(j), p.Name, len(s.Ports), names)
		}
	}
}

// endpointSlice checks what ValidateEndpointSlice of Kubernetes checks (pkg/apis/discovery/validation).
func (c *checker) endpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Endpoints {
		e, path := &s.Endpoints[i], at("endpoints").Index(i)
		all := c.unique()
		for j, text := range e.Addresses {
			where := path.Child("addresses").Index(j)
			all.add(where, text, clip(text))
			if s.AddressType == discoveryv1.AddressTypeFQDN {
				c.subdomain(where, text, "a DNS name")
				continue
			}
			a := c.ip(where, text)
			if a.IsValid() && a.Is4() != (s.AddressType == discoveryv1.AddressTypeIPv4) {
				c.fault(where, fmt.Sprintf("%s is no address of type %s", a, s.AddressType), "a slice has addresses of its addressType only: write another slice for it")
				continue
			}
			c.special(where, a)
		}
		if e.Hostname != nil && *e.Hostname != "" {
			c.label(path.Child("hostname"), *e.Hostname, "a host name")
		}
	}
	names := c.unique()
	unnamed := 0
	for i, p := range s.Ports {
		where := at("ports").Index(i)
		if p.Name == nil || *p.Name == "" {
			if unnamed++; unnamed > 1 {
				c.fault(where, "a second port without a name", "names of ports tell them apart")
			}
			continue
		}
		c.label(where.Child("name"), *p.Name, "a port's name")
		names.add(where.Child("name"), *p.Name, "the port's name "+clip(*p.Name))
	}
}
