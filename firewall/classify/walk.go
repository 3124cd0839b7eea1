package classify

// step returns where a point goes on from a node. Counting the bounds that it has passed takes no branch,
// for which way it goes can't be predicted.
func (n *node) step(p *point) uint32 {
	x := uint64(p[n[7]&7])
	i := (uint64(n[0]) - x - 1) >> 63
	i += (uint64(n[1]) - x - 1) >> 63
	i += (uint64(n[2]) - x - 1) >> 63
	i += (uint64(n[3]) - x - 1) >> 63
	i += (uint64(n[4]) - x - 1) >> 63
	i += (uint64(n[5]) - x - 1) >> 63
	i += (uint64(n[6]) - x - 1) >> 63
	return n[(8+i)&15]
}

// holds reports whether a point is in an entry, as far as that says.
func (e *entry) holds(p *point, family uint32) bool {
	out := uint64(e.size[0]) - uint64(p[e.meta&7]-e.lo[0])
	out |= uint64(e.size[1]) - uint64(p[e.meta>>3&7]-e.lo[1])
	out |= uint64(e.size[2]) - uint64(p[e.meta>>6&7]-e.lo[2])
	out |= uint64(e.meta>>entryFamilies&family) - 1
	return out>>63 == 0
}

// walk returns the slot of the first rule of a tree that holds a point; 0 is none.
func (t *Table) walk(ref uint32, p *point, family uint32) uint32 {
	for ref&leafRef == 0 {
		if ref == 0 {
			return 0
		}
		ref = t.nodes[ref].step(p)
	}
	return t.scan(ref&^leafRef, p, family)
}

// scan returns the slot of the first entry of a leaf that holds a point; 0 is none.
func (t *Table) scan(at uint32, p *point, family uint32) uint32 {
	for {
		e := &t.entries[at]
		if e.holds(p, family) && (e.meta&(entryAsk|entryMore) == 0 || t.confirms(at, p, family)) {
			return e.slot
		}
		if e.meta&entryLast != 0 {
			return 0
		}
		at += 1 + e.meta>>entryMoreBit&1
	}
}

// confirms reports whether what an entry leaves to others holds a point, too.
func (t *Table) confirms(at uint32, p *point, family uint32) bool {
	e := &t.entries[at]
	return (e.meta&entryMore == 0 || t.entries[at+1].holds(p, family)) && (e.meta&entryAsk == 0 || t.rule(e.slot).holds(p, e.meta&entryAsk>>entryDims))
}
