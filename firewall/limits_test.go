package firewall

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// force makes rules those of the policy in force.
func force(t *testing.T, s *limits, rules ...*policy.Rule) map[uint32]uint16 {
	slots, err := s.prepare(rules, 1)
	require.NoError(t, err)
	s.byRule = slots
	return slots
}

func TestLimitsLetSoManyIn(t *testing.T) {
	var s limits
	few := &policy.Rule{ID: 1000, PerRule: 3, PerSource: 2}
	slot := force(t, &s, few)[few.ID]
	a, b := addr("10.0.0.1"), addr("10.0.0.2")
	for _, row := range []struct {
		why    string
		source packet.Addr
		zone   packet.Zone
		want   bool
	}{
		{"the first", a, 1, true},
		{"the second of a source", a, 1, true},
		{"a source has its share", a, 1, false},
		{"another source", b, 1, true},
		{"all places are taken", b, 1, false},
		{"also for one that has none, the same address in another zone", a, 2, false},
	} {
		require.Equal(t, row.want, s.take(slot, row.source, row.zone), row.why)
	}
	s.leave([2]uint16{0, slot}, a, 1)
	require.True(t, s.take(slot, a, 2), "there is room again, and zones are apart")
	require.False(t, s.take(slot, a, 1))
}

func TestLimitsLiveOnAndAreUsedAgain(t *testing.T) {
	var s limits
	x, y, z := &policy.Rule{ID: 1000, PerRule: 1}, &policy.Rule{ID: 1001, PerRule: 1}, &policy.Rule{ID: 1002, PerRule: 1}
	first := force(t, &s, x, y)
	require.True(t, s.take(first[x.ID], addr("10.0.0.1"), 1))

	same := force(t, &s, x, y)
	require.Equal(t, first, same)
	require.False(t, s.take(same[x.ID], addr("10.0.0.1"), 1), "what there was before a change counts")

	wider := &policy.Rule{ID: 1000, PerRule: 2}
	next := force(t, &s, wider, y)
	require.NotEqual(t, first[x.ID], next[wider.ID], "another limit counts by itself")
	require.Equal(t, first[y.ID], next[y.ID])
	require.True(t, s.take(next[wider.ID], addr("10.0.0.1"), 1))

	// The slot of x has a session still, and must not be another rule's.
	later := force(t, &s, wider, y, z)
	require.NotContains(t, []uint16{first[x.ID], next[wider.ID], first[y.ID]}, later[z.ID])
	s.leave([2]uint16{first[x.ID]}, addr("10.0.0.1"), 1)
	other := &policy.Rule{ID: 1003, PerRule: 7}
	require.Equal(t, first[x.ID], force(t, &s, wider, y, z, other)[other.ID])

	require.Empty(t, force(t, &s), "rules without limits have no slots")
}

// A policy that is compiled and not put in force must not take a limit away from one that is.
func TestLimitsOfAPolicyThatIsNotPutInForce(t *testing.T) {
	var s limits
	x, y := &policy.Rule{ID: 1000, PerRule: 1}, &policy.Rule{ID: 1001, PerRule: 1}
	first := force(t, &s, x)
	for range 2 {
		refused, err := s.prepare([]*policy.Rule{y}, 1)
		require.NoError(t, err)
		require.NotEqual(t, first[x.ID], refused[y.ID])
	}
	require.Equal(t, first, force(t, &s, x))
}

func TestMoreLimitsThanThereMayBe(t *testing.T) {
	rules := make([]*policy.Rule, maxLimits+1)
	for i := range rules {
		rules[i] = &policy.Rule{ID: policy.FirstRuleID + uint32(i), PerRule: 1}
	}
	var s limits
	_, err := s.prepare(rules, 1)
	require.ErrorContains(t, err, "more than 65535 rules have sessionLimits; remove some")
	slots, err := s.prepare(rules[1:], 1)
	require.NoError(t, err)
	require.Len(t, slots, maxLimits)
}

func TestCountersMakeRoomWhileTheyCount(t *testing.T) {
	var c counters
	c.packets(1000, 1, 60) // of a rule that there is no room for
	require.Nil(t, c.of(1000))
	first := map[int]bool{0: true, 1000 >> countBits: true}
	c.makeRoom(first, nil)
	n := c.of(1000)
	c.packets(1000, 1, 60)
	c.begun(1000)
	c.hit(1000, 5)
	second := map[int]bool{1 << 20: true}
	c.makeRoom(second, first)
	require.Same(t, n, c.of(1000))
	require.Equal(t, RuleCount{Packets: 1, Bytes: 60, Sessions: 1, LastHit: 5}, n.read())
	c.session(1000, 2, 100, 3)
	require.Equal(t, RuleCount{Packets: 3, Bytes: 160, Sessions: 1, LastHit: 5}, n.read(), "a session's last packet may be older than another's")
	require.NotNil(t, c.of(1<<20<<countBits))
	require.Nil(t, c.of(1<<21<<countBits))
	c.makeRoom(second, second)
	require.Nil(t, c.of(1000), "nobody knows the rule any more")
}
