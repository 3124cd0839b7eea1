package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// RunOptions are about one run of a scenario.
type RunOptions struct {
	Options
	Out     io.Writer // for a person; nil is nobody
	Verbose bool      // shows outputs also of what succeeds
	Keep    bool      // leaves the lab up if a step fails

	// OnlyUp ends after everything is up, and leaves it so.
	OnlyUp bool
}

// Run plays a scenario from the beginning to the end: up, the steps, the books,
// down. The error is about the lab itself, or control.Faults of the scenario;
// what the scenario has shown is in the result.
func Run(ctx context.Context, s *Scenario, o RunOptions) (*Result, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	l, err := New(s, o.Options)
	if err != nil {
		return nil, err
	}
	r := &runner{lab: l, out: &printer{w: o.Out, verbose: o.Verbose}}
	r.result = &Result{Scenario: s.Name, File: s.File, ID: l.ID}
	r.out.begin(s, l.ID)
	begin := time.Now()
	r.play(ctx, o.OnlyUp)
	ok := r.ok()
	if keep := o.OnlyUp && ok || o.Keep && !ok && ctx.Err() == nil; keep {
		r.result.KeptIn = l.dir
		if err := l.Keep(); err != nil {
			return r.result, err
		}
	} else if err := l.Down(); err != nil {
		return r.result, err
	}
	r.result.Seconds, r.result.OK = since(begin), ok
	if !o.OnlyUp {
		r.out.end(r.result)
	}
	if r.result.KeptIn != "" {
		fmt.Fprintf(o.Out, "\nThe lab %s stays up, in %s, until: sluice lab down %s\nTo enter its namespaces:\n", l.ID, l.dir, l.ID)
		for _, command := range l.Enter() {
			fmt.Fprintf(o.Out, "  %s\n", command)
		}
		fmt.Fprintf(o.Out, "To ask the node:\n  sluice get ports --api %s\n", l.Address())
	}
	return r.result, context.Cause(ctx)
}

// runner plays the steps of one scenario.
type runner struct {
	lab    *Lab
	out    *printer
	result *Result
}

func (r *runner) ok() bool {
	for _, s := range r.result.Steps {
		if !s.OK {
			return false
		}
	}
	return true
}

// play does all steps up to the first that fails.
func (r *runner) play(ctx context.Context, onlyUp bool) {
	l := r.lab
	up := fmt.Sprintf("up: a node, %s, %s", count(len(l.scenario.Pods), "pod"), count(len(l.scenario.Hosts), "host"))
	if !r.one(ctx, 0, up, l.Up) || onlyUp {
		return
	}
	for i := range l.scenario.Steps {
		s := &l.scenario.Steps[i]
		if !r.step(ctx, s) {
			return
		}
	}
	if l.node != nil {
		r.one(ctx, 0, "the books balance, and the node ends in order", r.finish)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// one does what the lab does by itself, and reports it like a step.
func (r *runner) one(ctx context.Context, line int, name string, do func(context.Context) error) bool {
	begin := time.Now()
	err := do(ctx)
	result := StepResult{Line: line, Name: name, OK: err == nil, Seconds: since(begin), Attempts: 1}
	if err != nil {
		result.Faults = []string{err.Error()}
	}
	return r.report(ctx, result)
}

func (r *runner) report(ctx context.Context, s StepResult) bool {
	if err := r.lab.crashed(); err != nil && !r.lab.scenario.Node.MayCrash {
		s.OK = false
		if !strings.Contains(strings.Join(s.Faults, ""), "the node ended") {
			s.Faults = append(s.Faults, err.Error())
		}
	}
	if !s.OK {
		s.Details = append(s.Details, r.lab.diagnosis(ctx)...)
	}
	r.lab.options.Progress("")
	r.result.Steps = append(r.result.Steps, s)
	r.out.step(&s)
	return s.OK
}

// step repeats a step until it succeeds or its time is up.
func (r *runner) step(ctx context.Context, s *Step) bool {
	begin := time.Now()
	name := s.title()
	result := StepResult{Line: s.At.line, Name: name}
	stopTelling := r.tell(name)
	for {
		result.Attempts++
		a := &attempt{lab: r.lab, step: s}
		result.Faults = a.do(ctx)
		result.Details = a.details
		result.OK = len(result.Faults) == 0
		if result.OK || time.Since(begin) > time.Duration(s.Within) || ctx.Err() != nil || r.lab.crashed() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	result.Seconds = since(begin)
	stopTelling()
	return r.report(ctx, result)
}

// tell says every second what takes long, until stop returns.
func (r *runner) tell(name string) (stop func()) {
	r.lab.options.Progress(name)
	begin := time.Now()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				r.lab.options.Progress(fmt.Sprintf("%s (%.0f s)", name, since(begin)))
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// title is what a step is called in reports.
func (s *Step) title() string {
	where := ""
	if len(s.In) > 0 {
		where = s.In[0] + ": "
		if len(s.In) > 1 {
			where = fmt.Sprintf("%s and %d more: ", s.In[0], len(s.In)-1)
		}
	}
	switch {
	case s.Name != "":
		return s.Name
	case !s.Run.IsZero():
		return where + shorten(s.Run.String(), 80)
	case s.Connect != nil:
		return where + "connect " + strings.Join(s.Connect.To, ", ")
	case s.Wait != "":
		return "wait for " + s.Wait
	case s.Stop != "":
		return "stop " + s.Stop
	case s.Get != "":
		return "get " + s.Get
	case s.Config != nil:
		return "change the configuration"
	case s.Node != "":
		return s.Node + " the node"
	case s.Device != nil:
		return s.Device.Action + " the device of " + s.Device.Of
	case s.Pause != 0:
		return "wait " + time.Duration(s.Pause).String()
	default:
		return fmt.Sprintf("%d steps at the same time", len(s.Parallel))
	}
}

// finish asks for the books, when all has come to rest, and ends the node.
func (r *runner) finish(ctx context.Context) error {
	err := r.lab.balanced(ctx)
	return errors.Join(err, r.lab.stopNode(ctx))
}

// balanced waits for the books to balance: while frames pass they may differ by
// those that are under way.
func (l *Lab) balanced(ctx context.Context) error {
	var unbalanced error
	for range 50 {
		s, err := l.client.status(ctx)
		switch {
		case err != nil:
			return err
		case s.Crashes != 0:
			text, _ := json.MarshalIndent(s.First, "", "  ")
			return fmt.Errorf("%d panics were contained, each a defect:\n%s", s.Crashes, text)
		case s.Ledger.Unexplained == 0:
			return nil
		}
		unbalanced = fmt.Errorf("%d frames are unaccounted for: %+v", s.Ledger.Unexplained, s.Ledger)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return unbalanced
}

// diagnosis is what helps to find out why something went wrong.
func (l *Lab) diagnosis(ctx context.Context) (details []string) {
	if l.node != nil && !l.node.ended() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		details = append(details, l.portsInTrouble(ctx)...)
	}
	if words := l.lastWords(12); len(words) > 0 {
		details = append(details, "the node's last words:")
		for _, line := range words {
			details = append(details, "  | "+line)
		}
	}
	for _, p := range l.programs {
		if p.ended() {
			details = append(details, fmt.Sprintf("%s has ended, with status %d: %s", p.what, p.status(), shorten(p.stderr(), 200)))
		}
	}
	return details
}

// portsInTrouble lists ports that are not up, and what was dropped.
func (l *Lab) portsInTrouble(ctx context.Context) (details []string) {
	ports, err := l.client.ports(ctx)
	if err != nil {
		return []string{"the node can't be asked: " + err.Error()}
	}
	for i := range ports {
		if p := &ports[i]; p.State != "UP" {
			details = append(details, fmt.Sprintf("port %s is %s: %s", p.Name, p.State, p.Message))
		}
	}
	drops, err := l.client.drops(ctx)
	if err != nil {
		return append(details, "the node can't be asked for drops: "+err.Error())
	}
	for _, d := range drops {
		details = append(details, fmt.Sprintf("dropped at %s: %d %s (%s)", d.Port, d.Count, d.Reason, d.Meaning))
	}
	return details
}
