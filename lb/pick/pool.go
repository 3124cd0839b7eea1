// Package pick chooses members of pools for new connections.
package pick

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// Pool chooses among the members of a service.Pool, for as long as its ID is in use.
//
//	Set, Refresh ──▶ selection ──▶ atomic pointer ──▶ Pick, Accepts
//	one goroutine    immutable                        any number of workers
//
// Workers take no lock and allocate nothing. What they choose is a function of the
// order of calls: with one worker after the other, the same calls give the same members.
//
// Turns of a new pool begin at the last member, and go from higher addresses to lower
// ones. A change doesn't begin anew: it goes on with whoever would have been next.
type Pool struct {
	seed uint64

	selection atomic.Pointer[selection]

	mu      sync.Mutex // of those who change and who look; never taken by workers
	spec    *service.Pool
	members []*member.Member
	ring    []uint32         // IDs of members, in the order of turns
	ramps   map[uint32]*ramp // of those who are up, by member's ID; nil without slow start

	_     [64]byte
	rolls atomic.Uint64 // how often it was asked whether slow start holds a member back
}

// New returns a pool without members. The seed is for what looks random.
func New(seed uint64) *Pool { return &Pool{seed: seed} }

// Set says what the pool is, and who its members are: those of spec.Members, in the same order. What
// counts of a member is its Spec, which is set before. The slice is the pool's from then on.
func (p *Pool) Set(spec *service.Pool, members []*member.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.members = spec, members
	p.rebuild()
}

// Refresh takes note that the health or the spec of a member has changed.
func (p *Pool) Refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spec != nil {
		p.rebuild()
	}
}

// Query is what a choice depends on.
type Query struct {
	Source uint64 // hash of the client's address
	Tuple  uint64 // hash of addresses, protocol and ports
	Now    int64  // ns
}

// Pick returns a member for a connection, with its place taken (member.Take), and why
// it is this one. If there is none, m is nil and why is NobodyUp or AllFull.
//
// It looks at each member at most a few times, also if all are full.
func (p *Pool) Pick(q *Query) (m *member.Member, why member.Why) {
	s := p.selection.Load()
	if s == nil || len(s.entries) == 0 {
		return nil, member.NobodyUp
	}
	if s.unsettled.Load() {
		s.settle(q.Now)
	}
	var e *entry
	switch s.algorithm {
	case service.RoundRobin, service.WeightedRoundRobin:
		e = p.inTurn(s, q)
	case service.LeastConnection, service.WeightedLeastConnection:
		e = p.least(s, q)
	case service.SourceHash:
		e = hashed(s, q, q.Source)
	default:
		e = hashed(s, q, q.Tuple)
	}
	if e == nil {
		return nil, member.AllFull
	}
	return e.m, e.why
}

// Accepts reports whether a connection whose client has had m before may go there: m is a
// member that is up, and enabled or draining, for draining members keep their clients. The
// place is not taken.
func (p *Pool) Accepts(m *member.Member) bool {
	s := p.selection.Load()
	if s == nil || m == nil {
		return false
	}
	if _, found := slices.BinarySearch(s.ids, m.ID); !found {
		return false
	}
	health, _ := m.Health()
	return health.Serves() && m.Spec().Admin != service.Disabled
}
