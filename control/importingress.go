package control

import (
	"encoding/json"

	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ingressVersion is the version of Ingress that is kept.
const ingressVersion = "networking.k8s.io/v1"

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
