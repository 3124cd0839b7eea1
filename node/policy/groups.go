package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Groups are a model's Groups with their effective members, in order of names.
func Groups(m *control.Model) []api.GroupView {
	p := Of(m)
	ports := make(map[uint16]*control.Port, len(m.Ports))
	for _, port := range m.Ports {
		ports[port.Number] = port
	}
	uses := usesOf(m, p)
	views := make([]api.GroupView, 0, len(m.Groups))
	for i := range m.Groups {
		g := &m.Groups[i]
		v := api.GroupView{Name: fullName(g.Origin.Namespace, g.Origin.Name)}
		v.UsedBy = uses[v.Name]
		if set := SetOf(p, g.Set); set != nil {
			fill(&v, set, ports)
		}
		v.Warnings = append(v.Warnings, warnings(&v)...)
		views = append(views, v)
	}
	slices.SortFunc(views, func(a, b api.GroupView) int { return strings.Compare(a.Name, b.Name) })
	return views
}

func fullName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// fill adds the members of a set.
func fill(v *api.GroupView, set *policy.Set, ports map[uint16]*control.Port) {
	for _, number := range set.Ports {
		port := ports[number]
		if port == nil {
			continue
		}
		member := api.GroupPort{Name: port.Name}
		for _, a := range port.Addresses {
			if a.IP.IsValid() {
				member.Addresses = append(member.Addresses, a.IP)
			}
		}
		v.Ports = append(v.Ports, member)
	}
	slices.SortFunc(v.Ports, func(a, b api.GroupPort) int { return strings.Compare(a.Name, b.Name) })
	for _, prefix := range set.Prefixes {
		v.Prefixes = append(v.Prefixes, netipPrefix(prefix))
	}
	for _, mac := range set.MACs {
		v.MACs = append(v.MACs, api.MAC(mac))
	}
}

// netipPrefix is the inverse of policy.PrefixOf.
func netipPrefix(p policy.Prefix) netip.Prefix {
	if p.Addr.Is4() && p.Bits >= 96 {
		return netip.PrefixFrom(p.Addr.Netip(), int(p.Bits)-96)
	}
	return netip.PrefixFrom(netip.AddrFrom16(p.Addr.As16()), int(p.Bits))
}

// warnings name what is probably not meant.
func warnings(v *api.GroupView) (list []string) {
	if len(v.Ports)+len(v.Prefixes)+len(v.MACs) == 0 {
		return []string{"nobody is in it: rules about it match nothing"}
	}
	byAddress := slices.ContainsFunc(v.UsedBy, func(u api.GroupUse) bool { return u.Category != api.CategoryEthernet && u.As[0] != asAppliedTo })
	var without []string
	for i := range v.Ports {
		if len(v.Ports[i].Addresses) == 0 && byAddress {
			without = append(without, v.Ports[i].Name)
		}
	}
	if len(without) > 0 {
		list = append(list, "rules by source and destination never match members without an address: "+few(without))
	}
	if len(v.Ports) == 0 && slices.ContainsFunc(v.UsedBy, func(u api.GroupUse) bool { return slices.Contains(u.As, asAppliedTo) }) {
		list = append(list, "rules are applied to it, and it has addresses but no ports: they are nowhere")
	}
	return list
}

// The places where a rule may name a group. A rule that names one in several is listed once, with appliedTo last.
const (
	asSource      = "source"
	asDestination = "destination"
	asAppliedTo   = "appliedTo"
)

// usesOf finds the rules that name each group, by its name. Those of a group within a group are the outer's.
func usesOf(m *control.Model, p *policy.Policy) map[string][]api.GroupUse {
	named := make(map[string]policy.SetID, len(m.Groups))
	bySet := map[policy.SetID][]string{}
	for i := range m.Groups {
		g := &m.Groups[i]
		name := fullName(g.Origin.Namespace, g.Origin.Name)
		named[name] = g.Set
		bySet[g.Set] = append(bySet[g.Set], name)
	}
	uses := map[string][]api.GroupUse{}
	if len(named) == 0 {
		return uses
	}
	for _, s := range p.Sections {
		for i := range s.Rules {
			r := &s.Rules[i]
			as := map[string][]string{}
			var order []string
			add := func(name, where string) {
				if as[name] == nil {
					order = append(order, name)
				}
				as[name] = append(as[name], where)
			}
			for _, side := range []struct {
				where string
				texts []string
			}{{asSource, r.SourceText}, {asDestination, r.DestText}} {
				for _, text := range side.texts {
					if name, found := meant(named, s.Origin.Namespace, text); found {
						add(name, side.where)
					}
				}
			}
			for _, name := range bySet[r.AppliedTo] {
				add(name, asAppliedTo)
			}
			for _, name := range order {
				uses[name] = append(uses[name], api.GroupUse{RuleRef: Refer(s, r), As: slices.Compact(as[name])})
			}
		}
	}
	return uses
}

// meant is the group that a policy in a namespace means by a name: one of its own namespace, or else one without.
func meant(named map[string]policy.SetID, namespace, text string) (name string, found bool) {
	if namespace != "" {
		if _, found = named[namespace+"/"+text]; found {
			return namespace + "/" + text, true
		}
	}
	_, found = named[text]
	return text, found
}

// AtPort is what the firewall does at a port.
func AtPort(m *control.Model, port *control.Port) *api.PortFirewall {
	p := Of(m)
	v := &api.PortFirewall{Reason: Unfiltered(p, port)}
	if v.Filtered = v.Reason == ""; !v.Filtered {
		return v
	}
	v.Default = api.SecurityAction(p.Default.Action.String())
	for i := range m.TimerProfiles {
		if t := &m.TimerProfiles[i]; t.AppliedTo == policy.Any || holds(p, t.AppliedTo, port.Number) {
			v.TimerProfile = fullName(t.Namespace, t.Name)
			break
		}
	}
	for i := range m.FloodProfiles {
		if f := &m.FloodProfiles[i]; f.AppliedTo == policy.Any || holds(p, f.AppliedTo, port.Number) {
			v.FloodProfile = fullName(f.Namespace, f.Name)
			v.FloodCaps = &api.FloodCaps{
				HalfOpenTCP: f.HalfOpenTCP, UDP: f.UDP, ICMP: f.ICMP, Other: f.Other, SYNCache: f.SYNCache, RSTSpoofing: f.RSTSpoofing,
			}
			break
		}
	}
	return v
}
