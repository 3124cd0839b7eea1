package firewall

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/relaxed"
)

// RuleCount is what a rule has decided so far.
type RuleCount struct {
	Packets  uint64 // of sessions that it let through, both directions; and those that it dropped
	Bytes    uint64 // of whole frames, without FCS
	Sessions uint64 // begun
	LastHit  int64  // ns, of the last packet; 0 if there was none
}

func (c *RuleCount) add(o RuleCount) {
	c.Packets += o.Packets
	c.Bytes += o.Bytes
	c.Sessions += o.Sessions
	c.LastHit = max(c.LastHit, o.LastHit)
}

// counters are one worker's counts by rule ID. Packets of a session are counted in its flow
// entries, and come here when the session ends, or when another rule takes it over. Then
// the old rule is credited with all packets so far and the new one is debited
// as many, for at the end it will be credited with all: sums are right at any time, though
// a single counter may be below zero.
type counters struct {
	pages atomic.Pointer[[]*countPage] // by ID >> countBits; grown by Compile
}

type countPage [1 << countBits]RuleCount

const countBits = 8

// makeRoom makes room for rules with IDs on the pages that are wanted, while the worker counts. Pages that are neither wanted
// nor kept are given up: IDs go on and on as rules come and go.
func (c *counters) makeRoom(wanted, kept map[int]bool) {
	have := c.pages.Load()
	var next []*countPage
	if have != nil {
		next = slices.Clone(*have)
	}
	changed := false
	for page := range wanted {
		for len(next) <= page {
			next = append(next, nil)
		}
		if next[page] == nil {
			next[page], changed = new(countPage), true
		}
	}
	for page := range next {
		if next[page] != nil && !wanted[page] && !kept[page] {
			next[page], changed = nil, true
		}
	}
	if changed {
		c.pages.Store(&next)
	}
}

// of returns the counter of a rule, nil if there is none.
func (c *counters) of(rule uint32) *RuleCount {
	pages := c.pages.Load()
	if pages == nil {
		return nil
	}
	if page := int(rule >> countBits); page < len(*pages) && (*pages)[page] != nil {
		return &(*pages)[page][rule&(1<<countBits-1)]
	}
	return nil
}

// packets adds to a rule's packets and bytes; by the worker alone.
func (c *counters) packets(rule uint32, packets, bytes uint64) {
	if n := c.of(rule); n != nil {
		relaxed.Add(&n.Packets, packets)
		relaxed.Add(&n.Bytes, bytes)
	}
}

// hit notes that a rule has decided something; by the worker alone.
func (c *counters) hit(rule uint32, now int64) {
	if n := c.of(rule); n != nil {
		relaxed.Store(&n.LastHit, now)
	}
}

// begun counts a session; by the worker alone.
func (c *counters) begun(rule uint32) {
	if n := c.of(rule); n != nil {
		relaxed.Add(&n.Sessions, 1)
	}
}

// read returns what is counted; any goroutine.
func (n *RuleCount) read() RuleCount {
	return RuleCount{
		Packets: atomic.LoadUint64(&n.Packets), Bytes: atomic.LoadUint64(&n.Bytes),
		Sessions: atomic.LoadUint64(&n.Sessions), LastHit: atomic.LoadInt64(&n.LastHit),
	}
}

// Rules returns what each rule has decided so far, by ID, those of the policy before and of live sessions included; any
// goroutine. It looks at every live session of the table.
func (s *State) Rules(t *flowtable.Table) map[uint32]RuleCount {
	sum := map[uint32]RuleCount{}
	add := func(rule uint32, n RuleCount) {
		if rule != 0 && n != (RuleCount{}) {
			total := sum[rule]
			total.add(n)
			sum[rule] = total
		}
	}
	for i := range s.workers {
		pages := s.workers[i].counters.pages.Load()
		if pages == nil {
			continue
		}
		for p, page := range *pages {
			if page == nil {
				continue
			}
			for j := range page {
				add(uint32(p<<countBits|j), page[j].read())
			}
		}
	}
	t.Sessions(func(r *flowtable.Record) bool {
		eachRule(r, func(rule uint32, packets, bytes uint64) {
			add(rule, RuleCount{Packets: packets, Bytes: bytes, LastHit: r.Last})
		})
		return true
	})
	return sum
}

// eachRule visits the rules that a session's packets were let through by, with what each
// direction has seen. A rule that did so at both ends is visited once.
func eachRule(r *flowtable.Record, visit func(rule uint32, packets, bytes uint64)) {
	for d := range r.Packets {
		egress, ingress := r.EgressRule[d], r.IngressRule[d]
		visit(egress, r.Packets[d], r.Bytes[d])
		if ingress != egress {
			visit(ingress, r.Packets[d], r.Bytes[d])
		}
	}
}
