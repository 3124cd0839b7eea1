package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// describedSelections reads arguments about objects, and about members of pools, which are none: theirs have no kind.
func describedSelections(args []string, namespace string) (list []selection, err error) {
	arguments, err := splitArguments(args)
	if err != nil {
		return nil, withStatus(exitUsage, err)
	}
	for _, a := range arguments {
		if view, found := api.ViewKindNamed(strings.ToLower(a.word)); found && view.Name == "members" {
			s := selection{}
			for _, name := range a.names {
				s.names = append(s.names, api.ObjectRef{Name: name})
			}
			list = append(list, s)
			continue
		}
		s, err := newSelection(a.word, a.names, namespace)
		if err != nil {
			return nil, withStatus(exitUsage, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// liveServices tells of the virtual servers that an object is made into, each with who serves it.
func (d *describer) liveServices(kind, full string) error {
	servers, err := views[api.VirtualServerView](d, "virtualservers", api.Filter{Service: full})
	if err != nil {
		return err
	}
	// What is made of another object is described by the virtual server's own name.
	made := func(v *api.VirtualServerView) bool {
		return v.Origin.Kind == kind && fullName(v.Origin.Namespace, v.Origin.Name) == full || kind == "VirtualServer" && v.Name == full
	}
	servers = slices.DeleteFunc(servers, func(v api.VirtualServerView) bool { return !made(&v) })
	for i := range servers {
		if err := d.server(&servers[i]); err != nil {
			return err
		}
	}
	return nil
}

// server tells of a virtual server.
func (d *describer) server(v *api.VirtualServerView) error {
	members, err := d.membersOf(v)
	if err != nil {
		return err
	}
	d.begin("Virtual server " + v.Name)
	d.pair("State", strings.TrimSuffix(string(v.State)+": "+v.Reason, ": "))
	d.pair("Pool", v.Pool)
	d.pair("Algorithm", v.Algorithm)
	d.pair("Sorry pool", v.SorryPool)
	d.pair("Persistence", persistence(v.Affinity))
	d.pair("Source addresses", sourceTranslation(v))
	d.pair("Dispatch", v.Dispatch)
	d.pair("Allowed sources", joined(v.AllowedSources, prefixText))
	d.pair("Denied sources", joined(v.DeniedSources, prefixText))
	d.pair("Connections", connections(&v.Connections, v.MaxConnections))
	if v.MaxRate > 0 {
		d.pair("Most new ones", number(v.MaxRate)+" per second")
	}
	d.pair("From clients", traffic(v.Original))
	d.pair("To clients", traffic(v.Reply))
	if v.NoBackend > 0 {
		d.pair("Without a member", number(v.NoBackend)+" packets were dropped: SERVICE_BACKEND_NOT_FOUND")
	}
	if v.Denied > 0 {
		d.pair("From others", number(v.Denied)+" packets were dropped: NOT_IN_SRC_RANGE")
	}
	if v.Connections.Refused > 0 {
		d.pair("Over limits", number(v.Connections.Refused)+" packets were dropped: SERVICE_LIMIT")
	}
	if text := drawServer(v, members); text != "" {
		d.sections = append(d.sections, section{title: "Who serves " + v.Name, text: text})
	}
	d.memberHistory(members)
	return nil
}

// membersOf are the members of all pools of a virtual server.
func (d *describer) membersOf(v *api.VirtualServerView) (list []api.LBMemberView, err error) {
	seen := map[uint32]bool{}
	pools := unique(v.Frontends, func(f api.FrontendView) string { return f.InsidePool })
	pools = append(pools, unique(v.Frontends, func(f api.FrontendView) string { return f.OutsidePool })...)
	slices.Sort(pools)
	for _, pool := range slices.Compact(append(pools, v.SorryPool)) {
		if pool == "" {
			continue
		}
		members, err := views[api.LBMemberView](d, "members", api.Filter{Pool: pool})
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if !seen[m.ID] {
				seen[m.ID] = true
				list = append(list, m)
			}
		}
	}
	return list, nil
}

func connections(c *api.ConnectionCounts, most uint32) string {
	text := fmt.Sprintf("%d now", c.Active)
	if most > 0 {
		text += fmt.Sprintf(" of at most %d", most)
	}
	return text + fmt.Sprintf(", %d ever, %s new, %d refused", c.Total, rate(c.Rate), c.Refused)
}

// memberHistory is a table of what monitors have found out about some members, the newest last.
func (d *describer) memberHistory(members []api.LBMemberView) {
	var rows [][]string
	for i := range members {
		for _, c := range members[i].History {
			rows = append(rows, []string{c.Time.UTC().Format(time.RFC3339), members[i].Name, c.Health, c.Reason})
		}
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	d.table("Health", []string{"TIME", "MEMBER", "HEALTH", "REASON"}, rows)
}

// liveLBPool tells of the pools that an object is made into: members, and who uses them.
func (d *describer) liveLBPool(o api.ObjectRef) error {
	pools, err := views[api.LBPoolView](d, "pools", api.Filter{Names: []string{fullName(o.Namespace, o.Name)}})
	if err != nil {
		return err
	}
	for i := range pools {
		v := &pools[i]
		members, err := views[api.LBMemberView](d, "members", api.Filter{Pool: v.Name})
		if err != nil {
			return err
		}
		d.begin("Pool")
		d.pair("State", strings.TrimSuffix(string(v.State)+": "+v.Reason, ": "))
		d.pair("Algorithm", v.Algorithm)
		d.pair("Monitors", strings.Join(v.Monitors, ", "))
		if v.Passive != nil {
			d.pair("Passive monitor", fmt.Sprintf("out for %s after %d failed connections in that time", age(v.Passive.Timeout), v.Passive.MaxFails))
		}
		if v.SlowStart > 0 {
			d.pair("Slow start", age(v.SlowStart))
		}
		if v.MinActive > 1 {
			d.pair("Backups", fmt.Sprintf("take part if fewer than %d others are up: %s", v.MinActive, yesNo(v.BackupsActive)))
		}
		d.pair("Used by", strings.Join(poolUses(v), ", "))
		d.pair("Connections", connections(&v.Connections, 0))
		d.sections = append(d.sections, section{title: "Members", text: drawMembers(members)})
		d.memberHistory(members)
	}
	return nil
}

// members describes members by their names, or all.
func (d *describer) members(refs []api.ObjectRef) error {
	var f api.Filter
	for _, ref := range refs {
		f.Names = append(f.Names, ref.Name)
	}
	list, _, err := client.List[api.LBMemberView](d.ctx, d.c, "members", f)
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		d.sections = nil
		d.begin("")
		d.pair("Name", v.Name)
		d.pair("Kind", "member of a pool")
		d.pair("Pool", cmp.Or(strings.Join(v.Pools, ", "), v.Pool))
		d.pair("Made of", refName(v.Origin))
		d.pair("Address", end(v.Address, v.Port))
		d.pair("Port of the switch", v.At)
		d.pair("Weight", number(v.Weight))
		d.pair("Backup", yesNo(v.Backup))
		d.pair("On this node", yesNo(v.Local))
		d.pair("Wanted", withWhy(v.AdminState, v.AdminReason))
		d.pair("State", string(v.State))
		d.pair("Health", withWhy(v.Health, sinceText(v)))
		d.pair("Takes connections", strings.TrimSuffix(yesNo(v.Eligible)+": "+v.Reason, ": "))
		d.pair("Connections", connections(&v.Connections, v.MaxConnections))
		d.pair("To it", traffic(v.Original))
		d.pair("From it", traffic(v.Reply))
		d.memberHistory(list[i : i+1])
		if err := d.print(); err != nil {
			return err
		}
	}
	return nil
}

func withWhy(text, why string) string {
	if why == "" {
		return text
	}
	return text + " (" + why + ")"
}

func sinceText(v *api.LBMemberView) string {
	if v.Since.IsZero() {
		return ""
	}
	return "for " + healthAge(v)
}

// portServices tells which services a port of the switch is a member of.
func (d *describer) portServices(name string) error {
	list, err := views[api.LBMemberView](d, "members", api.Filter{Port: name})
	if err != nil {
		return err
	}
	var rows [][]string
	for i := range list {
		v := &list[i]
		rows = append(rows, []string{refName(v.Origin), v.Pool, end(v.Address, v.Port), string(v.State), number(v.Connections.Active), number(v.Connections.Total)})
	}
	d.table("Serves", []string{"FROM", "POOL", "ADDRESS", "STATE", "CONNECTIONS", "TOTAL"}, rows)
	return nil
}

// liveNAT tells what a NAT rule has done, and of its pool.
func (d *describer) liveNAT(name string) error {
	list, err := views[api.NATRuleView](d, "natrules", api.Filter{})
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		if fullName(v.Origin.Namespace, v.Origin.Name) != name {
			continue
		}
		d.begin("NAT rule")
		d.pair("Order", number(v.Order))
		d.pair("Router", v.Router)
		d.pair("Action", v.Action)
		d.pair("Source", natEnd(v.Sources, v.SourcePorts))
		d.pair("Destination", natEnd(v.Destinations, v.Ports))
		d.pair("To", v.To)
		d.pair("Hits", fmt.Sprintf("%d sessions, %d of them live", v.Hits, v.Translations))
		if p := v.Pool; p != nil {
			text := strings.Join(p.Addresses, ", ")
			if more := p.Size - len(p.Addresses); more > 0 {
				text += fmt.Sprintf(" and %d more", more)
			}
			d.pair("Addresses", text)
			d.pair("Ports", p.Ports+" of each")
			d.pair("Sessions", number(p.Sessions))
			var rows [][]string
			for _, x := range p.Protocols {
				rows = append(rows, []string{x.Protocol, number(x.Ports), number(x.InUse), number(x.Free), number(x.Exhausted)})
			}
			d.table("Pool "+p.Name, []string{"PROTOCOL", "PORTS", "IN-USE", "FREE", "EXHAUSTED"}, rows)
		}
	}
	return nil
}
