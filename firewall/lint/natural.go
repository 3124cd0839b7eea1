package lint

import "github.com/sluice-net/sluice/firewall/policy"

// maxNatural is how many ports are tried for a natural witness.
const maxNatural = 16

// natural returns a witness for the query that has just been answered: if there is one within a few tries, a packet that its
// port would send from, or receive for, one of its own addresses.
func (a *analysis) natural() *Witness { return a.s.natural() }

func (s *searcher) natural() *Witness {
	if s.y.ethernet {
		return s.witness()
	}
	q, kept := s.last, s.cell
	tries := 0
	for i, port := range s.y.ports {
		realm := s.y.realmOf[port]
		for _, direction := range [...]policy.Direction{policy.Out, policy.In} {
			point := s.y.pointSet([]uint32{uint32(i)}, direction)
			if !s.mayBeAt(&q, point) {
				continue
			}
			if tries++; tries > maxNatural {
				break
			}
			own := s.y.ownClasses(port, realm)
			q.own = &limits{atPoint: &point}
			if direction == policy.Out {
				q.own[atSrc] = &own
			} else {
				q.own[atDst] = &own
			}
			if s.find(&q) == found && s.y.places[s.cell.place].realm == realm {
				return s.witness()
			}
		}
	}
	s.cell = kept
	return s.witness()
}

func (s *searcher) mayBeAt(q *query, point set) bool {
	for _, b := range q.all[:q.n] {
		if !s.y.dims[atPoint].values[s.y.boxes[b].v[atPoint]].intersects(point) {
			return false
		}
	}
	return true
}

// ownClasses returns the classes of the addresses of a port.
func (y *layer) ownClasses(port uint16, realm uint32) set {
	var things []uint32
	for l, p := range y.lists {
		e := endpointOf(p, port)
		if e == nil || !y.realms[realm].filtered[l] || e.Scope != y.realms[realm].scope[l] {
			continue
		}
		for _, addr := range e.Addresses {
			things = append(things, y.addresses.at[host{addr.As16(), realm}])
		}
	}
	return y.addresses.parts.of(things)
}
