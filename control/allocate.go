package control

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
)

// allocateAddresses gives addresses to pods that have none: what they had
// before if it is free, else the lowest free one of each family that the
// segment has. It then hands all ports' addresses to the model.
func (c *compiler) allocateAddresses() {
	c.expireFreed()
	waiting := map[string][]*portPlan{}
	for _, p := range c.portOrder {
		if p.pod && len(p.addresses) == 0 && c.segments[p.segment] != nil {
			waiting[p.segment] = append(waiting[p.segment], p)
		}
	}
	for _, name := range sortedKeys(waiting) {
		c.allocateIn(name, c.segments[name], waiting[name])
	}
	bound := map[string][]netip.Addr{}
	for i, p := range c.portOrder {
		for _, a := range p.addresses {
			c.m.Ports[i].Addresses = append(c.m.Ports[i].Addresses, Address{a.ip, a.mac})
			if p.pod {
				bound[p.name] = append(bound[p.name], a.ip)
			}
		}
	}
	c.m.Allocations.Addresses = bound
	c.m.Allocations.Freed = slices.DeleteFunc(c.m.Allocations.Freed, func(f Freed) bool {
		return slices.Contains(bound[f.Port], f.Address)
	})
	for _, name := range sortedKeys(c.previous.Addresses) {
		for _, a := range c.previous.Addresses[name] {
			if !slices.Contains(bound[name], a) && c.m.Node.IPReallocationTime > 0 {
				c.m.Allocations.Freed = append(c.m.Allocations.Freed, Freed{a, name, c.in.Now})
			}
		}
	}
	if len(c.m.Allocations.Freed) == 0 {
		c.m.Allocations.Freed = nil // as in JSON: an empty list is none
	}
	slices.SortFunc(c.m.Allocations.Freed, func(a, b Freed) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.At, b.At))
	})
}

// expireFreed keeps of the previous quarantine what is still in it: whose time
// is not up.
func (c *compiler) expireFreed() {
	for _, f := range c.previous.Freed {
		if c.in.Now-f.At >= int64(c.m.Node.IPReallocationTime) {
			continue
		}
		c.m.Allocations.Freed = append(c.m.Allocations.Freed, f)
	}
}

// allocateIn gives addresses of one segment.
func (c *compiler) allocateIn(name string, s *segmentPlan, waiting []*portPlan) {
	if len(s.subnets) == 0 {
		c.fault(waiting[0].object, "", "has no status.podIP, and segment "+name+" has no subnet to take an address from",
			"add spec.subnets to the Segment")
		return
	}
	for _, bitLen := range []int{32, 128} {
		var stocks []*ipam.Pool
		for _, subnet := range s.subnets {
			if subnet.Prefix.Addr().BitLen() == bitLen {
				stocks = append(stocks, c.stock(s, subnet))
			}
		}
		if len(stocks) > 0 {
			c.allocateFamily(name, stocks, bitLen, waiting)
		}
	}
	for _, p := range waiting {
		for i := range p.addresses {
			p.addresses[i].mac = p.mac()
			c.bind(p, s, p.addresses[i])
		}
	}
}

// stock returns the addresses of a subnet that may be given to pods.
func (c *compiler) stock(s *segmentPlan, subnet Subnet) *ipam.Pool {
	p := ipam.NewPool(ipam.Hosts(subnet.Prefix))
	p.Withhold(ipam.Range{First: subnet.Gateway, Last: subnet.Gateway})
	for a := range s.byIP {
		p.Withhold(ipam.Range{First: a, Last: a})
	}
	for _, pool := range c.m.Pools {
		// A pool of VIPs may be part of a subnet: those addresses are the pool's.
		for _, r := range pool.Ranges {
			p.Withhold(r)
		}
	}
	return p
}

func (c *compiler) allocateFamily(name string, stocks []*ipam.Pool, bitLen int, waiting []*portPlan) {
	give := func(p *portPlan, a netip.Addr) {
		p.addresses = append(p.addresses, boundAddress{ip: a, path: "status.podIP"})
	}
	takeOwn := func(p *portPlan, a netip.Addr) bool {
		for _, stock := range stocks {
			if a.BitLen() == bitLen && stock.Take(a) == nil {
				give(p, a)
				return true
			}
		}
		return false
	}
	// Who had an address has it again before anybody else may choose.
	freed := map[string][]netip.Addr{}
	for _, f := range c.m.Allocations.Freed {
		freed[f.Port] = append(freed[f.Port], f.Address)
	}
	var others []*portPlan
	for _, p := range waiting {
		had := slices.Concat(c.previous.Addresses[p.name], freed[p.name])
		if !slices.ContainsFunc(had, func(a netip.Addr) bool { return takeOwn(p, a) }) {
			others = append(others, p)
		}
	}
	quarantined := 0
	withhold := func(a netip.Addr) {
		for _, stock := range stocks {
			if stock.Take(a) == nil {
				quarantined++
			}
		}
	}
	for _, f := range c.m.Allocations.Freed {
		withhold(f.Address)
	}
	if c.m.Node.IPReallocationTime > 0 {
		// Addresses that this very configuration frees.
		for _, port := range sortedKeys(c.previous.Addresses) {
			for _, a := range c.previous.Addresses[port] {
				withhold(a)
			}
		}
	}
	for i, p := range others {
		if !slices.ContainsFunc(stocks, func(stock *ipam.Pool) bool {
			a, err := stock.Any()
			if err == nil {
				give(p, a)
			}
			return err == nil
		}) {
			size := uint64(0)
			for _, stock := range stocks {
				size += stock.Size()
			}
			c.fault(p.object, "", fmt.Sprintf("no address is free in segment %s for %d of its pods", name, len(others)-i),
				fmt.Sprintf("its subnets have %d addresses, %d wait to be given out again; add a subnet", size, quarantined))
			return
		}
	}
}

// number gives zones and port numbers: those of before to whom had them, free
// ones, in order of names, to the others. Live sessions hold both.
//
// A session's zone is all that tells it from one of the same addresses in
// another segment, and it outlives the segment. So the zone of a segment that
// is gone is not given to another before all others have been.
func (c *compiler) number() {
	zones := numbering[uint32]{had: c.previous.Zones, last: c.previous.LastZone, limit: 1<<24 - 1}
	var names []string
	for i := range c.m.Segments {
		names = append(names, "segment/"+c.m.Segments[i].Name)
	}
	for _, p := range sortedKeys(c.uplinks) {
		names = append(names, "uplink/"+p)
	}
	c.m.Allocations.Zones = zones.assign(names)
	c.m.Allocations.LastZone = zones.last
	for i := range c.m.Segments {
		c.m.Segments[i].Zone = c.m.Allocations.Zones["segment/"+c.m.Segments[i].Name]
	}
	for i := range c.m.Routers {
		for j := range c.m.Routers[i].Uplinks {
			port := c.routers[c.m.Routers[i].Name].Value.(*api.Router).Spec.Uplinks[j].Port
			c.m.Routers[i].Uplinks[j].Zone = c.m.Allocations.Zones["uplink/"+port]
		}
	}
	numbers := numbering[uint16]{had: c.previous.Numbers, limit: maxPorts}
	c.m.Allocations.Numbers = numbers.assign(sortedKeys(c.ports))
	for i := range c.m.Ports {
		c.m.Ports[i].Number = c.m.Allocations.Numbers[c.m.Ports[i].Name]
	}
}

// numbering keeps numbers stable.
type numbering[N uint16 | uint32] struct {
	had   map[string]N
	last  N // where the search for free numbers goes on behind; 0: at the lowest
	limit N
}

// assign numbers the names, sorted or in whatever order matters, from 1. Names
// beyond the limit get 0; that many are reported elsewhere. last is the
// number given last then.
func (n *numbering[N]) assign(names []string) map[string]N {
	numbers := make(map[string]N, len(names))
	taken := make(map[N]bool, len(names))
	for _, name := range names {
		if number := n.had[name]; number != 0 && number <= n.limit && !taken[number] {
			numbers[name], taken[number] = number, true
		}
	}
	next := n.last
	for _, name := range names {
		if numbers[name] != 0 || N(len(taken)) == n.limit {
			continue // all are taken: 0
		}
		for {
			if next == n.limit {
				next = 0
			}
			if next++; !taken[next] {
				break
			}
		}
		numbers[name], taken[next] = next, true
		n.last = next
	}
	return numbers
}
