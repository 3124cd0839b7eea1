package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ipam"
)

const second = time.Second

func (c *compiler) compileNode() {
	if !c.nodeGood || changed[api.NodeConfig](c) {
		c.nodeGood = c.good(c.resolveNode)
	}
	c.m.Node = c.node
}

func (c *compiler) resolveNode() {
	var spec api.NodeConfigSpec
	var first *Object
	each(c, func(o *Object, n *api.NodeConfig) {
		if first != nil {
			c.fault(o, "", "a node has one NodeConfig", "the other is "+first.where())
			return
		}
		first, spec = o, n.Spec
	})
	api.SetDefaults(&spec)
	c.node = Node{
		Workers: spec.Workers, DefaultAction: spec.DefaultRule.Action, DefaultLogged: spec.DefaultRule.Logged,
		GatewayMAC: spec.GatewayMAC, Limits: spec.Limits,
		IPReallocationTime: time.Duration(*spec.IPReallocationTime) * second,
		Timers:             resolveTimers(spec.Timers),
	}
	c.firewallSettings(first, &spec)
	c.servicesSettings(first, &spec)
	if spec.GatewayMAC.IsMulticast() {
		c.fault(first, "spec.gatewayMAC", spec.GatewayMAC.String()+" is a group address", "the first byte must be even")
	}
	if spec.Limits.SessionsPerSource > spec.Limits.Sessions {
		c.fault(first, "spec.limits.sessionsPerSource",
			fmt.Sprintf("%d is more than limits.sessions, %d", spec.Limits.SessionsPerSource, spec.Limits.Sessions), "")
	}
	if spec.CPUs == "" {
		return
	}
	cpus, err := parseCPUs(spec.CPUs)
	switch {
	case err != nil:
		c.fault(first, "spec.cpus", err.Error(), `write a list such as "0-3" or "1,3"`)
	case len(cpus) < spec.Workers:
		c.fault(first, "spec.cpus", fmt.Sprintf("%d CPUs are too few for %d workers", len(cpus), spec.Workers), "")
	default:
		c.node.CPUs = cpus[:spec.Workers]
	}
}

// resolveTimers converts timers that have their defaults.
func resolveTimers(t api.Timers) Timers {
	return Timers{
		TCPFirstPacket:  time.Duration(t.TCPFirstPacket) * second,
		TCPOpening:      time.Duration(t.TCPOpening) * second,
		TCPEstablished:  time.Duration(t.TCPEstablished) * second,
		TCPClosing:      time.Duration(t.TCPClosing) * second,
		TCPFinWait:      time.Duration(t.TCPFinWait) * second,
		TCPClosed:       time.Duration(t.TCPClosed) * second,
		UDPFirstPacket:  time.Duration(t.UDPFirstPacket) * second,
		UDPSingle:       time.Duration(t.UDPSingle) * second,
		UDPMultiple:     time.Duration(t.UDPMultiple) * second,
		ICMPFirstPacket: time.Duration(t.ICMPFirstPacket) * second,
		ICMPErrorReply:  time.Duration(t.ICMPErrorReply) * second,
	}
}

// maxCPU is the highest CPU number that Linux can be built for, and a bound on
// how long a range may be.
const maxCPU = 8191

// parseCPUs reads a list of numbers and ranges. Each CPU is given once.
func parseCPUs(list string) (cpus []int, err error) {
	for _, part := range strings.Split(list, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || to < from || to > maxCPU {
			return nil, fmt.Errorf("%q is no CPU or range of CPUs", clip(part))
		}
		for cpu := from; cpu <= to; cpu++ {
			if slices.Contains(cpus, int(cpu)) {
				return nil, fmt.Errorf("CPU %d is there twice", cpu)
			}
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}

// poolPlan is an IPPool, or the default one.
type poolPlan struct {
	name   string
	object *Object // nil: the default
	usage  api.PoolUsage
	ranges []ipam.Range
	paths  []string // where each range is written
	cidr   netip.Prefix
	bits   int        // of a carved subnet; usage segments only
	stock  *ipam.Pool // what is left to carve; usage segments only; of this compilation
}

func (c *compiler) compilePools() {
	if !c.poolsGood || changed[api.IPPool](c) {
		c.pools, c.poolModel, c.blocks, c.poolsRun = nil, nil, nil, c.run
		c.poolsGood = c.good(c.resolvePools)
	}
	c.m.Pools, c.m.Blocks = c.poolModel, c.blocks
	for _, p := range c.pools {
		if p.usage == api.UsageSegments {
			p.stock = ipam.NewPool(p.ranges...)
		}
	}
}

func (c *compiler) resolvePools() {
	haveSegments := false
	each(c, func(o *Object, p *api.IPPool) {
		plan := c.planPool(o, &p.Spec)
		haveSegments = haveSegments || plan.usage == api.UsageSegments
		c.pools = append(c.pools, plan)
	})
	if !haveSegments {
		cidr := netip.MustParsePrefix(api.DefaultSegmentPool)
		c.pools = append(c.pools, &poolPlan{
			name: "default", usage: api.UsageSegments, cidr: cidr, bits: api.DefaultSegmentBits4,
			ranges: []ipam.Range{ipam.Whole(cidr)}, paths: []string{""},
		})
	}
	c.poolOverlaps()
	for _, p := range c.pools {
		if p.usage == api.UsageSegments {
			c.blocks = append(c.blocks, Block{p.name, p.cidr, p.bits})
			continue
		}
		spec := p.object.Value.(*api.IPPool).Spec
		var set ipam.Set
		for _, r := range p.ranges {
			set.Add(r)
		}
		set.Remove(ipam.Range{First: spec.Gateway, Last: spec.Gateway})
		c.poolModel = append(c.poolModel, Pool{
			Name: p.name, Usage: p.usage, Ranges: set.Ranges(), Gateway: spec.Gateway,
			DNSNameservers: spec.DNSNameservers, DNSSuffix: spec.DNSSuffix,
		})
	}
}

func (c *compiler) planPool(o *Object, spec *api.IPPoolSpec) *poolPlan {
	p := &poolPlan{name: o.Name, object: o, usage: spec.Usage, cidr: spec.CIDR, bits: spec.PrefixLength}
	switch {
	case spec.CIDR.IsValid() == (len(spec.Ranges) > 0):
		c.fault(o, "spec", "a pool has either cidr or ranges", "")
	case spec.Usage == api.UsageSegments && !spec.CIDR.IsValid():
		c.fault(o, "spec.ranges", "subnets can't be carved from ranges", "give cidr and prefixLength")
	case spec.Usage != api.UsageSegments && spec.PrefixLength != 0:
		c.fault(o, "spec.prefixLength", "is for pools with usage segments only", "leave it out")
	}
	if spec.CIDR.IsValid() {
		p.ranges = append(p.ranges, ipam.Whole(spec.CIDR))
		p.paths = append(p.paths, "spec.cidr")
		c.poolBits(o, p)
	}
	for i, r := range spec.Ranges {
		path := fmt.Sprintf("spec.ranges[%d]", i)
		switch {
		case r.Start.BitLen() != r.End.BitLen():
			c.fault(o, path, "start and end are not of one family", "")
		case r.End.Less(r.Start):
			c.fault(o, path, "the end "+r.End.String()+" is before the start "+r.Start.String(), "")
		default:
			p.ranges = append(p.ranges, ipam.Range{First: r.Start, Last: r.End})
			p.paths = append(p.paths, path)
		}
	}
	return p
}

// poolBits checks the size of the subnets to carve.
func (c *compiler) poolBits(o *Object, p *poolPlan) {
	if p.usage != api.UsageSegments {
		return
	}
	size := p.cidr.Addr().BitLen()
	if p.bits == 0 {
		p.bits = api.DefaultSegmentBits4
		if size == 128 {
			p.bits = api.DefaultSegmentBits6
		}
		p.bits = max(p.bits, p.cidr.Bits())
	}
	if p.bits < p.cidr.Bits() || p.bits > size-1 {
		path := "spec.prefixLength"
		if p.cidr.Bits() > size-1 {
			path = "spec.cidr"
		}
		c.fault(o, path, fmt.Sprintf("subnets of /%d can't be carved from %s", p.bits, p.cidr),
			fmt.Sprintf("from %d to %d", min(p.cidr.Bits(), size-1), size-1))
		p.bits = size - 1
		p.cidr, p.ranges = netip.Prefix{}, nil
	}
}

// poolOverlaps reports each range that shares addresses with one before it.
func (c *compiler) poolOverlaps() {
	type piece struct {
		pool *poolPlan
		ipam.Range
		path string
	}
	var pieces []piece
	for _, p := range c.pools {
		for i, r := range p.ranges {
			pieces = append(pieces, piece{p, r, p.paths[i]})
		}
	}
	// Sorted by first address, a range overlaps an earlier one iff it overlaps
	// the one that reaches furthest.
	slices.SortStableFunc(pieces, func(a, b piece) int { return a.First.Compare(b.First) })
	for i, furthest := 1, 0; i < len(pieces); i++ {
		a, b := pieces[furthest], pieces[i]
		if a.Overlaps(b.Range) {
			at, other := b, a
			if at.pool.object == nil {
				at, other = a, b
			}
			what := "the default pool " + api.DefaultSegmentPool
			if other.pool.object != nil {
				what = other.pool.object.where()
			}
			if at.pool == other.pool {
				what = other.path
			}
			c.fault(at.pool.object, at.path, at.Range.String()+" overlaps "+other.Range.String()+" of "+what,
				"a pool's addresses are its own")
		}
		if a.Last.Less(b.Last) {
			furthest = i
		}
	}
}
