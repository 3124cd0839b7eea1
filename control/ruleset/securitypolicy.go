package ruleset

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/firewall/policy"
)

// readSecurityPolicy drafts a SecurityPolicy: a section of its own.
func readSecurityPolicy(p *api.SecurityPolicy) (s says) {
	spec := &p.Spec
	d := draft{Section: policy.Section{
		Category: categoryOf(spec.Category), Sequence: int64(spec.SequenceNumber),
		Stateless: spec.Stateful != nil && !*spec.Stateful, TCPStrict: spec.TCPStrict, Established: establishedOf(spec.Established),
	}}
	switch {
	case d.TCPStrict && d.Stateless:
		s.fault("spec.tcpStrict", "is about sessions, and the policy is stateless", "leave it out, or write stateful: true")
	case d.TCPStrict && d.Category == policy.Ethernet:
		s.fault("spec.tcpStrict", "is about sessions, which the category Ethernet has none of", "leave it out")
	case spec.Established != "" && spec.Established != api.EstablishedRecheck && d.Stateless:
		s.fault("spec.established", "is about sessions, and the policy is stateless", "leave it out, or write stateful: true")
	}
	d.appliedTo = s.groups("spec.scope", spec.Scope, true)
	names := map[string]string{}
	d.rules = make([]draftRule, 0, len(spec.Rules))
	order := make([]int, len(spec.Rules))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(spec.Rules[a].SequenceNumber, spec.Rules[b].SequenceNumber) })
	for _, i := range order {
		path := index("spec.rules", i)
		d.rules = append(d.rules, s.rule(path, &d.Section, &spec.Rules[i]))
		r := &d.rules[len(d.rules)-1]
		if r.Name == "" {
			r.Name = index("rules", i)
		}
		if first, twice := names[r.Name]; twice {
			s.fault(path+".name", strconv.Quote(clip(r.Name))+" is there twice", "also at "+first)
			continue
		}
		names[r.Name] = path
	}
	s.drafts = []draft{d}
	return s
}

func (s *says) rule(path string, section *policy.Section, in *api.SecurityRule) draftRule {
	r := draftRule{
		Rule: policy.Rule{
			Name: in.Name, Action: actionOf(in.Action), Directions: directionOf(in.Direction), Families: familiesOf(in.IPProtocol),
			SourceNot: in.SourcesExcluded, DestNot: in.DestinationsExcluded, Logged: in.Logged, Tag: in.Tag, Notes: in.Notes,
			PerRule: in.SessionLimits.PerRule, PerSource: in.SessionLimits.PerSource,
		},
		disabled: in.Disabled,
	}
	ethernet := section.Category == policy.Ethernet
	switch {
	case r.Action == policy.JumpToApplication && section.Category == policy.Application:
		s.fault(path+".action", "there is nothing to jump to from category Application", "ALLOW ends the evaluation here")
	case r.Action == policy.JumpToApplication && ethernet:
		s.fault(path+".action", "frames do not come to category Application", "ALLOW goes on with the rules of the other categories")
	case r.Action == policy.Reject && ethernet:
		s.fault(path+".action", "a frame has nobody who could be told", "write DROP")
	}
	switch {
	case r.PerRule+r.PerSource == 0:
	case section.Stateless || ethernet:
		s.fault(path+".sessionLimits", "the policy makes no sessions", "leave them out, or stateful: true and another category than Ethernet")
	case r.Action != policy.Allow:
		s.fault(path+".sessionLimits", "a rule with action "+r.Action.String()+" lets no sessions in", "leave them out, or action: ALLOW")
	}
	if len(in.Tag) > 32 || strings.ContainsFunc(in.Tag, func(c rune) bool { return c <= ' ' || c > '~' }) {
		s.fault(path+".tag", strconv.Quote(clip(in.Tag))+" can't go into the log", "at most 32 letters, digits and signs, without spaces")
	}
	r.source, r.SourceText = s.side(path+".sourceGroups", in.SourceGroups)
	r.destination, r.DestText = s.side(path+".destinationGroups", in.DestinationGroups)
	for _, not := range []struct {
		excluded bool
		all      bool
		name     string
	}{{r.SourceNot, r.source == nil, "sources"}, {r.DestNot, r.destination == nil, "destinations"}} {
		if not.excluded && not.all {
			s.fault(path+"."+not.name+"Excluded", "everybody is excluded: the rule would match nothing", "name those who are excluded, or leave it out")
		}
	}
	r.appliedTo = s.groups(path+".scope", in.Scope, true)
	s.services(path, section.Category, in, &r)
	return r
}

// side reads who a rule is about, and returns the text for people as well: nil, nil is everybody.
func (s *says) side(path string, list []string) (who selection, text []string) {
	for i, name := range list {
		where := index(path, i)
		switch {
		case name == api.AnyGroup:
			if len(list) > 1 {
				s.fault(where, "ANY is everybody: it goes with no others", "leave it out, or the others")
			}
			return nil, nil
		case isAddress(name):
			if prefixes := s.addresses(where, name); prefixes != nil {
				who = append(who, term{prefixes: prefixes})
			}
		default:
			who = append(who, s.group(where, name))
		}
		text = append(text, name)
	}
	return who, text
}

// services reads what a rule is about.
func (s *says) services(path string, c policy.Category, in *api.SecurityRule, r *draftRule) {
	for i, name := range in.Services {
		where := index(path+".services", i)
		if name == api.AnyGroup {
			if len(in.Services)+len(in.ServiceEntries) > 1 {
				s.fault(where, "ANY is every service: it goes with no others", "leave it out, or the others")
			}
			return
		}
		s.refer(kindService, where, name)
		r.services = append(r.services, reference{kindService, name, where})
		r.ServicesText = append(r.ServicesText, name)
	}
	for i := range in.ServiceEntries {
		where := index(path+".serviceEntries", i)
		e, good := s.entry(where, &in.ServiceEntries[i])
		switch {
		case !good:
		case e.nested != "":
			r.services = append(r.services, reference{kindService, e.nested, where + ".nestedService"})
			r.ServicesText = append(r.ServicesText, e.nested)
		default:
			if message, hint := misplaced(c, &e.service); message != "" {
				s.fault(where, message, hint)
			}
			r.Services = append(r.Services, e.service)
			r.ServicesText = append(r.ServicesText, serviceText(&in.ServiceEntries[i]))
		}
	}
}

// serviceText is a service entry for people: TCP 80,443; UDP from 53; ICMPv4 8/0; protocol 47; EtherType 0x0806.
func serviceText(e *api.ServiceEntry) string {
	switch {
	case e.L4Protocol != "":
		text := string(e.L4Protocol)
		if len(e.SourcePorts) > 0 {
			text += " from " + strings.Join(e.SourcePorts, ",")
		}
		if len(e.DestinationPorts) > 0 {
			text += " " + strings.Join(e.DestinationPorts, ",")
		}
		return text
	case e.Protocol != "":
		text := string(e.Protocol)
		if e.ICMPType != nil {
			text += " " + strconv.Itoa(*e.ICMPType)
		}
		if e.ICMPCode != nil {
			text += "/" + strconv.Itoa(*e.ICMPCode)
		}
		return text
	case e.ProtocolNumber != nil:
		return "protocol " + strconv.Itoa(*e.ProtocolNumber)
	}
	hex := strconv.FormatInt(int64(e.EtherType), 16)
	return "EtherType 0x" + strings.Repeat("0", max(0, 4-len(hex))) + hex
}

func categoryOf(c api.PolicyCategory) policy.Category {
	switch c {
	case api.CategoryEthernet:
		return policy.Ethernet
	case api.CategoryEmergency:
		return policy.Emergency
	case api.CategoryInfrastructure:
		return policy.Infrastructure
	case api.CategoryEnvironment:
		return policy.Environment
	}
	return policy.Application
}

func establishedOf(e api.EstablishedAction) policy.Established {
	switch e {
	case api.EstablishedKeep:
		return policy.Keep
	case api.EstablishedReset:
		return policy.Reset
	}
	return policy.Recheck
}

func actionOf(a api.SecurityAction) policy.Action {
	switch a {
	case api.SecurityDrop:
		return policy.Drop
	case api.SecurityReject:
		return policy.Reject
	case api.SecurityJumpToApplication:
		return policy.JumpToApplication
	}
	return policy.Allow
}

func directionOf(d api.RuleDirection) policy.Direction {
	switch d {
	case api.DirectionIn:
		return policy.In
	case api.DirectionOut:
		return policy.Out
	}
	return policy.In | policy.Out
}

func familiesOf(p api.RuleIPProtocol) policy.Families {
	switch p {
	case api.RuleIPv4:
		return policy.IPv4
	case api.RuleIPv6:
		return policy.IPv6
	}
	return policy.IPv4 | policy.IPv6
}
