package classify

import (
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// addresses is which addresses, of IP or of Ethernet, are of which class: the compiler's part, which is
// changed, and the structures that Tables share, which are replaced.
type addresses struct {
	space    *space
	ethernet bool

	prefixes prefixList
	ports    memberships // of endpoints, in sets that rules use as addresses
	macs     map[packet.MAC][]policy.SetID
	hosts    map[host]*member

	trie  trie
	bound hostTable

	// What has to be done by settle.
	edits []prefixEdit
	dirty map[host]struct{}
	fresh int // nodes of the trie when it was made anew
}

// member is a host, and what puts it into sets.
type member struct {
	ports []uint16 // to which it is bound
	class uint32
}

type prefixEdit struct {
	prefixNode
	set policy.SetID
	now bool // the set has the prefix
}

// memberships is the sets, ascending, that each port is in.
type memberships [][]policy.SetID

func (m *memberships) of(port uint16) []policy.SetID {
	if int(port) >= len(*m) {
		return nil
	}
	return (*m)[port]
}

func (m *memberships) put(port uint16, set policy.SetID, in bool) {
	for int(port) >= len(*m) {
		*m = append(*m, nil)
	}
	(*m)[port] = toggle((*m)[port], set, in)
}

// toggle puts a number into an ascending list, or takes it out.
func toggle[T ~uint16 | ~uint32](l []T, x T, in bool) []T {
	at, found := slices.BinarySearch(l, x)
	switch {
	case in && !found:
		return slices.Insert(slices.Clone(l), at, x)
	case !in && found:
		return slices.Delete(slices.Clone(l), at, at+1)
	}
	return l
}

func newAddresses(ethernet bool) *addresses {
	return &addresses{
		space: newSpace(topLabel), ethernet: ethernet,
		macs: map[packet.MAC][]policy.SetID{}, hosts: map[host]*member{}, dirty: map[host]struct{}{},
	}
}

// setSet notes that the members of a set are others; nil is none.
func (a *addresses) setSet(id policy.SetID, was, now *policy.Set, endpoints []*policy.Endpoint) {
	if was == nil {
		was = &policy.Set{}
	}
	if now == nil {
		now = &policy.Set{}
	}
	differ(was.Ports, now.Ports, func(port uint16, in bool) {
		a.ports.put(port, id, in)
		if int(port) < len(endpoints) {
			a.touch(endpoints[port])
		}
	})
	if a.ethernet {
		differ(was.MACs, now.MACs, func(m packet.MAC, in bool) {
			a.macs[m] = toggle(a.macs[m], id, in)
			a.dirty[macHost(m)] = struct{}{}
		})
		return
	}
	differ(was.Prefixes, now.Prefixes, func(p policy.Prefix, in bool) {
		a.edits = append(a.edits, prefixEdit{newPrefixNode(shorten(p.Addr, min(p.Bits, 128))), id, in})
	})
}

// differ calls f for what is in one of two lists, and whether it is in the second; they are
// ascending, but need not be.
func differ[T comparable](was, now []T, f func(x T, in bool)) {
	if len(was) == 0 {
		for _, x := range now {
			f(x, true)
		}
		return
	}
	had := make(map[T]bool, len(was))
	for _, x := range was {
		had[x] = true
	}
	for _, x := range now {
		if !had[x] {
			f(x, true)
		}
		had[x] = false
	}
	for x, gone := range had {
		if gone {
			f(x, false)
		}
	}
}

func (a *addresses) each(e *policy.Endpoint, f func(h host)) {
	switch {
	case e == nil:
	case a.ethernet:
		for _, m := range e.MACs {
			f(macHost(m))
		}
	default:
		for _, ip := range e.Addresses {
			f(host{ip, e.Scope})
		}
	}
}

// touch notes that an endpoint's membership is another.
func (a *addresses) touch(e *policy.Endpoint) {
	a.each(e, func(h host) { a.dirty[h] = struct{}{} })
}

// setEndpoint notes that an endpoint is another; nil is none.
func (a *addresses) setEndpoint(number uint16, was, now *policy.Endpoint) {
	a.each(was, func(h host) {
		if m := a.hosts[h]; m != nil {
			m.ports = toggle(m.ports, number, false)
		}
	})
	a.each(now, func(h host) {
		m := a.hosts[h]
		if m == nil {
			m = &member{class: none}
			a.hosts[h] = m
		}
		m.ports = toggle(m.ports, number, true)
	})
	a.touch(was)
	a.touch(now)
}

// settle brings classes, and the structures that find them, up to date.
func (a *addresses) settle(place placer) error {
	changed := a.edit()
	all := len(changed) > 16
	for h := range a.hosts {
		if all || slices.ContainsFunc(changed, func(p policy.Prefix) bool { return p.Contains(h.addr) }) {
			a.dirty[h] = struct{}{}
		}
	}
	if err := a.placePrefixes(changed, place); err != nil {
		return err
	}
	a.findPrefixes(changed)
	if err := a.placeHosts(place); err != nil {
		return err
	}
	if len(a.dirty) > 0 {
		a.bound = newHostTable(a.hosts)
		clear(a.dirty)
	}
	return nil
}

// edit applies what has been noted about prefixes, and returns the ranges of addresses for which it
// makes a difference, none within another.
func (a *addresses) edit() (changed []policy.Prefix) {
	if len(a.edits) == 0 {
		return nil
	}
	slices.SortStableFunc(a.edits, func(x, y prefixEdit) int { return x.compare(&y.prefixNode) })
	many := len(a.edits) > 64
	for i := range a.edits {
		e := &a.edits[i]
		if n := len(changed); n == 0 || !changed[n-1].Contains(e.Addr) || changed[n-1].Bits > e.Bits {
			changed = append(changed, e.Prefix)
		}
	}
	if many {
		known := len(a.prefixes)
		for i := range a.edits {
			e := &a.edits[i]
			if _, found := a.prefixes[:known].find(&e.prefixNode); !found && (i == 0 || a.edits[i-1].Prefix != e.Prefix) {
				n := e.prefixNode
				n.class = none
				a.prefixes = append(a.prefixes, n)
			}
		}
		slices.SortFunc(a.prefixes, func(x, y prefixNode) int { return x.compare(&y) })
	}
	for i := range a.edits {
		e := &a.edits[i]
		at, found := a.prefixes.find(&e.prefixNode)
		if !found {
			e.class = none
			a.prefixes = slices.Insert(a.prefixes, at, e.prefixNode)
		}
		a.prefixes[at].sets = toggle(a.prefixes[at].sets, e.set, e.now)
	}
	for i := range a.edits {
		if at, found := a.prefixes.find(&a.edits[i].prefixNode); found && len(a.prefixes[at].sets) == 0 && !many {
			a.leave(a.prefixes[at].class)
			a.prefixes = slices.Delete(a.prefixes, at, at+1)
		}
	}
	if many {
		a.prefixes = slices.DeleteFunc(a.prefixes, func(n prefixNode) bool {
			if len(n.sets) == 0 {
				a.leave(n.class)
			}
			return len(n.sets) == 0
		})
	}
	a.edits = a.edits[:0]
	return changed
}

func (a *addresses) leave(class uint32) {
	if class != none {
		a.space.release(class)
	}
}

// placePrefixes gives the prefixes in some ranges their classes.
func (a *addresses) placePrefixes(changed []policy.Prefix, place placer) error {
	for _, p := range changed {
		i, j := a.prefixes.within(p)
		up := a.prefixes.parent(p)
		var above []int // prefixes that the current one may be within, the longest last
		for ; i < j; i++ {
			n := &a.prefixes[i]
			for len(above) > 0 && !a.prefixes[above[len(above)-1]].contains(n) {
				above = above[:len(above)-1]
			}
			parent := up
			if len(above) > 0 {
				parent = above[len(above)-1]
			}
			near := uint32(0)
			if parent >= 0 {
				near = a.prefixes[parent].class
			}
			sets := union(a.space.classes[near].sets, n.sets)
			if err := move(a.space, &n.class, sets, near, place); err != nil {
				return err
			}
			above = append(above, i)
		}
	}
	return nil
}

// findPrefixes brings the trie up to date.
func (a *addresses) findPrefixes(changed []policy.Prefix) {
	if len(changed) == 0 && a.trie.root4 != nil {
		return
	}
	_, has4 := a.prefixes.within(mapped4)
	from4, _ := a.prefixes.within(mapped4)
	grown := len(a.trie.nodes) > 2*a.fresh+4096
	if len(changed) > 1024 || a.trie.root4 == nil || grown || has4 > from4 && len(a.trie.root4) == 1 {
		a.trie.fill(a.prefixes, 0)
		a.fresh = len(a.trie.nodes)
		return
	}
	a.trie.root4 = slices.Clone(a.trie.root4)
	six := false
	for _, p := range changed {
		switch {
		case mapped4.Bits <= p.Bits && mapped4.Contains(p.Addr):
			p = shorten(p.Addr, min(p.Bits, 112))
			a.trie.fill4(a.prefixes, p, a.trie.base(a.prefixes, p, 0))
			continue
		case p.Contains(mapped4.Addr):
			a.trie.fill4(a.prefixes, mapped4, a.trie.base(a.prefixes, mapped4, 0))
		}
		six = true
	}
	if six {
		a.trie.fill6(a.prefixes, 0)
	}
}

// placeHosts gives hosts whose sets may have changed their classes.
func (a *addresses) placeHosts(place placer) error {
	for h := range a.dirty {
		m := a.hosts[h]
		direct := []policy.SetID(nil)
		if a.ethernet {
			direct = a.macs[packet.MACFromWord(h.addr[0])]
		}
		if m == nil && len(direct) > 0 {
			m = &member{class: none}
			a.hosts[h] = m
		}
		if m == nil {
			continue
		}
		if len(m.ports) == 0 && len(direct) == 0 {
			a.leave(m.class)
			delete(a.hosts, h)
			continue
		}
		base := uint32(0)
		if !a.ethernet {
			base = a.trie.class(h.addr)
		}
		sets := union(a.space.classes[base].sets, direct)
		for _, port := range m.ports {
			sets = union(sets, a.ports.of(port))
		}
		if err := move(a.space, &m.class, sets, base, place); err != nil {
			return err
		}
	}
	return nil
}
