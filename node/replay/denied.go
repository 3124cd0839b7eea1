package replay

import (
	"cmp"
	"slices"

	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/packet"
)

// denials are the connections that rules have refused, by who asked for what: a line of flows.jsonl each.
type denials struct {
	byKey map[denialKey]*export.Denial
	order []*export.Denial // of their first packets
}

type denialKey struct {
	port uint16
	key  packet.Key
	rule uint32
}

// deny notes a packet that a rule has refused.
func (o *output) deny(port uint16, rule uint32, in *packet.Info, r packet.Reason, size int) {
	if !in.Has(packet.IsIP) {
		return
	}
	k := denialKey{port, in.Key, rule}
	d := o.denied.byKey[k]
	if d == nil {
		if o.denied.byKey == nil {
			o.denied.byKey = map[denialKey]*export.Denial{}
		}
		d = &export.Denial{Key: in.Key, Rule: rule, Reason: r, Start: o.run.clock.now}
		o.denied.byKey[k] = d
		o.denied.order = append(o.denied.order, d)
	}
	d.Last = o.run.clock.now
	d.Packets++
	d.Bytes += uint64(size)
}

// sorted returns them by the time of their last packets; of equal ones the first to come is first.
func (d *denials) sorted() []*export.Denial {
	slices.SortStableFunc(d.order, func(a, b *export.Denial) int { return cmp.Compare(a.Last, b.Last) })
	return d.order
}
