package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-net/sluice/control"
)

// Options are how a lab is made, whatever the scenario.
type Options struct {
	Dir string // of all labs' folders; default DefaultDir

	// Binary is sluice: the node under test, and the command of that name for
	// programs in the lab. Default: this process's own.
	Binary string

	// Progress is told what is being done now, "" when that is over, by one
	// goroutine at a time; nil is nobody.
	Progress func(what string)
}

// Lab is a scenario in the kernel: its namespaces, programs and node.
type Lab struct {
	ID string

	options  Options
	scenario *Scenario
	plan     *plan
	dir      string
	state    State
	lock     *os.File // held while somebody takes care of the lab
	client   *client

	node       *process            // nil while none is to run
	nodeLog    string              // path of the log of the last one
	nodeLogs   []string            // of all
	programs   []*process          // that run as long as the lab
	background map[string]*process // by name

	mu      sync.Mutex
	outputs int // files of outputs so far
}

// New works a scenario out and makes a lab's folder; nothing is in the kernel
// yet. The faults are the scenario's. The caller calls Down.
func New(s *Scenario, o Options) (*Lab, error) {
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	if o.Binary == "" {
		var err error
		if o.Binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	// What is wrong with the scenario shows before anything is made.
	if _, faults := newPlan(s, "test"); len(faults) > 0 {
		return nil, faults
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab makes network namespaces and devices: run as root")
	}
	state, lock, err := claim(o.Dir, State{Scenario: s.Name, File: s.File, PID: os.Getpid(), Started: time.Now()})
	if err != nil {
		return nil, err
	}
	l := &Lab{
		ID: state.ID, options: o, scenario: s, dir: filepath.Join(o.Dir, state.ID), state: state, lock: lock,
		background: map[string]*process{},
	}
	if err := l.prepare(); err != nil {
		return nil, errors.Join(err, l.Down())
	}
	return l, nil
}

// prepare fills the lab's folder.
func (l *Lab) prepare() error {
	var faults control.Faults
	if l.plan, faults = newPlan(l.scenario, l.ID); len(faults) > 0 {
		return faults
	}
	for _, name := range []string{"bin", "config", "state", "out", "captures"} {
		if err := os.MkdirAll(filepath.Join(l.dir, name), 0o755); err != nil {
			return err
		}
	}
	binary, err := filepath.Abs(l.options.Binary)
	if err != nil {
		return err
	}
	if err := os.Symlink(binary, filepath.Join(l.dir, "bin", "sluice")); err != nil {
		return err
	}
	for _, name := range l.scenario.Needs {
		if _, err := l.lookPath(name); err != nil {
			return err
		}
	}
	l.client = newClient(l.socket())
	return l.writeConfig()
}

func (l *Lab) socket() string { return filepath.Join(l.dir, "api.sock") }

// workDir is where programs run: the scenario's folder, where its files are.
func (l *Lab) workDir() string {
	if dir, err := filepath.Abs(filepath.Dir(l.scenario.File)); err == nil {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return l.dir // a shipped scenario has none
}

// Up makes the topology, runs the node and the programs, and returns when all
// are ready.
func (l *Lab) Up(ctx context.Context) error {
	l.options.Progress("making namespaces and devices")
	if err := l.plan.makeNamespaces(ctx); err != nil {
		return err
	}
	l.options.Progress("starting the node")
	if err := l.startNode(ctx); err != nil {
		return err
	}
	return l.startPrograms(ctx)
}

// startPrograms starts what runs in pods and hosts, all at once, and waits.
func (l *Lab) startPrograms(ctx context.Context) error {
	l.options.Progress("starting programs")
	type waiting struct {
		p     *process
		ready Ready
	}
	var all []waiting
	for _, ns := range l.plan.namespaces {
		for _, inside := range ns.inside {
			for i := range inside.Run {
				program := &inside.Run[i]
				self := l.selfOf(ns, inside)
				command := program.Run.mapText(func(text string) string { return l.plan.expand(text, self) })
				what := program.Name
				if what == "" {
					what = shorten(command.String(), 40)
				}
				p, err := l.start(ns, self, self+": "+what, command.Argv())
				if err != nil {
					return err
				}
				l.programs = append(l.programs, p)
				all = append(all, waiting{p, program.Ready})
			}
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, defaultTimeout, errTimeout)
	defer cancel()
	if err := l.startClients(ctx); err != nil {
		return err
	}
	for _, w := range all {
		if err := w.p.awaitReady(ctx, w.ready); err != nil {
			return err
		}
	}
	return nil
}

var errTimeout = errors.New("its time was up")

// selfOf is the name of the pod or host whose programs these are.
func (l *Lab) selfOf(ns *namespace, inside *Inside) string {
	for i := range l.scenario.Pods {
		if &l.scenario.Pods[i].Inside == inside {
			return l.scenario.Pods[i].Name
		}
	}
	return ns.name
}

// Keep lets the lab go on without this process, until `lab down`.
func (l *Lab) Keep() error {
	l.state.Kept = true
	err := l.state.write(l.options.Dir)
	return errors.Join(err, l.lock.Close())
}

// Down ends the lab and leaves nothing of it.
func (l *Lab) Down() error {
	err := remove(l.options.Dir, l.ID)
	return errors.Join(err, l.lock.Close())
}

// Enter lists commands that open a shell in each namespace.
func (l *Lab) Enter() (commands []string) {
	for _, ns := range l.plan.namespaces {
		commands = append(commands, fmt.Sprintf("ip netns exec %s bash", ns.netns))
	}
	return commands
}

// Address is the node's API, as the command line takes it.
func (l *Lab) Address() string { return "unix:" + l.socket() }
