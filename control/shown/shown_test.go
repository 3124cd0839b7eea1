package shown_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/control/shown"
	"github.com/sluice-net/sluice/control/vips"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// look returns what an object is shown with, as JSON.
func look(t *testing.T, value any, st *services.Status) string {
	s := &desired.Shown{Status: map[string]any{}}
	shown.Complete(value, st, s)
	text, err := json.Marshal(s)
	require.NoError(t, err)
	return string(text)
}

func service(change func(*corev1.ServiceSpec)) *corev1.Service {
	v := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}, {Port: 443, NodePort: 30443}}}}
	if change != nil {
		change(&v.Spec)
	}
	return v
}

func problem(use vips.Use, reason vips.Reason) vips.Problem {
	return vips.Problem{Use: use, Reason: reason, Message: string(reason) + " it is"}
}

func TestComplete(t *testing.T) {
	warning := problem(vips.Virtual, vips.HeldOutsidePools)
	warning.Warning = true
	for _, test := range []struct {
		why   string
		value any
		st    *services.Status
		want  string
	}{
		{
			"a Service is shown with the addresses and node ports that it was given", service(nil),
			&services.Status{Addresses: []netip.Addr{ip("192.0.2.1")}, ClusterIPs: []netip.Addr{ip("172.30.0.1"), ip("fd00::1")}, NodePorts: []uint16{30080, 30443}, HealthPort: 30999},
			`{"Status":{"conditions":[{"type":"Allocated","status":"True","reason":"Allocated"}],"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ipMode":"VIP"}]}},
			"Spec":{"clusterIP":"172.30.0.1","clusterIPs":["172.30.0.1","fd00::1"],"healthCheckNodePort":30999,
			"ports":[{"port":80,"targetPort":0,"nodePort":30080},{"port":443,"targetPort":0,"nodePort":30443}]},"Annotations":{"ncp/error.snat":""}}`,
		},
		{
			"what was written is shown as it was written", service(func(s *corev1.ServiceSpec) {
				s.ClusterIP, s.HealthCheckNodePort, s.Ports = "172.30.158.1", 31000, s.Ports[1:]
			}),
			&services.Status{ClusterIPs: []netip.Addr{ip("172.30.158.1")}, NodePorts: []uint16{30443}, HealthPort: 31000},
			`{"Status":{"conditions":[{"type":"Allocated","status":"True","reason":"Allocated"}],"loadBalancer":{}},"Spec":{},"Annotations":{"ncp/error.snat":""}}`,
		},
		{
			"one that waits has no address, and says why", service(func(s *corev1.ServiceSpec) { s.Ports = nil }),
			&services.Status{Problems: []vips.Problem{warning, problem(vips.Virtual, vips.NoAddressFree), problem("", vips.NoNodePortFree)}},
			`{"Status":{"conditions":[{"type":"Allocated","status":"False","reason":"NoAddressFree","message":"NoAddressFree it is; NoNodePortFree it is; AddressOutsidePools it is"}],"loadBalancer":{}},
			"Spec":{},"Annotations":{"ncp/error.snat":""}}`,
		},
		{
			"a warning leaves the condition true", service(func(s *corev1.ServiceSpec) { s.Type, s.Ports = corev1.ServiceTypeClusterIP, nil }),
			&services.Status{Addresses: []netip.Addr{ip("192.0.2.1")}, Problems: []vips.Problem{warning}},
			`{"Status":{"conditions":[{"type":"Allocated","status":"True","reason":"AddressOutsidePools","message":"AddressOutsidePools it is"}],"loadBalancer":{}},
			"Spec":{},"Annotations":{"ncp/error.snat":""}}`,
		},
		{
			"a Service that asks for nothing has no condition for it", service(nil), &services.Status{Note: "it is headless"},
			`{"Status":{"loadBalancer":{}},"Spec":{},"Annotations":{"ncp/error.snat":""}}`,
		},
		{
			"the pool of sources' addresses is used up", service(func(s *corev1.ServiceSpec) { s.Ports = nil }), &services.Status{Problems: []vips.Problem{problem(vips.Source, vips.NoAddressFree)}},
			`{"Status":{"conditions":[{"type":"Allocated","status":"False","reason":"NoAddressFree","message":"NoAddressFree it is"}],"loadBalancer":{}},
			"Spec":{},"Annotations":{"ncp/error.snat":"IP_POOL_EXHAUSTED"}}`,
		},
		{
			"a Service that nothing is known of is as it was written", service(nil), nil,
			`{"Status":{},"Spec":null,"Annotations":{"ncp/error.snat":""}}`,
		},
		{
			"a virtual server has its addresses and a state", &api.VirtualServer{}, &services.Status{Addresses: []netip.Addr{ip("192.0.2.1")}},
			`{"Status":{"addresses":["192.0.2.1"],"state":"ACTIVE","conditions":[{"type":"Allocated","status":"True","reason":"Allocated"}]},"Spec":null,"Annotations":null}`,
		},
		{
			"one that waits", &api.VirtualServer{}, &services.Status{Problems: []vips.Problem{problem(vips.Virtual, vips.NoPool)}},
			`{"Status":{"addresses":[],"state":"PENDING","conditions":[{"type":"Allocated","status":"False","reason":"NoPool","message":"NoPool it is"}]},"Spec":null,"Annotations":null}`,
		},
		{
			"one that is switched off", &api.VirtualServer{Spec: api.VirtualServerSpec{Enabled: new(bool)}}, &services.Status{Addresses: []netip.Addr{ip("192.0.2.1")}},
			`{"Status":{"addresses":["192.0.2.1"],"state":"DISABLED","conditions":[{"type":"Allocated","status":"True","reason":"Allocated"}]},"Spec":null,"Annotations":null}`,
		},
		{
			"a namespace has an address for its connections", &corev1.Namespace{}, &services.Status{Addresses: []netip.Addr{ip("192.0.2.1")}},
			`{"Status":{"conditions":[{"type":"Allocated","status":"True","reason":"Allocated"}]},"Spec":null,"Annotations":{"ncp/snat_ip_status":"IP_ALLOCATED_SUCCESSFULLY"}}`,
		},
		{
			"a namespace asks for an address that is not in its pool", &corev1.Namespace{}, &services.Status{Problems: []vips.Problem{problem(vips.Source, vips.AddressOutside)}},
			`{"Status":{"conditions":[{"type":"Allocated","status":"False","reason":"AddressNotInPool","message":"AddressNotInPool it is"}]},"Spec":null,"Annotations":{"ncp/snat_ip_status":"IP_NOT_IN_POOL"}}`,
		},
		{
			"a namespace that asks for none is told nothing, whatever was written", &corev1.Namespace{}, nil,
			`{"Status":{},"Spec":null,"Annotations":{"ncp/snat_ip_status":""}}`,
		},
	} {
		t.Run(test.why, func(t *testing.T) {
			require.JSONEq(t, test.want, look(t, test.value, test.st))
		})
	}
}

func TestCompleteWritesToNoObject(t *testing.T) {
	v := service(nil)
	before := v.DeepCopy()
	look(t, v, &services.Status{NodePorts: []uint16{30080, 0}, ClusterIPs: []netip.Addr{ip("172.30.0.1")}})
	require.Equal(t, before, v)
}

func TestProgrammed(t *testing.T) {
	c := api.Condition{Type: api.ConditionProgrammed, Status: "True", Reason: "Programmed"}
	was := c
	shown.Programmed(nil, &c)
	shown.Programmed(&services.Status{}, &c)
	require.Equal(t, was, c)
	shown.Programmed(&services.Status{Note: "it is headless"}, &c)
	require.Equal(t, api.Condition{Type: api.ConditionProgrammed, Status: "False", Reason: "NoEffect", Message: "it is headless"}, c)
}
