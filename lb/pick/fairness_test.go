package pick

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

func randomWeights(rnd *rand.Rand, n int) (weights []int, sum int) {
	for range n {
		weights = append(weights, 1+rnd.IntN(256))
		sum += weights[len(weights)-1]
	}
	return weights, sum
}

// naive is nginx's smooth weighted round robin, as it stands there.
func naive(weights []int, turns int) []uint16 {
	current, sum := make([]int, len(weights)), 0
	for _, w := range weights {
		sum += w
	}
	var order []uint16
	for range turns {
		best := -1
		for i, w := range weights {
			if current[i] += w; best < 0 || current[i] > current[best] {
				best = i
			}
		}
		current[best] -= sum
		order = append(order, uint16(best))
	}
	return order
}

func TestSmooth(t *testing.T) {
	require.Equal(t, []uint16{0, 0, 1, 0, 2, 0, 0}, smooth([]uint32{5, 1, 1}), "the example of nginx's commit 52327e0627f4")
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		n := 1 + rnd.IntN(12)
		weights, sum := make([]int, n), 0
		words := make([]uint32, n)
		for i := range weights {
			weights[i] = 1 + rnd.IntN(1+rnd.IntN(20)) // of few different ones, and of many
			words[i] = uint32(weights[i])
			sum += weights[i]
		}
		require.Equal(t, naive(weights, sum), smooth(words), "%v", weights)
	}
}

func TestReduce(t *testing.T) {
	for _, c := range []struct {
		why     string
		weights []uint32
		limit   uint64
		want    []uint32
	}{
		{"what they have in common goes", []uint32{10, 20, 30}, 100, []uint32{1, 2, 3}},
		{"a cycle that fits stays", []uint32{7, 3}, 10, []uint32{7, 3}},
		{"one that doesn't is rounded by the largest remainders", []uint32{7, 3}, 4, []uint32{3, 1}},
		{"nobody is left without a turn", []uint32{256, 1, 1}, 10, []uint32{9, 1, 1}},
	} {
		require.Equal(t, c.want, reduce(c.weights, c.limit), c.why)
	}
}

// TestWeights: 100,000 connections that stay are spread as the weights say, by one worker and by four.
func TestWeights(t *testing.T) {
	const picks = 100_000
	for _, workers := range []int{1, 4} {
		for _, a := range []service.Algorithm{service.WeightedRoundRobin, service.WeightedLeastConnection} {
			for _, n := range []int{3, 20} {
				rnd := rand.New(rand.NewPCG(uint64(n), uint64(a)))
				weights, sum := randomWeights(rnd, n)
				r := newRig(a, n, func(i int, m *service.Member) { m.Weight = uint16(weights[i]) })
				r.everybody(workers, picks)
				for i, w := range weights {
					want := float64(picks) * float64(w) / float64(sum)
					require.InDelta(t, want, r.members[i].Active(), 1+want/100, "%v, %d workers, %d members: weight %d of %d", a, workers, n, w, sum)
				}
			}
		}
	}
}

// everybody has workers pick until there are so many connections, which stay.
func (r *rig) everybody(workers, picks int) {
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for n := range picks / workers {
				r.pick(uint64(w*picks + n))
			}
		})
	}
	all.Wait()
}

// TestWeightsOfManyMembers: where the least of all isn't looked for, the spread comes out all the same.
func TestWeightsOfManyMembers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	const n = 1000
	weights, sum := randomWeights(rnd, n)
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	r := newRig(service.WeightedLeastConnection, n, func(i int, m *service.Member) { m.Weight = uint16(weights[i]) })
	r.everybody(1, 100_000)
	for i, w := range weights {
		want := 100_000 * float64(w) / float64(sum)
		require.InDelta(t, want, r.members[i].Active(), 2+want/100, "weight %d", w)
	}
}

// TestHashWeights: the table's slots are spread as the weights say.
func TestHashWeights(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{2, 5, 10, 20} {
		weights, sum := randomWeights(rnd, n)
		r := newRig(service.Maglev, n, func(i int, m *service.Member) { m.Weight = uint16(weights[i]) })
		s := r.selection.Load()
		got := map[uint32]int{}
		for _, slot := range s.table {
			got[s.entries[slot].m.ID]++
		}
		for i, w := range weights {
			want := float64(len(s.table)) * float64(w) / float64(sum)
			require.InDelta(t, want, got[uint32(i+1)], 1+want/100)
		}
	}
}

// TestRoundRobinAcrossWorkers: turns are shared, so that nobody gets two more than another.
func TestRoundRobinAcrossWorkers(t *testing.T) {
	r := newRig(service.RoundRobin, 7, nil)
	r.everybody(4, 10_000)
	for _, m := range r.members {
		require.InDelta(t, 10_000/7, m.Active(), 1)
	}
}

// TestNeverTwice: round robin never goes twice to the same member, whatever the others are up to, as
// long as two are at full speed and have room.
func TestNeverTwice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		n := 2 + rnd.IntN(30)
		r := newRig(service.RoundRobin, n, nil)
		r.spec.SlowStartNs = 1000
		r.now = 5000
		r.Refresh()
		r.passing(0)
		r.now += 2000
		starting := rnd.IntN(n - 1)
		for i := range starting { // they come up again
			r.health(i, member.Down)
			r.health(i, member.Up)
		}
		for i := starting; i < n-2; i++ {
			if rnd.IntN(3) == 0 { // full from now on
				r.change(i, func(m *service.Member) { m.MaxConnections = 1 })
				r.members[i].Take(1)
			}
		}
		last := uint32(0)
		for k := range uint64(300) {
			r.now += rnd.Int64N(5)
			got := r.passing(k)
			require.NotEqual(t, last, got, "pick %d of %d members, %d starting", k, n, starting)
			last = got
		}
	}
}

// TestGoesOn: a change does not make turns begin anew.
func TestGoesOn(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(r *rig)
		want   []uint32
	}{
		{"nothing has changed", func(r *rig) { r.Refresh() }, []uint32{3, 2, 1, 6}},
		{"a member that has had its turn goes", func(r *rig) { r.health(5, member.Down) }, []uint32{3, 2, 1, 5}},
		{"the last goes", func(r *rig) { r.health(3, member.Down) }, []uint32{3, 2, 1, 6}},
		{"the next goes", func(r *rig) { r.health(2, member.Down) }, []uint32{2, 1, 6, 5}},
		{"all but the last and the first go", func(r *rig) {
			for _, i := range []int{1, 2, 4, 5} {
				r.health(i, member.Down)
			}
		}, []uint32{1, 4, 1, 4}},
		{"the last is no member any more", func(r *rig) {
			r.members = slices.Delete(r.members, 3, 4)
			r.spec.Members = slices.Delete(r.spec.Members, 3, 4)
			r.Set(&r.spec, r.members)
		}, []uint32{3, 2, 1, 6}},
		{"nobody is there for a while", func(r *rig) {
			for i := range r.members {
				r.health(i, member.Down)
			}
			for i := range r.members {
				r.health(i, member.Up)
			}
		}, []uint32{3, 2, 1, 6}},
	} {
		r := newRig(service.RoundRobin, 6, nil)
		for k := range uint64(6 + 3) {
			r.pick(k)
		}
		c.change(r)
		var got []uint32
		for k := range uint64(4) {
			got = append(got, r.pick(k))
		}
		require.Equal(t, c.want, got, c.why)
	}
}

// TestNeverMore: with many workers, no member has more sessions than it may, and none has less if there are enough.
func TestNeverMore(t *testing.T) {
	for _, a := range algorithms() {
		const n, each = 5, 40
		r := newRig(a, n, func(i int, m *service.Member) {
			m.Weight = uint16(1 + i*10)
			if i%2 == 0 {
				m.MaxConnections = each
			}
		})
		r.spec.MaxConnections = each / 2
		r.Refresh()
		limits := []int64{each, each / 2, each, each / 2, each}
		var holding [n]atomic.Int64
		var taken atomic.Int64
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				var mine []uint32
				rnd := rand.New(rand.NewPCG(uint64(w), 9))
				for k := range uint64(3000) {
					if len(mine) > 0 && rnd.IntN(3) == 0 {
						i := rnd.IntN(len(mine))
						holding[mine[i]-1].Add(-1)
						r.members[mine[i]-1].Leave()
						mine = slices.Delete(mine, i, i+1)
						continue
					}
					if id := r.pick(uint64(w)<<32 + k); id != 0 {
						if now := holding[id-1].Add(1); now > limits[id-1] {
							t.Errorf("%v: member %d has %d sessions", a, id, now)
						}
						mine = append(mine, id)
					}
				}
				taken.Add(int64(len(mine)))
			})
		}
		all.Wait()
		for r.pick(rand.Uint64()) != 0 { // whoever still has room gets them
			taken.Add(1)
		}
		require.EqualValues(t, 3*each+2*each/2, taken.Load(), "%v: every place is taken", a)
		for i, m := range r.members {
			require.Equal(t, limits[i], m.Active(), "%v", a)
		}
	}
}
