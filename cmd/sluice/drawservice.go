package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluice-net/sluice/api"
)

// barWidth is how long the bar of the member with the most connections is, in characters.
const barWidth = 20

// drawServer draws a virtual server: its addresses, its pool, and the members with bars of their connections.
//
//	ClusterIP 10.96.0.10:80 ─────┐
//	LoadBalancer 192.0.2.10:80 ──┴─▶ pool web/shop   ROUND_ROBIN   2 of 3 take connections
//	                                 ├─▶ web/a   10.0.0.1:8080   UP     ████████████████████   12 now, 340 ever
//	                                 ├─▶ web/b   10.0.0.2:8080   UP     █████████████          8 now, 333 ever
//	                                 └─✕ web/c   10.0.0.3:8080   DOWN   TCP: connection refused
func drawServer(v *api.VirtualServerView, members []api.LBMemberView) string {
	if len(v.Frontends) == 0 {
		return ""
	}
	fronts := make([]string, len(v.Frontends))
	width := 0
	for i := range v.Frontends {
		f := &v.Frontends[i]
		fronts[i] = f.Kind + " " + hostPort(f)
		width = max(width, utf8.RuneCountInString(fronts[i]))
	}
	var b strings.Builder
	for i, text := range fronts {
		line := text + " " + strings.Repeat("─", width-utf8.RuneCountInString(text)+2)
		switch {
		case i < len(fronts)-1 && i == 0:
			line += "┐"
		case i < len(fronts)-1:
			line += "┤"
		case len(fronts) == 1:
			line += "──▶ pool " + v.Pool
		default:
			line += "┴─▶ pool " + v.Pool
		}
		if i == len(fronts)-1 {
			line += fmt.Sprintf("   %s   %d of %d take connections", v.Algorithm, v.MembersUp, v.Members)
		}
		b.WriteString(line + "\n")
	}
	indent := strings.Repeat(" ", width+len(" ")+len("--")+len("+-> ")) // below the word pool
	for line := range strings.Lines(drawMembers(members)) {
		b.WriteString(indent + line)
	}
	return b.String()
}

// hostPort is where a virtual server listens.
func hostPort(f *api.FrontendView) string {
	if f.Address.Is6() {
		return "[" + f.Address.String() + "]:" + f.Ports
	}
	return f.Address.String() + ":" + f.Ports
}

// drawMembers draws members as a tree's branches, those that take connections with a bar of them: of those there are now,
// or while there are none, of all that there were.
func drawMembers(members []api.LBMemberView) string {
	ofNow := false
	for i := range members {
		ofNow = ofNow || members[i].Connections.Active > 0
	}
	count := func(v *api.LBMemberView) uint64 {
		if ofNow {
			return uint64(max(0, v.Connections.Active))
		}
		return v.Connections.Total
	}
	var most uint64
	rows := make([][]string, len(members))
	for i := range members {
		most = max(most, count(&members[i]))
	}
	widths := make([]int, 4)
	for i := range members {
		v := &members[i]
		branch := "├─"
		if i == len(members)-1 {
			branch = "└─"
		}
		head := "✕ "
		bar := ""
		if v.Eligible {
			head = "▶ "
		}
		if most > 0 {
			bar = strings.Repeat("█", int((count(v)*barWidth+most-1)/most))
		}
		text := fmt.Sprintf("%d now, %d ever", v.Connections.Active, v.Connections.Total)
		if v.Reason != "" {
			text += "   " + v.Reason
		}
		rows[i] = []string{branch + head + v.Name, end(v.Address, v.Port), string(v.State), bar, text}
		for c := range widths {
			widths[c] = max(widths[c], utf8.RuneCountInString(rows[i][c]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for c, width := range widths {
			if width > 0 {
				row[c] += strings.Repeat(" ", width-utf8.RuneCountInString(row[c])+gap)
			}
		}
		b.WriteString(strings.Join(row, "") + "\n")
	}
	return b.String()
}
