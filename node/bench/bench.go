// Package bench runs the real pipeline between ports in memory and measures it.
// Traffic is UDP, a fixed number of distinct 5-tuples in a seeded random order;
// frames are copied into buffers on receipt, as DMA would, and freed after they are sent.
package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// Feature is something that the measured packets go through.
type Feature string

// The features. L2 switches within a segment; L3 routes between two: both MAC
// addresses, TTL and checksum are rewritten. With both, flows take turns. DFW has
// firewall rules, of which the last lets the traffic pass at both ends; state is kept. With LB
// every flow goes to one of the virtual servers, with 10 members each: destination address and port
// are rewritten. Its members are where flows would go without.
const (
	L2  Feature = "l2"
	L3  Feature = "l3"
	DFW Feature = "dfw"
	LB  Feature = "lb"
)

// Features lists those that can be measured.
var Features = []Feature{L2, L3, DFW, LB}

// Limits of a Config.
const (
	MinFrame = 60 // the shortest Ethernet frame, without FCS
	MaxFrame = 1514
	MaxFlows = 20_000_000
	MaxRules = 1_000_000

	MaxServices = 50_000
)

// Config says what to measure.
type Config struct {
	Features []Feature
	Flows    int
	Rules    int // of the firewall, with DFW
	Services int // virtual servers, with LB
	Frame    int // bytes in memory, without FCS
	Workers  int
	Duration time.Duration
	Seed     uint64
	New      bool   // first packets of flows only
	Stages   bool   // the time of each stage; costs a clock read per stage and vector
	Pcap     string // a capture whose packets are used instead; Frame does not matter then

	Progress func(what string) // may be nil
}

func (c *Config) has(f Feature) bool { return slices.Contains(c.Features, f) }

// rules is how many there are.
func (c *Config) rules() int {
	if c.has(DFW) {
		return c.Rules
	}
	return 0
}

// services is how many virtual servers there are.
func (c *Config) services() int {
	if c.has(LB) {
		return c.Services
	}
	return 0
}

// Validate returns all that is wrong with what a user asked for.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, f := range c.Features {
		if !slices.Contains(Features, f) {
			fault("features: %q can't be measured by this version; it knows %s", f, Names(Features))
		}
	}
	if len(faults) == 0 && !c.has(L2) && !c.has(L3) {
		fault("features: want at least one of l2,l3: packets have to go somewhere")
	}
	for _, n := range []struct {
		name         string
		n, low, high int
	}{
		{"flows", c.Flows, 1, MaxFlows},
		{"frame", c.Frame, MinFrame, MaxFrame},
		{"workers", c.Workers, 1, 64},
	} {
		if n.n < n.low || n.n > n.high {
			fault("%s: %d is not in %d to %d", n.name, n.n, n.low, n.high)
		}
	}
	if c.has(DFW) && (c.Rules < 1 || c.Rules > MaxRules) {
		fault("rules: %d is not in 1 to %d", c.Rules, MaxRules)
	}
	if c.has(LB) && (c.Services < 1 || c.Services > MaxServices) {
		fault("services: %d is not in 1 to %d", c.Services, MaxServices)
	}
	if c.has(LB) && c.Pcap != "" {
		fault("features: lb goes to virtual servers, and the packets of a capture go where they do")
	}
	if c.Flows < c.Workers {
		fault("flows: %d for %d workers: want at least one each", c.Flows, c.Workers)
	}
	if c.Duration <= 0 && !c.New {
		fault("duration: %v is not positive", c.Duration)
	}
	return errors.Join(faults...)
}

// FeatureNames lists the features that can be measured.
func FeatureNames() string { return Names(Features) }

// Names writes features as they are asked for.
func Names(all []Feature) string {
	var s []string
	for _, f := range all {
		s = append(s, string(f))
	}
	return strings.Join(s, ",")
}

// Result is what `bench -o json` prints.
type Result struct {
	Mpps            float64 `json:"mpps"`
	NsPerPacket     float64 `json:"nsPerPacket"`    // of a worker's time
	CPUNsPerPacket  float64 `json:"cpuNsPerPacket"` // of the workers' threads, user and system
	Packets         uint64  `json:"packets"`
	Drops           Drops   `json:"drops"`
	AllocsPerPacket float64 `json:"allocsPerPacket"`
	Workers         int     `json:"workers"`
	Flows           int     `json:"flows"`
	Rules           int     `json:"rules"`
	Services        int     `json:"services"`
	Features        string  `json:"features"`
	Frame           int     `json:"frame"`

	NewSessionsPerSecond float64 `json:"newSessionsPerSecond"` // while the flows were set up

	VectorNs Percentiles `json:"vectorNs"` // time of a vector through the pipeline
	Stages   []StageTime `json:"stages,omitempty"`

	Seconds     float64          `json:"seconds"`
	TableBytes  int              `json:"tableBytes"`
	Ledger      dataplane.Ledger `json:"ledger"`
	FlowsSetUp  int              `json:"flowsSetUp"`
	MemoryPages string           `json:"memoryPages"`
}

// Drops counts by reason.
type Drops map[string]uint64

// Percentiles of a distribution.
type Percentiles struct {
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
	Max  int64 `json:"max"`
}

// StageTime is the share of one stage.
type StageTime struct {
	Stage       string  `json:"stage"`
	NsPerPacket float64 `json:"nsPerPacket"`
}

// ErrInput is wrapped by errors about the capture.
var ErrInput = errors.New("input")

// Run measures.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	b, err := setUp(&c)
	if err != nil {
		return nil, err
	}
	defer b.node.Close()
	return b.run(ctx)
}

// bench is a measurement in progress.
type bench struct {
	config *Config
	node   *node.Node
	engine *dataplane.Engine
	source source
	timer  *stageTimer // nil unless asked for
}

// source is the port that makes the traffic.
type source interface {
	dataplane.Port
	PerQueue(q int) int // distinct frames in a queue
}

func setUp(c *Config) (*bench, error) {
	b := &bench{config: c}
	if err := b.makeTraffic(); err != nil {
		return nil, err
	}
	model, err := compile(topology(c) + rules(c) + services(c))
	if err != nil {
		return nil, err
	}
	o := node.Options{Workers: c.Workers, Seed: c.Seed, Prefault: true, Open: b.open, Buffers: 2048 * c.Workers}
	if c.Stages {
		b.timer = newStageTimer(c.Workers)
		o.Taps = []dataplane.Tap{b.timer}
	}
	if b.node, err = node.New(o, model); err != nil {
		return nil, err
	}
	b.engine = b.node.Engine()
	runtime.GC()
	return b, nil
}

// makeTraffic prepares the packets. Of a capture, Config.Flows becomes the number.
func (b *bench) makeTraffic() (err error) {
	c := b.config
	if c.Pcap != "" {
		c.progress("reading %s", c.Pcap)
		var packets *capture
		if packets, err = newCapture(c); err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		b.source, c.Flows = packets, packets.flows
		return nil
	}
	c.progress("making %d flows", c.Flows)
	b.source, err = mem.NewGenerator(mem.GeneratorConfig{Frames: frames(c), Queues: c.Workers, Seed: c.Seed})
	return err
}

// compile goes the way of every configuration.
func compile(text string) (*control.Model, error) {
	objects, faults := control.Decode("bench", []byte(text), control.Options{})
	if len(faults) > 0 {
		return nil, faults
	}
	model, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	if len(faults) > 0 {
		return nil, faults
	}
	return model, nil
}

// open gives the senders' port its generator, and the others a place where
// frames end.
func (b *bench) open(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
	if p.Name == senders.port {
		return b.source, nil
	}
	return mem.NewSink(b.config.Workers), nil
}

func (c *Config) progress(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}

// measure is what one worker found out.
type measure struct {
	packets int
	cpu     time.Duration
	wall    time.Duration
	vectors histogram
}

// phase runs all workers until each has done its part, and adds up.
func (b *bench) phase(ctx context.Context, done func(w int, packets int, elapsed time.Duration) bool) (sum measure, err error) {
	results := make([]measure, b.config.Workers)
	var wg sync.WaitGroup
	for i := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			w := b.engine.Worker(i)
			w.Flows().Online()
			defer w.Flows().Offline()
			results[i] = drive(ctx, w, func(packets int, elapsed time.Duration) bool { return done(i, packets, elapsed) })
		}()
	}
	wg.Wait()
	for i := range results {
		sum.packets += results[i].packets
		sum.cpu += results[i].cpu
		sum.wall = max(sum.wall, results[i].wall)
		sum.vectors.add(&results[i].vectors)
	}
	return sum, ctx.Err()
}

// drive is a worker's poll loop with a stopwatch.
func drive(ctx context.Context, w *dataplane.Worker, done func(packets int, elapsed time.Duration) bool) (m measure) {
	cpu := cputime.Thread()
	start := dataplane.Now()
	before := start
	for turn := 0; ; turn++ {
		m.packets += w.Step(before)
		now := dataplane.Now()
		m.vectors.record(now - before)
		before = now
		if turn&15 == 0 && (done(m.packets, time.Duration(now-start)) || ctx.Err() != nil) {
			break
		}
	}
	m.wall = time.Duration(before - start)
	m.cpu = cputime.Thread() - cpu
	return m
}

func (b *bench) run(ctx context.Context) (*Result, error) {
	c := b.config
	var mem0, mem1 runtime.MemStats
	c.progress("setting up sessions")
	runtime.ReadMemStats(&mem0)
	first, err := b.phase(ctx, func(w, packets int, _ time.Duration) bool { return packets >= b.source.PerQueue(w) })
	if err != nil {
		return nil, err
	}
	r := &Result{
		Workers: c.Workers, Flows: c.Flows, Rules: c.rules(), Services: c.services(), Features: Names(c.Features), Frame: c.Frame, Drops: Drops{},
		NewSessionsPerSecond: float64(c.Flows) / first.wall.Seconds(),
		TableBytes:           b.engine.Table().Memory(), MemoryPages: b.node.Arena().Pages(),
	}
	measured := first
	if !c.New {
		// Once more: what the first round has left in caches and queues is not measured.
		if _, err := b.phase(ctx, func(w, packets int, _ time.Duration) bool { return packets >= b.source.PerQueue(w) }); err != nil {
			return nil, err
		}
		c.progress("measuring for %v", c.Duration)
		if b.timer != nil {
			b.timer.reset()
		}
		runtime.ReadMemStats(&mem0)
		measured, err = b.phase(ctx, func(_, _ int, elapsed time.Duration) bool { return elapsed >= c.Duration })
		if err != nil {
			return nil, err
		}
	}
	runtime.ReadMemStats(&mem1)
	b.fill(r, &measured)
	r.AllocsPerPacket = allocations(mem1.Mallocs-mem0.Mallocs, measured.packets)
	return r, nil
}

// allocations returns the number per packet, without the few dozens that
// starting and joining the measurement itself costs.
func allocations(n uint64, packets int) float64 {
	const own = 200
	if n < own {
		return 0
	}
	return float64(n) / float64(packets)
}

func (b *bench) fill(r *Result, m *measure) {
	packets := float64(m.packets)
	r.Packets = uint64(m.packets)
	r.Seconds = m.wall.Seconds()
	r.Mpps = packets / m.wall.Seconds() / 1e6
	r.NsPerPacket = float64(m.wall.Nanoseconds()) * float64(b.config.Workers) / packets
	r.CPUNsPerPacket = float64(m.cpu.Nanoseconds()) / packets
	r.VectorNs = m.vectors.percentiles()
	r.Ledger = b.engine.Ledger()
	r.FlowsSetUp = b.engine.Table().Stats().Live
	for _, p := range b.engine.Snapshot().Ports {
		if p == nil {
			continue
		}
		for reason, n := range b.engine.PortCounters(p.Number).Drops {
			if n != 0 {
				r.Drops[packet.Reason(reason).String()] += n
			}
		}
	}
	if b.timer != nil {
		r.Stages = b.timer.perPacket(m.packets)
	}
}
