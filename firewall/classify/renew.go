package classify

// renew makes a tree of items of another, which differs from it in the rules that are given: as they were, and
// as they are. Cuts stay as they are, and subtrees that no rule touches are shared. What of the tree
// is not in the new one is counted in dropped.
func (b *builder) renew(ref uint32, items []item, settled uint8, touched []*rule) (uint32, weight) {
	b.made, b.dropped = weight{}, weight{}
	items, region := b.begin(items, settled)
	ref = b.renewed(ref, items, &region, settled, touched, 1)
	return ref, b.made
}

func (b *builder) renewed(ref uint32, items []item, region *[dimensions]span, settled uint8, touched []*rule, depth int) uint32 {
	var here []*rule
	for _, r := range touched {
		if r.touches(region, settled) {
			here = append(here, r)
		}
	}
	if len(here) == 0 {
		return ref
	}
	if ref == 0 || ref&leafRef != 0 || len(items) <= leafSize {
		b.drop(ref)
		return b.tree(items, region, budgetOf(items), depth)
	}
	n := b.arena.nodes[ref]
	b.dropped.nodes++
	at := len(b.arena.nodes)
	b.arena.nodes = append(b.arena.nodes, node{})
	b.made.nodes++
	dim, parts := n.cut()
	var bounds [7]uint32
	copy(bounds[:], n[:7])
	inner := *region
	for i := range parts {
		inner[dim] = b.bounded(&bounds, region, dim, i, parts)
		n[8+i] = b.renewed(n[8+i], b.part(items, region, dim, inner[dim]), &inner, settled, here, depth+1)
	}
	for i := parts; i < 8; i++ {
		n[8+i] = n[8+parts-1]
	}
	b.arena.nodes[at] = n
	return uint32(at)
}

// cut returns what a node cuts, and into how many parts.
func (n *node) cut() (dim, parts int) {
	parts = 8
	for parts > 1 && n[parts-2] == absent {
		parts--
	}
	return int(n[7]), parts
}

// drop counts a subtree as dropped.
func (b *builder) drop(ref uint32) {
	switch {
	case ref == 0:
	case ref&leafRef != 0:
		for at := ref &^ leafRef; ; {
			e := &b.arena.entries[at]
			step := 1 + e.meta>>entryMoreBit&1
			b.dropped.entries += int(step)
			if e.meta&entryLast != 0 {
				return
			}
			at += step
		}
	default:
		b.dropped.nodes++
		n := b.arena.nodes[ref]
		_, parts := n.cut()
		for _, child := range n[8 : 8+parts] {
			b.drop(child)
		}
	}
}

// touches reports whether a rule may have a point in a region, dimensions that are settled apart.
func (r *rule) touches(region *[dimensions]span, settled uint8) bool {
	for d := range r.dims {
		if settled>>d&1 == 0 && len(r.dims[d].within(region[d])) == 0 {
			return false
		}
	}
	for i := range r.atoms {
		if len(r.atoms[i].service.within(region[dimService])) > 0 && len(r.atoms[i].srcPort.within(region[dimSrcPort])) > 0 {
			return true
		}
	}
	return false
}
