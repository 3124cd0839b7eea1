package control

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/sluice-net/sluice/api"
)

// Scope says whether a kind's objects are in namespaces.
type Scope uint8

// The scopes.
const (
	ClusterScope  Scope = iota // metadata.namespace is a fault
	OptionalScope              // may have one
	DefaultScope               // has one, "default" if none is given, as in Kubernetes
)

// KindInfo is what is to be known of a kind without an object of it.
type KindInfo struct {
	APIVersion string
	Kind       string   // as objects have it: EndpointSlice
	Plural     string   // lower case: endpointslices
	Singular   string   // lower case: endpointslice
	Short      []string // kubectl's, and those of sluice get
	Scope      Scope
	Type       reflect.Type // of Object.Value without the pointer
}

// Namespaced reports whether objects of the kind may be in a namespace.
func (k KindInfo) Namespaced() bool { return k.Scope != ClusterScope }

// Group returns the part of the apiVersion before the slash; empty for v1.
func (k KindInfo) Group() string {
	group, _, found := strings.Cut(k.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// Version returns the part of the apiVersion after the slash.
func (k KindInfo) Version() string {
	return k.APIVersion[strings.LastIndexByte(k.APIVersion, '/')+1:]
}

// answersTo reports whether a lower-case word names the kind: its kind,
// plural, singular or short name, or plural.group and plural.version.group.
func (k KindInfo) answersTo(word string) bool {
	return word == k.Plural || word == k.Singular || word == strings.ToLower(k.Kind) || slices.Contains(k.Short, word) ||
		k.Group() != "" && (word == k.Plural+"."+k.Group() || word == k.Plural+"."+k.Version()+"."+k.Group())
}

// kind is a kind of object in a version of its API.
type kind struct {
	KindInfo           // Type is nil if the kind is known, but not supported by this version
	imported *imported // nil for versions that are kept
}

// imported is how an older version of a kind becomes the one that is kept.
type imported struct {
	keep  func(value any) (kept any, err error)
	paths *strings.Replacer // of fields of what is kept, to their names in the older version
}

// kinds are all that objects may be of. Pod has not kubectl's short name po:
// sluice get had it for ports before it had objects, and a Pod is a port, too.
var kinds = []kind{
	{KindInfo{api.APIVersion, "NodeConfig", "nodeconfigs", "nodeconfig", []string{"nc"}, ClusterScope, reflect.TypeFor[api.NodeConfig]()}, nil},
	{KindInfo{api.APIVersion, "Segment", "segments", "segment", []string{"seg"}, ClusterScope, reflect.TypeFor[api.Segment]()}, nil},
	{KindInfo{api.APIVersion, "Port", "ports", "port", []string{"po"}, OptionalScope, reflect.TypeFor[api.Port]()}, nil},
	{KindInfo{api.APIVersion, "Router", "routers", "router", []string{"rtr"}, ClusterScope, reflect.TypeFor[api.Router]()}, nil},
	{KindInfo{api.APIVersion, "IPPool", "ippools", "ippool", []string{"ipp"}, ClusterScope, reflect.TypeFor[api.IPPool]()}, nil},
	{KindInfo{api.APIVersion, "NATRule", "natrules", "natrule", []string{"nat"}, OptionalScope, reflect.TypeFor[api.NATRule]()}, nil},
	{KindInfo{api.APIVersion, "Group", "groups", "group", []string{"grp"}, OptionalScope, reflect.TypeFor[api.Group]()}, nil},
	{KindInfo{api.APIVersion, "FirewallService", "firewallservices", "firewallservice", []string{"fwsvc"}, OptionalScope, reflect.TypeFor[api.FirewallService]()}, nil},
	{KindInfo{api.APIVersion, "SecurityPolicy", "securitypolicies", "securitypolicy", []string{"secpol"}, OptionalScope, reflect.TypeFor[api.SecurityPolicy]()}, nil},
	{KindInfo{api.APIVersion, "SessionTimerProfile", "sessiontimerprofiles", "sessiontimerprofile", nil, OptionalScope, reflect.TypeFor[api.SessionTimerProfile]()}, nil},
	{KindInfo{api.APIVersion, "FloodProtectionProfile", "floodprotectionprofiles", "floodprotectionprofile", nil, OptionalScope, reflect.TypeFor[api.FloodProtectionProfile]()}, nil},
	{KindInfo{api.APIVersion, "VirtualServer", "virtualservers", "virtualserver", []string{"vs"}, OptionalScope, reflect.TypeFor[api.VirtualServer]()}, nil},
	{KindInfo{api.APIVersion, "Pool", "pools", "pool", nil, OptionalScope, reflect.TypeFor[api.Pool]()}, nil},
	{KindInfo{api.APIVersion, "Monitor", "monitors", "monitor", []string{"mon"}, OptionalScope, reflect.TypeFor[api.Monitor]()}, nil},
	{KindInfo{api.APIVersion, "QoSProfile", "qosprofiles", "qosprofile", nil, OptionalScope, nil}, nil},
	{KindInfo{api.APIVersion, "MirrorSession", "mirrorsessions", "mirrorsession", nil, OptionalScope, nil}, nil},
	{KindInfo{api.APIVersion, "FlowExporter", "flowexporters", "flowexporter", nil, OptionalScope, nil}, nil},
	{KindInfo{api.APIVersion, "Traceflow", "traceflows", "traceflow", nil, OptionalScope, nil}, nil},
	{KindInfo{"v1", "Namespace", "namespaces", "namespace", []string{"ns"}, ClusterScope, reflect.TypeFor[corev1.Namespace]()}, nil},
	{KindInfo{"v1", "Pod", "pods", "pod", nil, DefaultScope, reflect.TypeFor[corev1.Pod]()}, nil},
	{KindInfo{"v1", "Service", "services", "service", []string{"svc"}, DefaultScope, reflect.TypeFor[corev1.Service]()}, nil},
	//lint:ignore SA1019 deprecated, and still what clusters print
	{KindInfo{"v1", "Endpoints", "endpoints", "endpoints", []string{"ep"}, DefaultScope, reflect.TypeFor[corev1.Endpoints]()}, nil},
	{KindInfo{"v1", "Secret", "secrets", "secret", nil, DefaultScope, reflect.TypeFor[corev1.Secret]()}, nil},
	{KindInfo{"discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "endpointslice", nil, DefaultScope, reflect.TypeFor[discoveryv1.EndpointSlice]()}, nil},
	{KindInfo{ingressVersion, "Ingress", "ingresses", "ingress", []string{"ing"}, DefaultScope, reflect.TypeFor[networkingv1.Ingress]()}, nil},
	{KindInfo{"networking.k8s.io/v1beta1", "Ingress", "ingresses", "ingress", []string{"ing"}, DefaultScope, reflect.TypeFor[networkingv1beta1.Ingress]()}, &ingressImport},
	{KindInfo{"extensions/v1beta1", "Ingress", "ingresses", "ingress", []string{"ing"}, DefaultScope, reflect.TypeFor[extensionsv1beta1.Ingress]()}, &ingressImport},
	{KindInfo{"networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "networkpolicy", []string{"netpol"}, DefaultScope, reflect.TypeFor[networkingv1.NetworkPolicy]()}, nil},
	{KindInfo{"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies", "clusternetworkpolicy", []string{"cnp"}, ClusterScope, reflect.TypeFor[v1alpha2.ClusterNetworkPolicy]()}, nil},
	{KindInfo{"policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies", "adminnetworkpolicy", []string{"anp"}, ClusterScope, reflect.TypeFor[v1alpha1.AdminNetworkPolicy]()}, nil},
	{KindInfo{"policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", "baselineadminnetworkpolicy", []string{"banp"}, ClusterScope, reflect.TypeFor[v1alpha1.BaselineAdminNetworkPolicy]()}, nil},
}

// Kinds returns the kinds that this version reads and keeps: native ones first. Older
// versions, which are imported, are not among them. The caller owns the slice.
func Kinds() []KindInfo {
	var all []KindInfo
	for _, k := range kinds {
		if k.Type != nil && k.imported == nil {
			all = append(all, k.KindInfo)
		}
	}
	return all
}

// Imports returns the kinds in older versions, which are read and kept as the
// version that Kinds has.
func Imports() []KindInfo {
	var all []KindInfo
	for _, k := range kinds {
		if k.imported != nil {
			all = append(all, k.KindInfo)
		}
	}
	return all
}

// KindNamed finds a kind of Kinds by whatever kubectl would take for it, in letters of
// either case: Service, services, svc, ingresses.networking.k8s.io,
// ingresses.v1.networking.k8s.io.
func KindNamed(word string) (k KindInfo, found bool) {
	word = strings.ToLower(word)
	for _, k := range Kinds() {
		if k.answersTo(word) {
			return k, true
		}
	}
	return KindInfo{}, false
}

// KindHint names the kind that a word which KindNamed does not find was probably meant to be,
// as a hint for the user; or all that there are.
func KindHint(word string) string {
	var words, names []string
	for _, k := range Kinds() {
		words = append(words, k.Singular, k.Plural)
		names = append(names, k.Plural)
	}
	if near := nearest(word, words); near != "" {
		return "did you mean " + near + "?"
	}
	return "one of " + strings.Join(names, ", ")
}

// NotImplemented says why this version accepts objects of a kind and does not put them into
// effect; empty for kinds that it does.
func NotImplemented(kind string) (reason string) {
	switch kind {
	case "Ingress":
		return "this version has no load balancer for HTTP"
	}
	return ""
}

// notImplemented lists the objects of sorted ones that are not put into effect.
func notImplemented(sorted []*Object) (keys []Key) {
	for _, o := range sorted {
		if NotImplemented(o.Kind) != "" {
			keys = append(keys, o.Key())
		}
	}
	return keys
}

// kindsNamed returns the kinds of that name, in whatever version.
func kindsNamed(name string) (found []kind) {
	for _, k := range kinds {
		if k.Kind == name {
			found = append(found, k)
		}
	}
	return found
}

// kindHint names the kind that was probably meant, or those that there are.
func kindHint(name string) string {
	all, supported := []string{"List"}, []string{"List"}
	for _, k := range kinds {
		all = append(all, k.Kind)
		if k.Type != nil && k.imported == nil {
			supported = append(supported, k.Kind)
		}
	}
	if k, found := KindNamed(name); found {
		return "did you mean " + k.Kind + "?"
	}
	if near := nearest(name, all); near != "" {
		return "did you mean " + near + "?"
	}
	slices.Sort(supported)
	return "this version reads " + strings.Join(supported, ", ") + "; --skip-unknown passes over others"
}
