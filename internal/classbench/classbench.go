// Package classbench generates rule sets and headers that are like those of ClassBench.
//
// ClassBench (D. Taylor, J. Turner: ClassBench: A Packet Classification Benchmark, IEEE/ACM
// Transactions on Networking 15(3), 2007) makes rule sets of any size with the statistics of
// real ones, its seeds: access lists (acl), firewalls (fw) and IP chains (ipc). The shapes
// here have the features of its seeds that the paper finds to matter: the lengths of the
// prefixes and how often either is a wildcard, how addresses share prefixes, the five classes of port
// ranges and the protocols. The figures are rounded from the published seeds acl1 to acl5, fw1 to fw5,
// ipc1 and ipc2; the sets are not those that ClassBench's own generator gives.
package classbench

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// sectionSize is how many rules a section has at most.
const sectionSize = 1000

// Rules is a rule set. It is made of a shape, a size and a seed, and the same of the same.
type Rules struct {
	Sections []*policy.Section
	Sets     []*policy.Set // one for each prefix

	flat []*policy.Rule
}

// Generate returns n rules of a shape. All are different, allow or drop, and apply to every port in both directions.
func Generate(shape Shape, n int, seed uint64) *Rules {
	g := &generator{
		shape: shape,
		rng:   rand.New(rand.NewPCG(seed, uint64(n))),
		ids:   map[netip.Prefix]policy.SetID{},
		seen:  map[string]bool{},
		sets:  []*policy.Set{policy.Any: nil, policy.None: {}},
	}
	g.src, g.dst = g.hosts(n), g.hosts(n)
	out := &Rules{}
	for i := 0; i < n; i++ {
		if i%sectionSize == 0 {
			name := fmt.Sprintf("%s-%d", shape.Name, i/sectionSize)
			out.Sections = append(out.Sections, &policy.Section{
				Origin: policy.Origin{Kind: "SecurityPolicy", Name: name}, Title: name,
				Category: policy.Application, Sequence: int64(i / sectionSize),
				Rules: make([]policy.Rule, 0, min(sectionSize, n-i)),
			})
		}
		s := out.Sections[len(out.Sections)-1]
		s.Rules = append(s.Rules, g.rule(policy.FirstRuleID+uint32(i)))
		out.flat = append(out.flat, &s.Rules[len(s.Rules)-1])
	}
	out.Sets = g.sets
	return out
}

type generator struct {
	shape    Shape
	rng      *rand.Rand
	src, dst []uint32
	ids      map[netip.Prefix]policy.SetID
	sets     []*policy.Set
	seen     map[string]bool
}

// hosts returns addresses that share prefixes as those of networks do: few networks, of
// very different size.
func (g *generator) hosts(rules int) []uint32 {
	out := make([]uint32, max(16, rules*g.shape.Hosts/100))
	skewed := func(n int) uint32 {
		x := g.rng.Float64()
		return uint32(x * x * float64(n))
	}
	first := make([]uint32, 12)
	for i := range first {
		first[i] = 1 + g.rng.Uint32N(222)
	}
	for i := range out {
		net := first[skewed(len(first))]
		second := (net*37 + skewed(48)*5) & 0xff
		third := (second*91 + skewed(256)) & 0xff
		out[i] = net<<24 | second<<16 | third<<8 | g.rng.Uint32N(256)
	}
	return out
}

// rule returns one that is not there yet.
func (g *generator) rule(id uint32) policy.Rule {
	for try := 0; ; try++ {
		p := pick(g.rng, g.shape.Lengths)
		src := g.prefix(g.src, p.SrcMin, p.SrcMax)
		dst := g.prefix(g.dst, p.DstMin, p.DstMax)
		proto := pick(g.rng, g.shape.Protocols)
		s := policy.Service{AnyProtocol: proto.Any, Protocol: proto.Number, ICMPType: -1, ICMPCode: -1}
		if proto.Ports {
			pair := pick(g.rng, g.shape.Ports)
			s.SourcePorts = g.ports(pair.Src)
			s.DestPorts = g.ports(pair.Dst)
		}
		key := fmt.Sprint(src, dst, s)
		if g.seen[key] && try < 1000 {
			continue
		}
		g.seen[key] = true
		r := policy.Rule{
			ID: id, Name: fmt.Sprint(id), Action: policy.Action(g.rng.IntN(2)),
			Directions: policy.In | policy.Out, Families: policy.IPv4 | policy.IPv6,
			Source: g.set(src), Destination: g.set(dst),
		}
		if !proto.Any {
			r.Services = []policy.Service{s}
		}
		return r
	}
}

func (g *generator) prefix(hosts []uint32, low, high int) netip.Prefix {
	x := g.rng.Float64() // a few hosts are named by many rules
	h := hosts[int(x*x*x*float64(len(hosts)))]
	n := low + g.rng.IntN(high-low+1)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}), n).Masked()
}

func (g *generator) set(p netip.Prefix) policy.SetID {
	if p.Bits() == 0 {
		return policy.Any
	}
	id, found := g.ids[p]
	if !found {
		id = policy.SetID(len(g.sets))
		g.ids[p] = id
		g.sets = append(g.sets, &policy.Set{Prefixes: []policy.Prefix{policy.PrefixOf(p)}})
	}
	return id
}

// wellKnown is ports that rules name often.
var wellKnown = []uint16{80, 443, 53, 25, 22, 123, 161, 389, 1433, 1521, 3306, 8080, 21, 23, 110, 139, 445, 514, 1723, 5631}

func (g *generator) ports(c PortClass) []policy.PortRange {
	switch c {
	case Low:
		return []policy.PortRange{{First: 0, Last: 1023}}
	case High:
		return []policy.PortRange{{First: 1024, Last: 65535}}
	case Arbitrary:
		first := uint16(g.rng.IntN(64)) * 997
		return []policy.PortRange{{First: first, Last: first + uint16(1+g.rng.IntN(12))*uint16(1+g.rng.IntN(100))}}
	case Exact:
		at := wellKnown[g.rng.IntN(len(wellKnown))]
		if g.rng.IntN(3) == 0 {
			at = uint16(1024 + 131*g.rng.IntN(400))
		}
		return []policy.PortRange{{First: at, Last: at}}
	}
	return nil
}

// Header is what a packet has for rules to look at.
type Header struct {
	Src, Dst         packet.Addr
	Protocol         uint8
	SrcPort, DstPort uint16
}

// Random returns n headers, each at random within a rule at random.
func (s *Rules) Random(n int, seed uint64) []Header {
	rng := rand.New(rand.NewPCG(seed, 2))
	out := make([]Header, n)
	for i := range out {
		out[i] = s.Within(rng, rng.IntN(len(s.flat)))
	}
	return out
}

// Skewed returns n headers of flows whose sizes are as Zipf says (exponent 1.1), as
// traffic is: a few flows are most of the packets.
func (s *Rules) Skewed(n int, seed uint64) []Header {
	rng := rand.New(rand.NewPCG(seed, 3))
	flows := s.Random(max(1, n/4), seed)
	zipf := rand.NewZipf(rng, 1.1, 1, uint64(len(flows)-1))
	out := make([]Header, n)
	for i := range out {
		out[i] = flows[zipf.Uint64()]
	}
	return out
}

// Corner returns a header in a corner of a rule: each of its numbers is the first or the last that the rule has.
func (s *Rules) Corner(rng *rand.Rand, rule int) Header { return s.header(s.flat[rule], rng, corner) }

// Within returns a header at random within a rule.
func (s *Rules) Within(rng *rand.Rand, rule int) Header { return s.header(s.flat[rule], rng, inside) }

func inside(rng *rand.Rand, n uint32) uint32 {
	if n == 0 {
		return rng.Uint32()
	}
	return rng.Uint32N(n)
}

func corner(rng *rand.Rand, n uint32) uint32 { return (n - 1) * rng.Uint32N(2) }

// header returns a header of a rule; choose returns a number below n, where 0 is 1<<32.
func (s *Rules) header(r *policy.Rule, rng *rand.Rand, choose func(rng *rand.Rand, n uint32) uint32) Header {
	h := Header{Src: s.addr(r.Source, rng, choose), Dst: s.addr(r.Destination, rng, choose), Protocol: packet.ProtoTCP}
	var srcPorts, dstPorts []policy.PortRange
	if len(r.Services) > 0 {
		h.Protocol, srcPorts, dstPorts = r.Services[0].Protocol, r.Services[0].SourcePorts, r.Services[0].DestPorts
	}
	if h.Protocol != packet.ProtoTCP && h.Protocol != packet.ProtoUDP {
		return h
	}
	port := func(ranges []policy.PortRange) uint16 {
		if len(ranges) == 0 {
			return uint16(choose(rng, 1<<16))
		}
		return ranges[0].First + uint16(choose(rng, uint32(ranges[0].Last-ranges[0].First)+1))
	}
	h.SrcPort, h.DstPort = port(srcPorts), port(dstPorts)
	return h
}

func (s *Rules) addr(id policy.SetID, rng *rand.Rand, choose func(rng *rand.Rand, n uint32) uint32) packet.Addr {
	var base [4]byte
	size := uint32(0) // of 1<<32 addresses
	if id != policy.Any {
		p := s.Sets[id].Prefixes[0]
		base = p.Addr.As4()
		size = 1 << (128 - p.Bits)
	}
	x := choose(rng, size)
	for i := range base {
		base[i] |= byte(x >> (24 - 8*i))
	}
	return packet.AddrFrom4(&base)
}
