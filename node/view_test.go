package node_test

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// campus is a node with something of everything: bound and learning ports, a trunk, a
// port whose device is not there, an uplink, routes, pools.
const campus = `apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: web}
spec: {subnets: [{cidr: 10.0.1.0/24}, {cidr: 'fd00:1::/64'}], vlan: 100}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: lab}
spec: {router: none, vlan: 200}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: a, namespace: web}
spec: {segment: web, addresses: [{ip: 10.0.1.10}, {ip: 'fd00:1::10'}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: b, namespace: web}
spec: {segment: web, addresses: [{ip: 10.0.1.11}], device: {type: tap, name: tap7, netns: b}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: gone}
spec: {segment: web}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: trunk}
spec: {vlan: {mode: trunk}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: uplink}
---
apiVersion: sluice.dev/v1
kind: Router
metadata: {name: default}
spec:
  uplinks: [{port: uplink, addresses: [192.0.2.1/24], gateway: 192.0.2.254}]
  routes: [{prefix: 10.9.0.0/16, blackhole: true}, {prefix: 10.8.0.0/16, via: 10.0.1.11}, {prefix: 10.0.1.0/24, via: 192.0.2.7}]
---
apiVersion: sluice.dev/v1
kind: IPPool
metadata: {name: outside}
spec: {usage: vips, ranges: [{start: 192.0.2.10, end: 192.0.2.19}]}
`

func compile(t testing.TB, text string) *control.Model {
	t.Helper()
	objects, faults := control.Decode("view.yaml", []byte(text), control.Options{})
	require.Empty(t, faults)
	m, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	require.Empty(t, faults)
	return m
}

// viewed makes a node of campus; nothing runs.
func viewed(t *testing.T) (*node.Node, *memDevices) {
	t.Helper()
	devices := &memDevices{byName: map[string]*mem.Port{}, refuse: "gone"}
	n, err := node.New(node.Options{Workers: 2, Open: devices.open, Tolerant: true, Buffers: 4096, Supers: 4}, compile(t, campus))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n, devices
}

// step injects a frame and runs the workers until all is done.
func step(t *testing.T, n *node.Node, p *mem.Port, text string) {
	t.Helper()
	f, err := frametext.Parse(text)
	require.NoError(t, err, text)
	p.Inject(f)
	for range 2 {
		for i := range n.Engine().Workers() {
			n.Engine().Worker(i).Step(dataplane.Now())
		}
	}
}

func list[T any](t testing.TB, view func(*api.Filter) (iter.Seq[T], error), f api.Filter) []T {
	t.Helper()
	all, err := view(&f)
	require.NoError(t, err)
	return slices.Collect(all)
}

func namesOf[T any](all []T, nameOf func(T) string) (names []string) {
	for _, x := range all {
		names = append(names, nameOf(x))
	}
	return names
}

func TestPortViews(t *testing.T) {
	n, devices := viewed(t)
	step(t, n, devices.byName["web/a"], "udp 10.0.1.10:4000 > 10.0.1.11:53 len 20")
	step(t, n, devices.byName["web/a"], "udp 10.0.1.99:4000 > 10.0.1.11:53 len 20") // not its address
	ports := list(t, n.PortViews, api.Filter{})
	require.Equal(t, []string{"gone", "trunk", "uplink", "web/a", "web/b"}, namesOf(ports, func(v api.PortView) string { return v.Name }))

	a := ports[3]
	require.Equal(t, "web", a.Segment)
	require.True(t, a.Guard)
	require.Equal(t, api.PortUp, a.State)
	require.Equal(t, "10.0.1.10", a.Addresses[0].IP.String())
	require.Equal(t, "0a:58:0a:00:01:0a", a.Addresses[0].MAC.String())
	require.Equal(t, uint64(2), a.Rx.Packets)
	require.Equal(t, uint64(1), a.Dropped)
	require.Equal(t, map[string]uint64{"SPOOF_GUARD": 1}, a.Drops)
	require.Equal(t, uint64(1), ports[4].Tx.Packets)
	require.Equal(t, api.DeviceView{Type: "tap", Name: "tap7", NetNS: "b", Queues: 1, Up: true}, ports[4].Device)

	gone := ports[0]
	require.Equal(t, api.PortAbsent, gone.State)
	require.Equal(t, "NoDevice", gone.Reason)
	require.Equal(t, "no such device", gone.Message)
	require.False(t, gone.Device.Up)
	require.Equal(t, []string{"lab", "web"}, slices.Sorted(slices.Values(ports[1].Segments)))
	require.Empty(t, ports[1].Segment)
	require.Equal(t, "default", ports[2].Router)

	for _, row := range []struct {
		why  string
		f    api.Filter
		want []string
	}{
		{"by name, in the list's order", api.Filter{Names: []string{"web/b", "gone"}}, []string{"gone", "web/b"}},
		{"by segment, also a trunk's", api.Filter{Segment: "web"}, []string{"gone", "trunk", "web/a", "web/b"}},
		{"by a trunk's segment", api.Filter{Segment: "lab"}, []string{"trunk"}},
		{"by state, of either case", api.Filter{State: "absent"}, []string{"gone"}},
		{"by address", api.Filter{Address: netip.MustParsePrefix("fd00::/16")}, []string{"web/a"}},
		{"by several", api.Filter{Segment: "web", State: "UP", Address: netip.MustParsePrefix("10.0.1.11/32")}, []string{"web/b"}},
		{"none is left", api.Filter{Segment: "lab", State: "ABSENT"}, nil},
	} {
		require.Equal(t, row.want, namesOf(list(t, n.PortViews, row.f), func(v api.PortView) string { return v.Name }), row.why)
	}
}

func TestSegmentViews(t *testing.T) {
	n, _ := viewed(t)
	segments := list(t, n.SegmentViews, api.Filter{})
	require.Len(t, segments, 2)
	require.Equal(t, "lab", segments[0].Name)
	require.Empty(t, segments[0].Router)
	require.Equal(t, []string{"trunk"}, segments[0].Ports)
	web := segments[1]
	require.Equal(t, "default", web.Router)
	require.EqualValues(t, 100, web.VLAN)
	require.Equal(t, []string{"gone", "trunk", "web/a", "web/b"}, web.Ports)
	require.Equal(t, "10.0.1.1", web.Subnets[0].Gateway.String())
	require.Len(t, list(t, n.SegmentViews, api.Filter{Router: "default"}), 1)
	require.Len(t, list(t, n.SegmentViews, api.Filter{Address: netip.MustParsePrefix("10.0.1.77/32")}), 1)
}

func TestRouteViews(t *testing.T) {
	n, _ := viewed(t)
	text := func(v api.RouteView) string {
		return fmt.Sprintf("%s %s %s via %s out %s %v", v.Router, v.Prefix, v.Type, v.Via, v.Out, v.Active)
	}
	require.Equal(t, []string{
		"default 0.0.0.0/0 default via 192.0.2.254 out uplink true",
		"default 10.0.1.0/24 connected via invalid IP out web true",
		"default 10.0.1.0/24 static via 192.0.2.7 out uplink false",
		"default 10.8.0.0/16 static via 10.0.1.11 out web true",
		"default 10.9.0.0/16 blackhole via invalid IP out  true",
		"default 192.0.2.0/24 uplink via invalid IP out uplink true",
		"default fd00:1::/64 connected via invalid IP out web true",
	}, namesOf(list(t, n.RouteViews, api.Filter{}), text))
	require.Equal(t, []string{
		"default 0.0.0.0/0 default via 192.0.2.254 out uplink true",
		"default 10.8.0.0/16 static via 10.0.1.11 out web true",
	}, namesOf(list(t, n.RouteViews, api.Filter{Address: netip.MustParsePrefix("10.8.1.1/32")}), text), "the routes for an address")
	require.Len(t, list(t, n.RouteViews, api.Filter{Names: []string{"10.0.1.0/24"}}), 2)
	require.Len(t, list(t, n.RouteViews, api.Filter{State: "Static"}), 2)
}

func TestMACAndNeighborViews(t *testing.T) {
	n, devices := viewed(t)
	step(t, n, devices.byName["trunk"], "arp 10.0.1.50 who-has 10.0.1.10 eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff vlan 100")
	step(t, n, devices.byName["web/a"], "udp 10.0.1.10:4000 > 192.0.2.77:53 eth 0a:58:0a:00:01:0a > 02:50:56:56:44:52 len 20")
	macText := func(v api.MACView) string { return fmt.Sprintf("%s %s %s %s", v.Segment, v.MAC, v.Port, v.Type) }
	require.Equal(t, []string{
		"web 0a:58:0a:00:01:0a web/a bound",
		"web 0a:58:0a:00:01:0b web/b bound",
		"web 02:00:00:00:00:09 trunk learned",
	}, namesOf(list(t, n.MACViews, api.Filter{}), macText))
	require.Len(t, list(t, n.MACViews, api.Filter{State: "learned"}), 1)
	require.Len(t, list(t, n.MACViews, api.Filter{Port: "web/a"}), 1)
	require.Len(t, list(t, n.MACViews, api.Filter{Segment: "lab"}), 0)
	require.Len(t, list(t, n.MACViews, api.Filter{Names: []string{"02:00:00:00:00:09"}}), 1)

	text := func(v api.NeighborView) string {
		return fmt.Sprintf("%s %s %s %s %s %s %d", v.Router, v.IP, v.MAC, v.State, v.Out, v.Port, v.Queue)
	}
	require.Equal(t, []string{
		"default 10.0.1.10 0a:58:0a:00:01:0a BOUND web web/a 0",
		"default fd00:1::10 0a:58:0a:00:01:0a BOUND web web/a 0",
		"default 10.0.1.11 0a:58:0a:00:01:0b BOUND web web/b 0",
		"default 10.0.1.50 02:00:00:00:00:09 KNOWN web trunk 0",
		"default 192.0.2.77 00:00:00:00:00:00 INCOMPLETE uplink  1",
	}, namesOf(list(t, n.NeighborViews, api.Filter{}), text))
	require.Len(t, list(t, n.NeighborViews, api.Filter{State: "incomplete"}), 1)
	require.Len(t, list(t, n.NeighborViews, api.Filter{Segment: "web", Address: netip.MustParsePrefix("10.0.1.0/24")}), 3)
	require.Len(t, list(t, n.NeighborViews, api.Filter{Names: []string{"10.0.1.50"}}), 1)
}

func TestSessionViews(t *testing.T) {
	n, devices := viewed(t)
	a, b := devices.byName["web/a"], devices.byName["web/b"]
	step(t, n, a, "udp 10.0.1.10:4000 > 10.0.1.11:53 len 20")
	step(t, n, b, "udp 10.0.1.11:53 > 10.0.1.10:4000 len 60")
	step(t, n, b, "tcp 10.0.1.11:5000 > 10.0.1.10:80 S")
	step(t, n, a, "icmp 10.0.1.10 > 10.0.1.11 echo id 7")
	all := list(t, n.SessionViews, api.Filter{})
	require.Len(t, all, 3)
	slices.SortFunc(all, func(a, b api.SessionView) int { return cmp.Compare(b.Protocol, a.Protocol) })
	udp := all[0]
	require.Equal(t, "UDP MULTIPLE web", udp.Protocol+" "+udp.State+" "+udp.Segment)
	require.Equal(t, "10.0.1.10:4000 > 10.0.1.11:53", fmt.Sprintf("%s:%d > %s:%d",
		udp.Original.Source, udp.Original.SourcePort, udp.Original.Destination, udp.Original.DestinationPort))
	require.Equal(t, []string{"web/a", "web/b"}, []string{udp.Original.Port, udp.Reply.Port})
	require.EqualValues(t, 1, udp.Original.Packets)
	require.EqualValues(t, 1, udp.Reply.Packets)
	require.Greater(t, udp.Reply.Bytes, udp.Original.Bytes)
	require.Nil(t, udp.Translated)
	require.Nil(t, udp.ICMP)
	require.Positive(t, udp.Timeout)
	require.Less(t, udp.Idle, 60.0)
	icmp := all[2]
	require.Equal(t, &api.ICMPQuery{Type: 8, ID: 7}, icmp.ICMP)
	require.Zero(t, icmp.Original.SourcePort)
	require.Equal(t, "web/b", icmp.Reply.Port, "nothing has come back yet: where its address is bound")

	for _, row := range []struct {
		why  string
		f    api.Filter
		want int
	}{
		{"by the name of a protocol", api.Filter{Protocol: "tcp"}, 1},
		{"by its number", api.Filter{Protocol: "17"}, 1},
		{"by a port number, of either end", api.Filter{L4Port: 80}, 1},
		{"which ICMP has not", api.Filter{L4Port: 7}, 0},
		{"by an address, of either end", api.Filter{Address: netip.MustParsePrefix("10.0.1.11/32")}, 3},
		{"by a network", api.Filter{Address: netip.MustParsePrefix("10.0.2.0/24")}, 0},
		{"by state", api.Filter{State: "syn_sent"}, 1},
		{"by segment", api.Filter{Segment: "web"}, 3},
		{"by another segment", api.Filter{Segment: "lab"}, 0},
		{"by port of the switch", api.Filter{Port: "web/b"}, 3},
		{"by another port", api.Filter{Port: "trunk"}, 0},
		{"by several", api.Filter{Port: "web/a", Protocol: "UDP", L4Port: 53}, 1},
	} {
		require.Len(t, list(t, n.SessionViews, row.f), row.want, row.why)
	}
}

func TestWorkerAndDropViews(t *testing.T) {
	n, devices := viewed(t)
	step(t, n, devices.byName["web/a"], "udp 10.0.1.99:4000 > 10.0.1.11:53 len 20")
	step(t, n, devices.byName["web/a"], "udp 10.0.1.99:4000 > 10.0.1.11:53 len 20")
	step(t, n, devices.byName["web/b"], "udp 10.0.1.99:4000 > 10.0.1.11:53 len 20")
	workers := list(t, n.WorkerViews, api.Filter{})
	require.Len(t, workers, 2)
	require.EqualValues(t, 3, workers[0].Frames+workers[1].Frames)
	require.Equal(t, 5, len(workers[0].Queues)+len(workers[1].Queues), "each queue is polled by one")
	require.Nil(t, workers[0].CPU)
	require.Len(t, list(t, n.WorkerViews, api.Filter{Names: []string{"1"}}), 1)

	text := func(v api.DropView) string { return fmt.Sprintf("%d %s %s %s", v.Count, v.Reason, v.Component, v.Port) }
	require.Equal(t, []string{"2 SPOOF_GUARD SpoofGuard web/a", "1 SPOOF_GUARD SpoofGuard web/b"},
		namesOf(list(t, n.DropViews, api.Filter{}), text), "the most frequent first")
	require.Len(t, list(t, n.DropViews, api.Filter{Port: "web/b", Names: []string{"SPOOF_GUARD"}}), 1)
	require.Empty(t, list(t, n.DropViews, api.Filter{Names: []string{"NO_BUFFER"}}), "there was none: no error")
}

func TestPoolViews(t *testing.T) {
	m := compile(t, campus)
	m.Allocations.Freed = []control.Freed{{Address: netip.MustParseAddr("10.0.1.20"), Port: "web/old", At: 1}}
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open}, m)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	pools := list(t, n.PoolViews, api.Filter{})
	require.Len(t, pools, 3, "a segment without subnets has no addresses")
	web, blocks, outside := pools[0], pools[1], pools[2]
	require.Equal(t, api.PoolView{
		Name: "default", Usage: "segments", Ranges: []string{"10.244.0.0/16"}, Size: 256, Free: 256,
	}, blocks)
	require.Equal(t, []string{"10.0.1.0/24", "fd00:1::/64"}, web.Ranges)
	require.Equal(t, uint64(5), web.Used, "two gateways, three addresses of ports")
	require.Equal(t, uint64(1), web.Quarantined)
	require.Equal(t, uint64(1<<64-1), web.Size)
	require.Contains(t, web.Allocations, api.AllocationView{Address: netip.MustParseAddr("10.0.1.11"), Owner: "web/b"})
	require.Contains(t, web.Allocations, api.AllocationView{Address: netip.MustParseAddr("10.0.1.1"), Owner: "gateway"})
	require.Contains(t, web.Allocations, api.AllocationView{Address: netip.MustParseAddr("10.0.1.20"), Owner: "web/old", Quarantined: true})
	require.Equal(t, api.PoolView{
		Name: "outside", Usage: "vips", Ranges: []string{"192.0.2.10-192.0.2.19"}, Size: 10, Free: 10,
	}, outside)
	name := func(v api.PoolView) string { return v.Name }
	require.Equal(t, []string{"outside"}, namesOf(list(t, n.PoolViews, api.Filter{State: "vips"}), name))
	require.Equal(t, []string{"outside"}, namesOf(list(t, n.PoolViews, api.Filter{Address: netip.MustParsePrefix("192.0.2.12/32")}), name))
	require.Equal(t, []string{"web"}, namesOf(list(t, n.PoolViews, api.Filter{Address: netip.MustParsePrefix("10.0.1.12/32")}), name))
}

func TestBlocksOfSubnets(t *testing.T) {
	m := compile(t, campus)
	prefix := netip.MustParsePrefix
	m.Blocks = []control.Block{
		{Name: "a", CIDR: prefix("10.0.0.0/16"), Bits: 24},
		{Name: "b", CIDR: prefix("10.0.1.0/24"), Bits: 26},
		{Name: "c", CIDR: prefix("fd00::/8"), Bits: 80},
		{Name: "d", CIDR: prefix("10.9.0.0/24"), Bits: 24},
	}
	n, err := node.New(node.Options{Workers: 1, Open: (&memDevices{byName: map[string]*mem.Port{}}).open}, m)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	pools := map[string]api.PoolView{}
	for _, v := range list(t, n.PoolViews, api.Filter{State: "segments"}) {
		pools[v.Name] = v
	}
	require.Equal(t, uint64(256), pools["a"].Size)
	require.Equal(t, []api.AllocationView{{Subnet: prefix("10.0.1.0/24"), Owner: "web"}}, pools["a"].Allocations)
	require.Equal(t, uint64(255), pools["a"].Free)
	require.Zero(t, pools["b"].Free, "a written subnet as large as four")
	require.Equal(t, uint64(1<<64-1), pools["c"].Size, "more than can be said")
	require.Equal(t, uint64(1), pools["d"].Free)
}

func TestStatus(t *testing.T) {
	n, devices := viewed(t)
	step(t, n, devices.byName["web/a"], "udp 10.0.1.10:4000 > 10.0.1.11:53 len 20")
	st := n.Status()
	require.Equal(t, api.PortCount{Total: 5, Up: 4, Absent: 1}, st.Ports)
	require.EqualValues(t, 1, st.Revision)
	require.Len(t, st.Digest, 16)
	require.NotZero(t, st.Epoch)
	require.Equal(t, 1, st.Sessions.Live)
	require.Positive(t, st.Sessions.Capacity)
	require.EqualValues(t, 1, st.Ledger.Received)
	require.Zero(t, st.Ledger.Unexplained)
	require.Equal(t, 4100, st.Memory.Buffers)
	require.NotEmpty(t, st.Memory.Pages)
	require.Positive(t, st.Memory.Resident)
	require.Zero(t, st.Crashes)
}

// Whoever names what is not there, or asks for what can't be, is told so.
func TestViewFaults(t *testing.T) {
	n, _ := viewed(t)
	for _, row := range []struct {
		why  string
		ask  func(*api.Filter) error
		f    api.Filter
		is   error
		says string
	}{
		{"a port", ask(n.PortViews), api.Filter{Names: []string{"web/c"}}, api.ErrNotFound, "there is no port web/c; did you mean one of web/a, web/b?"},
		{"each of several", ask(n.PortViews), api.Filter{Names: []string{"x", "y"}}, api.ErrNotFound, "x\nthere is no port y"},
		{"a segment", ask(n.SegmentViews), api.Filter{Names: []string{"wb"}}, api.ErrNotFound, "there is no segment wb; did you mean web?"},
		{"a route", ask(n.RouteViews), api.Filter{Names: []string{"10.7.0.0/16"}}, api.ErrNotFound, "there is no route to 10.7.0.0/16; did you mean one of 10.8.0.0/16, 10.9.0.0/16"},
		{"a MAC address", ask(n.MACViews), api.Filter{Names: []string{"02::"}}, api.ErrNotFound, "there is no MAC address 02::"},
		{"a neighbour", ask(n.NeighborViews), api.Filter{Names: []string{"1.2.3.4"}}, api.ErrNotFound, "there is no neighbor 1.2.3.4"},
		{"a worker", ask(n.WorkerViews), api.Filter{Names: []string{"2"}}, api.ErrNotFound, "there is no worker 2"},
		{"a reason", ask(n.DropViews), api.Filter{Names: []string{"SPOOFGUARD"}}, api.ErrNotFound, "there is no drop reason SPOOFGUARD; did you mean SPOOF_GUARD?"},
		{"a pool", ask(n.PoolViews), api.Filter{Names: []string{"lab"}}, api.ErrNotFound, "there is no address pool lab"},
		{"a filter's segment", ask(n.SessionViews), api.Filter{Segment: "weeb"}, api.ErrNotFound, "there is no segment weeb; did you mean web?"},
		{"a filter's port", ask(n.SessionViews), api.Filter{Port: "a"}, api.ErrNotFound, "there is no port a; did you mean web/a?"},
		{"a filter's router", ask(n.RouteViews), api.Filter{Router: "defualt"}, api.ErrNotFound, "there is no router defualt; did you mean default?"},
		{"a state", ask(n.PortViews), api.Filter{State: "BROKEN"}, api.ErrInvalid, `state "BROKEN": want one of [UP DOWN ABSENT]`},
		{"a session's state", ask(n.SessionViews), api.Filter{State: "OPEN"}, api.ErrInvalid, "ESTABLISHED"},
		{"a protocol", ask(n.SessionViews), api.Filter{Protocol: "quic"}, api.ErrInvalid, `protocol "quic": want a number up to 255, or one of ICMP,`},
		{"a protocol's number", ask(n.SessionViews), api.Filter{Protocol: "256"}, api.ErrInvalid, "want a number up to 255"},
	} {
		t.Run(row.why, func(t *testing.T) {
			err := row.ask(&row.f)
			require.ErrorIs(t, err, row.is)
			require.ErrorContains(t, err, row.says)
		})
	}
}

func ask[T any](view func(*api.Filter) (iter.Seq[T], error)) func(*api.Filter) error {
	return func(f *api.Filter) error {
		_, err := view(f)
		return err
	}
}

// counted is a device that counts, as drivers do.
type counted struct{ *mem.Port }

type counts struct {
	Received, RxLost uint64
	TxErrors         uint64
	Note             string // no number
}

func (counted) Counters() counts { return counts{Received: 9, RxLost: 4, Note: "x"} }
func (counted) Mode() string     { return "counted, 1 queue" }

// mute has a Counters that is none.
type mute struct{ *mem.Port }

func (mute) Counters() int { return 7 }

func TestPortViewsShowDevices(t *testing.T) {
	a, b := counted{mem.New(mem.Config{MTU: 9000})}, mute{mem.New(mem.Config{})}
	open := func(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
		if p.Name == "a" {
			return a, nil
		}
		return b, nil
	}
	n, err := node.New(node.Options{Workers: 1, Open: open}, lan(t, 1, nil, "a", "b"))
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	b.SetUp(false)
	ports := list(t, n.PortViews, api.Filter{})
	require.Equal(t, api.DeviceView{
		Mode: "counted, 1 queue", Queues: 1, MTU: 9000, Up: true, KernelDrops: 4,
		Counters: map[string]uint64{"received": 9, "rxLost": 4, "txErrors": 0},
	}, ports[0].Device)
	require.Equal(t, api.PortDown, ports[1].State)
	require.Equal(t, "LinkDown", ports[1].Reason)
	require.Contains(t, ports[1].Message, "set the device and its peer up")
	require.Nil(t, ports[1].Device.Counters)
	require.Equal(t, api.PortCount{Total: 2, Up: 1, Down: 1}, n.Status().Ports)
}
