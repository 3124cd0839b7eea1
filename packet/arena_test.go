package packet

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func newTestArena(tb testing.TB, cfg ArenaConfig) *Arena {
	tb.Helper()
	a, err := NewArena(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, a.Close()) })
	return a
}

func TestNewArenaReportsAllFaults(t *testing.T) {
	for _, tt := range []struct {
		why  string
		cfg  ArenaConfig
		want []string
	}{
		{"negative counts are refused together", ArenaConfig{Buffers: -1, Supers: -2}, []string{"-1 buffers", "-2 super-frame buffers"}},
		{"AF_XDP takes no other chunk sizes", ArenaConfig{BufferSize: 3000}, []string{"buffer size 3000"}},
		{"an odd super size would misalign frames", ArenaConfig{SuperSize: 65537}, []string{"super-frame buffer size 65537"}},
		{"Meta.Off has 32 bits", ArenaConfig{Buffers: 1 << 21, BufferSize: 4096}, []string{"less than 4 GiB"}},
		{"counts so large that their product wraps", ArenaConfig{Buffers: 1 << 62, Supers: 1 << 62, BufferSize: 1}, []string{"buffers: want", "super-frame buffers: want", "buffer size 1:"}},
	} {
		_, err := NewArena(tt.cfg)
		require.Error(t, err, tt.why)
		for _, want := range tt.want {
			require.ErrorContains(t, err, want, tt.why)
		}
		require.Len(t, strings.Split(err.Error(), "\n"), len(tt.want), tt.why)
	}
}

func TestArenaDefaults(t *testing.T) {
	a := newTestArena(t, ArenaConfig{})
	require.Equal(t, ArenaConfig{Buffers: 16384, BufferSize: 2048, SuperSize: 69632}, a.Config())
	require.NotEmpty(t, a.Pages())
}

// TestBuffersAreDisjoint writes every buffer to its brim with its own number:
// whoever overlaps destroys a neighbour's.
func TestBuffersAreDisjoint(t *testing.T) {
	for _, cfg := range []ArenaConfig{
		{Buffers: 3, Supers: 2},
		{Buffers: 1, BufferSize: 4096},
		{Buffers: 1100, Supers: 9, SuperSize: 4096 + 64, Prefault: true},
	} {
		a := newTestArena(t, cfg)
		c := a.NewCache()
		var all []Index
		for i := c.Alloc(); i != 0; i = c.Alloc() {
			all = append(all, i)
		}
		require.Len(t, all, cfg.Buffers)
		for i := c.AllocSuper(); i != 0; i = c.AllocSuper() {
			require.True(t, a.IsSuper(i))
			all = append(all, i)
		}
		require.Len(t, all, cfg.Buffers+cfg.Supers)
		require.Equal(t, len(all), a.InUse())

		for _, i := range all {
			require.True(t, a.Prepend(i, Headroom))
			require.False(t, a.Prepend(i, 1), "the headroom is used up")
			require.Equal(t, a.BufferOffset(i), a.Meta(i).Off)
			m := a.Meta(i)
			m.Len = uint32(a.Capacity(i))
			require.Len(t, a.Room(i), int(m.Len))
			fill(a.Frame(i), byte(i))
		}
		for _, i := range all {
			for _, b := range a.Frame(i) {
				if b != byte(i) {
					t.Fatalf("buffer %d holds a byte of buffer %d", i, b)
				}
			}
			if !a.IsSuper(i) {
				off := uint64(a.BufferOffset(i))
				require.Equal(t, byte(i), a.Mem()[off])
				require.Equal(t, i, a.BufferAt(off))
				require.Equal(t, i, a.BufferAt(off+uint64(a.cfg.BufferSize)-1))
			}
		}
		require.Zero(t, a.BufferAt(uint64(len(a.Mem()))))
		require.Zero(t, a.BufferAt(1<<63))

		c.FreeN(all)
		c.Flush()
		require.Zero(t, a.InUse())
	}
}

func TestFrameEdges(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 4})
	c := a.NewCache()
	i := c.Alloc()
	m := a.Meta(i)
	require.Equal(t, Meta{Off: a.BufferOffset(i) + Headroom}, *m)
	require.Equal(t, 2048-Headroom, a.Capacity(i))
	m.Len = uint32(copy(a.Room(i), "hello"))
	m.CsumStart, m.HdrLen = 34, 54

	require.True(t, a.Prepend(i, 4))
	require.Equal(t, "hello", string(a.Frame(i)[4:]))
	require.Equal(t, []uint16{38, 58}, []uint16{m.CsumStart, m.HdrLen}, "offsets are from the start of the frame")
	require.True(t, a.TrimFront(i, 5))
	require.Equal(t, "ello", string(a.Frame(i)))
	require.Equal(t, []uint16{33, 53}, []uint16{m.CsumStart, m.HdrLen})
	require.True(t, a.Trim(i, 1))
	require.Equal(t, "ell", string(a.Frame(i)))

	before := *m
	for _, n := range []int{-1, 4, 1 << 40, -1 << 62} {
		require.False(t, a.TrimFront(i, n))
		require.False(t, a.Trim(i, n))
	}
	require.False(t, a.Prepend(i, -1))
	require.False(t, a.Prepend(i, Headroom+2))
	require.Equal(t, before, *m, "a refused change changes nothing")
	c.Free(i)
}

func TestAllocForAndClone(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 4, Supers: 2, Debug: true})
	c := a.NewCache()
	for _, tt := range []struct {
		why         string
		size        int
		super, none bool
	}{
		{"an ordinary buffer's brim", 2048 - Headroom, false, false},
		{"a byte more needs a super-frame buffer", 2048 - Headroom + 1, true, false},
		{"a super-frame buffer's brim", 69632 - Headroom, true, false},
		{"no buffer is as large", 69632 - Headroom + 1, false, true},
	} {
		i := c.AllocFor(tt.size)
		require.Equal(t, tt.none, i == 0, tt.why)
		if i == 0 {
			continue
		}
		require.Equal(t, tt.super, a.IsSuper(i), tt.why)
		require.GreaterOrEqual(t, a.Capacity(i), tt.size, tt.why)

		m := a.Meta(i)
		m.Len, m.GSOSize, m.GSOType, m.InPort, m.CsumPartial = uint32(tt.size), 1448, GSOTCPv4, 7, true
		fill(a.Frame(i), 0x5a)
		require.True(t, a.TrimFront(i, 3))
		k := c.Clone(i)
		require.NotZero(t, k, tt.why)
		require.Equal(t, a.Frame(i), a.Frame(k), tt.why)
		want := *a.Meta(i)
		want.Off = a.BufferOffset(k) + Headroom
		require.Equal(t, want, *a.Meta(k), tt.why)
		c.FreeN([]Index{i, k, 0})
	}
	require.Empty(t, a.Leaks())

	var held []Index
	for i := c.Alloc(); i != 0; i = c.Alloc() {
		held = append(held, i)
	}
	require.Zero(t, c.Clone(held[0]), "no buffer is left to copy into")
	c.FreeN(held)
}

func TestLongestFrame(t *testing.T) {
	for _, cfg := range []ArenaConfig{{Buffers: 2}, {Buffers: 2, BufferSize: 4096}, {Buffers: 2, Supers: 1}, {Buffers: 2, Supers: 1, SuperSize: 4096}} {
		a := newTestArena(t, cfg)
		c := a.NewCache()
		fits := c.AllocFor(a.LongestFrame())
		require.NotZero(t, fits)
		require.Equal(t, a.LongestFrame(), a.Capacity(fits), "all of a buffer")
		require.Zero(t, c.AllocFor(a.LongestFrame()+1))
		c.Free(fits)
	}
}

func TestAllocNTakesWhatThereIs(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 700})
	c := a.NewCache()
	out := make([]Index, 1000)
	require.Equal(t, 700, c.AllocN(out))
	seen := map[Index]bool{}
	for _, i := range out[:700] {
		require.False(t, seen[i])
		seen[i] = true
	}
	c.FreeN(out[:700])
	c.Free(701)     // not this arena's: ignored
	c.Free(1 << 31) // nor this
	c.Flush()
	require.Zero(t, a.InUse())
}

// TestCacheModel lets two caches allocate and free in an order drawn from a
// fixed seed and checks against a map who owns what.
func TestCacheModel(t *testing.T) {
	for _, debug := range []bool{false, true} {
		a := newTestArena(t, ArenaConfig{Buffers: 64, Supers: 20, SuperSize: 4096, Debug: debug})
		caches := []*Cache{a.NewCache(), a.NewCache()}
		owned := map[Index]bool{}
		var order []Index
		seed := uint64(1)
		for range 20000 {
			seed = seed*6364136223846793005 + 1442695040888963407
			r := uint32(seed >> 33)
			c := caches[r&1]
			if r&2 == 0 || len(order) == 0 {
				i := c.Alloc()
				if r&4 == 0 {
					c.Free(i)
					i = c.AllocSuper()
				}
				if i != 0 {
					require.False(t, owned[i], "buffer %d was given twice", i)
					require.Equal(t, Meta{Off: a.BufferOffset(i) + Headroom}, *a.Meta(i))
					owned[i] = true
					order = append(order, i)
				}
			} else {
				k := int(r>>3) % len(order)
				i := order[k]
				order[k] = order[len(order)-1]
				order = order[:len(order)-1]
				delete(owned, i)
				c.Free(i)
			}
		}
		caches[0].Flush()
		caches[1].Flush()
		require.Equal(t, len(owned), a.InUse())
		if debug {
			require.Len(t, a.Leaks(), len(owned))
		}
		caches[0].FreeN(order)
		caches[0].Flush()
		require.Zero(t, a.InUse())
	}
}

// TestBuffersPassBetweenWorkers sends buffers round a ring of goroutines, each
// of which frees some and allocates others; run it with -race.
func TestBuffersPassBetweenWorkers(t *testing.T) {
	const workers, rounds = 4, 3000
	a := newTestArena(t, ArenaConfig{Buffers: 256, Supers: 16, SuperSize: 4096})
	links := make([]chan Index, workers)
	for w := range links {
		links[w] = make(chan Index, 32)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c := a.NewCache()
			defer c.Flush()
			defer close(links[(w+1)%workers])
			for r := range rounds {
				i := c.AllocFor(100 + r%8*256)
				if i != 0 {
					m := a.Meta(i)
					m.Len = uint32(100 + r%8*256)
					fill(a.Frame(i), byte(i))
					select {
					case links[(w+1)%workers] <- i:
					default:
						c.Free(i)
					}
				}
				select {
				case i := <-links[w]:
					if i != 0 {
						for _, b := range a.Frame(i) {
							if b != byte(i) {
								t.Errorf("buffer %d has a second owner", i)
								return
							}
						}
						c.Free(i)
					}
				default:
				}
			}
		})
	}
	wg.Wait()
	c := a.NewCache()
	for _, l := range links {
		for i := range l {
			c.Free(i)
		}
	}
	c.Flush()
	require.Zero(t, a.InUse())
}

func TestCacheDoesNotAllocateMemory(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 2048, Supers: 32})
	c := a.NewCache()
	var bufs [1024]Index
	require.Zero(t, testing.AllocsPerRun(20, func() {
		n := c.AllocN(bufs[:])
		k := c.Clone(bufs[0])
		s := c.AllocSuper()
		a.Check(s)
		c.Free(k)
		c.Free(s)
		c.FreeN(bufs[:n])
	}))
}

func BenchmarkCacheAllocFree(b *testing.B) {
	a := newTestArena(b, ArenaConfig{Prefault: true})
	c := a.NewCache()
	for b.Loop() {
		c.Free(c.Alloc())
	}
}

func BenchmarkCacheVector(b *testing.B) {
	a := newTestArena(b, ArenaConfig{Prefault: true})
	c := a.NewCache()
	var v [64]Index
	for b.Loop() {
		c.AllocN(v[:])
		c.FreeN(v[:])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/pkt")
}
