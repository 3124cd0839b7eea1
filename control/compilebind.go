package control

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
)

// book says who has which address of a segment. It follows from the members and
// the terms, and from what the members had before; it is kept, and what has
// changed is entered.
//
// Nobody's address depends on the order in which things are entered, unless two
// want the same. Where they do, entering stops, and a fresh book is written, in
// order of names, with faults or without. One with faults is not kept, so that
// they are found again.
type book struct {
	terms   *bookTerms // nil: there is no book
	fresh   bool       // opened in this compilation
	renewed bool       // or something was entered or struck out in it
	faulty  bool       // not to be kept

	members []*portPlan // that are in it, sorted by name
	byIP    map[netip.Addr]*portPlan
	byMAC   map[api.MAC]*portPlan
	// stocks are, for each subnet, the addresses that pods may have, without those
	// in byIP; nil until they are needed.
	stocks    []*ipam.Pool
	claimants []*portPlan      // of this compilation: pods that look for addresses
	autoOf    *resolvedSegment // that members' auto was made for; nil: not made
}

// bookTerms is what the entries of a book depend on besides ports.
type bookTerms struct {
	subnets    []Subnet
	written    int // number of subnets written, right or wrong
	routed     bool
	gatewayMAC api.MAC
	poolsRun   uint64 // pools' addresses are not pods'
}

func (t *bookTerms) equal(o *bookTerms) bool {
	return slices.Equal(t.subnets, o.subnets) && t.written == o.written && t.routed == o.routed &&
		t.gatewayMAC == o.gatewayMAC && t.poolsRun == o.poolsRun
}

// open makes the segment's book an empty one.
func (s *segmentPlan) open(terms *bookTerms) {
	n := len(s.members)
	s.book = book{
		terms: terms, fresh: true, renewed: true,
		byIP: make(map[netip.Addr]*portPlan, n), byMAC: make(map[api.MAC]*portPlan, n),
	}
}

// bindAddresses gives each port its addresses: those that are given, to pods
// without any what they had before if it is free, else the lowest free one of each
// family that the segment has.
func (c *compiler) bindAddresses() {
	// Who has left goes first: they may have gone to other segments.
	for _, s := range c.segmentOrder {
		terms := bookTerms{s.subnets, len(s.spec.Subnets), s.spec.Router != api.RouterNone, c.m.Node.GatewayMAC, c.poolsRun}
		b := &s.book
		if b.terms == nil || b.faulty || !b.terms.equal(&terms) {
			s.open(&terms)
			continue
		}
		b.fresh, b.renewed, b.claimants = false, false, b.claimants[:0]
		if !slices.Equal(b.members, s.members) {
			for _, p := range subtract(b.members, s.members) {
				b.strike(s, p)
			}
		}
	}
	c.recall()
	// again writes a fresh book up to where the one before was left.
	again := func(s *segmentPlan) {
		s.open(s.book.terms)
		c.enter(s)
	}
	for _, s := range c.segmentOrder {
		if !c.enter(s) {
			again(s)
		}
	}
	c.quarantine()
	for _, s := range c.segmentOrder {
		if !c.choose(s) {
			again(s)
			c.choose(s)
		}
	}
	c.handOut()
}

// subtract returns the plans of a that are not in b, both sorted by name.
func subtract(a, b []*portPlan) (rest []*portPlan) {
	for _, p := range a {
		for len(b) > 0 && b[0].name < p.name {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != p {
			rest = append(rest, p)
		}
	}
	return rest
}

// strike takes all that is a port's out of the book.
func (b *book) strike(s *segmentPlan, p *portPlan) {
	b.renewed = true
	list := p.given
	if len(list) == 0 && p.ownIn == s {
		list = p.own
	}
	for _, a := range list {
		if a.ip.IsValid() && b.byIP[a.ip] == p {
			delete(b.byIP, a.ip)
			for _, stock := range b.stocks {
				stock.Release(a.ip)
			}
		}
		if b.byMAC[a.mac] == p {
			delete(b.byMAC, a.mac)
		}
	}
}

// tried runs a step, and reports whether it may go on: in a fresh book always,
// with its faults, else if it found none; then they are left to the fresh book.
func (c *compiler) tried(b *book, step func()) bool {
	n := len(c.faults)
	step()
	if len(c.faults) == n || b.fresh {
		b.faulty = b.faulty || len(c.faults) > n
		return true
	}
	c.faults = c.faults[:n]
	return false
}

// enter enters the given addresses of those that are new in the segment, and lets
// those who had addresses have them again. It reports false if a fresh book is
// to be written.
func (c *compiler) enter(s *segmentPlan) bool {
	b := &s.book
	if !slices.Equal(b.members, s.members) {
		b.renewed = true
		for _, p := range subtract(s.members, b.members) {
			if !c.tried(b, func() { c.bindGiven(p, s) }) {
				return false
			}
		}
		b.members = append(b.members[:0], s.members...)
	}
	for _, p := range s.members {
		if !p.pod || len(p.given) > 0 {
			continue
		}
		if p.claimed != c.run {
			p.claimed, p.ownBefore = 0, nil
			if p.ownIn == s {
				p.ownBefore = p.own
			}
		}
		if !b.fresh && p.ownIn == s {
			if slices.Equal(p.ips, p.had) && len(p.ips) > 0 {
				continue
			}
			b.strike(s, p)
		}
		p.claimed, p.own, p.ips, p.ownIn = c.run, nil, nil, s
		b.renewed = true
		b.claimants = append(b.claimants, p)
	}
	for _, p := range b.claimants {
		for _, bitLen := range families {
			if !c.claim(s, p, p.had, bitLen) && !b.fresh && slices.ContainsFunc(p.had, func(a netip.Addr) bool {
				return a.BitLen() == bitLen && b.byIP[a] != nil && len(b.byIP[a].given) == 0
			}) {
				return false // two pods had it
			}
		}
	}
	return true
}

// bindGiven checks the given addresses of a port, and binds them.
func (c *compiler) bindGiven(p *portPlan, s *segmentPlan) {
	for _, a := range p.given {
		if !a.ip.IsValid() && (a.mac.IsZero() || a.derived) {
			c.fault(p.object, a.path, "has neither ip nor mac", "")
			continue
		}
		good := c.checkMAC(p, a)
		if c.checkIP(p, s, a) && good {
			c.bind(p, s, a)
		}
	}
}

// bind makes an address the port's, unless it is another's.
func (c *compiler) bind(p *portPlan, s *segmentPlan, a boundAddress) {
	b := &s.book
	if a.ip.IsValid() {
		if other, found := b.byIP[a.ip]; found {
			c.fault(p.object, p.pathOf(a, "ip"), "the address "+a.ip.String()+" is taken in segment "+s.name, "by "+other.object.where())
			return
		}
		b.byIP[a.ip] = p
		for _, stock := range b.stocks {
			stock.Withhold(ipam.Range{First: a.ip, Last: a.ip})
		}
	}
	c.bindMAC(p, s, a)
}

func (c *compiler) bindMAC(p *portPlan, s *segmentPlan, a boundAddress) {
	if other, found := s.book.byMAC[a.mac]; found && other != p {
		c.fault(p.object, p.pathOf(a, "mac"), "the MAC address "+a.mac.String()+" is taken in segment "+s.name,
			"by "+other.object.where()+"; give one of them another mac")
		return
	}
	s.book.byMAC[a.mac] = p
}

// pathOf is where a part of an address is written; a pod's has no parts.
func (p *portPlan) pathOf(a boundAddress, part string) string {
	if p.pod {
		return a.path
	}
	return a.path + "." + part
}

// checkMAC checks a MAC that is given, or none.
func (c *compiler) checkMAC(p *portPlan, a boundAddress) bool {
	switch {
	case a.derived:
		return true
	case a.mac.IsMulticast():
		c.fault(p.object, p.pathOf(a, "mac"), a.mac.String()+" is a group address", "the first byte must be even")
	case a.mac == c.m.Node.GatewayMAC:
		c.fault(p.object, p.pathOf(a, "mac"), a.mac.String()+" is the gateways' MAC address", "")
	default:
		return true
	}
	return false
}

// checkIP checks that an address can be a port's in the segment.
func (c *compiler) checkIP(p *portPlan, s *segmentPlan, a boundAddress) bool {
	if !a.ip.IsValid() {
		return true
	}
	path := p.pathOf(a, "ip")
	if a.ip.IsMulticast() || a.ip.IsUnspecified() || a.ip.IsLoopback() || a.ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		c.fault(p.object, path, a.ip.String()+" can't be a port's address", "")
		return false
	}
	if a.ip.IsLinkLocalUnicast() && a.ip.Is6() {
		return true // every IPv6 port has one, outside the subnets
	}
	if len(s.subnets) == 0 && len(s.spec.Subnets) == 0 {
		return true
	}
	for _, subnet := range s.subnets {
		if !subnet.Prefix.Contains(a.ip) {
			continue
		}
		switch {
		case a.ip == subnet.Gateway && s.spec.Router != api.RouterNone:
			c.fault(p.object, path, a.ip.String()+" is the gateway of segment "+s.name, "of subnet "+subnet.Prefix.String())
		case !ipam.Hosts(subnet.Prefix).Contains(a.ip):
			c.fault(p.object, path, a.ip.String()+" is the network's or the broadcast address of "+subnet.Prefix.String(), "")
		default:
			return true
		}
		return false
	}
	var have []string
	for _, subnet := range s.subnets {
		have = append(have, subnet.Prefix.String())
	}
	hint := "the segment has " + strings.Join(have, ", ")
	if s.implicit {
		hint += "; add a Segment " + s.name + " with a subnet that holds it"
	}
	c.fault(p.object, path, a.ip.String()+" is in no subnet of segment "+s.name, hint)
	return false
}
