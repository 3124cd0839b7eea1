package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// results are the figures of all rounds.
type results struct {
	of map[string]map[figure][]float64
}

func newResults() *results { return &results{map[string]map[figure][]float64{}} }

func (r *results) add(w *way, f figure, value float64) {
	if r.of[w.name] == nil {
		r.of[w.name] = map[figure][]float64{}
	}
	r.of[w.name][f] = append(r.of[w.name][f], value)
}

// median returns the middle value, and whether there is one.
func (r *results) median(name string, f figure) (float64, bool) {
	values := slices.Sorted(slices.Values(r.of[name][f]))
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}

// ratio is the median over the rounds of a way's figure divided by the baseline's in the same round.
func (r *results) ratio(name string, f figure) (float64, bool) {
	own, base := r.of[name][f], r.of[baseline][f]
	if len(own) == 0 || len(own) != len(base) {
		return 0, false
	}
	ratios := make([]float64, len(own))
	for i := range own {
		ratios[i] = own[i] / base[i]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2], true
}

func (r *results) print(w io.Writer, ways []*way, rounds, seconds int) {
	fmt.Fprintf(w, "Medians of %d interleaved rounds of %d s; in brackets the median ratio to the bridge in the same round.\n", rounds, seconds)
	fmt.Fprintf(w, "CPU is that of the whole machine: both pods, the kernel and the daemon.\n\n")
	fmt.Fprint(w, "| way | what |")
	for _, f := range figures {
		fmt.Fprintf(w, " %s |", f)
	}
	fmt.Fprintf(w, "\n|---|---|%s\n", strings.Repeat("---|", len(figures)))
	for _, way := range ways {
		fmt.Fprintf(w, "| %s | %s |", way.name, way.about)
		for _, f := range figures {
			m, found := r.median(way.name, f)
			if !found {
				fmt.Fprint(w, " |")
				continue
			}
			fmt.Fprintf(w, " %.3g", m)
			if x, found := r.ratio(way.name, f); found && way.name != baseline {
				fmt.Fprintf(w, " (%.2f)", x)
			}
			fmt.Fprint(w, " |")
		}
		fmt.Fprintln(w)
	}
}
