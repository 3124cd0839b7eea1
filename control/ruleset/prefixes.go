package ruleset

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// comparePrefixes orders by address as written, the wider of equal ones first.
func comparePrefixes(a, b policy.Prefix) int {
	return cmp.Or(compareAddrs(a.Addr, b.Addr), cmp.Compare(a.Bits, b.Bits))
}

// compareAddrs orders addresses as their bytes.
func compareAddrs(a, b packet.Addr) int {
	x, y := a.As16(), b.As16()
	return bytes.Compare(x[:], y[:])
}

// tidy sorts prefixes, drops those within another and joins halves to the whole. The list is
// written to and returned.
func tidy(list []policy.Prefix) []policy.Prefix {
	slices.SortFunc(list, comparePrefixes)
	out := list[:0]
	for _, p := range list {
		if n := len(out); n > 0 && out[n-1].Bits <= p.Bits && out[n-1].Contains(p.Addr) {
			continue
		}
		for {
			n := len(out)
			if n == 0 || p.Bits == 0 || out[n-1].Bits != p.Bits {
				break
			}
			whole := widen(p)
			if whole.Addr != out[n-1].Addr {
				break
			}
			p, out = whole, out[:n-1]
		}
		out = append(out, p)
	}
	return out
}

// widen returns the prefix that is one bit shorter.
func widen(p policy.Prefix) policy.Prefix {
	b := p.Addr.As16()
	b[(p.Bits-1)/8] &^= 0x80 >> ((p.Bits - 1) % 8)
	return policy.Prefix{Addr: packet.AddrFrom16(&b), Bits: p.Bits - 1}
}

// prefixesOf are those of a network. IPv4 is mapped in a policy.Prefix, and ::/0 is not about it.
func prefixesOf(p netip.Prefix) (list []policy.Prefix) {
	left := []netip.Prefix{p.Masked()}
	if p.Addr().Is6() {
		left = without(left, netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96))
	}
	for _, p := range left {
		list = append(list, policy.PrefixOf(p))
	}
	return list
}

// prefixesBetween are those of all addresses from first to last, which are of one family.
func prefixesBetween(first, last netip.Addr) (list []policy.Prefix) {
	for {
		// The largest that begins at first and does not go beyond last.
		p := netip.PrefixFrom(first, first.BitLen())
		for p.Bits() > 0 {
			wider := netip.PrefixFrom(first, p.Bits()-1)
			if wider.Masked().Addr() != first || last.Less(lastOf(wider)) {
				break
			}
			p = wider
		}
		list = append(list, prefixesOf(p)...)
		end := lastOf(p)
		if end == last {
			return list
		}
		first = end.Next()
	}
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
