package dhcp

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
)

// State is what lives through all revisions: when the next advertisements are
// due, how often each port may be answered, and counts. Compile and
// Adopt are for one goroutine at a time; workers call the rest all at once.
type State struct {
	seed   uint64
	limits map[uint16]*dataplane.Limiter // by port number

	revision uint64  // of the Server that was compiled last
	current  *Server // adopted last

	// The timetable of advertisements.
	adopted atomic.Uint64 // revision of the Server in force
	due     atomic.Int64  // when something is to be done; see Tick
	mu      sync.Mutex
	adverts []*timetable // by zone

	counts [numCounts]atomic.Uint64
}

// StateConfig is what a State is made with.
type StateConfig struct {
	Seed uint64 // of the intervals between advertisements
}

// NewState makes a State.
func NewState(c StateConfig) *State {
	return &State{seed: c.Seed, limits: map[uint16]*dataplane.Limiter{}}
}

// Answers to one port: more come from a program that has gone wrong, or wants
// to see the switch at work.
const (
	answersPerSecond = 20
	answersAtOnce    = 40
)

// limit returns the limit of a port's answers, the same for all revisions.
func (s *State) limit(port uint16) *dataplane.Limiter {
	l := s.limits[port]
	if l == nil {
		l = dataplane.NewLimiter(answersPerSecond, answersAtOnce)
		s.limits[port] = l
	}
	return l
}

type count uint8

const (
	countOffers count = iota
	countAcks
	countNaks
	countDeclines
	countReleases
	countAdvertises
	countReplies
	countDeclines6
	countReleases6
	countSolicited
	countPeriodic
	countLimited
	numCounts
)

func (s *State) count(c count) { s.counts[c].Add(1) }

// Stats are counts since the State was made.
type Stats struct {
	Offers, Acks, Naks           uint64 // DHCPv4 messages sent
	Declines, Releases           uint64 // DHCPv4 messages received; a declined address is in use elsewhere
	Advertises, Replies          uint64 // DHCPv6 messages sent
	Declines6, Releases6         uint64 // DHCPv6 messages received
	SolicitedRAs, UnsolicitedRAs uint64 // router advertisements sent; of those to all, one for each port
	Limited                      uint64 // questions not answered since the port asks too often
}

// Stats returns the counts; for any goroutine.
func (s *State) Stats() Stats {
	n := func(c count) uint64 { return s.counts[c].Load() }
	return Stats{
		Offers: n(countOffers), Acks: n(countAcks), Naks: n(countNaks),
		Declines: n(countDeclines), Releases: n(countReleases),
		Advertises: n(countAdvertises), Replies: n(countReplies),
		Declines6: n(countDeclines6), Releases6: n(countReleases6),
		SolicitedRAs: n(countSolicited), UnsolicitedRAs: n(countPeriodic),
		Limited: n(countLimited),
	}
}
