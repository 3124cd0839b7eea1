package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string // empty if the event is the package's
	Output  string
}

// test names a test or subtest of a package.
type test struct{ pkg, name string }

// report collects events. Tests are counted at the leaves: a test that has
// subtests is not one more.
type report struct {
	out io.Writer

	parents map[test]bool
	results map[test]string   // "pass", "fail" or "skip"
	output  map[test][]string // of tests that have not passed, and of packages under the name ""
	skips   map[string]int    // reason to number of tests
	failed  []string          // packages
}

// read consumes events up to the end of in and prints packages as they finish.
// Lines that are no events, such as a go command's own words, are passed on.
func (r *report) read(in io.Reader) error {
	r.parents, r.results = map[test]bool{}, map[test]string{}
	r.output, r.skips = map[test][]string{}, map[string]int{}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(r.out, line)
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	id := test{e.Package, e.Test}
	switch e.Action {
	case "run":
		for parent := e.Test; ; {
			i := strings.LastIndexByte(parent, '/')
			if i < 0 {
				break
			}
			parent = parent[:i]
			r.parents[test{e.Package, parent}] = true
		}
	case "output":
		r.output[id] = append(r.output[id], e.Output)
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.finishPackage(e)
			return
		}
		r.results[id] = e.Action
		switch e.Action {
		case "skip":
			r.skips[skipReason(r.output[id])]++
			delete(r.output, id)
		case "pass":
			delete(r.output, id)
		}
	}
}

// finishPackage prints the output of the package's failed tests, then the
// package's own last line as go test writes it: "ok", "FAIL" or "?".
func (r *report) finishPackage(e event) {
	own := r.output[test{e.Package, ""}]
	if e.Action == "fail" {
		r.failed = append(r.failed, e.Package)
		// A test that was running when the process died has output and no result.
		for _, id := range r.unpassed(e.Package) {
			fmt.Fprint(r.out, strings.Join(r.output[id], ""))
		}
		fmt.Fprint(r.out, strings.Join(own, ""))
		return
	}
	for _, line := range own {
		if strings.HasPrefix(line, "ok ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// unpassed returns the tests of pkg that have failed or not ended, sorted so
// that subtests follow their test.
func (r *report) unpassed(pkg string) []test {
	var ids []test
	for id := range r.output {
		if id.pkg == pkg && id.name != "" {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return ids
}

// close prints why tests were skipped and the closing count, and reports
// whether all is well.
func (r *report) close(name string) bool {
	reasons := make([]string, 0, len(r.skips))
	for reason := range r.skips {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		fmt.Fprintf(r.out, "skipped %4d: %s\n", r.skips[reason], reason)
	}
	for _, pkg := range r.failed {
		fmt.Fprintf(r.out, "failed: %s\n", pkg)
	}
	count, explained := map[string]int{}, map[string]bool{}
	for id, result := range r.results {
		if !r.parents[id] || result == "fail" && !r.failsBelow(id) {
			count[result]++
		}
		if result == "fail" {
			explained[id.pkg] = true
		}
	}
	for _, pkg := range r.failed {
		if !explained[pkg] {
			count["fail"]++ // did not build, or died outside a test
		}
	}
	ran := count["pass"]+count["fail"] > 0
	if !ran {
		fmt.Fprintln(r.out, "no test ran")
	}
	fmt.Fprintf(r.out, "%s: %d passed, %d failed, %d skipped\n", name, count["pass"], count["fail"], count["skip"])
	return ran && len(r.failed) == 0
}

// maxAgain is how many failed tests are few: more have a reason in common.
const maxAgain = 3

// again lists the failed tests, without their subtests, if they are worth another attempt.
func (r *report) again() string {
	failed, explained := map[string]bool{}, map[string]bool{}
	for id, result := range r.results {
		if result != "fail" {
			continue
		}
		name, _, _ := strings.Cut(id.name, "/")
		failed[id.pkg+" "+name+"\n"] = true
		explained[id.pkg] = true
		for _, line := range r.output[id] {
			if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic: ") {
				return ""
			}
		}
	}
	for _, pkg := range r.failed {
		if !explained[pkg] {
			return ""
		}
	}
	if len(failed) > maxAgain {
		return ""
	}
	return strings.Join(slices.Sorted(maps.Keys(failed)), "")
}

// failsBelow reports whether a subtest of id failed, so that id failed by it.
func (r *report) failsBelow(id test) bool {
	for other, result := range r.results {
		if result == "fail" && other.pkg == id.pkg && strings.HasPrefix(other.name, id.name+"/") {
			return true
		}
	}
	return false
}

// skipReason is the text of the Skip call: the last line of the output that is
// not the framework's, without its file and line.
func skipReason(output []string) string {
	for _, line := range slices.Backward(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "=== ") {
			continue
		}
		if _, text, found := strings.Cut(line, ".go:"); found {
			if _, reason, found := strings.Cut(text, ": "); found {
				return reason
			}
		}
		return line
	}
	return "no reason given"
}
