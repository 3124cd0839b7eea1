package lab

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-net/sluice/control"
)

// Duration is written as Go writes them: 500ms, 10s, 1m30s.
type Duration time.Duration

func (v *Duration) decode(d *decoder, n *yaml.Node, path string) {
	t, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || t < 0 {
		d.fault(n, path, "must be a duration, not "+describe(n), "such as 500ms or 10s")
		return
	}
	*v = Duration(t)
}

// Command is a line for the shell, or the words of a command that needs none.
// The form is kept: nothing is quoted or split here.
type Command struct {
	At    place
	Line  string
	Words []string
}

func (c *Command) decode(d *decoder, n *yaml.Node, path string) {
	c.At = placeOf(n)
	switch n.Kind {
	case yaml.ScalarNode:
		c.Line = strings.TrimSpace(n.Value)
	case yaml.SequenceNode:
		for _, w := range n.Content {
			if w.Kind != yaml.ScalarNode {
				d.fault(w, path, "each word must be text, not "+describe(w), "")
				return
			}
			c.Words = append(c.Words, w.Value)
		}
	}
	if c.IsZero() {
		d.fault(n, path, "must be a command, not "+describe(n), "a line for the shell, or a list of words")
	}
}

// IsZero reports whether no command is given.
func (c *Command) IsZero() bool { return c.Line == "" && len(c.Words) == 0 }

// Argv is what to execute.
func (c *Command) Argv() []string {
	if len(c.Words) > 0 {
		return c.Words
	}
	return []string{"/bin/sh", "-c", c.Line}
}

// String is the command as a person would type it.
func (c *Command) String() string {
	if len(c.Words) > 0 {
		return strings.Join(c.Words, " ")
	}
	return c.Line
}

// mapText returns the command with each text replaced by f's.
func (c *Command) mapText(f func(string) string) Command {
	changed := Command{At: c.At, Line: f(c.Line)}
	for _, w := range c.Words {
		changed.Words = append(changed.Words, f(w))
	}
	return changed
}

// Names is a name or a list of them; "*" stands for any part of one.
type Names []string

func (v *Names) decode(d *decoder, n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.ScalarNode:
		*v = Names{n.Value}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				d.fault(item, path, "must be a name, not "+describe(item), "")
				continue
			}
			*v = append(*v, item.Value)
		}
	default:
		d.fault(n, path, "must be a name or a list of names, not "+describe(n), "")
	}
}

func (s *DeviceSpec) decode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{
			{Kind: yaml.ScalarNode, Value: "type", Line: n.Line, Column: n.Column}, n,
		}}
	}
	type plain DeviceSpec // without this method
	d.into(n, (*plain)(s), path)
}

func (v *Device) decode(d *decoder, n *yaml.Node, path string) {
	// {delete: demo/web-1} is short for {action: delete, of: demo/web-1}.
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 && slices.Contains([]string{"delete", "create", "down", "up"}, n.Content[0].Value) {
		v.Action, v.Of = n.Content[0].Value, n.Content[1].Value
		return
	}
	type plain Device
	d.into(n, (*plain)(v), path)
}

func (v *Connect) decode(d *decoder, n *yaml.Node, path string) {
	v.At = placeOf(n)
	// Without patience the attempts need no field of their own.
	if n.Kind != yaml.MappingNode {
		v.To.decode(d, n, path)
		return
	}
	type plain Connect // without this method
	d.into(n, (*plain)(v), path)
}

// Text is a block of YAML documents, and where it begins in the file.
type Text struct {
	At     place // of the first line of the text
	Text   string
	indent int // columns that the block is moved to the right by
}

func (t *Text) decode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, "must be text, not "+describe(n), "write | after the colon, and the objects below, indented")
		return
	}
	t.At, t.Text = placeOf(n), n.Value
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return
	}
	t.At.line++
	for i := t.At.line - 1; i < len(d.lines); i++ {
		if line := strings.TrimLeft(d.lines[i], " "); line != "" {
			t.indent = len(d.lines[i]) - len(line)
			break
		}
	}
}

// objects decodes the text, and puts faults where they are in the file.
func (t *Text) objects(d *decoder) []*control.Object {
	if strings.TrimSpace(t.Text) == "" {
		return nil
	}
	objects, faults := control.Decode(d.file, []byte(t.Text), control.Options{})
	d.faults = append(d.faults, t.moved(faults)...)
	return objects
}

func (t *Text) moved(faults control.Faults) control.Faults {
	for i := range faults {
		faults[i].Line += t.At.line - 1
		faults[i].Column += t.indent
	}
	return faults
}

// stringList is a text or a list of texts.
func stringList(d *decoder, n *yaml.Node, path string) []string {
	var list Names
	list.decode(d, n, path)
	return list
}
