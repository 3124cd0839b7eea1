package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluice-net/sluice/api"
)

// anybody stands for a condition that a rule has not got, as users write it.
const anybody = "ANY"

var ruleColumns = []column[api.RuleView]{
	{"#", false, func(v *api.RuleView) string { return number(v.Order) }},
	{"CATEGORY", false, func(v *api.RuleView) string { return string(v.Category) }},
	{"SECTION", false, func(v *api.RuleView) string { return v.Section }},
	{"ID", false, func(v *api.RuleView) string { return number(v.ID) }},
	{"NAME", false, func(v *api.RuleView) string { return v.Name }},
	{"ACTION", false, func(v *api.RuleView) string { return string(v.Action) }},
	{"DIRECTION", false, func(v *api.RuleView) string { return string(v.Direction) }},
	{"SOURCE", false, func(v *api.RuleView) string { return conditionText(v.Sources, v.SourcesExcluded) }},
	{"DESTINATION", false, func(v *api.RuleView) string { return conditionText(v.Destinations, v.DestinationsExcluded) }},
	{"SERVICES", false, func(v *api.RuleView) string { return conditionText(v.Services, false) }},
	{"APPLIED-TO", false, appliedTo},
	{"PACKETS", false, func(v *api.RuleView) string { return number(v.Packets) }},
	{"SESSIONS", false, func(v *api.RuleView) string { return number(v.Sessions) }},
	{"LAST-HIT", false, func(v *api.RuleView) string { return lastHit(&v.Hits) }},
	{"BYTES", true, func(v *api.RuleView) string { return number(v.Bytes) }},
	{"IP", true, func(v *api.RuleView) string { return string(v.IPProtocol) }},
	{"STATE-KEPT", true, func(v *api.RuleView) string { return yesNo(!v.Stateless) }},
	{"ESTABLISHED", true, func(v *api.RuleView) string { return string(v.Established) }},
	{"LOGGED", true, func(v *api.RuleView) string { return strings.TrimSpace(yesNo(v.Logged) + " " + v.Tag) }},
	{"LIMITS", true, sessionLimits},
	{"ORIGIN", true, func(v *api.RuleView) string { return origin(v.Origin) }},
	{"NOTES", true, func(v *api.RuleView) string { return v.Notes }},
}

var policyColumns = []column[api.PolicyView]{
	{"#", false, func(v *api.PolicyView) string { return number(v.Order) }},
	{"NAME", false, func(v *api.PolicyView) string { return v.Name }},
	{"CATEGORY", false, func(v *api.PolicyView) string { return string(v.Category) }},
	{"SEQUENCE", false, func(v *api.PolicyView) string { return number(v.Sequence) }},
	{"ORIGIN", false, func(v *api.PolicyView) string {
		if v.Marker {
			return "(marker)"
		}
		return origin(v.Origin)
	}},
	{"RULES", false, func(v *api.PolicyView) string { return number(v.Rules) }},
	{"STATE-KEPT", false, func(v *api.PolicyView) string { return yesNo(!v.Stateless) }},
	{"ESTABLISHED", false, func(v *api.PolicyView) string { return string(v.Established) }},
	{"PACKETS", false, func(v *api.PolicyView) string { return number(v.Packets) }},
	{"SESSIONS", false, func(v *api.PolicyView) string { return number(v.Sessions) }},
	{"LAST-HIT", false, func(v *api.PolicyView) string { return lastHit(&v.Hits) }},
	{"BYTES", true, func(v *api.PolicyView) string { return number(v.Bytes) }},
	{"TCP-STRICT", true, func(v *api.PolicyView) string { return yesNo(v.TCPStrict) }},
	{"FIRST-RULE", true, func(v *api.PolicyView) string { return positive(v.FirstRule) }},
}

// policyKey tells sections apart whose names are the same.
func policyKey(v *api.PolicyView) string {
	return fmt.Sprint(v.Category, " ", v.Name, " ", v.FirstRule, " ", v.Marker)
}

var groupColumns = []column[api.GroupView]{
	{"NAME", false, func(v *api.GroupView) string { return v.Name }},
	{"PORTS", false, func(v *api.GroupView) string { return number(len(v.Ports)) }},
	{"MEMBERS", false, func(v *api.GroupView) string { return firstOf(groupMembers(v), 4) }},
	{"USED-BY", false, func(v *api.GroupView) string { return firstOf(groupUses(v), 8) }},
	{"WARNINGS", false, func(v *api.GroupView) string { return number(len(v.Warnings)) }},
	{"ADDRESSES", true, func(v *api.GroupView) string { return strings.Join(groupAddresses(v), ",") }},
	{"WARNING", true, func(v *api.GroupView) string { return strings.Join(v.Warnings, "; ") }},
}

// groupMembers are the names of ports, then networks and MAC addresses.
func groupMembers(v *api.GroupView) (list []string) {
	for _, p := range v.Ports {
		list = append(list, p.Name)
	}
	for _, p := range v.Prefixes {
		list = append(list, prefixText(p))
	}
	for _, m := range v.MACs {
		list = append(list, m.String())
	}
	return list
}

// groupAddresses are those of its ports, then its networks.
func groupAddresses(v *api.GroupView) (list []string) {
	for _, p := range v.Ports {
		for _, a := range p.Addresses {
			list = append(list, a.String())
		}
	}
	for _, p := range v.Prefixes {
		list = append(list, prefixText(p))
	}
	return list
}

// prefixText is a network, or the address if it is one of just one.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func groupUses(v *api.GroupView) (list []string) {
	for i := range v.UsedBy {
		list = append(list, number(v.UsedBy[i].ID))
	}
	return list
}

// firstOf are the first of a list, and how many there are beside.
func firstOf(list []string, n int) string {
	if len(list) > n {
		return fmt.Sprintf("%s,+%d", strings.Join(list[:n], ","), len(list)-n)
	}
	return strings.Join(list, ",")
}

// conditionText is a condition on an end of a packet, or on what it is for.
func conditionText(written []string, excluded bool) string {
	text := strings.Join(written, ",")
	if text == "" {
		text = anybody
	}
	if excluded {
		return "not:" + text
	}
	return text
}

func appliedTo(v *api.RuleView) string {
	if len(v.AppliedTo) == 0 && v.Ports > 0 {
		return anybody
	}
	text := strings.Join(v.AppliedTo, ",")
	if more := v.Ports - len(v.AppliedTo); more > 0 {
		text += fmt.Sprintf(",+%d", more)
	}
	return text
}

func sessionLimits(v *api.RuleView) string {
	var texts []string
	if v.MaxSessions > 0 {
		texts = append(texts, number(v.MaxSessions))
	}
	if v.MaxSessionsPerSource > 0 {
		texts = append(texts, number(v.MaxSessionsPerSource)+"/source")
	}
	return strings.Join(texts, ",")
}

// lastHit is how long ago a rule has decided something.
func lastHit(h *api.Hits) string {
	if h.LastHit.IsZero() {
		return ""
	}
	return age(h.LastHitAge)
}

// origin is the object that rules are made of.
func origin(o *api.ObjectRef) string {
	if o == nil {
		return ""
	}
	return refName(*o)
}
