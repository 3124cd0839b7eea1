package nat

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// number is 128 bits: an address in the order of addresses, IPv4 mapped, or a port or the like in the low word.
type number struct{ hi, lo uint64 }

func numberOf(a packet.Addr) number {
	return number{bits.ReverseBytes64(a[0]), bits.ReverseBytes64(a[1])}
}

// addr is numberOf's inverse.
func (n number) addr() packet.Addr {
	return packet.Addr{bits.ReverseBytes64(n.hi), bits.ReverseBytes64(n.lo)}
}

func (n number) compare(m number) int {
	return cmp.Or(cmp.Compare(n.hi, m.hi), cmp.Compare(n.lo, m.lo))
}

// next returns the number after n; the one after the last is 0.
func (n number) next() number {
	lo, carry := bits.Add64(n.lo, 1, 0)
	return number{n.hi + carry, lo}
}

// plus returns the sum with m, without what does not fit.
func (n number) plus(m number) number {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	return number{n.hi + m.hi + carry, lo}
}

// minus returns n less m.
func (n number) minus(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	return number{n.hi - m.hi - borrow, lo}
}

// interval is all numbers from one to another.
type interval struct{ first, last number }

// prefixInterval returns the addresses of a prefix.
func prefixInterval(p netip.Prefix) interval {
	p = p.Masked()
	first := numberOf(packet.AddrFrom(p.Addr()))
	return interval{first, first.plus(hostsOf(p))}
}

// within returns what of intervals is in another.
func within(list []interval, x interval) []interval {
	all := make([]interval, 0, len(list))
	for _, y := range list {
		if y.first.compare(x.first) < 0 {
			y.first = x.first
		}
		if y.last.compare(x.last) > 0 {
			y.last = x.last
		}
		if y.first.compare(y.last) <= 0 {
			all = append(all, y)
		}
	}
	return all
}

// meet returns what of one list of intervals is in those of another, which do not overlap.
func meet(a, b []interval) []interval {
	all := []interval{}
	for _, x := range b {
		all = append(all, within(a, x)...)
	}
	return all
}

// mapped is where IPv4 is among all addresses.
var mapped = interval{number{0, 0xffff << 32}, number{0, 0xffffffffffff}}

// unmapped returns what of intervals is not IPv4.
func unmapped(list []interval) []interval {
	below := interval{last: mapped.first.minus(number{lo: 1})}
	above := interval{mapped.last.next(), number{^uint64(0), ^uint64(0)}}
	return meet(list, []interval{below, above})
}

// prefixIntervals returns the addresses of a prefix that are of its family: there is IPv4 in the midst of some of IPv6.
func prefixIntervals(p netip.Prefix) []interval {
	all := []interval{prefixInterval(p)}
	if p.Addr().Is6() {
		all = unmapped(all)
	}
	return all
}

// hostsOf returns the largest number that the host part of an address of the network can be.
func hostsOf(p netip.Prefix) number {
	switch n := p.Addr().BitLen() - p.Bits(); {
	case n <= 0:
		return number{}
	case n < 64:
		return number{0, 1<<n - 1}
	default:
		return number{^uint64(0) >> (128 - n), ^uint64(0)}
	}
}

// spans has a label for each number: that of the span which it is in. The zero spans labels everything 0.
type spans struct {
	begins []number // but that of the first span, which is 0; sorted
	labels []uint32 // one more than begins
}

// find returns the label of a number. The search takes as many steps for each, without a branch that could be mispredicted.
func (s *spans) find(n number) uint32 {
	if len(s.labels) == 0 {
		return 0
	}
	i, length := 0, len(s.begins)
	for length > 0 {
		half := (length + 1) / 2
		b := &s.begins[i+half-1]
		_, borrow := bits.Sub64(n.lo, b.lo, 0)
		_, less := bits.Sub64(n.hi, b.hi, borrow)
		i += half & (int(less) - 1)
		length -= half
	}
	return s.labels[i]
}

// edges returns where spans begin if none of them may lie across the end of an interval: sorted, without 0, each once.
func edges(intervals []interval) []number {
	all := make([]number, 0, 2*len(intervals))
	for _, x := range intervals {
		all = append(all, x.first, x.last.next())
	}
	slices.SortFunc(all, number.compare)
	all = slices.Compact(all)
	if len(all) > 0 && all[0] == (number{}) {
		all = all[1:]
	}
	return all
}

// fixedSpans labels sources with the entry that pins them, the one with the longest prefix, plus 1.
func fixedSpans(fixed []service.FixedSource) spans {
	if len(fixed) == 0 {
		return spans{}
	}
	order := make([]int, len(fixed))
	intervals := make([][]interval, len(fixed))
	for i, f := range fixed {
		order[i], intervals[i] = i, prefixIntervals(f.Prefix)
	}
	begins := edges(slices.Concat(intervals...))
	s := spans{begins: begins, labels: make([]uint32, len(begins)+1)}
	// Longer prefixes write over the shorter ones that they are in; of equal ones the first is the last to write.
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(bitsOf(fixed[a].Prefix), bitsOf(fixed[b].Prefix)), cmp.Compare(b, a))
	})
	for _, i := range order {
		for _, x := range intervals[i] {
			first, end := s.within(x)
			for j := first; j < end; j++ {
				s.labels[j] = uint32(i) + 1
			}
		}
	}
	return s
}

// bitsOf returns the length of a prefix as that of IPv6 would be.
func bitsOf(p netip.Prefix) int { return p.Bits() + 128 - p.Addr().BitLen() }

// within returns the spans that make up an interval, at whose ends there are edges: from first to end, without it.
func (s *spans) within(x interval) (first, end int) {
	first, end = s.index(x.first), len(s.begins)+1
	if after := x.last.next(); after != (number{}) {
		end = s.index(after)
	}
	return first, end
}

// index returns which span a number is in.
func (s *spans) index(n number) int {
	i, found := slices.BinarySearchFunc(s.begins, n, number.compare)
	if found {
		i++
	}
	return i
}
