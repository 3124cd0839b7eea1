package services

import (
	"fmt"
	"math/big"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// readPool reads a Pool.
func readPool(v *api.Pool) (s says) {
	spec := v.Spec
	if spec.PassiveMonitor != nil { // objects are not written to
		own := *spec.PassiveMonitor
		spec.PassiveMonitor = &own
	}
	if spec.MemberGroup != nil {
		own := *spec.MemberGroup
		spec.MemberGroup = &own
	}
	api.SetDefaults(&spec)
	d := poolDraft{
		Pool: service.Pool{
			Algorithm: service.Algorithm(oneOf(service.Algorithms(), string(spec.Algorithm))), TableSize: spec.TableSize,
			MinActive: spec.MinActiveMembers, SlowStartNs: int64(spec.SlowStartSeconds * 1e9),
		},
		byDefault: spec.Algorithm == "",
	}
	s.tableSize(&spec)
	d.members = s.members("spec.members", spec.Members, false)
	if spec.MemberGroup != nil {
		d.group = s.memberGroup(v.Namespace, spec.MemberGroup)
	}
	for i, name := range spec.ActiveMonitors {
		path := index("spec.activeMonitors", i)
		for j, other := range spec.ActiveMonitors[:i] {
			if other == name {
				s.fault(path, "the Monitor "+clip(name)+" is there twice", "also in "+index("spec.activeMonitors", j))
			}
		}
		d.monitors = append(d.monitors, s.named(kindMonitor, path, name))
	}
	if p := spec.PassiveMonitor; p != nil {
		d.Passive = &service.Passive{MaxFails: p.MaxFails, TimeoutNs: s.nanoseconds("spec.passiveMonitor.timeoutSeconds", p.TimeoutSeconds)}
	}
	d.source = s.translation(spec.SNATTranslation)
	s.pools = []poolDraft{d}
	return s
}

func (s *says) tableSize(spec *api.PoolSpec) {
	n := spec.TableSize
	const path = "spec.tableSize"
	switch {
	case n == 0:
	case spec.Algorithm != "" && spec.Algorithm != api.AlgorithmIPHash && spec.Algorithm != api.AlgorithmTupleHash && spec.Algorithm != api.AlgorithmMaglev:
		s.fault(path, "has no meaning with the algorithm "+string(spec.Algorithm), "it is of IP_HASH, TUPLE_HASH and MAGLEV")
	case !prime(n):
		s.fault(path, strconv.Itoa(n)+" is not a prime number", "the next one is "+strconv.Itoa(nextPrime(n)))
	case n < len(spec.Members):
		s.fault(path, fmt.Sprintf("%d is less than the number of members, which is %d", n, len(spec.Members)), "100 times the members spreads within 1 %")
	}
}

// prime is exact for what fits an int (math/big, ProbablyPrime).
func prime(n int) bool { return big.NewInt(int64(n)).ProbablyPrime(0) }

func nextPrime(n int) int {
	for !prime(n) {
		n++
	}
	return n
}

// members reads a list of members; of customized ones, no two have an address.
func (s *says) members(path string, list []api.PoolMember, custom bool) (all []memberDraft) {
	type place struct {
		address packet.Addr
		port    int
	}
	first := map[place]int{}
	for i := range list {
		m, where := &list[i], index(path, i)
		at := place{packet.AddrFrom(m.Address), m.Port}
		if custom {
			at.port = 0
		}
		if j, found := first[at]; found {
			s.fault(where, "the member "+memberText(m, custom)+" is there twice", "also in "+index(path, j))
			continue
		}
		first[at] = i
		if !s.host(where+".address", m.Address) {
			continue
		}
		d := memberDraft{path: where, Member: service.Member{
			Name: m.DisplayName, Address: at.address, Port: uint16(m.Port), Weight: uint16(max(m.Weight, 1)),
			Backup: m.BackupMember, MaxConnections: uint32(m.MaxConcurrentConnections),
		}}
		switch m.AdminState {
		case api.AdminGracefulDisabled:
			d.Admin = service.Draining
		case api.AdminDisabled:
			d.Admin = service.Disabled
		}
		all = append(all, d)
	}
	return all
}

func memberText(m *api.PoolMember, custom bool) string {
	switch {
	case m.Port == 0 || custom:
		return m.Address.String()
	case m.Address.Is6():
		return fmt.Sprintf("[%s]:%d", m.Address, m.Port)
	}
	return fmt.Sprintf("%s:%d", m.Address, m.Port)
}

// memberGroup reads who are members as they come and go.
func (s *says) memberGroup(own string, g *api.PoolMemberGroup) *groupMembers {
	const path = "spec.memberGroup"
	selects := g.PodSelector != nil || g.NamespaceSelector != nil
	d := &groupMembers{
		most:     g.MaxIPListSize,
		families: [2]bool{g.IPRevisionFilter != api.FilterIPv6, g.IPRevisionFilter != api.FilterIPv4},
		custom:   s.members(path+".customizedMembers", g.CustomizedMembers, true),
	}
	switch {
	case g.Group == "" && !selects:
		s.fault(path, "a group, a podSelector or a namespaceSelector is needed", "podSelector: {} stands for all")
	case g.Group != "" && selects:
		s.fault(path+".group", "not together with selectors", "leave it out, or the selectors")
	case g.Group != "":
		d.group = s.named(kindGroup, path+".group", g.Group)
	default:
		d.of = s.selector(path+".podSelector", g.PodSelector)
		d.ofNamespace = s.selector(path+".namespaceSelector", g.NamespaceSelector)
		if g.NamespaceSelector == nil {
			d.namespace = own
		}
	}
	switch {
	case g.Port == nil:
	case g.Port.Type == intstr.String:
		d.portName = g.Port.StrVal
	default:
		d.port = uint16(g.Port.IntVal)
	}
	return d
}

// selector reads one; nil is any.
func (s *says) selector(path string, l *metav1.LabelSelector) labels.Selector {
	if l == nil {
		return nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(l)
	if err != nil {
		s.fault(path, "is not a selector: "+err.Error(), "")
		return labels.Nothing()
	}
	return parsed
}

// translation reads what members see of clients.
func (s *says) translation(t *api.SNATTranslation) (d sourceDraft) {
	if t == nil {
		return d
	}
	const path = "spec.snatTranslation"
	switch t.Type {
	case api.SNATAutomap:
		d.mode = service.SourceAutomap
	case api.SNATDisabled:
		d.mode = service.SourceKept
	case api.SNATIPPool:
		if t.IPPool == "" {
			s.fault(path, "ipPool is needed with the type IP_POOL", "the name of an IPPool with usage snat")
			return d
		}
		d = sourceDraft{mode: service.SourceFromPool, pool: t.IPPool, path: path + ".ipPool"}
	}
	if t.Type != api.SNATIPPool && t.IPPool != "" {
		s.fault(path+".ipPool", "not with the type "+string(t.Type), "write type: IP_POOL, or leave it out")
	}
	return d
}

// checkMonitor reports what a Pool and one of its monitors don't have in common: a member without a port, which is where
// the client connects to, and a probe that needs one.
func (n *node) checkMonitor(p *poolDraft, m *service.Monitor, ref reference) {
	if m == nil || m.Type == service.MonitorICMP || m.Port != 0 {
		return
	}
	path := ""
	for i := range p.members {
		if p.members[i].Port == 0 {
			path = p.members[i].path
			break
		}
	}
	if p.group != nil && p.group.port == 0 && p.group.portName == "" {
		path = "spec.memberGroup"
	}
	if path != "" {
		n.fault(path, "has no port that the Monitor "+clip(ref.name)+" could probe", "write port, or monitorPort in the Monitor")
	}
}
