package lint

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// serviceBox is conditions on protocol and ports that have to hold together.
type serviceBox struct {
	protocols [4]uint64 // bits
	src, dst  ranges
}

// ranges are port ranges, ascending, that neither overlap nor touch.
type ranges []policy.PortRange

var (
	everyProtocol = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	everyPort     = ranges{{First: 0, Last: 0xffff}}
)

// hasPorts reports whether packets of a protocol have source and destination ports; those of others
// are asked about with port 0.
func hasPorts(protocol uint8) bool {
	return protocol == packet.ProtoTCP || protocol == packet.ProtoUDP || protocol == packet.ProtoSCTP
}

func isICMP(protocol uint8) bool {
	return protocol == packet.ProtoICMP || protocol == packet.ProtoICMPv6
}

// normalize returns ranges in the form that the type asks for.
func normalize(in []policy.PortRange) ranges {
	var out ranges
	for _, r := range in {
		if r.First <= r.Last {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b policy.PortRange) int { return cmp.Compare(a.First, b.First) })
	n := 0
	for _, r := range out {
		if n > 0 && uint32(r.First) <= uint32(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out[n] = r
		n++
	}
	return out[:n]
}

// boxOf returns what a service stands for; none: no packet is one of it.
func boxOf(s *policy.Service) (b serviceBox, any bool) {
	if s.AnyProtocol {
		return serviceBox{everyProtocol, everyPort, everyPort}, true
	}
	b = serviceBox{src: everyPort, dst: everyPort}
	b.protocols[s.Protocol>>6] = 1 << (s.Protocol & 63)
	switch {
	case isICMP(s.Protocol):
		b.dst = icmpRanges(s.ICMPType, s.ICMPCode)
	case hasPorts(s.Protocol):
		b.src, b.dst = portRanges(s.SourcePorts), portRanges(s.DestPorts)
	case !holdsZero(s.SourcePorts) || !holdsZero(s.DestPorts):
		return b, false
	}
	return b, len(b.src) > 0 && len(b.dst) > 0
}

func portRanges(in []policy.PortRange) ranges {
	if len(in) == 0 {
		return everyPort
	}
	return normalize(in)
}

// holdsZero reports whether a condition holds of port 0, which is what protocols without ports are
// asked about with.
func holdsZero(in []policy.PortRange) bool {
	r := portRanges(in)
	return len(r) > 0 && r[0].First == 0
}

// icmpRanges returns the destination ports, type << 8 | code, that stand for a type and code.
func icmpRanges(typ, code int16) ranges {
	switch {
	case typ > 0xff || code > 0xff:
		return nil
	case typ < 0 && code < 0:
		return everyPort
	case code < 0:
		return ranges{{First: uint16(typ) << 8, Last: uint16(typ)<<8 | 0xff}}
	case typ >= 0:
		return ranges{{First: uint16(typ)<<8 | uint16(code), Last: uint16(typ)<<8 | uint16(code)}}
	}
	var all ranges
	for t := range 256 {
		all = append(all, policy.PortRange{First: uint16(t)<<8 | uint16(code), Last: uint16(t)<<8 | uint16(code)})
	}
	return all
}

// boxesOf returns boxes that a rule's services are the union of: few, as those that differ in one
// condition are one.
func boxesOf(services []policy.Service) []serviceBox {
	if len(services) == 0 {
		return []serviceBox{{everyProtocol, everyPort, everyPort}}
	}
	var boxes []serviceBox
	for i := range services {
		if b, any := boxOf(&services[i]); any {
			if b.protocols == everyProtocol {
				return []serviceBox{b}
			}
			boxes = append(boxes, b)
		}
	}
	boxes = unite(boxes, func(b *serviceBox) string { return fmt.Sprint(b.protocols, b.src) },
		func(a, b *serviceBox) { a.dst = normalize(slices.Concat(a.dst, b.dst)) })
	boxes = unite(boxes, func(b *serviceBox) string { return fmt.Sprint(b.protocols, b.dst) },
		func(a, b *serviceBox) { a.src = normalize(slices.Concat(a.src, b.src)) })
	return unite(boxes, func(b *serviceBox) string { return fmt.Sprint(b.src, b.dst) },
		func(a, b *serviceBox) {
			for i := range a.protocols {
				a.protocols[i] |= b.protocols[i]
			}
		})
}

// unite makes one box of all those of which key says the same.
func unite(boxes []serviceBox, key func(*serviceBox) string, into func(a, b *serviceBox)) []serviceBox {
	if len(boxes) < 2 {
		return boxes
	}
	at := make(map[string]int, len(boxes))
	n := 0
	for i := range boxes {
		k := key(&boxes[i])
		if j, seen := at[k]; seen {
			into(&boxes[j], &boxes[i])
			continue
		}
		at[k] = n
		boxes[n] = boxes[i]
		n++
	}
	return boxes[:n]
}
