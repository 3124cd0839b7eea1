// Package member is what is known of the servers behind virtual ones while a node runs:
// whether they are up, why, and how much they do. What they are is in lb/service.
package member

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/lb/service"
)

// Member is a server at work. It lives as long as its ID is in use; pools and sessions refer to
// it by pointer, and by ID.
type Member struct {
	ID uint32

	spec   atomic.Pointer[service.Member]
	health atomic.Uint32
	gone   atomic.Bool
	since  atomic.Int64 // ns, of the last change to or from Up; 0: never
	outage outage

	_ [64]byte // what workers write is not on the line of what they read

	active  atomic.Int64 // sessions at a time
	total   atomic.Uint64
	refused atomic.Uint64 // for want of room

	// Of sessions that have ended, by flowtable.Dir.
	packets, bytes [2]atomic.Uint64
}

// New returns a member without sessions.
func New(id uint32, spec *service.Member) *Member {
	m := &Member{ID: id}
	m.spec.Store(spec)
	return m
}

// Health is what monitors say of a member, and what became of connections to it.
type Health uint32

// The states. Unmonitored members count as up; those that no probe has answered for yet as down.
const (
	Unmonitored Health = iota
	Unknown            // no probe has been answered yet, nor enough failed
	Up
	Down
	Failing // monitors have nothing against it, or there are none; connections to it failed: see Failed
)

var healths = [...]string{Unmonitored: "UNMONITORED", Unknown: "UNKNOWN", Up: "UP", Down: "DOWN", Failing: "FAILING"}

// String returns the name that views carry.
func (h Health) String() string {
	if int(h) < len(healths) {
		return healths[h]
	}
	return "UNKNOWN"
}

// Serves reports whether a member in this state takes connections.
func (h Health) Serves() bool { return h == Unmonitored || h == Up }

// Spec returns what the configuration says of the member.
func (m *Member) Spec() *service.Member { return m.spec.Load() }

// SetSpec makes s what the configuration says.
func (m *Member) SetSpec(s *service.Member) { m.spec.Store(s) }

// Gone reports whether no pool has the member any more: sessions may.
func (m *Member) Gone() bool { return m.gone.Load() }

// SetGone notes whether any pool has the member.
func (m *Member) SetGone(gone bool) { m.gone.Store(gone) }

// Health returns how it is with the member, and since when, ns of the workers' clock: what the monitors say if that is
// bad, else whether connections to it have failed.
func (m *Member) Health() (h Health, since int64) {
	h, since = Health(m.health.Load()), m.since.Load()
	if until := m.outage.until.Load(); until != 0 && h.Serves() {
		return Failing, m.outage.since.Load()
	}
	return h, since
}

// SetHealth notes what the monitors say. It is for one goroutine at a time.
func (m *Member) SetHealth(h Health, now int64) {
	if Health(m.health.Swap(uint32(h))) != h {
		m.since.Store(now)
	}
}

// Take takes a place for a session, of at most limit; 0 is no limit. It reports false if there is none.
func (m *Member) Take(limit uint32) bool {
	if m.active.Add(1) > int64(limit) && limit != 0 {
		m.active.Add(-1)
		m.refused.Add(1)
		return false
	}
	return true
}

// Leave gives a place back that no session was made for.
func (m *Member) Leave() { m.active.Add(-1) }

// Begun counts a session that has taken its place.
func (m *Member) Begun() { m.total.Add(1) }

// Ended gives back the place of a session and counts what it did, by flowtable.Dir.
func (m *Member) Ended(packets, bytes [2]uint64) {
	m.active.Add(-1)
	for d := range packets {
		m.packets[d].Add(packets[d])
		m.bytes[d].Add(bytes[d])
	}
}

// Active returns the number of sessions that have a place now.
func (m *Member) Active() int64 { return m.active.Load() }

// Counts are what sessions of a member did.
type Counts struct {
	Active         int64  // sessions now
	Total          uint64 // sessions begun
	Refused        uint64 // connections that found no room
	Packets, Bytes [2]uint64
}

// Counts returns the counts; of packets and bytes those of sessions that have ended.
func (m *Member) Counts() Counts {
	c := Counts{Active: m.active.Load(), Total: m.total.Load(), Refused: m.refused.Load()}
	for d := range c.Packets {
		c.Packets[d], c.Bytes[d] = m.packets[d].Load(), m.bytes[d].Load()
	}
	return c
}

// Why says why a session has its member; it is kept with the session.
type Why uint8

// The reasons. The first are the algorithms, by service.Algorithm.
const (
	ByAffinity   Why = 32 + iota // the client's last connection had it
	ByBackup                     // too few members but backups are up
	ByLastResort                 // only members that are draining are left
	BySorry                      // the sorry pool's, for the pool has nobody

	// No session has these: they say why there is no member.
	NobodyUp // none takes connections
	AllFull  // those that do have no place left
)

// Algorithm returns the Why of a choice by an algorithm.
func Algorithm(a service.Algorithm) Why { return Why(a) }

// String returns the word that flows carry.
func (w Why) String() string {
	switch w {
	case ByAffinity:
		return "AFFINITY"
	case ByBackup:
		return "BACKUP"
	case ByLastResort:
		return "LAST_RESORT"
	case BySorry:
		return "SORRY_POOL"
	case NobodyUp:
		return "NOBODY_UP"
	case AllFull:
		return "ALL_FULL"
	}
	return service.Algorithm(w).String()
}
