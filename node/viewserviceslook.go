package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/pick"
	"github.com/sluice-net/sluice/lb/service"
)

// servicesLook is one look at services: what they are, how their members do, and what sessions there are.
type servicesLook struct {
	names *ServiceNames
	work  servicesAtWork
	live  boundSessions
	pools map[*service.Pool]*poolState
	at    map[scopedAddress]string // ports of the switch by their addresses
	scope map[*service.Pool]uint32
}

// poolState is how a pool does.
type poolState struct {
	state  api.ServiceState
	reason string

	standings           []pick.Standing // of the members, in the pool's order
	up                  int             // that are eligible
	backups, lastResort bool            // these take part
}

// lookAtServices looks at services that are in force, and at all sessions.
func (n *Node) lookAtServices(s *shown) *servicesLook {
	return &servicesLook{
		names: s.services(), work: n.servicesAtWork(), live: n.boundSessions(), pools: map[*service.Pool]*poolState{},
	}
}

// health is what monitors say of a member, and since when on the workers' clock.
func (l *servicesLook) health(p *service.Pool, m *service.Member) (h member.Health, since int64) {
	if at := l.work.member(m.ID); at != nil {
		return at.Health()
	}
	if len(p.Monitors) > 0 {
		return member.Unknown, 0
	}
	return member.Unmonitored, 0
}

func (l *servicesLook) memberCounts(id uint32) member.Counts {
	if at := l.work.member(id); at != nil {
		return at.Counts()
	}
	return member.Counts{}
}

// pool says how a pool does.
func (l *servicesLook) pool(p *service.Pool) *poolState {
	if known := l.pools[p]; known != nil {
		return known
	}
	work := l.work.pool(p.ID)
	x := &poolState{standings: make([]pick.Standing, len(p.Members)), up: work.Eligible, backups: work.Backups, lastResort: work.LastResort}
	l.pools[p] = x
	enabled, takes := 0, 0 // members but backups: that should take connections, and that do
	for i, m := range p.Members {
		x.standings[i] = standing(&work, i, m.ID)
		if m.Admin == service.Enabled && !m.Backup {
			enabled++
			if x.standings[i].Eligible {
				takes++
			}
		}
	}
	switch {
	case len(p.Members) == 0:
		x.state, x.reason = api.ServiceDown, "it has no members"
	case x.up == 0 && enabled == 0:
		x.state, x.reason = api.ServiceDown, fmt.Sprintf("none of %d members is enabled", len(p.Members))
	case x.up == 0:
		x.state, x.reason = api.ServiceDown, fmt.Sprintf("none of %d members is up", enabled)
	case x.lastResort:
		x.state, x.reason = api.ServicePartiallyUp, "only members that are draining are left"
	case x.backups:
		x.state, x.reason = api.ServicePartiallyUp, fmt.Sprintf("%d of %d members are up, and %d have to be: backups take part", takes, enabled, max(1, p.MinActive))
	case takes < enabled:
		x.state, x.reason = api.ServicePartiallyUp, fmt.Sprintf("%d of %d members are up", takes, enabled)
	default:
		x.state = api.ServiceUp
	}
	return x
}

// standing is what a pool at work does with the member that its configuration has at a place. A configuration may
// come while both are looked at: a member that is in one of them only takes no connections yet, or any more.
func standing(work *pick.State, at int, id uint32) pick.Standing {
	is := func(s pick.Standing) bool { return s.Member.ID == id }
	if at >= len(work.Members) || !is(work.Members[at]) {
		at = slices.IndexFunc(work.Members, is)
	}
	if at < 0 {
		return pick.Standing{Why: "not at work"}
	}
	return work.Members[at]
}

// boundSessions are sums over live sessions, by the numbers that they are bound to.
type boundSessions struct {
	servers, members map[uint32]liveSessions
	rules            map[uint32]int // sessions by what has translated them
}

// liveSessions are sums over live sessions.
type liveSessions struct {
	packets, bytes [2]uint64
	young          int // that began within rateWindow
}

// rateWindow is over how long rates are measured: sessions stay in the table for longer than that, also short ones, as
// their state is kept for a while after their end.
const rateWindow = 5 * time.Second

func (l liveSessions) rate() float64 { return float64(l.young) / rateWindow.Seconds() }

func (l *liveSessions) add(r *flowtable.Record, now int64) {
	for d := range r.Packets {
		l.packets[d] += r.Packets[d]
		l.bytes[d] += r.Bytes[d]
	}
	if now-r.Start < int64(rateWindow) {
		l.young++
	}
}

// boundSessions looks at all live sessions. Workers go on meanwhile: a session that ends
// while they are summed up is in these sums, or in those of ended ones, or for a moment in both.
func (n *Node) boundSessions() boundSessions {
	b := boundSessions{servers: map[uint32]liveSessions{}, members: map[uint32]liveSessions{}, rules: map[uint32]int{}}
	add := func(sums map[uint32]liveSessions, id uint32, r *flowtable.Record, now int64) {
		if id != 0 {
			sum := sums[id]
			sum.add(r, now)
			sums[id] = sum
		}
	}
	now := dataplane.Now()
	for l := range n.allSessions() {
		if l.Binding == (flowtable.Binding{}) {
			continue
		}
		add(b.servers, l.Binding.Service, &l.Record, now)
		add(b.members, lb.MemberID(&l.Binding), &l.Record, now)
		for _, id := range []uint32{l.Binding.Rule, l.Binding.Source} {
			if id != 0 {
				b.rules[id]++
			}
		}
	}
	return b
}
