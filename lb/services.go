package lb

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/pick"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// choice is what the deciders have chosen for the frame in hand, to be given back if no session is made.
type choice struct {
	active bool
	server *server
	front  *frontend
	member *member.Member
	rule   *service.NATRule // that translates the destination
	source *service.NATRule // that translates the source
	taken  bool             // a place at the server is
	given  bool             // a source's port is
}

// The deciders of a Balancer, in the order in which node puts them.
type (
	servicesDecider struct{ b *Balancer }
	sourceDecider   struct{ b *Balancer }
	concluder       struct{ b *Balancer }
)

// Services finds the member for a connection to a virtual server, and whom NAT rules send it to.
// It stands before the rules of the sender's port, which see the member's address.
func (b *Balancer) Services() dataplane.Decider { return servicesDecider{b} }

// Source translates sources, once it is known where a packet goes and that it may.
func (b *Balancer) Source() dataplane.Decider { return sourceDecider{b} }

// Concluder counts what has begun, and takes back what has not.
func (b *Balancer) Concluder() dataplane.Concluder { return concluder{b} }

// Decide finds out whom a packet is for.
func (x servicesDecider) Decide(d *dataplane.Decision) {
	b := x.b
	c := &b.state.workers[d.W.ID()].choice
	if c.active {
		*c = choice{}
	}
	if b.idle {
		return
	}
	if d.Session != 0 {
		b.resume(d)
		return
	}
	if !flowtable.Trackable(d.Info) {
		return
	}
	z := b.zones.At(d.Zone)
	if z == nil || packet.Ethernet(d.Frame()).Dst() != z.MAC {
		return // not for the router, and so for whom it says
	}
	d.Unfiltered = z.Inside
	if f := b.frontends.find(z.Scope, &d.Info.Key); f != nil {
		c.active, c.server, c.front = true, f.server, f
		b.connect(d, z, c)
		return
	}
	if z.Uplink && !z.Inside {
		b.translateDestination(d, z, c)
	}
}

// resume has a packet of a session go where the session goes.
func (b *Balancer) resume(d *dataplane.Decision) {
	table := d.W.Table()
	if z := b.zones.At(table.Entry(d.Session &^ 1).Key.Zone()); z != nil && z.Inside {
		d.Unfiltered = true
	}
	if !b.direct && b.judged == nil {
		return
	}
	if b.judged != nil {
		if r := b.judged[table.Binding(d.Session).Rule]; r != nil {
			judge(d, r)
		}
	}
	if b.direct {
		if m, how := b.sentOn(table, d.Session); m != nil {
			sendOn(d, m, how)
		}
	}
}

// connect chooses a member for a first packet to a virtual server.
func (b *Balancer) connect(d *dataplane.Decision, z *Zone, c *choice) {
	s, f := c.server, c.front
	k := &d.Info.Key
	if s.denied != nil || s.allowed != nil && f.spec.Restricted {
		client := k.Src.Netip()
		if s.denied != nil && s.denied.Contains(client) || s.allowed != nil && f.spec.Restricted && !s.allowed.Contains(client) {
			s.counts.denied.Add(1)
			d.Drop(packet.ServiceSource)
			return
		}
	}
	pool := f.inside
	if z.Uplink {
		pool = f.outside
	}
	if midstream(d.Info) && !consistent(pool.spec.Algorithm) {
		// Whose connection it is nobody knows any more. To hear so at once is better than to wait for an answer.
		b.state.rejector.Reject(d, answer.NoPort)
		d.Drop(packet.SessionInvalid)
		return
	}
	if s.rate != nil && !s.rate.Take(d.Now) || !s.counts.take(s.spec.MaxConnections) {
		s.counts.refused.Add(1)
		d.Drop(packet.ServiceLimit)
		return
	}
	c.taken = true
	m, why := b.choose(d, z, c, pool)
	if m == nil {
		s.counts.lonely.Add(1)
		b.state.rejector.Reject(d, answer.NoPort)
		d.Drop(packet.NoBackend)
		return
	}
	c.member = m
	d.Binding.Service, d.Binding.Member = s.spec.ID, m.ID|uint32(why)<<idBits
	spec := m.Spec()
	if s.spec.Dispatch != service.Translate {
		sendOn(d, m, s.spec.Dispatch)
		return
	}
	d.Translated.Dst = spec.Address
	if spec.Port != 0 {
		d.Translated.Tail = d.Translated.Tail&^(0xffff<<16) | uint64(spec.Port)<<16
	}
}

// choose returns the member for a connection, with its place taken; nil if there is none.
func (b *Balancer) choose(d *dataplane.Decision, z *Zone, c *choice, pool *poolAtWork) (m *member.Member, why member.Why) {
	s := c.server
	if s.spec.Disabled {
		return nil, 0
	}
	k := &d.Info.Key
	if a := s.spec.Affinity; a != nil {
		if id, found := b.state.affinity.Find(a.ID, k.Src, z.Scope, d.Now); found {
			if m = b.state.members.get(id); m != nil && pool.choice.Accepts(m) && m.Take(pool.limit(m)) {
				return m, member.ByAffinity
			}
		}
	}
	q := pick.Query{Now: d.Now}
	if hashes(pool.spec.Algorithm) {
		q.Source, q.Tuple = hash(k.Src, packet.Addr{}, 0), hash(k.Src, k.Dst, k.Tail&^(uint64(packet.MaxZone)<<32))
	}
	if m, why = pool.choice.Pick(&q); m == nil && c.front.sorry != nil {
		if m, _ = c.front.sorry.choice.Pick(&q); m != nil {
			return m, member.BySorry
		}
	}
	return m, why
}

// midstream reports whether a packet of a connection-oriented protocol does not begin a connection.
func midstream(in *packet.Info) bool {
	return in.Proto == packet.ProtoTCP && in.Has(packet.HasPorts) && in.TCPFlags&(packet.TCPSyn|packet.TCPAck|packet.TCPRst) != packet.TCPSyn
}

// consistent reports whether an algorithm finds the member of a connection again without remembering it.
func consistent(a service.Algorithm) bool {
	return a == service.SourceHash || a == service.TupleHash || a == service.Maglev
}

func hashes(a service.Algorithm) bool { return consistent(a) }

// hash is the same on every node and after a restart, so that connections which nobody remembers come to the same
// members.
func hash(src, dst packet.Addr, tail uint64) uint64 {
	var b [40]byte
	for i, word := range [5]uint64{src[0], src[1], dst[0], dst[1], tail} {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	return xxhash.Sum64(b[:])
}

// translateDestination asks the NAT rules whom a packet from outside is for.
func (b *Balancer) translateDestination(d *dataplane.Decision, z *Zone, c *choice) {
	r, dst, port := b.rules.Destination(z.Scope, d.In.Number, &d.Info.Key)
	if r == nil || r.Action == service.NoDNAT {
		return
	}
	c.active, c.rule = true, r
	d.Translated.Dst = dst
	d.Translated.Tail = d.Translated.Tail&^(0xffff<<16) | uint64(port)<<16
	d.Binding.Rule = r.ID
	judge(d, r)
}

// judge has firewall rules see what a NAT rule says that they see.
func judge(d *dataplane.Decision, r *service.NATRule) {
	switch r.Firewall {
	case service.MatchBypass:
		d.Unfiltered = true
	case service.MatchExternal:
		d.AsReceived = true
	}
}
