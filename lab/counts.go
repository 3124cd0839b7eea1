package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
)

// counts are the node's counters: of ports and rules as JSON has them, and drops by reason.
type counts struct {
	ports map[string]any
	rules map[string]any // by SECTION/RULE, and all of a section together by SECTION
	drops map[string]float64
}

func (e *Expect) counts() bool { return e.Ports != nil || e.Rules != nil || e.Drops != nil }

// counts asks for the counters that are expected to be something.
func (l *Lab) counts(ctx context.Context, e *Expect) (c counts, err error) {
	if e.Rules != nil {
		rules, err := l.client.rules(ctx)
		if err != nil {
			return c, err
		}
		if c.rules, err = ruleCounts(rules); err != nil {
			return c, err
		}
	}
	ports, err := l.client.ports(ctx)
	if err != nil {
		return c, err
	}
	c.ports, c.drops = map[string]any{}, map[string]float64{}
	for i := range ports {
		if c.ports[ports[i].Name], err = asJSON(ports[i]); err != nil {
			return c, err
		}
		for reason, n := range ports[i].Drops {
			c.drops[reason] += float64(n)
		}
	}
	return c, nil
}

// ruleCounts adds up what rules have decided.
func ruleCounts(rules []api.RuleView) (map[string]any, error) {
	sums := map[string]*api.Hits{}
	for i := range rules {
		r := &rules[i]
		names := []string{r.Section, r.Section + "/" + r.Name}
		if r.Section == "" { // a default rule
			names = []string{r.Name}
		}
		for _, name := range names {
			if sums[name] == nil {
				sums[name] = &api.Hits{}
			}
			sums[name].Add(&r.Hits)
		}
	}
	counts := map[string]any{}
	for name, sum := range sums {
		var err error
		if counts[name], err = asJSON(sum); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// asJSON is a value as decoders of JSON without a type have it, for jsonAt.
func asJSON(value any) (view any, err error) {
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, &view)
	}
	return view, err
}

// countersMoved compares the counters with those before. What was done last may
// not be counted at once, so that they are asked for again for a while.
func (a *attempt) countersMoved(ctx context.Context, before counts) {
	var faults []string
	for range 20 {
		after, err := a.lab.counts(ctx, &a.step.Expect)
		if a.failed(err) {
			return
		}
		if faults = a.step.Expect.compare(before, after); len(faults) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.faults = append(a.faults, faults...)
}

func (e *Expect) compare(before, after counts) (faults []string) {
	for _, port := range sortedNames(e.Ports) {
		for _, path := range sortedNames(e.Ports[port]) {
			want := e.Ports[port][path]
			got, ok := difference(before.ports[port], after.ports[port], path)
			if !ok || !want.Holds(got) {
				faults = append(faults, fmt.Sprintf("port %s: %s: want %s, got %s", port, path, &want, got))
			}
		}
	}
	for _, rule := range sortedNames(e.Rules) {
		if after.rules[rule] == nil {
			faults = append(faults, fmt.Sprintf("there is no rule or section %s; there are %s", rule, strings.Join(sortedNames(after.rules), ", ")))
			continue
		}
		for _, path := range sortedNames(e.Rules[rule]) {
			want := e.Rules[rule][path]
			got, ok := difference(before.rules[rule], after.rules[rule], path)
			if !ok || !want.Holds(got) {
				faults = append(faults, fmt.Sprintf("rule %s: %s: want %s, got %s", rule, path, &want, got))
			}
		}
	}
	for _, reason := range sortedNames(e.Drops) {
		want := e.Drops[reason]
		got := after.drops[reason] - before.drops[reason]
		if reason == "any" {
			for r, n := range after.drops {
				got += n - before.drops[r]
			}
		}
		if !want.Holds(strconv.FormatFloat(got, 'f', -1, 64)) {
			var moved []string
			for _, r := range sortedNames(after.drops) {
				if n := after.drops[r] - before.drops[r]; n != 0 {
					moved = append(moved, fmt.Sprintf("%s %.0f", r, n))
				}
			}
			faults = append(faults, fmt.Sprintf("drops: %s: want %s, got %.0f; all of the step: %s", reason, &want, got, strings.Join(moved, ", ")))
		}
	}
	return faults
}

// difference is how much a number in a port's view has grown; of what is no
// number, such as a state, it is the value now. A drop that has not been
// counted yet is 0.
func difference(before, after any, path string) (string, bool) {
	now, err := jsonAt(after, path)
	if err != nil && strings.HasPrefix(path, "drops") {
		now, err = "0", nil
	}
	if err != nil {
		return err.Error(), false
	}
	n, err := strconv.ParseFloat(now, 64)
	if err != nil {
		return now, true
	}
	was, err := jsonAt(before, path)
	if err != nil {
		was = "0"
	}
	w, err := strconv.ParseFloat(was, 64)
	if err != nil {
		w = 0
	}
	return strconv.FormatFloat(n-w, 'f', -1, 64), true
}
