// Package ipam is the arithmetic of address allocation: sets of addresses as
// ranges, and pools that single addresses and whole subnets are taken from.
// It holds no names and reads no clock.
package ipam

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
	"slices"
)

// Range is a run of addresses of one family, both ends included.
type Range struct{ First, Last netip.Addr }

// Whole returns all addresses of a prefix, network and broadcast included.
func Whole(p netip.Prefix) Range {
	p = p.Masked()
	return Range{p.Addr(), lastOf(p)}
}

// Hosts returns the addresses of a prefix that a host may have: without the
// network's own and, for IPv4, the broadcast address; both addresses of a /31
// or /127 (RFC 3021, RFC 6164); and without the subnet-router anycast address
// for IPv6 (RFC 4291 section 2.6.1).
func Hosts(p netip.Prefix) Range {
	r := Whole(p)
	if free := p.Addr().BitLen() - p.Bits(); free >= 2 {
		r.First = r.First.Next()
		if p.Addr().Is4() {
			r.Last = r.Last.Prev()
		}
	}
	return r
}

// Contains reports whether a lies in r.
func (r Range) Contains(a netip.Addr) bool { return !a.Less(r.First) && !r.Last.Less(a) }

// Overlaps reports whether an address lies in both.
func (r Range) Overlaps(o Range) bool { return !o.Last.Less(r.First) && !r.Last.Less(o.First) }

// Size counts the addresses, at most 1<<64 - 1.
func (r Range) Size() uint64 {
	low, borrow := bits.Sub64(lowWord(r.Last), lowWord(r.First), 0)
	high, _ := bits.Sub64(highWord(r.Last), highWord(r.First), borrow)
	if high != 0 || low == 1<<64-1 {
		return 1<<64 - 1
	}
	return low + 1
}

func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

func highWord(a netip.Addr) uint64 { b := a.As16(); return binary.BigEndian.Uint64(b[:8]) }
func lowWord(a netip.Addr) uint64  { b := a.As16(); return binary.BigEndian.Uint64(b[8:]) }

// lastOf returns the last address of a masked prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(b); bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Set is a set of addresses, of both families. The zero Set is empty.
type Set struct {
	// runs are sorted and never touch each other.
	runs []Range
}

// find returns the index of the first run that ends at a or after it.
func (s *Set) find(a netip.Addr) int {
	i, _ := slices.BinarySearchFunc(s.runs, a, func(r Range, a netip.Addr) int {
		return r.Last.Compare(a)
	})
	return i
}

// Contains reports whether a is in the set.
func (s *Set) Contains(a netip.Addr) bool {
	i := s.find(a)
	return i < len(s.runs) && s.runs[i].Contains(a)
}

// ContainsRange reports whether every address of r is in the set.
func (s *Set) ContainsRange(r Range) bool {
	i := s.find(r.First)
	return i < len(s.runs) && s.runs[i].Contains(r.First) && s.runs[i].Contains(r.Last)
}

// Overlaps reports whether an address of r is in the set.
func (s *Set) Overlaps(r Range) bool {
	i := s.find(r.First)
	return i < len(s.runs) && s.runs[i].Overlaps(r)
}

// Size counts the addresses, at most 1<<64 - 1.
func (s *Set) Size() (n uint64) {
	for _, r := range s.runs {
		sum, carry := bits.Add64(n, r.Size(), 0)
		if carry != 0 {
			return 1<<64 - 1
		}
		n = sum
	}
	return n
}

// Ranges returns the set as sorted ranges that do not touch.
func (s *Set) Ranges() []Range { return slices.Clone(s.runs) }

// Add puts the addresses of r into the set. A range whose ends are not of one
// family, or in the wrong order, is empty.
func (s *Set) Add(r Range) {
	if !r.valid() {
		return
	}
	// The runs from i to before j are in r or touch it: one takes their place.
	i := s.find(r.First)
	if i > 0 && adjacent(s.runs[i-1].Last, r.First) {
		i--
	}
	j := i
	for j < len(s.runs) && (s.runs[j].Overlaps(r) || adjacent(r.Last, s.runs[j].First) || adjacent(s.runs[j].Last, r.First)) {
		r.First = lesser(r.First, s.runs[j].First)
		if r.Last.Less(s.runs[j].Last) {
			r.Last = s.runs[j].Last
		}
		j++
	}
	s.runs = slices.Replace(s.runs, i, j, r)
}

// Remove takes the addresses of r out of the set.
func (s *Set) Remove(r Range) {
	if !r.valid() {
		return
	}
	i := s.find(r.First)
	j := i
	var rest []Range
	for ; j < len(s.runs) && s.runs[j].Overlaps(r); j++ {
		if run := s.runs[j]; run.First.Less(r.First) {
			rest = append(rest, Range{run.First, r.First.Prev()})
		}
		if run := s.runs[j]; r.Last.Less(run.Last) {
			rest = append(rest, Range{r.Last.Next(), run.Last})
		}
	}
	s.runs = slices.Replace(s.runs, i, j, rest...)
}

// removeEach takes sorted addresses out of the set.
func (s *Set) removeEach(sorted []netip.Addr) {
	var rest []Range
	for _, r := range s.runs {
		i, _ := slices.BinarySearchFunc(sorted, r.First, netip.Addr.Compare)
		for sorted = sorted[i:]; len(sorted) > 0 && !r.Last.Less(sorted[0]); sorted = sorted[1:] {
			a := sorted[0]
			if a.Less(r.First) {
				continue // it was there twice
			}
			if r.First.Less(a) {
				rest = append(rest, Range{r.First, a.Prev()})
			}
			if a == r.Last {
				r = Range{}
				break
			}
			r.First = a.Next()
		}
		if r.valid() {
			rest = append(rest, r)
		}
	}
	s.runs = rest
}

func (r Range) valid() bool {
	return r.First.IsValid() && r.First.BitLen() == r.Last.BitLen() && !r.Last.Less(r.First)
}

// adjacent reports whether b comes right after a, in one family.
func adjacent(a, b netip.Addr) bool { return a.BitLen() == b.BitLen() && a.Next() == b }

func lesser(a, b netip.Addr) netip.Addr {
	if b.Less(a) {
		return b
	}
	return a
}

// block returns the first whole prefix of length bits in the set, of the family
// whose addresses have bitLen bits.
func (s *Set) block(length, bitLen int) (netip.Prefix, bool) {
	for _, r := range s.runs {
		if r.First.BitLen() != bitLen {
			continue
		}
		p := netip.PrefixFrom(r.First, length).Masked()
		if p.Addr() != r.First {
			// The next boundary after the run's first address.
			next := lastOf(p).Next()
			if !next.IsValid() {
				continue
			}
			p = netip.PrefixFrom(next, length)
		}
		if r.Contains(p.Addr()) && r.Contains(lastOf(p)) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Why something can't be had from a pool.
var (
	ErrExhausted = errors.New("no address is free")
	ErrTaken     = errors.New("already taken")
	ErrOutside   = errors.New("not in the pool")
)

// Pool is a stock of addresses of which each is free or taken. The lowest free
// address is given first, so that equal calls give equal answers. The zero
// Pool is empty.
type Pool struct{ all, free Set }

// NewPool returns a pool of the addresses of ranges, all of them free.
func NewPool(ranges ...Range) *Pool {
	p := &Pool{}
	for _, r := range ranges {
		p.all.Add(r)
		p.free.Add(r)
	}
	return p
}

// Any takes the lowest free address. The error is ErrExhausted.
func (p *Pool) Any() (netip.Addr, error) {
	if len(p.free.runs) == 0 {
		return netip.Addr{}, ErrExhausted
	}
	a := p.free.runs[0].First
	p.free.Remove(Range{a, a})
	return a, nil
}

// Take takes a certain address. The error is ErrOutside or ErrTaken.
func (p *Pool) Take(a netip.Addr) error { return p.take(Range{a, a}) }

// Release frees an address or does nothing if it is free or not the pool's.
func (p *Pool) Release(a netip.Addr) {
	if p.all.Contains(a) {
		p.free.Add(Range{a, a})
	}
}

// Carve takes the lowest free whole prefix of length bits, of the family whose
// addresses have bitLen bits. The error is ErrExhausted.
func (p *Pool) Carve(length, bitLen int) (netip.Prefix, error) {
	block, found := p.free.block(length, bitLen)
	if !found {
		return netip.Prefix{}, ErrExhausted
	}
	p.free.Remove(Whole(block))
	return block, nil
}

// TakePrefix takes a certain prefix. The error is ErrOutside if the pool does
// not have all of it, or ErrTaken if some of it is taken.
func (p *Pool) TakePrefix(block netip.Prefix) error { return p.take(Whole(block)) }

// ReleasePrefix frees a prefix, as far as it is the pool's.
func (p *Pool) ReleasePrefix(block netip.Prefix) {
	r := Whole(block)
	for _, run := range p.all.runs {
		if run.Overlaps(r) {
			first, last := r.First, r.Last
			if first.Less(run.First) {
				first = run.First
			}
			p.free.Add(Range{first, lesser(last, run.Last)})
		}
	}
}

func (p *Pool) take(r Range) error {
	switch {
	case !p.all.ContainsRange(r):
		return ErrOutside
	case !p.free.ContainsRange(r):
		return ErrTaken
	}
	p.free.Remove(r)
	return nil
}

// Withhold takes what is free of a range, without asking whether it is the
// pool's: for addresses that must not be given out.
func (p *Pool) Withhold(r Range) { p.free.Remove(r) }

// Contains reports whether a is the pool's, free or not.
func (p *Pool) Contains(a netip.Addr) bool { return p.all.Contains(a) }

// Free counts the free addresses, at most 1<<64 - 1.
func (p *Pool) Free() uint64 { return p.free.Size() }

// Size counts all addresses, at most 1<<64 - 1.
func (p *Pool) Size() uint64 { return p.all.Size() }

// IsFree reports whether an address is the pool's and free.
func (p *Pool) IsFree(a netip.Addr) bool { return p.free.Contains(a) }

// AnyBut takes the lowest free address of bitLen bits that is not in held, which is
// sorted. The error is ErrExhausted.
func (p *Pool) AnyBut(held []netip.Addr, bitLen int) (netip.Addr, error) {
	for _, r := range p.free.runs {
		if r.First.BitLen() != bitLen {
			continue
		}
		i, _ := slices.BinarySearchFunc(held, r.First, netip.Addr.Compare)
		for a := r.First; a.IsValid() && !r.Last.Less(a); a = a.Next() {
			for i < len(held) && held[i].Less(a) {
				i++
			}
			if i == len(held) || held[i] != a {
				p.free.Remove(Range{a, a})
				return a, nil
			}
		}
	}
	return netip.Addr{}, ErrExhausted
}

// WithholdEach takes what is free of sorted addresses, without asking whether they are
// the pool's. It takes time in proportion to the addresses and runs, which for many
// is much less than one by one.
func (p *Pool) WithholdEach(sorted []netip.Addr) { p.free.removeEach(sorted) }
