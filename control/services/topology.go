package services

import "slices"

// candidate is who may be a member, before it is decided for whom.
type candidate struct {
	endpoint
	port  uint16
	local bool
}

// rank orders what two objects say of one endpoint: the best holds.
func (c *candidate) rank() int {
	switch {
	case c.ready:
		return 2
	case c.serving && c.terminating:
		return 1
	}
	return 0
}

// closest leaves of the endpoints of one family those that connections are to go to for where they are, as kube-proxy
// does (pkg/proxy/topology.go, CategorizeEndpoints and topologyModeFromHints): hints count if all endpoints that are ready have
// some, and one of these is for this node, or else for its zone. What is not ready stays in any case: it
// has connections, and may be the last resort.
func closest(list []candidate, prefers distribution, s *Settings) []candidate {
	list = hinted(list, prefers)
	hints := [...]struct {
		here string
		of   func(*candidate) []string
	}{
		{s.NodeName, func(c *candidate) []string { return c.nodes }},
		{s.Zone, func(c *candidate) []string { return c.zones }},
	}
	for _, h := range hints {
		all, any := true, false
		for i := range list {
			if c := &list[i]; c.ready {
				all = all && len(h.of(c)) > 0
				any = any || slices.Contains(h.of(c), h.here)
			}
		}
		if all && any && h.here != "" {
			return slices.DeleteFunc(slices.Clone(list), func(c candidate) bool { return c.ready && !slices.Contains(h.of(&c), h.here) })
		}
	}
	return list
}

// hinted adds the hints that the EndpointSlice controller would have written for a trafficDistribution, if nobody has
// written any (staging/src/k8s.io/endpointslice/trafficdist, KEP-3015): for the endpoint's own zone, and for its own node.
func hinted(list []candidate, prefers distribution) []candidate {
	if prefers == anywhere || slices.ContainsFunc(list, func(c candidate) bool { return len(c.zones)+len(c.nodes) > 0 }) {
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		c := &list[i]
		if c.zone != "" {
			c.zones = []string{c.zone}
		}
		if c.node != "" && prefers == sameNode {
			c.nodes = []string{c.node}
		}
	}
	return list
}
