package route

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
)

// TestIncrementalCompile makes thousands of random changes to a network, one after
// the other, in two testbeds: one compiles what has changed, the other everything
// from nothing. They must refuse the same, for the same reasons, else be alike: in
// their tables, in what they do with random frames, in what they learn from these and what of it
// they forget, and in the number of hops that they keep.
func TestIncrementalCompile(t *testing.T) {
	changes := 1000
	if testing.Short() {
		changes = 300
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			x := newRandomNetwork(seed)
			part, whole := newTestbed(t, Config{}), newTestbed(t, Config{})
			inForce, refused, unpublished := 0, 0, 0
			for i := range changes {
				c := x.change()
				why := fmt.Sprintf("change %d: %s", i, x.what)
				a, err := Compile(c, part.state)
				b, errWhole := compileFromNothing(c, whole.state)
				require.Equal(t, lines(errWhole), lines(err), why)
				switch {
				case err != nil:
					refused++
				case x.r.IntN(8) == 0:
					requireAlike(t, b, a, why)
					unpublished++
				default:
					requireAlike(t, b, a, why)
					part.publish(c, a)
					whole.publish(c, b)
					x.accepted = *c
					inForce++
				}
				for range 4 {
					x.frames(part, whole)
				}
				require.Equal(t, whole.sent(), part.sent(), why)
				require.Equal(t, whole.drops(), part.drops(), why)
				requireSameKnowledge(t, whole, part, why)
			}
			require.Greater(t, inForce, changes/3, "most changes can be put in force")
			require.Greater(t, refused, changes/50)
			require.Greater(t, unpublished, changes/50)
			part.apply(Config{})
			used, _ := part.engine.Hops().Used()
			require.Zero(t, used, "in the end every hop is given back")
			require.Empty(t, part.state.fixed)
		})
	}
}

// compileFromNothing is Compile without anything to go by.
func compileFromNothing(c *Config, s *State) (*Forwarder, error) {
	own := *c
	own.Ports = copied(c.Ports)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(s.pending)
	s.pending = nil
	f := &Forwarder{state: s}
	if err := f.compile(&own, nil); err != nil {
		s.release(f)
		return nil, err
	}
	s.pending = f
	return f, nil
}

// lines are the faults of an error, sorted.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return slices.Sorted(slices.Values(strings.Split(err.Error(), "\n")))
}

// requireAlike compares all that workers read of two Forwarders of different States.
func requireAlike(t *testing.T, want, is *Forwarder, why string) {
	t.Helper()
	require.Equal(t, want.zones, is.zones, why)
	require.Equal(t, want.floods, is.floods, why)
	require.Equal(t, want.aging, is.aging, why)
	require.Len(t, is.segments, len(want.segments), why)
	for i := range want.segments {
		a, b := &want.segments[i], &is.segments[i]
		require.Equal(t, [...]any{*a.domain, a.list, a.router, a.uplink}, [...]any{*b.domain, b.list, b.router, b.uplink}, why)
		require.Equal(t, a.members, b.members, why)
		require.Equal(t, a.hosts, b.hosts, why)
		require.Equal(t, hopsOf(want, a), hopsOf(is, b), why)
	}
	require.Len(t, is.ports, len(want.ports), why)
	for i, a := range want.ports {
		b := is.ports[i]
		require.Equal(t, a == nil, b == nil, why)
		if a != nil {
			require.Equal(t, *a.config, *b.config, why)
			require.Equal(t, *a, port{a.config, b.guard, b.rxUnknown, b.bindings}, why)
		}
	}
	require.Len(t, is.fibs, len(want.fibs), why)
	for r, a := range want.fibs {
		require.Equal(t, a.name, is.fibs[r].name, why)
		require.Equal(t, a.id, is.fibs[r].id, why)
		require.Equal(t, want.Routes(r), is.Routes(r), why)
	}
}

// hopsOf returns the hops of a segment's bound addresses as they look, by address.
func hopsOf(f *Forwarder, seg *segment) map[string]dataplane.Hop {
	all := map[string]dataplane.Hop{}
	add := func(what string, ref hopRef) {
		if !f.state.hops.Valid(ref.index, ref.gen) {
			what += ", stale"
		}
		all[what] = f.state.hops.Lookup(ref.index)
	}
	for mac, at := range seg.stations {
		add(fmt.Sprintf("%x at %d", mac, at.port), at.hop)
	}
	for ip, ref := range seg.gates {
		add(ip.String(), ref)
	}
	return all
}

// requireSameKnowledge compares what two States have learned, and the number of their hops.
func requireSameKnowledge(t *testing.T, want, is *testbed, why string) {
	t.Helper()
	macs := func(n *testbed) []MAC {
		return slices.SortedFunc(n.state.LearnedMACs(), func(a, b MAC) int {
			return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.MAC.Word(), b.MAC.Word()))
		})
	}
	neighbors := func(n *testbed) []NeighborInfo {
		return slices.SortedFunc(n.state.LearnedNeighbors(), func(a, b NeighborInfo) int {
			return cmp.Or(cmp.Compare(a.Zone, b.Zone), a.IP.Netip().Compare(b.IP.Netip()))
		})
	}
	require.Equal(t, macs(want), macs(is), why)
	require.Equal(t, neighbors(want), neighbors(is), why)
	wanted, _ := want.engine.Hops().Used()
	used, _ := is.engine.Hops().Used()
	require.Equal(t, wanted, used, why)
	require.Equal(t, slices.SortedFunc(maps.Keys(want.state.fixed), compareHops), slices.SortedFunc(maps.Keys(is.state.fixed), compareHops), why)
}

func compareHops(a, b dataplane.Hop) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

// frames has both testbeds receive the same random frames.
func (x *randomNetwork) frames(beds ...*testbed) {
	c := &x.accepted
	if len(c.Ports) == 0 || len(c.Segments) == 0 {
		return
	}
	step := x.r.Int64N(int64(2 * time.Second))
	lines := make([]string, 1+x.r.IntN(3))
	for i := range lines {
		lines[i] = x.frame()
	}
	in := pick(x.r, c.Ports)
	tag := ""
	if len(in.Zones) > 0 {
		if at := pick(x.r, in.Zones); at.Tags.Outer != 0 {
			tag = fmt.Sprint(" vlan ", at.Tags.Outer)
		}
	}
	for _, n := range beds {
		n.now += step
		for _, line := range lines {
			frame, err := frametext.Parse(line + tag)
			require.NoError(n.t, err, line)
			n.ports[in.Number].Inject(frame)
		}
		n.step()
	}
}

// frame is one of a host to another, to the router, or to all.
func (x *randomNetwork) frame() string {
	mac := func() string {
		if x.r.IntN(4) == 0 {
			return x.accepted.GatewayMAC.String()
		}
		return hostMAC(byte(1 + x.r.IntN(10))).String()
	}
	ip := func() netip.Addr { return x.address(1 + x.r.IntN(4)) }
	switch x.r.IntN(3) {
	case 0:
		return fmt.Sprintf("arp %s who-has %s eth %s > ff:ff:ff:ff:ff:ff", ip(), ip(), mac())
	case 1:
		return fmt.Sprintf("udp %s:1 > %s:2 ttl 9 eth %s > %s", ip(), ip(), mac(), x.accepted.GatewayMAC)
	}
	return fmt.Sprintf("udp %s:1 > %s:2 eth %s > %s", ip(), ip(), mac(), mac())
}
