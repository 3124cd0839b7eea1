package control

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/control/ruleset"
)

// segmentPlan is a segment on its way into the model.
type segmentPlan struct {
	name, zoneName string
	run            uint64 // the last compilation that had it

	object   *Object // the Segment; of an implicit one the Namespace, nil if that isn't written either
	implicit bool
	spec     *api.SegmentSpec // defaults filled in
	specOf   *Object          // what spec was made of; nil: of nothing
	zone     uint32
	index    int // in Segments

	written     []Subnet // as spec has them
	writtenGood bool     // and without faults
	subnets     []Subnet // written or carved; not written to again
	carved      []netip.Prefix

	resolved     *resolvedSegment
	resolvedGood bool // without faults
	resolvedOf   resolvedOf

	surroundings   *ruleset.Surroundings // of surroundingsOf
	surroundingsOf *Object

	members []*portPlan // whose own segment it is, sorted by name
	book    book
}

// resolvedSegment is what the model has of a segment. Its address stands for it: what is
// equal keeps its address.
type resolvedSegment struct {
	Segment
	hash uint64 // see digest
}

// resolvedOf is what a resolvedSegment is made of, besides its subnets.
type resolvedOf struct {
	object   *Object
	implicit bool
	router   int
	zone     uint32
	scope    uint32
	poolsRun uint64 // nameservers come from pools
}

// reporter returns the object to report a fault of the segment at.
func (c *compiler) reporter(s *segmentPlan) *Object {
	if s.object != nil {
		return s.object
	}
	for _, o := range c.inventory.sorted {
		if o.Namespace == s.name {
			return o // what made the segment necessary
		}
	}
	panic("control: a segment that nothing asked for")
}

func (c *compiler) compileSegments() {
	vnis := map[int]*Object{}
	for _, s := range c.segmentOrder {
		s.members = s.members[:0]
		if s.implicit {
			continue
		}
		if !s.writtenGood {
			s.written = nil
			s.writtenGood = c.good(func() { c.segmentSubnets(s) })
		}
		s.subnets = s.written
		if v := s.spec.VNI; v != 0 {
			if other, found := vnis[v]; found {
				c.fault(s.object, "spec.vni", fmt.Sprintf("the VNI %d is taken", v), "by "+other.where())
			} else {
				vnis[v] = s.object
			}
		}
	}
	c.carve()
	for _, s := range c.segmentOrder {
		c.resolveSegment(s)
	}
	if !c.networksGood || changed[api.Segment](c) || changed[api.Router](c) {
		c.networksGood = c.good(c.subnetOverlaps)
	}
	c.orderSegments()
	c.compileNamespaces()
}

// orderSegments gives segments their places in the model: in order of zones. So a
// segment that is new comes last, and no index in a port changes by it.
func (c *compiler) orderSegments() {
	if c.segmentsRun == c.run {
		c.slots = append(c.slots[:0], c.segmentOrder...)
		slices.SortFunc(c.slots, func(a, b *segmentPlan) int { return cmp.Compare(a.zone, b.zone) })
		c.segmentModel, c.byVLAN = nil, map[int][]string{}
		for i, s := range c.slots {
			s.index = i
			c.segmentModel = append(c.segmentModel, s.resolved.Segment)
		}
		for _, s := range c.segmentOrder {
			if v := s.spec.VLAN; v != 0 {
				c.byVLAN[v] = append(c.byVLAN[v], s.name)
			}
		}
	}
	c.m.Segments = c.segmentModel
}

// segmentSubnets resolves and checks the subnets as they are written.
func (c *compiler) segmentSubnets(s *segmentPlan) {
	for i, subnet := range s.spec.Subnets {
		path := fmt.Sprintf("spec.subnets[%d]", i)
		prefix := subnet.CIDR
		hosts := ipam.Hosts(prefix)
		if prefix.Bits() == prefix.Addr().BitLen() {
			c.fault(s.object, path+".cidr", prefix.String()+" is a single address", "a subnet holds the gateway and a port at least")
			continue
		}
		if a := prefix.Addr(); a.IsMulticast() || a.IsLoopback() {
			c.fault(s.object, path+".cidr", prefix.String()+" is no network of hosts", "")
			continue
		}
		gateway := subnet.Gateway
		switch {
		case !gateway.IsValid():
			gateway = hosts.First
		case !prefix.Contains(gateway):
			c.fault(s.object, path+".gateway", gateway.String()+" is not in "+prefix.String(), "the first host is "+hosts.First.String())
		case !hosts.Contains(gateway):
			c.fault(s.object, path+".gateway", gateway.String()+" is the network's or the broadcast address of "+prefix.String(),
				"the first host is "+hosts.First.String())
		}
		if prefix.Addr().Is6() && s.spec.MTU < 1280 {
			c.fault(s.object, "spec.mtu", fmt.Sprintf("%d is too small for IPv6", s.spec.MTU), "at least 1280 (RFC 8200 section 5)")
		}
		s.written = append(s.written, Subnet{prefix, gateway})
	}
}

// carve gives subnets to the segments that have none because nobody wrote
// them: one of each family that there is a pool for. What was carved before
// stays; blocks in which pods live already come next.
func (c *compiler) carve() {
	var stocks []*poolPlan
	for _, p := range c.pools {
		if p.stock != nil {
			stocks = append(stocks, p)
		}
	}
	withhold := func(block netip.Prefix) {
		for _, p := range stocks {
			p.stock.Withhold(ipam.Whole(block))
		}
	}
	for _, s := range c.segmentOrder {
		if !s.implicit {
			for _, subnet := range s.subnets {
				withhold(subnet.Prefix)
			}
		}
	}
	for _, o := range c.routers {
		if o == nil {
			continue
		}
		for _, u := range o.Value.(*api.Router).Spec.Uplinks {
			for _, a := range u.Addresses {
				withhold(a)
			}
		}
	}
	take := func(s *segmentPlan, block netip.Prefix) bool {
		for _, p := range stocks {
			if p.stock.TakePrefix(block) == nil {
				s.carved = append(s.carved, block)
				return true
			}
		}
		return false
	}
	for _, s := range c.segmentOrder {
		s.carved = s.carved[:0]
		if s.implicit {
			for _, block := range c.previous.Subnets[s.name] {
				if !take(s, block.Masked()) {
					c.movedSubnet(s.name, block.Masked())
				}
			}
		}
	}
	c.carveAroundPorts(stocks, take)
	same, n := true, 0
	for _, s := range c.segmentOrder {
		if !s.implicit {
			continue
		}
		for _, bitLen := range []int{32, 128} {
			c.carveFamily(s, stocks, bitLen)
		}
		slices.SortFunc(s.carved, netip.Prefix.Compare)
		same = same && slices.Equal(c.previous.Subnets[s.name], s.carved)
		if len(s.carved) > 0 {
			n++
		}
		if !slices.EqualFunc(s.subnets, s.carved, func(n Subnet, p netip.Prefix) bool {
			return n.Prefix == p && n.Gateway == ipam.Hosts(p).First
		}) {
			s.subnets = nil
			for _, block := range s.carved {
				s.subnets = append(s.subnets, Subnet{block, ipam.Hosts(block).First})
			}
		}
	}
	c.m.Allocations.Subnets = share(c.previous.Subnets, same, n, func(yield func(string, []netip.Prefix) bool) {
		for _, s := range c.segmentOrder {
			if len(s.carved) > 0 && !yield(s.name, slices.Clone(s.carved)) {
				return
			}
		}
	})
}

// carveAroundPorts takes the blocks that given addresses lie in.
func (c *compiler) carveAroundPorts(stocks []*poolPlan, take func(*segmentPlan, netip.Prefix) bool) {
	for _, p := range c.order {
		if len(p.given) == 0 {
			continue
		}
		s := c.named(p)
		if s == nil || !s.implicit {
			continue
		}
		for _, a := range p.given {
			if slices.ContainsFunc(s.carved, func(block netip.Prefix) bool { return block.Contains(a.ip) }) {
				continue
			}
			for _, stock := range stocks {
				if stock.stock.Contains(a.ip) {
					take(s, netip.PrefixFrom(a.ip, stock.bits).Masked())
				}
			}
		}
	}
}

// movedSubnet reports a Segment whose subnet overlaps one that was carved for
// another before: carving a new one would move live pods. If the pools have
// changed instead, moving is what was asked for.
func (c *compiler) movedSubnet(carvedFor string, block netip.Prefix) {
	for _, s := range c.segmentOrder {
		for i, subnet := range s.spec.Subnets {
			if subnet.CIDR.Overlaps(block) {
				c.fault(s.object, fmt.Sprintf("spec.subnets[%d].cidr", i),
					fmt.Sprintf("%s overlaps %s, which was carved for segment %s", subnet.CIDR, block, carvedFor),
					"choose another, or write a Segment "+carvedFor+" with another subnet first")
			}
		}
	}
}

func (c *compiler) carveFamily(s *segmentPlan, stocks []*poolPlan, bitLen int) {
	if slices.ContainsFunc(s.carved, func(p netip.Prefix) bool { return p.Addr().BitLen() == bitLen }) {
		return
	}
	var tried []string
	for _, p := range stocks {
		if p.cidr.Addr().BitLen() != bitLen {
			continue
		}
		block, err := p.stock.Carve(p.bits, bitLen)
		if err == nil {
			s.carved = append(s.carved, block)
			return
		}
		if errors.Is(err, ipam.ErrExhausted) {
			tried = append(tried, fmt.Sprintf("%s (%s in /%d)", p.name, p.cidr, p.bits))
		}
	}
	if len(tried) > 0 {
		c.fault(c.reporter(s), "", "no subnet is left for segment "+s.name+" in the pool "+strings.Join(tried, ", "),
			"add an IPPool with usage segments, or a Segment "+s.name+" with subnets")
	}
}

// resolveSegment makes what the model has of a segment, unless it is there.
func (c *compiler) resolveSegment(s *segmentPlan) {
	router := -1
	if s.spec.Router != api.RouterNone {
		if at, found := c.routerAt[s.spec.Router]; found {
			router = at
		} else {
			c.fault(s.object, "spec.router", "there is no Router "+cleanKey(s.spec.Router),
				didYouMean(s.spec.Router, append(sortedKeys(c.routerAt), api.RouterNone)))
		}
	}
	scope := s.zone
	if router >= 0 {
		scope = c.scopes[s.spec.Router]
	}
	of := resolvedOf{s.object, s.implicit, router, s.zone, scope, c.poolsRun}
	if s.resolvedGood && s.resolvedOf == of && slices.Equal(s.resolved.Subnets, s.subnets) {
		return
	}
	s.resolvedOf = of
	var made Segment
	s.resolvedGood = c.good(func() { made = c.makeSegment(s, router) })
	if s.resolved == nil || !reflect.DeepEqual(&s.resolved.Segment, &made) {
		s.resolved, c.segmentsRun = &resolvedSegment{Segment: made}, c.run
	}
}

func (c *compiler) makeSegment(s *segmentPlan, router int) Segment {
	c.faults = append(c.faults, groupFaults(s.object, s.spec.Security.BPDUFilterAllow)...)
	seg := Segment{
		Name: s.name, Zone: s.zone, VNI: uint32(s.spec.VNI), VLAN: uint16(s.spec.VLAN), MTU: s.spec.MTU,
		Router: router, Scope: s.resolvedOf.scope, Subnets: s.subnets,
		MACLearning:            resolveLearning(s.spec.MACLearning),
		UnknownUnicastFlooding: *s.spec.UnknownUnicastFlooding,
		NeighborSuppression:    *s.spec.NeighborSuppression,
		RateLimits:             s.spec.RateLimits,
		Security:               resolveSecurity(s.spec.Security),
	}
	c.resolveDHCP(s, &seg)
	return seg
}

// groupFaults checks spec.security.bpduFilterAllow of a Segment or Port.
func groupFaults(o *Object, allow []api.MAC) (faults Faults) {
	for i, m := range allow {
		if !m.IsMulticast() {
			faults = append(faults, o.at(fmt.Sprintf("spec.security.bpduFilterAllow[%d]", i), m.String()+" is no group address", ""))
		}
	}
	return faults
}

// resolveLearning takes settings with their defaults filled in.
func resolveLearning(l api.MACLearning) MACLearning {
	return MACLearning{
		Enabled: *l.Enabled, Limit: l.Limit, DropOver: l.LimitPolicy == api.LimitDrop,
		Aging: time.Duration(l.AgingSeconds) * second, MoveLimit: l.MoveLimit,
		MoveWindow: time.Duration(l.MoveWindowSeconds) * second,
	}
}

// resolveSecurity takes settings with their defaults filled in.
func resolveSecurity(s api.SegmentSecurity) Security {
	return Security{
		BPDUFilter: *s.BPDUFilter, BPDUFilterAllow: s.BPDUFilterAllow,
		DHCPServerBlock: *s.DHCPServerBlock, DHCPClientBlock: *s.DHCPClientBlock,
		DHCPServerBlockV6: *s.DHCPServerBlockV6, DHCPClientBlockV6: *s.DHCPClientBlockV6,
		RAGuard: *s.RAGuard, NonIPTrafficBlock: *s.NonIPTrafficBlock,
	}
}

// network is a prefix that a router, or a segment without one, is connected to.
type network struct {
	prefix netip.Prefix
	object *Object
	path   string
	what   string // for the other's message
}

// subnetOverlaps reports networks of one router that share addresses, and
// those of one segment that has no router. A segment carved never overlaps.
func (c *compiler) subnetOverlaps() {
	groups := map[string][]network{}
	for _, s := range c.segmentOrder {
		group := "router " + s.spec.Router
		if s.spec.Router == api.RouterNone {
			group = "segment " + s.name
		}
		for i, subnet := range s.spec.Subnets {
			groups[group] = append(groups[group], network{
				subnet.CIDR, s.object, fmt.Sprintf("spec.subnets[%d].cidr", i), "segment " + s.name,
			})
		}
	}
	for name, o := range c.routers {
		if o == nil {
			continue
		}
		for i, u := range o.Value.(*api.Router).Spec.Uplinks {
			for j, a := range u.Addresses {
				if a.Bits() == 0 {
					continue // reported as no router's address
				}
				groups["router "+name] = append(groups["router "+name], network{
					a.Masked(), o, fmt.Sprintf("spec.uplinks[%d].addresses[%d]", i, j), "uplink " + u.Port,
				})
			}
		}
	}
	for _, nets := range groups {
		c.overlaps(nets)
	}
}

func (c *compiler) overlaps(nets []network) {
	// In order of addresses, shorter prefixes first, a prefix overlaps an
	// earlier one iff the last that reached furthest contains it. Of equal ones
	// the order is of names, for the same text each time.
	slices.SortStableFunc(nets, func(a, b network) int {
		if d := a.prefix.Compare(b.prefix); d != 0 {
			return d
		}
		if d := a.object.Key().Compare(b.object.Key()); d != 0 {
			return d
		}
		return strings.Compare(a.path, b.path)
	})
	for i, wide := 1, 0; i < len(nets); i++ {
		a, b := nets[wide], nets[i]
		if !a.prefix.Overlaps(b.prefix) {
			wide = i
			continue
		}
		if strings.HasPrefix(a.path, "spec.uplinks") && a.prefix == b.prefix && a.what == b.what {
			continue // several addresses of one uplink on its network
		}
		c.fault(b.object, b.path, fmt.Sprintf("%s overlaps %s of %s", b.prefix, a.prefix, a.what),
			"the other is in "+a.object.where())
	}
}
