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

// ratios are a way's figure divided by the baseline's in the same round, in order of
// size; none if either was not measured in each.
func (r *results) ratios(name string, f figure) []float64 {
	own, base := r.of[name][f], r.of[baseline][f]
	if len(own) != len(base) {
		return nil
	}
	ratios := make([]float64, len(own))
	for i := range own {
		ratios[i] = own[i] / base[i]
	}
	slices.Sort(ratios)
	return ratios
}

// ratio is the middle one, and whether there is one.
func (r *results) ratio(name string, f figure) (float64, bool) {
	ratios := r.ratios(name, f)
	if len(ratios) == 0 {
		return 0, false
	}
	return ratios[len(ratios)/2], true
}

// tables are the results as they are printed.
var tables = []struct {
	title, about string
	columns      []figure
}{
	{
		"Streams", "One TCP stream by iperf3, over IPv4 and IPv6, and datagrams of 1448 bytes, 44 a system call, as fast as they go. CPU is that of\n" +
			"the whole machine: both pods, the kernel and the daemon. The more frames the daemon finds at a time, the fewer system calls each costs.",
		[]figure{figGbps, figCPUPerGB, figDaemonPerGB, figFrame, figPerVector, figGbps6, figUSO},
	},
	{
		"Request and response", "One byte there and one back, over TCP. Either the scheduler chooses where the two ends run, or each has a CPU.",
		[]figure{figP50, figP99, figCPUPerReq, figP50Apart, figP99Apart},
	},
	{
		"Frames of 64 bytes", "A program in the kernel offers more than any way but the first carries, and keeps a CPU busy with it; another counts where the second\n" +
			"pod's stack would begin. CPU of the daemon is all that runs in its threads, the softirqs in which the second pod receives included.\n" +
			"Those of the first pod, until the frame is in the port's queue, are the generator's: the last column has them, less what\n" +
			"generator and sink spend with nothing between, where almost all frames arrive.",
		[]figure{figOffered, figKpps, figDaemonPerFrame, figBetween},
	},
}

func (r *results) print(w io.Writer, ways []*way, rounds, seconds int) {
	fmt.Fprintf(w, "Medians of %d interleaved rounds of %d s; in brackets the median ratio to the bridge in the same round.\n", rounds, seconds)
	for _, t := range tables {
		if !r.has(t.columns) {
			continue
		}
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n| way | what |", t.title, t.about)
		for _, f := range t.columns {
			fmt.Fprintf(w, " %s |", f)
		}
		fmt.Fprintf(w, "\n|---|---|%s\n", strings.Repeat("---|", len(t.columns)))
		for _, way := range ways {
			fmt.Fprintf(w, "| %s | %s |", way.name, way.about)
			for _, f := range t.columns {
				r.cell(w, way, f)
			}
			fmt.Fprintln(w)
		}
	}
}

// has says whether any of the figures was measured.
func (r *results) has(figures []figure) bool {
	for _, of := range r.of {
		for _, f := range figures {
			if len(of[f]) != 0 {
				return true
			}
		}
	}
	return false
}

func (r *results) cell(w io.Writer, way *way, f figure) {
	if m, found := r.median(way.name, f); found {
		fmt.Fprint(w, " ", rounded(m))
	}
	if x, found := r.ratio(way.name, f); found && way.name != baseline {
		fmt.Fprintf(w, " (%.2f)", x)
	}
	fmt.Fprint(w, " |")
}

// rounded writes three digits, and large numbers whole.
func rounded(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
