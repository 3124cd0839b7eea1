package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
)

// portFirewall tells what the firewall does at a port, and the rules in force there in the order in which they are
// asked.
func (d *describer) portFirewall(name string, f *api.PortFirewall) error {
	if f == nil {
		return nil // an older daemon
	}
	d.begin("Firewall")
	if !f.Filtered {
		d.pair("Filtered", "no: "+f.Reason)
		return nil
	}
	d.pair("Filtered", "yes")
	d.pair("Default", string(f.Default))
	timers := "the node's"
	if f.TimerProfile != "" {
		timers = "sessiontimerprofile.sluice.dev/" + f.TimerProfile
	}
	d.pair("Timers", timers)
	if f.FloodProfile != "" {
		d.pair("Flood protection", "floodprotectionprofile.sluice.dev/"+f.FloodProfile+caps(f.FloodCaps))
	}
	rules, err := views[api.RuleView](d, "rules", api.Filter{Port: name})
	if err != nil {
		return err
	}
	for _, way := range []struct {
		title string
		not   api.RuleDirection
	}{{"Rules IN, about what is sent to it", api.DirectionOut}, {"Rules OUT, about what it sends", api.DirectionIn}} {
		var rows [][]string
		for i := range rules {
			if rules[i].Direction != way.not {
				rows = append(rows, cells(describedColumns, &rules[i]))
			}
		}
		d.table(way.title, headers(describedColumns), rows)
	}
	return nil
}

// describedColumns are those of rules in descriptions.
var describedColumns = []column[api.RuleView]{
	{"ID", false, func(v *api.RuleView) string { return number(v.ID) }},
	{"NAME", false, func(v *api.RuleView) string { return v.Name }},
	{"ACTION", false, func(v *api.RuleView) string { return string(v.Action) }},
	{"SOURCE", false, func(v *api.RuleView) string { return conditionText(v.Sources, v.SourcesExcluded) }},
	{"DESTINATION", false, func(v *api.RuleView) string { return conditionText(v.Destinations, v.DestinationsExcluded) }},
	{"SERVICES", false, func(v *api.RuleView) string { return conditionText(v.Services, false) }},
	{"FROM", false, func(v *api.RuleView) string {
		if v.Origin == nil {
			return v.Section
		}
		return origin(v.Origin)
	}},
	{"CATEGORY", false, func(v *api.RuleView) string { return string(v.Category) }},
	{"LIMITS", false, sessionLimits},
	{"PACKETS", false, func(v *api.RuleView) string { return number(v.Packets) }},
	{"SESSIONS", false, func(v *api.RuleView) string { return number(v.Sessions) }},
	{"LAST-HIT", false, func(v *api.RuleView) string { return lastHit(&v.Hits) }},
}

// caps are the limits of a profile, behind its name.
func caps(c *api.FloodCaps) string {
	if c == nil {
		return ""
	}
	var texts []string
	for _, limit := range []struct {
		name string
		most int
	}{{"half-open TCP", c.HalfOpenTCP}, {"UDP", c.UDP}, {"ICMP", c.ICMP}, {"other", c.Other}} {
		if limit.most > 0 {
			texts = append(texts, fmt.Sprintf("%s %d", limit.name, limit.most))
		}
	}
	if c.SYNCache {
		texts = append(texts, "SYN cache")
	}
	if c.RSTSpoofing {
		texts = append(texts, "RST spoofing")
	}
	if len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

// liveGroup tells who is in a group, and which rules name it.
func (d *describer) liveGroup(name string) error {
	list, err := views[api.GroupView](d, "groups", api.Filter{Names: []string{name}})
	if err != nil || len(list) == 0 {
		return err
	}
	v := &list[0]
	d.begin("Members")
	d.pair("Networks", joined(v.Prefixes, prefixText))
	d.pair("MAC addresses", joined(v.MACs, api.MAC.String))
	for _, text := range v.Warnings {
		d.pair("Warning", text)
	}
	if s := &d.sections[len(d.sections)-1]; len(v.Ports) == 0 && len(s.pairs) == 0 {
		d.sections = d.sections[:len(d.sections)-1]
	}
	var ports, uses [][]string
	for _, p := range v.Ports {
		ports = append(ports, []string{p.Name, joined(p.Addresses, address)})
	}
	d.table("Ports", []string{"NAME", "ADDRESSES"}, ports)
	for i := range v.UsedBy {
		u := &v.UsedBy[i]
		uses = append(uses, []string{number(u.ID), u.Name, string(u.Action), strings.Join(u.As, ","), u.Section, origin(u.Origin)})
	}
	d.table("Used by rules", []string{"ID", "NAME", "ACTION", "AS", "SECTION", "FROM"}, uses)
	return nil
}

// livePolicy tells which rules an object is made into, and what they have decided.
func (d *describer) livePolicy(o *object) error {
	rules, err := views[api.RuleView](d, "rules", api.Filter{Section: fullName(o.Meta.Namespace, o.Meta.Name)})
	if err != nil {
		return err
	}
	// Of one object, it is known where they come from.
	columns := slices.DeleteFunc(slices.Clone(describedColumns), func(c column[api.RuleView]) bool { return c.header == "FROM" || c.header == "CATEGORY" })
	var rows [][]string
	for i := range rules {
		v := &rules[i]
		if v.Origin != nil && v.Origin.Kind == o.Kind && v.Origin.Namespace == o.Meta.Namespace && v.Origin.Name == o.Meta.Name {
			rows = append(rows, append([]string{number(v.Order), v.Section, appliedTo(v)}, cells(columns, v)...))
		}
	}
	d.table("Rules in force", append([]string{"#", "SECTION", "APPLIED-TO"}, headers(columns)...), rows)
	return nil
}
