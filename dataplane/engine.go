package dataplane

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Config makes an Engine. All fields are required.
type Config struct {
	Workers   int // 1 to MaxWorkers
	Ports     int // ports that there is room for at the start; a snapshot with more makes room
	Arena     *packet.Arena
	Table     *flowtable.Table // made for as many workers
	Fragments *flowtable.Fragments
	Hops      *HopTable
}

// MaxWorkers is the largest number of workers.
const MaxWorkers = 256

// Engine is the data plane: workers around a flow table, driven by snapshots.
type Engine struct {
	config  Config
	workers []*Worker
	snap    atomic.Pointer[Snapshot]

	mu      sync.Mutex // publication, running and base
	base    []Counters // by port number: counts of ports that had the number before
	running int
	wg      sync.WaitGroup
	stop    atomic.Bool
}

// New makes an engine with an empty snapshot; nothing runs yet.
func New(c Config) (*Engine, error) {
	var faults []error
	if c.Workers < 1 || c.Workers > MaxWorkers {
		faults = append(faults, fmt.Errorf("workers: %d is not between 1 and %d", c.Workers, MaxWorkers))
	}
	if c.Ports < 1 || c.Ports > MaxPort {
		faults = append(faults, fmt.Errorf("ports: %d is not between 1 and %d", c.Ports, MaxPort))
	}
	if c.Arena == nil || c.Table == nil || c.Fragments == nil || c.Hops == nil {
		faults = append(faults, errors.New("arena, table, fragments and hops are required"))
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	e := &Engine{config: c, base: make([]Counters, c.Ports+1)}
	empty := &Snapshot{}
	e.snap.Store(empty)
	for i := range c.Workers {
		w := &Worker{
			id: i, engine: e, arena: c.Arena, cache: c.Arena.NewCache(),
			table: c.Table, flows: c.Table.Worker(i), frags: c.Fragments, hops: c.Hops,
			again: make([]packet.Index, 0, 4*VectorSize),
			snap:  empty,
		}
		w.makeRoom(c.Ports + 1)
		e.workers = append(e.workers, w)
	}
	return e, nil
}

// Worker returns worker i.
func (e *Engine) Worker(i int) *Worker { return e.workers[i] }

// Workers returns their number.
func (e *Engine) Workers() int { return len(e.workers) }

// Table returns the flow table.
func (e *Engine) Table() *flowtable.Table { return e.config.Table }

// Hops returns the next hops.
func (e *Engine) Hops() *HopTable { return e.config.Hops }

// Snapshot returns the one in force.
func (e *Engine) Snapshot() *Snapshot { return e.snap.Load() }

// Publish puts a snapshot in force. Workers take it up at their next turn; wait
// for Synchronize before closing what the old one referred to. The epoch must be larger than
// that of the snapshot before.
func (e *Engine) Publish(s *Snapshot) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.snap.Load().Epoch; s.Epoch <= old {
		return fmt.Errorf("publish epoch %d: epoch %d is in force", s.Epoch, old)
	}
	if len(s.Ports) > MaxPort+1 {
		return fmt.Errorf("publish epoch %d: port number %d is beyond %d", s.Epoch, len(s.Ports)-1, MaxPort)
	}
	for number, p := range s.Ports {
		if p != nil && int(p.Number) != number {
			return fmt.Errorf("publish epoch %d: port %s has number %d in place %d", s.Epoch, p.Name, p.Number, number)
		}
	}
	e.snap.Store(s)
	e.wakeAll()
	return nil
}

// MaxPort is the largest port number.
const MaxPort = 1<<16 - 1

// makeRoom gives the worker counters and transmit queues for n ports. Nothing is
// queued: adopt comes between turns.
func (w *Worker) makeRoom(n int) {
	larger := make([]counters, n)
	copy(larger, w.counters) // this worker alone writes them
	w.counters = larger
	w.counted.Store(&larger)
	w.tx = make([]txQueue, n)
	w.dirty = make([]uint16, 0, n)
}

// adopt makes the worker use a snapshot: the queues to poll follow from it.
func (w *Worker) adopt(s *Snapshot) {
	w.snap = s
	if len(s.Ports) > len(w.counters) {
		w.makeRoom(min(max(len(s.Ports), 2*len(w.counters)), MaxPort+1))
	}
	every := s.RefreshNs
	if every <= 0 {
		every = DefaultRefreshNs
	}
	w.refreshShift = uint(bits.Len64(uint64(every)) - 1)
	w.queues = w.queues[:0]
	for _, p := range s.Ports {
		if p == nil {
			continue
		}
		for q := range p.Queues {
			if pollerOf(p, q, len(w.engine.workers)) == w.id {
				w.queues = append(w.queues, queue{p, q})
			}
		}
	}
	w.seen.Store(s.Epoch)
}

// PortCounters returns the counts of a port since its number was given to it,
// over all workers.
func (e *Engine) PortCounters(number uint16) (c Counters) {
	c = e.sum(number)
	e.mu.Lock()
	defer e.mu.Unlock()
	if int(number) < len(e.base) {
		c.subtract(&e.base[number])
	}
	return c
}

// ResetCounters makes a port's counts start at zero: its number was another's.
func (e *Engine) ResetCounters(number uint16) {
	c := e.sum(number)
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := int(number) + 1; n > len(e.base) {
		e.base = append(e.base, make([]Counters, n-len(e.base))...)
	}
	e.base[number] = c
}

func (e *Engine) sum(number uint16) (c Counters) {
	for _, w := range e.workers {
		if of := *w.counted.Load(); int(number) < len(of) {
			c.add(&of[number])
		}
	}
	return c
}

// Ledger returns the books over all ports that ever were.
func (e *Engine) Ledger() (l Ledger) {
	for _, w := range e.workers {
		of := *w.counted.Load()
		for n := range of {
			var c Counters
			c.add(&of[n])
			l.Add(c.Ledger())
		}
	}
	return l
}

// Crashes returns what is kept of contained panics, and how many there were.
func (e *Engine) Crashes() (first []Crash, n int) {
	for _, w := range e.workers {
		w.crash.mu.Lock()
		first = append(first, w.crash.first...)
		n += w.crash.n
		w.crash.mu.Unlock()
	}
	return first, n
}
