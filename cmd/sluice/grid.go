package main

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// column is a column of a table of Ts.
type column[T any] struct {
	header string
	wide   bool // with -o wide only
	text   func(*T) string
}

// none stands for what is not there: so awk still finds the columns, as with kubectl.
const none = "<none>"

// shown are the columns that a table has.
func shown[T any](columns []column[T], wide bool) []column[T] {
	if wide {
		return columns
	}
	return slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.wide })
}

func headers[T any](columns []column[T]) []string {
	texts := make([]string, len(columns))
	for i := range columns {
		texts[i] = columns[i].header
	}
	return texts
}

func cells[T any](columns []column[T], v *T) []string {
	texts := make([]string, len(columns))
	for i := range columns {
		texts[i] = columns[i].text(v)
	}
	return texts
}

// printTable prints nothing, also no header, where there are no rows.
func printTable[T any](s *screen, columns []column[T], wide bool, rows []T) error {
	columns = shown(columns, wide)
	g := grid{screen: s, header: headers(columns)}
	texts := make([][]string, len(rows))
	for i := range rows {
		texts[i] = cells(columns, &rows[i])
	}
	return g.print(texts)
}

// The shape of a grid, in characters.
const (
	gap     = 3 // between columns
	minCell = 8 // no column is cut to less
)

// grid prints a table, also piece by piece: columns get wider then if they must, and
// never narrower.
type grid struct {
	screen   *screen
	header   []string
	noHeader bool

	widths []int // so far; nil before the first rows
}

// print adds rows, the first ones behind the header.
func (g *grid) print(rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	for _, row := range rows {
		for i, text := range row {
			row[i] = cell(text)
		}
	}
	var b strings.Builder
	first := g.widths == nil
	if first {
		g.widths = make([]int, len(g.header))
	}
	withHeader := first && !g.noHeader
	if withHeader {
		g.widen(g.header)
	}
	for _, row := range rows {
		g.widen(row)
	}
	if g.screen.width > 0 {
		fit(g.widths, g.screen.width)
	}
	if withHeader {
		g.line(&b, g.header, func(int, string) colour { return bold })
	}
	for _, row := range rows {
		g.line(&b, row, g.colour)
	}
	_, err := g.screen.w.Write([]byte(b.String()))
	return err
}

func (g *grid) widen(row []string) {
	for i, text := range row {
		g.widths[i] = max(g.widths[i], utf8.RuneCountInString(text))
	}
}

// colour is that of a cell that is no header.
func (g *grid) colour(column int, text string) colour {
	switch g.header[column] {
	case "STATE", "STATUS", "PORT-STATE":
		return stateColour(text)
	}
	return plain
}

func (g *grid) line(b *strings.Builder, row []string, colourOf func(column int, text string) colour) {
	for i, text := range row {
		c := colourOf(i, text)
		text, n := cut(text, g.widths[i])
		b.WriteString(g.screen.paint(c, text))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", g.widths[i]-n+gap))
		}
	}
	b.WriteByte('\n')
}

// cell makes a text one that stays in its cell, and is there. Messages of programs may hold
// whatever, and a terminal would do it.
func cell(text string) string {
	if text == "" {
		return none
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(text, "\n", "; "))
}

// fit makes the widest columns narrower until all fit into a width, if they can.
func fit(widths []int, width int) {
	excess := gap*(len(widths)-1) - width
	for _, w := range widths {
		excess += w
	}
	for ; excess > 0; excess-- {
		widest := 0
		for i, w := range widths {
			if w >= widths[widest] { // the last of several: names stand in front
				widest = i
			}
		}
		if widths[widest] <= minCell {
			return
		}
		widths[widest]--
	}
}

// cut shortens a text to a width, and returns how much of that it takes.
func cut(text string, width int) (short string, n int) {
	n = utf8.RuneCountInString(text)
	if n <= width {
		return text, n
	}
	return string([]rune(text)[:width-1]) + "…", width
}
