package node

import (
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
)

// ruleHits are what each rule has decided, by ID. Workers go on counting meanwhile.
func (n *Node) ruleHits() map[uint32]api.Hits {
	n.closing.RLock()
	defer n.closing.RUnlock()
	if n.table == nil || n.rules == nil {
		return nil
	}
	counts := n.rules.Rules(n.table)
	hits := make(map[uint32]api.Hits, len(counts))
	for id, c := range counts {
		h := api.Hits{Packets: positive(c.Packets), Bytes: positive(c.Bytes), Sessions: c.Sessions}
		if c.LastHit != 0 {
			h.LastHit = time.Unix(0, dataplane.WallClock(c.LastHit)).UTC().Truncate(time.Millisecond)
			h.LastHitAge = since(c.LastHit)
		}
		hits[id] = h
	}
	return hits
}

// positive is a sum of counts that are moved from one rule to another while they are read: it may lack what has
// already been taken away and not been given yet.
func positive(sum uint64) uint64 { return uint64(max(int64(sum), 0)) }
