package node

import (
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/nat"
	"github.com/sluice-net/sluice/lb/pick"
	"github.com/sluice-net/sluice/lb/service"
)

// servicesOf are a model's; one without any if it has none.
func servicesOf(m *control.Model) *service.Config {
	if m.Services == nil {
		return &service.Config{}
	}
	return m.Services
}

// servicesAtWork is what is known of services at work, by their numbers. Without parts, it knows nothing.
type servicesAtWork struct {
	state   *lb.State
	history func(memberID uint32) (health.History, bool)
}

// ShowHealth has views of members tell what monitors have found out about them. The function is
// called by whoever asks for views, and never by a worker.
func (n *Node) ShowHealth(history func(memberID uint32) (health.History, bool)) {
	n.history.Store(&history)
}

func (n *Node) servicesAtWork() servicesAtWork {
	w := servicesAtWork{state: n.services}
	if f := n.history.Load(); f != nil {
		w.history = *f
	}
	return w
}

// member returns what is known of a member; nil is nothing.
func (w *servicesAtWork) member(id uint32) *member.Member {
	if w.state == nil {
		return nil
	}
	return w.state.Member(id)
}

// pool returns what a pool does with its members now.
func (w *servicesAtWork) pool(id uint32) pick.State {
	if w.state == nil {
		return pick.State{}
	}
	p := w.state.Pool(id)
	if p == nil {
		return pick.State{}
	}
	return p.State(dataplane.Now())
}

func (w *servicesAtWork) server(id uint32) lb.ServerCounts {
	if w.state == nil {
		return lb.ServerCounts{}
	}
	return w.state.Server(id)
}

func (w *servicesAtWork) ruleSessions(id uint32) uint64 {
	if w.state == nil {
		return 0
	}
	return w.state.RuleSessions(id)
}

// changes are what monitors have found out about a member.
func (w *servicesAtWork) changes(id uint32) (h health.History) {
	if w.history != nil {
		h, _ = w.history(id)
	}
	return h
}

// sources are how much of pools that sources are translated to is in use, by their numbers.
func (w *servicesAtWork) sources() map[uint32]*nat.PoolStats {
	if w.state == nil {
		return nil
	}
	all := w.state.Sources()
	byID := make(map[uint32]*nat.PoolStats, len(all))
	for i := range all {
		byID[all[i].Pool.ID] = &all[i]
	}
	return byID
}
