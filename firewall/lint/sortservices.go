package lint

import (
	"fmt"
	"slices"
	"sort"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// services sorts protocols and ports, or EtherTypes, into classes.
type services struct {
	ethernet  bool
	protocols *partition             // of the numbers 0 to 255
	ports     [numDims]portPartition // atSrcPort, atDstPort; of EtherTypes: atProtocol
	cache     map[*policy.Rule][]serviceBox
}

// portPartition sorts numbers of 16 bits: intervals, which begin where a range begins or ends, are its things.
type portPartition struct {
	cuts  []uint32 // where intervals begin, ascending; the first is 0
	parts *partition
}

func sortServices(entries []entry) *services {
	s := &services{protocols: newPartition(256), cache: make(map[*policy.Rule][]serviceBox, len(entries))}
	var boxes []serviceBox
	for i := range entries {
		if !entries[i].isDefault() {
			b := boxesOf(entries[i].rule.Services)
			s.cache[entries[i].rule] = b
			boxes = append(boxes, b...)
		}
	}
	seen := make(map[[4]uint64]bool)
	for i := range boxes {
		if p := boxes[i].protocols; !seen[p] {
			seen[p] = true
			s.protocols.split(numbers(p))
		}
	}
	s.protocols.compact()
	s.protocols.prefer(packet.ProtoTCP)
	s.ports[atSrcPort] = sortPorts(boxes, knownSrcPorts[0], func(b *serviceBox) ranges { return b.src })
	s.ports[atDstPort] = sortPorts(boxes, knownDstPorts[0], func(b *serviceBox) ranges { return b.dst })
	return s
}

func numbers(protocols [4]uint64) []uint32 {
	var all []uint32
	set{0, protocols[:]}.each(func(n uint32) { all = append(all, n) })
	return all
}

// sortPorts makes classes of what boxes say; example is a number that may stand for others.
func sortPorts(boxes []serviceBox, example uint32, of func(*serviceBox) ranges) portPartition {
	cuts := []uint32{0}
	for i := range boxes {
		for _, r := range of(&boxes[i]) {
			cuts = append(cuts, uint32(r.First))
			if r.Last < 0xffff {
				cuts = append(cuts, uint32(r.Last)+1)
			}
		}
	}
	slices.Sort(cuts)
	p := portPartition{cuts: slices.Compact(cuts)}
	p.parts = newPartition(len(p.cuts))
	seen := make(map[string]bool)
	for i := range boxes {
		if k := fmt.Sprint(of(&boxes[i])); !seen[k] {
			seen[k] = true
			p.parts.split(p.things(of(&boxes[i])))
		}
	}
	p.parts.compact()
	at, exact := slices.BinarySearch(p.cuts, example)
	if !exact {
		at--
	}
	p.parts.prefer(at)
	return p
}

// things returns the intervals that ranges consist of.
func (p *portPartition) things(in ranges) []uint32 {
	var things []uint32
	for _, r := range in {
		i := sort.Search(len(p.cuts), func(i int) bool { return p.cuts[i] >= uint32(r.First) })
		for ; i < len(p.cuts) && p.cuts[i] <= uint32(r.Last); i++ {
			things = append(things, uint32(i))
		}
	}
	return things
}

// end returns the last number of an interval.
func (p *portPartition) end(thing int) uint32 {
	if thing+1 < len(p.cuts) {
		return p.cuts[thing+1] - 1
	}
	return 0xffff
}

// of returns the boxes of a rule's services.
func (s *services) of(r *policy.Rule) []serviceBox { return s.cache[r] }

// classes returns how many classes there are in a dimension.
func (s *services) classes(d int) int {
	if d == atProtocol && !s.ethernet {
		return int(s.protocols.n)
	}
	return int(s.ports[d].parts.n)
}

// set returns what a box allows in a dimension.
func (s *services) set(d int, b *serviceBox) set {
	p := &s.ports[d]
	switch {
	case d == atSrcPort:
		return p.parts.of(p.things(b.src))
	case d == atDstPort || s.ethernet:
		return p.parts.of(p.things(b.dst))
	}
	return s.protocols.of(numbers(b.protocols))
}

// sortEtherTypes is sortServices for rules about frames: a box's EtherTypes stand where destination ports do.
func sortEtherTypes(entries []entry) *services {
	s := &services{ethernet: true, cache: make(map[*policy.Rule][]serviceBox, len(entries))}
	var boxes []serviceBox
	for i := range entries {
		if entries[i].isDefault() {
			continue
		}
		r := entries[i].rule
		b := serviceBox{dst: everyPort}
		if len(r.Services) > 0 {
			b.dst = etherTypes(r.Services)
		}
		if len(b.dst) > 0 {
			s.cache[r] = []serviceBox{b}
			boxes = append(boxes, b)
		}
	}
	s.ports[atProtocol] = sortPorts(boxes, knownEtherTypes[0], func(b *serviceBox) ranges { return b.dst })
	return s
}

func etherTypes(services []policy.Service) ranges {
	var all []policy.PortRange
	for _, s := range services {
		if s.EtherType == 0 {
			return everyPort
		}
		all = append(all, policy.PortRange{First: s.EtherType, Last: s.EtherType})
	}
	return normalize(all)
}
