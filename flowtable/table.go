package flowtable

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

// Limits of a Config.
const (
	MaxSessions = 1 << 27
	MaxWorkers  = 1024
	MaxRecords  = 1 << 24
)

// Config sizes a Table. Zero values are defaults where one is named.
type Config struct {
	Sessions  int    // sessions at a time; 1 to MaxSessions
	Workers   int    // number of workers; default 1
	PerSource int    // sessions at a time from one source address in a zone; 0 is no limit
	Limits    Limits // flood caps
	Seed      uint64 // makes hashes unpredictable; equal seeds give equal behaviour
	Timers    Timers // default DefaultTimers; SetTimers changes them
	StrictTCP bool   // TCP sessions begin with a SYN only
	Records   int    // records of ended sessions that wait for export, per worker; default 1024
	// Ended is told of each session that has ended, once, by the worker that recycles
	// it: however it ended, and whether or not its record finds room. It is called
	// where no packet is in hand, must not keep r, nor begin or end sessions. nil: nobody.
	Ended func(worker int, r *Record)
	// Refused is told at once when the member of a session (Binding) says no to it: by a reset (TCP) or an abort (SCTP)
	// in answer to its first packet, by an ICMP error that it or its host is unreachable instead of an answer, or, of
	// UDP, by one for any packet that its port is. It is called while a packet is in hand: what it does
	// must be short, without a lock, and leave sessions alone. nil: nobody.
	Refused func(worker int, b Binding, now int64)
	// Answered is told in the same way when the member of a session has taken it: a connection is established, or the
	// first packet of another protocol is answered.
	Answered func(worker int, b Binding, now int64)

	Prefault bool // touch all memory now: a cold page costs microseconds on the packet path

	// ManualSweep leaves expiry to SweepAll and Expire: Quiesce does not sweep, so
	// that what happens does not depend on how often it is called.
	ManualSweep bool
}

// Limits are flood caps: sessions at a time, 0 is no limit.
type Limits struct {
	TCPHalfOpen int // TCP sessions whose handshake is not complete
	UDP         int
	ICMP        int // both versions
	Other       int
}

// Table is the flow table: safe for use by its workers and readers at once.
// See the package comment for the rules.
//
// Memory per session (all of it mapped when the table is made):
//
//	256  two entries
//	 64  session record
//	  4  deadline
//	 11  queues for eviction
//	 20  to 40, buckets of the index (a power of two)
//	 30  counts by source, if there is a limit
type Table struct {
	// Read for every packet, written by New only.
	index   Index
	seeds   [4]uint64
	entries unsafe.Pointer // [2*(sessions+1)]Entry, by ID
	records unsafe.Pointer // [sessions+1]session, by number
	due     unsafe.Pointer // [sessions+1]uint32: deadline, see expire.go
	tracker atomic.Pointer[tracker]
	cfg     Config
	caps    [numFamilies]int64

	workers []*Worker
	sources *SourceCounts // nil if there is no limit per source
	queues  [numQueues]queue
	mem     []packet.Mapping
	size    int      // bytes asked for of mem
	freeIDs chan int // participants' places that readers may take

	pool   pool
	grace  grace
	sweep  sweep
	census census
	groups groups
}

// New returns a Table, or all faults of the configuration at once.
func New(cfg Config) (*Table, error) {
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	if cfg.Records == 0 {
		cfg.Records = 1024
	}
	if cfg.Timers == (Timers{}) {
		cfg.Timers = DefaultTimers()
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Table{cfg: cfg}
	t.tracker.Store(newTracker([]Timers{cfg.Timers}))
	seed := cfg.Seed
	for i := range t.seeds {
		t.seeds[i] = splitMix(&seed)
	}
	t.caps = [numFamilies]int64{int64(cfg.Limits.TCPHalfOpen), int64(cfg.Limits.UDP), int64(cfg.Limits.ICMP), int64(cfg.Limits.Other)}
	if err := t.mapAll(&seed); err != nil {
		_ = t.Close() // gives back what was mapped; err says what is wrong
		return nil, fmt.Errorf("map flow table of %d sessions: %w", cfg.Sessions, err)
	}
	t.grace.init(cfg.Workers + maxReaders)
	t.freeIDs = make(chan int, maxReaders)
	for i := range maxReaders {
		t.freeIDs <- cfg.Workers + i
	}
	t.workers = make([]*Worker, cfg.Workers)
	for i := range t.workers {
		t.workers[i] = newWorker(t, i)
	}
	return t, nil
}

func (cfg *Config) validate() error {
	faults := cfg.Timers.Validate()
	bounds := []struct {
		name         string
		n, low, high int
	}{
		{"sessions", cfg.Sessions, 1, MaxSessions},
		{"workers", cfg.Workers, 1, MaxWorkers},
		{"records", cfg.Records, 1, MaxRecords},
		{"sessions per source", cfg.PerSource, 0, MaxSessions},
		{"half-open TCP limit", cfg.Limits.TCPHalfOpen, 0, MaxSessions},
		{"UDP limit", cfg.Limits.UDP, 0, MaxSessions},
		{"ICMP limit", cfg.Limits.ICMP, 0, MaxSessions},
		{"limit of other protocols", cfg.Limits.Other, 0, MaxSessions},
	}
	for _, b := range bounds {
		if b.n < b.low || b.n > b.high {
			faults = append(faults, fmt.Errorf("%s: %d is not in %d to %d", b.name, b.n, b.low, b.high))
		}
	}
	return errors.Join(faults...)
}

// mapAll maps the parts whose size depends on the number of sessions. Beyond
// those that may live, numbers are needed for sessions that wait to be
// recycled, and for those in workers' hands.
func (t *Table) mapAll(seed *uint64) error {
	numbers := t.cfg.Sessions + t.cfg.Workers*sparePerWorker
	t.pool.last = uint32(numbers)
	if err := t.index.init(2*t.cfg.Sessions, splitMix(seed), t.cfg.Prefault); err != nil {
		return err
	}
	var err error
	t.entries, err = t.alloc(2*(numbers+1)*entrySize, err)
	t.records, err = t.alloc((numbers+1)*sessionSize, err)
	t.due, err = t.alloc((numbers+1)*4, err)
	for q := range t.queues {
		n := t.cfg.Sessions
		if q != queueTCP && q != queueUDP {
			n = n/4 + 1
		}
		t.queues[q].slots, err = t.alloc(n*4, err)
		t.queues[q].size = uint64(n)
	}
	if t.cfg.PerSource > 0 {
		t.sources = newSourceCounts(t.cfg.Sessions, t.cfg.PerSource, splitMix(seed))
		var slots unsafe.Pointer
		if slots, err = t.alloc(t.sources.Memory(), err); err == nil {
			t.sources.slots = unsafe.Slice((*sourceSlot)(slots), t.sources.size())
		}
	}
	return err
}

func (t *Table) alloc(size int, err error) (unsafe.Pointer, error) {
	if err != nil {
		return nil, err
	}
	m, err := packet.Map(size, t.cfg.Prefault)
	if err != nil {
		return nil, err
	}
	t.mem = append(t.mem, m)
	t.size += size
	return m.Base(), nil
}

// Populate is packet.Mapping.Populate of the table's memory: what Prefault
// does, for a table that is in use already.
func (t *Table) Populate(more func() bool) {
	t.index.mem.Populate(more)
	for i := range t.mem {
		t.mem[i].Populate(more)
	}
}

// Close returns the memory. Nobody may use the table, its workers, or a
// pointer to an Entry any more; records that wait can still be read.
func (t *Table) Close() error {
	var errs []error
	if t.index.buckets != nil {
		errs = append(errs, t.index.Close())
	}
	for i := range t.mem {
		errs = append(errs, t.mem[i].Close())
	}
	t.mem, t.entries, t.records, t.due = nil, nil, nil, nil
	return errors.Join(errs...)
}

// Memory returns the size of the table in bytes, records that wait for export
// not included.
func (t *Table) Memory() int {
	return t.index.Memory() + t.size
}

// Config returns the configuration with defaults filled in.
func (t *Table) Config() Config { return t.cfg }

// Worker returns the handle of worker i, 0 to Config.Workers-1. It belongs to
// one goroutine. The first call makes it count as online.
func (t *Table) Worker(i int) *Worker {
	w := t.workers[i]
	if w.started.CompareAndSwap(false, true) {
		w.Online()
	}
	return w
}

// Records returns the records of ended sessions that worker i has written, for
// one exporter.
func (t *Table) Records(i int) *Records { return &t.workers[i].records }

func (t *Table) session(number uint32) *session {
	return (*session)(unsafe.Add(t.records, uintptr(number)*sessionSize))
}

func (t *Table) deadline(number uint32) *uint32 {
	return (*uint32)(unsafe.Add(t.due, uintptr(number)*4))
}

// control is where a session is in the table, as one word, changed by compare
// and swap (session.table):
//
//	31..0   position in its queue while it lives; else next in a list of sessions
//	39..32  EndReason, once it has ended
//	43..40  phase
//	47..44  class
//	51..48  family
//	59..52  timer profile
//	60      its terms were strict
type control uint64

type phase uint8

const (
	phaseFree     phase = iota
	phaseStarting       // its creator is inserting the keys: nobody else may end it
	phaseLive
	phaseEnded // keys are gone; waits until nobody can hold its IDs
)

func makeControl(p phase, c class, f Family, position uint32) control {
	return control(position) | control(p)<<40 | control(c)<<44 | control(f)<<48
}

const strictShift = 60

func (c control) withTimers(n uint8) control { return c&^(255<<52) | control(n)<<52 }
func (c control) withStrict(on bool) control {
	if on {
		c |= 1 << strictShift
	}
	return c
}

func (c control) link() uint32      { return uint32(c) }
func (c control) reason() EndReason { return EndReason(c >> 32) }
func (c control) phase() phase      { return phase(c >> 40 & 15) }
func (c control) class() class      { return class(c >> 44 & 15) }
func (c control) family() Family    { return Family(c >> 48 & 15) }
func (c control) timers() uint8     { return uint8(c >> 52) }
func (c control) strict() bool      { return c>>strictShift&1 != 0 }

func (c control) withLink(n uint32) control { return c>>32<<32 | control(n) }
func (c control) withPhase(p phase) control { return c&^(15<<40) | control(p)<<40 }
func (c control) withClass(k class) control { return c&^(15<<44) | control(k)<<44 }
func (c control) withReason(r EndReason) control {
	return c&^(255<<32) | control(r)<<32
}

func (s *session) control() control     { return control(atomic.LoadUint64(&s.table)) }
func (s *session) setControl(c control) { atomic.StoreUint64(&s.table, uint64(c)) }
func (s *session) swapControl(old, c control) bool {
	return atomic.CompareAndSwapUint64(&s.table, uint64(old), uint64(c))
}

// Family is what flood caps tell apart.
type Family uint8

const (
	FamilyTCP Family = iota
	FamilyUDP
	FamilyICMP
	FamilyOther

	numFamilies
)

// String returns the name that metrics carry.
func (f Family) String() string {
	switch f {
	case FamilyTCP:
		return "tcp"
	case FamilyUDP:
		return "udp"
	case FamilyICMP:
		return "icmp"
	}
	return "other"
}

func familyOf(proto uint8) Family {
	switch proto {
	case packet.ProtoTCP:
		return FamilyTCP
	case packet.ProtoUDP:
		return FamilyUDP
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return FamilyICMP
	}
	return FamilyOther
}
