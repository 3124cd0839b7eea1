package lint

import (
	"cmp"

	"github.com/sluice-net/sluice/firewall/policy"
)

// maxNatural is how many ports are tried for a natural witness, in each direction.
const maxNatural = 16

// natural returns a witness for the query that has just been answered: if there is one within a few tries, a
// packet that its port would send from, or receive for, one of its own addresses, to or from another.
func (s *searcher) natural() *Witness {
	if s.y.ethernet {
		return s.witnessAt(s.cell)
	}
	q, kept := s.last, s.cell
	var toItself *Witness // which nobody sends over a network
	for _, direction := range [...]policy.Direction{policy.Out, policy.In} {
		tries := 0
		for i, port := range s.y.ports {
			if !s.mayBeAt(&q, s.y.pointClass(uint32(i), direction)) {
				continue
			}
			if tries++; tries > maxNatural {
				break
			}
			realm := s.y.realmOf[i]
			point, own := s.y.pointSet([]uint32{uint32(i)}, direction), s.y.ownClasses(port, realm)
			q.own = &limits{atPoint: &point}
			if direction == policy.Out {
				q.own[atSrc] = &own
			} else {
				q.own[atDst] = &own
			}
			if s.find(&q) != found || s.y.places[s.cell.place].realm != realm {
				continue
			}
			w := s.witnessAt(s.cell)
			if w.Packet.Src != w.Packet.Dst {
				return w
			}
			toItself = cmp.Or(toItself, w)
		}
	}
	if toItself != nil {
		return toItself
	}
	return s.witnessAt(kept)
}

// mayBeAt reports whether all boxes that a query asks to match are at a point.
func (s *searcher) mayBeAt(q *query, class uint32) bool {
	for _, b := range q.all[:q.n] {
		if !s.y.dims[atPoint].values[s.y.boxes[b].v[atPoint]].has(class) {
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
