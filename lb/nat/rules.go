package nat

import (
	"math/bits"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Rules finds the NAT rule that holds for a connection. It is immutable.
type Rules struct {
	destination, source map[uint32]*classifier // by scope
}

// NewRules compiles rules, which are in the order of evaluation.
func NewRules(rules []*service.NATRule) *Rules {
	byScope := [2]map[uint32][]condition{{}, {}}
	for _, r := range rules {
		for i, c := range [2]func(*service.NATRule) (condition, bool){entering, leaving} {
			if x, ok := c(r); ok {
				byScope[i][r.Scope] = append(byScope[i][r.Scope], x)
			}
		}
	}
	r := &Rules{destination: make(map[uint32]*classifier, len(byScope[0])), source: make(map[uint32]*classifier, len(byScope[1]))}
	for scope, c := range byScope[0] {
		r.destination[scope] = newClassifier(c)
	}
	for scope, c := range byScope[1] {
		r.source[scope] = newClassifier(c)
	}
	return r
}

// Destination returns the first rule that holds for a connection that enters by the uplink with a number, in an address
// space, and what its destination becomes: k's own if the rule is one of NoDNAT. It returns nil and k's own if there is none.
func (r *Rules) Destination(scope uint32, uplink uint16, k *packet.Key) (*service.NATRule, packet.Addr, uint16) {
	c := r.destination[scope]
	if c == nil {
		return nil, k.Dst, k.DstPort()
	}
	rule := c.first(uplink, k)
	if rule == nil {
		return nil, k.Dst, k.DstPort()
	}
	switch rule.Action {
	case service.DNAT:
		return rule, spread(rule, k), portOf(rule, k)
	case service.Reflexive:
		return rule, moved(k.Dst, rule.To, rule.Inside), k.DstPort()
	}
	return rule, k.Dst, k.DstPort()
}

// Source returns the first rule that holds for a connection that leaves by the uplink with a number, in an address
// space, its destination being translated already; and what its source becomes: k's own if there is no such rule, or one
// of NoSNAT, or of SNAT, whose pool is to be asked.
func (r *Rules) Source(scope uint32, uplink uint16, k *packet.Key) (*service.NATRule, packet.Addr, uint16) {
	c := r.source[scope]
	if c == nil {
		return nil, k.Src, k.SrcPort()
	}
	rule := c.first(uplink, k)
	if rule != nil && rule.Action == service.Reflexive {
		return rule, moved(k.Src, rule.Inside, rule.To), k.SrcPort()
	}
	return rule, k.Src, k.SrcPort()
}

// The dimensions in which rules have conditions.
const (
	dimSrc = iota
	dimDst
	dimProto
	dimSrcPort
	dimDstPort
	dimUplink
	dimensions
)

// condition is a rule as a box: in each dimension the intervals one of which a connection has to be in.
// nil is everything.
type condition struct {
	rule  *service.NATRule
	spans [dimensions][]interval
}

// classifier finds the first of a list of rules by intersecting sets of rules (Lakshman and Stiliadis, "High-speed
// policy-based packet forwarding using efficient multi-dimensional range matching", SIGCOMM 1998): in each
// dimension, the ends of all intervals cut the numbers into spans, and each span has the set of rules that hold there. What
// a lookup costs follows from the number of rules alone: a binary search for each dimension that some rule has a
// condition in, and in the worst case a word of each set for 64 rules.
//
// A set is preceded by its summary, a bit for each word that is not 0, so that few words are looked at (Baboescu and
// Varghese, "Scalable packet classification", SIGCOMM 2001):
//
//	| summary: a bit for 64 rules | set: a bit for each rule |
type classifier struct {
	rules   []*service.NATRule
	dims    []dimension
	summary int // words of a summary
}

// dimension is the sets of the spans of one dimension; equal ones are kept once.
type dimension struct {
	which int
	spans spans    // labels: where the span's set begins
	sets  []uint64 // summaries and sets
}

// newClassifier returns one that finds the first of conditions.
func newClassifier(conditions []condition) *classifier {
	words := (len(conditions) + 63) / 64
	c := &classifier{summary: (words + 63) / 64, rules: make([]*service.NATRule, len(conditions))}
	for i := range conditions {
		c.rules[i] = conditions[i].rule
	}
	for which := range dimensions {
		if d, needed := newDimension(which, conditions, c.summary, words); needed {
			c.dims = append(c.dims, d)
		}
	}
	return c
}

// newDimension sweeps over the numbers: at each edge some rules begin to hold, and others end.
func newDimension(which int, conditions []condition, summary, words int) (d dimension, needed bool) {
	var all []interval
	set := make([]uint64, words)
	for i := range conditions {
		x := conditions[i].spans[which]
		all = append(all, x...)
		if x == nil {
			set[i/64] |= 1 << (i % 64)
		} else {
			needed = true
		}
	}
	if !needed {
		return d, false
	}
	d = dimension{which: which, spans: spans{begins: edges(all)}}
	// changes[s] are the rules one interval of which begins or ends with span s; how many hold a rule is counted, for
	// its intervals may overlap.
	type change struct {
		rule int32
		by   int32
	}
	n := len(d.spans.begins) + 1
	changes := make([][]change, n+1)
	for i := range conditions {
		for _, x := range conditions[i].spans[which] {
			first, end := d.spans.within(x)
			changes[first] = append(changes[first], change{int32(i), 1})
			changes[end] = append(changes[end], change{int32(i), -1})
		}
	}
	holding := make([]int32, len(conditions))
	known := map[uint64][]uint32{}
	d.spans.labels = make([]uint32, n)
	for s := range n {
		for _, x := range changes[s] {
			holding[x.rule] += x.by
		}
		for _, x := range changes[s] {
			bit := uint64(1) << (x.rule % 64)
			if holding[x.rule] > 0 {
				set[x.rule/64] |= bit
			} else {
				set[x.rule/64] &^= bit
			}
		}
		d.spans.labels[s] = d.add(set, summary, known)
	}
	return d, true
}

// add returns where a set begins, after its summary, among those of the dimension.
func (d *dimension) add(set []uint64, summary int, known map[uint64][]uint32) uint32 {
	hash := uint64(0)
	for _, w := range set {
		hash = mix(hash ^ w)
	}
next:
	for _, at := range known[hash] {
		for i, w := range set {
			if d.sets[int(at)+summary+i] != w {
				continue next
			}
		}
		return at
	}
	at := len(d.sets)
	d.sets = append(d.sets, make([]uint64, summary)...)
	d.sets = append(d.sets, set...)
	for i, w := range set {
		if w != 0 {
			d.sets[at+i/64] |= 1 << (i % 64)
		}
	}
	known[hash] = append(known[hash], uint32(at))
	return uint32(at)
}

// first returns the first rule that holds, or nil.
func (c *classifier) first(uplink uint16, k *packet.Key) *service.NATRule {
	values := [dimensions]number{
		dimSrc: numberOf(k.Src), dimDst: numberOf(k.Dst), dimProto: {lo: uint64(k.Proto())},
		dimSrcPort: {lo: uint64(k.SrcPort())}, dimDstPort: {lo: uint64(k.DstPort())}, dimUplink: {lo: uint64(uplink)},
	}
	var at [dimensions]uint32
	for i := range c.dims {
		at[i] = c.dims[i].spans.find(values[c.dims[i].which])
	}
	for s := range c.summary {
		candidates := ^uint64(0)
		for i := range c.dims {
			candidates &= c.dims[i].sets[int(at[i])+s]
		}
		for ; candidates != 0; candidates &= candidates - 1 {
			word := s*64 + bits.TrailingZeros64(candidates)
			hold := ^uint64(0)
			for i := range c.dims {
				hold &= c.dims[i].sets[int(at[i])+c.summary+word]
			}
			if hold != 0 {
				if n := word*64 + bits.TrailingZeros64(hold); n < len(c.rules) {
					return c.rules[n]
				}
			}
		}
	}
	return nil
}
