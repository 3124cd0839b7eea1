package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMACsOfAddresses(t *testing.T) {
	for _, row := range []struct {
		why, ip, host, group string // group is empty if ip is none
	}{
		{"a host", "192.168.0.35", "0a:58:c0:a8:00:23", ""},
		{"the last four bytes of an IPv6 address", "fd00:1:2:3::a1b2:c3d4", "0a:58:a1:b2:c3:d4", ""},
		{"the unspecified address", "::", "0a:58:00:00:00:00", ""},
		{"the lowest group: 23 bits go into the address", "224.0.0.1", "0a:58:e0:00:00:01", "01:00:5e:00:00:01"},
		{"the 24th bit does not", "239.129.2.3", "0a:58:ef:81:02:03", "01:00:5e:01:02:03"},
		{"below the groups", "223.255.255.255", "0a:58:df:ff:ff:ff", ""},
		{"above them", "240.0.0.1", "0a:58:f0:00:00:01", ""},
		{"everybody", "255.255.255.255", "0a:58:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"},
		{"almost everybody", "255.255.255.254", "0a:58:ff:ff:ff:fe", ""},
		{"all nodes of a link", "ff02::1", "0a:58:00:00:00:01", "33:33:00:00:00:01"},
		{"a solicited-node group", "ff02::1:ff28:9c5a", "0a:58:ff:28:9c:5a", "33:33:ff:28:9c:5a"},
		{"link-local is no group", "fe80::1", "0a:58:00:00:00:01", ""},
	} {
		require.Equal(t, row.host, HostMAC(addr(row.ip)).String(), row.why)
		m, found := GroupMAC(addr(row.ip))
		require.Equal(t, row.group != "", found, row.why)
		if found {
			require.Equal(t, row.group, m.String(), row.why)
			require.True(t, m.IsGroup(), row.why)
		}
	}
}

func TestAddressesOfMACs(t *testing.T) {
	mac := MAC{0x0a, 0x58, 0x0a, 0xff, 0x00, 0x01}
	require.Equal(t, "fe80::858:aff:feff:1", LinkLocal(mac).String(), "the bit of local administration is inverted")
	require.Equal(t, "2001:db8:1:2:858:aff:feff:1", EUI64(addr("2001:db8:1:2:ffff::9"), mac).String(), "what is behind the /64 does not count")
}
