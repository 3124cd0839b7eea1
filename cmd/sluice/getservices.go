package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
)

var virtualServerColumns = []column[api.VirtualServerView]{
	{"NAME", false, func(v *api.VirtualServerView) string { return v.Name }},
	{"STATE", false, func(v *api.VirtualServerView) string { return string(v.State) }},
	{"ADDRESSES", false, func(v *api.VirtualServerView) string {
		return firstOf(unique(v.Frontends, func(f api.FrontendView) string { return f.Address.String() }), 4)
	}},
	{"PROTOCOL", false, func(v *api.VirtualServerView) string { return v.Protocol }},
	{"PORTS", false, func(v *api.VirtualServerView) string {
		return strings.Join(unique(v.Frontends, func(f api.FrontendView) string { return f.Ports }), ",")
	}},
	{"ALGORITHM", false, func(v *api.VirtualServerView) string { return v.Algorithm }},
	{"MEMBERS", false, func(v *api.VirtualServerView) string { return ofAll(v.MembersUp, v.Members) }},
	{"CONNECTIONS", false, func(v *api.VirtualServerView) string { return number(v.Connections.Active) }},
	{"TOTAL", false, func(v *api.VirtualServerView) string { return number(v.Connections.Total) }},
	{"NO-BACKEND", false, func(v *api.VirtualServerView) string { return number(v.NoBackend) }},
	{"RATE", true, func(v *api.VirtualServerView) string { return rate(v.Connections.Rate) }},
	{"REFUSED", true, func(v *api.VirtualServerView) string { return number(v.Connections.Refused) }},
	{"DENIED", true, func(v *api.VirtualServerView) string { return number(v.Denied) }},
	{"PACKETS", true, func(v *api.VirtualServerView) string { return number(v.Original.Packets) }},
	{"BYTES", true, func(v *api.VirtualServerView) string { return number(v.Original.Bytes) }},
	{"REPLIES", true, func(v *api.VirtualServerView) string { return number(v.Reply.Packets) }},
	{"REPLY-BYTES", true, func(v *api.VirtualServerView) string { return number(v.Reply.Bytes) }},
	{"KINDS", true, func(v *api.VirtualServerView) string {
		return strings.Join(unique(v.Frontends, func(f api.FrontendView) string { return f.Kind }), ",")
	}},
	{"POOL", true, func(v *api.VirtualServerView) string { return v.Pool }},
	{"SORRY-POOL", true, func(v *api.VirtualServerView) string { return v.SorryPool }},
	{"PERSISTENCE", true, func(v *api.VirtualServerView) string { return persistence(v.Affinity) }},
	{"SOURCE", true, func(v *api.VirtualServerView) string { return sourceTranslation(v) }},
	{"DISPATCH", true, func(v *api.VirtualServerView) string { return v.Dispatch }},
	{"ORIGIN", true, func(v *api.VirtualServerView) string { return refName(v.Origin) }},
	{"REASON", true, func(v *api.VirtualServerView) string { return v.Reason }},
}

var lbPoolColumns = []column[api.LBPoolView]{
	{"NAME", false, func(v *api.LBPoolView) string { return v.Name }},
	{"STATE", false, func(v *api.LBPoolView) string { return string(v.State) }},
	{"ALGORITHM", false, func(v *api.LBPoolView) string { return v.Algorithm }},
	{"MEMBERS", false, func(v *api.LBPoolView) string { return ofAll(v.MembersUp, v.Members) }},
	{"CONNECTIONS", false, func(v *api.LBPoolView) string { return number(v.Connections.Active) }},
	{"TOTAL", false, func(v *api.LBPoolView) string { return number(v.Connections.Total) }},
	{"USED-BY", false, func(v *api.LBPoolView) string { return firstOf(poolUses(v), 4) }},
	{"MONITORS", true, func(v *api.LBPoolView) string { return strings.Join(v.Monitors, ",") }},
	{"MIN-ACTIVE", true, func(v *api.LBPoolView) string { return number(v.MinActive) }},
	{"BACKUPS-ACTIVE", true, func(v *api.LBPoolView) string { return yesNo(v.BackupsActive) }},
	{"ORIGIN", true, func(v *api.LBPoolView) string { return refName(v.Origin) }},
	{"REASON", true, func(v *api.LBPoolView) string { return v.Reason }},
}

// poolUses are the virtual servers of a pool; in parentheses, those that it is the sorry pool of.
func poolUses(v *api.LBPoolView) []string {
	list := slices.Clone(v.VirtualServers)
	for _, name := range v.SorryPoolOf {
		list = append(list, "("+name+")")
	}
	return list
}

var lbMemberColumns = []column[api.LBMemberView]{
	{"POOL", false, func(v *api.LBMemberView) string { return v.Pool }},
	{"NAME", false, func(v *api.LBMemberView) string { return v.Name }},
	{"ADDRESS", false, func(v *api.LBMemberView) string { return end(v.Address, v.Port) }},
	{"STATE", false, func(v *api.LBMemberView) string { return string(v.State) }},
	{"SINCE", false, func(v *api.LBMemberView) string { return healthAge(v) }},
	{"ELIGIBLE", false, func(v *api.LBMemberView) string { return yesNo(v.Eligible) }},
	{"WEIGHT", false, func(v *api.LBMemberView) string { return number(v.Weight) }},
	{"CONNECTIONS", false, func(v *api.LBMemberView) string { return number(v.Connections.Active) }},
	{"TOTAL", false, func(v *api.LBMemberView) string { return number(v.Connections.Total) }},
	{"REASON", false, func(v *api.LBMemberView) string { return v.Reason }},
	{"RATE", true, func(v *api.LBMemberView) string { return rate(v.Connections.Rate) }},
	{"REFUSED", true, func(v *api.LBMemberView) string { return number(v.Connections.Refused) }},
	{"PACKETS", true, func(v *api.LBMemberView) string { return number(v.Original.Packets) }},
	{"BYTES", true, func(v *api.LBMemberView) string { return number(v.Original.Bytes) }},
	{"REPLIES", true, func(v *api.LBMemberView) string { return number(v.Reply.Packets) }},
	{"REPLY-BYTES", true, func(v *api.LBMemberView) string { return number(v.Reply.Bytes) }},
	{"ADMIN", true, func(v *api.LBMemberView) string { return v.AdminState }},
	{"HEALTH", true, func(v *api.LBMemberView) string { return v.Health }},
	{"BACKUP", true, func(v *api.LBMemberView) string { return yesNo(v.Backup) }},
	{"LOCAL", true, func(v *api.LBMemberView) string { return yesNo(v.Local) }},
	{"PORT", true, func(v *api.LBMemberView) string { return v.At }},
	{"POOLS", true, func(v *api.LBMemberView) string { return strings.Join(v.Pools, ",") }},
	{"ORIGIN", true, func(v *api.LBMemberView) string { return refName(v.Origin) }},
	{"HISTORY", true, func(v *api.LBMemberView) string {
		return joined(v.History, func(c api.HealthChange) string { return c.Time.UTC().Format(time.RFC3339) + "=" + c.Health })
	}},
}

// memberKey tells members apart whose names are the same.
func memberKey(v *api.LBMemberView) string { return fmt.Sprint(v.Pool, " ", v.Name, " ", v.ID) }

var natRuleColumns = []column[api.NATRuleView]{
	{"#", false, func(v *api.NATRuleView) string { return number(v.Order) }},
	{"NAME", false, func(v *api.NATRuleView) string { return v.Name }},
	{"ROUTER", false, func(v *api.NATRuleView) string { return v.Router }},
	{"PRIORITY", false, func(v *api.NATRuleView) string { return number(v.Priority) }},
	{"ACTION", false, func(v *api.NATRuleView) string { return v.Action }},
	{"SOURCE", false, func(v *api.NATRuleView) string { return natEnd(v.Sources, v.SourcePorts) }},
	{"DESTINATION", false, func(v *api.NATRuleView) string { return natEnd(v.Destinations, v.Ports) }},
	{"PROTOCOL", false, func(v *api.NATRuleView) string { return conditionText(nonEmpty(v.Protocol), false) }},
	{"TO", false, func(v *api.NATRuleView) string { return v.To }},
	{"HITS", false, func(v *api.NATRuleView) string { return number(v.Hits) }},
	{"TRANSLATIONS", false, func(v *api.NATRuleView) string { return number(v.Translations) }},
	{"FREE", false, func(v *api.NATRuleView) string { return ofPool(v, func(p *api.SourcePoolView) int { return p.Free }) }},
	{"EXHAUSTED", false, func(v *api.NATRuleView) string {
		return ofPool(v, func(p *api.SourcePoolView) uint64 { return p.Exhausted })
	}},
	{"POOL-SESSIONS", true, func(v *api.NATRuleView) string {
		return ofPool(v, func(p *api.SourcePoolView) int64 { return p.Sessions })
	}},
	{"UPLINKS", true, func(v *api.NATRuleView) string { return conditionText(v.Uplinks, false) }},
	{"FIREWALL", true, func(v *api.NATRuleView) string { return v.FirewallMatch }},
	{"LOGGED", true, func(v *api.NATRuleView) string { return yesNo(v.Logged) }},
	{"ORIGIN", true, func(v *api.NATRuleView) string { return refName(v.Origin) }},
}

func ofPool[N ~int | ~int64 | ~uint64](v *api.NATRuleView, of func(*api.SourcePoolView) N) string {
	if v.Pool == nil {
		return ""
	}
	return number(of(v.Pool))
}

// natEnd is what a rule says of an end of packets: networks, and ports if it names some.
func natEnd(networks []netip.Prefix, ports []string) string {
	var texts []string
	for _, p := range networks {
		texts = append(texts, prefixText(p))
	}
	text := conditionText(texts, false)
	if len(ports) > 0 {
		text += " port " + strings.Join(ports, ",")
	}
	return text
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// unique are texts of a list, each once, in the list's order.
func unique[T any](list []T, text func(T) string) (texts []string) {
	for _, x := range list {
		if s := text(x); !slices.Contains(texts, s) {
			texts = append(texts, s)
		}
	}
	return texts
}

// ofAll is how many of some do: 3/4.
func ofAll(n, all int) string { return fmt.Sprintf("%d/%d", n, all) }

func rate(perSecond float64) string { return fmt.Sprintf("%.1f/s", perSecond) }

// healthAge is how long a member's health has been what it is.
func healthAge(v *api.LBMemberView) string {
	if v.Since.IsZero() {
		return ""
	}
	return age(v.For)
}

func persistence(p *api.PersistenceView) string {
	if p == nil {
		return ""
	}
	return p.Type + "(" + age(p.Timeout) + ")"
}

func sourceTranslation(v *api.VirtualServerView) string {
	if v.SourcePool != "" {
		return v.SourceTranslation + "(" + v.SourcePool + ")"
	}
	return v.SourceTranslation
}

// The columns of flows that are about who serves them.
var (
	flowMember = column[api.SessionView]{"MEMBER", false, func(v *api.SessionView) string {
		if v.Service == nil || v.Service.Member == nil {
			return ""
		}
		return v.Service.Member.Name
	}}
	flowWhy = column[api.SessionView]{"WHY", false, func(v *api.SessionView) string {
		if v.Service == nil || v.Service.Member == nil {
			return ""
		}
		return v.Service.Member.Why
	}}
	flowService = column[api.SessionView]{"SERVICE", false, func(v *api.SessionView) string {
		if v.Service == nil {
			return ""
		}
		return v.Service.Name
	}}
	flowTranslated = column[api.SessionView]{"TRANSLATED", false, func(v *api.SessionView) string {
		t := v.Translated
		if t == nil {
			return ""
		}
		return end(t.Source, t.SourcePort) + ">" + end(t.Destination, t.DestinationPort)
	}}
	flowNAT = column[api.SessionView]{"NAT", true, func(v *api.SessionView) string {
		if v.NAT == nil {
			return ""
		}
		return joined(slices.DeleteFunc([]string{v.NAT.Destination, v.NAT.Source}, func(s string) bool { return s == "" }), strings.Clone)
	}}
	flowRules = column[api.SessionView]{"RULES", true, func(v *api.SessionView) string {
		return joined(slices.DeleteFunc([]uint32{v.Rules.Egress, v.Rules.Ingress}, func(id uint32) bool { return id == 0 }), number[uint32])
	}}
)

// flowColumns show sessions as flows: who asked for what, who was chosen and why, how the packets leave, how many there were.
var flowColumns = []column[api.SessionView]{
	{"PROTOCOL", false, func(v *api.SessionView) string { return v.Protocol }},
	{"SOURCE", false, func(v *api.SessionView) string { return end(v.Original.Source, v.Original.SourcePort) }},
	{"DESTINATION", false, sessionDestination},
	flowService,
	flowMember,
	flowWhy,
	flowTranslated,
	{"STATE", false, func(v *api.SessionView) string { return v.State }},
	{"PACKETS", false, func(v *api.SessionView) string { return number(v.Original.Packets) }},
	{"BYTES", false, func(v *api.SessionView) string { return number(v.Original.Bytes) }},
	{"REPLIES", false, func(v *api.SessionView) string { return number(v.Reply.Packets) }},
	{"REPLY-BYTES", false, func(v *api.SessionView) string { return number(v.Reply.Bytes) }},
	flowNAT,
	flowRules,
	{"FROM-PORT", true, func(v *api.SessionView) string { return v.Original.Port }},
	{"TO-PORT", true, func(v *api.SessionView) string { return v.Reply.Port }},
	{"AGE", true, func(v *api.SessionView) string { return age(v.Age) }},
	{"IDLE", true, func(v *api.SessionView) string { return age(v.Idle) }},
	{"ID", true, func(v *api.SessionView) string { return number(v.ID) }},
}
