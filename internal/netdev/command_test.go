package netdev

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommand(t *testing.T) {
	for _, row := range []struct{ why, netNS, command, want string }{
		{"here", "", "ip link set eth0 up", "ip link set eth0 up"},
		{"ip knows names", "red", "ip link set eth0 up", "ip -n red link set eth0 up"},
		{"ip does not know paths", "/proc/7/ns/net", "ip link set eth0 up", "nsenter --net=/proc/7/ns/net ip link set eth0 up"},
		{"nothing else knows names", "red", "ethtool -K eth0 lro off", "ip netns exec red ethtool -K eth0 lro off"},
	} {
		require.Equal(t, row.want, Command(row.netNS, "%s", row.command), row.why)
	}
}
