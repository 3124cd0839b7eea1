package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// composition is what several changes of an object, one after the other, are in all. It is
// made of their unified diffs only: of texts it knows the lines near what changed,
// which are all that the diff of the first and the last text shows.
type composition struct {
	ref           api.ObjectRef
	before, after bool // whether the object was there at first, and is now

	first []firstLine
	last  []lastLine
}

// firstLine is a line of the text before all changes, in its order.
type firstLine struct {
	text  string // valid iff known
	known bool
}

// lastLine is a line of the text after the changes so far.
type lastLine struct {
	first int    // its index in the first text; -1: a change has put it there
	text  string // valid iff first is -1
}

// unknown begins a line that stands for one whose text is not known. It never differs.
const unknown = "\x00"

// hunkHeader is that of a unified diff: of old lines, where they begin, from 1, and how many
// they are, where it is not one.
var hunkHeader = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@`)

// compose adds a change to those before.
func (c *composition) compose(change *api.ObjectChange) error {
	if c.last == nil && c.first == nil && !c.after {
		c.ref = change.ObjectRef
		c.before = change.Action != api.ActionCreated
	}
	at := 0 // in last
	grown := 0
	for line := range strings.Lines(change.Diff) {
		line = strings.TrimSuffix(line, "\n")
		if header := hunkHeader.FindStringSubmatch(line); header != nil {
			begin, err := strconv.Atoi(header[1])
			if err != nil {
				return fmt.Errorf("the diff of %s: %w", refName(change.ObjectRef), err)
			}
			if header[2] != "0" {
				begin--
			}
			at = begin + grown
			continue
		}
		switch {
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "), line == "", line[0] == '\\':
		case line[0] == '+':
			c.reach(at - 1)
			c.last = append(c.last[:at], append([]lastLine{{-1, line[1:]}}, c.last[at:]...)...)
			at++
			grown++
		case line[0] == '-':
			c.learn(at, line[1:])
			c.last = append(c.last[:at], c.last[at+1:]...)
			grown--
		default:
			c.learn(at, line[1:])
			at++
		}
	}
	c.after = change.Action != api.ActionDeleted
	return nil
}

// reach makes sure that the last text has a line of that index: behind those that are known,
// it is the first one, line by line.
func (c *composition) reach(index int) {
	for index >= len(c.last) {
		c.last = append(c.last, lastLine{first: len(c.first)})
		c.first = append(c.first, firstLine{})
	}
}

// learn notes what a line of the last text is.
func (c *composition) learn(index int, text string) {
	c.reach(index)
	if l := c.last[index]; l.first >= 0 {
		c.first[l.first] = firstLine{text, true}
	}
}

// change is all of it as one change.
func (c *composition) change() api.ObjectChange {
	change := api.ObjectChange{ObjectRef: c.ref, Action: api.ActionConfigured}
	var before, after strings.Builder
	text := func(i int) string {
		if c.first[i].known {
			return c.first[i].text
		}
		return unknown + strconv.Itoa(i) // equal to itself only
	}
	if c.before {
		for i := range c.first {
			before.WriteString(text(i) + "\n")
		}
	}
	if c.after {
		for _, l := range c.last {
			if l.first >= 0 {
				l.text = text(l.first)
			}
			after.WriteString(l.text + "\n")
		}
	}
	key := control.Key{Kind: c.ref.Kind, Namespace: c.ref.Namespace, Name: c.ref.Name}
	beforeName, afterName := "before/"+key.String(), "after/"+key.String() // as in the diffs of the daemon
	switch {
	case !c.before:
		beforeName, change.Action = "/dev/null", api.ActionCreated
	case !c.after:
		afterName, change.Action = "/dev/null", api.ActionDeleted
	}
	change.Diff = unified(beforeName, afterName, before.String(), after.String())
	if c.before == c.after && change.Diff == "" {
		change.Action = api.ActionUnchanged
	}
	return change
}

// unified is a unified diff, without the lines around changes that are not known.
func unified(beforeName, afterName, before, after string) string {
	edits := udiff.Lines(before, after)
	u, err := udiff.ToUnifiedDiff(beforeName, afterName, before, edits, udiff.DefaultContextLines)
	if err != nil || len(u.Hunks) == 0 {
		return "" // edits fit the text that they were made of
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", beforeName, afterName)
	for _, h := range u.Hunks {
		p := piece{from: h.FromLine, to: h.ToLine}
		for _, l := range h.Lines {
			if strings.HasPrefix(l.Content, unknown) {
				p.flush(&b)
				p.from++
				p.to++
				continue
			}
			p.add(l)
		}
		p.flush(&b)
	}
	return b.String()
}

// piece is a part of a hunk.
type piece struct {
	from, to         int // where it begins
	fromSize, toSize int // lines
	lines            strings.Builder
	differs          bool
}

func (p *piece) add(l udiff.Line) {
	sign := " "
	switch l.Kind {
	case udiff.Delete:
		sign = "-"
		p.fromSize++
	case udiff.Insert:
		sign = "+"
		p.toSize++
	case udiff.Equal:
		p.fromSize++
		p.toSize++
	}
	p.differs = p.differs || l.Kind != udiff.Equal
	p.lines.WriteString(sign + l.Content)
}

// flush prints the piece, if there is anything in it, and begins the next.
func (p *piece) flush(b *strings.Builder) {
	if p.differs {
		fmt.Fprintf(b, "@@ -%s +%s @@\n%s", span(p.from, p.fromSize), span(p.to, p.toSize), p.lines.String())
	}
	*p = piece{from: p.from + p.fromSize, to: p.to + p.toSize}
}

// span is where lines begin and how many they are, as diff has it.
func span(begin, size int) string {
	switch size {
	case 0:
		return fmt.Sprintf("%d,0", begin-1)
	case 1:
		return strconv.Itoa(begin)
	}
	return fmt.Sprintf("%d,%d", begin, size)
}
