package ruleset

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// set is a policy.Set on its way: what it is made of, and what that comes to. Sets that mean the same are one,
// for as long as anything has it.
//
//	atom ◀──┐
//	atom ◀──┼── set of a Group ◀──┐
//	prefixes┘                     ├── set of a rule's source
//	                     atom ◀───┘
type set struct {
	id   policy.SetID
	key  string // what it means
	refs int    // sections, nodes and sets that have it; gone at 0

	atoms    []*atom
	parts    []*set          // whose members are in it; each once
	both     bool            // only the ports that are in all of parts
	prefixes []policy.Prefix // tidy; not written to
	macs     []packet.MAC    // ascending; not written to

	users map[*set]struct{} // sets of which it is a part
	dirty bool              // members are not what they come to

	members *policy.Set // of the last policy, nil before that; not written to
	value   *policy.Set // members, or with the addresses of those who are excluded; likewise

	means  uint64 // hash of key
	digest uint64 // of the value; 0 before there is one
}

// definition is what a set is made of.
type definition struct {
	terms    []defined // by key, each once
	prefixes []policy.Prefix
	macs     []packet.MAC
}

// defined is an atom or the set of a Group.
type defined struct {
	key   string
	term  *term
	offer *offer // of the atom; nil: none is needed
	group *set
}

// sets are those in use.
type sets struct {
	byKey  map[string]*set
	byID   []*set        // nil: not in use
	lowest policy.SetID  // no number below is free
	values []*policy.Set // of the last policy, by number; not written to
	dirty  []*set
	freed  bool // a number is not in use any more, which values don't tell yet

	atoms     map[string]*atom
	index     atomIndex // but for fresh ones
	fresh     []*atom   // whose members are not known yet
	endpoints []*Endpoint

	exclusion exclusion
	sum       uint64 // of all digests

	scratch [1 << 16 / 64]uint64 // all 0 between uses
	bytes   []byte
}

func newSets() *sets {
	s := &sets{byKey: map[string]*set{}, atoms: map[string]*atom{}, index: atomIndex{}}
	// Both are there for ever. Any has no value.
	nobody := &policy.Set{}
	s.byID = []*set{{id: policy.Any, key: "*", refs: 1}, {id: policy.None, refs: 1, members: nobody, value: nobody}}
	s.values = []*policy.Set{nil, nobody}
	for _, x := range s.byID {
		x.users, x.means = map[*set]struct{}{}, xxhash.Sum64String(x.key)
		s.byKey[x.key] = x
	}
	s.lowest = policy.None + 1
	return s
}

func (s *sets) any() *set { return s.byID[policy.Any] }

// define finds out what a selection consists of. groupOf returns the set of a Group that it names.
func define(list selection, o *offer, groupOf func(name string) *set) (d definition) {
	for i := range list {
		switch t := &list[i]; {
		case t.group != "":
			g := groupOf(t.group)
			d.terms = append(d.terms, defined{key: g.key, group: g})
		case t.prefixes != nil || t.macs != nil:
			if o == nil { // addresses have no names for ports
				d.prefixes = append(d.prefixes, t.prefixes...)
				d.macs = append(d.macs, t.macs...)
			}
		default:
			d.terms = append(d.terms, defined{key: t.key(o), term: t, offer: o})
		}
	}
	slices.SortFunc(d.terms, func(a, b defined) int { return strings.Compare(a.key, b.key) })
	d.terms = slices.CompactFunc(d.terms, func(a, b defined) bool { return a.key == b.key })
	d.prefixes = tidy(d.prefixes)
	slices.SortFunc(d.macs, func(a, b packet.MAC) int { return bytes.Compare(a[:], b[:]) })
	d.macs = slices.Compact(d.macs)
	return d
}

// key is the same for equal definitions only.
func (d *definition) key() string {
	size := 17*len(d.prefixes) + 6*len(d.macs) + 2
	for _, t := range d.terms {
		size += len(t.key) + 1
	}
	if size == 2 {
		return ""
	}
	b := make([]byte, 0, size)
	for _, t := range d.terms {
		b = append(append(b, t.key...), 0)
	}
	for _, p := range d.prefixes {
		a := p.Addr.As16()
		b = append(append(b, a[:]...), p.Bits)
	}
	b = append(b, 1)
	for _, m := range d.macs {
		b = append(b, m[:]...)
	}
	return string(b)
}

// of returns the set of a selection; the caller has one reference more to it. Everybody is the set
// Any, which needs no offer to be met.
func (s *sets) of(list selection, o *offer, groupOf func(name string) *set) *set {
	if list == nil {
		if o == nil {
			return s.hold(s.any())
		}
		list = selection{{}}
	}
	d := define(list, o, groupOf)
	if len(d.terms) == 1 && d.terms[0].group != nil && len(d.prefixes)+len(d.macs) == 0 {
		return s.hold(d.terms[0].group)
	}
	key := d.key()
	x := s.byKey[key]
	if x == nil {
		x = s.add(key)
		s.redefine(x, d)
	}
	return s.hold(x)
}

// and returns the set of the ports that are in both; the caller has one reference more to it, and gives up
// those to x and y.
func (s *sets) and(x, y *set) *set {
	switch {
	case x == s.any():
		s.release(x)
		return y
	case y == s.any() || x == y:
		s.release(y)
		return x
	}
	if x.key > y.key {
		x, y = y, x
	}
	key := "&" + x.key + "\x02" + y.key
	z := s.byKey[key]
	if z == nil {
		z = s.add(key)
		z.both = true
		for _, part := range []*set{x, y} {
			z.parts = append(z.parts, s.hold(part))
			part.users[z] = struct{}{}
		}
	}
	s.release(x)
	s.release(y)
	return s.hold(z)
}

func (s *sets) hold(x *set) *set {
	x.refs++
	return x
}

// add makes a set of nobody, with a number of its own and no references.
func (s *sets) add(key string) *set {
	for int(s.lowest) < len(s.byID) && s.byID[s.lowest] != nil {
		s.lowest++
	}
	x := &set{id: s.lowest, key: key, users: map[*set]struct{}{}, means: xxhash.Sum64String(key)}
	if int(x.id) == len(s.byID) {
		s.byID = append(s.byID, nil)
	}
	s.byID[x.id] = x
	s.byKey[key] = x
	s.touch(x)
	return x
}

// redefine makes a set consist of something else.
func (s *sets) redefine(x *set, d definition) {
	atoms, parts := x.atoms, x.parts
	x.atoms, x.parts, x.prefixes, x.macs = nil, nil, d.prefixes, d.macs
	for _, t := range d.terms {
		if t.group != nil {
			x.parts = append(x.parts, s.hold(t.group))
			t.group.users[x] = struct{}{}
			continue
		}
		a := s.atoms[t.key]
		if a == nil {
			a = &atom{key: t.key, term: *t.term, offer: t.offer, users: map[*set]struct{}{}, anchor: t.term.anchorOf()}
			s.atoms[t.key] = a
			s.fresh = append(s.fresh, a)
		}
		x.atoms = append(x.atoms, a)
		a.users[x] = struct{}{}
	}
	s.detach(x, atoms, parts)
	s.touch(x)
}

// detach makes a set not consist of atoms and parts any more, but for those it has.
func (s *sets) detach(x *set, atoms []*atom, parts []*set) {
	for _, a := range atoms {
		if slices.Contains(x.atoms, a) {
			continue
		}
		if delete(a.users, x); len(a.users) == 0 {
			delete(s.atoms, a.key)
			if at := slices.Index(s.fresh, a); at >= 0 {
				s.fresh = slices.Delete(s.fresh, at, at+1)
			} else {
				s.index.remove(a)
			}
		}
	}
	for _, part := range parts {
		if !slices.Contains(x.parts, part) {
			delete(part.users, x)
		}
		s.release(part)
	}
}

// release gives a reference up.
func (s *sets) release(x *set) {
	if x.refs--; x.refs > 0 {
		return
	}
	delete(s.byKey, x.key)
	s.byID[x.id] = nil
	s.lowest = min(s.lowest, x.id)
	s.freed = true
	s.sum -= x.digest
	atoms, parts := x.atoms, x.parts
	x.atoms, x.parts = nil, nil
	s.detach(x, atoms, parts)
}

// touch marks a set, and all that it is a part of, as to be computed.
func (s *sets) touch(x *set) {
	if x.dirty {
		return
	}
	x.dirty = true
	s.dirty = append(s.dirty, x)
	for user := range x.users {
		s.touch(user)
	}
}

// finish computes the values of all sets that have changed, and returns those of all.
func (s *sets) finish(excluded *set) []*policy.Set {
	values, own := s.values, false
	write := func() {
		if !own {
			values, own = make([]*policy.Set, len(s.byID)), true
			copy(values, s.values)
		}
	}
	if s.freed {
		write()
		for id, x := range s.byID {
			if x == nil {
				values[id] = nil
			}
		}
	}
	s.compute(excluded)
	s.exclude(excluded.members.Ports)
	for _, x := range s.dirty {
		if x.refs == 0 {
			continue
		}
		s.compute(x)
		s.evaluate(x)
		if int(x.id) >= len(values) || values[x.id] != x.value {
			write()
			values[x.id] = x.value
		}
	}
	s.dirty, s.freed, s.values = s.dirty[:0], false, values
	return values
}

// compute finds the members of a set, after those of its parts. What has not changed stays the pointer that it was.
func (s *sets) compute(x *set) {
	if !x.dirty {
		return
	}
	x.dirty = false
	for _, part := range x.parts {
		s.compute(part)
	}
	m := &policy.Set{}
	if x.both {
		m.Ports = intersection(x.parts[0].members.Ports, x.parts[1].members.Ports)
	} else {
		m.Ports = s.union(x)
		m.Prefixes, m.MACs = x.prefixes, x.macs
		for _, part := range x.parts {
			m.Prefixes = joined(m.Prefixes, part.members.Prefixes, tidy)
			m.MACs = joined(m.MACs, part.members.MACs, tidyMACs)
		}
	}
	if x.members == nil || !equalSets(x.members, m) {
		x.members = m
	}
}

func equalSets(a, b *policy.Set) bool {
	return slices.Equal(a.Ports, b.Ports) && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.MACs, b.MACs)
}

// union returns the ports of a set's atoms and parts, ascending.
func (s *sets) union(x *set) []uint16 {
	lists := make([][]uint16, 0, len(x.atoms)+len(x.parts))
	n := 0
	add := func(list []uint16) {
		if len(list) > 0 {
			lists = append(lists, list)
			n += len(list)
		}
	}
	for _, a := range x.atoms {
		add(a.members)
	}
	for _, part := range x.parts {
		add(part.members.Ports)
	}
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return lists[0]
	}
	for _, list := range lists {
		for _, p := range list {
			s.scratch[p/64] |= 1 << (p % 64)
		}
	}
	ports := make([]uint16, 0, n)
	for i, word := range s.scratch {
		for ; word != 0; word &= word - 1 {
			ports = append(ports, uint16(i*64+bits.TrailingZeros64(word)))
		}
	}
	clear(s.scratch[:])
	return ports
}

func intersection(a, b []uint16) (ports []uint16) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case b[0] < a[0]:
			b = b[1:]
		default:
			ports, a, b = append(ports, a[0]), a[1:], b[1:]
		}
	}
	return ports
}

// joined returns both lists as one; neither is written to.
func joined[T any](a, b []T, tidy func([]T) []T) []T {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	return tidy(slices.Concat(a, b))
}

func tidyMACs(list []packet.MAC) []packet.MAC {
	slices.SortFunc(list, func(a, b packet.MAC) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(list)
}
