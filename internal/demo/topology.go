package main

import (
	"fmt"
	"strings"

	"github.com/sluice-net/sluice/control"
)

// drawTopology draws each router with its uplinks above and its segments below,
// side by side:
//
//	            outside
//	               │
//	         ┌─────┴─────┐
//	         │  router   │
//	         └─┬───────┬─┘
//	┌──────────┴─┐   ┌─┴──────────┐
//	│ segment    │   │ segment    │
//	└────────────┘   └────────────┘
func drawTopology(p *page, m *control.Model) {
	for i := range m.Routers {
		drawRouter(p, m, i)
	}
}

func drawRouter(p *page, m *control.Model, number int) {
	r := &m.Routers[number]
	var boxes [][]string
	for _, c := range r.Connected { // in the order of networks
		if s := &m.Segments[c.Segment]; s.Subnets[0].Prefix == c.Prefix {
			boxes = append(boxes, segmentBox(m, c.Segment))
		}
	}
	if len(boxes) == 0 {
		return
	}
	total := 3 * (len(boxes) - 1)
	for _, b := range boxes {
		total += width(b[0])
	}

	top := []string{"router " + r.Name}
	for _, u := range r.Uplinks {
		top = append(top, uplinkText(m, &u))
	}
	inner := 0
	for _, line := range top {
		inner = max(inner, width(line))
	}
	inner = max(inner+4, total/2)
	total = max(total, inner+2)
	margin := (pageWidth - total) / 2
	left := margin + (total-inner-2)/2 // of the router's box

	if len(r.Uplinks) > 0 {
		middle := left + 1 + inner/2
		p.line("%s%s", strings.Repeat(" ", middle-3), "outside")
		p.line("%s│", strings.Repeat(" ", middle))
	}
	roof := []rune("┌" + strings.Repeat("─", inner) + "┐")
	if len(r.Uplinks) > 0 {
		roof[1+inner/2] = '┴'
	}
	p.line("%s%s", strings.Repeat(" ", left), string(roof))
	for _, line := range top {
		p.line("%s│%s│", strings.Repeat(" ", left), centre(line, inner))
	}

	// Each segment hangs from where its box and the router's overlap.
	floor := []rune("└" + strings.Repeat("─", inner) + "┘")
	at := margin
	for i, b := range boxes {
		hook := min(max(at+width(b[0])/2, left+2), left+inner-1)
		floor[hook-left] = '┬'
		boxTop := []rune(b[0])
		boxTop[min(max(hook-at, 1), len(boxTop)-2)] = '┴'
		boxes[i][0] = string(boxTop)
		at += len(boxTop) + 3
	}
	p.line("%s%s", strings.Repeat(" ", left), string(floor))
	for row := 0; ; row++ {
		var line strings.Builder
		more := false
		for _, b := range boxes {
			cell := strings.Repeat(" ", width(b[0]))
			if row < len(b) {
				cell, more = b[row], true
			}
			line.WriteString(cell + "   ")
		}
		if !more {
			return
		}
		p.line("%s%s", strings.Repeat(" ", margin), strings.TrimRight(line.String(), " "))
	}
}

func uplinkText(m *control.Model, u *control.Uplink) string {
	port := m.Ports[u.Port]
	text := "port " + port.Name
	for _, a := range u.Addresses {
		text += ", " + a.String()
	}
	for _, g := range u.Gateways {
		text += ", default route to " + g.String()
	}
	return fmt.Sprintf("%s, MTU %d", text, port.MTU)
}

// segmentBox returns the lines of a segment's box.
func segmentBox(m *control.Model, number int) []string {
	s := &m.Segments[number]
	lines := []string{"segment " + s.Name}
	for _, n := range s.Subnets {
		lines = append(lines, "  "+n.Prefix.String()+", gateway "+n.Gateway.String())
	}
	for i := range m.Ports {
		p := m.Ports[i]
		if p.Segment != number {
			continue
		}
		lines = append(lines, "port "+p.Name)
		for _, a := range p.Addresses {
			lines = append(lines, "  "+a.IP.String())
		}
	}
	inner := 0
	for _, line := range lines {
		inner = max(inner, width(line))
	}
	box := []string{"┌" + strings.Repeat("─", inner+2) + "┐"}
	for _, line := range lines {
		box = append(box, "│ "+pad(line, inner)+" │")
	}
	return append(box, "└"+strings.Repeat("─", inner+2)+"┘")
}
