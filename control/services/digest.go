package services

import (
	"encoding/binary"
	"net/netip"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// Digest is a hash of all that the Config says. Valid after Resolve.
func (r *Resolver) Digest() uint64 { return r.parts.sum }

// hash is one of all that has been built of a node.
func (b *built) hash() uint64 {
	if len(b.servers)+len(b.pools)+len(b.rules) == 0 {
		return 0
	}
	w := make(writer, 0, 512)
	for _, s := range b.servers {
		w.server(s)
	}
	for _, p := range b.pools {
		w.pool(p)
	}
	for _, x := range b.rules {
		w.rule(x)
	}
	return xxhash.Sum64(w)
}

// writer collects what is hashed.
type writer []byte

func (w *writer) numbers(list ...uint64) {
	for _, n := range list {
		*w = binary.AppendUvarint(*w, n)
	}
}

func (w *writer) texts(list ...string) {
	for _, s := range list {
		w.numbers(uint64(len(s)))
		*w = append(*w, s...)
	}
}

func (w *writer) bools(list ...bool) {
	var bits uint64
	for i, b := range list {
		if b {
			bits |= 1 << i
		}
	}
	w.numbers(bits)
}

func (w *writer) address(a packet.Addr) {
	b := a.As16()
	*w = append(*w, b[:]...)
}

func (w *writer) prefixes(list []netip.Prefix) {
	w.numbers(uint64(len(list)))
	for _, p := range list {
		w.address(packet.AddrFrom(p.Addr()))
		w.numbers(uint64(p.Bits() + 1))
	}
}

func (w *writer) ranges(list ...service.PortRange) {
	w.numbers(uint64(len(list)))
	for _, r := range list {
		w.numbers(uint64(r.First)<<16 | uint64(r.Last))
	}
}

func (w *writer) server(s *service.Server) {
	w.numbers(uint64(s.ID), uint64(s.Source), uint64(s.Dispatch), uint64(s.MaxConnections), uint64(s.MaxRate), uint64(len(s.Frontends)))
	w.texts(s.Name)
	w.bools(s.Disabled, s.LogEnds, s.Sorry != nil, s.Pool != nil, s.Affinity != nil)
	for i := range s.Frontends {
		f := &s.Frontends[i]
		w.numbers(uint64(f.Kind), uint64(f.Scope), uint64(f.Protocol), uint64(f.First), uint64(f.Last), uint64(f.Inside.ID), uint64(f.Outside.ID))
		w.address(f.Address)
		w.bools(f.KeepSource, f.Restricted)
	}
	if s.Sorry != nil {
		w.numbers(uint64(s.Sorry.ID))
	}
	w.source(s.Pool)
	if a := s.Affinity; a != nil {
		w.numbers(uint64(a.ID), uint64(a.TimeoutNs))
		w.bools(a.NoPurge)
	}
	w.prefixes(s.Allowed)
	w.prefixes(s.Denied)
}

func (w *writer) source(s *service.SourcePool) {
	if s == nil {
		return
	}
	w.numbers(uint64(s.ID), uint64(s.Scope), uint64(len(s.Addresses)), uint64(len(s.Fixed)))
	w.texts(s.Name)
	for _, a := range s.Addresses {
		w.address(a)
	}
	w.ranges(s.Ports)
	w.bools(s.PerDestination)
	for _, f := range s.Fixed {
		w.prefixes([]netip.Prefix{f.Prefix})
		w.address(f.To)
	}
}

func (w *writer) pool(p *service.Pool) {
	w.numbers(uint64(p.ID), uint64(p.Algorithm), uint64(p.TableSize), uint64(p.MinActive), uint64(p.SlowStartNs), uint64(p.MaxConnections), uint64(len(p.Members)), uint64(len(p.Monitors)))
	w.texts(p.Name)
	w.bools(p.LastResort, p.Passive != nil)
	if p.Passive != nil {
		w.numbers(uint64(p.Passive.MaxFails), uint64(p.Passive.TimeoutNs))
	}
	for _, m := range p.Members {
		w.numbers(uint64(m.ID), uint64(m.Port), uint64(m.Weight), uint64(m.Admin), uint64(m.MaxConnections))
		w.address(m.Address)
		w.texts(m.Name, m.Why)
		w.bools(m.Backup, m.Local, m.NotReady)
	}
	for _, m := range p.Monitors {
		w.monitor(m)
	}
}

func (w *writer) monitor(m *service.Monitor) {
	w.numbers(uint64(m.Type), uint64(m.IntervalNs), uint64(m.TimeoutNs), uint64(m.Rise), uint64(m.Fall), uint64(m.Port), uint64(len(m.Headers)), uint64(len(m.Statuses)))
	w.texts(m.Name, string(m.Send), string(m.Receive), m.Method, m.Path, m.Host, m.Version, string(m.Body), m.ResponseBody, m.ServerName, string(m.CA))
	for _, h := range m.Headers {
		w.texts(h[0], h[1])
	}
	for _, s := range m.Statuses {
		w.numbers(uint64(s))
	}
	w.bools(m.Verify)
}

func (w *writer) rule(x *service.NATRule) {
	w.numbers(uint64(x.ID), uint64(x.Scope), uint64(x.Priority), uint64(x.Action), uint64(x.Protocol), uint64(x.Firewall), uint64(len(x.Uplinks)))
	w.texts(x.Name)
	for _, u := range x.Uplinks {
		w.numbers(uint64(u))
	}
	w.prefixes(x.Source)
	w.prefixes(x.Destination)
	w.prefixes([]netip.Prefix{x.Inside, x.To})
	w.ranges(x.SourcePorts...)
	w.ranges(x.Ports...)
	w.ranges(x.ToPort)
	w.bools(x.Logged, x.Pool != nil)
	w.source(x.Pool)
}
