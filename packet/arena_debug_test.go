package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDebugArenaCatches(t *testing.T) {
	for _, tt := range []struct {
		why  string
		do   func(a *Arena, c *Cache, i Index)
		want string
	}{
		{"a buffer freed twice would get two owners", func(_ *Arena, c *Cache, i Index) { c.Free(i); c.Free(i) }, "which is free; freed at"},
		{"an index beyond the last buffer", func(_ *Arena, c *Cache, _ Index) { c.Free(99) }, "does not have"},
		{"use of a free buffer", func(a *Arena, c *Cache, i Index) { c.Free(i); a.Check(i) }, "use of buffer"},
		{"use of no buffer", func(a *Arena, _ *Cache, _ Index) { a.Check(0) }, "does not have"},
		{"a frame longer than its buffer", func(a *Arena, _ *Cache, i Index) { a.Meta(i).Len = 2049; a.Check(i) }, "is outside"},
		{"a frame that starts in the buffer before", func(a *Arena, _ *Cache, i Index) { a.Meta(i).Off = 1; a.Check(i) }, "is outside"},
		{"a write after the free", func(a *Arena, c *Cache, i Index) {
			room := a.Room(i)
			c.Free(i)
			room[5] = 0
			for range 4 {
				c.Alloc()
			}
		}, "was written at byte 261 after it was freed at"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			a := newTestArena(t, ArenaConfig{Buffers: 4, Supers: 1, SuperSize: 4096, Debug: true})
			c := a.NewCache()
			c.Alloc()
			i := c.Alloc()
			a.Check(i)
			defer func() {
				require.Contains(t, recover(), tt.want)
			}()
			tt.do(a, c, i)
		})
	}
}

func TestLeaksNameTheirOrigin(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 4, Supers: 1, SuperSize: 4096, Debug: true})
	c := a.NewCache()
	c.Free(c.Alloc())
	i, s := c.Alloc(), c.AllocSuper()
	a.Meta(s).Len = 12
	require.Equal(t, 2, a.InUse())
	leaks := a.Leaks()
	require.Len(t, leaks, 2)
	require.Equal(t, i, leaks[0].Index)
	require.Equal(t, s, leaks[1].Index)
	require.EqualValues(t, 12, leaks[1].Len)
	require.Contains(t, leaks[0].Stack, "TestLeaksNameTheirOrigin")
	require.Contains(t, leaks[1].Stack, "TestLeaksNameTheirOrigin")
	c.FreeN([]Index{i, s})
	require.Empty(t, a.Leaks())
}

func TestCheckIsSilentWithoutDebug(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 4})
	require.NotPanics(t, func() { a.Check(0); a.Check(77) })
	require.Nil(t, a.Leaks())
}
