package ruleset

import (
	"maps"
	"slices"
)

// offers knows which numbers endpoints have for names of ports. A rule that names a port becomes one for each number.
type offers struct {
	count map[namedPort]map[uint16]int // of endpoints that call a number so
	users map[namedPort]map[*node]struct{}
}

// numbers returns those that endpoints have for a name, ascending.
func (o *offers) numbers(name namedPort) []uint16 {
	return slices.Sorted(maps.Keys(o.count[name]))
}

// update takes the endpoints that there are now, by number, and returns the names that have other numbers than before.
func (o *offers) update(before, now []*Endpoint) (changed []namedPort) {
	add := func(e *Endpoint, n int) {
		if e == nil {
			return
		}
		for _, p := range e.NamedPorts {
			name := namedPort{p.Protocol, p.Name}
			numbers := o.count[name]
			if numbers == nil {
				numbers = map[uint16]int{}
				o.count[name] = numbers
			}
			was := numbers[p.Port]
			if is := was + n; is == 0 {
				delete(numbers, p.Port)
			} else {
				numbers[p.Port] = is
			}
			if was == 0 || was+n == 0 {
				changed = append(changed, name)
			}
			if len(numbers) == 0 {
				delete(o.count, name)
			}
		}
	}
	for n := range max(len(before), len(now)) {
		if was, is := at(before, n), at(now, n); was != is {
			add(is, 1)
			add(was, -1)
		}
	}
	return changed
}

// use says which names a node's rules have.
func (o *offers) use(n *node, names []namedPort) {
	for _, name := range n.named {
		delete(o.users[name], n)
		if len(o.users[name]) == 0 {
			delete(o.users, name)
		}
	}
	n.named = names
	for _, name := range names {
		if o.users[name] == nil {
			o.users[name] = map[*node]struct{}{}
		}
		o.users[name][n] = struct{}{}
	}
}
