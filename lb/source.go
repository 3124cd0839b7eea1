package lb

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Decide translates the source of a session that begins, if it has to be.
func (x sourceDecider) Decide(d *dataplane.Decision) {
	b := x.b
	if b.idle || d.Session != 0 || !d.Forwarded() || !flowtable.Trackable(d.Info) {
		return
	}
	port, zone, flood := d.Out()
	in, out := b.zones.At(d.Zone), b.zones.At(zone)
	if flood || in == nil || out == nil {
		return
	}
	c := &b.state.workers[d.W.ID()].choice
	if s := c.server; s != nil && s.spec.Dispatch != service.Translate {
		return // the member answers as the one that the client has asked
	}
	pool := uint32(0)
	switch {
	case c.server != nil:
		pool = b.sourceOfService(d, c, in, out, port)
	case in.Inside:
		pool = automapSource | uint32(zone)
	}
	if pool == 0 && out.Uplink && !out.Inside && d.Zone != zone {
		// A rule is asked only where the service does not say.
		if c.server == nil || c.server.spec.Source == service.SourceAsNeeded && !c.front.spec.KeepSource {
			r, src, sport := b.rules.Source(in.Scope, port, &d.Translated)
			if r == nil || r.Action == service.NoSNAT {
				return
			}
			c.active, c.source = true, r
			if r.Pool == nil {
				d.Binding.Source = r.ID
				b.setSource(d, src, sport)
				return
			}
			pool = r.Pool.ID
		}
	}
	reply := zone
	if p := d.W.Snapshot().Port(port); p != nil && p.Sessions != 0 {
		reply = p.Sessions
	}
	if pool == 0 {
		if d.Clash {
			b.changePort(d, reply)
		}
		return
	}
	src, sport, ok := b.state.sources.Take(pool, &d.Translated, reply, d.Now)
	if !ok {
		d.Drop(packet.NATExhausted)
		return
	}
	c.active, c.given = true, true
	d.Binding.Source = pool
	b.setSource(d, src, sport)
}

// sourceOfService returns the pool that the source of a connection to a member comes from; 0 if it stays.
func (b *Balancer) sourceOfService(d *dataplane.Decision, c *choice, in, out *Zone, port uint16) uint32 {
	s := c.server.spec
	automap := automapSource | uint32(out.Zone)
	// A member that is its own client would take the answer for a packet of its own; one that is where the client is would
	// answer it without coming by here.
	if d.Translated.Src == d.Translated.Dst || port == d.In.Number {
		return automap
	}
	switch s.Source {
	case service.SourceAutomap:
		return automap
	case service.SourceFromPool:
		return s.Pool.ID
	case service.SourceAsNeeded:
		if in.Inside || in.Uplink && out.Uplink && !c.front.spec.KeepSource {
			return automap
		}
	}
	return 0
}

// changePort gives a client another port if it talks by the one that it has to the member already, by way of another
// server: what came back could not be told apart (RFC 4787 section 4.1; Linux does the same).
func (b *Balancer) changePort(d *dataplane.Decision, reply packet.Zone) {
	port, ok := b.state.sources.AnotherPort(&d.Translated, reply)
	if !ok {
		d.Drop(packet.NATExhausted)
		return
	}
	b.setSource(d, d.Translated.Src, port)
}

func (b *Balancer) setSource(d *dataplane.Decision, src packet.Addr, port uint16) {
	d.Translated.Src = src
	d.Translated.Tail = d.Translated.Tail&^0xffff | uint64(port)
}
