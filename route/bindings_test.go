package route

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// TestBindingsAreAMap: with few addresses, so that some are there and some collide.
func TestBindingsAreAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func() binding {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], 0x0a000000+r.Uint32N(64))
		b := binding{mac: 0x0a58_0000_0000 + r.Uint64N(4)}
		if r.IntN(4) == 0 {
			return b
		}
		return b.with(packet.AddrFrom4(&ip))
	}
	for range 200 {
		n := r.IntN(40)
		got, want := newBindings(n), map[binding]bool{}
		for range n {
			b, value := some(), r.IntN(2) == 0
			got.put(b, value)
			want[b] = value
		}
		for range 100 {
			b := some()
			value, found := got.get(b)
			wantValue, wantFound := want[b]
			require.Equal(t, []bool{wantValue, wantFound}, []bool{value, found}, "%+v in %+v", b, want)
			require.Equal(t, wantValue, got.has(b))
		}
	}
	var none bindings
	require.False(t, none.has(binding{}))
}

func TestPathCache(t *testing.T) {
	one, two := newFIB(&Router{}), newFIB(&Router{})
	one.number, two.number = 1, 2
	a := packet.AddrFrom4(&[4]byte{10, 0, 0, 1})
	var c pathCache
	_, found := c.lookup(one, a)
	require.False(t, found)
	require.True(t, two.add(netip.MustParsePrefix("10.0.0.0/8"), path{segment: 7}))
	for range 2 {
		p, found := c.lookup(two, a)
		require.True(t, found, "another table")
		require.EqualValues(t, 7, p.segment)
	}
	_, found = c.lookup(one, a)
	require.False(t, found)
	for i := range 10_000 { // more than there is room for
		ip := packet.AddrFrom4(&[4]byte{byte(10 + i%2), 0, byte(i >> 8), byte(i)})
		_, found := c.lookup(two, ip)
		require.Equal(t, i%2 == 0, found)
	}
}
