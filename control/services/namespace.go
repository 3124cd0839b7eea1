package services

import (
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// staticSourceAnnotation is NCP's: the address with which a namespace's workloads are seen outside. With
// sourcePoolAnnotation on a Namespace it is one of that IPPool, which is kept.
const staticSourceAnnotation = "ncp/static_snat_ip"

// outgoingPriority is behind that of every rule that is written.
const outgoingPriority = math.MaxInt

// readNamespace reads with which address a namespace's workloads are seen outside.
func readNamespace(v *corev1.Namespace) (s says) {
	pool, static := strings.TrimSpace(v.Annotations[sourcePoolAnnotation]), strings.TrimSpace(v.Annotations[staticSourceAnnotation])
	if pool == "" && static == "" {
		return s
	}
	w := vips.Want{Use: vips.Source, Pool: pool, Families: []int{32}}
	if static != "" {
		a, err := netip.ParseAddr(static)
		if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			s.fault(annotationPath(staticSourceAnnotation), clip(static)+" is no address that workloads can have outside", "an address of an IPPool with usage snat")
			return s
		}
		w.Families, w.Addresses = nil, []netip.Addr{a.Unmap()}
	}
	s.wants = []vips.Want{w}
	s.rules = []ruleDraft{{outgoing: true, NATRule: service.NATRule{Action: service.SNAT, Priority: outgoingPriority}}}
	return s
}

// Outgoing says if an object asks for an address for what its workloads send outside: Settings.Subnets are to have its own.
func Outgoing(v *corev1.Namespace) bool {
	return v.Annotations[sourcePoolAnnotation] != "" || v.Annotations[staticSourceAnnotation] != ""
}

// leaves completes the rule of a namespace, and reports whether there is one: it has been given an address, and has
// networks of the family.
func (r *Resolver) leaves(n *node, x *service.NATRule) bool {
	if n.grant == nil || len(n.grant.Addresses) == 0 || len(n.grant.Addresses[0]) == 0 {
		return false
	}
	given := n.grant.Addresses[0][0]
	for _, p := range r.settings.Subnets[n.key.Name] {
		if p.Addr().BitLen() == given.BitLen() {
			x.Source = append(x.Source, p)
		}
	}
	if len(x.Source) == 0 {
		return false // which would be everybody
	}
	pool := &service.SourcePool{
		ID: n.built.ids.Of(sourceName + "0"), Origin: n.key, Name: n.nameOf(""), Scope: n.scope, Addresses: []packet.Addr{packet.AddrFrom(given)},
	}
	for _, p := range x.Source {
		pool.Fixed = append(pool.Fixed, service.FixedSource{Prefix: p, To: pool.Addresses[0]})
	}
	x.Pool = pool
	return true
}

// withoutHeld returns the addresses of an IPPool that are no namespace's own. They are the same list if none is.
func (r *Resolver) withoutHeld(addresses []packet.Addr) []packet.Addr {
	held := map[packet.Addr]bool{}
	for _, n := range r.requesters {
		if n.key.Kind != kindNamespace || n.grant == nil {
			continue
		}
		for _, list := range n.grant.Addresses {
			for _, a := range list {
				held[packet.AddrFrom(a)] = true
			}
		}
	}
	isHeld := func(a packet.Addr) bool { return held[a] }
	if len(held) == 0 || !slices.ContainsFunc(addresses, isHeld) {
		return addresses
	}
	return slices.DeleteFunc(slices.Clone(addresses), isHeld)
}
