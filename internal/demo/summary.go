package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/packet"
)

// tellSummary writes tables about any replay.
func tellSummary(p *page, r *results) {
	tellPorts(p, r)
	tellDrops(p, r)
	tellSessions(p, r, 15)
	tellLedger(p, r)
}

// tellTotals closes the account of the scenes.
func tellTotals(p *page, r *results) {
	tellSessions(p, r, 0)
	tellDrops(p, r)
	tellLedger(p, r)
}

func tellPorts(p *page, r *results) {
	p.title("Ports")
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(r.report.Ports)) {
		one := r.report.Ports[name]
		rows = append(rows, []string{
			name, number(one.Rx.Packets), number(one.Rx.Bytes), number(one.Tx.Packets), number(one.Tx.Bytes), number(one.Ledger.Dropped),
		})
	}
	p.table([]string{"port", ">came in", ">bytes", ">went out", ">bytes", ">dropped of what came in"}, rows)
	for _, f := range r.report.Refused {
		p.paragraph(plain, "  ", fmt.Sprintf("%s frames were passed over: link type %s does not become Ethernet.", number(f.Frames), f.LinkType))
	}
	if n := r.report.Unowned; n > 0 {
		p.paragraph(plain, "  ", fmt.Sprintf("%s frames were passed over: no port owns their source, and there is no port \"uplink\".", number(n)))
	}
}

// tellDrops explains the reasons that occurred, the most frequent first.
func tellDrops(p *page, r *results) {
	p.title("What was dropped, and why")
	drops := r.report.Drops()
	if len(drops) == 0 {
		p.line("  nothing")
		return
	}
	names := slices.SortedFunc(maps.Keys(drops), func(a, b string) int {
		return cmp.Or(cmp.Compare(drops[b], drops[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		reason, _ := packet.ReasonByName(name)
		p.line("  %10s  %s", number(drops[name]), p.paint(bold, name))
		p.paragraph(plain, "              ", reason.Meaning())
	}
}

// tellSessions lists the sessions in order of their begin, or the most busy
// ones if there are more than limit; a limit of 0 is none.
func tellSessions(p *page, r *results, limit int) {
	flows := slices.Clone(r.flows)
	title := "Sessions"
	if limit != 0 && len(flows) > limit {
		title = fmt.Sprintf("The %d busiest of %s sessions", limit, number(len(flows)))
		slices.SortStableFunc(flows, func(a, b export.Flow) int {
			return cmp.Compare(b.Bytes.Original+b.Bytes.Reply, a.Bytes.Original+a.Bytes.Reply)
		})
		flows = flows[:limit]
	} else {
		slices.SortStableFunc(flows, func(a, b export.Flow) int { return cmp.Compare(when(a.Start), when(b.Start)) })
	}
	p.title(title)
	if len(flows) == 0 {
		p.line("  none")
		return
	}
	var rows [][]string
	for i := range flows {
		f := &flows[i]
		protocol, from, to := ends(f)
		rows = append(rows, []string{
			protocol, from, to,
			number(f.Packets.Original) + " / " + number(f.Packets.Reply),
			number(f.Bytes.Original) + " / " + number(f.Bytes.Reply),
			time.Duration(when(f.Last) - when(f.Start)).Round(time.Millisecond).String(), endings[f.EndReason],
		})
	}
	p.table([]string{"protocol", "from", "to", ">packets →/←", ">bytes →/←", ">for", "ended"}, rows)
}

// endings says how a session ended.
var endings = map[string]string{
	"IDLE_TIMEOUT":      "idle",
	"END_OF_FLOW":       "closed",
	"RESET":             "reset",
	"LACK_OF_RESOURCES": "evicted",
	"SHUTDOWN":          "still open",
}

// ends returns a session's protocol and its two ends.
func ends(f *export.Flow) (protocol, from, to string) {
	protocol = export.ProtocolName(f.Protocol)
	var ports *export.Ports
	if f.L4 != nil {
		ports = cmp.Or(f.L4.TCP, f.L4.UDP, f.L4.SCTP)
	}
	if ports == nil {
		return protocol, f.IP.Source.String(), f.IP.Destination.String()
	}
	at := func(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }
	return protocol, at(f.IP.Source, ports.Source), at(f.IP.Destination, ports.Destination)
}

// tellLedger shows that the books balance.
func tellLedger(p *page, r *results) {
	p.title("The books")
	l := r.report.Ledger
	came := l.Received + l.Generated + l.Replicated
	went := int64(l.Transmitted+l.Dropped+l.Consumed) + l.Queued
	for _, row := range [][4]string{
		{"  frames that came in", number(l.Received), "  frames that went out", number(l.Transmitted)},
		{"+ made by the switch", number(l.Generated), "+ dropped, each with a reason", number(l.Dropped)},
		{"+ copies and fragments", number(l.Replicated), "+ meant for the switch itself", number(l.Consumed)},
		{"", "", "+ still waiting", number(l.Queued)},
		{"= in all", number(came), "= in all", number(went)},
	} {
		p.line("  %-24s %11s     %-32s %11s", row[0], row[1], row[2], row[3])
	}
	if l.Unexplained == 0 {
		p.line("\n  %s Every frame is accounted for.", p.paint(green, "✓"))
		return
	}
	p.line("\n  %s", p.paint(red, fmt.Sprintf("✗ %d frames are unaccounted for: this is a defect of Sluice.", l.Unexplained)))
}

// number writes n with its thousands apart.
func number[T int | int64 | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
