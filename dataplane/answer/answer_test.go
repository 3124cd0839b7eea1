package answer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// What the messages look like on the wire is tested where they are sent: in route and dataplane/reply.

func TestToward(t *testing.T) {
	plain := &dataplane.PortConfig{Number: 1, VLAN: dataplane.Attachment{Untagged: 7}}
	trunk := &dataplane.PortConfig{Number: 2, VLAN: dataplane.Attachment{
		Untagged: 7, Tagged: &[4096]packet.Zone{10: 8, 4094: 9}, Stacked: map[[2]uint16]packet.Zone{{20, 30}: 11},
	}}
	uplink := &dataplane.PortConfig{Number: 3, VLAN: dataplane.Attachment{Untagged: 4}, Sessions: 5}
	for _, row := range []struct {
		why   string
		port  *dataplane.PortConfig
		zone  packet.Zone
		tags  dataplane.Tags
		found bool
	}{
		{"a plain port has no tags", plain, 7, dataplane.Tags{}, true},
		{"a zone that a port is not in", plain, 8, dataplane.Tags{}, false},
		{"no zone is in no port, not even where a VLAN is in none", trunk, 0, dataplane.Tags{}, false},
		{"the untagged zone of a trunk", trunk, 7, dataplane.Tags{}, true},
		{"a VLAN", trunk, 8, dataplane.Tags{Outer: 10}, true},
		{"the last VLAN", trunk, 9, dataplane.Tags{Outer: 4094}, true},
		{"a VLAN in a VLAN", trunk, 11, dataplane.Tags{Outer: 20, Inner: 30}, true},
		{"an uplink by its own zone", uplink, 4, dataplane.Tags{}, true},
		{"and by that of its sessions", uplink, 5, dataplane.Tags{}, true},
	} {
		way, found := Toward(row.port, row.zone)
		require.Equal(t, row.found, found, row.why)
		require.Equal(t, row.port.Number, way.Port, row.why)
		require.Equal(t, row.tags, way.Tags, row.why)
	}
}

func TestAnswerable(t *testing.T) {
	for _, row := range []struct {
		why, in string
		want    bool
	}{
		{"a datagram", "udp 10.0.0.1:9 > 10.0.0.2:53", true},
		{"the first fragment of one", "udp 10.0.0.1:9 > 10.0.0.2:53 id 7 mf len 8", true},
		{"a later one", "ip 10.0.0.1 > 10.0.0.2 proto 17 id 7 off 1480 len 20", false},
		{"a ping", "icmp 10.0.0.1 > 10.0.0.2 echo id 1", true},
		{"an extended one (RFC 8335)", "icmp 10.0.0.1 > 10.0.0.2 type 42 code 0", true},
		{"an error, though it quotes nothing", "icmp 10.0.0.1 > 10.0.0.2 unreachable host", false},
		{"a type that may be an error for all that is known", "icmp 10.0.0.1 > 10.0.0.2 type 30 code 0", false},
		{"an ICMPv6 error that is yet to be invented", "icmp6 fd00::1 > fd00::2 type 5 code 0", false},
		{"an informational message", "icmp6 fd00::1 > fd00::2 type 139 code 0", true},
		{"a redirect", "icmp6 fd00::1 > fd00::2 type 137 code 0 len 40", false},
		{"ICMP in the other version is a protocol like any other", "ip 10.0.0.1 > 10.0.0.2 proto 58 hex 0100000000000000", true},
		{"link-local IPv6", "udp [fe80::1]:9 > [fd00::2]:53", true},
		{"link-local IPv4 is not routed, nor answered", "udp 169.254.0.1:9 > 10.0.0.2:53", false},
		{"to a group at a single station", "udp 10.0.0.1:9 > 224.0.0.5:53 eth 02:00:00:00:00:01 > 02:00:00:00:00:02", false},
		{"ARP", "arp 10.0.0.1 who-has 10.0.0.2 eth 02:00:00:00:00:01 > 02:00:00:00:00:02", false},
	} {
		frame, err := frametext.Parse(row.in)
		require.NoError(t, err, row.why)
		var in packet.Info
		require.Equal(t, packet.None, packet.Parse(frame, &in), row.why)
		require.Equal(t, row.want, Answerable(frame, &in), row.why)
	}
}

func TestLimit(t *testing.T) {
	l := NewLimit(8)
	l.MakeRoom(2)
	require.True(t, l.Take(1, 0))
	require.True(t, l.Take(1, 0))
	require.False(t, l.Take(1, 0), "a port has a quarter")
	require.False(t, l.Take(3, 0), "a port without room has nothing")
	l.MakeRoom(6)
	require.False(t, l.Take(1, 0), "room for more ports gives no port more")
	for _, port := range []uint16{2, 3, 4} {
		require.True(t, l.Take(port, 0))
		require.True(t, l.Take(port, 0))
	}
	require.False(t, l.Take(5, 0), "all together have no more than the whole")
	sent, refused := l.Counts()
	require.Equal(t, []uint64{8, 4}, []uint64{sent, refused})

	free := NewLimit(0)
	free.MakeRoom(1)
	for range 1000 {
		require.True(t, free.Take(1, 0), "0 is no limit")
	}
}
