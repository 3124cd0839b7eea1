package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/sluice-net/sluice/control/schema"
)

// Lines of explain are as long as the terminal lets them be, within what is good to read.
const (
	minExplainWidth = 80
	maxExplainWidth = 110
)

func printKinds(w io.Writer, rows []explainedKind) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\tIN EFFECT")
	for _, r := range rows {
		effect := "yes"
		if r.NotImplemented != "" {
			effect = "no: " + r.NotImplemented
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%v\t%s\t%s\n", r.Name, strings.Join(r.ShortNames, ","), r.APIVersion, r.Namespaced, r.Kind, effect)
	}
	return t.Flush()
}

// explainer writes a page about a field, as kubectl explain does.
type explainer struct {
	b         strings.Builder
	width     int
	recursive bool
}

func (e *explainer) page(kind schema.Kind, path []string, field schema.Field) {
	if group := kind.Group(); group != "" {
		fmt.Fprintf(&e.b, "GROUP:      %s\n", group)
	}
	fmt.Fprintf(&e.b, "KIND:       %s\nVERSION:    %s\n", kind.Kind, kind.Version())
	if kind.NotImplemented != "" {
		fmt.Fprintf(&e.b, "IN EFFECT:  no: %s\n", kind.NotImplemented)
	}
	if len(path) > 0 {
		fmt.Fprintf(&e.b, "\nFIELD: %s <%s>%s\n", path[len(path)-1], field.Type, required(field))
	}
	e.b.WriteString("\nDESCRIPTION:\n")
	description := field.Description
	if description == "" {
		description = "(none)"
	}
	e.wrap(description, "    ")
	if text := allowed(field); text != "" {
		e.b.WriteByte('\n')
		e.wrap(text, "    ")
	}
	fields := field.Fields()
	if len(fields) == 0 {
		return
	}
	e.b.WriteString("\nFIELDS:\n")
	for i, child := range fields {
		if e.recursive {
			e.tree(child, "  ")
			continue
		}
		if i > 0 {
			e.b.WriteByte('\n')
		}
		fmt.Fprintf(&e.b, "  %s\t<%s>%s\n", child.Name, child.Type, required(child))
		e.wrap(child.Description, "    ")
		e.wrap(allowed(child), "    ")
	}
}

// tree writes a field and all below it, a line each.
func (e *explainer) tree(f schema.Field, indent string) {
	text := allowed(f)
	if text != "" {
		text = "  " + text
	}
	fmt.Fprintf(&e.b, "%s%s\t<%s>%s%s\n", indent, f.Name, f.Type, required(f), text)
	for _, child := range f.Fields() {
		e.tree(child, indent+"  ")
	}
}

func required(f schema.Field) string {
	if f.Required {
		return " -required-"
	}
	return ""
}

// allowed says what a field may hold beside what its type says, and what it is by default.
func allowed(f schema.Field) string {
	var parts []string
	if len(f.Enum) > 0 {
		parts = append(parts, "one of "+strings.Join(f.Enum, ", "))
	}
	switch {
	case f.Minimum != nil && f.Maximum != nil:
		parts = append(parts, fmt.Sprintf("%d to %d", *f.Minimum, *f.Maximum))
	case f.Maximum != nil:
		parts = append(parts, fmt.Sprintf("at most %d", *f.Maximum))
	}
	if f.Default != "" {
		parts = append(parts, "default "+f.Default)
	}
	return strings.Join(parts, "; ")
}

// wrap writes a comment's text in lines that fit: paragraphs are set anew, what is
// indented stays as it is.
func (e *explainer) wrap(text, indent string) {
	if text == "" {
		return
	}
	used := 0 // characters of the line that has been begun
	end := func() {
		if used > 0 {
			e.b.WriteByte('\n')
			used = 0
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\t") || strings.TrimSpace(line) == "" {
			end()
			e.b.WriteString(strings.TrimRight(indent+strings.TrimPrefix(strings.TrimRight(line, "\n"), "\t"), " ") + "\n")
			continue
		}
		if strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "* ") {
			end() // an item of a list
		}
		for _, word := range strings.Fields(line) {
			size := utf8.RuneCountInString(word)
			if used > 0 && used+1+size > e.width {
				end()
			}
			if used == 0 {
				e.b.WriteString(indent + word)
				used = len(indent) + size
				continue
			}
			e.b.WriteString(" " + word)
			used += 1 + size
		}
	}
	end()
}
