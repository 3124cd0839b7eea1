package ruleset

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-net/sluice/firewall/policy"
)

// digestOf is a hash of what a set means and of its value: sums of those of all sets stand for all, in
// whatever order they have their numbers.
func (s *sets) digestOf(x *set) uint64 {
	b := binary.LittleEndian.AppendUint64(s.bytes[:0], x.means)
	for _, p := range x.value.Ports {
		b = binary.LittleEndian.AppendUint16(b, p)
	}
	b = append(b, 0, 0) // is no port's number
	for _, p := range x.value.Prefixes {
		a := p.Addr.As16()
		b = append(append(b, a[:]...), p.Bits)
	}
	b = append(b, 0xff) // no prefix has so many bits
	for _, m := range x.value.MACs {
		b = append(b, m[:]...)
	}
	s.bytes = b
	return xxhash.Sum64(b)
}

// Digest is a hash of all that the Policy and the profiles say, whatever numbers sets have. Valid after
// Resolve.
func (r *Resolver) Digest() uint64 {
	w := writer(r.digestScratch[:0])
	w.number(r.sets.sum)
	w.number(uint64(r.settings.DefaultAction))
	w.bools(r.settings.DefaultLogged)
	w.number(r.exclude.applied.means)
	for _, s := range r.sections {
		if s.digest == 0 {
			s.digest = s.hash()
		}
		w.number(s.digest)
	}
	for i := range r.profiles {
		p := &r.profiles[i]
		w.text(p.Origin.Kind)
		w.text(p.Origin.Namespace)
		w.text(p.Origin.Name)
		w.number(r.sets.byID[p.AppliedTo].means)
	}
	r.digestScratch = w
	return xxhash.Sum64(w)
}

// hash is one of all that a section says, but for the numbers of its sets.
func (s *section) hash() uint64 {
	w := make(writer, 0, 128*(len(s.Rules)+1))
	w.text(s.Origin.Kind)
	w.text(s.Origin.Namespace)
	w.text(s.Origin.Name)
	w.text(s.Title)
	w.number(uint64(s.Category))
	w.number(uint64(s.Sequence))
	w.bools(s.Marker, s.Stateless, s.TCPStrict)
	w.number(uint64(s.Established))
	for i := range s.Rules {
		w.rule(&s.Rules[i])
	}
	for _, x := range s.sets {
		w.number(x.means)
	}
	return xxhash.Sum64(w)
}

// writer collects what is hashed.
type writer []byte

func (w *writer) number(n uint64) { *w = binary.AppendUvarint(*w, n) }

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	*w = append(*w, s...)
}

func (w *writer) texts(list []string) {
	w.number(uint64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

func (w *writer) bools(list ...bool) {
	var bits uint64
	for i, b := range list {
		if b {
			bits |= 1 << i
		}
	}
	w.number(bits)
}

func (w *writer) ranges(list []policy.PortRange) {
	w.number(uint64(len(list)))
	for _, r := range list {
		w.number(uint64(r.First)<<16 | uint64(r.Last))
	}
}

func (w *writer) rule(r *policy.Rule) {
	w.number(uint64(r.ID))
	w.text(r.Name)
	w.number(uint64(r.Action) | uint64(r.Directions)<<8 | uint64(r.Families)<<16)
	w.bools(r.SourceNot, r.DestNot, r.Logged)
	w.text(r.Tag)
	w.text(r.Notes)
	w.number(uint64(r.PerRule))
	w.number(uint64(r.PerSource))
	w.texts(r.SourceText)
	w.texts(r.DestText)
	w.texts(r.ServicesText)
	w.number(uint64(len(r.Services)))
	for i := range r.Services {
		s := &r.Services[i]
		w.number(uint64(s.EtherType))
		w.bools(s.AnyProtocol)
		w.number(uint64(s.Protocol))
		w.ranges(s.SourcePorts)
		w.ranges(s.DestPorts)
		w.number(uint64(s.ICMPType + 1))
		w.number(uint64(s.ICMPCode + 1))
	}
}
