package packet

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScopeIsNetips: what the standard library says of an address, and of IPv4 what RFC 1122 section 3.2.1.3 does.
func TestScopeIsNetips(t *testing.T) {
	want := func(ip netip.Addr) Scope {
		switch {
		case ip.IsUnspecified(), ip.Is4() && ip.As4()[0] == 0:
			return ScopeNone
		case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return ScopeBroadcast
		case ip.IsLoopback():
			return ScopeLoopback
		case ip.IsMulticast():
			return ScopeMulticast
		case ip.IsLinkLocalUnicast():
			return ScopeLink
		}
		return ScopeGlobal
	}
	seen := map[Scope]int{}
	check := func(ip netip.Addr) {
		require.Equal(t, want(ip), AddrFrom(ip).Scope(), ip)
		seen[want(ip)]++
	}
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "1.0.0.0", "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0", "169.253.255.255", "169.254.0.0",
		"169.254.255.255", "169.255.0.0", "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
		"::", "::1", "::2", "1::", "fe7f::", "fe80::", "fe80::1", "febf:ffff::", "fec0::", "feff::", "ff00::", "ff02::1", "ffff::", "2001:db8::1",
	} {
		check(netip.MustParseAddr(text))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		check(netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}))
		var b [16]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 {
			b[0] = 0xfe
		}
		check(netip.AddrFrom16(b))
	}
	require.Len(t, seen, 6, "each scope: %v", seen)
}
