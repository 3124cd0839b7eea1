package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows on a terminal what long work is at: one line that is written
// over. Elsewhere it says nothing, so that logs stay short.
type progress struct {
	w    io.Writer // nil: nothing is shown
	last time.Time
	open bool
}

func newProgress(w io.Writer) *progress {
	if isTerminal(w) {
		return &progress{w: w}
	}
	return &progress{}
}

// say shows a line, at most ten times a second.
func (p *progress) say(format string, args ...any) {
	if p.w == nil || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last, p.open = time.Now(), true
	fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
}

// clear removes the line.
func (p *progress) clear() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}
