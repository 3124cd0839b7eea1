package ruleset

import "slices"

// meet is done with each atom of an index for one endpoint that came, went or is another.
func (a *atom) meet(number uint16, e *Endpoint) (first bool) {
	if len(a.changed) > 0 && a.changed[len(a.changed)-1] == number {
		return false // met by what the endpoint was, too
	}
	_, is := slices.BinarySearch(a.members, number)
	if is == (e != nil && a.meets(e)) {
		return false
	}
	a.changed = append(a.changed, number)
	return len(a.changed) == 1
}

// update takes the endpoints that there are now, by number, and finds out which atoms they meet.
func (s *sets) update(now []*Endpoint) {
	var changed []*atom
	for n := range max(len(now), len(s.endpoints)) {
		was, is := at(s.endpoints, n), at(now, n)
		if was == is {
			continue
		}
		visit := func(a *atom) {
			if a.meet(uint16(n), is) {
				changed = append(changed, a)
			}
		}
		for _, e := range []*Endpoint{was, is} {
			if e != nil {
				s.index.each(e, visit)
			}
		}
	}
	s.endpoints = now
	for _, a := range changed {
		a.members, a.changed = toggle(a.members, a.changed), nil
		for user := range a.users {
			s.touch(user)
		}
	}
	s.populate()
}

func at[T any](list []*T, n int) *T {
	if n < len(list) {
		return list[n]
	}
	return nil
}

// populate finds the members of the atoms that are new.
func (s *sets) populate() {
	if len(s.fresh) == 0 {
		return
	}
	index := atomIndex{}
	for _, a := range s.fresh {
		index.add(a)
		s.index.add(a)
	}
	s.fresh = nil
	for n, e := range s.endpoints {
		if e == nil {
			continue
		}
		index.each(e, func(a *atom) {
			if a.meets(e) {
				a.members = append(a.members, uint16(n))
			}
		})
	}
}
