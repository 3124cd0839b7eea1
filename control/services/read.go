package services

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/sluice-net/sluice/api"
)

// The kinds of objects that Put takes.
const (
	kindService       = "Service"
	kindEndpoints     = "Endpoints"
	kindEndpointSlice = "EndpointSlice"
	kindNamespace     = "Namespace"
	kindPool          = "Pool"
	kindMonitor       = "Monitor"
	kindVirtualServer = "VirtualServer"
	kindNATRule       = "NATRule"
	kindGroup         = "Group"
)

// Kinds are those of objects that Put takes.
func Kinds() []string {
	return []string{kindService, kindEndpoints, kindEndpointSlice, kindPool, kindMonitor, kindVirtualServer, kindNATRule, kindGroup, kindNamespace}
}

// read finds out what an object says by itself. What is of no kind that is known says nothing.
func read(value any) says {
	switch v := value.(type) {
	case *corev1.Service:
		return readService(v)
	case *corev1.Namespace:
		return readNamespace(v)
	case *discoveryv1.EndpointSlice:
		return readSlice(v)
	//lint:ignore SA1019 deprecated, and still what clusters print
	case *corev1.Endpoints:
		return readEndpoints(v)
	case *api.VirtualServer:
		return readVirtualServer(v)
	case *api.Pool:
		return readPool(v)
	case *api.Monitor:
		return readMonitor(v)
	case *api.NATRule:
		return readNATRule(v)
	}
	return says{}
}
