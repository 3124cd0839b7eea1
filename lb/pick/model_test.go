package pick

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// eligible says in the simplest way who takes connections.
func eligible(r *rig) (ids []uint32, backups, lastResort bool) {
	var normal, spares, drains []uint32
	for _, m := range r.members {
		h, _ := m.Health()
		s := m.Spec()
		if !h.Serves() || s.Admin == service.Disabled {
			continue
		}
		switch {
		case s.Admin == service.Draining && s.NotReady:
		case s.Admin == service.Draining:
			drains = append(drains, m.ID)
		case s.Backup:
			spares = append(spares, m.ID)
		default:
			normal = append(normal, m.ID)
		}
	}
	ids = normal
	if len(normal) < max(1, r.spec.MinActive) && len(spares) > 0 {
		ids, backups = append(ids, spares...), true
	}
	if len(ids) == 0 && r.spec.LastResort && len(drains) > 0 {
		ids, lastResort = drains, true
	}
	slices.Sort(ids)
	return ids, backups, lastResort
}

// TestModel changes pools at random and compares what they do with the simplest way.
func TestModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		a := service.Algorithm(rnd.IntN(len(service.Algorithms())))
		n := 1 + rnd.IntN(12)
		r := newRig(a, n, func(_ int, m *service.Member) {
			m.Weight, m.Backup = uint16(1+rnd.IntN(5)), rnd.IntN(4) == 0
		})
		r.spec.MinActive, r.spec.LastResort = 1+rnd.IntN(3), rnd.IntN(2) == 0
		r.spec.SlowStartNs = int64(rnd.IntN(2)) * 50
		r.Refresh()
		for range 60 {
			r.now += rnd.Int64N(20)
			i := rnd.IntN(n)
			switch rnd.IntN(6) {
			case 0, 1:
				r.health(i, member.Health(rnd.IntN(4)))
			case 2:
				r.change(i, func(m *service.Member) { m.Admin, m.NotReady = service.Admin(rnd.IntN(3)), rnd.IntN(3) == 0 })
			case 3:
				r.change(i, func(m *service.Member) { m.MaxConnections = uint32(rnd.IntN(4)) })
			}
			ids, backups, lastResort := eligible(r)
			state := r.State(r.now)
			require.Equal(t, len(ids), state.Eligible)
			require.Equal(t, backups, state.Backups)
			require.Equal(t, lastResort, state.LastResort)
			for k, m := range state.Members {
				require.Equal(t, slices.Contains(ids, m.Member.ID), m.Eligible)
				if !m.Eligible {
					require.NotEmpty(t, m.Why, "who takes no connections has a reason")
				}
				require.Same(t, r.members[k], m.Member)
			}
			var room []uint32
			fewest := 1e9
			for _, id := range ids {
				m := r.members[id-1]
				if limit := m.Spec().MaxConnections; limit == 0 || m.Active() < int64(limit) {
					room = append(room, id)
					fewest = min(fewest, score(a, m))
				}
			}
			m, why := r.Pick(&Query{Source: rnd.Uint64(), Tuple: rnd.Uint64(), Now: r.now})
			switch {
			case len(ids) == 0:
				require.Nil(t, m)
				require.Equal(t, member.NobodyUp, why)
				continue
			case len(room) == 0:
				require.Nil(t, m)
				require.Equal(t, member.AllFull, why)
				continue
			}
			require.NotNil(t, m, "%v: there is room", a)
			require.Contains(t, room, m.ID, "%v", a)
			want := member.Algorithm(a)
			if lastResort {
				want = member.ByLastResort
			} else if m.Spec().Backup {
				want = member.ByBackup
			}
			require.Equal(t, want, why)
			m.Leave()
			if (a == service.LeastConnection || a == service.WeightedLeastConnection) && r.spec.SlowStartNs == 0 {
				require.Equal(t, fewest, score(a, m), "%v: nobody has fewer", a)
			}
			if rnd.IntN(2) == 0 {
				m.Take(0) // it stays
			}
		}
	}
}

func score(a service.Algorithm, m *member.Member) float64 {
	if a == service.WeightedLeastConnection {
		return float64(m.Active()) / float64(m.Spec().Weight)
	}
	return float64(m.Active())
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		why    string
		admin  service.Admin
		health member.Health
		backup bool
		want   bool
	}{
		{"an enabled member that is up", service.Enabled, member.Up, false, true},
		{"one that nobody watches counts as up", service.Enabled, member.Unmonitored, false, true},
		{"draining members keep their clients", service.Draining, member.Up, false, true},
		{"so do backups that aren't needed any more", service.Enabled, member.Up, true, true},
		{"disabled ones don't", service.Disabled, member.Up, false, false},
		{"affinity to a dead member is void", service.Enabled, member.Down, false, false},
		{"as is that to one that has not been probed", service.Draining, member.Unknown, false, false},
	} {
		r := newRig(service.RoundRobin, 3, nil)
		r.change(1, func(m *service.Member) { m.Admin, m.Backup = c.admin, c.backup })
		r.health(1, c.health)
		require.Equal(t, c.want, r.Accepts(r.members[1]), c.why)
	}
	r := newRig(service.RoundRobin, 3, nil)
	require.False(t, r.Accepts(member.New(99, spec(98, nil))), "a member of another pool")
	require.False(t, r.Accepts(nil))
	require.False(t, New(1).Accepts(r.members[0]), "a pool that has no members")
}

// TestSlowStart: what a member gets goes with how long it has been up.
func TestSlowStart(t *testing.T) {
	for _, c := range []struct {
		why     string
		elapsed int64 // of 1,000,000
		want    float64
	}{
		{"nothing at first", 0, 0},
		{"a quarter of its share after a quarter of the time", 250_000, 0.25},
		{"half of it", 500_000, 0.5},
		{"all in the end", 1_000_000, 1},
		{"and from then on", 50_000_000, 1},
	} {
		for _, a := range algorithms() {
			r := newRig(a, 4, nil)
			r.now = 10
			r.spec.SlowStartNs = 1_000_000
			r.Refresh()
			r.passing(0) // the pool begins
			r.now += 5_000_000
			r.health(2, member.Down)
			r.health(2, member.Up)
			r.now += c.elapsed
			const picks = 12_000
			got := 0
			for k := range uint64(picks) {
				if r.passing(k) == 3 {
					got++
				}
			}
			// A turn that it doesn't take is, by algorithm, another's, or there is one more for all.
			require.Greater(t, float64(got), picks*c.want/4-200, "%v: %s", a, c.why)
			require.Less(t, float64(got), picks*c.want/(3+c.want)+200, "%v: %s", a, c.why)
		}
	}
}

// TestSlowStartHoldsNobodyBack: members that start together are all at full speed.
func TestSlowStartHoldsNobodyBack(t *testing.T) {
	r := newRig(service.RoundRobin, 3, nil)
	r.spec.SlowStartNs = 1000
	for i := range 3 {
		r.health(i, member.Down)
	}
	for i := range 3 {
		r.now += 10
		r.health(i, member.Up)
	}
	r.everybody(1, 300)
	for _, m := range r.members {
		require.EqualValues(t, 100, m.Active())
	}
	r.now += 985 // the first is through
	require.Equal(t, []string{"", "slow start 99 %", "slow start 98 %"}, whys(r))
}

// TestSlowStartBegins: with the next connection, where nobody says when the member came.
func TestSlowStartBegins(t *testing.T) {
	r := newRig(service.RoundRobin, 2, nil)
	r.spec.SlowStartNs = 1000
	r.Refresh()
	r.passing(0)
	r.now += 5000
	r.change(1, func(m *service.Member) { m.Admin = service.Disabled })
	require.Equal(t, []string{"", "disabled"}, whys(r))
	r.change(1, func(m *service.Member) { m.Admin = service.Enabled })
	r.now += 5000
	require.Equal(t, []string{"", "slow start 0 %"}, whys(r), "to look is not to begin")
	r.now += 5000
	require.Equal(t, []string{"", "slow start 0 %"}, whys(r))
	r.passing(1)
	r.now += 400
	require.Equal(t, []string{"", "slow start 40 %"}, whys(r))
	r.change(0, func(m *service.Member) { m.MaxConnections = 1 })
	require.Equal(t, []string{"", "slow start 40 %"}, whys(r), "another's change doesn't begin it anew")
	r.members[0].Take(0)
	require.Equal(t, uint32(2), r.passing(2), "it is not held back if nobody else has room")
	require.Equal(t, []string{"full", "slow start 40 %"}, whys(r))
	r.now += 600
	require.Equal(t, []string{"full", ""}, whys(r))
}

func whys(r *rig) (all []string) {
	for _, m := range r.State(r.now).Members {
		all = append(all, m.Why)
	}
	return all
}

// TestStays: hashing algorithms send who asks again to the same member, and others' coming and going moves few.
func TestStays(t *testing.T) {
	for _, a := range []service.Algorithm{service.SourceHash, service.TupleHash, service.Maglev} {
		const clients = 20_000
		r := newRig(a, 10, nil)
		at := func() (all []uint32) {
			for k := range uint64(clients) {
				all = append(all, r.passing(k))
			}
			return all
		}
		before := at()
		require.Equal(t, before, at())
		r.health(4, member.Down)
		after, moved, others := at(), 0, 0
		for k := range before {
			if before[k] != 5 {
				others++
				if before[k] != after[k] {
					moved++
				}
			}
		}
		require.Less(t, float64(moved), 0.02*float64(others), "%v", a)
		r.health(4, member.Up)
		require.Equal(t, before, at(), "%v: who comes back gets its clients back", a)
		same := newRig(a, 10, nil)
		same.Pool = New(99)
		same.Set(&same.spec, same.members)
		require.Equal(t, before[7], same.passing(7), "the same on every node")
	}
	r := newRig(service.SourceHash, 10, nil)
	m, _ := r.Pick(&Query{Source: 5, Tuple: 6})
	for k := range uint64(50) {
		other, _ := r.Pick(&Query{Source: 5, Tuple: mix(k)})
		require.Same(t, m, other, "a client's connections go to one member")
	}
}

// TestReplay: the same calls give the same members.
func TestReplay(t *testing.T) {
	for _, a := range algorithms() {
		run := func() (all []uint32) {
			r := newRig(a, 200, func(i int, m *service.Member) { m.Weight = uint16(1 + i%7) })
			r.spec.SlowStartNs = 1000
			r.Refresh()
			for k := range uint64(500) {
				r.now += 3
				all = append(all, r.pick(k))
				if k%100 == 50 {
					r.health(int(k)/5, member.Down)
					r.health(int(k)/5-5, member.Up)
				}
			}
			return all
		}
		require.Equal(t, run(), run(), "%v", a)
	}
}

func TestAllocates(t *testing.T) {
	for _, a := range algorithms() {
		r := newRig(a, 20, nil)
		r.spec.SlowStartNs = 1e12
		r.Refresh()
		q := &Query{Now: 5}
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			q.Source, q.Tuple = mix(q.Source+1), mix(q.Tuple+1)
			m, _ := r.Pick(q)
			r.Accepts(m)
		}), "%v", a)
	}
}
