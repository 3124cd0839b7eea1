package node

import "github.com/sluice-net/sluice/lb"

// Services returns the state of load balancing.
func (n *Node) Services() *lb.State { return n.services }
