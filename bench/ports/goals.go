package main

import (
	"fmt"
	"io"
	"slices"
)

// goal is what a figure should be at least, or at most.
type goal struct {
	what    string
	way     string
	figure  figure
	ratio   bool // to the baseline in the same round
	atLeast bool // else at most
	limit   float64
}

// goals are of the ways; those of the daemon by itself are in goalsOf.
var goals = []goal{
	{"TCP over packet sockets", "afpacket", figGbps, true, true, 0.8},
	{"TCP over TAPs", "tap", figGbps, true, true, 0.6},
	{"request and response over packet sockets, p50, the scheduler's choice", "afpacket", figP50, true, false, 1.5},
	{"the same, a CPU each", "afpacket", figP50Apart, true, false, 1.5},
	{"the same, --cpu-latency 0s, the scheduler's choice", "afpacket-awake", figP50, true, false, 1.5},
	{"the same, --cpu-latency 0s, a CPU each", "afpacket-awake", figP50Apart, true, false, 1.5},
	{"request and response over TAPs, p50, the scheduler's choice", "tap", figP50, true, false, 1.5},
	{"the same, a CPU each", "tap", figP50Apart, true, false, 1.5},
	{"AF_XDP, CPU µs per packet of 64 bytes, daemon", "afxdp", figDaemonPerFrame, false, false, 1.2},
}

// judged is a goal with what was measured.
type judged struct {
	goal
	values []float64 // one for each round, in order of size
}

// judge looks up what there is of the goals.
func (r *results) judge() (all []judged) {
	for _, g := range goals {
		values := slices.Sorted(slices.Values(r.of[g.way][g.figure]))
		if g.ratio {
			values = r.ratios(g.way, g.figure)
		}
		all = append(all, judged{g, values})
	}
	return all
}

// judge is of the daemon by itself.
func (f *daemonFigures) judge() []judged {
	var first []float64
	for _, took := range f.firstFrame {
		first = append(first, float64(took.Milliseconds()))
	}
	return []judged{
		{goal{what: "first frame after the daemon's start, ms", limit: 300}, slices.Sorted(slices.Values(first))},
		{goal{what: fmt.Sprintf("idle daemon with %d ports, %% of a core", idlePorts), limit: 5}, slices.Sorted(slices.Values(f.idle))},
	}
}

// met says whether a value is as wanted.
func (g *goal) met(value float64) bool {
	if g.atLeast {
		return value >= g.limit
	}
	return value <= g.limit
}

// printGoals writes a line for each goal that was measured.
func printGoals(w io.Writer, all []judged) {
	fmt.Fprint(w, "\n## Goals\n\n| what | goal | median | all rounds | |\n|---|---|---|---|---|\n")
	for _, j := range all {
		if len(j.values) == 0 {
			continue
		}
		middle := j.values[len(j.values)/2]
		bound, unit, verdict := "≤", "", "**not met**"
		if j.atLeast {
			bound = "≥"
		}
		if j.ratio {
			unit = " × the bridge"
		}
		if j.met(middle) {
			verdict = "met"
		}
		rounds := 0
		for _, v := range j.values {
			if j.met(v) {
				rounds++
			}
		}
		if rounds != 0 && rounds != len(j.values) {
			verdict += fmt.Sprintf(", in %d of %d rounds", rounds, len(j.values))
		}
		fmt.Fprintf(w, "| %s | %s %g%s | %s | %s to %s | %s |\n", j.what, bound, j.limit, unit,
			rounded(middle), rounded(j.values[0]), rounded(j.values[len(j.values)-1]), verdict)
	}
}
