package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// pageWidth is how many columns a line has at most.
const pageWidth = 100

// page is text for a person.
type page struct {
	w       io.Writer
	colours bool
}

type colour string

// SGR parameters (ECMA-48 section 8.3.117).
const (
	plain colour = ""
	bold  colour = "1"
	dim   colour = "2"
	red   colour = "31"
	green colour = "32"
	cyan  colour = "36"
)

// paint colours text, if colours are welcome.
func (p *page) paint(c colour, text string) string {
	if !p.colours || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// line writes one line.
func (p *page) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// paragraph writes text in lines that begin with indent.
func (p *page) paragraph(c colour, indent, text string) {
	for _, line := range wrap(text, pageWidth-width(indent)) {
		p.line("%s%s", indent, p.paint(c, line))
	}
}

// title writes a heading with a rule behind it.
func (p *page) title(text string) {
	rule := max(pageWidth-width(text)-4, 0)
	p.line("\n%s %s %s\n", p.paint(dim, "──"), p.paint(bold, text), p.paint(dim, strings.Repeat("─", rule)))
}

// table writes rows in columns. Columns whose heading begins with ">" are
// aligned to the right; a heading of only blanks is left out of the ruler.
func (p *page) table(head []string, rows [][]string) {
	widths := make([]int, len(head))
	right := make([]bool, len(head))
	for i, h := range head {
		head[i], right[i] = strings.CutPrefix(h, ">")
		widths[i] = width(head[i])
		for _, row := range rows {
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	write := func(c colour, cells []string) {
		var b strings.Builder
		for i, cell := range cells {
			space := strings.Repeat(" ", widths[i]-width(cell))
			if right[i] {
				cell = space + cell
			} else {
				cell += space
			}
			b.WriteString("  " + cell)
		}
		p.line("%s", p.paint(c, strings.TrimRight(b.String(), " ")))
	}
	write(dim, head)
	for _, row := range rows {
		write(plain, row)
	}
}

// width is the number of columns that text takes: all characters written here
// take one.
func width(text string) int { return utf8.RuneCountInString(text) }

// wrap breaks text at blanks into lines of at most size columns; a word longer
// than that has a line of its own.
func wrap(text string, size int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) > size:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// centre puts blanks on both sides of text.
func centre(text string, size int) string {
	left := max(size-width(text), 0) / 2
	return pad(strings.Repeat(" ", left)+text, size)
}

// pad fills text up with blanks.
func pad(text string, size int) string {
	return text + strings.Repeat(" ", max(size-width(text), 0))
}
