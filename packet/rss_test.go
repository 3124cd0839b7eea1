package packet

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToeplitzVectors(t *testing.T) {
	type row [6]any
	var v struct {
		V4, V6 []row
	}
	standards(t, "toeplitz", &v)
	table := NewToeplitzTable(&DefaultRSSKey)
	rows := append(v.V4, v.V6...)
	require.Len(t, rows, 8)
	for _, r := range rows {
		k := Key{
			Src: addr(r[0].(string)), Dst: addr(r[2].(string)),
			Tail: MakeTail(5, ProtoTCP, uint16(r[1].(float64)), uint16(r[3].(float64))),
		}
		require.Equal(t, hexNumber(t, r[4].(string)), table.HashKey(&k, false), "%v addresses", r)
		require.Equal(t, hexNumber(t, r[5].(string)), table.HashKey(&k, true), "%v addresses and ports", r)
	}
}

func TestToeplitzTableEqualsBitwise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var key RSSKey
	for i := range key {
		key[i] = byte(rng.Uint32())
	}
	table := NewToeplitzTable(&key)
	input := make([]byte, 50)
	for n := range input {
		for i := range input {
			input[i] = byte(rng.Uint32())
		}
		require.Equal(t, Toeplitz(&key, input[:n]), table.Hash(input[:n]))
		require.Equal(t, bitwiseToeplitz(&key, input[:min(n, 36)]), table.Hash(input[:n]))
	}
}

// bitwiseToeplitz is the definition: the key as one long shift register.
func bitwiseToeplitz(key *RSSKey, input []byte) (hash uint32) {
	bit := func(b []byte, i int) uint32 { return uint32(b[i/8]>>(7-i%8)) & 1 }
	for i := range len(input) * 8 {
		if bit(input, i) == 1 {
			var window uint32
			for j := range 32 {
				window = window<<1 | bit(key[:], i+j)
			}
			hash ^= window
		}
	}
	return hash
}

func randomKey(rng *rand.Rand, v6 bool) Key {
	a := func() Addr {
		if v6 {
			return Addr{rng.Uint64(), rng.Uint64()}
		}
		return AddrFrom4(&[4]byte{10, byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())})
	}
	return Key{Src: a(), Dst: a(), Tail: MakeTail(Zone(rng.Uint32()), ProtoUDP, uint16(rng.Uint32()), uint16(rng.Uint32()))}
}

func TestSymmetricHashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	table := NewToeplitzTable(&SymmetricRSSKey)
	for n := range 2000 {
		k := randomKey(rng, n%2 == 0)
		r := k.Reverse()
		require.Equal(t, table.HashKey(&k, true), table.HashKey(&r, true))
		require.Equal(t, table.HashKey(&k, false), table.HashKey(&r, false))
		require.Equal(t, SymmetricHash(&k, 7), SymmetricHash(&r, 7))
		require.NotEqual(t, SymmetricHash(&k, 7), SymmetricHash(&k, 8), "the seed counts")
	}
}

// TestSymmetricHashSpreads counts sessions of one client with one server that
// differ in a single field over 8 queues.
func TestSymmetricHashSpreads(t *testing.T) {
	const sessions, queues = 8000, 8
	for _, tt := range []struct {
		why string
		key func(n int) Key
	}{
		{"client ports count up", func(n int) Key {
			return Key{addr("10.0.0.1"), addr("10.0.0.2"), MakeTail(1, ProtoTCP, uint16(32768+n), 80)}
		}},
		{"client addresses count up", func(n int) Key {
			return Key{AddrFrom4(&[4]byte{10, 0, byte(n >> 8), byte(n)}), addr("10.1.0.2"), MakeTail(1, ProtoTCP, 999, 80)}
		}},
		{"an address talks to itself", func(n int) Key {
			return Key{addr("fe80::1"), addr("fe80::1"), MakeTail(1, ProtoTCP, uint16(n), uint16(n))}
		}},
		{"zones with the same addresses", func(n int) Key {
			return Key{addr("10.0.0.1"), addr("10.0.0.2"), MakeTail(Zone(n), ProtoTCP, 1, 2)}
		}},
	} {
		var load [queues]int
		for n := range sessions {
			k := tt.key(n)
			load[SymmetricHash(&k, 42)%queues]++
		}
		for q, n := range load {
			require.InDelta(t, sessions/queues, n, sessions/queues*0.2, "%s: queue %d", tt.why, q)
		}
	}
}

func BenchmarkFlowHash(b *testing.B) {
	k := Key{addr("10.0.0.1"), addr("10.0.0.2"), MakeTail(1, ProtoTCP, 1000, 80)}
	table := NewToeplitzTable(&DefaultRSSKey)
	var sink uint32
	b.Run("symmetric", func(b *testing.B) {
		for b.Loop() {
			sink += SymmetricHash(&k, 42)
		}
	})
	b.Run("toeplitz table", func(b *testing.B) {
		for b.Loop() {
			sink += table.HashKey(&k, true)
		}
	})
	_ = sink
}
