package services

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// slice is endpoints of a Service, all of one family, with the ports that each of them has.
type slice struct {
	ports     []slicePort
	endpoints []endpoint
}

// slicePort is a port of a Service by name, and what it is at the endpoints.
type slicePort struct {
	name     string
	protocol uint8
	port     uint16
}

// endpoint is a server of a Service, as a slice has it, or a pod is.
type endpoint struct {
	address packet.Addr
	name    string // the pod's
	node    string
	zone    string
	nodes   []string // hints: for whom it is
	zones   []string

	ready       bool
	serving     bool
	terminating bool
}

// readSlice reads an EndpointSlice. Those of no Service, and of names, have no meaning. As in kube-proxy, only the first
// address of an endpoint counts, and conditions that are not given mean: ready, serving, not terminating
// (pkg/proxy/endpointslicecache.go, newEndpointInfo; the field's documentation in k8s.io/api/discovery/v1).
func readSlice(s *discoveryv1.EndpointSlice) (all says) {
	name := s.Labels[discoveryv1.LabelServiceName]
	if name == "" || s.AddressType == discoveryv1.AddressTypeFQDN {
		return all
	}
	all.behind = service.Origin{Kind: kindService, Namespace: s.Namespace, Name: name}
	var out slice
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Port == nil {
			continue // kube-proxy: "ignoring port with nil port"
		}
		out.ports = append(out.ports, slicePort{valueOr(p.Name, ""), protocolNumber(valueOr(p.Protocol, "")), uint16(*p.Port)})
	}
	out.endpoints = make([]endpoint, 0, len(s.Endpoints))
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if len(e.Addresses) == 0 {
			continue
		}
		a, err := netip.ParseAddr(e.Addresses[0])
		if err != nil {
			continue // reported where objects are checked
		}
		x := endpoint{
			address: packet.AddrFrom(a), node: valueOr(e.NodeName, ""), zone: valueOr(e.Zone, ""),
			ready: valueOr(e.Conditions.Ready, true), serving: valueOr(e.Conditions.Serving, true), terminating: valueOr(e.Conditions.Terminating, false),
		}
		if e.TargetRef != nil {
			x.name = e.TargetRef.Name
		}
		if e.Hints != nil {
			for _, z := range e.Hints.ForZones {
				x.zones = append(x.zones, z.Name)
			}
			for _, n := range e.Hints.ForNodes {
				x.nodes = append(x.nodes, n.Name)
			}
		}
		out.endpoints = append(out.endpoints, x)
	}
	all.slices = []slice{out}
	return all
}

// readEndpoints reads an Endpoints: each subset is a slice of ready addresses and of others.
//
//lint:ignore SA1019 deprecated, and still what clusters print
func readEndpoints(e *corev1.Endpoints) (all says) {
	all.behind = service.Origin{Kind: kindService, Namespace: e.Namespace, Name: e.Name}
	for i := range e.Subsets {
		s := &e.Subsets[i]
		var out slice
		for _, p := range s.Ports {
			out.ports = append(out.ports, slicePort{p.Name, protocolNumber(p.Protocol), uint16(p.Port)})
		}
		add := func(list []corev1.EndpointAddress, ready bool) {
			for j := range list {
				a, err := netip.ParseAddr(list[j].IP)
				if err != nil {
					continue
				}
				x := endpoint{address: packet.AddrFrom(a), node: valueOr(list[j].NodeName, ""), ready: ready, serving: ready}
				if list[j].TargetRef != nil {
					x.name = list[j].TargetRef.Name
				}
				out.endpoints = append(out.endpoints, x)
			}
		}
		add(s.Addresses, true)
		add(s.NotReadyAddresses, false)
		all.slices = append(all.slices, out)
	}
	return all
}

// port returns the port of a slice that is a Service's port: by name and protocol, as ServicePortName has them in
// pkg/proxy/types.go.
func (s *slice) port(name string, protocol uint8) (port uint16, found bool) {
	i := slices.IndexFunc(s.ports, func(p slicePort) bool { return p.name == name && p.protocol == protocol })
	if i < 0 {
		return 0, false
	}
	return s.ports[i].port, true
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// protocolNumber is an IP protocol number; TCP if none is written.
func protocolNumber(p corev1.Protocol) uint8 {
	switch strings.ToUpper(string(p)) {
	case "UDP":
		return packet.ProtoUDP
	case "SCTP":
		return packet.ProtoSCTP
	}
	return packet.ProtoTCP
}
