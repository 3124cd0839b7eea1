package lab

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Result is what came of a scenario. Its JSON form is that of `-o json`.
type Result struct {
	Scenario string       `json:"scenario"`
	File     string       `json:"file"`
	ID       string       `json:"id"`
	OK       bool         `json:"ok"`
	Seconds  float64      `json:"seconds"`
	Steps    []StepResult `json:"steps"`
	// KeptIn is the folder of the lab if it was left up.
	KeptIn string `json:"keptIn,omitempty"`
}

// StepResult is what came of a step.
type StepResult struct {
	Line     int      `json:"line,omitempty"` // in the file; 0 for what the lab does by itself
	Name     string   `json:"name"`
	OK       bool     `json:"ok"`
	Seconds  float64  `json:"seconds"`
	Attempts int      `json:"attempts"`
	Faults   []string `json:"faults,omitempty"`  // what was expected and what was got
	Details  []string `json:"details,omitempty"` // outputs; on a failure also the node's state
}

// printer writes results for a person.
type printer struct {
	w       io.Writer
	verbose bool
}

func (p *printer) begin(s *Scenario, id string) {
	fmt.Fprintf(p.w, "%s (%s): %s\n", s.Name, id, s.About)
	if picture := strings.TrimRight(s.Picture, "\n "); picture != "" {
		fmt.Fprintf(p.w, "\n%s\n\n", indent(picture, "    "))
	}
}

func (p *printer) step(r *StepResult) {
	verdict := "ok  "
	if !r.OK {
		verdict = "FAIL"
	}
	place := ""
	if !r.OK && r.Line > 0 {
		place = fmt.Sprintf(" (line %d)", r.Line)
	}
	again := ""
	if r.Attempts > 1 {
		again = fmt.Sprintf(" (attempt %d)", r.Attempts)
	}
	fmt.Fprintf(p.w, "  %s %6.2f s  %s%s%s\n", verdict, r.Seconds, r.Name, place, again)
	for _, f := range r.Faults {
		fmt.Fprintf(p.w, "%s\n", indent(f, "       "))
	}
	if p.verbose || !r.OK {
		for _, d := range r.Details {
			fmt.Fprintf(p.w, "%s\n", indent(d, "         "))
		}
	}
}

func (p *printer) end(r *Result) {
	verdict := "ok"
	if !r.OK {
		verdict = "FAILED"
	}
	fmt.Fprintf(p.w, "%s: %s, %d steps, %.1f s\n", r.Scenario, verdict, len(r.Steps), r.Seconds)
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

// excerpt shortens a text to so many lines, from both ends.
func excerpt(text string, most int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) <= most {
		return strings.Join(lines, "\n")
	}
	head, tail := lines[:most/2], lines[len(lines)-most/2:]
	return strings.Join(head, "\n") + fmt.Sprintf("\n… %d lines …\n", len(lines)-most/2*2) + strings.Join(tail, "\n")
}

// since is the time that has passed, in seconds.
func since(begin time.Time) float64 { return time.Since(begin).Seconds() }
