package control

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
)

// scope says whether a kind's objects are in namespaces.
type scope uint8

const (
	clusterScope  scope = iota // metadata.namespace is a fault
	optionalScope              // may have one
	defaultScope               // has one, "default" if none is given, as in Kubernetes
)

// kind is a kind of object that Sluice knows.
type kind struct {
	apiVersion string
	name       string
	scope      scope
	typ        reflect.Type // nil: known, but not supported by this version
}

var kinds = []kind{
	{api.APIVersion, "NodeConfig", clusterScope, reflect.TypeFor[api.NodeConfig]()},
	{api.APIVersion, "Segment", clusterScope, reflect.TypeFor[api.Segment]()},
	{api.APIVersion, "Port", optionalScope, reflect.TypeFor[api.Port]()},
	{api.APIVersion, "Router", clusterScope, reflect.TypeFor[api.Router]()},
	{api.APIVersion, "IPPool", clusterScope, reflect.TypeFor[api.IPPool]()},
	{api.APIVersion, "NATRule", optionalScope, nil},
	{api.APIVersion, "Group", optionalScope, nil},
	{api.APIVersion, "SecurityPolicy", optionalScope, nil},
	{api.APIVersion, "VirtualServer", optionalScope, nil},
	{api.APIVersion, "Pool", optionalScope, nil},
	{api.APIVersion, "QoSProfile", optionalScope, nil},
	{api.APIVersion, "MirrorSession", optionalScope, nil},
	{api.APIVersion, "FlowExporter", optionalScope, nil},
	{api.APIVersion, "Traceflow", optionalScope, nil},
	{"v1", "Namespace", clusterScope, reflect.TypeFor[corev1.Namespace]()},
	{"v1", "Pod", defaultScope, reflect.TypeFor[corev1.Pod]()},
	{"v1", "Service", defaultScope, nil},
	{"v1", "Endpoints", defaultScope, nil},
	{"v1", "Secret", defaultScope, nil},
	{"discovery.k8s.io/v1", "EndpointSlice", defaultScope, nil},
	{"networking.k8s.io/v1", "Ingress", defaultScope, nil},
	{"extensions/v1beta1", "Ingress", defaultScope, nil},
	{"networking.k8s.io/v1", "NetworkPolicy", defaultScope, nil},
}

// kindsNamed returns the kinds of that name, in whatever version.
func kindsNamed(name string) (found []kind) {
	for _, k := range kinds {
		if k.name == name {
			found = append(found, k)
		}
	}
	return found
}

// kindHint names the kind that was probably meant, or those that there are.
func kindHint(name string) string {
	all, supported := []string{"List"}, []string{"List"}
	for _, k := range kinds {
		all = append(all, k.name)
		if k.typ != nil {
			supported = append(supported, k.name)
		}
	}
	if near := nearest(name, all); near != "" {
		return "did you mean " + near + "?"
	}
	slices.Sort(supported)
	return "this version reads " + strings.Join(supported, ", ")
}
