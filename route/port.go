package route

import (
	"errors"
	"fmt"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// port is a Port as workers read it, whatever segments it belongs to. It is
// immutable.
type port struct {
	config    *Port // what it is made of
	guard     bool
	rxUnknown *dataplane.Limiter // nil: no limit
	bindings  bindings
}

func newPort(c *Port) *port {
	p := &port{config: c, guard: c.Guard, rxUnknown: c.RxUnknown}
	if len(c.Addresses) == 0 {
		return p
	}
	p.bindings = newBindings(2 * len(c.Addresses))
	for _, a := range c.Addresses {
		b := binding{mac: a.MAC.Word()}
		if !a.IP.IsValid() {
			p.bindings.put(b, true)
			continue
		}
		if !p.bindings.has(b) {
			p.bindings.put(b, false) // it is bound, but not for any address
		}
		p.bindings.put(b.with(packet.AddrFrom(a.IP)), true)
	}
	return p
}

// portChanges are what ports change between two Forwarders.
type portChanges struct {
	dirty  map[packet.Zone]bool         // zones with a port that has come, gone or changed
	joined map[packet.Zone][]attachment // of ports that have come or changed
}

// leave notes that a port is not what it was in its zones.
func (x *portChanges) leave(p *port) {
	for i := range p.config.Zones {
		x.dirty[p.config.Zones[i].Zone] = true
	}
}

// compilePorts makes the ports, of which those that old has too are taken over, and
// returns what is different.
func (f *Forwarder) compilePorts(c *Config, old *Forwarder) (x portChanges, err error) {
	x = portChanges{map[packet.Zone]bool{}, map[packet.Zone][]attachment{}}
	highest := 0
	for _, p := range c.Ports {
		highest = max(highest, int(p.Number))
	}
	highest = min(highest, f.state.config.Ports)
	f.ports = make([]*port, highest+1)
	f.state.routers.limits.errors.MakeRoom(highest)
	f.state.routers.limits.echoes.MakeRoom(highest)
	var faults []error
	for _, p := range c.Ports {
		switch was := old.portAt(p.Number); {
		case p.Number == 0 || int(p.Number) >= len(f.ports):
			faults = append(faults, fmt.Errorf("port %s: number %d is not between 1 and %d", p.Name, p.Number, f.state.config.Ports))
		case f.ports[p.Number] != nil:
			faults = append(faults, fmt.Errorf("port %s: number %d is that of port %s", p.Name, p.Number, f.ports[p.Number].config.Name))
		case was != nil && was.config == p:
			f.ports[p.Number] = was
		case p.MTU < 0 || p.MTU > maxMTU:
			faults = append(faults, fmt.Errorf("port %s: MTU %d is not between 0 and %d", p.Name, p.MTU, maxMTU))
		default:
			f.ports[p.Number] = newPort(p)
			faults = append(faults, f.join(f.ports[p.Number], &x))
		}
	}
	if old != nil {
		for _, p := range old.ports {
			if p != nil && !f.has(p) {
				x.leave(p)
			}
		}
		faults = append(faults, f.abandoned(old))
	}
	return x, errors.Join(faults...)
}

// join notes where a port is new.
func (f *Forwarder) join(p *port, x *portChanges) error {
	var faults []error
	for i := range p.config.Zones {
		a := &p.config.Zones[i]
		if _, found := f.zones[a.Zone]; !found {
			faults = append(faults, fmt.Errorf("port %s: zone %d is no segment's", p.config.Name, a.Zone))
			continue
		}
		x.dirty[a.Zone] = true
		x.joined[a.Zone] = append(x.joined[a.Zone], attachment{p, a})
	}
	return errors.Join(faults...)
}

// abandoned returns the fault of ports that are what they were in old, while a
// segment of theirs is gone.
func (f *Forwarder) abandoned(old *Forwarder) error {
	var faults []error
	for i := range old.segments {
		was := &old.segments[i]
		if _, found := f.zones[was.zone]; found {
			continue
		}
		for _, a := range was.attached {
			if f.has(a.port) {
				faults = append(faults, fmt.Errorf("port %s: zone %d is no segment's", a.port.config.Name, was.zone))
			}
		}
	}
	return errors.Join(faults...)
}

// portAt returns the port of a number, nil if there is none. f may be nil.
func (f *Forwarder) portAt(number uint16) *port {
	if f == nil || int(number) >= len(f.ports) {
		return nil
	}
	return f.ports[number]
}

// has reports whether a port of another Forwarder is one of f's, in the same form.
func (f *Forwarder) has(p *port) bool { return f.portAt(p.config.Number) == p }
