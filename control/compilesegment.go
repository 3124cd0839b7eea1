package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
)

// segmentPlan is a segment on its way into the model.
type segmentPlan struct {
	object   *Object // the Segment; of an implicit one the Namespace, nil if that isn't written either
	implicit bool
	spec     api.SegmentSpec // defaults filled in
	index    int             // in Segments
	subnets  []Subnet
	byIP     map[netip.Addr]*portPlan // addresses given to ports
	byMAC    map[api.MAC]*portPlan
}

// reporter returns the object to report a fault of the segment at.
func (c *compiler) reporter(name string, s *segmentPlan) *Object {
	if s.object != nil {
		return s.object
	}
	for _, o := range c.objects {
		if o.Namespace == name {
			return o // what made the segment necessary
		}
	}
	panic("control: a segment that nothing asked for")
}

func (c *compiler) compileSegments() {
	vnis := map[int]*Object{}
	names := sortedKeys(c.segments)
	for i, name := range names {
		s := c.segments[name]
		s.index = i
		s.byIP, s.byMAC = map[netip.Addr]*portPlan{}, map[api.MAC]*portPlan{}
		if s.implicit {
			continue
		}
		c.segmentSubnets(s)
		if v := s.spec.VNI; v != 0 {
			if other, found := vnis[v]; found {
				c.fault(s.object, "spec.vni", fmt.Sprintf("the VNI %d is taken", v), "by "+other.where())
			} else {
				vnis[v] = s.object
			}
		}
		if v := s.spec.VLAN; v != 0 {
			c.byVLAN[v] = append(c.byVLAN[v], name)
		}
	}
	c.carve(names)
	for _, name := range names {
		c.m.Segments = append(c.m.Segments, c.resolveSegment(name, c.segments[name]))
	}
	c.subnetOverlaps(names)
	for _, name := range sortedKeys(c.namespaces) {
		p := c.namespaces[name]
		ns := Namespace{Name: name, Labels: p.labels, Segment: -1}
		if s := c.segments[p.segment]; s != nil {
			ns.Segment = s.index
		} else if p.segment != "" {
			c.fault(p.object, annotationPath, "there is no Segment "+cleanKey(p.segment), didYouMean(p.segment, names))
		}
		c.m.Namespaces = append(c.m.Namespaces, ns)
	}
}

const annotationPath = "metadata.annotations[" + api.SegmentAnnotation + "]"

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
		s.subnets = append(s.subnets, Subnet{prefix, gateway})
	}
}

// carve gives subnets to the segments that have none because nobody wrote
// them: one of each family that there is a pool for. What was carved before
// stays; blocks in which pods live already come next.
func (c *compiler) carve(names []string) {
	var stocks []*poolPlan
	for _, p := range c.pools {
		if p.usage == api.UsageSegments && p.stock != nil {
			stocks = append(stocks, p)
		}
	}
	for _, name := range names {
		for _, subnet := range c.segments[name].subnets {
			for _, p := range stocks {
				p.stock.Withhold(ipam.Whole(subnet.Prefix))
			}
		}
	}
	for _, o := range c.routers {
		if o == nil {
			continue
		}
		for _, u := range o.Value.(*api.Router).Spec.Uplinks {
			for _, a := range u.Addresses {
				for _, p := range stocks {
					p.stock.Withhold(ipam.Whole(a))
				}
			}
		}
	}
	carved := map[string][]netip.Prefix{}
	take := func(name string, block netip.Prefix) bool {
		for _, p := range stocks {
			if p.stock.TakePrefix(block) == nil {
				carved[name] = append(carved[name], block)
				return true
			}
		}
		return false
	}
	for _, name := range names {
		if s := c.segments[name]; s.implicit {
			for _, block := range c.previous.Subnets[name] {
				if !take(name, block.Masked()) {
					c.movedSubnet(names, name, block.Masked())
				}
			}
		}
	}
	for _, p := range c.portOrder {
		s := c.segments[p.segment]
		if s == nil || !s.implicit {
			continue
		}
		for _, a := range p.addresses {
			for _, stock := range stocks {
				if stock.stock.Contains(a.ip) {
					take(p.segment, netip.PrefixFrom(a.ip, stock.bits).Masked())
				}
			}
		}
	}
	for _, name := range names {
		s := c.segments[name]
		if !s.implicit {
			continue
		}
		for _, bitLen := range []int{32, 128} {
			c.carveFamily(name, s, stocks, bitLen, carved)
		}
		slices.SortFunc(carved[name], netip.Prefix.Compare)
		for _, block := range carved[name] {
			s.subnets = append(s.subnets, Subnet{block, ipam.Hosts(block).First})
		}
	}
	c.m.Allocations.Subnets = carved
}

// movedSubnet reports a Segment whose subnet overlaps one that was carved for
// another before: carving a new one would move live pods. If the pools have
// changed instead, moving is what was asked for.
func (c *compiler) movedSubnet(names []string, carvedFor string, block netip.Prefix) {
	for _, name := range names {
		s := c.segments[name]
		for i, subnet := range s.spec.Subnets {
			if subnet.CIDR.Overlaps(block) {
				c.fault(s.object, fmt.Sprintf("spec.subnets[%d].cidr", i),
					fmt.Sprintf("%s overlaps %s, which was carved for segment %s", subnet.CIDR, block, carvedFor),
					"choose another, or write a Segment "+carvedFor+" with another subnet first")
			}
		}
	}
}

func (c *compiler) carveFamily(name string, s *segmentPlan, stocks []*poolPlan, bitLen int, carved map[string][]netip.Prefix) {
	if slices.ContainsFunc(carved[name], func(p netip.Prefix) bool { return p.Addr().BitLen() == bitLen }) {
		return
	}
	var tried []string
	for _, p := range stocks {
		if p.cidr.Addr().BitLen() != bitLen {
			continue
		}
		block, err := p.stock.Carve(p.bits, bitLen)
		if err == nil {
			carved[name] = append(carved[name], block)
			return
		}
		if errors.Is(err, ipam.ErrExhausted) {
			tried = append(tried, fmt.Sprintf("%s (%s in /%d)", p.name, p.cidr, p.bits))
		}
	}
	if len(tried) > 0 {
		c.fault(c.reporter(name, s), "", "no subnet is left for segment "+name+" in the pool "+strings.Join(tried, ", "),
			"add an IPPool with usage segments, or a Segment "+name+" with subnets")
	}
}

func (c *compiler) resolveSegment(name string, s *segmentPlan) Segment {
	router := -1
	if s.spec.Router != api.RouterNone {
		at, found := c.routerAt[s.spec.Router]
		if found {
			router = at
		} else {
			c.fault(s.object, "spec.router", "there is no Router "+cleanKey(s.spec.Router),
				didYouMean(s.spec.Router, append(sortedKeys(c.routerAt), api.RouterNone)))
		}
	}
	c.checkBPDUFilterAllow(s.object, s.spec.Security.BPDUFilterAllow)
	seg := Segment{
		Name: name, VNI: uint32(s.spec.VNI), VLAN: uint16(s.spec.VLAN), MTU: s.spec.MTU,
		Router: router, Subnets: s.subnets,
		MACLearning:            resolveLearning(s.spec.MACLearning),
		UnknownUnicastFlooding: *s.spec.UnknownUnicastFlooding,
		NeighborSuppression:    *s.spec.NeighborSuppression,
		RateLimits:             s.spec.RateLimits,
		Security:               resolveSecurity(s.spec.Security),
	}
	c.resolveDHCP(s, &seg)
	return seg
}

// checkBPDUFilterAllow checks spec.security.bpduFilterAllow of a Segment or Port.
func (c *compiler) checkBPDUFilterAllow(o *Object, allow []api.MAC) {
	for i, m := range allow {
		if !m.IsMulticast() {
			c.fault(o, fmt.Sprintf("spec.security.bpduFilterAllow[%d]", i), m.String()+" is no group address", "")
		}
	}
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
func (c *compiler) subnetOverlaps(names []string) {
	groups := map[string][]network{}
	for _, name := range names {
		s := c.segments[name]
		group := "router " + s.spec.Router
		if s.spec.Router == api.RouterNone {
			group = "segment " + name
		}
		for i, subnet := range s.spec.Subnets {
			groups[group] = append(groups[group], network{
				subnet.CIDR, s.object, fmt.Sprintf("spec.subnets[%d].cidr", i), "segment " + name,
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

// podSegment returns the name of a pod's segment and the path that names it,
// "" if that is the Namespace.
func (c *compiler) podSegment(o *Object, p *corev1.Pod) (name, asked string) {
	named := p.Annotations[api.SegmentAnnotation]
	if named == "" {
		return c.namespaceSegment(o.Namespace), ""
	}
	c.namespace(o.Namespace)
	return named, annotationPath
}
