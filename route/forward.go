package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// The deciders of a Forwarder, in the order in which node puts them; rules and
// services stand between Local and Forward.
type (
	securityDecider struct{ f *Forwarder }
	guardDecider    struct{ f *Forwarder }
	localDecider    struct{ f *Forwarder }
	forwardDecider  struct{ f *Forwarder }
	refresher       struct{ f *Forwarder }
)

// Security refuses frames that workloads have no business sending. What it
// refuses is not heard of by Guard, so it teaches nothing.
func (f *Forwarder) Security() dataplane.Decider { return securityDecider{f} }

// Guard refuses frames from addresses that may not send by their port, and learns
// the addresses of the others.
func (f *Forwarder) Guard() dataplane.Decider { return guardDecider{f} }

// Local answers what is asked of the switch itself: ARP, neighbour discovery,
// echo requests to routers.
func (f *Forwarder) Local() dataplane.Decider { return localDecider{f} }

// Forward is the last word: it finds the next hop, within the segment or by
// the router.
func (f *Forwarder) Forward() dataplane.Decider { return forwardDecider{f} }

// Refresher keeps the addresses of live flows from aging.
func (f *Forwarder) Refresher() dataplane.Refresher { return refresher{f} }

// RefreshNs is how often the Refresher has to hear of a flow: several times
// before the shortest aging time is over.
func (f *Forwarder) RefreshNs() int64 {
	if f.aging == 0 {
		return dataplane.DefaultRefreshNs
	}
	return min(f.aging/4, dataplane.DefaultRefreshNs)
}

// Decide finds the next hop of a frame.
func (x forwardDecider) Decide(d *dataplane.Decision) {
	f := x.f
	seg := f.segmentOf(d.Zone)
	if seg == nil {
		d.Drop(packet.UnknownSegment)
		return
	}
	dst := packet.Ethernet(d.Frame()).Dst()
	if seg.routed(dst) {
		f.route(d, seg)
		return
	}
	if dst.IsGroup() {
		f.flood(d, seg)
		return
	}
	at, found := f.hopOf(seg, dst)
	if !found {
		f.unknown(d, seg)
		return
	}
	if at.port == d.In.Number {
		d.Drop(packet.SplitHorizon)
		return
	}
	if m := seg.member(at.port); m != nil && tooLong(d, uint32(m.mtu)) {
		d.Drop(packet.FrameTooLong)
		return
	}
	d.Forward(at.hop.index, at.hop.gen)
}

// unknown decides about a frame whose destination nobody has been heard from.
func (f *Forwarder) unknown(d *dataplane.Decision, seg *segment) {
	if m := seg.member(d.In.Number); m == nil || !m.floodUnknown {
		d.Drop(packet.NoDestination)
		return
	}
	if limit := f.ports[d.In.Number].rxUnknown; limit != nil && !limit.Take(d.Now) {
		d.Drop(packet.StormControl)
		return
	}
	f.flood(d, seg)
}

func (f *Forwarder) flood(d *dataplane.Decision, seg *segment) {
	if tooLong(d, seg.mtu) {
		d.Drop(packet.FrameTooLong)
		return
	}
	d.Flood(seg.list)
}

// tooLong reports whether a frame's payload, with what will be put before it, exceeds an MTU; 0 is no limit. A
// super-frame counts as its segments do.
func tooLong(d *dataplane.Decision, mtu uint32) bool {
	if mtu == 0 {
		return false
	}
	n, overhead := d.Info.IPLen, uint32(d.Overhead)
	if n == 0 {
		n = uint32(len(d.Frame())) - uint32(d.Info.L3)
	}
	return n+overhead > mtu && (d.Info.IPLen == 0 || dataplane.SegmentLen(d.Meta(), d.Info, d.Frame())+overhead > mtu)
}
