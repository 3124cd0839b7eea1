package classify

import (
	"errors"
	"fmt"
	"slices"
)

// Compiler makes Tables of Inputs that follow each other, doing anew only what has
// changed. It is for one goroutine at a time.
type Compiler struct {
	s     *state // nil after an error
	large int    // see state
}

// NewCompiler returns a Compiler without a past.
func NewCompiler() *Compiler { return &Compiler{large: largeCell} }

// largeCell is state.large: making a tree of so many rules takes about 0.1 ms.
const largeCell = 128

// Compile makes the Table of an Input. Tables are immutable and may be used while others are compiled.
// It fails if there are more rules than can be numbered.
func (c *Compiler) Compile(in *Input) (*Table, error) {
	s := c.s
	c.s = nil
	err := errCrowded
	if s != nil && s.ethernet == in.Ethernet && len(s.tiers) == len(in.Tiers) {
		err = s.advance(in, false)
	}
	if errors.Is(err, errCrowded) || s != nil && s.wasteful() {
		s = newState(in, c.large)
		err = s.advance(in, true)
	}
	if err != nil {
		return nil, err
	}
	if len(s.arena.nodes) >= leafRef || len(s.arena.entries) >= leafRef {
		return nil, fmt.Errorf("rules need %d entries in %d trees, which is more than can be numbered: use groups in place of single addresses and ports",
			len(s.arena.entries), len(s.arena.nodes))
	}
	if slack := 32 * s.large; 2*s.garbage.nodes > len(s.arena.nodes)+slack || 2*s.garbage.entries > len(s.arena.entries)+slack {
		s.compact()
	}
	c.s = s
	return s.table(), nil
}

// compact moves all trees to a new arena, which has no garbage. Tables before keep the old one.
func (s *state) compact() {
	old := s.arena
	s.arena = arena{
		nodes:   make([]node, 1, len(old.nodes)),
		entries: make([]entry, 0, len(old.entries)),
	}
	s.garbage = weight{}
	moved := map[uint32]uint32{0: 0}
	for _, t := range s.tiers {
		for _, cs := range t.cells {
			for key, c := range cs.cells {
				if c == nil {
					continue
				}
				ref, found := moved[c.ref]
				if !found {
					ref = s.arena.take(&old, c.ref)
					moved[c.ref] = ref
				}
				cs.refs[key] = ref
			}
		}
	}
	for _, t := range s.tiers {
		for _, cs := range t.cells {
			for key, c := range cs.cells {
				if c != nil {
					c.ref = cs.refs[key]
				}
			}
		}
	}
}

// take copies a tree from another arena.
func (a *arena) take(from *arena, ref uint32) uint32 {
	if ref == 0 {
		return 0
	}
	if ref&leafRef != 0 {
		at := len(a.entries)
		for i := ref &^ leafRef; ; i++ {
			e := from.entries[i]
			a.entries = append(a.entries, e)
			if e.meta&entryMore != 0 {
				i++
				a.entries = append(a.entries, from.entries[i])
			}
			if e.meta&entryLast != 0 {
				return uint32(at) | leafRef
			}
		}
	}
	at := len(a.nodes)
	n := from.nodes[ref]
	a.nodes = append(a.nodes, n)
	for i := 8; i < len(n); i++ {
		if i > 8 && from.nodes[ref][i] == from.nodes[ref][i-1] {
			n[i] = n[i-1]
			continue
		}
		n[i] = a.take(from, n[i])
	}
	a.nodes[at] = n
	return uint32(at)
}

// table returns what there is as a Table.
func (s *state) table() *Table {
	a := s.addresses
	t := &Table{
		trie: a.trie, bound: a.bound,
		nodes: s.arena.nodes, entries: s.arena.entries,
		pages: slices.Clone(s.pages), ranks: s.ranks,
		ports: uint32(len(s.points.class)),
	}
	clear(s.fresh)
	t.stats = Stats{Classes: len(a.space.classes), Points: len(s.points.space.classes)}
	rules := 0
	for _, old := range s.tiers {
		rules += len(old.order)
		tier := tierTable{
			ports:   make([]portRecord, 2*len(s.points.class)+2),
			classes: make([]classRecord, len(a.space.classes)),
			service: old.cells[homeService].refs[0],
			rest:    old.cells[homeRest].refs[0],
		}
		point := old.cells[homePoint].refs
		for i := range tier.ports {
			c := uint32(0)
			if i>>1 < len(s.points.class) {
				c = s.points.class[i>>1]
			}
			dir := uint32(i & 1)
			tier.ports[i] = portRecord{s.points.space.classes[c].label + dir*outPoints, point[c<<1|dir]}
		}
		src, dst := old.cells[homeSrc].refs, old.cells[homeDst].refs
		for i := range tier.classes {
			tier.classes[i] = classRecord{label: a.space.classes[i].label, src: src[i], dst: dst[i]}
		}
		deepest := 3 // a port and two classes
		for _, cs := range old.cells {
			worst := uint16(0)
			for i, d := range cs.depth {
				worst = max(worst, d)
				if d > 0 && cs.cells[i] != nil {
					t.stats.Trees++
				}
			}
			deepest += int(worst)
			if worst > 0 {
				deepest++ // its place among those of the other trees
			}
		}
		t.stats.Deepest = max(t.stats.Deepest, deepest)
		t.stats.Memory += 8*len(tier.ports) + 16*len(tier.classes)
		t.tiers = append(t.tiers, tier)
	}
	t.stats.Rules = rules
	t.stats.Memory += 64*len(t.nodes) + 32*len(t.entries) + 4*len(t.ranks) +
		a.trie.size() + 32*len(a.bound.slots)
	return t
}
