package pick

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// rig is a pool with members at 10.0.0.1, 10.0.0.2… whose IDs are 1, 2….
type rig struct {
	*Pool
	spec    service.Pool
	members []*member.Member
	now     int64
}

func newRig(a service.Algorithm, n int, shape func(i int, m *service.Member)) *rig {
	r := &rig{Pool: New(1), spec: service.Pool{ID: 1, Algorithm: a, MinActive: 1}, now: 1}
	for i := range n {
		r.spec.Members = append(r.spec.Members, spec(i, shape))
		r.members = append(r.members, member.New(uint32(i+1), r.spec.Members[i]))
	}
	r.Set(&r.spec, r.members)
	return r
}

func spec(i int, shape func(i int, m *service.Member)) *service.Member {
	m := &service.Member{
		ID: uint32(i + 1), Name: fmt.Sprint(i), Weight: 1, Port: 80,
		Address: packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte((i + 1) >> 8), byte(i + 1)})),
	}
	if shape != nil {
		shape(i, m)
	}
	return m
}

// change gives member i another spec.
func (r *rig) change(i int, shape func(m *service.Member)) {
	m := *r.members[i].Spec()
	shape(&m)
	r.spec.Members[i] = &m
	r.members[i].SetSpec(&m)
	r.Refresh()
}

func (r *rig) health(i int, h member.Health) {
	r.members[i].SetHealth(h, r.now)
	r.Refresh()
}

// pick returns the ID of the member for the nth connection, whose place it keeps.
func (r *rig) pick(n uint64) uint32 {
	m, _ := r.Pick(&Query{Source: mix(n), Tuple: mix(n + 1<<32), Now: r.now})
	if m == nil {
		return 0
	}
	return m.ID
}

// passing returns the ID of the member for a connection that ends at once.
func (r *rig) passing(n uint64) uint32 {
	id := r.pick(n)
	if id != 0 {
		r.members[id-1].Leave()
	}
	return id
}

func algorithms() (all []service.Algorithm) {
	for a := range service.Algorithms() {
		all = append(all, service.Algorithm(a))
	}
	return all
}

func TestRoundRobinGoesDown(t *testing.T) {
	r := newRig(service.RoundRobin, 3, nil)
	var got []uint32
	for n := range uint64(7) {
		got = append(got, r.passing(n))
	}
	require.Equal(t, []uint32{3, 2, 1, 3, 2, 1, 3}, got, "from the last member to the first")
}

func TestNobody(t *testing.T) {
	for _, a := range algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			_, why := New(0).Pick(&Query{})
			require.Equal(t, member.NobodyUp, why, "a pool that nobody has set has no members")

			r := newRig(a, 2, func(_ int, m *service.Member) { m.MaxConnections = 1 })
			require.NotZero(t, r.pick(1))
			require.NotZero(t, r.pick(1))
			m, why := r.Pick(&Query{Now: r.now})
			require.Nil(t, m)
			require.Equal(t, member.AllFull, why)
			require.Positive(t, r.members[0].Counts().Refused+r.members[1].Counts().Refused, "it is told where it would have gone")

			r.health(0, member.Down)
			r.change(1, func(m *service.Member) { m.Admin = service.Draining })
			_, why = r.Pick(&Query{Now: r.now})
			require.Equal(t, member.NobodyUp, why)
		})
	}
}
