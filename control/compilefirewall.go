package control

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// firewallSettings reads what the NodeConfig says of the firewall; o is nil if there is none.
func (c *compiler) firewallSettings(o *Object, spec *api.NodeConfigSpec) {
	sections := spec.Firewall.Kubernetes
	c.firewall = ruleset.Settings{
		DefaultAction: policyAction(spec.DefaultRule.Action), DefaultLogged: spec.DefaultRule.Logged,
		Exclude: spec.Firewall.Exclude, Top: int64(sections.TopSequence), Bottom: int64(sections.BottomSequence),
	}
	if o != nil {
		c.firewall.Object = originOf(o.Key())
	}
	if sections.BottomSequence < sections.TopSequence+fewestSequences {
		path := "spec.firewall.kubernetes.bottomSequence"
		if o.Value.(*api.NodeConfig).Spec.Firewall.Kubernetes.BottomSequence == 0 {
			path = "spec.firewall.kubernetes.topSequence"
		}
		c.fault(o, path, "too little is between topSequence and bottomSequence for Kubernetes' policies", "bottomSequence is at least 2000 more than topSequence")
	}
}

// fewestSequences is what the sections made of Kubernetes' objects need.
const fewestSequences = 2000

func policyAction(a api.RuleAction) policy.Action {
	switch a {
	case api.ActionDrop:
		return policy.Drop
	case api.ActionReject:
		return policy.Reject
	}
	return policy.Allow
}

func originOf(k Key) policy.Origin {
	return policy.Origin{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
}

// checkRules tells the resolver which objects are others than before, and reports what is wrong with those that
// there are.
func (c *compiler) checkRules() {
	for _, o := range slices.Concat(c.inventory.removed, c.inventory.added) {
		if !slices.Contains(ruleset.Kinds(), o.Kind) {
			continue
		}
		if now := c.object(o.Key()); now != nil {
			c.rules.Put(originOf(o.Key()), now.Value)
		} else {
			c.rules.Put(originOf(o.Key()), nil)
		}
	}
	for _, f := range c.rules.Check(c.firewall) {
		if o := c.object(Key{f.Object.Kind, f.Object.Namespace, f.Object.Name}); o != nil {
			c.fault(o, f.Path, f.Message, f.Hint)
		}
	}
}

// object returns the object of a key, the first if there are several; nil if there is none.
func (c *compiler) object(key Key) *Object {
	i, found := slices.BinarySearchFunc(c.inventory.sorted, key, func(o *Object, key Key) int { return o.Key().Compare(key) })
	if !found {
		return nil
	}
	return c.inventory.sorted[i]
}

// makeFirewall makes the policy, when no fault has been found and ports are made.
func (c *compiler) makeFirewall() {
	highest := 0
	for _, n := range c.numbers {
		highest = max(highest, int(n))
	}
	endpoints := make([]*ruleset.Endpoint, highest+1)
	for i, p := range c.order {
		if p.uplinkOf == nil {
			endpoints[c.numbers[i]] = p.endpointOn(c.m.Ports[i])
		}
	}
	result := c.rules.Resolve(endpoints, c.previous.Rules, c.previous.LastRule)
	c.m.Firewall, c.m.Groups = result.Policy, result.Groups
	c.m.Allocations.Rules, c.m.Allocations.LastRule = result.Rules, result.LastRule
	if !slices.Equal(c.profiles, result.Profiles) {
		c.profiles, c.timers, c.floods, c.profilesHash = result.Profiles, nil, nil, 0
		for i := range result.Profiles {
			p := &result.Profiles[i]
			switch v := p.Value.(type) {
			case *api.SessionTimerProfile:
				c.timers = append(c.timers, timerProfile(p, v))
			case *api.FloodProtectionProfile:
				c.floods = append(c.floods, floodProfile(p, v))
			}
		}
	}
	c.m.TimerProfiles, c.m.FloodProfiles = c.timers, c.floods
}

// endpointOf is what an Endpoint is made of, besides its object.
type endpointOf struct {
	port               *Port
	namespace, segment *ruleset.Surroundings
	scope              uint32
}

// endpointOn returns the port as the firewall sees it: the pointer that it was, if nothing has changed.
func (p *portPlan) endpointOn(port *Port) *ruleset.Endpoint {
	of := endpointOf{port: port}
	if p.space != nil {
		of.namespace = p.space.surroundings
	}
	if p.segment != nil {
		of.segment, of.scope = p.segment.around(), p.segment.resolved.Scope
	}
	if p.endpoint != nil && p.endpointOf == of {
		return p.endpoint
	}
	e := &ruleset.Endpoint{
		Endpoint: policy.Endpoint{Number: port.Number, Scope: of.scope, Name: port.Name},
		Short:    p.object.Name, Pod: p.pod, Labels: p.labels, Namespace: of.namespace, Segment: of.segment, NamedPorts: p.namedPorts(),
	}
	for _, a := range port.Addresses {
		if a.IP.IsValid() {
			e.Addresses = append(e.Addresses, packet.AddrFrom(a.IP))
		}
		if m := packet.MAC(a.MAC); !a.MAC.IsZero() && !slices.Contains(e.MACs, m) {
			e.MACs = append(e.MACs, m)
		}
	}
	p.endpoint, p.endpointOf = e, of
	return e
}

// around returns the segment as something that ports are in.
func (s *segmentPlan) around() *ruleset.Surroundings {
	var of *Object
	if !s.implicit {
		of = s.object
	}
	if s.surroundings == nil || s.surroundingsOf != of {
		s.surroundings, s.surroundingsOf = &ruleset.Surroundings{Name: s.name}, of
		if of != nil {
			s.surroundings.Labels = of.Meta().Labels
		}
	}
	return s.surroundings
}

// namedPorts are what the workload calls its ports.
func (p *portPlan) namedPorts() (list []ruleset.NamedPort) {
	add := func(protocol, name string, number int) {
		n := ruleset.NamedPort{Protocol: packet.ProtoTCP, Name: name, Port: uint16(number)}
		switch strings.ToUpper(protocol) {
		case "UDP":
			n.Protocol = packet.ProtoUDP
		case "SCTP":
			n.Protocol = packet.ProtoSCTP
		}
		if name != "" && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	switch v := p.object.Value.(type) {
	case *api.Port:
		for _, n := range v.Spec.NamedPorts {
			add(string(n.Protocol), n.Name, n.Port)
		}
	case *corev1.Pod:
		// Of init containers, sidecars run as long as the others do.
		for _, k := range v.Spec.InitContainers {
			if k.RestartPolicy != nil && *k.RestartPolicy == corev1.ContainerRestartPolicyAlways {
				for _, n := range k.Ports {
					add(string(n.Protocol), n.Name, int(n.ContainerPort))
				}
			}
		}
		for _, k := range v.Spec.Containers {
			for _, n := range k.Ports {
				add(string(n.Protocol), n.Name, int(n.ContainerPort))
			}
		}
	}
	return list
}
