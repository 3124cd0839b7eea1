package shape

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubernetesEnums are the values of Kubernetes' types that its API server would not
// take others of (kubernetes v1.37, pkg/apis/{core,discovery,networking}/validation).
var kubernetesEnums = map[reflect.Type][]string{
	reflect.TypeFor[corev1.Protocol]():                     {"TCP", "UDP", "SCTP"},
	reflect.TypeFor[corev1.ServiceType]():                  {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
	reflect.TypeFor[corev1.ServiceAffinity]():              {"None", "ClientIP"},
	reflect.TypeFor[corev1.ServiceExternalTrafficPolicy](): {"Cluster", "Local"},
	reflect.TypeFor[corev1.ServiceInternalTrafficPolicy](): {"Cluster", "Local"},
	reflect.TypeFor[corev1.IPFamily]():                     {"IPv4", "IPv6"},
	reflect.TypeFor[corev1.IPFamilyPolicy]():               {"SingleStack", "PreferDualStack", "RequireDualStack"},
	reflect.TypeFor[discoveryv1.AddressType]():             {"IPv4", "IPv6", "FQDN"},
	reflect.TypeFor[networkingv1.PathType]():               {"Exact", "Prefix", "ImplementationSpecific"},
	reflect.TypeFor[networkingv1beta1.PathType]():          {"Exact", "Prefix", "ImplementationSpecific"},
	reflect.TypeFor[extensionsv1beta1.PathType]():          {"Exact", "Prefix", "ImplementationSpecific"},
	reflect.TypeFor[networkingv1.PolicyType]():             {"Ingress", "Egress"},
	reflect.TypeFor[metav1.LabelSelectorOperator]():        {"In", "NotIn", "Exists", "DoesNotExist"},
}

// rule is what the tags of a native field would say about one of Kubernetes'.
type rule struct {
	required bool
	min, max int64 // 0, 0: the type's own
	standard string
}

// place is a field of a struct.
type place struct {
	owner reflect.Type
	name  string
}

func of[T any](name string) place { return place{reflect.TypeFor[T](), name} }

const maxPort = 65535

var (
	neededPort = rule{required: true, min: 1, max: maxPort}
	givenPort  = rule{min: 1, max: maxPort}
	// portOrZero is a port that is 0 where it is not given.
	portOrZero = rule{max: maxPort}
	needed     = rule{required: true}
	protocol   = rule{standard: "TCP"}
)

// kubernetesRules are what the API server demands of a field by itself, from where
// kubernetesEnums are. What fields demand of each other is control's.
var kubernetesRules = map[place]rule{
	of[corev1.ServicePort]("port"):                      neededPort,
	of[corev1.ServicePort]("nodePort"):                  portOrZero,
	of[corev1.ServicePort]("protocol"):                  protocol,
	of[corev1.ServiceSpec]("type"):                      {standard: "ClusterIP"},
	of[corev1.ServiceSpec]("sessionAffinity"):           {standard: "None"},
	of[corev1.ServiceSpec]("internalTrafficPolicy"):     {standard: "Cluster"},
	of[corev1.ServiceSpec]("healthCheckNodePort"):       portOrZero,
	of[corev1.ServiceSpec]("ipFamilies"):                {max: 2},
	of[corev1.ClientIPConfig]("timeoutSeconds"):         {min: 1, max: 86400, standard: "10800"},
	of[corev1.ContainerPort]("containerPort"):           neededPort,
	of[corev1.ContainerPort]("hostPort"):                portOrZero,
	of[corev1.ContainerPort]("protocol"):                protocol,
	of[corev1.EndpointPort]("port"):                     neededPort,
	of[corev1.EndpointPort]("protocol"):                 protocol,
	of[corev1.EndpointAddress]("ip"):                    needed,
	of[discoveryv1.EndpointSlice]("addressType"):        needed,
	of[discoveryv1.EndpointSlice]("endpoints"):          {max: 1000},
	of[discoveryv1.EndpointSlice]("ports"):              {max: 20000},
	of[discoveryv1.Endpoint]("addresses"):               {required: true, max: 100},
	of[discoveryv1.EndpointPort]("port"):                givenPort,
	of[discoveryv1.EndpointPort]("protocol"):            protocol,
	of[networkingv1.HTTPIngressRuleValue]("paths"):      needed,
	of[networkingv1.HTTPIngressPath]("pathType"):        needed,
	of[networkingv1.HTTPIngressPath]("backend"):         needed,
	of[networkingv1.IngressServiceBackend]("name"):      needed,
	of[networkingv1.ServiceBackendPort]("number"):       portOrZero,
	of[networkingv1beta1.HTTPIngressRuleValue]("paths"): needed,
	of[networkingv1beta1.HTTPIngressPath]("pathType"):   {standard: "ImplementationSpecific"},
	of[networkingv1beta1.HTTPIngressPath]("backend"):    needed,
	of[extensionsv1beta1.HTTPIngressRuleValue]("paths"): needed,
	of[extensionsv1beta1.HTTPIngressPath]("pathType"):   {standard: "ImplementationSpecific"},
	of[extensionsv1beta1.HTTPIngressPath]("backend"):    needed,
	of[networkingv1.NetworkPolicySpec]("policyTypes"):   {max: 2},
	of[networkingv1.NetworkPolicyPort]("protocol"):      protocol,
	of[networkingv1.NetworkPolicyPort]("endPort"):       givenPort,
	of[networkingv1.IPBlock]("cidr"):                    needed,
	of[metav1.LabelSelectorRequirement]("key"):          needed,
	of[metav1.LabelSelectorRequirement]("operator"):     needed,
}

// kubernetes adds to a field of one of Kubernetes' types what its tags don't say.
func kubernetes(f *Field) {
	r, found := kubernetesRules[place{f.Owner, f.Name}]
	if !found {
		return
	}
	f.Required = r.required
	f.Default = r.standard
	switch {
	case r.max == 0:
	case r.min == 0 && f.Type.Kind() == reflect.Slice:
		f.Max = &r.max
	default:
		f.Min, f.Max = &r.min, &r.max
	}
}
