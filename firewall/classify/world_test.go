package classify

import (
	"math/rand/v2"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// world is a policy that changes at random, in few addresses, ports and groups so that all of it collides.
type world struct {
	rng    *rand.Rand
	in     Input
	nextID uint32
}

func newWorld(seed uint64, ethernet bool) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), nextID: policy.FirstRuleID}
	w.in.Ethernet = ethernet
	w.in.Endpoints = make([]*policy.Endpoint, 12)
	w.in.Sets = make([]*policy.Set, 3, 16)
	for i := range w.in.Endpoints {
		w.in.Endpoints[i] = w.endpoint(uint16(i))
	}
	w.in.Sets[policy.None] = &policy.Set{}
	for range 10 {
		w.in.Sets = append(w.in.Sets, w.set())
	}
	w.in.Tiers = make([][]*policy.Section, 2)
	for i := range w.in.Tiers {
		for range 1 + w.rng.IntN(3) {
			w.in.Tiers[i] = append(w.in.Tiers[i], w.section(w.rng.IntN(6)))
		}
	}
	return w
}

func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

func (w *world) addr() packet.Addr {
	if w.one(3) {
		b := [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 7: byte(w.rng.IntN(3)), 14: byte(w.rng.IntN(2)), 15: byte(w.rng.IntN(4))}
		return packet.AddrFrom16(&b)
	}
	return packet.AddrFrom4(&[4]byte{10, byte(w.rng.IntN(3)), byte(w.rng.IntN(2)), byte(w.rng.IntN(256)) & byte(0xf0<<w.rng.IntN(5)|1)})
}

func (w *world) mac() packet.MAC { return packet.MAC{2, 0, 0, 0, 0, byte(w.rng.IntN(12))} }

func (w *world) prefix() policy.Prefix {
	a := w.addr()
	n := uint8(w.rng.IntN(129))
	if a.Is4() && !w.one(20) {
		n = 96 + uint8(w.rng.IntN(33))
	}
	return shorten(a, n)
}

func (w *world) endpoint(number uint16) *policy.Endpoint {
	if w.one(8) {
		return nil
	}
	e := &policy.Endpoint{Number: number, Scope: uint32(w.rng.IntN(2))}
	for range w.rng.IntN(4) {
		e.Addresses = append(e.Addresses, w.addr())
		e.MACs = append(e.MACs, w.mac())
	}
	return e
}

func (w *world) set() *policy.Set {
	s := &policy.Set{}
	if !w.one(4) {
		for range w.rng.IntN(5) {
			s.Ports = append(s.Ports, uint16(w.rng.IntN(len(w.in.Endpoints)+1)))
		}
	}
	slices.Sort(s.Ports)
	s.Ports = slices.Compact(s.Ports)
	for range w.rng.IntN(4) {
		p := w.prefix()
		if !slices.ContainsFunc(s.Prefixes, func(q policy.Prefix) bool { return p.Contains(q.Addr) || q.Contains(p.Addr) }) {
			s.Prefixes = append(s.Prefixes, p)
		}
	}
	slices.SortFunc(s.Prefixes, func(a, b policy.Prefix) int {
		x, y := newPrefixNode(a), newPrefixNode(b)
		return x.compare(&y)
	})
	for range w.rng.IntN(3) {
		if m := w.mac(); !slices.Contains(s.MACs, m) {
			s.MACs = append(s.MACs, m)
		}
	}
	return s
}

func (w *world) setID() policy.SetID {
	if w.one(3) {
		return policy.Any
	}
	return policy.SetID(w.rng.IntN(len(w.in.Sets) + 1)) // one of them does not exist
}

func (w *world) port() uint16 {
	return [...]uint16{0, 53, 80, 81, 443, 8080, 40000, 65535, 0x0800, 0x0300, 0x0301, 0x86dd, 0x0806}[w.rng.IntN(13)]
}

func (w *world) ports() (out []policy.PortRange) {
	for range w.rng.IntN(3) {
		a, b := w.port(), w.port()
		if a > b && !w.one(8) {
			a, b = b, a
		}
		if w.one(2) {
			b = a
		}
		out = append(out, policy.PortRange{First: a, Last: b})
	}
	return out
}

var protocols = [...]uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6, packet.ProtoSCTP, packet.ProtoGRE}

func (w *world) service() policy.Service {
	s := policy.Service{AnyProtocol: w.one(12), Protocol: protocols[w.rng.IntN(len(protocols))], ICMPType: -1, ICMPCode: -1}
	if w.one(2) {
		s.EtherType = w.port()
	}
	s.DestPorts = w.ports()
	if w.one(3) {
		s.SourcePorts = w.ports()
	}
	if w.one(2) {
		s.ICMPType = [...]int16{3, 8, 0, 300}[w.rng.IntN(4)]
	}
	if w.one(2) {
		s.ICMPCode = int16(w.rng.IntN(2))
	}
	return s
}

func (w *world) rule() policy.Rule {
	w.nextID++
	r := policy.Rule{
		ID: w.nextID, Directions: policy.Direction(1 + w.rng.IntN(3)), Families: policy.IPv4 | policy.IPv6,
		AppliedTo: w.setID(), Source: w.setID(), Destination: w.setID(), SourceNot: w.one(6), DestNot: w.one(6),
	}
	if w.one(4) {
		r.Families = policy.Families(1 + w.rng.IntN(2))
	}
	for range w.rng.IntN(4) {
		r.Services = append(r.Services, w.service())
	}
	return r
}

func (w *world) section(rules int) *policy.Section {
	s := &policy.Section{}
	for range rules {
		s.Rules = append(s.Rules, w.rule())
	}
	return s
}

// change makes another policy of it. What was given away is not written.
func (w *world) change() {
	tier := &w.in.Tiers[w.rng.IntN(len(w.in.Tiers))]
	*tier = slices.Clone(*tier)
	at := w.rng.IntN(len(*tier) + 1)
	switch w.rng.IntN(10) {
	case 0:
		*tier = slices.Insert(*tier, at, w.section(w.rng.IntN(6)))
	case 1:
		if at < len(*tier) && len(*tier) > 1 {
			*tier = slices.Delete(*tier, at, at+1)
		}
	case 2:
		w.rng.Shuffle(len(*tier), func(i, j int) { (*tier)[i], (*tier)[j] = (*tier)[j], (*tier)[i] })
	case 3, 4, 5:
		if at < len(*tier) {
			s := *(*tier)[at]
			s.Rules = slices.Clone(s.Rules)
			w.changeRules(&s)
			(*tier)[at] = &s
		}
	case 6:
		w.in.Endpoints = slices.Clone(w.in.Endpoints)
		i := w.rng.IntN(len(w.in.Endpoints))
		w.in.Endpoints[i] = w.endpoint(uint16(i))
	default:
		w.in.Sets = slices.Clone(w.in.Sets)
		i := 2 + w.rng.IntN(len(w.in.Sets)-1)
		switch {
		case i == len(w.in.Sets):
			w.in.Sets = append(w.in.Sets, w.set())
		case w.one(6):
			w.in.Sets[i] = nil
		default:
			w.in.Sets[i] = w.set()
		}
	}
}

func (w *world) changeRules(s *policy.Section) {
	at := w.rng.IntN(len(s.Rules) + 1)
	switch {
	case at == len(s.Rules) || w.one(3):
		s.Rules = slices.Insert(s.Rules, at, w.rule())
	case w.one(3):
		s.Rules = slices.Delete(s.Rules, at, at+1)
	case w.one(3):
		w.rng.Shuffle(len(s.Rules), func(i, j int) { s.Rules[i], s.Rules[j] = s.Rules[j], s.Rules[i] })
	default:
		id := s.Rules[at].ID
		s.Rules[at] = w.rule()
		s.Rules[at].ID = id
	}
}

// packet is one that has a chance to match something.
func (w *world) packet() Packet {
	p := Packet{
		Port: uint16(w.rng.IntN(len(w.in.Endpoints) + 2)), Direction: policy.In << w.rng.IntN(2), Scope: uint32(w.rng.IntN(3)),
		Src: w.known(), Protocol: protocols[w.rng.IntN(len(protocols))], SrcPort: w.port(), DstPort: w.port(),
	}
	for range 20 {
		if p.Dst = w.known(); p.Dst.Is4() == p.Src.Is4() {
			break
		}
	}
	if p.Dst.Is4() != p.Src.Is4() {
		p.Dst = p.Src
	}
	if w.one(4) {
		p.DstPort += uint16(w.rng.IntN(3)) - 1
	}
	if w.in.Ethernet {
		p = Packet{Port: p.Port, Direction: p.Direction, SrcMAC: w.mac(), DstMAC: w.mac(), DstPort: p.DstPort}
	}
	return p
}

// known is an address at random, or one that is bound, or at the edge of a prefix.
func (w *world) known() packet.Addr {
	if e := w.in.Endpoints[w.rng.IntN(len(w.in.Endpoints))]; w.one(2) && e != nil && len(e.Addresses) > 0 {
		return e.Addresses[w.rng.IntN(len(e.Addresses))]
	}
	if s := w.in.Sets[w.rng.IntN(len(w.in.Sets))]; w.one(2) && s != nil && len(s.Prefixes) > 0 {
		a := s.Prefixes[w.rng.IntN(len(s.Prefixes))].Addr
		if w.one(2) {
			b := a.As16()
			b[15-w.rng.IntN(4)] ^= 1 << w.rng.IntN(8)
			a = packet.AddrFrom16(&b)
		}
		return a
	}
	return w.addr()
}

// keyOf is a packet in terms of a Table.
func keyOf(t *Table, in *Input, p *Packet) Key {
	k := Key{Port: p.Port, Direction: p.Direction, Protocol: p.Protocol, V6: !p.Src.Is4(), SrcPort: p.SrcPort, DstPort: p.DstPort}
	if in.Ethernet {
		k.Src, k.Dst = t.MACClass(p.SrcMAC), t.MACClass(p.DstMAC)
	} else {
		k.Src, k.Dst = t.Class(p.Scope, p.Src), t.Class(p.Scope, p.Dst)
	}
	return k
}

// idOf is what a match says, for comparison: the rule, and that it stands in the right section.
func idOf(m *Match) string {
	if m == nil {
		return "none"
	}
	at := slices.IndexFunc(m.Section.Rules, func(r policy.Rule) bool { return r.ID == m.Rule.ID })
	if at < 0 || &m.Section.Rules[at] != m.Rule {
		return "a rule of another section"
	}
	return "rule " + itoa(m.Rule.ID)
}
