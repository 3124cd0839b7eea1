package ruleset

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

func TestAddresses(t *testing.T) {
	for _, row := range []struct {
		why, text string
		want      []string
	}{
		{"an address is itself", "10.0.0.1", []string{"10.0.0.1/32"}},
		{"a network", "10.0.0.0/8", []string{"10.0.0.0/8"}},
		{"everything of IPv4", "0.0.0.0/0", []string{"0.0.0.0/0"}},
		{"a range of one", "10.0.0.1-10.0.0.1", []string{"10.0.0.1/32"}},
		{"a range that is a network", "10.0.0.0-10.0.0.255", []string{"10.0.0.0/24"}},
		{"a range that begins and ends anywhere", "10.0.0.1-10.0.0.6", []string{"10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"}},
		{"all that there is", "0.0.0.0-255.255.255.255", []string{"0.0.0.0/0"}},
		{"spaces around the hyphen", "10.0.0.0 - 10.0.0.1", []string{"10.0.0.0/31"}},
		{"IPv6", "fd00::/64", []string{"fd00::/64"}},
		{"the last address of all", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"}},
	} {
		var s says
		var got []string
		for _, p := range s.addresses("x", row.text) {
			a, bits := p.Addr.Netip(), int(p.Bits)
			if a.Is4() {
				bits -= 96
			}
			got = append(got, netip.PrefixFrom(a, bits).String())
		}
		require.Empty(t, s.faults, row.why)
		require.Equal(t, row.want, got, row.why)
	}
	var s says
	for _, p := range s.addresses("x", "::/0") {
		require.False(t, p.Contains(packet.AddrFrom(netip.MustParseAddr("10.0.0.1"))), "IPv4 is mapped, but no part of ::/0")
	}
}

// covers reports whether one of the prefixes has the address.
func covers(list []policy.Prefix, a packet.Addr) bool {
	return slices.ContainsFunc(list, func(p policy.Prefix) bool { return p.Contains(a) })
}

// TestTidy holds tidy lists against the lists that they were.
func TestTidy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var list []policy.Prefix
		for range r.IntN(12) {
			list = append(list, policy.PrefixOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(32))}), 24+r.IntN(9))))
		}
		got := tidy(slices.Clone(list))
		for i := range got {
			for j := range got {
				require.False(t, i != j && got[i].Bits <= got[j].Bits && got[i].Contains(got[j].Addr), "%v has one within another", got)
			}
			require.True(t, i == 0 || comparePrefixes(got[i-1], got[i]) < 0, "%v is not sorted", got)
			require.False(t, i > 0 && got[i-1].Bits == got[i].Bits && widen(got[i-1]) == widen(got[i]), "%v has two halves of one", got)
		}
		for last := range 256 {
			a := packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(last)}))
			require.Equal(t, covers(list, a), covers(got, a), "10.0.0.%d of %v", last, list)
		}
	}
}

// FuzzAddresses: what is read without a fault has exactly the addresses that it says, and few prefixes.
func FuzzAddresses(f *testing.F) {
	for _, text := range []string{"10.0.0.1", "10.0.0.1-10.0.0.9", "10.0.0.0/8", "::/0", "fd00::1-fd00::ffff", "0.0.0.0-255.255.255.255", "1.2.3.4/0", "-", "10.0.0.1-fd00::1"} {
		f.Add(text, "10.0.0.5")
	}
	f.Fuzz(func(t *testing.T, text, probe string) {
		var s says
		list := s.addresses("x", text)
		require.Equal(t, len(list) == 0, len(s.faults) > 0)
		require.LessOrEqual(t, len(list), 2*128+96)
		a, err := netip.ParseAddr(probe)
		if err != nil || a.Zone() != "" || len(list) == 0 {
			return
		}
		a = a.Unmap()
		if p, err := netip.ParsePrefix(text); err == nil {
			require.Equal(t, p.Contains(a), covers(list, packet.AddrFrom(a)))
			return
		}
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		low, high := netip.MustParseAddr(strings.TrimSpace(first)), netip.MustParseAddr(strings.TrimSpace(last))
		require.Equal(t, low.BitLen() == a.BitLen() && !a.Less(low) && !high.Less(a), covers(list, packet.AddrFrom(a)))
	})
}
