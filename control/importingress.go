package control

import (
	"encoding/json"
	"reflect"
	"strings"

	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ingressVersion is the version of Ingress that is kept.
const ingressVersion = "networking.k8s.io/v1"

// ingressPaths are the fields of a kept Ingress by the names that they have in the versions that are
// imported: faults speak of what is in the file.
var ingressPaths = strings.NewReplacer(
	"spec.defaultBackend", "spec.backend",
	".service.name", ".serviceName",
	".service.port.number", ".servicePort",
	".service.port.name", ".servicePort",
	".service.port", ".servicePort",
)

var ingressImport = imported{importIngress, ingressPaths}

// importIngress turns an Ingress of extensions/v1beta1 or networking.k8s.io/v1beta1, whose
// fields are the same, into one of networking.k8s.io/v1, as Kubernetes' API server did
// (kubernetes v1.21, pkg/apis/networking/v1beta1/conversion.go): a backend's
// serviceName and servicePort become service.name and service.port, and a path without a type is
// ImplementationSpecific. Whatever has the same name in both, annotations too, stays.
func importIngress(value any) (any, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var old networkingv1beta1.Ingress
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, err
	}
	var now networkingv1.Ingress
	if err := json.Unmarshal(data, &now); err != nil {
		return nil, err
	}
	now.APIVersion = ingressVersion
	if old.Spec.Backend != nil {
		b := ingressBackend(old.Spec.Backend)
		now.Spec.DefaultBackend = &b
	}
	for i := range old.Spec.Rules {
		if old.Spec.Rules[i].HTTP == nil {
			continue
		}
		for j := range old.Spec.Rules[i].HTTP.Paths {
			p := &now.Spec.Rules[i].HTTP.Paths[j]
			p.Backend = ingressBackend(&old.Spec.Rules[i].HTTP.Paths[j].Backend)
			if p.PathType == nil {
				p.PathType = new(networkingv1.PathTypeImplementationSpecific)
			}
		}
	}
	return &now, nil
}

// otherIngress is a hint about a field that another version of Ingress has, "" for others.
func otherIngress(t reflect.Type, name string) string {
	const old = "versions v1beta1 have it; "
	switch t {
	case reflect.TypeFor[networkingv1.IngressBackend]():
		switch name {
		case "serviceName":
			return old + ingressVersion + " has service.name"
		case "servicePort":
			return old + ingressVersion + " has service.port.number and service.port.name"
		}
	case reflect.TypeFor[networkingv1.IngressSpec]():
		if name == "backend" {
			return old + ingressVersion + " has defaultBackend"
		}
	case reflect.TypeFor[networkingv1beta1.IngressBackend](), reflect.TypeFor[extensionsv1beta1.IngressBackend]():
		if name == "service" {
			return ingressVersion + " has it; this version has serviceName and servicePort"
		}
	case reflect.TypeFor[networkingv1beta1.IngressSpec](), reflect.TypeFor[extensionsv1beta1.IngressSpec]():
		if name == "defaultBackend" {
			return ingressVersion + " has it; this version has backend"
		}
	}
	return ""
}

func ingressBackend(old *networkingv1beta1.IngressBackend) networkingv1.IngressBackend {
	b := networkingv1.IngressBackend{Resource: old.Resource}
	if old.ServiceName == "" && old.ServicePort == (intstr.IntOrString{}) {
		return b
	}
	b.Service = &networkingv1.IngressServiceBackend{Name: old.ServiceName}
	if old.ServicePort.Type == intstr.String {
		b.Service.Port.Name = old.ServicePort.StrVal
	} else {
		b.Service.Port.Number = old.ServicePort.IntVal
	}
	return b
}
