package route

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Neighbours of the app segment that no configuration binds.
const (
	newMAC   = "0a:58:0a:00:02:4d" // of 10.0.2.77
	newMAC6  = "0a:58:00:00:00:4d" // of fd00:2::4d
	toNew    = " eth " + gwMAC + " > " + newMAC
	toNew6   = " eth " + gwMAC + " > " + newMAC6
	fromNew  = " eth " + newMAC + " > " + gwMAC
	groupMAC = "33:33:ff:00:00:4d" // of the solicited-node group of fd00:2::4d
)

var (
	asks = []string{
		"3 arp 10.0.2.1 who-has 10.0.2.77 eth " + gwMAC + " > ff:ff:ff:ff:ff:ff",
		"4 arp 10.0.2.1 who-has 10.0.2.77 eth " + gwMAC + " > ff:ff:ff:ff:ff:ff",
	}
	asks6 = []string{
		"3 icmp6 fd00:2::1 > ff02::1:ff00:4d ns target fd00:2::4d lladdr " + gwMAC + " eth " + gwMAC + " > " + groupMAC,
		"4 icmp6 fd00:2::1 > ff02::1:ff00:4d ns target fd00:2::4d lladdr " + gwMAC + " eth " + gwMAC + " > " + groupMAC,
	}
	probe = []string{"4 arp 10.0.2.1 who-has 10.0.2.77 eth " + gwMAC + " > " + newMAC}
)

const (
	toUnknown  = "1 udp 10.0.1.10:1 > 10.0.2.77:2"
	answerText = "4 arp 10.0.2.77 is-at " + newMAC + " to 10.0.2.1 eth " + newMAC + " > " + gwMAC
	arrives    = "4 udp 10.0.1.10:1 > 10.0.2.77:2 ttl 63" + toNew
)

func TestNeighborAnswers(t *testing.T) {
	newTestbed(t, routedNetwork()).run([]step{
		{why: "a packet for a host that nobody knows waits, and the segment is asked", in: toUnknown + fromWeb, want: asks},
		{why: "so does a second one; the question has been asked", in: toUnknown + " len 2" + fromWeb},
		{
			why: "the answer releases both, in order, and goes no further",
			in:  answerText, want: []string{arrives, "4 udp 10.0.1.10:1 > 10.0.2.77:2 len 2 ttl 63" + toNew},
		},
		{why: "from now on there is a way", in: toUnknown + " len 3" + fromWeb, want: []string{"4 udp 10.0.1.10:1 > 10.0.2.77:2 len 3 ttl 63" + toNew}},
		{
			why: "replies come back", in: "4 udp 10.0.2.77:2 > 10.0.1.10:1" + fromNew,
			want: []string{"1 udp 10.0.2.77:2 > 10.0.1.10:1 ttl 63" + toWeb},
		},
	})
	newTestbed(t, routedNetwork()).run([]step{
		{why: "over IPv6 the solicited-node group is asked (RFC 4861 section 7.2.2)", in: "1 udp [fd00:1::a]:1 > [fd00:2::4d]:2" + fromWeb, want: asks6},
		{
			why:  "an advertisement releases what waits",
			in:   "4 icmp6 fd00:2::4d > fd00:2::1 na target fd00:2::4d solicited override lladdr " + newMAC6 + " eth " + newMAC6 + " > " + gwMAC,
			want: []string{"4 udp [fd00:1::a]:1 > [fd00:2::4d]:2 ttl 63" + toNew6},
		},
	})
}

func TestNeighborQuestion(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	n.run([]step{
		{
			why:  "a host that asks for the gateway is heard by it",
			in:   "4 arp 10.0.2.77 who-has 10.0.2.1 eth " + newMAC + " > ff:ff:ff:ff:ff:ff",
			want: []string{"4 arp 10.0.2.1 is-at " + gwMAC + " to 10.0.2.77" + toNew},
		},
		{why: "and is not asked back", in: toUnknown + fromWeb, want: []string{arrives}},
	})
}

func TestNeighborSilence(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	second := toUnknown + " len 2" + fromWeb
	n.run([]step{
		{why: "the first question", in: toUnknown + fromWeb, want: asks},
		{why: "three packets may wait", in: second},
		{why: "this is the third", in: toUnknown + " len 3" + fromWeb},
		{why: "the fourth is too many", in: toUnknown + " len 4" + fromWeb, drop: packet.NeighborQueueFull},
		{why: "not before a second has passed", after: 900 * time.Millisecond},
		{why: "it is asked a second time", after: 200 * time.Millisecond, want: asks},
		{why: "and a third", after: 1100 * time.Millisecond, want: asks},
	})
	n.now += 1100e6
	n.step()
	require.Equal(t, canonical(t, []string{
		"1 icmp 10.0.1.1 > 10.0.1.10 unreachable host tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.77:2 }" + toWeb,
	}), n.sent(), "then the sender of the first is told")
	require.Equal(t, uint64(3), n.drops()[packet.NeighborUnresolved], "and all three are dropped")
	n.run([]step{
		{
			why: "for a while packets are refused at once", in: second, after: time.Second,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable host tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.77:2 len 2 }" + toWeb},
			drop: packet.NeighborUnresolved,
		},
		{why: "then it is asked again", in: second, after: 2100 * time.Millisecond, want: asks},
		{why: "a late answer is as good", in: answerText, want: []string{"4 udp 10.0.1.10:1 > 10.0.2.77:2 len 2 ttl 63" + toNew}},
	})
	require.Equal(t, NeighborStats{Resolved: 1, Failed: 1, Forgotten: 1}, n.state.NeighborStats())
}

func TestNeighborSilenceIPv6(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	n.run([]step{
		{why: "asked once", in: "1 udp [fd00:1::a]:1 > [fd00:2::4d]:2" + fromWeb, want: asks6},
		{why: "twice", after: 1100 * time.Millisecond, want: asks6},
		{why: "three times", after: 1100 * time.Millisecond, want: asks6},
		{
			why: "the address is unreachable (RFC 4443 section 3.1, code 3)", after: 1100 * time.Millisecond,
			want: []string{"1 icmp6 fd00:1::1 > fd00:1::a unreachable host quote { udp [fd00:1::a]:1 > [fd00:2::4d]:2 }" + toWeb},
			drop: packet.NeighborUnresolved,
		},
	})
}

func TestUplinkGateway(t *testing.T) {
	newTestbed(t, routedNetwork()).run([]step{
		{
			why:  "the gateway of the default route is asked for with the uplink's tag",
			in:   "1 udp 10.0.1.10:1 > 198.51.100.1:2" + fromWeb,
			want: []string{"9 arp 192.0.2.1 who-has 192.0.2.254 vlan 300 eth " + upMAC + " > ff:ff:ff:ff:ff:ff"},
		},
		{
			why:  "its answer opens the way for all that is behind it",
			in:   "9 arp 192.0.2.254 is-at 02:00:00:00:00:fe to 192.0.2.1 vlan 300 eth 02:00:00:00:00:fe > " + upMAC,
			want: []string{"9 udp 10.0.1.10:1 > 198.51.100.1:2 ttl 63 vlan 300 eth " + upMAC + " > 02:00:00:00:00:fe"},
		},
		{
			why:  "also for others",
			in:   "3 udp 10.0.2.10:1 > 203.0.113.1:2" + fromApp,
			want: []string{"9 udp 10.0.2.10:1 > 203.0.113.1:2 ttl 63 vlan 300 eth " + upMAC + " > 02:00:00:00:00:fe"},
		},
		{
			why:  "what comes from there is routed in",
			in:   "9 udp 198.51.100.1:2 > 10.0.1.10:1 vlan 300 eth 02:00:00:00:00:fe > " + upMAC,
			want: []string{"1 udp 198.51.100.1:2 > 10.0.1.10:1 ttl 63" + toWeb},
		},
		{
			why:  "the gateway announces a new MAC address",
			in:   "9 arp 192.0.2.254 is-at 02:00:00:00:00:fd vlan 300 eth 02:00:00:00:00:fd > ff:ff:ff:ff:ff:ff",
			drop: packet.NoDestination, // the router is the only other member of the uplink's segment
		},
		{
			why:  "flows that are known follow at once",
			in:   "1 udp 10.0.1.10:1 > 198.51.100.1:2" + fromWeb,
			want: []string{"9 udp 10.0.1.10:1 > 198.51.100.1:2 ttl 63 vlan 300 eth " + upMAC + " > 02:00:00:00:00:fd"},
		},
		{
			why:  "hosts on the uplink's network that speak among themselves are not noted",
			in:   "9 arp 192.0.2.7 is-at 02:00:00:00:00:07 vlan 300 eth 02:00:00:00:00:07 > ff:ff:ff:ff:ff:ff",
			drop: packet.NoDestination,
		},
		{
			why:  "they are asked for when there is something for them",
			in:   "1 udp 10.0.1.10:1 > 192.0.2.7:2" + fromWeb,
			want: []string{"9 arp 192.0.2.1 who-has 192.0.2.7 vlan 300 eth " + upMAC + " > ff:ff:ff:ff:ff:ff"},
		},
	})
}

// resolved makes the neighbour at port 4 known.
func resolved(t *testing.T, n *testbed) {
	t.Helper()
	n.run([]step{
		{why: "the segment is asked", in: toUnknown + fromWeb, want: asks},
		{why: "and answers", in: answerText, want: []string{arrives}},
	})
}

func TestNeighborProbe(t *testing.T) {
	again := step{why: "a flow is in use", after: 4 * time.Second, in: toUnknown + fromWeb, want: []string{arrives}}
	t.Run("one that is used and not heard of is probed, and forgotten if it is silent", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		for range 8 {
			n.run([]step{again})
		}
		n.run([]step{
			{why: "after 30 s it is asked whether it is still there; packets go on", after: 4 * time.Second, in: toUnknown + fromWeb, want: append(probe[:1:1], arrives)},
			{why: "a second time", after: 1100 * time.Millisecond, in: toUnknown + fromWeb, want: append(probe[:1:1], arrives)},
			{why: "a third time", after: 1100 * time.Millisecond, want: probe},
			{why: "then it is asked for anew", after: 1100 * time.Millisecond, in: toUnknown + fromWeb, want: asks},
			{why: "and may be back with another card", in: "4 arp 10.0.2.77 is-at 0a:58:0a:00:02:4e to 10.0.2.1 eth 0a:58:0a:00:02:4e > " + gwMAC, want: []string{"4 udp 10.0.1.10:1 > 10.0.2.77:2 ttl 63 eth " + gwMAC + " > 0a:58:0a:00:02:4e"}},
		})
	})
	t.Run("one that answers stays", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		for range 8 {
			n.run([]step{again})
		}
		n.run([]step{
			{why: "it is probed", after: 4 * time.Second, in: toUnknown + fromWeb, want: append(probe[:1:1], arrives)},
			{why: "it answers", in: answerText},
			{why: "and is left in peace", after: 1100 * time.Millisecond},
		})
	})
	t.Run("one whose traffic is seen needs no probe", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		for range 30 {
			n.run([]step{
				{why: "it sends", after: 2 * time.Second, in: "4 udp 10.0.2.77:2 > 10.0.1.10:1" + fromNew, want: []string{"1 udp 10.0.2.77:2 > 10.0.1.10:1 ttl 63" + toWeb}},
				{why: "and is sent to", in: toUnknown + fromWeb, want: []string{arrives}},
			})
		}
	})
	t.Run("one that is not used is not probed, and forgotten in the end", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		require.Len(t, n.state.Neighbors(), 1)
		for range 70 {
			n.run([]step{{why: "nothing is sent", after: 10 * time.Second}})
		}
		require.Empty(t, n.state.Neighbors())
		n.run([]step{{why: "it is asked for when it is needed", in: toUnknown + fromWeb, want: asks}})
	})
}

func TestNeighborMoves(t *testing.T) {
	n := newTestbed(t, routedNetwork())
	resolved(t, n)
	n.run([]step{
		{
			why:  "its MAC address shows up behind another port",
			in:   "3 udp 10.0.2.77:9 > 10.0.1.10:9" + fromNew,
			want: []string{"1 udp 10.0.2.77:9 > 10.0.1.10:9 ttl 63" + toWeb},
		},
		{
			why:  "flows to it follow",
			in:   toUnknown + fromWeb,
			want: []string{"3 udp 10.0.1.10:1 > 10.0.2.77:2 ttl 63" + toNew},
		},
		{why: "the address table forgets it", after: 301 * time.Second},
		{why: "then so do its flows: it is asked for", in: toUnknown + fromWeb, want: asks},
	})
}

func TestNeighborRevisions(t *testing.T) {
	t.Run("a new revision leaves what is known", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		before := n.state.Neighbors()
		n.apply(routedNetwork())
		require.Equal(t, before, n.state.Neighbors())
		n.run([]step{{why: "nobody is asked", in: toUnknown + fromWeb, want: []string{arrives}}})
	})
	t.Run("its hop takes on a port's new tags", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		c := routedNetwork()
		c.Ports[3].Zones[0].Tags = dataplane.Tags{Outer: 22}
		n.apply(c)
		n.run([]step{{why: "a tag is pushed", in: toUnknown + fromWeb, want: []string{"4 udp 10.0.1.10:1 > 10.0.2.77:2 ttl 63 vlan 22" + toNew}}})
	})
	t.Run("a port that is gone takes its neighbours along", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		resolved(t, n)
		c := routedNetwork()
		c.Ports = append(c.Ports[:3:3], c.Ports[4])
		n.apply(c)
		require.Empty(t, n.state.Neighbors())
		n.run([]step{{why: "who is left is asked", in: toUnknown + fromWeb, want: asks[:1]}})
	})
	t.Run("packets wait for an address that is bound meanwhile", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		n.run([]step{{why: "the segment is asked", in: toUnknown + fromWeb, want: asks}})
		c := routedNetwork()
		c.Ports[3].Addresses = []Address{{parseMAC(newMAC), packet.AddrFrom4(&[4]byte{10, 0, 2, 77}).Netip()}}
		n.apply(c)
		n.run([]step{{why: "they go there", after: 1100 * time.Millisecond, want: []string{arrives}}})
		require.Empty(t, n.state.Neighbors())
	})
	t.Run("packets wait for a segment that is gone meanwhile", func(t *testing.T) {
		n := newTestbed(t, routedNetwork())
		n.run([]step{{why: "the segment is asked", in: toUnknown + fromWeb, want: asks}})
		c := routedNetwork()
		c.Segments = c.Segments[:1]
		c.Ports = append(c.Ports[:2:2], c.Ports[4])
		c.Routers[0].Routes = nil
		n.apply(c)
		n.run([]step{{
			why: "they are given up", after: 1100 * time.Millisecond, drop: packet.NeighborUnresolved,
			want: []string{"1 icmp 10.0.1.1 > 10.0.1.10 unreachable host tos 0xc0 df quote { udp 10.0.1.10:1 > 10.0.2.77:2 }" + toWeb},
		}})
	})
}

func TestNeighborCrowd(t *testing.T) {
	n := newTestbed(t, routedNetwork(), func(c *StateConfig) { c.Neighbors = 32 })
	resolved(t, n)
	asked := func(last int) []string {
		return []string{
			fmt.Sprintf("3 arp 10.0.2.1 who-has 10.0.2.%d eth %s > ff:ff:ff:ff:ff:ff", last, gwMAC),
			fmt.Sprintf("4 arp 10.0.2.1 who-has 10.0.2.%d eth %s > ff:ff:ff:ff:ff:ff", last, gwMAC),
		}
	}
	for last := 100; last < 108; last++ {
		n.run([]step{{why: "a scan asks for host after host", in: fmt.Sprintf("1 udp 10.0.1.10:1 > 10.0.2.%d:2%s", last, fromWeb), want: asked(last)}})
	}
	n.run([]step{
		{why: "until a quarter of the table waits for answers", in: "1 udp 10.0.1.10:1 > 10.0.2.200:2" + fromWeb, drop: packet.NeighborQueueFull},
		{why: "who is known is served", in: toUnknown + fromWeb, want: []string{arrives}},
	})
	require.Equal(t, uint64(1), n.state.NeighborStats().Crowded)
	for range 4 {
		n.now += 1100e6
		n.step()
	}
	n.sent()
	n.run([]step{{why: "one that has failed makes room", in: "1 udp 10.0.1.10:1 > 10.0.2.200:2" + fromWeb, want: asked(200)}})
	// Whoever speaks is noted, up to the size of the table.
	for i := range 100 {
		n.run([]step{{
			why:  "a host with many addresses",
			in:   fmt.Sprintf("4 arp 10.0.2.%d who-has 10.0.2.1 eth %s > ff:ff:ff:ff:ff:ff", 100+i, newMAC),
			want: []string{fmt.Sprintf("4 arp 10.0.2.1 is-at %s to 10.0.2.%d%s", gwMAC, 100+i, toNew)},
		}})
	}
	require.Len(t, n.state.Neighbors(), 32)
	n.run([]step{{why: "one that is in use is not given up for them", in: toUnknown + fromWeb, want: []string{arrives}}})
}

// TestWorkersShareNeighbors: packets wait at one worker and are released, or
// given up, by another; none is lost.
func TestWorkersShareNeighbors(t *testing.T) {
	n := newTestbedOf(t, 2, routedNetwork())
	const hosts, turns, tick = 20, 300, 50e6
	// Port 1 is polled by worker 1, port 4 by worker 0.
	questions, answers := make([][]byte, hosts), make([][]byte, hosts)
	for i := range hosts {
		questions[i] = frameOf(t, fmt.Sprintf("udp 10.0.1.10:1 > 10.0.2.%d:2%s", 100+i, fromWeb))
		answers[i] = frameOf(t, fmt.Sprintf("arp 10.0.2.%d is-at %s to 10.0.2.1 eth %s > %s", 100+i, newMAC, newMAC, gwMAC))
	}
	var workers sync.WaitGroup
	for i, feed := range [][][]byte{answers, questions} {
		workers.Go(func() {
			port := n.ports[[]uint16{4, 1}[i]]
			for turn := range turns {
				port.Inject(feed[turn%hosts], feed[turn*7%hosts])
				n.engine.Worker(i).Step(int64(time.Hour) + int64(turn)*tick)
			}
		})
	}
	workers.Wait()
	n.now += turns * tick
	for range 5 {
		n.now += 1100e6
		n.step()
	}
	// Either worker may have run through all its turns before the other began.
	checkNeighbors(t, n.state.routers.neighbors, turns*tick)
	require.Zero(t, n.state.routers.neighbors.held)
	ledger := n.engine.Ledger()
	require.Zero(t, ledger.Queued)
	require.Equal(t, uint64(4*turns), ledger.Received)
	arrived := 0
	for _, f := range n.ports[4].Sent() {
		if packet.Ethernet(f.Data).Type() == packet.EtherTypeIPv4 {
			arrived++
		}
	}
	lost := n.drops()[packet.NeighborUnresolved] + n.drops()[packet.NeighborQueueFull]
	require.Equal(t, 2*turns, arrived+int(lost), "each packet arrives, or its sender is told")
	require.NotZero(t, arrived)
}
