package route

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// TestShared: what a change does not concern is not compiled, so that one costs
// the same in a network of ten ports and of ten thousand.
func TestShared(t *testing.T) {
	const web, app = 0, 1 // of the routed network
	for _, row := range []struct {
		why    string
		change func(*Config)
		lans   []int // that are made anew
		fib    bool  // whether the router's is
	}{
		{"nothing changes", func(*Config) {}, nil, false},
		{"a port is another: its segment is", func(c *Config) { c.Ports[0] = &Port{Number: 1, Name: "web-1", Zones: c.Ports[0].Zones} }, []int{web}, false},
		{"a port goes", func(c *Config) { c.Ports = slices.Delete(c.Ports, 2, 3) }, []int{app}, false},
		{"a port comes", func(c *Config) {
			c.Ports = append(c.Ports, &Port{Number: 7, Name: "new", Zones: []Attachment{{Zone: 1}}})
		}, []int{web}, false},
		{"a port moves", func(c *Config) {
			p := *c.Ports[1]
			p.Zones = []Attachment{{Zone: 2}}
			c.Ports[1] = &p
		}, []int{web, app}, false},
		{"ports change places", func(c *Config) { slices.Reverse(c.Ports) }, nil, false},
		{"a segment has another setting", func(c *Config) { c.Segments[1].Suppress = true }, []int{app}, true},
		{"a route is added", func(c *Config) {
			c.Routers[0].Routes = append(slices.Clone(c.Routers[0].Routes), Static{Prefix: netip.MustParsePrefix("10.7.0.0/16"), Blackhole: true})
		}, nil, true},
		{"a router is added", func(c *Config) { c.Routers = append(slices.Clone(c.Routers), Router{Name: "other"}) }, nil, false},
		{"a segment is added that the router does not see, and the uplink's number is another", func(c *Config) {
			c.Segments = append(c.Segments, Segment{Name: "z", Zone: 9, Router: -1})
		}, nil, true},
		{"the uplink has another gateway", func(c *Config) { c.Routers[0].Uplinks[0].Gateway = netip.MustParseAddr("192.0.2.253") }, nil, true},
		{"all have another router", func(c *Config) { c.GatewayMAC[5]++ }, []int{web, app}, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			hops := dataplane.NewHopTable(64)
			s, err := NewState(StateConfig{Hops: hops, Ports: testbedPorts, MACs: 16, Neighbors: 16})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			c := routedNetwork()
			before, err := Compile(&c, s)
			require.NoError(t, err)
			s.Adopt(before)
			next := c
			next.Ports, next.Segments = slices.Clone(c.Ports), slices.Clone(c.Segments)
			next.Routers = slices.Clone(c.Routers)
			next.Routers[0].Uplinks = slices.Clone(c.Routers[0].Uplinks)
			row.change(&next)
			after, err := Compile(&next, s)
			require.NoError(t, err)
			var anew []int
			for i := range before.segments {
				if zone := before.segments[i].zone; after.lanOf(zone) != before.lanOf(zone) {
					anew = append(anew, i)
				}
			}
			require.Equal(t, row.lans, anew)
			require.Equal(t, row.fib, after.fibs[0] != before.fibs[0])
		})
	}
}

// TestPublishUnderTraffic: workers forward while Forwarders that share parts follow each other.
// Under the race detector this says that nothing which they read is written.
func TestPublishUnderTraffic(t *testing.T) {
	x := newRandomNetwork(5)
	n := newTestbedOf(t, 2, Config{})
	require.NoError(t, n.engine.Start(dataplane.RunConfig{Idle: dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}}))
	defer n.engine.Stop()
	published := 0
	for range 600 {
		c := x.change()
		f, err := Compile(c, n.state)
		if err != nil || x.r.IntN(8) == 0 {
			continue
		}
		n.publish(c, f)
		x.accepted = *c
		published++
		for _, p := range c.Ports {
			for range 3 {
				frame, err := frametext.Parse(x.frame())
				require.NoError(t, err)
				n.ports[p.Number].Inject(frame)
			}
		}
		for _, port := range n.ports {
			port.Sent()
		}
	}
	require.Greater(t, published, 200)
	require.NotZero(t, n.engine.Ledger().Received)
}

// BenchmarkCompile changes a port of many in segments of fifty.
func BenchmarkCompile(b *testing.B) {
	const segments, each = 100, 50
	hops := dataplane.NewHopTable(4 * segments * each)
	s, err := NewState(StateConfig{Hops: hops, Ports: segments * each, MACs: 16, Neighbors: 16})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	c := &Config{GatewayMAC: gatewayMAC, Routers: []Router{{Name: "default"}}}
	for i := range segments {
		gateway := netip.AddrFrom4([4]byte{10, 0, byte(i), 1})
		c.Segments = append(c.Segments, Segment{Name: string(rune('A' + i)), Zone: packet.Zone(1 + i), Subnets: []Subnet{{netip.PrefixFrom(gateway, 24).Masked(), gateway}}})
		for k := range each {
			ip := netip.AddrFrom4([4]byte{10, 0, byte(i), byte(2 + k)})
			number := uint16(1 + len(c.Ports))
			c.Ports = append(c.Ports, &Port{
				Number: number, Name: ip.String(), Guard: true, Zones: []Attachment{{Zone: packet.Zone(1 + i)}},
				Addresses: []Address{{packet.MAC{2, 0, 0, 0, byte(number >> 8), byte(number)}, ip}},
			})
		}
	}
	b.ReportAllocs()
	for i := range b.N {
		p := *c.Ports[77]
		p.Guard = i%2 == 0
		c.Ports[77] = &p
		f, err := Compile(c, s)
		require.NoError(b, err)
		s.Adopt(f)
	}
}
