package node

import (
	"github.com/sluice-net/sluice/api"
)

// ruleHits are what each rule has decided, by ID.
func (n *Node) ruleHits() map[uint32]api.Hits { return nil }
