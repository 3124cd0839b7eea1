package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
	"github.com/sluice-net/sluice/control/services"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/logging"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/devices"
	"github.com/sluice-net/sluice/node/inside"
)

// Daemon is a node with its configuration and state.
//
// One goroutine, that of Run, changes what is in force; others ask it to, and read. The
// order of a change is: plan, compile, save, put in force, answer. So whatever is in
// force is on the disk, and a daemon that is killed at any point makes the same
// choices again.
type Daemon struct {
	config Config
	log    *slog.Logger // of component daemon
	// Of the components config and devices.
	changeLog, deviceLog *slog.Logger

	phases *phases
	notify *notifier
	lock   *os.File // nil without a state folder
	store  closingStore
	file   *store.Bolt // that the store is; nil without a state folder
	db     *desired.DB
	node   *node.Node
	follow *follower // nil if there is nothing to follow
	attend *attendant

	stopBackground func() // nil until there is something to stop
	trials         *takeovers
	answers        *answerer // nil without an API
	firewall       *firewallLog
	prober         *prober // nil: devices are not the machine's
	stdin          []byte  // what was read of "-"
	started        time.Time
	hostName       string

	asks   chan asked    // of Change; Run's goroutine takes them
	ending chan struct{} // closed when it takes no more

	// Run's goroutine only.
	compiler *control.Compiler
	model    *control.Model   // in force
	waiting  string           // settings that were told to wait for the next start
	alarm    <-chan time.Time // when to compile anew although nobody changed anything; see retry

	statuses atomic.Pointer[[]*services.Status] // what objects have been given, of model

	mu     sync.Mutex
	status Status
}

// Run runs a daemon until ctx is done or a signal ends it, and returns nil if
// it ended in order. Errors of the start: control.Faults are those of the
// configuration, all of them; one that wraps node.ErrUnsupported is about what this
// version can't put into effect; others say what is in the way.
func Run(ctx context.Context, c Config) error {
	d, err := newDaemon(c)
	if err != nil {
		return err
	}
	return d.run(ctx)
}

func newDaemon(c Config) (*Daemon, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	d := &Daemon{
		config: c, log: component(c.Log, "daemon"), changeLog: component(c.Log, "config"), deviceLog: component(c.Log, "devices"), started: time.Now(),
		compiler: control.NewCompiler(), asks: make(chan asked), ending: make(chan struct{}),
	}
	d.hostName, _ = os.Hostname() // without one no node is this one by its name
	d.phases = newPhases(d.log, d.started)
	return d, nil
}

// component is the log of a part of the daemon.
func component(log *slog.Logger, name string) *slog.Logger {
	return log.With(logging.KeyComponent, name)
}

func (d *Daemon) run(ctx context.Context) error {
	if err := d.start(); err != nil {
		return errors.Join(err, d.close())
	}
	d.loop(ctx)
	close(d.ending)
	return d.end()
}

// start brings everything up to the point where frames pass.
func (d *Daemon) start() (err error) {
	if d.notify, err = newNotifier(d.config.Getenv); err != nil {
		d.log.Warn("the service manager can't be told anything", "error", err)
	}
	if err := d.openState(); err != nil {
		return err
	}
	d.phases.done("open the state")
	if d.answers, err = listen(d.config.API, &d.config.Access, component(d.config.Log, "api")); err != nil {
		return err
	}
	if err := d.readStdin(); err != nil {
		return err
	}
	// Watched before it is read: what changes in between is not missed.
	if err := d.startFollowing(); err != nil {
		d.log.Warn("changes of the configuration are not noticed", "error", err)
	}
	m, planned, err := d.firstModel()
	if err != nil {
		return err
	}
	d.phases.done("read the configuration")
	if err := d.makeNode(m, planned); err != nil {
		return err
	}
	if err := d.openFirewallLog(); err != nil {
		return err
	}
	if err := d.node.Start(dataplane.DefaultIdle, workerNice); err != nil {
		return err
	}
	d.attend = newAttendant(d.deviceLog)
	d.phases.done("start the workers")
	d.ready(planned)
	d.answers.serve(d)
	d.background()
	return nil
}

// background starts what goes on beside the workers until close.
func (d *Daemon) background() {
	done := make(chan struct{})
	var running sync.WaitGroup
	d.stopBackground = func() { close(done); running.Wait() }
	if d.config.Populate {
		running.Go(func() {
			last := time.Now()
			d.node.Populate(func() bool {
				// Half of the time at most: the workers and their peers are at
				// work by now.
				select {
				case <-done:
					return false
				case <-time.After(time.Since(last)):
					last = time.Now()
					return true
				}
			})
			d.log.Debug("all memory is there", "residentMiB", residentMemory()>>20)
		})
	}
	running.Go(func() { d.firewall.run(done) })
	if d.config.HoldCPULatency {
		running.Go(func() { d.holdLatency(done) })
	}
	if d.file != nil {
		running.Go(func() { d.backUp(done) })
	}
}

// makeNode makes the node and puts the first model in force, which transactions made
// of what was saved.
func (d *Daemon) makeNode(m *control.Model, planned []*desired.Transaction) (err error) {
	asked := workers(d.config.Workers)
	available := availableMemory(os.DirFS("/"))
	memory := MemoryFor(m, available)
	if d.config.Buffers != 0 {
		memory.Buffers = d.config.Buffers
	}
	if d.config.Supers != 0 {
		memory.Supers = d.config.Supers
	}
	seed := d.config.Seed
	if seed == 0 {
		var random [8]byte
		_, _ = rand.Read(random[:]) // it never fails (crypto/rand)
		seed = binary.LittleEndian.Uint64(random[:])
	}
	pending, err := d.db.Prepare(planned, m.Digest, &m.Allocations)
	if err != nil {
		return fmt.Errorf("save revision %d: %w", m.Revision, err)
	}
	o := node.Options{
		Workers: asked, Seed: seed, Buffers: memory.Buffers, Supers: memory.Supers,
		Open: d.config.Open, Tolerant: true, AllowIdle: true,
	}
	if o.Open == nil {
		network := inside.New()
		opener := &devices.Opener{Permit: d.trials.permit, Inside: network}
		o.Open, o.Devices, o.Probed = d.trials.opening(opener.Open), devices.Types(), true
		d.prober = newProber(network, seed, component(d.config.Log, "health"), func(id uint32, h member.Health) { d.node.ReportMember(id, h) })
	}
	if d.node, err = node.New(o, m); err != nil {
		return errors.Join(err, pending.Undo())
	}
	if d.prober != nil {
		d.node.ShowHealth(d.prober.checker.History)
	}
	pending.Done()
	d.model = m
	n := d.node.Engine().Workers()
	tuneRuntime(n, available, d.config.Getenv)
	d.phases.done("make the node")
	d.log.Info("memory is taken", "workers", n, "buffers", memory.Buffers, "superBuffers", memory.Supers,
		"sessions", m.Node.Limits.Sessions, "availableMiB", available>>20)
	return nil
}

// ready says that frames pass.
func (d *Daemon) ready(planned []*desired.Transaction) {
	took := time.Since(d.started)
	d.mu.Lock()
	d.status.Started, d.status.Ready, d.status.Revision = d.started, true, d.model.Revision
	d.mu.Unlock()
	d.show(d.model, nil)
	d.inForce(d.model, planned)
	d.tellDevices(func(string) bool { return true })
	d.changeLog.Info("configuration in force", "revision", d.model.Revision, "digest", d.model.Digest,
		"segments", len(d.model.Segments), "ports", len(d.model.Ports), "routers", len(d.model.Routers))
	if d.db.Set().Len() == 0 {
		d.changeLog.Warn("there is no configuration: the node has no ports (sluice apply -f FILE, or --config)")
	}
	d.log.Info("ready", "after", took.Round(100*time.Microsecond), "residentMiB", residentMemory()>>20)
	d.notify.tell("READY=1", d.statusLine())
}

// loop waits for what there is to do, until the end is asked for.
func (d *Daemon) loop(ctx context.Context) {
	stopWatchdog := d.startWatchdog()
	defer stopWatchdog()
	var changed <-chan struct{}
	var faults <-chan error
	if d.follow != nil {
		changed, faults = d.follow.changed, d.follow.faults
	}
	limited := newLimiter(d.changeLog, time.Minute)
	round := time.NewTicker(rounds)
	defer round.Stop()
	for {
		select {
		case first := <-d.asks:
			d.carryOut(d.gather(first))
			d.notify.tell(d.statusLine())
		case <-d.trials.over():
			d.giveBack()
			d.notify.tell(d.statusLine())
		case <-ctx.Done():
			d.log.Info("ending", "why", context.Cause(ctx))
			return
		case <-d.config.Signals:
			d.notify.reloading()
			d.reload("SIGHUP")
			d.notify.tell("READY=1", d.statusLine())
		case <-changed:
			d.reload("its files changed")
			d.notify.tell(d.statusLine())
		case <-d.attend.changed:
			d.recheck()
		case <-round.C:
			d.recheck()
		case <-d.alarm:
			d.retry()
		case err := <-faults:
			limited.warn("changes of the configuration may be missed", err)
		}
	}
}

// end stops the node in order: frames that workers have are sent, then the
// devices are closed. It is cut short by a second signal or by the time.
func (d *Daemon) end() error {
	d.notify.tell("STOPPING=1", status("ending"))
	d.mu.Lock()
	d.status.Ready = false
	d.mu.Unlock()
	begin := time.Now()
	closed := make(chan error, 1)
	go func() { closed <- d.close() }()
	timeout := time.After(d.config.DrainTimeout)
	for {
		select {
		case err := <-closed:
			if err == nil {
				d.log.Info("ended", "drained", time.Since(begin).Round(time.Millisecond), "ran", time.Since(d.started).Round(time.Second))
			}
			return err
		case s := <-d.config.Signals:
			if s == syscall.SIGHUP {
				continue
			}
			return ErrKilled
		case <-timeout:
			return fmt.Errorf("the workers did not end within %v; what the devices held is lost", d.config.DrainTimeout)
		}
	}
}

// close gives everything back, in reverse order of start. Parts that were never
// there are passed over.
func (d *Daemon) close() error {
	var errs []error
	errs = append(errs, d.answers.close())
	if d.follow != nil {
		d.follow.stop()
	}
	if d.stopBackground != nil {
		d.stopBackground()
	}
	if d.attend != nil {
		d.attend.close()
	}
	d.prober.close()
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	errs = append(errs, d.firewall.close())
	errs = append(errs, d.closeState())
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	d.notify.close()
	return errors.Join(errs...)
}

// readStdin keeps what "-" stands for: it can be read once only.
func (d *Daemon) readStdin() (err error) {
	if !slices.Contains(d.config.Paths, "-") || d.config.Stdin == nil {
		return nil
	}
	if d.stdin, err = io.ReadAll(d.config.Stdin); err != nil {
		return fmt.Errorf("read the configuration from standard input: %w", err)
	}
	return nil
}

// startFollowing watches the configuration.
func (d *Daemon) startFollowing() (err error) {
	if len(placesOf(d.config.Paths)) == 0 {
		return nil
	}
	d.follow, err = follow(d.config.Paths)
	return err
}
