package node

import (
	"errors"
	"iter"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/dataplane"
)

// PoolViews are the stocks of addresses: those of segments, by name, then the
// IPPools by name, first those that subnets are carved from.
func (n *Node) PoolViews(f *api.Filter) (iter.Seq[api.PoolView], error) {
	s, err := n.look(f)
	usages := append([]string{string(api.UsagePorts)}, api.PoolUsage("").Values()...)
	if err := errors.Join(err, mustBe(f, usages)); err != nil {
		return nil, err
	}
	owners := s.owned()
	all := func(yield func(api.PoolView) bool) {
		for _, i := range s.segmentsByName() {
			if len(s.model.Segments[i].Subnets) != 0 && !yield(s.segmentPool(i, owners[i])) {
				return
			}
		}
		for i := range s.model.Blocks {
			if !yield(s.block(&s.model.Blocks[i])) {
				return
			}
		}
		for i := range s.model.Pools {
			if !yield(s.ipPool(&s.model.Pools[i])) {
				return
			}
		}
	}
	list, err := choose(f, "address pool", all, func(v *api.PoolView) string { return v.Name }, func(v *api.PoolView) bool {
		return f.MatchState(string(v.Usage)) && (!f.Address.IsValid() || inRanges(v.Ranges, f.Address))
	})
	return slices.Values(list), err
}

// inRanges says whether a range, as a PoolView has it, is about any of some addresses.
func inRanges(ranges []string, addresses netip.Prefix) bool {
	asked := ipam.Whole(addresses)
	return slices.ContainsFunc(ranges, func(text string) bool {
		if p, err := netip.ParsePrefix(text); err == nil {
			return p.Overlaps(addresses)
		}
		first, last, _ := strings.Cut(text, "-")
		from, err := netip.ParseAddr(first)
		to, toErr := netip.ParseAddr(last)
		return err == nil && toErr == nil && ipam.Range{First: from, Last: to}.Overlaps(asked)
	})
}

// allocated is an address and who has it.
type allocated struct {
	ip   netip.Addr
	port string
}

// owned returns the addresses of ports by the index of their segments.
func (s *shown) owned() [][]allocated {
	list := make([][]allocated, len(s.model.Segments))
	for i := range s.model.Ports {
		p := s.model.Ports[i]
		for _, a := range p.Addresses {
			if p.Segment >= 0 && a.IP.IsValid() {
				list[p.Segment] = append(list[p.Segment], allocated{a.IP, p.Name})
			}
		}
	}
	return list
}

// segmentPool is what the subnets of a segment have for its ports.
func (s *shown) segmentPool(segment int, owners []allocated) api.PoolView {
	x := &s.model.Segments[segment]
	v := api.PoolView{Name: x.Name, Usage: api.UsagePorts}
	var hosts ipam.Set
	for _, subnet := range x.Subnets {
		v.Ranges = append(v.Ranges, subnet.Prefix.String())
		hosts.Add(ipam.Hosts(subnet.Prefix))
	}
	for i := range s.model.Pools {
		// A pool of VIPs may be part of a subnet: those addresses are the pool's.
		for _, r := range s.model.Pools[i].Ranges {
			hosts.Remove(r)
		}
	}
	stock := ipam.NewPool(hosts.Ranges()...)
	take := func(a allocated, count *uint64, quarantined bool) {
		if stock.Take(a.ip) == nil {
			*count++
			v.Allocations = append(v.Allocations, api.AllocationView{Address: a.ip, Owner: a.port, Quarantined: quarantined})
		}
	}
	for _, subnet := range x.Subnets {
		take(allocated{subnet.Gateway, "gateway"}, &v.Used, false)
	}
	for _, a := range owners {
		take(a, &v.Used, false)
	}
	for _, freed := range s.model.Allocations.Freed {
		take(allocated{freed.Address, freed.Port}, &v.Quarantined, true)
	}
	v.Size, v.Free = stock.Size(), stock.Free()
	slices.SortFunc(v.Allocations, func(a, b api.AllocationView) int { return a.Address.Compare(b.Address) })
	return v
}

// block is a stock of subnets. One that an uplink's network or a written subnet
// touches is used, like one that was carved.
func (s *shown) block(b *control.Block) api.PoolView {
	v := api.PoolView{Name: b.Name, Usage: api.UsageSegments, Ranges: []string{b.CIDR.String()}, Size: math.MaxUint64}
	if bits := b.Bits - b.CIDR.Bits(); bits < 64 {
		v.Size = 1 << bits
	}
	use := func(p netip.Prefix, owner string) {
		if !b.CIDR.Overlaps(p) {
			return
		}
		n := uint64(1)
		if bits := b.Bits - max(p.Bits(), b.CIDR.Bits()); bits > 0 {
			n = 1 << min(bits, 63)
		}
		v.Used += n
		v.Allocations = append(v.Allocations, api.AllocationView{Subnet: p, Owner: owner})
	}
	for i := range s.model.Segments {
		for _, subnet := range s.model.Segments[i].Subnets {
			use(subnet.Prefix, s.model.Segments[i].Name)
		}
	}
	for i := range s.model.Routers {
		for _, u := range s.model.Routers[i].Uplinks {
			for _, a := range u.Addresses {
				use(a.Masked(), s.model.Ports[u.Port].Name)
			}
		}
	}
	v.Used = min(v.Used, v.Size)
	v.Free = v.Size - v.Used
	slices.SortFunc(v.Allocations, func(a, b api.AllocationView) int { return a.Subnet.Compare(b.Subnet) })
	return v
}

// ipPool is a pool that addresses of virtual servers, or those that sources are translated to, are given out of.
func (s *shown) ipPool(p *control.Pool) api.PoolView {
	v := api.PoolView{Name: p.Name, Usage: p.Usage}
	for _, r := range p.Ranges {
		v.Ranges = append(v.Ranges, r.String())
	}
	use := vips.UsageOf(s.model.Allocations.VIPs, p.Ranges, dataplane.WallClock(dataplane.Now()), int64(s.model.Node.IPReallocationTime))
	v.Size, v.Used, v.Free, v.Quarantined = use.Size, use.Used, use.Free, use.Quarantined
	for _, h := range use.Holders {
		v.Allocations = append(v.Allocations, api.AllocationView{Address: h.Address, Owner: h.Owner.String(), Quarantined: h.Quarantined})
	}
	return v
}
