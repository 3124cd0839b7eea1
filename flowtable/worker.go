package flowtable

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/internal/relaxed"
	"github.com/sluice-net/sluice/packet"
)

// Worker is one poll loop's handle on the table. It belongs to one goroutine.
type Worker struct {
	_ [lineSize]byte // workers are allocated in a row

	t      *Table
	number int
	place  *participant
	seen   uint64 // last epoch that this worker published

	free  [2 * poolBatch]uint32 // numbers of free sessions, the last one first
	nFree int

	limbo   [3]list // ended sessions by the epoch in which they ended, mod 3
	safe    list    // those that nobody can hold any more
	backlog int     // length of all four

	tick     uint32 // up to which this worker has swept
	sweeping bool   // and has not finished

	ended   [numEndReasons]uint64 // relaxed
	created uint64                // relaxed
	waiting atomic.Int64          // ended sessions that are not recycled yet, for Stats

	records Records
	scratch Record
	started atomic.Bool

	_ [lineSize]byte
}

func newWorker(t *Table, i int) *Worker {
	w := &Worker{t: t, number: i, place: &t.grace.places[i]}
	w.records.init(t.cfg.Records)
	return w
}

// Create begins a session with the packet in, which is of the original
// direction and at frame. original and reply are the keys of both directions,
// which are each other's Reverse unless addresses are translated. Equal keys
// make a session with one direction.
//
// If a session with the original key exists, its ID is returned and created is
// false: two workers, or two packets of one vector, had the same idea. If only
// the reply key is taken, which happens if addresses are translated, the ID of
// its owner is returned, whose Key is not original: another translation may do.
func (w *Worker) Create(original, reply packet.Key, terms Terms, in *packet.Info, frame []byte, now int64) (id ID, created bool, r packet.Reason) {
	t := w.t
	hashes := [2]uint64{t.Hash(&original), t.Hash(&reply)}
	t.index.touch(&hashes)
	free := w.nFree != 0 || w.takeFree()
	n := w.free[max(w.nFree-1, 0)]
	if free {
		t.touchSession(n) // while the buckets are on their way
	}
	if id = t.find(hashes[0], &original); id != 0 {
		return id, false, packet.None
	}
	if !free {
		return 0, false, packet.SessionTableFull
	}
	s := t.session(n)
	if r = s.begin(terms.Strict || t.cfg.StrictTCP, in, frame, now); r != packet.None {
		return 0, false, r
	}
	cls, family := s.class(), familyOf(original.Proto())
	if terms.Caps != [2]uint16{} {
		terms.Caps = t.groups.known(terms.Caps)
	}
	if r = w.admit(&original, cls, family, terms.Caps, now); r != packet.None {
		return 0, false, r
	}
	w.nFree--

	q := queueOf(cls, family)
	position := uint64(0)
	if q != noQueue {
		position = t.queues[q].reserve()
	}
	relaxed.Store(&s.terms, terms.pack())
	if terms.Caps != [2]uint16{} {
		t.Entry(ID(n << 1)).aux.Store(0)
		t.Entry(ID(n<<1 | 1)).aux.Store(0)
	}
	// Nobody knows of it yet.
	relaxed.Store(&s.table, uint64(makeControl(phaseStarting, cls, family, uint32(position)).withTimers(terms.Timers).withStrict(terms.Strict)))
	id = ID(n << 1)
	keys := [2]packet.Key{original, reply}
	for d := range keys {
		e := t.Entry(id | ID(d))
		e.reset(&keys[d])
		if s.settled(Dir(d)) {
			e.flags.Store(Settled)
		}
	}
	t.setBase(now)
	timers := t.tracker.Load()
	relaxed.Store(t.deadline(n), t.tickOf(now+timers.of(terms.Timers)[s.state()]))

	if existing, what := w.insert(id, &keys, &hashes); what != Inserted {
		if what == Full {
			return 0, false, packet.SessionTableFull
		}
		return existing, false, packet.None
	}
	for c := s.control(); !s.swapControl(c, c.withPhase(phaseLive)); {
		c = s.control()
	}
	if q != noQueue {
		t.queues[q].put(position, n)
	}
	t.recheck(n, timers)
	if terms.Caps != [2]uint16{} && family == FamilyTCP {
		t.enlist(n, terms.Caps)
	}
	relaxed.Add(&w.created, 1)
	return id, true, packet.None
}

// insert puts both keys into the index, or neither, and then gives the session
// back. The lesser key goes first, whoever inserts: two workers that create
// the same session from either end cannot each get one key and fail on the
// other's.
func (w *Worker) insert(id ID, keys *[2]packet.Key, hashes *[2]uint64) (existing ID, what Insertion) {
	t := w.t
	order := [2]Dir{Original, Reply}
	switch c := compare(&keys[Original], &keys[Reply]); {
	case c == 0:
		order[1] = Original
	case c > 0:
		order = [2]Dir{Reply, Original}
	}
	done := 0
	for _, d := range order {
		if done == 1 && d == order[0] {
			break
		}
		key := &keys[d]
		var other uint32
		other, what = t.index.InsertUnique(hashes[d], uint32(id)|uint32(d), func(id uint32) bool {
			return t.Entry(ID(id)).holds(key)
		})
		if what != Inserted {
			existing = ID(other)
			switch peer := existing.Peer(); {
			case d == Original || what == Full:
			case t.Entry(peer).holds(&keys[Original]):
				existing = peer // the same session, from its other end
			default:
				// The lesser key is the reply's. If the original's is taken too, by
				// yet another session, that one is the answer.
				if own := t.find(hashes[Original], &keys[Original]); own != 0 && own.Session() != id.Session() {
					existing = own
				}
			}
			break
		}
		done++
	}
	if what == Inserted {
		return 0, Inserted
	}
	n := id.Session()
	s := t.session(n)
	c := s.control()
	for !s.swapControl(c, c.withPhase(phaseEnded).withReason(neverBegan)) {
		c = s.control()
	}
	relaxed.Store(t.deadline(n), 0)
	t.dismiss(&keys[Original], c.class(), c.family(), s.caps())
	if done == 0 {
		w.putFree(n) // nobody has seen it
	} else {
		t.index.Remove(hashes[order[0]], uint32(id)|uint32(order[0]))
		w.retire(n)
	}
	return existing, what
}

// compare orders keys, in no meaningful way.
func compare(a, b *packet.Key) int {
	for _, w := range [5][2]uint64{
		{a.Src[0], b.Src[0]},
		{a.Src[1], b.Src[1]},
		{a.Dst[0], b.Dst[0]},
		{a.Dst[1], b.Dst[1]},
		{a.Tail, b.Tail},
	} {
		if w[0] != w[1] {
			if w[0] < w[1] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// Bind stores what was chosen for the session's life.
func (w *Worker) Bind(id ID, b Binding) {
	original, reply := &w.t.Entry(id&^1).bound, &w.t.Entry(id|1).bound
	original[0].Store(b.Service)
	original[1].Store(b.Member)
	reply[0].Store(b.Rule)
	reply[1].Store(b.Source)
}

// Records returns the records that this worker has written; for one exporter.
func (w *Worker) Records() *Records { return &w.records }

// Track takes a packet into account that belongs to a session, and reports
// whether it may pass. Only the worker that polls the packet's direction may
// call it, but both directions' workers at once. For a direction whose entry
// is Settled it need not be called.
//
// reopened says that the packet begins a new connection on the tuple of one
// that is over: the session has been ended, and the packet is to be treated as
// one that no session was found for.
func (w *Worker) Track(id ID, in *packet.Info, frame []byte, now int64) (r packet.Reason, reopened bool) {
	t := w.t
	s := t.session(id.Session())
	timers := t.tracker.Load()
	c, r := s.track(timers, id.Dir(), in, frame)
	t.recheck(id.Session(), timers)
	if c == 0 {
		if e := t.Entry(id); e.Flags()&Settled == 0 && s.settled(id.Dir()) {
			e.setFlag(Settled, true)
		}
		return r, false
	}
	if c&sessionReopened != 0 {
		w.end(id.Session(), endOf(s.state()), now)
		return packet.None, true
	}
	t.stateChanged(id.Session(), c, now)
	switch {
	case c&sessionRefused != 0 && id.Dir() == Reply:
		w.tellOfMember(t.cfg.Refused, id, now)
	case c&sessionAnswered != 0:
		w.tellOfMember(t.cfg.Answered, id, now)
	}
	return r, false
}

// tellOfMember tells whoever listens, if anybody, what the member of a session has done.
func (w *Worker) tellOfMember(who func(int, Binding, int64), id ID, now int64) {
	if who == nil {
		return
	}
	if b := w.t.Binding(id); b.Member != 0 {
		who(w.number, b, now)
	}
}

// stateChanged brings the table's view of a session up to date.
func (t *Table) stateChanged(n uint32, c change, now int64) {
	s := t.session(n)
	if c&timeoutShortened != 0 {
		t.lowerDeadline(n, t.tickOf(now+s.timeout(t.tracker.Load())))
	}
	for d := range Dir(2) {
		if e := t.Entry(ID(n<<1) | ID(d)); e.Flags()&Settled == 0 && s.settled(d) {
			e.setFlag(Settled, true)
		}
	}
	if c&classChanged == 0 {
		return
	}
	position, reserved := uint64(0), noQueue
	for {
		old := s.control()
		// Control is read before the state: if the state moves on, whoever moved
		// it changes control, and the swap below fails.
		cls := s.class()
		if p := old.phase(); old.class() == cls || p != phaseLive && p != phaseStarting {
			return
		}
		q := queueOf(cls, old.family())
		if q != noQueue && q != reserved {
			position, reserved = t.queues[q].reserve(), q
		}
		if s.swapControl(old, old.withClass(cls).withLink(uint32(position))) {
			t.census.move(old.family(), old.class(), cls)
			if q != noQueue {
				t.queues[q].put(position, n)
			}
			if old.family() == FamilyTCP {
				t.recharge(n, old.class(), cls)
			}
			return
		}
	}
}

// End ends a session: its keys are removed at once, its number and its record
// follow when nobody can hold its IDs any more. It reports false if the
// session is not live, for instance because another worker was first.
func (w *Worker) End(id ID, why EndReason, now int64) bool { return w.end(id.Session(), why, now) }

func (w *Worker) end(n uint32, why EndReason, now int64) bool {
	t := w.t
	t.touchSession(n)
	for {
		c := t.session(n).control()
		if c.phase() != phaseLive {
			return false
		}
		if w.endFrom(n, c, why, now) {
			return true
		}
	}
}

// endFrom ends a session that is live, unless c is no longer its control word.
func (w *Worker) endFrom(n uint32, c control, why EndReason, now int64) bool {
	t := w.t
	s := t.session(n)
	if !s.swapControl(c, c.withPhase(phaseEnded).withReason(why)) {
		return false
	}
	id := ID(n << 1)
	original, reply := t.Entry(id), t.Entry(id|1)
	hashes := [2]uint64{t.Hash(&original.Key), t.Hash(&reply.Key)}
	t.index.touch(&hashes)
	relaxed.Store(t.deadline(n), 0)
	t.index.Remove(hashes[Original], uint32(id))
	if original.Key != reply.Key {
		t.index.Remove(hashes[Reply], uint32(id|1))
	}
	caps := s.caps()
	if caps != [2]uint16{} && c.family() == FamilyTCP {
		t.delist(n, caps)
	}
	original.aux.Store(uint64(now) &^ listed)
	t.dismiss(&original.Key, c.class(), c.family(), caps)
	relaxed.Add(&w.ended[why], 1)
	w.retire(n)
	return true
}

// touchSession loads all lines of a session at once, before atomic operations
// make each store wait for its own: see LookupVector.
func (t *Table) touchSession(n uint32) {
	id := ID(n << 1)
	t.Entry(id).touch()
	t.Entry(id | 1).touch()
	t.session(n).control()
	atomic.LoadUint32(t.deadline(n))
}
