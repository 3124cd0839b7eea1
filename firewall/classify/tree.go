package classify

import (
	"math"
	"math/bits"
	"slices"
)

// The dimensions of the box that a rule is: numbers that a packet has one of each.
const (
	dimPoint   = iota // label of the port's class; the uppermost bit is the direction
	dimSrc            // label of the class
	dimDst            // likewise
	dimService        // protocol << 16 | destination port
	dimSrcPort
	dimensions
)

// point is a packet as trees see it, with room for any index of three bits.
type point [8]uint32

// node is a cut of one dimension into up to eight parts, in one cache line:
//
//	[0..6]  where the 2nd to 8th part begin; those that are not there, at the largest number
//	[7]     the dimension
//	[8..15] where each part goes on: a reference
type node [16]uint32

// absent is where a part begins that is not there; no number is as large.
const absent = math.MaxUint32

// A reference leads to a node or, with the uppermost bit, to the first entry of a leaf; 0 is a
// leaf without entries.
const leafRef = 1 << 31

// entry is a rule in a leaf, as far as the way to the leaf has not answered for it: half a cache line.
// It matches if all three numbers are in their ranges and the family is right; and, with entryAsk,
// if the rule itself says so too.
type entry struct {
	lo, size [3]uint32 // size is that of the range less one
	slot     uint32
	meta     uint32 // dimensions of the ranges, 3 bits each; families; flags
}

const (
	entryFamilies = 9       // shift: bits as policy.Families
	entryLast     = 1 << 12 // of the leaf
	entryMore     = 1 << entryMoreBit
	entryMoreBit  = 13 // the next entry has more ranges of the same rule: both have to match

	entryDims = 14 // shift: bits of the dimensions in which the ranges are wider than the rule is
	entryAsk  = (1<<dimensions - 1) << entryDims
)

// arena holds the nodes and entries of all trees. It only grows: Tables before have the front part of
// the same memory, or of what it was before it was moved.
type arena struct {
	nodes   []node
	entries []entry
}

// weight is how much of an arena a tree has, and the longest way through it.
type weight struct {
	nodes, entries int
	depth          int // memory accesses, by cache lines; see leafCost
}

// item is a rule, or one of its services, on its way down to leaves.
type item struct {
	slot, atom uint32
	open       uint8 // bits of the dimensions in which it does not cover the region
}

// builder makes trees. Its scratch memory is kept.
type builder struct {
	arena   *arena
	rules   func(slot uint32) *rule
	bounds  []uint32
	sample  []item
	chosen  [7]uint32
	made    weight
	dropped weight // what renew has replaced
}

const (
	leafSize = 4 // that many entries are not cut any more
	// sampled is how many items are looked at to find a good cut.
	sampled         = 512
	budgetFactor    = 32
	weightOfLargest = 2
	// spansSampled is how many spans of one item.
	spansSampled = 64
	// expanded is how many entries an item may become in one leaf before its rule is asked instead.
	expanded = 4
)

// wayOfAsk is how many memory accesses asking a rule about some dimensions takes: the page, the rule, and for each
// of its spans that matter a search.
func (r *rule) wayOfAsk(dims uint32) int {
	n := 1 + 2
	for d, s := range r.dims {
		if dims>>d&1 != 0 {
			n += searchCost(s)
		}
	}
	if dims>>dimService == 0 {
		return n
	}
	for i := range r.atoms {
		n += 1 + searchCost(r.atoms[i].service) + searchCost(r.atoms[i].srcPort)
	}
	return n
}

// searchCost is how many cache lines a binary search touches: the last three steps share one.
func searchCost(s spans) int { return max(1, bits.Len(uint(len(s)))-2) }

// build makes the tree of items, which are in the order of evaluation, and returns where it begins.
func (b *builder) build(items []item, settled uint8) (uint32, weight) {
	b.made = weight{}
	items, region := b.begin(items, settled)
	ref := b.tree(items, &region, budgetOf(items), 1)
	return ref, b.made
}

func budgetOf(items []item) int { return budgetFactor*len(items) + 256 }

// begin returns the whole region, and the items with what is open in it; it writes items.
func (b *builder) begin(items []item, settled uint8) ([]item, [dimensions]span) {
	region := [dimensions]span{}
	for d := range region {
		region[d] = span{0, topLabel}
	}
	region[dimService].hi, region[dimSrcPort].hi = 1<<24-1, 1<<16-1
	open := items[:0]
	for _, it := range items {
		it.open = 0
		for d := range dimensions {
			if settled>>d&1 == 0 && !covers(b.spans(it, d), region[d]) {
				it.open |= 1 << d
			}
		}
		open = append(open, it)
		if b.certain(it) {
			break
		}
	}
	return open, region
}

func covers(s spans, r span) bool {
	in := s.within(r)
	return len(in) == 1 && in[0].lo <= r.lo && in[0].hi >= r.hi
}

// certain reports whether an item matches everything in its region.
func (b *builder) certain(it item) bool {
	return it.open == 0 && b.rules(it.slot).families == bothFamilies
}

func (b *builder) spans(it item, d int) spans {
	r := b.rules(it.slot)
	switch d {
	case dimService:
		return r.atoms[it.atom].service
	case dimSrcPort:
		return r.atoms[it.atom].srcPort
	}
	return r.dims[d]
}

// tree makes what items are in a region, with at most so many entries.
func (b *builder) tree(items []item, region *[dimensions]span, budget, depth int) uint32 {
	if len(items) == 0 {
		return 0
	}
	if len(items) <= leafSize {
		return b.leaf(items, region, depth)
	}
	dim, parts, ok := b.cut(items, region)
	if !ok {
		return b.leaf(items, region, depth)
	}
	var n node
	bounds := b.chosen
	for i := range 7 {
		n[i] = absent
		if i < parts-1 {
			n[i] = bounds[i]
		}
	}
	n[7] = uint32(dim)
	var children [8][]item
	total := 0
	for i := range parts {
		children[i] = b.part(items, region, dim, b.bounded(&bounds, region, dim, i, parts))
		total += len(children[i])
	}
	if total > budget {
		return b.leaf(items, region, depth)
	}
	at := len(b.arena.nodes)
	b.arena.nodes = append(b.arena.nodes, node{})
	b.made.nodes++
	inner := *region
	for i := range parts {
		inner[dim] = b.bounded(&bounds, region, dim, i, parts)
		n[8+i] = b.tree(children[i], &inner, budget*len(children[i])/max(1, total), depth+1)
	}
	// A number at the very top is behind all bounds, those too that are not there.
	for i := parts; i < 8; i++ {
		n[8+i] = n[8+parts-1]
	}
	b.arena.nodes[at] = n
	return uint32(at)
}

// bounded returns the numbers of one part of a cut.
func (b *builder) bounded(bounds *[7]uint32, region *[dimensions]span, dim, i, parts int) span {
	r := region[dim]
	if i > 0 {
		r.lo = bounds[i-1]
	}
	if i < parts-1 {
		r.hi = bounds[i] - 1
	}
	return r
}

// part returns the items that are in a part of a region, up to the first that leaves nothing to
// those behind it.
func (b *builder) part(items []item, region *[dimensions]span, dim int, r span) []item {
	out := make([]item, 0, len(items)/2+1)
	for _, it := range items {
		if it.open>>dim&1 != 0 {
			in := b.spans(it, dim).within(r)
			if len(in) == 0 {
				continue
			}
			if in[0].lo <= r.lo && in[0].hi >= r.hi {
				it.open &^= 1 << dim
			}
		}
		out = append(out, it)
		if b.certain(it) {
			break
		}
	}
	return out
}

// cut chooses how to cut a region: the dimension in which the largest part is the smallest, and
// after that all parts together. The bounds are in chosen then.
func (b *builder) cut(items []item, region *[dimensions]span) (dim, parts int, ok bool) {
	b.sample = b.sample[:0]
	step := len(items)/sampled + 1
	for i := 0; i < len(items); i += step {
		b.sample = append(b.sample, items[i])
	}
	best := 8*weightOfLargest*(len(b.sample)*4/5) + 8*len(b.sample) // a cut has to be worth its node
	var bounds [7]uint32
	for d := range dimensions {
		k := b.quantiles(d, region[d], &bounds)
		if k == 0 {
			continue
		}
		var sizes [8]int
		for _, it := range b.sample {
			touched := uint8(1)<<(k+1) - 1
			if it.open>>d&1 != 0 {
				touched = b.touched(it, d, region[d], bounds[:k])
			}
			for touched != 0 {
				sizes[bits.TrailingZeros8(touched)]++
				touched &= touched - 1
			}
		}
		largest, sum := 0, 0
		for _, s := range sizes {
			largest = max(largest, s)
			sum += s
		}
		if cost := 8*largest*weightOfLargest + sum; cost < best {
			best, dim, parts, ok = cost, d, k+1, true
			b.chosen = bounds
		}
	}
	return dim, parts, ok
}

// quantiles sets up to seven bounds, which leave as many edges of the sample's items between them, and
// returns how many they are.
func (b *builder) quantiles(d int, r span, bounds *[7]uint32) (k int) {
	b.bounds = b.bounds[:0]
	for _, it := range b.sample {
		if it.open>>d&1 == 0 {
			continue
		}
		in := b.spans(it, d).within(r)
		step := len(in)/spansSampled + 1
		for i := 0; i < len(in); i += step {
			if in[i].lo > r.lo {
				b.bounds = append(b.bounds, in[i].lo)
			}
			if in[i].hi < r.hi {
				b.bounds = append(b.bounds, in[i].hi+1)
			}
		}
	}
	if len(b.bounds) == 0 {
		return 0
	}
	slices.Sort(b.bounds)
	for i := 1; i <= 7; i++ {
		x := b.bounds[min(i*len(b.bounds)/8, len(b.bounds)-1)]
		if k == 0 || x > bounds[k-1] {
			bounds[k] = x
			k++
		}
	}
	return k
}

// touched returns the parts that an item is in, as bits.
func (b *builder) touched(it item, d int, r span, bounds []uint32) (out uint8) {
	for _, x := range b.spans(it, d).within(r) {
		first, last := 0, 0
		for _, at := range bounds {
			if x.lo >= at {
				first++
			}
			if x.hi >= at {
				last++
			}
		}
		out |= 1<<(last+1) - 1<<first
		if out == 1<<(len(bounds)+1)-1 {
			break
		}
	}
	return out
}

// leaf writes the entries of a region.
func (b *builder) leaf(items []item, region *[dimensions]span, depth int) uint32 {
	at := len(b.arena.entries)
	asked := 0
	for _, it := range items {
		if dims := b.write(it, region); dims != 0 {
			asked += b.rules(it.slot).wayOfAsk(dims)
		}
	}
	n := len(b.arena.entries) - at
	last := len(b.arena.entries) - 1
	if last > at && b.arena.entries[last-1].meta&entryMore != 0 {
		last--
	}
	b.arena.entries[last].meta |= entryLast
	b.made.entries += n
	b.made.depth = max(b.made.depth, depth-1+lines(at, n)+asked)
	return uint32(at) | leafRef
}

// lines returns how many cache lines so many entries lie in.
func lines(at, n int) int { return (at+n+1)/2 - at/2 }

// write adds the entries of one item, and returns, as bits, the dimensions that they leave to the rule.
func (b *builder) write(it item, region *[dimensions]span) (ask uint32) {
	r := b.rules(it.slot)
	var boxes [expanded][]dimSpan
	count := 1
	for d := range dimensions {
		if it.open>>d&1 == 0 {
			continue
		}
		in := b.spans(it, d).and(region[d])
		if len(in)*count > expanded {
			in = spans{{in[0].lo, in[len(in)-1].hi}}
			ask |= 1 << d
		}
		for i := len(in)*count - 1; i >= 0; i-- {
			boxes[i] = append(slices.Clone(boxes[i/len(in)]), dimSpan{d, in[i%len(in)]})
		}
		count *= len(in)
	}
	for _, box := range boxes[:count] {
		for first := true; first || len(box) > 0; first = false {
			e := entry{slot: it.slot, meta: uint32(r.families) << entryFamilies}
			for i := range e.lo {
				e.size[i] = math.MaxUint32
				if i < len(box) {
					e.lo[i], e.size[i] = box[i].lo, box[i].hi-box[i].lo
					e.meta |= uint32(box[i].dim) << (3 * i)
				}
			}
			if box = box[min(3, len(box)):]; len(box) > 0 {
				e.meta |= entryMore
			}
			e.meta |= ask << entryDims
			b.arena.entries = append(b.arena.entries, e)
		}
	}
	return ask
}

// dimSpan is a range of one dimension.
type dimSpan struct {
	dim int
	span
}
