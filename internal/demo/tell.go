package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/packet"
)

// self is what the switch itself is called where frames come from or go to.
const self = "sluice"

// moment is all that happens at one time: at most one frame came in.
type moment struct {
	time  int64
	frame []byte // that came in; nil: a timer ran out
	index int64  // of frame in the capture; -1 without one
	sent  []sentFrame
	drops []replay.Drop
}

// teller tells what the scenes came to.
type teller struct {
	*page
	r      *results
	owners map[string]string // of MAC addresses as text
	ports  map[string]string // of MAC addresses as text: ports only
	column int               // width of a port's name
	begun  int64             // when the scene did
	said   map[string]bool   // what need not be said again in this scene
}

// tellScenes writes the account. The error says which scenes went otherwise
// than they should.
func tellScenes(p *page, r *results, scenes []scene) error {
	t := &teller{page: p, r: r, owners: map[string]string{}, ports: map[string]string{}, column: width(self)}
	t.findOwners()
	var wrong []string
	index := int64(0)
	for i, s := range scenes {
		t.begun, t.said = begin(i), map[string]bool{}
		p.title(fmt.Sprintf("%d  %s", i+1, s.title))
		p.paragraph(plain, "  ", s.story)
		p.line("")
		moments := t.moments(i, s, index)
		index += int64(len(s.frames))
		for _, m := range moments {
			t.tell(m)
		}
		if fault := s.check(moments); fault != "" {
			wrong = append(wrong, s.title)
			p.paragraph(red, "  ", "✗ This is not how it should be: "+fault+".")
		}
	}
	tellTotals(p, r)
	if len(wrong) > 0 {
		return errors.New("not as it should be: " + strings.Join(wrong, "; "))
	}
	p.line("\n  %s All %d scenes went as they should.", p.paint(green, "✓"), len(scenes))
	return nil
}

// findOwners says whose each MAC address is.
func (t *teller) findOwners() {
	m := t.r.model
	t.owners[m.Node.GatewayMAC.String()] = "router"
	t.owners[api.MAC(packet.Broadcast).String()] = "everybody"
	for i := range m.Routers {
		for _, u := range m.Routers[i].Uplinks {
			t.owners[u.MAC.String()] = "router"
		}
	}
	for i := range m.Ports {
		p := m.Ports[i]
		t.column = max(t.column, width(p.Name))
		for _, a := range p.Addresses {
			t.owners[a.MAC.String()] = p.Name
			t.ports[a.MAC.String()] = p.Name
		}
	}
}

// moments are those of a scene, in order. first is the index of its first frame.
func (t *teller) moments(number int, s scene, first int64) []*moment {
	all := map[int64]*moment{}
	at := func(when int64) *moment {
		if all[when] == nil {
			all[when] = &moment{time: when, index: -1}
		}
		return all[when]
	}
	from, to := begin(number), begin(number+1)
	now := from
	for i, f := range s.frames {
		now += int64(f.after)
		data, err := frametext.Parse(f.line)
		if err != nil {
			panic(err) // the capture could not have been written
		}
		m := at(now)
		m.frame, m.index = data, first+int64(i)
	}
	for _, f := range t.r.sent {
		if f.time >= from && f.time < to {
			m := at(f.time)
			m.sent = append(m.sent, f)
		}
	}
	for _, d := range t.r.drops {
		if now := when(d.Time); now >= from && now < to {
			m := at(now)
			m.drops = append(m.drops, d)
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *moment) int { return int(a.time - b.time) })
}

// check compares what happened with what the scene is to show; empty if they agree.
func (s *scene) check(moments []*moment) string {
	sent, drops := map[string]int{}, []string(nil)
	for _, m := range moments {
		for _, f := range m.sent {
			sent[f.port]++
		}
		for _, d := range m.drops {
			drops = append(drops, d.Reason)
		}
	}
	var faults []string
	if !maps.Equal(sent, s.sent) {
		faults = append(faults, fmt.Sprintf("frames sent are %v, should be %v", sent, s.sent))
	}
	if !slices.Equal(drops, s.drops) {
		faults = append(faults, fmt.Sprintf("drops are %v, should be %v", drops, s.drops))
	}
	return strings.Join(faults, "; ")
}

// tell writes what happened at a moment: the frame that came in with what
// became of it, then the frames that left besides.
func (t *teller) tell(m *moment) {
	rest := m.sent
	var dropped *replay.Drop
	for i := range m.drops {
		if m.frame == nil || m.drops[i].Frame == m.index {
			dropped = &m.drops[i]
		}
	}
	switch {
	case m.frame == nil && dropped != nil:
		t.row(self, "", fmt.Sprintf("(frame %d, which was waiting)", dropped.Frame))
	case m.frame == nil:
	case dropped != nil:
		t.row(t.portOf(m.frame), "", t.text(m.frame))
	default:
		to, change := self, ""
		for i, f := range m.sent {
			if what, same := t.change(m.frame, f.data); same {
				to, change = f.port, what
				rest = slices.Delete(slices.Clone(m.sent), i, i+1)
				break
			}
		}
		from := t.portOf(m.frame)
		t.row(from, to, t.text(m.frame))
		if line := from + " " + to + " " + change; change != "" && !t.said[line] {
			t.said[line] = true
			t.note(dim, "leaves with "+change)
		}
	}
	if dropped != nil {
		reason, _ := packet.ReasonByName(dropped.Reason)
		t.note(red, "dropped: "+dropped.Reason+", "+reason.Meaning())
	}
	for _, f := range rest {
		text := t.text(f.data)
		if m.frame == nil {
			text += fmt.Sprintf(" (at %s)", time.Duration(m.time-t.begun).Round(100*time.Millisecond))
		}
		t.row(self, f.port, text)
	}
}

// row writes a frame between two places; to is empty if it is dropped.
func (t *teller) row(from, to, text string) {
	arrow, c := "─▶", cyan
	switch {
	case to == "":
		arrow, c = "─✗", red
	case from == self:
		c = green
	}
	head := fmt.Sprintf("  %s %s %s  ", t.paint(bold, pad(from, t.column)), t.paint(c, arrow), t.paint(bold, pad(to, t.column)))
	for _, line := range wrap(text, pageWidth-t.indent()) {
		t.line("%s%s", head, line)
		head = strings.Repeat(" ", t.indent()+2)
	}
}

// indent is the number of columns in front of a frame's text.
func (t *teller) indent() int { return 2 + t.column + 4 + t.column + 2 }

// note writes something about the frame above.
func (t *teller) note(c colour, text string) {
	t.paragraph(c, strings.Repeat(" ", t.indent()), text)
}

// portOf returns the port that a frame of the capture enters by: what --in '*='
// does, for frames whose source MAC address says it.
func (t *teller) portOf(frame []byte) string {
	var mac api.MAC
	copy(mac[:], frame[6:])
	if name, found := t.ports[mac.String()]; found {
		return name
	}
	return replay.UplinkPort
}

var (
	ethernet = regexp.MustCompile(`eth ([0-9a-f:]{17}) > ([0-9a-f:]{17})`)
	hopLimit = regexp.MustCompile(` ttl \d+`)
	named    = regexp.MustCompile(`eth \S+ > \S+`)
	digits   = regexp.MustCompile(`\b(hex|raw) ([0-9a-f]{29,})`)
	letters  = regexp.MustCompile(`\bdata "([^"\\]{41,})"`)
)

// text is a frame as text, with MAC addresses by name and long bytes cut.
func (t *teller) text(frame []byte) string {
	line := digits.ReplaceAllStringFunc(frametext.Format(frame), func(s string) string {
		kind, hex, _ := strings.Cut(s, " ")
		return fmt.Sprintf("%s %s… (%d bytes)", kind, hex[:24], len(hex)/2)
	})
	line = letters.ReplaceAllStringFunc(line, func(s string) string {
		return fmt.Sprintf("%s…\" (%d bytes)", s[:26], len(s)-len(`data ""`))
	})
	return ethernet.ReplaceAllStringFunc(line, func(s string) string {
		macs := ethernet.FindStringSubmatch(s)
		return "eth " + t.owner(macs[1]) + " > " + t.owner(macs[2])
	})
}

func (t *teller) owner(mac string) string {
	if name, found := t.owners[mac]; found {
		return name
	}
	return mac
}

// change reports whether two frames are the same but for what routing changes,
// and says in words what that is in the second.
func (t *teller) change(before, after []byte) (what string, same bool) {
	if bytes.Equal(before, after) {
		return "", true
	}
	was, is := frametext.Format(before), frametext.Format(after)
	bare := func(line string) string {
		return hopLimit.ReplaceAllString(ethernet.ReplaceAllString(line, ""), "")
	}
	if strings.Join(strings.Fields(bare(was)), " ") != strings.Join(strings.Fields(bare(is)), " ") {
		return "", false
	}
	line := t.text(after)
	return strings.TrimSpace(named.FindString(line) + hopLimit.FindString(is)), true
}
