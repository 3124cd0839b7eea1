package ipam

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestHosts(t *testing.T) {
	for _, row := range []struct {
		why, prefix, want string
		size              uint64
	}{
		{"the network's and the broadcast address are no hosts'", "10.0.0.0/24", "10.0.0.1-10.0.0.254", 254},
		{"a /30 has two hosts", "10.0.0.4/30", "10.0.0.5-10.0.0.6", 2},
		{"both addresses of a /31 are hosts' (RFC 3021)", "10.0.0.4/31", "10.0.0.4-10.0.0.5", 2},
		{"a single address is its own host", "10.0.0.4/32", "10.0.0.4-10.0.0.4", 1},
		{"IPv6 has no broadcast, but the subnet-router anycast address", "fd00::/126", "fd00::1-fd00::3", 3},
		{"a /64 has more hosts than can be counted in 64 bits less one", "fd00::/64", "fd00::1-fd00::ffff:ffff:ffff:ffff", 1<<64 - 1},
	} {
		r := Hosts(prefix(row.prefix))
		require.Equal(t, row.want, r.String(), row.why)
		require.Equal(t, row.size, r.Size(), row.why)
	}
}

func TestPoolErrors(t *testing.T) {
	p := NewPool(Range{addr("10.0.0.5"), addr("10.0.0.6")}, Range{addr("fd00::1"), addr("fd00::1")})
	require.Equal(t, uint64(3), p.Size())
	require.ErrorIs(t, p.Take(addr("10.0.0.7")), ErrOutside)
	require.NoError(t, p.Take(addr("10.0.0.6")))
	require.ErrorIs(t, p.Take(addr("10.0.0.6")), ErrTaken)
	first, err := p.Any()
	require.NoError(t, err)
	require.Equal(t, addr("10.0.0.5"), first, "the lowest is given first")
	second, err := p.Any()
	require.NoError(t, err)
	require.Equal(t, addr("fd00::1"), second)
	_, err = p.Any()
	require.ErrorIs(t, err, ErrExhausted)
	p.Release(addr("10.0.0.99"))
	require.Zero(t, p.Free(), "a foreign address does not become the pool's by being released")
	p.Release(addr("10.0.0.6"))
	p.Release(addr("10.0.0.6"))
	require.Equal(t, uint64(1), p.Free())
}

func TestCarve(t *testing.T) {
	p := NewPool(Whole(prefix("10.244.0.0/22")))
	require.NoError(t, p.TakePrefix(prefix("10.244.1.0/24")))
	require.ErrorIs(t, p.TakePrefix(prefix("10.244.1.128/25")), ErrTaken)
	require.ErrorIs(t, p.TakePrefix(prefix("10.245.0.0/24")), ErrOutside)
	p.Withhold(Range{addr("10.244.0.7"), addr("10.244.0.7")})
	for _, want := range []string{"10.244.2.0/24", "10.244.3.0/24"} {
		got, err := p.Carve(24, 32)
		require.NoError(t, err)
		require.Equal(t, prefix(want), got, "a block with a taken address is not whole")
	}
	_, err := p.Carve(24, 32)
	require.ErrorIs(t, err, ErrExhausted)
	got, err := p.Carve(25, 32)
	require.NoError(t, err)
	require.Equal(t, prefix("10.244.0.128/25"), got)
	p.ReleasePrefix(prefix("10.244.2.0/23"))
	got, err = p.Carve(23, 32)
	require.NoError(t, err)
	require.Equal(t, prefix("10.244.2.0/23"), got)

	top := NewPool(Range{addr("255.255.255.129"), addr("255.255.255.255")})
	got, err = top.Carve(26, 32)
	require.NoError(t, err)
	require.Equal(t, prefix("255.255.255.192/26"), got)
	_, err = top.Carve(25, 32)
	require.ErrorIs(t, err, ErrExhausted, "there is no boundary after the last address")
	_, err = top.Carve(64, 128)
	require.ErrorIs(t, err, ErrExhausted, "a pool of one family has no block of the other")
}

// model is a pool as a map: the addresses it has, and whether each is free.
type model map[netip.Addr]bool

func (m model) lowest(fits func(netip.Addr) bool) (low netip.Addr) {
	for a, free := range m {
		if free && fits(a) && (!low.IsValid() || a.Less(low)) {
			low = a
		}
	}
	return low
}

func (m model) block(length, bitLen int) (low netip.Prefix) {
	for a := range m {
		p, err := a.Prefix(length)
		if err != nil || a.BitLen() != bitLen || p.Addr() != a || low.IsValid() && !a.Less(low.Addr()) {
			continue
		}
		whole := true
		for b := a; p.Contains(b); b = b.Next() {
			whole = whole && m[b]
		}
		if whole {
			low = p
		}
	}
	return low
}

// TestPoolAgainstModel does random things to a pool and to a map.
func TestPoolAgainstModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		p, m := &Pool{}, model{}
		add := func(r Range) {
			p.all.Add(r)
			p.free.Add(r)
			for a := r.First; r.Contains(a); a = a.Next() {
				m[a] = true
			}
		}
		// Pieces that touch, overlap and leave holes, at the end of IPv4 too.
		for _, base := range []string{"10.0.0.0", "255.255.255.192", "fd00::"} {
			for range 4 {
				first := addr(base)
				for range random.IntN(40) {
					first = first.Next()
				}
				last := first
				for range random.IntN(24) {
					last = last.Next()
				}
				add(Range{first, last})
			}
		}
		pick := func() netip.Addr {
			base := []string{"10.0.0.0", "255.255.255.192", "fd00::"}[random.IntN(3)]
			a := addr(base)
			for range random.IntN(63) {
				a = a.Next()
			}
			return a
		}
		picks := func() (sorted []netip.Addr) {
			for range random.IntN(30) {
				sorted = append(sorted, pick())
			}
			slices.SortFunc(sorted, netip.Addr.Compare)
			return sorted
		}
		for range 400 {
			switch random.IntN(9) {
			case 0, 1:
				a := pick()
				free, known := m[a]
				err := p.Take(a)
				switch {
				case !known:
					require.ErrorIs(t, err, ErrOutside)
				case !free:
					require.ErrorIs(t, err, ErrTaken)
				default:
					require.NoError(t, err)
					m[a] = false
				}
			case 2, 3:
				a := pick()
				p.Release(a)
				if _, known := m[a]; known {
					m[a] = true
				}
			case 4:
				want := m.lowest(func(netip.Addr) bool { return true })
				got, err := p.Any()
				require.Equal(t, want, got)
				if want.IsValid() {
					m[want] = false
				} else {
					require.ErrorIs(t, err, ErrExhausted)
				}
			case 5:
				bitLen := []int{32, 128}[random.IntN(2)]
				length := bitLen - random.IntN(4)
				want := m.block(length, bitLen)
				got, err := p.Carve(length, bitLen)
				require.Equal(t, want, got)
				if err == nil {
					for a := got.Addr(); got.Contains(a); a = a.Next() {
						m[a] = false
					}
				}
			case 6:
				a := pick()
				block, err := a.Prefix(a.BitLen() - 1 - random.IntN(2))
				require.NoError(t, err)
				p.ReleasePrefix(block)
				for a := block.Addr(); block.Contains(a); a = a.Next() {
					if _, known := m[a]; known {
						m[a] = true
					}
				}
			case 7:
				held := picks()
				bitLen := []int{32, 128}[random.IntN(2)]
				want := m.lowest(func(a netip.Addr) bool { return a.BitLen() == bitLen && !slices.Contains(held, a) })
				got, err := p.AnyBut(held, bitLen)
				require.Equal(t, want, got)
				if want.IsValid() {
					m[want] = false
				} else {
					require.ErrorIs(t, err, ErrExhausted)
				}
			case 8:
				held := picks()
				p.WithholdEach(held)
				for _, a := range held {
					if _, known := m[a]; known {
						m[a] = false
					}
					require.False(t, p.IsFree(a))
				}
			}
			n := uint64(0)
			for _, free := range m {
				if free {
					n++
				}
			}
			require.Equal(t, n, p.Free())
			for i, run := range p.free.runs {
				require.True(t, run.valid())
				if i > 0 {
					require.True(t, p.free.runs[i-1].Last.Less(run.First))
					require.False(t, adjacent(p.free.runs[i-1].Last, run.First), "runs that touch are one")
				}
			}
		}
	}
}
