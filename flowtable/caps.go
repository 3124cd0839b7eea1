package flowtable

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// Caps are what a group of ports may have.
type Caps struct {
	Limits // sessions at a time that begin or end at the group's ports; 0 is no limit

	// SYNCache: when TCPHalfOpen is reached, the group's half-open session that was
	// created first makes room for the new one, which is never refused: what a flood
	// leaves behind goes in order, and a handshake has as long as the flood takes
	// to fill the cap (10000 at 500000 per second: 20 ms). Otherwise the new one is
	// refused. Sessions that begin while it is not set do not make room later.
	SYNCache bool
}

// MaxGroup is the largest number of a group.
const MaxGroup = math.MaxUint16

// groups are the groups of Terms.Caps. Their memory, 64 bytes each, is taken in
// chunks as SetCaps names them, 4 MiB at most, and stays.
type groups struct {
	mu     sync.Mutex // SetCaps
	chunks [(MaxGroup + 1) / groupChunk]atomic.Pointer[[groupChunk]group]
}

const groupChunk = 256

// group is what one number of Terms.Caps stands for: one cache line.
//
// Its half-open TCP sessions are a list, in the order in which they were created:
// links in the words aux of their entries, the original's for Caps[0] and the
// reply's for Caps[1]. One can leave from the middle, so the list holds
// nothing but sessions to be had, however long it is and whatever comes and goes:
// a ring of numbers, as the table's own queues are, would have to be as long as
// all that a flood and honest clients start within a timeout. The lock that
// this takes is held for three cache lines.
type group struct {
	taken      atomic.Uint32 // lock of the list
	head, tail uint32        // session numbers, 0 is none
	synCache   atomic.Bool

	count [numFamilies]atomic.Int32 // TCP: half open; others: all
	most  [numFamilies]atomic.Int32 // 0 is no limit

	_ [lineSize - 48]byte
}

// of returns a group; nil if there is none of this number.
func (g *groups) of(number uint16) *group {
	if c := g.chunks[number/groupChunk].Load(); number != 0 && c != nil {
		return &c[number%groupChunk]
	}
	return nil
}

// known returns the numbers of caps that there are groups for, each once.
func (g *groups) known(caps [2]uint16) [2]uint16 {
	for i, number := range caps {
		if g.of(number) == nil {
			caps[i] = 0
		}
	}
	if caps[0] == caps[1] {
		caps[1] = 0
	}
	return caps
}

// SetCaps sets the caps of a group, 1 to MaxGroup, while workers run. What is over a
// new cap stays until it ends, or makes room. Sessions count against groups that
// SetCaps had named before they began.
func (t *Table) SetCaps(number uint16, c Caps) error {
	var faults []error
	if number == 0 {
		faults = append(faults, errors.New("group 0 stands for no caps: number groups from 1"))
	}
	most := c.Limits.byFamily()
	for f, n := range most {
		if n < 0 || n > MaxSessions {
			faults = append(faults, fmt.Errorf("caps of group %d: %s: %d is not in 0 to %d", number, Family(f), n, MaxSessions))
		}
	}
	if faults != nil {
		return errors.Join(faults...)
	}
	t.groups.mu.Lock()
	defer t.groups.mu.Unlock()
	chunk := &t.groups.chunks[number/groupChunk]
	if chunk.Load() == nil {
		chunk.Store(new([groupChunk]group))
	}
	g := &chunk.Load()[number%groupChunk]
	for f, n := range most {
		g.most[f].Store(int32(n))
	}
	g.synCache.Store(c.SYNCache)
	return nil
}

// byFamily returns the limits by Family.
func (l *Limits) byFamily() [numFamilies]int {
	return [numFamilies]int{FamilyTCP: l.TCPHalfOpen, FamilyUDP: l.UDP, FamilyICMP: l.ICMP, FamilyOther: l.Other}
}

// Charged returns how many sessions count against the limits of a group.
func (t *Table) Charged(number uint16) (l Limits) {
	if g := t.groups.of(number); g != nil {
		l = Limits{
			TCPHalfOpen: int(g.count[FamilyTCP].Load()), UDP: int(g.count[FamilyUDP].Load()),
			ICMP: int(g.count[FamilyICMP].Load()), Other: int(g.count[FamilyOther].Load()),
		}
	}
	return l
}

// counts reports whether a session counts against a group's limit of its family.
func (c class) counts(f Family) bool { return f != FamilyTCP || c == classEmbryonic }

// charge counts a session that is to begin against its groups, or reports that one
// of them has no place. As in admit, counts are raised before they are compared.
func (w *Worker) charge(caps [2]uint16, c class, f Family, now int64) bool {
	if !c.counts(f) {
		return true
	}
	for _, number := range caps {
		if g := w.t.groups.of(number); g != nil {
			g.count[f].Add(1)
		}
	}
	for _, number := range caps {
		if g := w.t.groups.of(number); g != nil && g.full(f) && !(f == FamilyTCP && w.purge(g, number, now)) {
			w.t.discharge(caps, c, f)
			return false
		}
	}
	return true
}

// full reports whether more sessions count than may.
func (g *group) full(f Family) bool {
	most := g.most[f].Load()
	return most != 0 && g.count[f].Load() > most
}

// purgeAtOnce: if the cap was lowered, each new session takes the place of two.
const purgeAtOnce = 2

// purge ends the group's half-open sessions that were created first, until there is
// room; false if there is none to end.
func (w *Worker) purge(g *group, number uint16, now int64) bool {
	if !g.synCache.Load() {
		return false
	}
	ended := 0
	for g.full(FamilyTCP) && ended < purgeAtOnce {
		n, c := w.t.pop(g, number)
		if n == 0 {
			break
		}
		// One that is established or ended by now counts no more, or is about to.
		if c.phase() == phaseLive && c.class() == classEmbryonic && w.endFrom(n, c, EndFlood, now) {
			ended++
		}
	}
	return ended > 0 || !g.full(FamilyTCP)
}

// discharge is the inverse of charge.
func (t *Table) discharge(caps [2]uint16, c class, f Family) {
	if !c.counts(f) {
		return
	}
	for _, number := range caps {
		if g := t.groups.of(number); g != nil {
			g.count[f].Add(-1)
		}
	}
}

// recharge follows a TCP session from one class to another.
func (t *Table) recharge(n uint32, from, to class) {
	caps := t.session(n).caps()
	if caps == [2]uint16{} || from.counts(FamilyTCP) == to.counts(FamilyTCP) {
		return
	}
	by := int32(-1)
	if to.counts(FamilyTCP) {
		by = 1
	}
	for _, number := range caps {
		if g := t.groups.of(number); g != nil {
			g.count[FamilyTCP].Add(by)
		}
	}
	if by > 0 {
		t.enlist(n, caps)
	} else {
		t.delist(n, caps)
	}
}

// Links of a session in a group's list: next 31..0, previous 62..32.
const (
	listed   = 1 << 63
	prevMask = 1<<31 - 1
)

func makeLinks(prev, next uint32) uint64 { return listed | uint64(prev)<<32 | uint64(next) }

// links returns the word with the links of session n in the list of a group.
func (t *Table) links(n uint32, number uint16) *atomic.Uint64 {
	slot := ID(0)
	if t.session(n).caps()[0] != number {
		slot = 1
	}
	return &t.Entry(ID(n<<1) | slot).aux
}

func (g *group) lock() {
	for spins := 0; !g.taken.CompareAndSwap(0, 1); spins++ {
		relax(spins)
	}
}

func (g *group) unlock() { g.taken.Store(0) }

// enlist puts a session at the end of its groups' lists. Whoever takes a session out
// of its class, or ends it, does so before it calls delist: so either that is
// seen here, or the session is listed before delist looks.
func (t *Table) enlist(n uint32, caps [2]uint16) {
	for _, number := range caps {
		g := t.groups.of(number)
		if g == nil || !g.synCache.Load() {
			continue
		}
		g.lock()
		own := t.links(n, number)
		if c := t.session(n).control(); c.phase() == phaseLive && c.class() == classEmbryonic && own.Load()&listed == 0 {
			own.Store(makeLinks(g.tail, 0))
			if g.tail != 0 {
				last := t.links(g.tail, number)
				last.Store(last.Load()&^math.MaxUint32 | uint64(n))
			} else {
				g.head = n
			}
			g.tail = n
		}
		g.unlock()
	}
}

// delist takes a session out of its groups' lists.
func (t *Table) delist(n uint32, caps [2]uint16) {
	for _, number := range caps {
		if g := t.groups.of(number); g != nil {
			g.lock()
			t.unlink(g, n, number)
			g.unlock()
		}
	}
}

// unlink takes a session out of a list, if it is in it. The list is locked.
func (t *Table) unlink(g *group, n uint32, number uint16) {
	own := t.links(n, number)
	l := own.Load()
	if l&listed == 0 {
		return
	}
	own.Store(0)
	prev, next := uint32(l>>32)&prevMask, uint32(l)
	if prev != 0 {
		p := t.links(prev, number)
		p.Store(p.Load()&^math.MaxUint32 | uint64(next))
	} else {
		g.head = next
	}
	if next != 0 {
		p := t.links(next, number)
		p.Store(listed | uint64(prev)<<32 | p.Load()&math.MaxUint32)
	} else {
		g.tail = prev
	}
}

// pop takes the first session out of a list and returns it with its control word, or 0.
func (t *Table) pop(g *group, number uint16) (n uint32, c control) {
	g.lock()
	if n = g.head; n != 0 {
		c = t.session(n).control()
		t.unlink(g, n, number)
	}
	g.unlock()
	return n, c
}
