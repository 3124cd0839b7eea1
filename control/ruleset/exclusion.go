package ruleset

import (
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// exclusion is the ports that are never filtered. A Policy has no Endpoint for them, so that nobody finds
// their addresses by it; but they are members of groups like others, and rules at other ports have to know them. So a set
// that has one of them as a port has its addresses, too.
type exclusion struct {
	ports []uint16           // ascending; not written to
	of    []*policy.Endpoint // of ports
}

// exclude says who is excluded now, and marks the sets in which somebody is that comes, goes or has other addresses.
func (s *sets) exclude(ports []uint16) {
	now := exclusion{ports: ports}
	var changed []uint16
	for _, n := range ports {
		now.of = append(now.of, &s.endpoints[n].Endpoint)
		if was := s.exclusion.endpoint(n); was == nil || !equalEndpoints(was, &s.endpoints[n].Endpoint) {
			changed = append(changed, n)
		}
	}
	for _, n := range s.exclusion.ports {
		if now.endpoint(n) == nil {
			changed = append(changed, n)
		}
	}
	s.exclusion = now
	if len(changed) == 0 {
		return
	}
	slices.Sort(changed)
	for _, x := range s.byID {
		if x == nil || x.id == policy.Any {
			continue
		}
		if x.members == nil || slices.ContainsFunc(changed, x.has) {
			s.dirty = append(s.dirty, x) // members are what they are, value is not
		}
	}
}

// endpoint returns an excluded port's, nil if it is not excluded.
func (e *exclusion) endpoint(n uint16) *policy.Endpoint {
	i, found := slices.BinarySearch(e.ports, n)
	if !found {
		return nil
	}
	return e.of[i]
}

// has reports whether a port is a member.
func (x *set) has(n uint16) bool {
	_, found := slices.BinarySearch(x.members.Ports, n)
	return found
}

// evaluate makes the value of a set of its members. One that has not changed stays the pointer that it was.
func (s *sets) evaluate(x *set) {
	v := x.members
	if excluded := intersection(v.Ports, s.exclusion.ports); len(excluded) > 0 && !x.both {
		with := *v
		for _, n := range excluded {
			e := s.exclusion.endpoint(n)
			for _, a := range e.Addresses {
				with.Prefixes = joined(with.Prefixes, []policy.Prefix{{Addr: a, Bits: 128}}, tidy)
			}
			with.MACs = joined(with.MACs, e.MACs, tidyMACs)
		}
		v = &with
	}
	if x.value == nil || x.value != v && !equalSets(x.value, v) {
		x.value = v
		s.sum -= x.digest
		x.digest = s.digestOf(x)
		s.sum += x.digest
	}
}
