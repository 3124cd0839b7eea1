package lb

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/dataplane/reply"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/affinity"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/pick"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// StateConfig sizes a State.
type StateConfig struct {
	Workers int    // of the engine
	Seed    uint64 // of hashes and of ports

	Table *flowtable.Table // of the engine

	// Errors bounds what is sent to clients that get no member, together with whoever else uses it.
	Errors *answer.Limit

	// Probed: somebody reports what monitors say, see State.Report; members with monitors are down until then.
	// Otherwise they are up.
	Probed bool

	Clients int // with affinity, at a time; 0 is defaultClients
}

const defaultClients = 1 << 16

// State is what outlives a configuration: members and servers with their counts, addresses and ports that are given
// out, clients' affinity. Compile, Adopt and Report may be called by any goroutine; workers use the rest.
type State struct {
	config   StateConfig
	workers  []workerState
	rejector *reply.Rejector
	resets   *reply.Resets
	sweep    dataplane.Sweep
	passive  passive

	members  directory[member.Member]
	servers  directory[Counts]
	rules    directory[RuleCounts]
	sources  *nat.Sources
	affinity *affinity.Table

	current atomic.Pointer[Balancer] // last one adopted

	mu       sync.Mutex
	pools    map[uint32]*poolAtWork // of the Balancer adopted last
	holders  map[uint32]*holding    // of each member in pools
	automaps map[packet.Zone]*service.SourcePool
	retired  []*member.Member // in no pool any more, with sessions
	listed   []uint32         // servers that there are
	gone     []uint32         // servers that are no more, with sessions
}

// holding says which pools a member is in.
type holding struct {
	*member.Member
	pools []*poolAtWork
	out   bool // connections to it have failed: see passive
}

// poolAtWork is a pool of a configuration with what lives on in the next.
type poolAtWork struct {
	spec    *service.Pool
	choice  *pick.Pool
	members []*member.Member // parallel to spec.Members
}

func (p *poolAtWork) set(spec *service.Pool, members []*member.Member) {
	p.spec, p.members = spec, members
	p.choice.Set(spec, members)
}

// limit returns how many connections a member of the pool may have; 0 is no limit.
func (p *poolAtWork) limit(m *member.Member) uint32 {
	if n := m.Spec().MaxConnections; n != 0 {
		return n
	}
	return p.spec.MaxConnections
}

// workerState belongs to a worker, by its number.
type workerState struct {
	_      [64]byte
	choice choice
	_      [64]byte
}

// NewState returns a State in which nothing has happened.
func NewState(c StateConfig) *State {
	if c.Clients == 0 {
		c.Clients = defaultClients
	}
	s := &State{
		config: c, workers: make([]workerState, c.Workers),
		rejector: reply.NewRejector(c.Errors), resets: reply.NewResets(c.Workers),
		sources: nat.NewSources(c.Table, c.Seed), affinity: affinity.New(c.Clients, c.Seed),
		pools: map[uint32]*poolAtWork{}, holders: map[uint32]*holding{},
		automaps: map[packet.Zone]*service.SourcePool{},
	}
	s.passive.wake = make(chan struct{}, 1)
	s.passive.due.Store(math.MaxInt64)
	s.sweep.Match, s.sweep.Why = s.unwanted, flowtable.EndMember
	return s
}

// Tick does what time demands: it is for the end of each of a worker's turns.
func (s *State) Tick(w *dataplane.Worker, now int64) {
	s.sweep.Turn(w, now)
	s.passive.tick(s, w, now)
	s.resets.Tick(w, now)
}

// Report says what monitors have found out about a member, at now on the workers' clock. Sessions of a member that is
// down end if they can begin anew elsewhere.
func (s *State) Report(id uint32, h member.Health, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.holders[id]
	if m == nil {
		return // it was removed meanwhile
	}
	before, _ := m.Health()
	m.SetHealth(h, now)
	if before == h {
		return
	}
	for _, p := range m.pools {
		p.choice.Refresh()
	}
	if !h.Serves() {
		s.sweep.Begin()
	}
}

// unwanted reports whether a session is to end because of what became of its member: it is gone, disabled or down,
// or its server is gone. A TCP connection that is established is left to its ends unless the
// member is disabled; all others begin anew with another member at their next packet.
func (s *State) unwanted(r *flowtable.Record) bool {
	if r.Binding.Service == 0 {
		return false
	}
	m, server := s.members.get(MemberID(&r.Binding)), s.servers.get(r.Binding.Service)
	if m != nil && server != nil && !m.Gone() && !server.gone.Load() {
		if m.Spec().Admin == service.Disabled {
			return true
		}
		if health, _ := m.Health(); health.Serves() {
			return false
		}
	}
	return !established(r.State)
}

// established reports whether both ends of a connection know of it, so that it could not begin anew unnoticed.
func established(s flowtable.State) bool {
	return s >= flowtable.StateTCPEstablished && s <= flowtable.StateTCPClosed ||
		s >= flowtable.StateSCTPEstablished && s <= flowtable.StateSCTPClosed
}

// MemberID returns the number of a session's member; 0 if it has none.
func MemberID(b *flowtable.Binding) uint32 { return b.Member & service.MaxID }

// WhyMember returns why a session has its member.
func WhyMember(b *flowtable.Binding) member.Why { return member.Why(b.Member >> idBits) }
