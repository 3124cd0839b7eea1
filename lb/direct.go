package lb

import (
	"math/bits"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/ipip"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Direct server return: packets come to members as clients have sent them, addressed to the virtual server. Members
// on a segment of the node get them by their MAC address (DirectL2), others in IP packets (DirectIPIP). Members
// answer in the virtual server's name.
//
//	client C ── C > V ──▶ node ── C > V ─────────────▶ member M     DirectL2
//	                      node ── N > M ( C > V ) ────▶ member M     DirectIPIP
//	client C ◀───────────────────── V > C ─────────── member M

// Encapsulated is the flag of permits whose packets go to their member in an IP packet; of those flags that
// flowtable leaves to features.
const Encapsulated uint32 = 1 << 16

// sendOn has a packet go to a member as it is.
func sendOn(d *dataplane.Decision, m *member.Member, how service.Dispatch) {
	d.Via = m.Spec().Address
	if how == service.DirectIPIP {
		d.Permit.Flags |= Encapsulated
		d.Overhead = ipip.Overhead(d.Via)
	}
}

// sentOn returns the member that packets of a session's direction are sent on to as they are, and how; nil if
// they are not.
func (b *Balancer) sentOn(table *flowtable.Table, id flowtable.ID) (m *member.Member, how service.Dispatch) {
	bound := table.Binding(id)
	if id.Dir() == flowtable.Reply || bound.Service == 0 {
		return nil, service.Translate
	}
	m = b.state.members.get(MemberID(&bound))
	if m == nil || table.Entry(id.Peer()).Key.Src == m.Spec().Address {
		return nil, service.Translate
	}
	if c := b.state.servers.get(bound.Service); c != nil {
		how = service.Dispatch(c.dispatch.Load())
	}
	return m, how
}

// StageEncapsulate returns the stage that puts packets for members into IP packets; one without Run if there are no
// such members. It belongs after those that rewrite frames, and before the one that cuts packets which are too long.
func (b *Balancer) StageEncapsulate() dataplane.Stage {
	s := dataplane.Stage{Name: "encapsulate"}
	if b.tunnels {
		s.Run = b.encapsulate
	}
	return s
}

func (b *Balancer) encapsulate(w *dataplane.Worker, v *dataplane.Vector) {
	table := w.Table()
	for m := v.Frames() & v.Routed; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m) & 63
		v.At(i)
		id := v.Entry[i]
		if id == 0 {
			continue
		}
		// An ICMP error has the session that it is about, but no permit of it.
		if table.Entry(id).Flags()&Encapsulated == 0 && !v.Info[i].Has(packet.ICMPError) {
			continue
		}
		to, how := b.sentOn(table, id)
		if to == nil || how != service.DirectIPIP {
			continue
		}
		dst := to.Spec().Address
		src := b.outerSource(w, v, i, dst)
		if src == (packet.Addr{}) {
			v.Drop(i, packet.NoBackend) // none that answers to this node's address: it has none of the family
			continue
		}
		if r := ipip.Push(w.Arena(), v.Buf[i], &v.Info[i], src, dst); r != packet.None {
			v.Drop(i, r)
			continue
		}
		meta := w.Arena().Meta(v.Buf[i])
		v.Off[i], v.Len[i] = meta.Off, meta.Len
		if meta.GSOType == packet.GSONone {
			v.Special &^= 1 << i // its checksum is complete
		}
	}
}

// outerSource returns the router's address for packets to a member: that where they leave, or one elsewhere if it has none
// of the family there; zero: it has none at all.
func (b *Balancer) outerSource(w *dataplane.Worker, v *dataplane.Vector, i int, dst packet.Addr) packet.Addr {
	hop, _ := w.Table().Entry(v.Entry[i]).Hop()
	z := b.zones.At(w.Hops().Zone(hop))
	if z == nil {
		// The hop is of a configuration that is gone.
		if z = b.zones.At(v.Zone[i]); z == nil {
			return packet.Addr{}
		}
	}
	return z.outer[family(dst)]
}

// findOuter notes where packets for members come from that leave by a zone: the router's address there, or, in a family of
// which it has none, one that the zone's address space has.
func (b *Balancer) findOuter(zones []Zone) {
	spare := map[uint32]*Zone{}
	for i := range zones {
		z := &zones[i]
		if z.Inside {
			continue
		}
		s := spare[z.Scope]
		if s == nil {
			s = &Zone{}
			spare[z.Scope] = s
		}
		for _, a := range z.Own {
			if a != (packet.Addr{}) {
				s.AddOwn(a)
			}
		}
	}
	for i := range zones {
		z := b.zones.At(zones[i].Zone)
		z.outer = z.Own
		for k := range z.outer {
			if s := spare[z.Scope]; s != nil && z.outer[k] == (packet.Addr{}) {
				z.outer[k] = s.Own[k]
			}
		}
	}
}

// findDirect notes whether packets of any server go to members as they are: of one of the configuration, or of one that
// was there before and has sessions. Under State.mu.
func (b *Balancer) findDirect() {
	note := func(how service.Dispatch) {
		b.direct = b.direct || how != service.Translate
		b.tunnels = b.tunnels || how == service.DirectIPIP
	}
	for _, x := range b.spec.Servers {
		note(x.Dispatch)
	}
	for _, list := range [2][]uint32{b.state.listed, b.state.gone} {
		for _, id := range list {
			if c := b.state.servers.get(id); c.active.Load() > 0 {
				note(service.Dispatch(c.dispatch.Load()))
			}
		}
	}
}
