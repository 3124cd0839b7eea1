package policy

import "github.com/sluice-net/sluice/control"

// scopes are the address spaces of what is not an endpoint: of segments and routers, which endpoints
// are on.
type scopes struct {
	segments []uint32 // by index in the model; 0: no endpoint is there
	routers  []uint32
}

func (e *Evaluator) makeScopes() scopes {
	s := scopes{make([]uint32, len(e.model.Segments)), make([]uint32, len(e.model.Routers))}
	for _, p := range e.model.Ports {
		if p.Segment < 0 || int(p.Number) >= len(e.policy.Endpoints) || e.policy.Endpoints[p.Number] == nil {
			continue
		}
		scope := e.policy.Endpoints[p.Number].Scope
		s.segments[p.Segment] = scope
		if router := e.model.Segments[p.Segment].Router; router >= 0 {
			s.routers[router] = scope
		}
	}
	return s
}

// scopeOf returns the address space that a port's packets are in: routed segments of one router share one.
func (e *Evaluator) scopeOf(p *control.Port) uint32 {
	switch {
	case int(p.Number) < len(e.policy.Endpoints) && e.policy.Endpoints[p.Number] != nil:
		return e.policy.Endpoints[p.Number].Scope
	case p.Router >= 0:
		return e.scopes.routers[p.Router]
	case p.Segment < 0:
		return 0
	}
	if router := e.model.Segments[p.Segment].Router; router >= 0 {
		return e.scopes.routers[router]
	}
	return e.scopes.segments[p.Segment]
}
