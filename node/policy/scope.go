package policy

import "github.com/sluice-net/sluice/control"

// scopeOf returns the address space that a port's packets are in: segments and uplinks of one router share one.
func (e *Evaluator) scopeOf(p *control.Port) uint32 {
	switch {
	case p.Uplink >= 0:
		return e.model.Routers[p.Router].Uplinks[p.Uplink].Scope
	case p.Segment >= 0:
		return e.model.Segments[p.Segment].Scope
	case len(p.Memberships) > 0:
		return e.model.Segments[p.Memberships[0].Segment].Scope
	}
	return 0
}
