// Package replay runs captures through a node: offline, without privileges,
// deterministically. The captures' time stamps drive the clock, frames go in
// one by one in the order of time, and the workers' turns are called in that order
// too; so the result does not depend on the machine, nor on the number of
// workers, though each of them does its part with its own caches and counters.
package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/faults"
	"github.com/sluice-net/sluice/port/pcap"
)

// Config says what to replay.
type Config struct {
	Model  *control.Model
	Inputs []Input
	Out    string // folder for the results; empty: none are written

	Workers int    // 1 to 64
	Seed    uint64 // of hashes and faults

	Faults Faults // damage to the input; the zero value is none

	Progress func(frames int64) // called now and then; may be nil
}

// Faults say which share of what ports receive is damaged, and how.
type Faults = faults.Config

// idleTurns is how many seconds the clock goes on, second by second, in a pause
// of the captures and after their end: what waits for an answer is decided then.
const idleTurns = 10

// Run replays and writes the results. A capture that ends in the middle is
// replayed as far as it goes; the report is complete and the error says so. The
// error wraps ErrInput then.
func Run(ctx context.Context, c Config) (*Report, error) {
	r, err := newRun(&c)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.frames(ctx); err != nil {
		return nil, err
	}
	report, err := r.finish()
	if err != nil {
		return nil, err
	}
	if err := r.feeds.errs(); err != nil {
		return report, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return report, nil
}

// ErrInput is wrapped by errors about captures.
var ErrInput = errors.New("input")

// run is a replay in progress.
type run struct {
	config Config
	feeds  *feeds
	node   *node.Node
	engine *dataplane.Engine
	owners owners
	clock  virtualClock
	ports  map[string]*port
	output *output
	count  int64

	unowned   int64
	nextSweep int64
}

// port is a port of the model under replay.
type port struct {
	number uint16
	queue  pcap.Queue
	device *pcap.Port
	file   *pcap.Writer // nil without an output folder
}

func newRun(c *Config) (*run, error) {
	r := &run{config: *c, ports: map[string]*port{}}
	if err := r.open(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *run) open() (err error) {
	c := &r.config
	if r.feeds, err = open(c.Inputs); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := r.checkPorts(); err != nil {
		return err
	}
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return err
		}
	}
	if r.output, err = newOutput(c.Out, r); err != nil {
		return err
	}
	r.node, err = node.New(node.Options{
		Workers: c.Workers, Seed: c.Seed, Open: r.openPort, Virtual: true,
		Taps: []dataplane.Tap{r.output}, FirewallLog: everyLine,
	}, c.Model)
	if err != nil {
		return err
	}
	r.engine = r.node.Engine()
	return r.output.openFirewallLog(r)
}

// everyLine is a log that holds back nothing: what one worker would hold back, two would not.
var everyLine = firewall.LogConfig{PerRule: math.MaxInt32}

// checkPorts makes sure that every input has a port, and prepares AnyPort.
func (r *run) checkPorts() error {
	r.owners = owners{byMAC: map[packet.MAC]string{}, byIP: map[packet.Addr]string{}}
	names, files := map[string]bool{}, map[string]string{}
	var errs []error
	split := slices.ContainsFunc(r.config.Inputs, func(in Input) bool { return in.Port == AnyPort })
	for i := range r.config.Model.Ports {
		p := r.config.Model.Ports[i]
		names[p.Name] = true
		file := FileName(p.Name)
		if other, taken := files[file]; taken && r.config.Out != "" {
			errs = append(errs, fmt.Errorf("ports %q and %q would both write %s: rename one", other, p.Name, file))
		}
		files[file] = p.Name
		for _, a := range p.Addresses {
			mac := packet.MAC(a.MAC)
			if other, owned := r.owners.byMAC[mac]; split && owned && other != p.Name {
				errs = append(errs, fmt.Errorf("%w: ports %q and %q both own %s: give each its own capture with --in PORT=FILE instead of --in '*=FILE'", ErrInput, other, p.Name, a.MAC))
			}
			r.owners.byMAC[mac] = p.Name
			if a.IP.IsValid() {
				r.owners.byIP[packet.AddrFrom(a.IP)] = p.Name
			}
		}
	}
	if names[UplinkPort] {
		r.owners.uplink = UplinkPort
	}
	for _, in := range r.config.Inputs {
		if in.Port != AnyPort && !names[in.Port] {
			errs = append(errs, fmt.Errorf("%w: --in %s=%s: the configuration has no port %q", ErrInput, in.Port, in.File, in.Port))
		}
	}
	return errors.Join(errs...)
}

// FileName is the name of the capture that a port's frames are written to.
func FileName(port string) string { return strings.ReplaceAll(port, "/", ".") + ".pcap" }

// openPort makes the device of a port: a capture port whatever the
// configuration says, since nothing here touches the machine.
func (r *run) openPort(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	one := &port{number: uint16(p.Number)}
	config := pcap.Config{In: []pcap.Source{&one.queue}}
	if r.config.Out != "" {
		w, err := pcap.Create(filepath.Join(r.config.Out, FileName(p.Name)))
		if err != nil {
			return nil, err
		}
		one.file, config.Out = w, w
	}
	one.device = pcap.New(config)
	r.ports[p.Name] = one
	if f := r.config.Faults; f != (faults.Config{}) {
		f.Seed += uint64(p.Number)
		return faults.New(one.device, f)
	}
	return one.device, nil
}

// frames feeds all frames in the order of time.
func (r *run) frames(ctx context.Context) error {
	for f := r.feeds.next(); f != nil; f = r.feeds.next() {
		if r.count&0xfff == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.config.Progress != nil {
				r.config.Progress(r.count)
			}
		}
		r.count++
		name := f.Port
		if name == AnyPort {
			name = r.owners.of(f.frame.Data)
		}
		if p := r.ports[name]; p != nil {
			r.pause(f.frame.Time)
			now := r.clock.advance(f.frame.Time)
			// The device's own order is that of the queue: its time stamps must not hold it back.
			f.frame.Time = r.clock.last
			p.queue.Push(&f.frame)
			r.turn(p, &f.frame, now)
		} else {
			r.unowned++
		}
		f.advance()
	}
	return nil
}

// pause lets the clock tick through a gap before capture time t.
func (r *run) pause(t int64) {
	if !r.clock.begun {
		return
	}
	for range idleTurns {
		if uint64(t)-uint64(r.clock.last) <= 1e9 || t < r.clock.last {
			return
		}
		r.idle()
	}
}

// turn lets the worker that polls p take the frame that has been pushed.
func (r *run) turn(p *port, f *pcap.Frame, now int64) {
	r.setTime()
	r.sweep(now)
	refused := p.device.Refused()
	r.poll(p.number, now)
	if p.device.Refused() != refused {
		// Longer than any buffer: no driver hands it over, but it is in the books.
		var in packet.Info
		packet.Parse(f.Data, &in)
		r.engine.Worker(int(p.number)%r.engine.Workers()).Refuse(p.number, 1, len(f.Data), packet.FrameTooLong)
		r.output.drop(r.engine.Snapshot().Port(p.number).Name, f.Index, f.Data, &in, packet.FrameTooLong, 0)
	}
	r.settle(now)
}

// poll gives the port's worker its turn.
func (r *run) poll(number uint16, now int64) {
	r.engine.Worker(int(number)%r.engine.Workers()).StepPort(number, now)
}

// idle is a second without frames. Ports take their turns in the order of their
// numbers, whichever worker polls them.
func (r *run) idle() {
	now := r.clock.idle(1e9)
	r.setTime()
	r.sweep(now)
	for i := range r.config.Model.Ports {
		r.poll(uint16(r.config.Model.Ports[i].Number), now)
	}
	r.settle(now)
}

// setTime gives all devices the time for what they send.
func (r *run) setTime() {
	for _, p := range r.ports {
		p.device.Advance(r.clock.last)
	}
}

// sweep ends sessions whose time is over, once a second of virtual time.
func (r *run) sweep(now int64) {
	if now >= r.nextSweep {
		r.nextSweep = now + 1e9
		r.engine.Worker(0).Flows().SweepAll(now)
	}
}

// settle lets every worker pass its quiescent point and collects what ended.
func (r *run) settle(now int64) {
	for range 2 { // the first says that nothing is held, the second finds that all have said so
		for i := range r.engine.Workers() {
			r.engine.Worker(i).Flows().Quiesce(now)
		}
	}
	r.output.collect(r.engine)
	r.output.firewall.Drain()
}

// finish waits for what waits, ends all sessions and writes the results.
func (r *run) finish() (*Report, error) {
	for range idleTurns {
		r.idle()
	}
	r.endAll()
	report := r.report()
	return report, r.output.write(report)
}

// endAll ends the sessions that are left.
func (r *run) endAll() {
	const atOnce = 256 // fewer than records find room
	for next := uint32(1); next != 0; {
		next = r.engine.Worker(0).Flows().EndMatching(next, atOnce, nil, flowtable.EndShutdown, r.clock.now)
		r.settle(r.clock.now)
	}
	for range r.engine.Workers() * maxLimbo {
		r.settle(r.clock.now)
	}
}

// maxLimbo is how often all workers have to pass their quiescent points until what one has ended is written down.
const maxLimbo = 4

func (r *run) close() {
	if r.node != nil {
		r.node.Close()
	}
	for _, p := range r.ports {
		if p.file != nil {
			_ = p.file.Close() // flushed and checked by finish
		}
	}
	if r.feeds != nil {
		r.feeds.close()
	}
}
