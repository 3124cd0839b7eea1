package packet

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScope(t *testing.T) {
	for _, row := range []struct {
		why, addr string
		want      Scope
	}{
		{"a private address is a host's like any other", "10.0.0.1", ScopeGlobal},
		{"so is one of IPv6", "fd00::1", ScopeGlobal},
		{"no address of IPv4", "0.0.0.0", ScopeNone},
		{"all of network 0 is this network", "0.1.2.3", ScopeNone},
		{"no address of IPv6", "::", ScopeNone},
		{"loopback is a whole network in IPv4", "127.8.0.1", ScopeLoopback},
		{"and one address in IPv6", "::1", ScopeLoopback},
		{"link-local IPv4", "169.254.1.1", ScopeLink},
		{"link-local IPv6", "fe80::1", ScopeLink},
		{"a group of IPv4", "224.0.0.1", ScopeMulticast},
		{"a group of IPv6", "ff02::1", ScopeMulticast},
		{"the limited broadcast", "255.255.255.255", ScopeBroadcast},
	} {
		require.Equal(t, row.want, AddrFrom(netip.MustParseAddr(row.addr)).Scope(), row.why)
	}
}
