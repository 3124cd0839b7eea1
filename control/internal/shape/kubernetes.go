package shape

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
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

	reflect.TypeFor[v1alpha2.Tier]():                                 {"Admin", "Baseline"},
	reflect.TypeFor[v1alpha2.ClusterNetworkPolicyRuleAction]():       {"Accept", "Deny", "Pass"},
	reflect.TypeFor[v1alpha1.AdminNetworkPolicyRuleAction]():         {"Allow", "Deny", "Pass"},
	reflect.TypeFor[v1alpha1.BaselineAdminNetworkPolicyRuleAction](): {"Allow", "Deny"},
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

	// Of cluster-wide policies, and of their older kinds.
	priority   = rule{required: true, max: 1000}
	rules      = rule{max: 25}
	olderRules = rule{max: 100}
	peers      = rule{required: true, max: 25}
	olderPeers = rule{required: true, max: 100}
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

	of[v1alpha2.ClusterNetworkPolicy]("spec"):                     needed,
	of[v1alpha2.ClusterNetworkPolicySpec]("tier"):                 needed,
	of[v1alpha2.ClusterNetworkPolicySpec]("priority"):             priority,
	of[v1alpha2.ClusterNetworkPolicySpec]("subject"):              needed,
	of[v1alpha2.ClusterNetworkPolicySpec]("ingress"):              rules,
	of[v1alpha2.ClusterNetworkPolicySpec]("egress"):               rules,
	of[v1alpha2.ClusterNetworkPolicyIngressRule]("action"):        needed,
	of[v1alpha2.ClusterNetworkPolicyIngressRule]("from"):          peers,
	of[v1alpha2.ClusterNetworkPolicyIngressRule]("protocols"):     rules,
	of[v1alpha2.ClusterNetworkPolicyEgressRule]("action"):         needed,
	of[v1alpha2.ClusterNetworkPolicyEgressRule]("to"):             peers,
	of[v1alpha2.ClusterNetworkPolicyEgressRule]("protocols"):      rules,
	of[v1alpha2.ClusterNetworkPolicyEgressPeer]("networks"):       rules,
	of[v1alpha2.ClusterNetworkPolicyEgressPeer]("domainNames"):    rules,
	of[v1alpha2.Port]("number"):                                   portOrZero,
	of[v1alpha2.PortRange]("start"):                               neededPort,
	of[v1alpha2.PortRange]("end"):                                 neededPort,
	of[v1alpha1.AdminNetworkPolicy]("spec"):                       needed,
	of[v1alpha1.AdminNetworkPolicySpec]("priority"):               priority,
	of[v1alpha1.AdminNetworkPolicySpec]("subject"):                needed,
	of[v1alpha1.AdminNetworkPolicySpec]("ingress"):                olderRules,
	of[v1alpha1.AdminNetworkPolicySpec]("egress"):                 olderRules,
	of[v1alpha1.AdminNetworkPolicyIngressRule]("action"):          needed,
	of[v1alpha1.AdminNetworkPolicyIngressRule]("from"):            olderPeers,
	of[v1alpha1.AdminNetworkPolicyIngressRule]("ports"):           olderRules,
	of[v1alpha1.AdminNetworkPolicyEgressRule]("action"):           needed,
	of[v1alpha1.AdminNetworkPolicyEgressRule]("to"):               olderPeers,
	of[v1alpha1.AdminNetworkPolicyEgressRule]("ports"):            olderRules,
	of[v1alpha1.AdminNetworkPolicyEgressPeer]("networks"):         rules,
	of[v1alpha1.AdminNetworkPolicyEgressPeer]("domainNames"):      rules,
	of[v1alpha1.Port]("protocol"):                                 protocol,
	of[v1alpha1.Port]("port"):                                     neededPort,
	of[v1alpha1.PortRange]("protocol"):                            protocol,
	of[v1alpha1.PortRange]("start"):                               neededPort,
	of[v1alpha1.PortRange]("end"):                                 neededPort,
	of[v1alpha1.BaselineAdminNetworkPolicy]("spec"):               needed,
	of[v1alpha1.BaselineAdminNetworkPolicySpec]("subject"):        needed,
	of[v1alpha1.BaselineAdminNetworkPolicySpec]("ingress"):        olderRules,
	of[v1alpha1.BaselineAdminNetworkPolicySpec]("egress"):         olderRules,
	of[v1alpha1.BaselineAdminNetworkPolicyIngressRule]("action"):  needed,
	of[v1alpha1.BaselineAdminNetworkPolicyIngressRule]("from"):    olderPeers,
	of[v1alpha1.BaselineAdminNetworkPolicyIngressRule]("ports"):   olderRules,
	of[v1alpha1.BaselineAdminNetworkPolicyEgressRule]("action"):   needed,
	of[v1alpha1.BaselineAdminNetworkPolicyEgressRule]("to"):       olderPeers,
	of[v1alpha1.BaselineAdminNetworkPolicyEgressRule]("ports"):    olderRules,
	of[v1alpha1.BaselineAdminNetworkPolicyEgressPeer]("networks"): rules,
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
