package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-net/sluice/internal/netdev"
)

// attempt is one attempt at a step.
type attempt struct {
	lab     *Lab
	step    *Step
	details []string
	faults  []string
}

func (a *attempt) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

func (a *attempt) failed(err error) bool {
	if err != nil {
		a.fault("%v", err)
	}
	return err != nil
}

// output is what a program, or the node's API, has said.
type output struct {
	where          string // the pod or host
	command        string // that ran there; empty if it is not one
	status         int
	stdout, stderr string
}

// do does the step and returns what is not as expected.
func (a *attempt) do(ctx context.Context) []string {
	ctx, cancel := context.WithTimeoutCause(ctx, a.step.timeout(), errTimeout)
	defer cancel()
	var before counts
	if a.step.Expect.counts() {
		var err error
		if before, err = a.lab.counts(ctx, &a.step.Expect); a.failed(err) {
			return a.faults
		}
	}
	recordings, err := a.lab.startCaptures(a.step.Capture)
	if a.failed(err) {
		return a.faults
	}
	outputs := a.act(ctx)
	if len(recordings) > 0 {
		time.Sleep(50 * time.Millisecond) // what was answered last is still on its way
		a.failed(stopCaptures(recordings))
	}
	for i := range outputs {
		a.judge(&outputs[i])
	}
	if len(a.faults) > 0 {
		return a.faults // the first reason, not what follows from it
	}
	for i, r := range recordings {
		c := &a.step.Capture[i]
		lines, err := c.decode(ctx, a.lab, r.path)
		if a.failed(err) {
			continue
		}
		faults := c.check(lines, func(text string) string { return a.lab.plan.expand(text, c.In) })
		a.faults = append(a.faults, faults...)
		a.details = append(a.details, "captured in "+c.In+" ("+filepath.Base(r.path)+"):", indent(excerpt(lines, 30), "  | "))
	}
	if a.step.Expect.counts() && len(a.faults) == 0 {
		a.countersMoved(ctx, before)
	}
	return a.faults
}

// act does what the step says.
func (a *attempt) act(ctx context.Context) []output {
	s, l := a.step, a.lab
	switch {
	case s.Background != "":
		a.background(a.jobs(s.Run)[0])
	case !s.Run.IsZero():
		return a.run(ctx, a.jobs(s.Run))
	case s.Connect != nil:
		return a.run(ctx, a.jobs(s.Connect.commands()...))
	case s.Wait != "" || s.Stop != "":
		p := l.background[s.Wait+s.Stop]
		if p == nil {
			a.fault("%s does not run", s.Wait+s.Stop)
			return nil
		}
		wait := p.wait
		if s.Stop != "" {
			wait = p.stop
		}
		if a.failed(wait(ctx)) {
			a.details = append(a.details, indent(excerpt(p.stdout()+p.stderr(), 20), "  | "))
			return nil
		}
		return []output{{p.what, "", p.status(), p.stdout(), p.stderr()}}
	case s.Get != "":
		body, err := l.client.get(ctx, l.plan.expand(s.Get, nodeName))
		if a.failed(err) {
			return nil
		}
		return []output{{where: "the node", stdout: string(body)}}
	case s.Config != nil:
		a.edit(ctx)
	case s.Node != "":
		a.failed(a.node(ctx))
	case s.Device != nil:
		a.failed(a.device(ctx))
	case s.Pause != 0:
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(s.Pause)):
		}
	default:
		a.parallel(ctx)
	}
	return nil
}

// maxAtOnce is how many programs of one step run at the same time.
const maxAtOnce = 16

// job is a command and where it is run.
type job struct {
	self    string
	command Command
}

// jobs are the commands of a step, for each namespace that is meant.
func (a *attempt) jobs(commands ...Command) (list []job) {
	for _, pattern := range a.step.In {
		for _, self := range a.lab.plan.places(pattern) {
			for _, c := range commands {
				list = append(list, job{self, c.mapText(func(text string) string { return a.lab.plan.expand(text, self) })})
			}
		}
	}
	return list
}

// background starts the command and goes on.
func (a *attempt) background(j job) {
	p, err := a.lab.start(a.lab.plan.find(j.self), j.self, a.step.Background, j.command.Argv())
	if !a.failed(err) {
		a.lab.background[a.step.Background] = p
	}
}

// run runs the commands, and returns what they have said.
func (a *attempt) run(ctx context.Context, jobs []job) []output {
	outputs := make([]output, len(jobs))
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxAtOnce)
	for i, j := range jobs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			p, err := a.lab.start(a.lab.plan.find(j.self), j.self, j.self+": "+shorten(j.command.String(), 60), j.command.Argv())
			if err != nil {
				errs[i] = err
				return
			}
			errs[i] = p.wait(ctx)
			p.signal(9) // what it has left behind
			outputs[i] = output{j.self, j.command.String(), p.status(), p.stdout(), p.stderr()}
		})
	}
	wg.Wait()
	a.failed(errors.Join(errs...))
	for i := range outputs {
		if errs[i] != nil {
			a.details = append(a.details, outputs[i].describe())
		}
	}
	return outputs
}

// places lists the pods and hosts whose names match, the node too.
func (p *plan) places(pattern string) []string {
	names := map[string]bool{}
	for _, ns := range p.namespaces {
		names[ns.name] = true
	}
	for i := range p.scenario.Pods {
		names[p.scenario.Pods[i].Name] = true
	}
	return matching(pattern, names)
}

func (o *output) describe() string {
	text := o.where
	if o.command != "" {
		text += " $ " + shorten(o.command, 110)
	}
	if o.status != 0 {
		text += fmt.Sprintf(": status %d", o.status)
	}
	if o.stdout != "" {
		text += "\n" + indent(excerpt(o.stdout, 20), "  | ")
	}
	if o.stderr != "" {
		text += "\n" + indent(excerpt(o.stderr, 10), "  ! ")
	}
	return text
}

// judge compares an output with what is expected of it.
func (a *attempt) judge(o *output) {
	before := len(a.faults)
	e := &a.step.Expect
	expand := func(text string) string { return a.lab.plan.expand(text, o.where) }
	switch {
	case e.Status != nil && !e.Status.Holds(strconv.Itoa(o.status)):
		a.fault("%s: want exit status %s, got %d", o.where, e.Status, o.status)
	case e.Status == nil && o.status != 0:
		a.fault("%s: exit status %d", o.where, o.status)
	}
	if e.Stdout != nil {
		for _, m := range e.Stdout.mismatch(o.stdout, expand) {
			a.fault("%s: standard output: %s", o.where, m)
		}
	}
	if e.Stderr != nil {
		for _, m := range e.Stderr.mismatch(o.stderr, expand) {
			a.fault("%s: standard error: %s", o.where, m)
		}
	}
	if e.JSON != nil {
		a.judgeJSON(o, expand)
	}
	if a.step.Connect != nil && o.status == 0 {
		a.judgeOutcome(o)
	}
	a.details = append(a.details, o.describe())
	if len(a.faults) > before && len(a.details) > 8 {
		a.details = a.details[:8]
	}
}

func (a *attempt) judgeJSON(o *output, expand func(string) string) {
	var document any
	if err := json.Unmarshal([]byte(o.stdout), &document); err != nil {
		a.fault("%s: the output is not JSON: %v", o.where, err)
		return
	}
	for _, path := range sortedNames(a.step.Expect.JSON) {
		condition := a.step.Expect.JSON[path]
		want := condition.expanded(expand)
		got, err := jsonAt(document, expand(path))
		switch {
		case err != nil:
			a.fault("%s: %v", o.where, err)
		case !want.Holds(got):
			a.fault("%s: %s: want %s, got %s", o.where, path, want, shorten(got, 200))
		}
	}
}

// edit changes the configuration.
func (a *attempt) edit(ctx context.Context) {
	refusal, err := a.lab.edit(ctx, a.step.Config)
	if a.failed(err) {
		return
	}
	want := a.step.Expect.Refused
	switch {
	case want == nil && refusal != "":
		a.fault("the node refuses the configuration: %s", refusal)
	case want != nil && refusal == "":
		a.fault("the node takes the configuration, which it was to refuse")
	case want != nil:
		for _, m := range want.mismatch(refusal, func(s string) string { return s }) {
			a.fault("the refusal: %s; it is: %s", m, refusal)
		}
	}
}

func (a *attempt) node(ctx context.Context) error {
	switch a.step.Node {
	case "start":
		return a.lab.startNode(ctx)
	case "stop":
		return a.lab.stopNode(ctx)
	case "kill":
		return a.lab.killNode()
	default:
		return errors.Join(a.lab.stopNode(ctx), a.lab.startNode(ctx))
	}
}

func (a *attempt) device(ctx context.Context) error {
	d := a.step.Device
	f := a.lab.plan.port(d.Of)
	netNS, name := a.lab.plan.namespaces[0].netns, f.nodeEnd
	if f.isTAP() {
		netNS, name = f.ns.netns, f.name
	}
	switch d.Action {
	case "delete":
		return netdev.Delete(netNS, name)
	case "create":
		if f.isTAP() { // the node makes it, and the lab sets it up
			return a.lab.plan.awaitDevices(ctx)
		}
		return errors.Join(a.lab.plan.makeDevice(f), f.ns.addRoutes())
	default:
		return netdev.SetUp(netNS, name, d.Action == "up")
	}
}

// parallel does several steps at the same time.
func (a *attempt) parallel(ctx context.Context) {
	attempts := make([]attempt, len(a.step.Parallel))
	var wg sync.WaitGroup
	for i := range a.step.Parallel {
		attempts[i] = attempt{lab: a.lab, step: &a.step.Parallel[i]}
		wg.Go(func() { attempts[i].do(ctx) })
	}
	wg.Wait()
	for i := range attempts {
		for _, f := range attempts[i].faults {
			a.fault("%s: %s", attempts[i].step.title(), f)
		}
		a.details = append(a.details, attempts[i].details...)
	}
}
