package classify

import (
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

func newState(in *Input) *state {
	s := &state{ethernet: in.Ethernet, addresses: newAddresses(in.Ethernet), points: newPoints(), slots: 1, spread: 1}
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
	order := make([]uint32, 0, len(t.order)+len(changes))
	var kept, before []uint32
	isNew := make(map[uint32]bool, len(changes))
	for _, c := range changes {
		isNew[c.slot] = c.was == nil
	}
	for _, sec := range t.sections {
		for _, slot := range sec.slots {
			if !isNew[slot] {
				kept, before = append(kept, slot), append(before, ranks[slot])
			}
			order = append(order, slot)
		}
	}
	for _, i := range outOfOrder(before) {
		r := *s.rule(kept[i])
		r.moves++
		changes = append(changes, change{kept[i], s.rule(kept[i]), &r})
	}
	for i, slot := range order {
		ranks[slot] = uint32(i)
	}
	t.order, s.ranks = order, ranks
	return changes
}

// outOfOrder returns the indexes of as few numbers as possible without which the others ascend: all but a
// longest ascending subsequence.
func outOfOrder(x []uint32) (out []int) {
	if slices.IsSorted(x) {
		return nil
	}
	var tails []int // of the ascending subsequences of each length, the index of the smallest last number
	prev := make([]int, len(x))
	for i := range x {
		n, _ := slices.BinarySearchFunc(tails, x[i], func(at int, v uint32) int { return int(x[at]) - int(v) })
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
			out = append(out, i)
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
	for id := 1; id < n; id++ {
		set := in.set(policy.SetID(id))
		for _, at := range [...]struct {
			sets []*policy.Set
			sp   *space
			set  func(id policy.SetID, was, now *policy.Set)
		}{{s.atAddress, s.addresses.space, func(id policy.SetID, was, now *policy.Set) {
			s.addresses.setSet(id, was, now, s.endpoints)
		}}, {s.atPoint, s.points.space, s.points.setSet}} {
			now := set
			if len(at.sp.users[id]) == 0 {
				now = nil
			}
			if was := at.sets[id]; was != now {
				at.set(policy.SetID(id), was, now)
				at.sets[id] = now
			}
		}
	}
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
		if sp.dead > len(sp.classes)/2+1024 {
			return true
		}
	}
	return false
}
