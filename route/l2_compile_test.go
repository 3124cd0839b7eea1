package route

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

func TestCompileFaults(t *testing.T) {
	for _, row := range []struct {
		why    string
		change func(*Config)
		want   []string // each is in the error
	}{
		{"zones tell address spaces apart", func(c *Config) { c.Segments = append(c.Segments, c.Segments[0]) }, []string{"zone 1 is that of segment web"}},
		{"zone 0 is none", func(c *Config) { c.Segments[0].Zone = 0 }, []string{"zone 0 is not between", "port a: zone 1 is no segment's"}},
		{"a segment names a router that exists", func(c *Config) { c.Segments[0].Router = 1 }, []string{"router 1 does not exist"}},
		{"an MTU fits into a hop", func(c *Config) { c.Segments[0].MTU = 65536; c.Ports[1].MTU = -1 }, []string{"segment web: MTU 65536", "port b: MTU -1"}},
		{"the router has a unicast address", func(c *Config) { c.GatewayMAC = packet.Broadcast }, []string{"ff:ff:ff:ff:ff:ff is not a unicast"}},
		{"port numbers start at 1", func(c *Config) { c.Ports[0].Number = 0 }, []string{"port a: number 0"}},
		{"and end where the State does", func(c *Config) { c.Ports[0].Number = 999 }, []string{"port a: number 999"}},
		{"and are used once", func(c *Config) { c.Ports[0].Number = 2 }, []string{"port b: number 2 is that of port a"}},
		{"a port is in a segment once", func(c *Config) { c.Ports[0].Zones = append(c.Ports[0].Zones, Attachment{Zone: 1}) }, []string{"attached twice"}},
		{"a MAC is at one port", func(c *Config) { c.Ports[0].Addresses = c.Ports[1].Addresses }, []string{"port b: MAC 0a:58:0a:00:00:02 is bound to port number 1"}},
		{"a MAC is a host's", func(c *Config) { c.Ports[0].Addresses[0].MAC = packet.MAC{} }, []string{"MAC 00:00:00:00:00:00 is not a unicast"}},
		{"a port does not have the router's MAC", func(c *Config) { c.Ports[0].Addresses[0].MAC = gatewayMAC }, []string{"is the router's"}},
		{
			"all faults are named at once", func(c *Config) { c.Ports[0].Number = 0; c.Ports[1].MTU = -1; c.Segments[0].Router = 7 },
			[]string{"port a: number 0", "port b: MTU -1", "router 7"},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			hops := dataplane.NewHopTable(16)
			s, err := NewState(StateConfig{Hops: hops, Ports: testbedPorts, MACs: 16})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			c := boundSegment()
			row.change(&c)
			_, err = Compile(&c, s)
			for _, want := range row.want {
				require.ErrorContains(t, err, want)
			}
			used, _ := hops.Used()
			require.Zero(t, used, "a failed Compile keeps no hop")
		})
	}
}

func TestStateFaults(t *testing.T) {
	_, err := NewState(StateConfig{})
	require.ErrorContains(t, err, "a hop table is required")
	_, err = NewState(StateConfig{Hops: dataplane.NewHopTable(1), MACs: 1 << 40})
	require.ErrorContains(t, err, "MAC addresses")
}

func TestHopsAreShared(t *testing.T) {
	config := func() Config {
		c := boundSegment()
		c.Segments[0].Router = -1 // a router has hops of its own
		return c
	}
	n := newTestbed(t, config())
	used, _ := n.engine.Hops().Used()
	before := n.fwd.segmentOf(1).stations
	require.Equal(t, 3, used, "one for each bound port, whatever addresses it has")

	n.apply(config())
	require.Equal(t, before, n.fwd.segmentOf(1).stations, "a revision that changes nothing changes no hop")

	c := config()
	c.Ports[0].MTU = 900
	_, err := Compile(&c, n.state)
	require.NoError(t, err)
	_, err = Compile(&c, n.state)
	require.NoError(t, err)
	for key, at := range before {
		require.True(t, n.engine.Hops().Valid(at.hop.index, at.hop.gen), "%v: a revision that is not published leaves hops alone", key)
	}
	n.apply(c)
	used, _ = n.engine.Hops().Used()
	require.Equal(t, 3, used, "the old hop of port 1 is given back")

	c.Ports = nil
	n.apply(c)
	used, _ = n.engine.Hops().Used()
	require.Zero(t, used)
	require.Empty(t, n.state.MACs())
}

func TestMACsAreListed(t *testing.T) {
	n := newTestbed(t, boundSegment())
	n.run([]step{{
		why: "a learned one", in: "4 udp 10.0.0.44:1 > 10.0.0.1:2", want: []string{"1 udp 10.0.0.44:1 > 10.0.0.1:2"},
	}})
	require.ElementsMatch(t, []MAC{
		{Zone: 1, MAC: hostMAC(1), Port: 1, Static: true},
		{Zone: 1, MAC: hostMAC(2), Port: 2, Static: true},
		{Zone: 1, MAC: hostMAC(3), Port: 3, Static: true},
		{Zone: 1, MAC: hostMAC(44), Port: 4, UsedNs: n.now},
	}, n.state.MACs())
}
