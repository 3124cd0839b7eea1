package classify

import (
	"cmp"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// state is what a Compiler remembers of the Input before.
type state struct {
	ethernet  bool
	endpoints []*policy.Endpoint
	atAddress []*policy.Set // sets that rules use for addresses, by SetID; others nil
	atPoint   []*policy.Set // sets that rules apply to

	addresses *addresses
	points    *points
	tiers     []*tier

	pages [][]*rule // by slot, in pages of 1<<pageBits; Tables share them
	fresh []bool    // pages that no Table has yet
	slots uint32    // slots in use, or free
	free  []uint32
	ranks []uint32 // by slot: its place in the order of evaluation of its tier

	arena   arena
	garbage weight // what of arena no tree uses any more
	builder *builder
	items   []item // scratch
	spread  int
	large   int // from how many rules on a tree is not made anew for a few changes
}

// tier is the rules that are searched together.
type tier struct {
	sections []section
	order    []uint32 // slots
	byID     map[uint32]uint32
	cells    [homes]*cells
}

// section is a policy's section, and the slots of its rules.
type section struct {
	*policy.Section
	slots []uint32
}

const pageBits = 8

func newState(in *Input, large int) *state {
	s := &state{ethernet: in.Ethernet, addresses: newAddresses(in.Ethernet), points: newPoints(), slots: 1, spread: 1, large: large}
	s.builder = &builder{arena: &s.arena, rules: s.rule}
	s.arena.nodes = append(s.arena.nodes, node{}) // reference 0 is a leaf without entries
	s.setRule(0, nil)
	for range in.Tiers {
		s.tiers = append(s.tiers, &tier{byID: map[uint32]uint32{}})
	}
	return s
}

// rule returns the rule of a slot.
func (s *state) rule(slot uint32) *rule { return s.pages[slot>>pageBits][slot&(1<<pageBits-1)] }

func (s *state) setRule(slot uint32, r *rule) {
	at := int(slot >> pageBits)
	if at == len(s.pages) {
		s.pages, s.fresh = append(s.pages, make([]*rule, 1<<pageBits)), append(s.fresh, true)
	}
	if !s.fresh[at] {
		s.pages[at], s.fresh[at] = slices.Clone(s.pages[at]), true
	}
	s.pages[at][slot&(1<<pageBits-1)] = r
}

// setsOf calls f for the sets that a rule uses, and the space that they are used in.
func (s *state) setsOf(r *policy.Rule, f func(sp *space, id policy.SetID)) {
	for _, use := range [...]struct {
		sp *space
		id policy.SetID
	}{{s.points.space, r.AppliedTo}, {s.addresses.space, r.Source}, {s.addresses.space, r.Destination}} {
		if use.id != policy.Any {
			f(use.sp, use.id)
		}
	}
}

// use notes which sets the rule of a slot uses, or does not use any more.
func (s *state) use(slot uint32, r *policy.Rule, on bool) {
	s.setsOf(r, func(sp *space, id policy.SetID) {
		sp.grow(int(id) + 1)
		if on {
			sp.users[id] = append(sp.users[id], slot)
			return
		}
		l := sp.users[id]
		at := slices.Index(l, slot)
		l[at] = l[len(l)-1]
		sp.users[id] = l[:len(l)-1]
	})
}

// diff finds out which rules of a tier are new, gone or at another place, and which have only another
// section around them.
func (s *state) diff(index int, sections []*policy.Section) (changes []change) {
	t := s.tiers[index]
	if slices.EqualFunc(t.sections, sections, func(a section, b *policy.Section) bool { return a.Section == b }) {
		return nil
	}
	before := make(map[*policy.Section][]uint32, len(t.sections))
	for _, sec := range t.sections {
		before[sec.Section] = sec.slots
	}
	kept := make(map[uint32]bool) // slots whose section is another
	now := make([]section, len(sections))
	for i, sec := range sections {
		if slots, found := before[sec]; found {
			now[i] = section{sec, slots}
			delete(before, sec) // a second time, its rules are others
		}
	}
	for _, slots := range before {
		for _, slot := range slots {
			kept[slot] = false
		}
	}
	for i, sec := range sections {
		if now[i].Section != nil {
			continue
		}
		now[i] = section{sec, make([]uint32, len(sec.Rules))}
		for j := range sec.Rules {
			m := Match{sec, &sec.Rules[j]}
			slot, found := t.byID[m.Rule.ID]
			if used, open := kept[slot]; found && open && !used && same(s.rule(slot).match.Rule, m.Rule) {
				kept[slot] = true
				r := *s.rule(slot)
				r.match = m
				s.setRule(slot, &r)
			} else {
				slot = s.newSlot()
				changes = append(changes, change{slot: slot, now: compileRule(m, index, s.ethernet)})
			}
			now[i].slots[j] = slot
		}
	}
	for _, slots := range before {
		for _, slot := range slots {
			if !kept[slot] {
				changes = append(changes, change{slot: slot, was: s.rule(slot)})
			}
		}
	}
	t.sections = now
	return s.reorder(t, changes)
}

func (s *state) newSlot() uint32 {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.slots++
	s.setRule(s.slots-1, nil)
	return s.slots - 1
}

// reorder brings the order of a tier up to date, and adds the rules that have another place in it to changes.
func (s *state) reorder(t *tier, changes []change) []change {
	ranks := make([]uint32, s.slots)
	copy(ranks, s.ranks)
	isNew := make([]bool, s.slots)
	for _, c := range changes {
		isNew[c.slot] = c.was == nil
	}
	order := make([]uint32, 0, len(t.order)+len(changes))
	for _, sec := range t.sections {
		order = append(order, sec.slots...)
	}
	kept := make([]uint32, 0, len(order))
	for _, slot := range order {
		if !isNew[slot] {
			kept = append(kept, slot)
		}
	}
	for _, slot := range outOfOrder(kept, func(slot uint32) uint32 { return ranks[slot] }) {
		r := *s.rule(slot)
		r.moves++
		changes = append(changes, change{slot, s.rule(slot), &r})
	}
	for i, slot := range order {
		ranks[slot] = uint32(i)
	}
	t.order, s.ranks = order, ranks
	return changes
}

// outOfOrder returns as few elements as possible without which the others ascend in rank: all but a
// longest ascending subsequence.
func outOfOrder(x []uint32, rank func(uint32) uint32) (out []uint32) {
	byRank := func(a, b uint32) int { return cmp.Compare(rank(a), rank(b)) }
	if slices.IsSortedFunc(x, byRank) {
		return nil
	}
	var tails []int // of the ascending subsequences of each length, the index of the smallest last element
	prev := make([]int, len(x))
	for i := range x {
		n, _ := slices.BinarySearchFunc(tails, x[i], func(at int, v uint32) int { return byRank(x[at], v) })
		prev[i] = -1
		if n > 0 {
			prev[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		}
		tails[n] = i
	}
	in := make([]bool, len(x))
	for i := tails[len(tails)-1]; i >= 0; i = prev[i] {
		in[i] = true
	}
	for i := range in {
		if !in[i] {
			out = append(out, x[i])
		}
	}
	return out
}

// advance brings everything up to date with an Input; after an error, the state is useless.
func (s *state) advance(in *Input, first bool) error {
	var changes []change
	for i, sections := range in.Tiers {
		changes = append(changes, s.diff(i, sections)...)
	}
	for _, c := range changes {
		switch {
		case c.was == nil:
			s.setRule(c.slot, c.now)
			s.use(c.slot, c.now.match.Rule, true)
			s.tiers[c.now.tier].byID[c.now.match.Rule.ID] = c.slot
		case c.now == nil:
			s.use(c.slot, c.was.match.Rule, false)
			if byID := s.tiers[c.was.tier].byID; byID[c.was.match.Rule.ID] == c.slot {
				delete(byID, c.was.match.Rule.ID)
			}
		}
	}
	s.noteSets(in)
	if err := s.settle(first); err != nil {
		return err
	}
	if first {
		s.fill()
	} else {
		s.update(changes)
	}
	for _, c := range changes {
		if c.now == nil {
			s.setRule(c.slot, nil)
			s.free = append(s.free, c.slot)
		}
	}
	return nil
}

// noteSets tells addresses and points about endpoints and sets that are others than before.
func (s *state) noteSets(in *Input) {
	n := max(len(in.Sets), len(s.atAddress), len(s.addresses.space.users), len(s.points.space.users))
	s.addresses.space.grow(n)
	s.points.space.grow(n)
	s.atAddress = append(s.atAddress, make([]*policy.Set, n-len(s.atAddress))...)
	s.atPoint = append(s.atPoint, make([]*policy.Set, n-len(s.atPoint))...)
	asAddress := func(id policy.SetID, was, now *policy.Set) { s.addresses.setSet(id, was, now, s.endpoints) }
	noteUses(in, s.addresses.space.users, s.atAddress, asAddress)
	noteUses(in, s.points.space.users, s.atPoint, s.points.setSet)
	for i := range max(len(in.Endpoints), len(s.endpoints)) {
		now := in.endpoint(uint16(i))
		var was *policy.Endpoint
		if i < len(s.endpoints) {
			was = s.endpoints[i]
		}
		if was != now {
			s.addresses.setEndpoint(uint16(i), was, now)
		}
	}
	s.endpoints = slices.Clone(in.Endpoints)
}

// noteUses brings sets, those in use, up to date, and calls note for each that is another.
func noteUses(in *Input, users [][]uint32, sets []*policy.Set, note func(id policy.SetID, was, now *policy.Set)) {
	for id := 1; id < len(sets); id++ {
		var now *policy.Set
		if len(users[id]) > 0 {
			now = in.set(policy.SetID(id))
		}
		if was := sets[id]; was != now {
			note(policy.SetID(id), was, now)
			sets[id] = now
		}
	}
}

// settle brings all classes up to date.
func (s *state) settle(first bool) error {
	if !first {
		if err := s.points.settle(s.points.space.place); err != nil {
			return err
		}
		return s.addresses.settle(s.addresses.space.place)
	}
	intern := func(sp *space) placer {
		return func(sets []policy.SetID, _ uint32) (uint32, error) { return sp.intern(sets), nil }
	}
	if err := s.points.settle(intern(s.points.space)); err != nil {
		return err
	}
	if err := s.addresses.settle(intern(s.addresses.space)); err != nil {
		return err
	}
	s.points.space.arrange(len(s.atPoint))
	s.addresses.space.arrange(len(s.atAddress))
	return nil
}

// bind sets what of a rule depends on sets.
func (s *state) bind(r *rule) {
	m := r.match.Rule
	r.dims[dimPoint] = s.points.space.at(m)
	r.dims[dimSrc] = s.addresses.space.members(m.Source, m.SourceNot)
	r.dims[dimDst] = s.addresses.space.members(m.Destination, m.DestNot)
}

// fill makes all trees.
func (s *state) fill() {
	for _, t := range s.tiers {
		for _, slot := range t.order {
			s.bind(s.rule(slot))
		}
	}
	var all []uint32
	for _, t := range s.tiers {
		all = append(all, t.order...)
	}
	s.spread = s.spreadFor(all)
	for _, t := range s.tiers {
		s.fillCells(t)
	}
}

// update brings trees up to date with rules that are others, and with those whose sets are.
func (s *state) update(changes []change) {
	for _, t := range s.tiers {
		for h := range homes {
			s.growCells(t.cells[h])
		}
		for _, b := range s.addresses.space.born {
			for _, h := range [...]home{homeSrc, homeDst} {
				s.setCell(t.cells[h], b.class, t.cells[h].cells[b.of])
			}
		}
		for _, b := range s.points.space.born {
			for dir := range uint32(2) {
				s.setCell(t.cells[homePoint], b.class<<1|dir, t.cells[homePoint].cells[b.of<<1|dir])
			}
		}
	}
	known := make(map[uint32]bool, len(changes))
	for _, c := range changes {
		known[c.slot] = true
	}
	for _, sp := range [...]*space{s.addresses.space, s.points.space} {
		slices.Sort(sp.changed)
		for _, id := range slices.Compact(sp.changed) {
			for _, slot := range sp.users[id] {
				if !known[slot] {
					known[slot] = true
					r := *s.rule(slot)
					changes = append(changes, change{slot, s.rule(slot), &r})
				}
			}
		}
		sp.changed, sp.born = sp.changed[:0], sp.born[:0]
	}
	byTier := make([][]change, len(s.tiers))
	for _, c := range changes {
		at := c.was
		if c.now != nil {
			at = c.now
			s.bind(c.now)
			s.setRule(c.slot, c.now)
		}
		byTier[at.tier] = append(byTier[at.tier], c)
	}
	for i, t := range s.tiers {
		s.replant(t, byTier[i])
	}
}

// wasteful reports whether so much is left of what there was that everything is better made anew.
func (s *state) wasteful() bool {
	for _, sp := range [...]*space{s.addresses.space, s.points.space} {
		if sp.dead > len(sp.classes)/2+8*s.large {
			return true
		}
	}
	return false
}
