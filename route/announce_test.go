package route

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

const (
	upTags = " eth " + upMAC + " > ff:ff:ff:ff:ff:ff vlan 300"

	vip     = "192.0.2.80"
	vipSaid = "9 arp " + vip + " who-has " + vip + upTags
)

func proxying(list ...Proxied) Config {
	c := routedNetwork()
	c.Routers[0].Proxied = list
	return c
}

func proxiedHost(s string, announce bool) Proxied {
	return Proxied{Prefix: host32(netip.MustParseAddr(s)), Announce: announce}
}

func TestAnnouncements(t *testing.T) {
	const second = time.Second
	for _, row := range []struct {
		why   string
		list  []Proxied
		steps []step
	}{
		{"an address of an uplink's network is announced there, three times", []Proxied{proxiedHost(vip, true)}, []step{
			{why: "at once", want: []string{vipSaid}},
			{why: "not again at once", after: second / 2},
			{why: "a second later", after: second / 2, want: []string{vipSaid}},
			{why: "and one after that", after: second, want: []string{vipSaid}},
			{why: "and no more", after: 10 * second},
		}},
		{"one of IPv6 by a neighbour advertisement to all nodes", []Proxied{proxiedHost("2001:db8::80", true)}, []step{
			{why: "with override", want: []string{"9 icmp6 2001:db8::80 > ff02::1 na target 2001:db8::80 router override lladdr " + upMAC + " eth " + upMAC + " > 33:33:00:00:00:01 vlan 300"}},
		}},
		{"one of a segment's subnet on that segment", []Proxied{proxiedHost("10.0.1.80", true)}, []step{
			{why: "to all its ports", want: []string{
				"1 arp 10.0.1.80 who-has 10.0.1.80 eth " + gwMAC + " > ff:ff:ff:ff:ff:ff",
				"2 arp 10.0.1.80 who-has 10.0.1.80 eth " + gwMAC + " > ff:ff:ff:ff:ff:ff",
			}},
		}},
		{"one of nobody's network is not announced", []Proxied{proxiedHost("198.51.100.1", true)}, []step{{why: "nowhere"}}},
		{"one that is inside only is not", []Proxied{proxiedHost(vip, false)}, []step{
			{why: "not at all"},
			{
				why: "and nobody outside is answered, whose question is for others too", in: "9 arp 192.0.2.254 who-has " + vip + " vlan 300",
				drop: packet.NoDestination,
			},
		}},
		{"a network of addresses is announced address by address", []Proxied{{netip.MustParsePrefix("192.0.2.80/31"), true}}, []step{
			{why: "both", want: []string{vipSaid, "9 arp 192.0.2.81 who-has 192.0.2.81" + upTags}},
		}},
		{"but not a large one", []Proxied{{netip.MustParsePrefix("192.0.0.0/21"), true}}, []step{{why: "nothing"}}},
		{"who asks is answered, also outside", []Proxied{proxiedHost(vip, true)}, []step{
			{why: "first it is announced", want: []string{vipSaid}},
			{
				why: "by the uplink's MAC address", in: "9 arp 192.0.2.254 who-has " + vip + " vlan 300",
				want: []string{"9 arp " + vip + " is-at " + upMAC + " to 192.0.2.254 vlan 300"},
			},
			{
				why: "and nobody else may have it", in: "9 arp " + vip + " is-at 02:00:00:00:00:77 vlan 300",
				drop: packet.MACConflict,
			},
		}},
	} {
		t.Run(row.why, func(t *testing.T) { newTestbed(t, proxying(row.list...)).run(row.steps) })
	}
}

// announced lets so much time pass and returns what has been sent.
func (n *testbed) announced(t testing.TB, d time.Duration) (all []string) {
	for until := n.now + int64(d); n.now < until; n.now += tickInterval {
		n.step()
		all = append(all, n.sent()...)
	}
	return all
}

func TestWhatIsNewIsAnnounced(t *testing.T) {
	const quiet = 5 * time.Second
	said := func(what ...string) (list []string) {
		for range announceRounds {
			list = append(list, what...)
		}
		return canonical(t, list)
	}
	other := "9 arp 192.0.2.90 who-has 192.0.2.90" + upTags
	n := newTestbed(t, proxying(proxiedHost(vip, true)))
	require.Equal(t, said(vipSaid), n.announced(t, quiet))

	n.apply(proxying(proxiedHost(vip, true), proxiedHost("192.0.2.90", true)))
	require.Equal(t, said(other), n.announced(t, quiet), "the one that is new")

	n.apply(proxying(proxiedHost("192.0.2.90", true)))
	require.Empty(t, n.announced(t, quiet), "one that goes")

	c := proxying(proxiedHost("192.0.2.90", true))
	c.Routers[0].Uplinks[0].MAC[5]++
	n.apply(c)
	require.Len(t, n.announced(t, quiet), announceRounds, "the router has another MAC address")

	link := func(l Link) { c.Links = make([]Link, len(c.Ports)); c.Links[4] = l; n.apply(c) }
	one, two := new(int), new(int)
	link(Link{Up: true, Device: one})
	require.Len(t, n.announced(t, quiet), announceRounds, "the uplink is up")
	link(Link{Up: true, Device: one})
	require.Empty(t, n.announced(t, quiet), "still is")
	link(Link{Up: true, Device: two})
	require.Len(t, n.announced(t, quiet), announceRounds, "another device")
	link(Link{Device: two})
	require.Empty(t, n.announced(t, quiet), "down")

	c.Routers[0].Proxied = []Proxied{proxiedHost("192.0.2.91", true)}
	n.apply(c)
	c.Routers[0].Proxied = nil
	n.apply(c)
	require.Empty(t, n.announced(t, quiet), "one that has gone before it was announced")
}

// manyVIPs are addresses of 10.64.0.0/10.
func manyVIPs(n int) (list []Proxied) {
	for i := range n {
		list = append(list, Proxied{host32(netip.AddrFrom4([4]byte{10, 64, byte(i >> 8), byte(i)})), true})
	}
	return list
}

func TestAnnouncementsAreBounded(t *testing.T) {
	const many = 200
	c := proxying(manyVIPs(many)...)
	c.Routers[0].Uplinks[0].Addresses[0] = netip.MustParsePrefix("10.64.255.1/9")
	c.Routers[0].Uplinks[0].Gateway = netip.MustParseAddr("10.64.255.254")
	n := newTestbed(t, c)
	total := 0
	for range 1000 {
		n.step()
		sent := len(n.sent())
		require.LessOrEqual(t, sent, announcePerTurn)
		total += sent
		n.now += tickInterval
	}
	require.Equal(t, announceRounds*many, total)
	require.EqualValues(t, never, n.state.announcer.due.Load())
	require.Empty(t, n.state.announcer.batches)
	require.Zero(t, testing.AllocsPerRun(100, func() { n.now += tickInterval; n.step() }))
}

// TestManyProxied: a list of which a part changes makes the table that one from nothing makes.
func TestManyProxied(t *testing.T) {
	all := manyVIPs(3 * rebuildFrom)
	state := newTestbed(t, routedNetwork()).state
	compiled := func(list []Proxied) *Forwarder {
		c := proxying(list...)
		f, err := Compile(&c, state)
		require.NoError(t, err)
		state.Adopt(f)
		return f
	}
	for _, row := range []struct {
		why  string
		list []Proxied
		n    int
	}{
		{"some", all[:100], 100},
		{"more", all[:110], 110},
		{"other ones", all[5:120], 115},
		{"all", all, len(all)},
		{"but one", all[1:], len(all) - 1},
		{"none", nil, 0},
	} {
		f := compiled(row.list)
		n := 0
		for _, r := range f.Routes(0) {
			if r.Kind == "proxied" {
				n++
			}
		}
		require.Equal(t, row.n, n, row.why)
		for i, p := range all {
			found, _ := f.fibs[0].lookup(packet.AddrFrom(p.Prefix.Addr()))
			in := len(row.list) > 0 && i >= int(row.list[0].Prefix.Addr().As4()[3]) && i < int(row.list[0].Prefix.Addr().As4()[3])+len(row.list)
			require.Equal(t, in, found.kind == pathProxied, "%s: %d", row.why, i)
		}
	}
}

// BenchmarkProxiedChange is what it costs to put one more virtual address in force.
func BenchmarkProxiedChange(b *testing.B) {
	for _, n := range []int{1000, 10_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			state := newTestbed(b, routedNetwork()).state
			all := manyVIPs(n + 1)
			for i := 0; b.Loop(); i++ {
				c := proxying(all[:n+i%2]...)
				f, err := Compile(&c, state)
				if err != nil {
					b.Fatal(err)
				}
				state.Adopt(f)
			}
		})
	}
}
