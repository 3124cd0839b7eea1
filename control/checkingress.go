package control

import (
	"net/netip"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ingress checks what ValidateIngress of Kubernetes checks (pkg/apis/networking/validation).
func (c *checker) ingress(in *networkingv1.Ingress) {
	spec, path := &in.Spec, at("spec")
	if spec.DefaultBackend == nil && len(spec.Rules) == 0 {
		c.fault(path, "rules are needed, or a backend for everything", "write rules")
	}
	if spec.DefaultBackend != nil {
		c.ingressBackend(path.Child("defaultBackend"), spec.DefaultBackend)
	}
	if spec.IngressClassName != nil {
		c.subdomain(path.Child("ingressClassName"), *spec.IngressClassName, "a class's name")
	}
	for i := range spec.TLS {
		t, where := &spec.TLS[i], path.Child("tls").Index(i)
		for j, host := range t.Hosts {
			c.ingressHost(where.Child("hosts").Index(j), host)
		}
		if t.SecretName != "" {
			c.subdomain(where.Child("secretName"), t.SecretName, "a Secret's name")
		}
	}
	for i := range spec.Rules {
		r, where := &spec.Rules[i], path.Child("rules").Index(i)
		if r.Host != "" {
			c.ingressHost(where.Child("host"), r.Host)
		}
		if r.HTTP == nil {
			continue
		}
		for j := range r.HTTP.Paths {
			c.ingressPath(where.Child("http", "paths").Index(j), &r.HTTP.Paths[j])
		}
	}
}

// ingressHost checks a host name; the first label may be *.
func (c *checker) ingressHost(path *field.Path, host string) {
	_, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		c.fault(path, clip(host)+" is an IP address; a host is a name", "leave the host out, and the rule is for all names")
	case strings.Contains(host, ":"):
		c.fault(path, strconv.Quote(clip(host))+" is not a host name", "leave the scheme and the port out")
	case strings.HasPrefix(host, "*") && len(validation.IsWildcardDNS1123Subdomain(host)) == 0:
	case len(validation.IsDNS1123Subdomain(host)) > 0:
		c.fault(path, strconv.Quote(clip(host))+" is not a host name", hostForm)
	}
}

// invalidInPath are what a path may not have, but for one of type
// ImplementationSpecific: clients and servers disagree about it.
var invalidInPath = []string{"//", "/./", "/../", "%2f", "%2F"}

func (c *checker) ingressPath(path *field.Path, p *networkingv1.HTTPIngressPath) {
	kind := networkingv1.PathTypeImplementationSpecific
	if p.PathType != nil {
		kind = *p.PathType
	}
	where := path.Child("path")
	strict := kind != networkingv1.PathTypeImplementationSpecific
	if !strings.HasPrefix(p.Path, "/") && (strict || p.Path != "") {
		c.fault(where, strconv.Quote(clip(p.Path))+" is not an absolute path", "write "+strconv.Quote("/"+clip(p.Path)))
	}
	if strict {
		for _, s := range invalidInPath {
			if strings.Contains(p.Path, s) {
				c.fault(where, "must not contain "+strconv.Quote(s), "write the path as clients send it")
			}
		}
		for _, s := range []string{"/..", "/."} {
			if strings.HasSuffix(p.Path, s) {
				c.fault(where, "must not end in "+strconv.Quote(s), "write the path as clients send it")
			}
		}
	}
	c.ingressBackend(path.Child("backend"), &p.Backend)
}

func (c *checker) ingressBackend(path *field.Path, b *networkingv1.IngressBackend) {
	switch {
	case b.Service == nil && b.Resource == nil:
		c.fault(path, "a service is needed", "its name and port")
		return
	case b.Service != nil && b.Resource != nil:
		c.fault(path.Child("resource"), "not together with a service", "leave one of them out")
		return
	case b.Service == nil:
		return
	}
	service := path.Child("service")
	if b.Service.Name == "" {
		c.fault(service.Child("name"), "must not be empty", "the Service's name")
	} else {
		c.label(service.Child("name"), b.Service.Name, "a Service's name")
	}
	switch port := b.Service.Port; {
	case port.Name != "" && port.Number != 0:
		c.fault(service.Child("port"), "has a name and a number", "leave one of them out")
	case port.Name != "":
		c.portOrName(service.Child("port", "name"), intstr.FromString(port.Name))
	default:
		if port.Number == 0 {
			c.fault(service.Child("port"), "a name or a number from 1 to 65535 is needed", "the port of the Service")
			return
		}
		c.portOrName(service.Child("port", "number"), intstr.FromInt32(port.Number))
	}
}
