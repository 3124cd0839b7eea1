package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/packet"
)

// routerState is what routers keep through all revisions.
type routerState struct {
	neighbors *neighborTable
	limits    icmpLimits
	cuts      [maxWorkers]cutList
	paths     [maxWorkers]pathCache // by worker
}

// maxWorkers is the largest number of workers that an engine has.
const maxWorkers = 64

func newRouterState(c *StateConfig) (*routerState, error) {
	neighbors, err := newNeighborTable(c)
	if err != nil {
		return nil, err
	}
	return &routerState{neighbors: neighbors, limits: icmpLimits{
		errors: answer.NewLimit(c.ICMPErrorsPerSecond), echoes: answer.NewLimit(c.EchoesPerSecond),
	}}, nil
}

func (r *routerState) close() error { return r.neighbors.index.Close() }

// answer looks at an IP packet whose destination MAC is the router's, before
// services and rules do: an echo request to one of its addresses is answered.
func (f *Forwarder) answer(d *dataplane.Decision, seg *segment) {
	// A session's packets are not the router's: its address is then one that
	// others are translated to.
	if echo := echoRequest(d); echo != nil && d.Session == 0 && f.isOwn(seg, d.Info.Key.Dst) {
		f.echo(d, seg, echo)
	}
}

// answerProxied is answer for an address that the router answers for, if no service and no NAT rule has taken the
// request by now.
func (f *Forwarder) answerProxied(d *dataplane.Decision, seg *segment) {
	if echo := echoRequest(d); echo != nil && d.Session == 0 && d.Translated == d.Info.Key {
		f.echo(d, seg, echo)
		return
	}
	f.refuseService(d, seg)
}

// isOwn reports whether an address is one of the router's, in whichever
// segment; a link-local one in this segment only.
func (f *Forwarder) isOwn(seg *segment, ip packet.Addr) bool {
	if seg.owns(ip) {
		return true
	}
	p, found := f.fibs[seg.router].lookup(ip)
	return found && p.kind == pathLocal
}

// route decides about a frame whose destination MAC is the router's, at the
// end of the decision: after services have translated it and rules let it pass.
func (f *Forwarder) route(d *dataplane.Decision, seg *segment) {
	in := d.Info
	if !in.Has(packet.IsIP) {
		d.Drop(packet.UnsupportedL2)
		return
	}
	if in.Has(packet.BadIPChecksum) {
		d.Drop(packet.InvalidIPChecksum)
		return
	}
	src, dst := sourceIP(d), destination(d)
	from := src.Scope()
	if from != packet.ScopeGlobal && from != packet.ScopeLink {
		d.Drop(packet.InvalidSourceIP)
		return
	}
	if d.Via != (packet.Addr{}) {
		dst = d.Via
	}
	if seg.owns(dst) {
		f.refuseService(d, seg)
		return
	}
	if dst.Scope() != packet.ScopeGlobal {
		d.Drop(packet.NotForwardable)
		return
	}
	if from == packet.ScopeLink {
		f.refuse(d, seg, packet.NotForwardable, answer.BeyondScope, 0)
		return
	}
	p, found := f.state.routers.paths[d.W.ID()].lookup(f.fibs[seg.router], dst)
	switch {
	case !found:
		f.refuse(d, seg, packet.NoRoute, answer.NoRoute, 0)
		return
	case p.kind == pathLocal:
		f.refuseService(d, seg)
		return
	case p.kind == pathProxied:
		f.answerProxied(d, seg)
		return
	case p.kind == pathBroadcast:
		d.Drop(packet.NotForwardable)
		return
	case p.kind == pathBlackhole:
		d.Drop(packet.NoRoute)
		return
	case in.TTL <= 1:
		f.refuse(d, seg, packet.TTLExceeded, answer.TTLExceeded, 0)
		return
	}
	next := dst
	if p.kind == pathVia {
		next = p.via
	}
	f.resolve(d, seg, &f.segments[p.segment], next)
}

// destination returns where a packet goes after translation. The key of an
// ICMP error is that of the packet it quotes: unless it is translated, the
// destination is what the error's own header says.
func destination(d *dataplane.Decision) packet.Addr {
	in := d.Info
	if !in.Has(packet.ICMPError) || d.Translated.Dst != in.Key.Dst {
		return d.Translated.Dst
	}
	if in.Has(packet.IsIPv6) {
		return packet.IPv6(d.Frame()[in.L3:]).Dst()
	}
	return packet.IPv4(d.Frame()[in.L3:]).Dst()
}

// refuseService drops a packet that is for the router itself, which has no
// service but echo, and tells the sender if its protocol has no word for that
// (RFC 1122 section 3.2.2.1, RFC 4443 sections 3.1 and 3.4). TCP has one, but
// the router has no TCP; stacks take a port unreachable for a refusal.
func (f *Forwarder) refuseService(d *dataplane.Decision, seg *segment) {
	switch d.Info.Proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP:
		f.refuse(d, seg, packet.NoService, answer.NoPort, 0)
	case packet.ProtoICMP, packet.ProtoICMPv6, packet.ProtoIGMP:
		d.Drop(packet.NoService)
	default:
		f.refuse(d, seg, packet.NoService, answer.NoProtocol, 0)
	}
}

// forward sends a packet by a routed hop, if it fits.
func (f *Forwarder) forward(d *dataplane.Decision, seg *segment, ref hopRef) {
	in := d.Info
	hops := d.W.Hops()
	port, mtu := hops.Exit(ref.index)
	// Back to who sent it: the sender's table and this one name each other. A
	// service may do so, for a client that is its own server.
	if port == d.In.Number && d.Translated.Dst == in.Key.Dst {
		if hop := hops.Lookup(ref.index); hop.Zone == seg.zone && hop.DstMAC == packet.Ethernet(d.Frame()).Src() {
			d.Drop(packet.SplitHorizon)
			return
		}
	}
	if tooLong(d, uint32(mtu)) {
		room := mtu - min(mtu, uint16(d.Overhead))
		if !mayFragment(d) {
			f.refuse(d, seg, packet.FragmentationNeeded, answer.TooBig, uint32(room))
			return
		}
		hop := hops.Lookup(ref.index)
		hop.MTU = room
		f.state.routers.cuts[d.W.ID()].add(d.Buf, &hop)
	}
	d.Forward(ref.index, ref.gen)
}

// Route is a row of a router's forwarding table, for display.
type Route struct {
	Prefix string // in CIDR form
	Via    string // next hop; empty: none
	Out    string // segment or uplink; empty: none
	Kind   string // connected, via, local, proxied, broadcast or blackhole
}

var pathKinds = [...]string{
	pathDirect: "connected", pathVia: "via", pathLocal: "local", pathProxied: "proxied", pathBroadcast: "broadcast", pathBlackhole: "blackhole",
}

// Routes returns the forwarding table of router number r of the Config, IPv4
// first, by prefix.
func (f *Forwarder) Routes(r int) (list []Route) {
	for prefix, p := range f.fibs[r].routes.AllSorted() {
		row := Route{Prefix: prefix.String(), Kind: pathKinds[p.kind]}
		if p.kind == pathVia {
			row.Via = p.via.String()
		}
		if p.kind == pathDirect || p.kind == pathVia {
			row.Out = f.segments[p.segment].name
		}
		list = append(list, row)
	}
	return list
}
