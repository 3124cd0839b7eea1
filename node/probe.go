package node

import (
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// ReportMember says what monitors have found out about a member of a pool; any goroutine.
func (n *Node) ReportMember(id uint32, h member.Health) { n.services.Report(id, h, dataplane.Now()) }

// Monitored are the members of a model that monitors are to look after: of pools that are in use, in the address spaces of
// the servers that they are behind.
func Monitored(m *control.Model) (targets []health.Target) {
	type use struct {
		pool  *service.Pool
		scope uint32
	}
	seen := map[use]bool{}
	for p, scope := range control.PoolsInUse(m.Services) {
		if len(p.Monitors) == 0 || seen[use{p, scope}] {
			continue
		}
		seen[use{p, scope}] = true
		for _, x := range p.Members {
			targets = append(targets, health.Target{MemberID: x.ID, Address: x.Address.Netip(), Port: x.Port, Scope: scope, Monitors: p.Monitors})
		}
	}
	return targets
}
