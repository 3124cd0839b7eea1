package devices_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/node"
)

// TestTroublesInUse: what becomes of a device while a port has it. None of it may
// end as a port that is up, and through which nothing passes.
func TestTroublesInUse(t *testing.T) {
	rows := []struct {
		why     string
		kinds   []string
		provoke func(g *guest)
		want    string // of the error once Recheck has looked; empty: the port goes on
		mend    func(g *guest)
	}{
		{
			"the device gets another name: the port keeps it", attached,
			func(g *guest) { g.ip("link set g0 name g1") }, "", func(g *guest) { g.ip("link set g1 name g0") },
		},
		{
			"the device moves to another namespace, and comes back", attached,
			func(g *guest) { require.NoError(g.t, netdev.Move(g.ns.Name, "g0", g.pods[0].ns.Name)) },
			"no such device",
			func(g *guest) {
				require.NoError(g.t, netdev.Move(g.pods[0].ns.Name, "g0", g.ns.Name))
				require.NoError(g.t, netdev.SetUp(g.ns.Name, "g0", true))
			},
		},
		{
			"the device is deleted, and made anew", attached,
			func(g *guest) { g.ns.Delete("g0") }, "no such device", (*guest).wire,
		},
		{
			"the device is deleted, and made anew by the port",
			[]string{"tap"},
			func(g *guest) { g.ns.Delete("eth0") }, "", func(*guest) {},
		},
		{
			"the namespace is deleted, and made anew", allKinds,
			(*guest).bury, "no such network namespace", (*guest).exhume,
		},
		{
			"the namespace is made anew before anybody has looked", allKinds,
			func(g *guest) { g.bury(); g.exhume() }, "", func(*guest) {},
		},
		{
			"the device becomes part of a bridge, and a restart would be refused: the port keeps it", attached,
			func(g *guest) { g.ip("link add br0 type bridge"); g.ip("link set g0 master br0") }, "",
			func(g *guest) { g.ip("link delete br0") },
		},
	}
	s := newSite(t)
	for _, row := range rows {
		for _, kind := range row.kinds {
			t.Run(kind+", "+row.why, func(t *testing.T) {
				s.t = t
				g := s.guest(kind)
				g.attach("")
				t.Cleanup(g.leave)
				g.arrive()
				row.provoke(g)
				if row.want != "" {
					g.recheck(2, func(d node.DeviceChange) bool { return d.Err != nil && !d.Up }, "noticed")
					require.ErrorContains(t, g.device(2).Err, row.want)
				} else {
					g.arrive()
				}
				s.reaches(0, 1)
				row.mend(g)
				g.arrive()
			})
		}
	}
	s.t = t
	balanced(t, s.n)
}

// TestMTUInUse lowers the MTU below the port's: what is too long for the device is
// counted, and the rest passes.
func TestMTUInUse(t *testing.T) {
	s := newSite(t)
	g := s.guest("afpacket")
	g.attach("")
	g.arrive()
	require.Eventually(t, func() bool { return g.ping(0, 2, 1400) }, patience, time.Millisecond)
	refused := func() uint64 { return g.view().Device.Counters["txErrors"] }
	g.ns.MTU("g0", 1000)
	g.recheck(2, func(d node.DeviceChange) bool { return d.Up && d.MTU == 1000 }, "it goes on")
	require.Equal(t, 1000, g.view().Device.MTU, "who asks sees it")
	before, drops := refused(), g.dropped()
	require.False(t, g.ping(0, 2, 1400))
	require.Equal(t, before, refused(), "the kernel is not asked to send it")
	require.Greater(t, g.dropped(), drops)
	g.reaches(0, 2)
	g.ns.MTU("g0", 1500)
	g.recheck(2, func(d node.DeviceChange) bool { return d.MTU == 1500 }, "all passes again")
	require.Eventually(t, func() bool { return g.ping(0, 2, 1400) }, patience, time.Millisecond)

	// Of a veth it is the other end that takes what is sent, or not.
	g.pod.MTU("eth0", 1000)
	before, drops = refused(), g.dropped()
	require.False(t, g.ping(0, 2, 1400))
	require.Greater(t, refused()+g.dropped(), before+drops, "the kernel takes it, and says no")
	g.reaches(0, 2)
	balanced(t, s.n)
}

// view is what `sluice get port` shows of the guest's.
func (g *guest) view() api.PortView {
	g.t.Helper()
	views, err := g.n.PortViews(&api.Filter{})
	require.NoError(g.t, err)
	for v := range views {
		if v.Name == "pod-2" {
			return v
		}
	}
	g.t.Fatal("no port of the guest")
	return api.PortView{}
}

// dropped sums what was dropped of all ports' frames, for whatever reason.
func (g *guest) dropped() (n uint64) {
	for _, p := range g.last.Ports {
		for _, drops := range g.n.Engine().PortCounters(p.Number).Drops {
			n += drops
		}
	}
	return n
}
