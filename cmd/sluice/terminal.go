package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// isTerminal reports whether a person reads or writes there.
func isTerminal(stream any) bool {
	f, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

// screen is where results go, and what can be shown there.
type screen struct {
	w      io.Writer
	width  int  // of the terminal, in characters; 0 if it is none: lines are as long as need be
	colour bool // it is a terminal that has colours, and the user likes them (no-color.org)
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if !isTerminal(w) {
		return s
	}
	if width, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil {
		s.width = width
	}
	s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// colour is a parameter of SGR (ECMA-48 section 8.3.117).
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// paint gives a text its colour, if the screen has any.
func (s *screen) paint(c colour, text string) string {
	if !s.colour || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// stateColour is that of a word about how something does.
func stateColour(state string) colour {
	switch state {
	case "UP", "Programmed", "BOUND", "KNOWN", "ESTABLISHED":
		return green
	case "ABSENT", "DOWN", "FAILED", "GONE", "Deleted":
		return red
	case none, "Accepted":
		return plain
	}
	return yellow
}

// printDiff prints a unified diff.
func (s *screen) printDiff(diff string) error {
	if !s.colour {
		_, err := io.WriteString(s.w, diff)
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(diff) {
		text, end := strings.CutSuffix(line, "\n")
		c := plain
		switch {
		case strings.HasPrefix(text, "---"), strings.HasPrefix(text, "+++"):
			c = bold
		case strings.HasPrefix(text, "@@"):
			c = cyan
		case strings.HasPrefix(text, "-"):
			c = red
		case strings.HasPrefix(text, "+"):
			c = green
		}
		b.WriteString(s.paint(c, text))
		if end {
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(s.w, b.String())
	return err
}
