package control

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/control/ipam"
)

// families are the lengths of addresses in bits, in the order in which a pod's are listed.
var families = [...]int{32, 128}

// recall looks up what pods had.
func (c *compiler) recall() {
	for _, p := range c.order {
		if !p.pod {
			continue
		}
		had, found := c.previous.Addresses[p.name]
		if p.had = had; found {
			c.found++
		}
		if p.segment == nil && len(p.given) == 0 {
			p.own, p.ips, p.ownIn = nil, nil, nil
		}
	}
}

// claim takes the first address of a list and a family that the segment has for pods,
// and that is free. It reports whether the pod has one of the family, or can't have any.
func (c *compiler) claim(s *segmentPlan, p *portPlan, list []netip.Addr, bitLen int) bool {
	if !s.hasFamily(bitLen) || p.hasOwn(bitLen) {
		return true
	}
	for _, a := range list {
		if a.BitLen() == bitLen && c.take(s, p, a) {
			return true
		}
	}
	return false
}

func (s *segmentPlan) hasFamily(bitLen int) bool {
	return slices.ContainsFunc(s.subnets, func(n Subnet) bool { return n.Prefix.Addr().BitLen() == bitLen })
}

func (p *portPlan) hasOwn(bitLen int) bool {
	return slices.ContainsFunc(p.own, func(a boundAddress) bool { return a.ip.BitLen() == bitLen })
}

// take makes a certain address a pod's if it is free.
func (c *compiler) take(s *segmentPlan, p *portPlan, a netip.Addr) bool {
	for _, stock := range c.stocks(s) {
		if stock.Take(a) == nil {
			s.book.give(p, a)
			return true
		}
	}
	return false
}

func (b *book) give(p *portPlan, a netip.Addr) {
	b.byIP[a] = p
	p.own = append(p.own, boundAddress{ip: a, path: "status.podIP"})
	p.ips = append(p.ips, a)
}

// stocks returns, for each subnet of a segment, the addresses that may be given to pods.
func (c *compiler) stocks(s *segmentPlan) []*ipam.Pool {
	if s.book.stocks != nil {
		return s.book.stocks
	}
	taken := make([]netip.Addr, 0, len(s.book.byIP))
	for a := range s.book.byIP {
		taken = append(taken, a)
	}
	slices.SortFunc(taken, netip.Addr.Compare)
	for _, subnet := range s.subnets {
		var all ipam.Set
		all.Add(ipam.Hosts(subnet.Prefix))
		all.Remove(ipam.Range{First: subnet.Gateway, Last: subnet.Gateway})
		for _, pool := range c.m.Pools {
			// A pool of VIPs may be part of a subnet: those addresses are the pool's.
			for _, r := range pool.Ranges {
				all.Remove(r)
			}
		}
		stock := ipam.NewPool(all.Ranges()...)
		stock.WithholdEach(taken)
		s.book.stocks = append(s.book.stocks, stock)
	}
	return s.book.stocks
}

// quarantine finds out which addresses are not to be given to others: whose
// time is not up, and what this very configuration frees.
func (c *compiler) quarantine() {
	c.freed = c.previous.Freed
	expired := func(f Freed) bool { return c.in.Now-f.At >= int64(c.m.Node.IPReallocationTime) }
	if slices.ContainsFunc(c.freed, expired) {
		c.freed = slices.DeleteFunc(slices.Clone(c.freed), expired)
	}
	if !slices.IsSortedFunc(c.freed, compareFreed) {
		c.freed = slices.Clone(c.freed)
		slices.SortFunc(c.freed, compareFreed)
	}
	if c.m.Node.IPReallocationTime > 0 {
		c.findLost()
	}
	needy := map[string]*portPlan{}
	for _, s := range c.segmentOrder {
		for _, p := range s.book.claimants {
			p.freed = nil
			if s.needs(p) {
				needy[p.name] = p
			}
		}
	}
	if len(needy) == 0 {
		return
	}
	c.held = make([]netip.Addr, 0, len(c.freed)+len(c.lost))
	for _, f := range c.freed {
		if p := needy[f.Port]; p != nil {
			p.freed = append(p.freed, f.Address)
		}
		c.held = append(c.held, f.Address)
	}
	for _, f := range c.lost {
		c.held = append(c.held, f.Address)
	}
	slices.SortFunc(c.held, netip.Addr.Compare)
}

// needs reports whether a pod lacks an address of a family that the segment has.
func (s *segmentPlan) needs(p *portPlan) bool {
	return slices.ContainsFunc(families[:], func(bitLen int) bool { return s.hasFamily(bitLen) && !p.hasOwn(bitLen) })
}

func compareFreed(a, b Freed) int {
	return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.At, b.At))
}

// findLost collects the addresses that pods had and don't have any more.
func (c *compiler) findLost() {
	lose := func(name string, had, has []netip.Addr) {
		for _, a := range had {
			if !slices.Contains(has, a) {
				c.lost = append(c.lost, Freed{a, name, c.in.Now})
			}
		}
	}
	for _, p := range c.order {
		if p.pod && !slices.Equal(p.had, p.ips) {
			lose(p.name, p.had, p.ips)
		}
	}
	if c.found < len(c.previous.Addresses) {
		for name, had := range c.previous.Addresses {
			if p := c.ports[name]; p == nil || !p.pod {
				lose(name, had, nil)
			}
		}
	}
	slices.SortFunc(c.lost, compareFreed)
}

// choose gives pods without addresses what they had freed, or others that are free.
// It reports false if a fresh book is to be written.
func (c *compiler) choose(s *segmentPlan) bool {
	b := &s.book
	if len(b.claimants) > 0 {
		if len(s.subnets) == 0 {
			if !b.fresh {
				return false
			}
			c.fault(b.claimants[0].object, "", "has no status.podIP, and segment "+s.name+" has no subnet to take an address from",
				"add spec.subnets to the Segment")
			b.faulty = true
		}
		for _, bitLen := range families {
			if !c.tried(b, func() { c.chooseFamily(s, bitLen) }) {
				return false
			}
		}
		if !c.tried(b, func() { c.settle(s) }) {
			return false
		}
	}
	return true
}

func (c *compiler) chooseFamily(s *segmentPlan, bitLen int) {
	b := &s.book
	// Who had an address has it again before anybody else may choose.
	var others []*portPlan
	for _, p := range b.claimants {
		if !c.claim(s, p, p.freed, bitLen) {
			others = append(others, p)
		}
	}
	for i, p := range others {
		if !slices.ContainsFunc(c.stocks(s), func(stock *ipam.Pool) bool {
			a, err := stock.AnyBut(c.held, bitLen)
			if err == nil {
				b.give(p, a)
			}
			return err == nil
		}) {
			size, waiting := c.stockSize(s, bitLen)
			c.fault(p.object, "", fmt.Sprintf("no address is free in segment %s for %d of its pods", s.name, len(others)-i),
				fmt.Sprintf("its subnets have %d addresses, %d wait to be given out again; add a subnet", size, waiting))
			return
		}
	}
}

// stockSize counts the hosts' addresses of a family in a segment's subnets, and those of
// them that wait to be given out again.
func (c *compiler) stockSize(s *segmentPlan, bitLen int) (size uint64, waiting int) {
	for i, subnet := range s.subnets {
		if subnet.Prefix.Addr().BitLen() != bitLen {
			continue
		}
		size += ipam.Hosts(subnet.Prefix).Size()
		for _, a := range slices.Compact(slices.Clone(c.held)) {
			if c.stocks(s)[i].IsFree(a) {
				waiting++
			}
		}
	}
	return size, waiting
}

// settle completes what pods have been given.
func (c *compiler) settle(s *segmentPlan) {
	for _, p := range s.book.claimants {
		slices.SortStableFunc(p.own, func(a, b boundAddress) int { return cmp.Compare(a.ip.BitLen(), b.ip.BitLen()) })
		mac := macOf(p.own)
		p.ips = nil
		for i := range p.own {
			p.own[i].mac = mac
			p.ips = append(p.ips, p.own[i].ip)
			c.bindMAC(p, s, p.own[i])
		}
		if !slices.Equal(p.own, p.ownBefore) {
			p.stale = true
		}
	}
}

// handOut hands what has come of the addresses to the model.
func (c *compiler) handOut() {
	same, n := c.found == len(c.previous.Addresses), 0
	again := map[string]*portPlan{}
	for _, p := range c.order {
		if !p.pod {
			continue
		}
		if !slices.Equal(p.had, p.ips) {
			same = false
			if len(c.freed) > 0 {
				again[p.name] = p
			}
		}
		if len(p.ips) > 0 {
			n++
		}
	}
	c.m.Allocations.Addresses = share(c.previous.Addresses, same, n, func(yield func(string, []netip.Addr) bool) {
		for _, p := range c.order {
			if p.pod && len(p.ips) > 0 && !yield(p.name, p.ips) {
				return
			}
		}
	})
	back := func(f Freed) bool { return again[f.Port] != nil && slices.Contains(again[f.Port].ips, f.Address) }
	if len(again) > 0 && slices.ContainsFunc(c.freed, back) {
		c.freed = slices.DeleteFunc(slices.Clone(c.freed), back)
	}
	if len(c.lost) > 0 {
		c.freed = slices.Concat(c.freed, c.lost)
		slices.SortFunc(c.freed, compareFreed)
	}
	if len(c.freed) > 0 {
		c.m.Allocations.Freed = c.freed // an empty list is none, as in JSON
	}
}
