package node

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/pick"
	"github.com/sluice-net/sluice/lb/service"
)

// LBMemberViews are the members of pools, in order of the pools' names; one that is in several pools is listed once, in the first.
// Names of a filter may also be addresses, and ADDRESS:PORT; several members may have the same.
func (n *Node) LBMemberViews(f *api.Filter) (iter.Seq[api.LBMemberView], error) {
	s, err := n.look(f)
	if err := errors.Join(err, mustBe(f, api.MemberState("").Values())); err != nil {
		return nil, err
	}
	names := s.services()
	if err := errors.Join(names.mustHaveVIP(f), names.mustHaveService(f), names.mustHavePool(f), names.mustHaveMembers(f.Names)); err != nil {
		return nil, err
	}
	look := n.lookAtServices(s)
	look.locate(s)
	users := look.users()
	return func(yield func(api.LBMemberView) bool) {
		for _, p := range names.config.Pools {
			for i, m := range p.Members {
				at := names.members[m.ID]
				if at.pools[0] != p || !wantsMember(f, at, users) {
					continue
				}
				v := look.memberView(p, i, at)
				if f.MatchState(string(v.State)) && (f.Port == "" || v.At == f.Port) && !yield(v) {
					return
				}
			}
		}
	}, nil
}

// mustHaveMembers is an error for each name that no member has.
func (x *ServiceNames) mustHaveMembers(wanted []string) error {
	var errs []error
	for _, name := range wanted {
		errs = append(errs, x.mustHaveMember(&api.Filter{Member: name}))
	}
	return errors.Join(errs...)
}

// wantsMember looks at what a filter says of a member's name, address, pools and services.
func wantsMember(f *api.Filter, at *placedMember, users map[*service.Pool]poolUsers) bool {
	if len(f.Names) > 0 && !slices.ContainsFunc(f.Names, func(name string) bool { return isMember(at.Member, name) }) {
		return false
	}
	if !f.MatchAddress(at.Address.Netip()) || f.L4Port != 0 && f.L4Port != at.Port {
		return false
	}
	if f.Pool != "" && !slices.ContainsFunc(at.pools, func(p *service.Pool) bool { return isOf(p.Name, &p.Origin, f.Pool) }) {
		return false
	}
	return f.Service == "" && !f.VIP.IsValid() || slices.ContainsFunc(at.pools, func(p *service.Pool) bool {
		return slices.ContainsFunc(users[p].servers, func(x *service.Server) bool {
			return isOf(x.Name, &x.Origin, f.Service) && (!f.VIP.IsValid() || hasVIP(x, f.VIP))
		})
	})
}

// scopedAddress is an address in an address space.
type scopedAddress struct {
	scope uint32
	ip    netip.Addr
}

// locate finds out which ports of the switch have which addresses, and in which address space pools are.
func (l *servicesLook) locate(s *shown) {
	m := s.model
	l.at, l.scope = make(map[scopedAddress]string, len(m.Ports)), make(map[*service.Pool]uint32, len(l.names.config.Pools))
	for _, p := range m.Ports {
		for _, a := range p.Addresses {
			if p.Segment >= 0 && a.IP.IsValid() {
				l.at[scopedAddress{m.Segments[p.Segment].Scope, a.IP}] = p.Name
			}
		}
	}
	for _, x := range l.names.config.Servers {
		for _, p := range append(poolsOf(x), sorryPoolsOf(x)...) {
			l.scope[p] = x.Frontends[0].Scope
		}
	}
}

// memberView makes the view of member i of a pool.
func (l *servicesLook) memberView(p *service.Pool, i int, placed *placedMember) api.LBMemberView {
	m := p.Members[i]
	v := api.LBMemberView{
		Name: memberName(m), ID: m.ID, Pool: p.Name, Origin: originRef(&p.Origin),
		Address: m.Address.Netip(), Port: m.Port, At: l.at[scopedAddress{l.scope[p], m.Address.Netip()}],
		Weight: m.Weight, Backup: m.Backup, Local: m.Local, AdminState: m.Admin.String(), AdminReason: m.Why, MaxConnections: m.MaxConnections,
	}
	if len(placed.pools) > 1 {
		for _, other := range placed.pools {
			v.Pools = append(v.Pools, other.Name)
		}
	}
	if v.MaxConnections == 0 {
		v.MaxConnections = p.MaxConnections
	}
	h, since := l.health(p, m)
	v.Health = h.String()
	if since != 0 {
		v.Since, v.For = moment(since), seconds(dataplane.Now()-since)
	}
	known := l.work.changes(m.ID)
	for _, change := range known.Changes {
		v.History = append(v.History, api.HealthChange{
			Time: change.At.UTC().Truncate(time.Millisecond), Health: change.Health.String(), Reason: change.Reason,
		})
	}
	at := &l.pool(p).standings[i]
	v.Eligible = at.Eligible
	v.State = memberState(m, h)
	v.Reason = l.memberReason(p, m, h, at, &known)

	c := l.memberCounts(m.ID)
	live := l.live.members[m.ID]
	v.Connections = api.ConnectionCounts{Active: c.Active, Total: c.Total, Refused: c.Refused, Rate: live.rate()}
	v.Original, v.Reply = traffics(&c.Packets, &c.Bytes, &live)
	return v
}

// moment is a time of the workers' clock as people have it.
func moment(ns int64) time.Time {
	return time.Unix(0, dataplane.WallClock(ns)).UTC().Truncate(time.Millisecond)
}

// memberState is what is wanted of a member, and what monitors say of it, in a word.
func memberState(m *service.Member, h member.Health) api.MemberState {
	switch m.Admin {
	case service.Disabled:
		return api.MemberDisabled
	case service.Draining:
		return api.MemberDraining
	}
	return api.MemberState(h.String())
}

// memberReason says why a member is given no connection, or how it comes that it is; empty if there is nothing to say.
func (l *servicesLook) memberReason(p *service.Pool, m *service.Member, h member.Health, at *pick.Standing, known *health.History) string {
	switch {
	case m.Admin == service.Disabled:
		return withReason("disabled: its sessions are ended", m.Why)
	case h == member.Failing:
		return l.failing(m.ID)
	case !h.Serves():
		return unhealthy(h, known)
	case m.Admin == service.Draining && at.Eligible:
		return withReason("draining, and taken as nobody else is left", m.Why)
	case m.Admin == service.Draining:
		return withReason("draining: its sessions live on, and it gets no others", m.Why)
	case m.Backup && at.Eligible:
		return strings.TrimSuffix("a backup: fewer others are up than have to be; "+at.Why, "; ")
	case m.Backup:
		return fmt.Sprintf("a backup: it is asked if fewer than %d others are up", max(1, p.MinActive))
	}
	return at.Why
}

// failing says for how long a member is left alone to which connections failed.
func (l *servicesLook) failing(id uint32) string {
	text := "connections to it failed"
	if at := l.work.member(id); at != nil {
		if left := at.FailingUntil() - dataplane.Now(); left > 0 {
			text += fmt.Sprintf(": it is tried again in %.0f s", math.Ceil(seconds(left)))
		}
	}
	return text
}

func withReason(text, why string) string {
	if why == "" {
		return text
	}
	return text + " (" + why + ")"
}

// unhealthy says what a member that does not serve has done, as far as it is known.
func unhealthy(h member.Health, known *health.History) string {
	if n := len(known.Changes); n > 0 && known.Changes[n-1].Health == h && known.Changes[n-1].Reason != "" {
		return known.Changes[n-1].Reason
	}
	for i := range known.Monitors {
		if m := &known.Monitors[i]; !m.Health.Serves() && !m.Last.Good && m.Last.Reason != "" {
			return m.Type.String() + ": " + m.Last.Reason
		}
	}
	if h == member.Unknown {
		return "no monitor has passed so far"
	}
	return "its monitors fail"
}
