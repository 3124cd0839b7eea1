package health

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// Network is where members are dialled. It is for several goroutines at a time.
type Network interface {
	// Dial connects to an address in an address space (control.Segment.Scope). network is tcp, udp, or icmp for a
	// connection that DialEcho would make. The context's deadline bounds it.
	Dial(ctx context.Context, scope uint32, network string, to netip.AddrPort) (net.Conn, error)
}

// Config is what a Checker is made with.
type Config struct {
	Network Network

	// Report is told when a member's health has changed, one call at a time, and why in words. It must not
	// call the Checker. Members that are no target any more are told of as Unmonitored.
	Report func(memberID uint32, h member.Health, reason string, at time.Time)

	Now  func() time.Time // the clock, which timers of package time go by, too
	Seed uint64           // tells our pings from others'
}

// Target is a member that monitors are to look after.
type Target struct {
	MemberID uint32
	Address  netip.Addr
	Port     uint16 // where monitors without a port of their own probe; 0: there these find nobody, but for ICMP
	Scope    uint32
	Monitors []*service.Monitor
}

// Checker probes targets until Close.
type Checker struct {
	config Config
	ctx    context.Context
	stop   context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // holds one: the first due time may be another

	mu       sync.Mutex
	members  map[uint32]*watched
	probes   map[probeKey]*probe
	schedule schedule
	inFlight int
}

// watched is a member under monitors.
type watched struct {
	id      uint32
	probes  []*probe
	health  member.Health
	changes changes
}

// maxInFlight bounds sockets and goroutines. Were members that don't answer to wait for it, a timeout of T seconds would
// let 4096/T of them be probed in a second; others are late only if there are more.
const maxInFlight = 4096

// New returns a Checker without targets.
func New(c Config) *Checker {
	ctx, stop := context.WithCancel(context.Background())
	k := &Checker{
		config: c, ctx: ctx, stop: stop, wake: make(chan struct{}, 1),
		members: map[uint32]*watched{}, probes: map[probeKey]*probe{},
	}
	k.done.Go(k.run)
	return k
}

// Close ends all probes, and returns when the last is over: nothing is reported afterwards.
func (k *Checker) Close() {
	k.stop()
	k.done.Wait()
}

// Set makes targets those that are looked after. What is the same as before goes on undisturbed. Of targets with one
// member ID, which have one address, the monitors count together.
//
// A monitor that is another than before, of the same name at the same address, goes on with what was known: a
// member is not taken out because its monitor was edited.
func (k *Checker) Set(targets []Target) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.config.Now()
	before := k.byName()
	members := make(map[uint32]*watched, len(targets))
	probes := make(map[probeKey]*probe, len(k.probes))
	var fresh []*probe
	for i := range targets {
		t := &targets[i]
		for _, m := range t.Monitors {
			key := keyOf(t, m)
			p := probes[key]
			if p == nil {
				if p = k.probes[key]; p == nil {
					p = newProbe(k.ctx, key, k.config.Seed)
					if old := before[nameOf(&key)]; old != nil {
						p.verdict, p.last = old.verdict, old.last
					}
					fresh = append(fresh, p)
				}
				probes[key], p.members = p, p.members[:0]
			}
			w := members[t.MemberID]
			if w == nil {
				if w = k.members[t.MemberID]; w == nil {
					w = &watched{id: t.MemberID, health: member.Unmonitored}
				}
				members[t.MemberID], w.probes = w, w.probes[:0]
			}
			if !slices.Contains(w.probes, p) {
				w.probes, p.members = append(w.probes, p), append(p.members, w)
			}
		}
	}
	for key, p := range k.probes {
		if probes[key] == nil {
			p.stop()
			k.schedule.remove(p)
		}
	}
	gone := k.members
	k.members, k.probes = members, probes
	for i, p := range fresh {
		p.due = now.Add(min(time.Duration(i)*stagger, p.interval))
		k.schedule.add(p)
	}
	k.settle(gone, now)
	k.rouse()
}

// stagger is what lies between the first probes of targets that come together.
const stagger = time.Millisecond

// settle tells what Set has changed; gone are the members before.
func (k *Checker) settle(gone map[uint32]*watched, now time.Time) {
	for _, w := range inOrder(k.members) {
		delete(gone, w.id)
		k.judge(w, now, "")
	}
	for _, w := range inOrder(gone) {
		k.config.Report(w.id, member.Unmonitored, "no monitor", now)
	}
}

func inOrder(members map[uint32]*watched) []*watched {
	list := make([]*watched, 0, len(members))
	for _, w := range members {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *watched) int { return cmp.Compare(a.id, b.id) })
	return list
}

// judge tells of a member whose health is another than before. reason is the result that changed it; empty: its
// monitors are others than before.
func (k *Checker) judge(w *watched, at time.Time, reason string) {
	worst := w.probes[0]
	for _, p := range w.probes {
		if badness[p.verdict.health] > badness[worst.verdict.health] {
			worst = p
		}
	}
	is := worst.verdict.health
	if is == w.health {
		return
	}
	w.health = is
	switch {
	case reason != "":
	case is == member.Unknown:
		reason = "waits for the first answer"
	default:
		reason = fmt.Sprintf("its monitors have changed; %s: %s", worst.monitor.Type, worst.last.Reason)
	}
	w.changes.add(Change{At: at, Health: is, Reason: reason})
	k.config.Report(w.id, is, reason, at)
}

// badness orders states: the worst of a member's monitors decides.
var badness = [...]int{member.Unmonitored: 0, member.Up: 0, member.Unknown: 1, member.Down: 2}

// byName has the probes by what stays when a monitor is edited.
func (k *Checker) byName() map[probeName]*probe {
	all := make(map[probeName]*probe, len(k.probes))
	for key, p := range k.probes {
		all[nameOf(&key)] = p
	}
	return all
}

// rouse has run look at the schedule.
func (k *Checker) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run starts probes when they are due.
func (k *Checker) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-timer.C:
		case <-k.wake:
		}
		if wait, any := k.start(k.config.Now()); any {
			timer.Reset(wait)
		}
	}
}

// start starts the probes that are due at now, and returns how long it is to the next. any is false if there is none,
// or a probe has to end first.
func (k *Checker) start(now time.Time) (wait time.Duration, any bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.schedule) > 0 && k.inFlight < maxInFlight {
		p := k.schedule[0]
		if wait := p.due.Sub(now); wait > 0 {
			return wait, true
		}
		k.schedule.remove(p)
		k.inFlight++
		k.done.Go(func() { k.probe(p) })
	}
	return 0, false
}

// probe makes a probe and notes what came of it.
func (k *Checker) probe(p *probe) {
	begin := k.config.Now()
	answer, err := p.make(k.config.Network)
	end := k.config.Now()

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inFlight--; k.inFlight == maxInFlight-1 {
		k.rouse()
	}
	if p.ctx.Err() != nil {
		return
	}
	p.last = Result{At: end, Good: err == nil, Reason: answer, Took: end.Sub(begin)}
	if err != nil {
		p.last.Reason = p.explain(err)
	}
	if why, changed := p.verdict.take(p.last.Good, p.monitor); changed {
		for _, w := range p.members {
			k.judge(w, end, fmt.Sprintf("%s: %s (%s)", p.monitor.Type, p.last.Reason, why))
		}
	}
	p.due = p.next(end)
	k.schedule.add(p)
	if k.schedule[0] == p {
		k.rouse()
	}
}

// History returns what is known of a member; false if it is no target.
func (k *Checker) History(memberID uint32) (History, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.members[memberID]
	if w == nil {
		return History{}, false
	}
	h := History{Health: w.health, Changes: w.changes.list()}
	for _, p := range w.probes {
		h.Monitors = append(h.Monitors, MonitorHistory{
			Name: p.monitor.Name, Type: p.monitor.Type, Health: p.verdict.health, InARow: p.verdict.against, Last: p.last,
		})
	}
	return h, true
}
