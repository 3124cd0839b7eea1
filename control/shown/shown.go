// Package shown says how objects look to who asks for them: with the addresses and ports that they were given, as
// Kubernetes' API server fills them in. What was applied stays as it was written.
package shown

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/control/vips"
)

// NCP's annotations that say what has become of sources' addresses.
const (
	ErrorAnnotation  = "ncp/error.snat"     // on a Service
	StatusAnnotation = "ncp/snat_ip_status" // on a Namespace
)

// What they say, as NCP documents it.
const (
	allocated    = "IP_ALLOCATED_SUCCESSFULLY"
	taken        = "IP_ALREADY_ALLOCATED"
	outside      = "IP_NOT_IN_POOL"
	exhausted    = "IP_POOL_EXHAUSTED"
	poolNotFound = "IP_POOL_NOT_FOUND"
	failed       = "SNAT_PROCESS_FAILED"
)

// Complete adds to an object what it was given; st is nil if nothing is known of it.
func Complete(value any, st *services.Status, s *desired.Shown) {
	switch v := value.(type) {
	case *corev1.Service:
		s.Annotations = sourceError(st)
		if st != nil {
			completeService(v, st, s)
		}
	case *corev1.Namespace:
		s.Annotations = map[string]string{StatusAnnotation: ""}
		if st != nil {
			s.Annotations[StatusAnnotation] = sourceStatus(st)
		}
	case *api.VirtualServer:
		if st != nil {
			completeVirtualServer(v, st, s)
		}
	}
	if st != nil {
		allocatedCondition(st, s)
	}
}

// completeService fills in what Kubernetes' API server and a load balancer's controller would.
func completeService(v *corev1.Service, st *services.Status, s *desired.Shown) {
	s.Spec = map[string]any{}
	if len(st.ClusterIPs) > 0 && v.Spec.ClusterIP == "" {
		s.Spec["clusterIP"], s.Spec["clusterIPs"] = st.ClusterIPs[0], st.ClusterIPs
	}
	if ports := withNodePorts(v.Spec.Ports, st.NodePorts); ports != nil {
		s.Spec["ports"] = ports
	}
	if st.HealthPort != 0 && v.Spec.HealthCheckNodePort == 0 {
		s.Spec["healthCheckNodePort"] = st.HealthPort
	}
	balancer := corev1.LoadBalancerStatus{}
	if v.Spec.Type == corev1.ServiceTypeLoadBalancer {
		mode := corev1.LoadBalancerIPModeVIP
		for _, a := range st.Addresses {
			balancer.Ingress = append(balancer.Ingress, corev1.LoadBalancerIngress{IP: a.String(), IPMode: &mode})
		}
	}
	s.Status["loadBalancer"] = balancer
}

// withNodePorts returns ports with the node ports that they were given; nil if that changes nothing.
func withNodePorts(ports []corev1.ServicePort, given []uint16) []corev1.ServicePort {
	var filled []corev1.ServicePort
	for i := range min(len(ports), len(given)) {
		if given[i] != 0 && ports[i].NodePort == 0 {
			if filled == nil {
				filled = slices.Clone(ports)
			}
			filled[i].NodePort = int32(given[i])
		}
	}
	return filled
}

// The states of a virtual server.
const (
	stateActive   = "ACTIVE"   // it takes connections, if its pool has members for them
	statePending  = "PENDING"  // it has no address yet: see its condition Allocated
	stateDisabled = "DISABLED" // spec.enabled is false
)

func completeVirtualServer(v *api.VirtualServer, st *services.Status, s *desired.Shown) {
	s.Status["addresses"] = append([]netip.Addr{}, st.Addresses...)
	state := stateActive
	switch {
	case v.Spec.Enabled != nil && !*v.Spec.Enabled:
		state = stateDisabled
	case len(st.Addresses) == 0:
		state = statePending
	}
	s.Status["state"] = state
}

// Programmed makes the condition of that name say that nothing comes of an object, if so.
func Programmed(st *services.Status, c *api.Condition) {
	if st != nil && st.Note != "" {
		c.Status, c.Reason, c.Message = "False", "NoEffect", st.Note
	}
}

// allocatedCondition says whether an object has what it asks for.
func allocatedCondition(st *services.Status, s *desired.Shown) {
	if !asks(st) {
		return
	}
	c := api.Condition{Type: api.ConditionAllocated, Status: "True", Reason: string(api.ConditionAllocated)}
	var messages []string
	for _, missing := range []bool{true, false} {
		for _, p := range st.Problems {
			if p.Warning == missing {
				continue
			}
			if len(messages) == 0 {
				c.Reason = string(p.Reason)
			}
			if missing {
				c.Status = "False"
			}
			if !slices.Contains(messages, p.Message) {
				messages = append(messages, p.Message)
			}
		}
	}
	c.Message = strings.Join(messages, "; ")
	s.AddCondition(c)
}

// asks reports whether an object has been given something, or waits for it.
func asks(st *services.Status) bool {
	return len(st.Addresses)+len(st.ClusterIPs)+len(st.NodePorts)+len(st.Problems) > 0 || st.HealthPort != 0
}

// sourceError is what a Service is told of its pool of sources' addresses.
func sourceError(st *services.Status) map[string]string {
	said := map[string]string{ErrorAnnotation: ""}
	if p := sourceProblem(st); p != nil {
		said[ErrorAnnotation] = sourceWord(p)
	}
	return said
}

// sourceStatus is what a Namespace is told likewise.
func sourceStatus(st *services.Status) string {
	switch p := sourceProblem(st); {
	case p != nil:
		return sourceWord(p)
	case len(st.Addresses) > 0:
		return allocated
	}
	return ""
}

func sourceProblem(st *services.Status) *vips.Problem {
	if st == nil {
		return nil
	}
	i := slices.IndexFunc(st.Problems, func(p vips.Problem) bool { return p.Use == vips.Source && !p.Warning })
	if i < 0 {
		return nil
	}
	return &st.Problems[i]
}

// sourceWord is NCP's word for a problem. IP_POOL_NOT_UNIQUE is never true: names of IPPools are unique.
func sourceWord(p *vips.Problem) string {
	switch p.Reason {
	case vips.NoAddressFree:
		return exhausted
	case vips.PoolNotFound, vips.NoPool:
		return poolNotFound
	case vips.AddressTaken, vips.AddressQuarantine:
		return taken
	case vips.AddressOutside:
		return outside
	}
	return failed
}
